/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_test_support.h"

#include <string.h>

#include <duress/wire/buffer.h>

static void empty_buffer_has_no_memory(void **state)
{
    (void)state;
    struct test_allocator test;
    struct duress_buffer buffer;
    test_allocator_init(&test);
    duress_buffer_init(&buffer, 0, &test.allocator);
    assert_int_equal(duress_buffer_length(&buffer), 0);
    assert_int_equal(duress_buffer_slice(&buffer).length, 0);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("")), DURESS_OK);
    duress_buffer_consume(&buffer, 0);
    duress_buffer_close(&buffer);
    assert_int_equal(test.calls, 0);
}

/* A queue of random appends and consumes equals a plain array, and bytes are never moved without bound. */
static void queue_equals_a_plain_array(void **state)
{
    (void)state;
    static uint8_t model[1 << 20];
    size_t model_begin = 0;
    size_t model_end = 0;
    struct test_allocator test;
    struct duress_buffer buffer;
    struct duress_prng prng;
    test_allocator_init(&test);
    duress_prng_init(&prng, 7, 1);
    duress_buffer_init(&buffer, 0, &test.allocator);
    for (int step = 0; step < 20000 && model_end + 200 < sizeof model; step++) {
        size_t count = (size_t)duress_prng_below(&prng, 100);
        if (duress_prng_chance(&prng, 500000)) {
            for (size_t index = 0; index < count; index++)
                model[model_end + index] = (uint8_t)duress_prng_next(&prng);
            assert_int_equal(duress_buffer_append(&buffer, duress_slice_bytes(model + model_end, count)), DURESS_OK);
            model_end += count;
        } else {
            size_t length = duress_buffer_length(&buffer);
            count = count > length ? length : count;
            duress_buffer_consume(&buffer, count);
            model_begin += count;
        }
        struct duress_slice expected = duress_slice_bytes(model + model_begin, model_end - model_begin);
        assert_true(duress_slice_equal(duress_buffer_slice(&buffer), expected));
    }
    assert_true(test.calls < 100);
    duress_buffer_close(&buffer);
    assert_int_equal(test.live_count, 0);
}

/* Dead bytes at the front are used again: a queue that is always short never asks for more memory. */
static void consumed_room_is_used_again(void **state)
{
    (void)state;
    struct test_allocator test;
    struct duress_buffer buffer;
    test_allocator_init(&test);
    duress_buffer_init(&buffer, 0, &test.allocator);
    for (int step = 0; step < 1000; step++) {
        assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("0123456789abcdefghij")), DURESS_OK);
        if (step >= 2)
            duress_buffer_consume(&buffer, 20);
    }
    assert_int_equal(test.calls, 1);
    assert_int_equal(duress_buffer_length(&buffer), 40);
    duress_buffer_close(&buffer);
}

/* To move nearly all bytes for the little room that a few consumed ones left would cost more with each append. */
static void full_queue_grows_rather_than_moves(void **state)
{
    (void)state;
    struct test_allocator test;
    struct duress_buffer buffer;
    static const uint8_t bytes[256];
    test_allocator_init(&test);
    duress_buffer_init(&buffer, 0, &test.allocator);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_bytes(bytes, 160)), DURESS_OK);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_bytes(bytes, 90)), DURESS_OK);
    assert_int_equal(test.calls, 1);
    duress_buffer_consume(&buffer, 1);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_bytes(bytes, 7)), DURESS_OK);
    assert_int_equal(test.calls, 2);
    assert_int_equal(duress_buffer_length(&buffer), 256);
    duress_buffer_close(&buffer);
    assert_int_equal(test.live_count, 0);
}

static void memory_stays_below_twice_the_length(void **state)
{
    (void)state;
    struct duress_buffer buffer;
    uint8_t *room;
    duress_buffer_init(&buffer, 0, NULL);
    for (size_t length = 0; length < 100000; length += 100) {
        assert_int_equal(duress_buffer_reserve(&buffer, 100, &room), DURESS_OK);
        memset(room, 1, 100);
        duress_buffer_commit(&buffer, 100);
        assert_true(buffer.capacity <= 256 || buffer.capacity < 2 * duress_buffer_length(&buffer));
    }
    duress_buffer_close(&buffer);
}

