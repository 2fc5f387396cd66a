/* SPDX-License-Identifier: Apache-2.0
 *
 * Errors, instants and the default allocator. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <duress/allocator.h>
#include <duress/error.h>
#include <duress/time.h>

static void each_error_has_its_row(void **state)
{
    (void)state;
#define X(number, name, text, retryable, counted, after_send)                                                          \
    assert_int_equal(DURESS_E_##name, -(number));                                                                      \
    assert_string_equal(duress_error_name(-(number)), #name);                                                          \
    assert_string_equal(duress_strerror(-(number)), text);                                                             \
    assert_int_equal(duress_error_from_name(#name), -(number));                                                        \
    assert_int_equal(duress_error_is_retryable(-(number)), retryable);                                                 \
    assert_int_equal(duress_error_is_counted(-(number)), counted);                                                     \
    assert_int_equal(duress_error_is_after_send(-(number)), after_send);
    DURESS_ERROR_LIST(X)
#undef X
}

static void numbers_outside_of_the_list_are_unknown(void **state)
{
    (void)state;
    static const int outside[] = {1, INT32_MAX, -DURESS_ERROR_NUMBER_END, INT32_MIN};
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++) {
        assert_string_equal(duress_error_name(outside[i]), "UNKNOWN");
        assert_string_equal(duress_strerror(outside[i]), "unknown error");
        assert_false(duress_error_is_retryable(outside[i]));
        assert_false(duress_error_is_counted(outside[i]));
        assert_false(duress_error_is_after_send(outside[i]));
    }
    assert_string_equal(duress_error_name(DURESS_OK), "OK");
    assert_int_equal(duress_error_from_name("NO_SUCH"), DURESS_OK);
    assert_int_equal(duress_error_from_name("OK"), DURESS_OK);
    assert_int_equal(duress_error_from_name(NULL), DURESS_OK);
}

/* What callers decide by; a change of these columns is a change of behaviour. */
static void what_is_never_retried_by_its_code(void **state)
{
    (void)state;
    assert_false(duress_error_is_retryable(DURESS_E_CANCELLED));
    assert_false(duress_error_is_counted(DURESS_E_CANCELLED));
    assert_false(duress_error_is_retryable(DURESS_E_NAME_NOT_FOUND));
    assert_false(duress_error_is_retryable(DURESS_E_CIRCUIT_OPEN));
    assert_false(duress_error_is_counted(DURESS_E_CIRCUIT_OPEN));
    assert_true(duress_error_is_retryable(DURESS_E_REFUSED));
    assert_false(duress_error_is_after_send(DURESS_E_REFUSED));
    assert_true(duress_error_is_after_send(DURESS_E_RESET));
    assert_true(duress_error_is_after_send(DURESS_E_DEADLINE));
}

static void a_failure_is_filled_whole(void **state)
{
    (void)state;
    struct duress_failure failure;
    memset(&failure, 0xff, sizeof failure);
    duress_failure_set(&failure, DURESS_E_RESET, DURESS_ORIGIN_RECEIVE, "after %d bytes", 40);
    assert_int_equal(failure.code, DURESS_E_RESET);
    assert_int_equal(failure.origin, DURESS_ORIGIN_RECEIVE);
    assert_true(failure.ambiguous);
    assert_int_equal(failure.attempts, 0);
    assert_int_equal(failure.retry_after_ns, 0);
    assert_string_equal(failure.detail, "after 40 bytes");
    duress_failure_set(&failure, DURESS_E_REFUSED, DURESS_ORIGIN_CONNECT, NULL);
    assert_false(failure.ambiguous);
    assert_string_equal(failure.detail, "");
    char lengthy[400];
    memset(lengthy, 'z', sizeof lengthy - 1);
    lengthy[sizeof lengthy - 1] = '\0';
    duress_failure_set(&failure, DURESS_E_REFUSED, DURESS_ORIGIN_CONNECT, "%s", lengthy);
    assert_int_equal(strlen(failure.detail), DURESS_DETAIL_BYTES_MAX - 1);
}

static void origins_have_different_names(void **state)
{
    (void)state;
    for (int a = DURESS_ORIGIN_NONE; a <= DURESS_ORIGIN_BATCH; a++) {
        assert_string_not_equal(duress_origin_name((enum duress_origin)a), "unknown");
        for (int b = a + 1; b <= DURESS_ORIGIN_BATCH; b++)
            assert_string_not_equal(duress_origin_name((enum duress_origin)a),
                                    duress_origin_name((enum duress_origin)b));
    }
    assert_string_equal(duress_origin_name((enum duress_origin)99), "unknown");
}

static void instants_saturate(void **state)
{
    (void)state;
    assert_true(duress_time_add(DURESS_TIME_NEVER, 1) == DURESS_TIME_NEVER);
    assert_true(duress_time_add(1, DURESS_TIME_NEVER) == DURESS_TIME_NEVER);
    assert_true(duress_time_add(DURESS_TIME_NEVER - 1, 1) == DURESS_TIME_NEVER);
    assert_true(duress_time_add(2, 3) == 5);
    assert_true(duress_time_until(5, 3) == 0);
    assert_true(duress_time_until(3, 5) == 2);
    assert_true(duress_time_until(3, DURESS_TIME_NEVER) == DURESS_TIME_NEVER);
    assert_true(duress_time_multiply(UINT64_MAX / 2, 3) == DURESS_TIME_NEVER);
    assert_true(duress_time_multiply(7, 0) == 0);
    assert_true(duress_time_multiply(7, 6) == 42);
    assert_true(duress_time_min(7, 6) == 6);
    assert_true(duress_time_min(6, 7) == 6);
}

static void the_default_allocator_gives_zeroed_memory_and_knows_overflow(void **state)
{
    (void)state;
    uint8_t *bytes = duress_allocate_zeroed(NULL, 100, 10);
    assert_non_null(bytes);
    for (size_t i = 0; i < 1000; i++)
        assert_int_equal(bytes[i], 0);
    bytes[999] = 9;
    bytes = duress_reallocate(NULL, bytes, 2000);
    assert_non_null(bytes);
    assert_int_equal(bytes[999], 9);
    duress_release(NULL, bytes);
    duress_release(NULL, NULL);
    assert_null(duress_allocate_zeroed(NULL, SIZE_MAX / 2, 3));
    void *nothing = duress_allocate(NULL, 0); /* of no length, and yet a block */
    assert_non_null(nothing);
    duress_release(NULL, nothing);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_has_its_row),
        cmocka_unit_test(numbers_outside_of_the_list_are_unknown),
        cmocka_unit_test(what_is_never_retried_by_its_code),
        cmocka_unit_test(a_failure_is_filled_whole),
        cmocka_unit_test(origins_have_different_names),
        cmocka_unit_test(instants_saturate),
        cmocka_unit_test(the_default_allocator_gives_zeroed_memory_and_knows_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
