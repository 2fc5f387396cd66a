/* SPDX-License-Identifier: Apache-2.0 */
#include "policy_test.h"

#include <string.h>

#include <duress/policy/batch.h>

enum { ITEM_COUNT = 8 };

static struct duress_batch_item items[ITEM_COUNT];

static void batch_with(struct duress_batch_options options, struct duress_batch *batch)
{
    struct duress_batch_options complete;
    memset(items, 0, sizeof items);
    assert_int_equal(duress_batch_options_init(&complete, &options, NULL), DURESS_OK);
    duress_batch_init(batch, &complete);
}

static void add(struct duress_batch *batch, int index, uint64_t bytes, uint64_t deadline_ns, uint64_t now_ns)
{
    assert_int_equal(duress_batch_add(batch, &items[index], bytes, deadline_ns, now_ns), DURESS_BATCH_QUEUED);
}

/* The next batch is due at |now_ns| and has these items. */
static void taken(struct duress_batch *batch, uint64_t now_ns, int first, uint32_t count)
{
    assert_int_equal(duress_batch_take(batch, now_ns), count);
    for (uint32_t i = 0; i < count; i++)
        assert_ptr_equal(duress_batch_pop(batch), &items[first + (int)i]);
}

static void defaults_are_as_documented(void **state)
{
    (void)state;
    struct duress_batch_options options;
    assert_int_equal(duress_batch_options_init(&options, NULL, NULL), DURESS_OK);
    assert_int_equal(options.items_max, 10);
    assert_int_equal(options.bytes_max, 1024 * 1024);
    assert_int_equal(options.wait_ns, 100 * DURESS_MS);
    assert_int_equal(options.margin_ns, 100 * DURESS_MS);
    assert_int_equal(options.queue_max, 1000);
    assert_int_equal(options.in_flight_max, 8);
    struct duress_batch_options given = {.items_max = 5000, .wait_ns = 7};
    assert_int_equal(duress_batch_options_init(&options, &given, NULL), DURESS_OK);
    assert_int_equal(options.queue_max, 5000);
    assert_int_equal(options.margin_ns, 7);
}

static void bad_options_are_refused_by_name(void **state)
{
    (void)state;
    const struct {
        struct duress_batch_options given;
        const char *detail;
    } cases[] = {
        {{.items_max = 65537}, "batch.items_max: 65537 given, allowed 1 to 65536"},
        {{.bytes_max = DURESS_BATCH_BYTES_MAX_MAX + 1}, "batch.bytes_max: 1099511627777 given, allowed 1 to"},
        {{.wait_ns = DURESS_BATCH_WAIT_NS_MAX + 1}, "batch.wait_ns: 3600000000001 given, allowed 1 to"},
        {{.margin_ns = DURESS_BATCH_WAIT_NS_MAX + 1}, "batch.margin_ns: 3600000000001 given, allowed 1 to"},
        {{.items_max = 20, .queue_max = 19}, "batch.queue_max: 19 given, allowed 20 to"},
        {{.queue_max = DURESS_BATCH_QUEUE_MAX_MAX + 1}, "batch.queue_max: 16777217 given, allowed 10 to"},
        {{.in_flight_max = 65537}, "batch.in_flight_max: 65537 given, allowed 1 to 65536"},
    };
    struct duress_failure why;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct duress_batch_options options = {.wait_ns = 77};
        assert_int_equal(duress_batch_options_init(&options, &cases[i].given, &why), DURESS_E_INVALID);
        assert_non_null(strstr(why.detail, cases[i].detail));
        assert_int_equal(options.wait_ns, 77);
    }
    assert_int_equal(duress_batch_options_init(NULL, NULL, &why), DURESS_E_INVALID);
}

static void a_full_batch_goes_at_once_in_order(void **state)
{
    (void)state;
    struct duress_batch batch;
    batch_with((struct duress_batch_options){.items_max = 3, .wait_ns = 100}, &batch);
    assert_int_equal(duress_batch_due_ns(&batch), DURESS_TIME_NEVER);
    add(&batch, 0, 1, DURESS_TIME_NEVER, 1000);
    add(&batch, 1, 1, DURESS_TIME_NEVER, 1001);
    assert_int_equal(duress_batch_due_ns(&batch), 1100);
    assert_int_equal(duress_batch_take(&batch, 1002), 0);
    add(&batch, 2, 1, DURESS_TIME_NEVER, 1002);
    add(&batch, 3, 1, DURESS_TIME_NEVER, 1003);
    assert_int_equal(duress_batch_due_ns(&batch), 0);
    taken(&batch, 1003, 0, 3);
    assert_int_equal(duress_batch_due_ns(&batch), 1103); /* the fourth waits for its own time */
    assert_int_equal(batch.queued_count, 1);
}

static void a_batch_goes_when_its_first_item_has_waited_long_enough(void **state)
{
    (void)state;
    struct duress_batch batch;
    batch_with((struct duress_batch_options){.wait_ns = 100}, &batch);
    add(&batch, 0, 1, DURESS_TIME_NEVER, 1000);
    add(&batch, 1, 1, DURESS_TIME_NEVER, 1099);
    assert_int_equal(duress_batch_take(&batch, 1099), 0);
    taken(&batch, 1100, 0, 2);
}