static void length_is_limited_exactly(void **state)
{
    (void)state;
    struct duress_buffer buffer;
    uint8_t *room;
    duress_buffer_init(&buffer, 10, NULL);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("01234567890")), DURESS_E_TOO_LARGE);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("0123456")), DURESS_OK);
    assert_int_equal(duress_buffer_reserve(&buffer, 4, &room), DURESS_E_TOO_LARGE);
    assert_int_equal(duress_buffer_reserve(&buffer, SIZE_MAX, &room), DURESS_E_TOO_LARGE);
    test_slice_assert(duress_buffer_slice(&buffer), "0123456");
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("789")), DURESS_OK);
    duress_buffer_consume(&buffer, 2);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("ab")), DURESS_OK);
    test_slice_assert(duress_buffer_slice(&buffer), "23456789ab");
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("c")), DURESS_E_TOO_LARGE);
    duress_buffer_close(&buffer);
}

static void without_a_limit_an_absurd_count_is_refused(void **state)
{
    (void)state;
    struct duress_buffer buffer;
    uint8_t *room;
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("x")), DURESS_OK);
    assert_int_equal(duress_buffer_reserve(&buffer, SIZE_MAX, &room), DURESS_E_TOO_LARGE);
    assert_int_equal(duress_buffer_reserve(&buffer, SIZE_MAX / 2, &room), DURESS_E_TOO_LARGE);
    duress_buffer_close(&buffer);
}

static void failed_growth_changes_nothing(void **state)
{
    (void)state;
    struct test_allocator test;
    struct duress_buffer buffer;
    uint8_t *room;
    test_allocator_init(&test);
    duress_buffer_init(&buffer, 0, &test.allocator);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("kept")), DURESS_OK);
    test.fail_at = test.calls + 1;
    assert_int_equal(duress_buffer_reserve(&buffer, 1000, &room), DURESS_E_NO_MEMORY);
    test_slice_assert(duress_buffer_slice(&buffer), "kept");
    duress_buffer_close(&buffer);
    assert_int_equal(test.live_count, 0);
}

static void truncate_trim_and_close(void **state)
{
    (void)state;
    struct test_allocator test;
    struct duress_buffer buffer;
    test_allocator_init(&test);
    duress_buffer_init(&buffer, 0, &test.allocator);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("0123456789")), DURESS_OK);
    duress_buffer_consume(&buffer, 3);
    duress_buffer_truncate(&buffer, 2);
    test_slice_assert(duress_buffer_slice(&buffer), "34");
    duress_buffer_trim(&buffer, 0);
    assert_int_equal(test.live_count, 1); /* it holds bytes */
    duress_buffer_clear(&buffer);
    duress_buffer_trim(&buffer, 1000);
    assert_int_equal(test.live_count, 1); /* small enough to keep */
    duress_buffer_trim(&buffer, 100);
    assert_int_equal(test.live_count, 0);
    assert_int_equal(duress_buffer_append(&buffer, duress_slice_text("again")), DURESS_OK);
    test_slice_assert(duress_buffer_slice(&buffer), "again");
    duress_buffer_close(&buffer);
    assert_int_equal(test.live_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_buffer_has_no_memory),
        cmocka_unit_test(queue_equals_a_plain_array),
        cmocka_unit_test(consumed_room_is_used_again),
        cmocka_unit_test(full_queue_grows_rather_than_moves),
        cmocka_unit_test(memory_stays_below_twice_the_length),
        cmocka_unit_test(length_is_limited_exactly),
        cmocka_unit_test(without_a_limit_an_absurd_count_is_refused),
        cmocka_unit_test(failed_growth_changes_nothing),
        cmocka_unit_test(truncate_trim_and_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
