/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory that runs out: a scenario with every toxic is run again and again, with the n-th allocation failing (and, in a
 * second round, all after it too), for every n that it has. Nothing crashes or leaks, no invariant breaks, an add that
 * failed changed nothing, a push that failed resets the link. */
#include "link_rig.h"

struct scenario {
    struct rig_heap heap;
    struct duress_link *link;
    uint64_t pushed_bytes;
    uint64_t written_bytes;
    bool is_reset_due;
};

static const uint64_t step_ns = 40 * DURESS_MS;

static void scenario_drain(struct scenario *scenario, uint64_t now_ns)
{
    duress__link_check(scenario->link);
    for (;;) {
        struct duress_slice pending = duress_link_pending(scenario->link, DURESS_DOWNSTREAM, now_ns);
        if (pending.length == 0)
            break;
        for (size_t i = 0; i < pending.length; i++)
            assert_int_equal(pending.data[i], rig_byte(DURESS_DOWNSTREAM, scenario->written_bytes + i));
        scenario->written_bytes += pending.length;
        duress_link_written(scenario->link, DURESS_DOWNSTREAM, pending.length, now_ns);
    }
    duress__link_check(scenario->link);
}

static void scenario_push(struct scenario *scenario, size_t length, uint64_t now_ns)
{
    uint8_t bytes[512];
    for (size_t i = 0; i < length; i++)
        bytes[i] = rig_byte(DURESS_DOWNSTREAM, scenario->pushed_bytes + i);
    if (duress_link_wants(scenario->link, DURESS_DOWNSTREAM) < length)
        return;
    int error = duress_link_push(scenario->link, DURESS_DOWNSTREAM, duress_slice_bytes(bytes, length), now_ns);
    if (error == DURESS_OK) {
        scenario->pushed_bytes += length;
        return;
    }
    assert_int_equal(error, DURESS_E_NO_MEMORY);
    scenario->is_reset_due = true;
}

static void scenario_toxics(struct scenario *scenario, uint64_t now_ns)
{
    const struct duress_toxic toxics[] = {toxic_slicer(3, 7, 2, 10), toxic_bandwidth(4, 5000),
                                          toxic_slicer(5, 3, 1, 0)};
    for (size_t i = 0; i < sizeof toxics / sizeof toxics[0]; i++) {
        uint64_t before = rig_link_digest(scenario->link);
        struct duress_failure why;
        int error = duress_link_toxic_add(scenario->link, &toxics[i], now_ns, &why);
        if (error == DURESS_OK)
            continue;
        assert_int_equal(error, DURESS_E_NO_MEMORY);
        assert_int_equal(why.code, DURESS_E_NO_MEMORY);
        assert_true(rig_link_digest(scenario->link) == before);
    }
}

static void scenario_reset_check(struct scenario *scenario, uint64_t now_ns)
{
    if (!scenario->is_reset_due)
        return;
    struct duress_link_action first = duress_link_poll(scenario->link, now_ns);
    struct duress_link_action second = duress_link_poll(scenario->link, now_ns);
    assert_int_equal(first.type, DURESS_LINK_RESET);
    assert_int_equal(second.type, DURESS_LINK_RESET);
    assert_true(first.side != second.side);
    assert_true(duress_link_is_done(scenario->link));
}

/* Returns whether the scenario needed the allocation that was to fail. */
static bool scenario_run(size_t fail_at, bool fails_on)
{
    struct scenario scenario = {.pushed_bytes = 0};
    rig_heap_init(&scenario.heap, fail_at, fails_on);
    struct duress_toxic toxics[] = {toxic_latency(1, 50, 20), toxic_bandwidth(2, 10000)};
    struct duress_link_options options = {
        .allocator = &scenario.heap.base, .seed = 3, .toxics = toxics, .toxic_count = 2};
    int error = duress_link_new(&options, 0, &scenario.link, NULL);
    if (error == DURESS_OK) {
        uint64_t now_ns = 0;
        duress_link_dialed(scenario.link, DURESS_OK, now_ns);
        for (int i = 0; i < 12; i++, now_ns += step_ns) {
            scenario_push(&scenario, 500, now_ns);
            if (i == 4)
                scenario_toxics(&scenario, now_ns);
            if (i == 9)
                (void)duress_link_toxic_remove(scenario.link, 2, now_ns);
            duress_link_tick(scenario.link, now_ns);
            if (i != 5 && i != 6)
                scenario_drain(&scenario, now_ns);
        }
        duress_link_tick(scenario.link, 100 * DURESS_S);
        scenario_drain(&scenario, 100 * DURESS_S);
        scenario_reset_check(&scenario, 100 * DURESS_S);
        /* Nothing is lost to want of memory but by the reset. */
        if (!scenario.is_reset_due)
            assert_int_equal(scenario.written_bytes, scenario.pushed_bytes);
        duress_link_free(scenario.link);
    } else {
        assert_int_equal(error, DURESS_E_NO_MEMORY);
    }
    assert_int_equal(scenario.heap.live_count, 0);
    return scenario.heap.has_failed;
}

static void memory_that_fails_once_breaks_nothing(void **unused)
{
    (void)unused;
    size_t fail_at = 0;
    while (scenario_run(fail_at, false))
        fail_at++;
    assert_in_range(fail_at, 100, 100000); /* It is a scenario, and it ends. */
}

static void memory_that_fails_from_then_on_breaks_nothing(void **unused)
{
    (void)unused;
    size_t fail_at = 0;
    while (scenario_run(fail_at, true))
        fail_at++;
    assert_in_range(fail_at, 100, 100000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_that_fails_once_breaks_nothing),
        cmocka_unit_test(memory_that_fails_from_then_on_breaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