static void bytes_are_bounded(void **state)
{
    (void)state;
    struct duress_batch batch;
    batch_with((struct duress_batch_options){.bytes_max = 100, .wait_ns = 100}, &batch);
    assert_int_equal(duress_batch_add(&batch, &items[7], 101, DURESS_TIME_NEVER, 0), DURESS_BATCH_TOO_LARGE);
    add(&batch, 0, 60, DURESS_TIME_NEVER, 1000);
    assert_int_equal(duress_batch_due_ns(&batch), 1100);
    add(&batch, 1, 41, DURESS_TIME_NEVER, 1001);
    assert_int_equal(duress_batch_due_ns(&batch), 0);
    taken(&batch, 1001, 0, 1);
    assert_int_equal(duress_batch_due_ns(&batch), 1101);
    add(&batch, 2, 59, DURESS_TIME_NEVER, 1002);
    taken(&batch, 1002, 1, 2); /* exactly as much as is allowed */
}

static void an_item_with_less_time_takes_the_batch_with_it(void **state)
{
    (void)state;
    struct duress_batch batch;
    batch_with((struct duress_batch_options){.wait_ns = 100, .margin_ns = 30}, &batch);
    add(&batch, 0, 1, DURESS_TIME_NEVER, 1000);
    add(&batch, 1, 1, 1130, 1000); /* may wait as long as the first */
    assert_int_equal(duress_batch_due_ns(&batch), 1100);
    add(&batch, 2, 1, 1090, 1010);
    assert_int_equal(duress_batch_due_ns(&batch), 1060);
    add(&batch, 3, 1, 1035, 1010); /* has no time to wait at all */
    assert_int_equal(duress_batch_due_ns(&batch), 1010);
    taken(&batch, 1010, 0, 4);
    add(&batch, 4, 1, 3, 1010); /* an early deadline is no underflow */
    assert_int_equal(duress_batch_due_ns(&batch), 1010);
}

static void who_leaves_takes_its_instant_with_it(void **state)
{
    (void)state;
    struct duress_batch batch;
    batch_with((struct duress_batch_options){.items_max = 3, .wait_ns = 100, .margin_ns = 10}, &batch);
    add(&batch, 0, 1, 1050, 1000);
    add(&batch, 1, 1, DURESS_TIME_NEVER, 1020);
    assert_int_equal(duress_batch_due_ns(&batch), 1040);
    duress_batch_remove(&batch, &items[0]);
    assert_int_equal(duress_batch_due_ns(&batch), 1120);
    add(&batch, 2, 1, DURESS_TIME_NEVER, 1030);
    add(&batch, 3, 1, DURESS_TIME_NEVER, 1031);
    assert_int_equal(duress_batch_due_ns(&batch), 0);
    duress_batch_remove(&batch, &items[2]); /* no longer full */
    assert_int_equal(duress_batch_due_ns(&batch), 1120);
    assert_int_equal(duress_batch_take(&batch, 1120), 2);
    assert_ptr_equal(duress_batch_pop(&batch), &items[1]);
    assert_ptr_equal(duress_batch_pop(&batch), &items[3]);
}

static void the_queue_is_bounded(void **state)
{
    (void)state;
    struct duress_batch batch;
    batch_with((struct duress_batch_options){.items_max = 2, .queue_max = 3, .in_flight_max = 1}, &batch);
    for (int i = 0; i < 3; i++)
        add(&batch, i, 1, DURESS_TIME_NEVER, 0);
    assert_int_equal(duress_batch_add(&batch, &items[3], 1, DURESS_TIME_NEVER, 0), DURESS_BATCH_FULL);
    taken(&batch, 0, 0, 2);
    add(&batch, 3, 1, DURESS_TIME_NEVER, 0);
}

static void batches_in_flight_are_bounded(void **state)
{
    (void)state;
    struct duress_batch batch;
    batch_with((struct duress_batch_options){.items_max = 1, .in_flight_max = 2}, &batch);
    for (int i = 0; i < 3; i++)
        add(&batch, i, 1, DURESS_TIME_NEVER, 0);
    taken(&batch, 0, 0, 1);
    taken(&batch, 0, 1, 1);
    assert_int_equal(duress_batch_due_ns(&batch), DURESS_TIME_NEVER);
    assert_int_equal(duress_batch_take(&batch, DURESS_S), 0);
    duress_batch_end(&batch);
    taken(&batch, DURESS_S, 2, 1);
    assert_int_equal(batch.in_flight_count, 2);
}

static void time_that_goes_backwards_lengthens_no_wait(void **state)
{
    (void)state;
    struct duress_batch batch;
    batch_with((struct duress_batch_options){.wait_ns = 100}, &batch);
    add(&batch, 0, 1, DURESS_TIME_NEVER, 1000);
    add(&batch, 1, 1, DURESS_TIME_NEVER, 10);
    assert_int_equal(items[1].go_at_ns, 1100);
    assert_int_equal(duress_batch_take(&batch, 1100), 2);
}

static void verdicts_have_names(void **state)
{
    (void)state;
    assert_string_equal(duress_batch_verdict_name(DURESS_BATCH_QUEUED), "queued");
    assert_string_equal(duress_batch_verdict_name(DURESS_BATCH_FULL), "full");
    assert_string_equal(duress_batch_verdict_name(DURESS_BATCH_TOO_LARGE), "too_large");
    assert_string_equal(duress_batch_verdict_name((enum duress_batch_verdict)9), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_as_documented),
        cmocka_unit_test(bad_options_are_refused_by_name),
        cmocka_unit_test(a_full_batch_goes_at_once_in_order),
        cmocka_unit_test(a_batch_goes_when_its_first_item_has_waited_long_enough),
        cmocka_unit_test(bytes_are_bounded),
        cmocka_unit_test(an_item_with_less_time_takes_the_batch_with_it),
        cmocka_unit_test(who_leaves_takes_its_instant_with_it),
        cmocka_unit_test(the_queue_is_bounded),
        cmocka_unit_test(batches_in_flight_are_bounded),
        cmocka_unit_test(time_that_goes_backwards_lengthens_no_wait),
        cmocka_unit_test(verdicts_have_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
