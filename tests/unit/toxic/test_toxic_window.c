/* SPDX-License-Identifier: Apache-2.0
 *
 * A time to live and an on/off schedule, for any toxic. */
#include "link_rig.h"

#include <stdio.h>
#include <string.h>

static struct duress_toxic scheduled(struct duress_toxic toxic, uint64_t period_ms, uint64_t on_ms)
{
    toxic.period_ns = period_ms * DURESS_MS;
    toxic.on_ns = on_ms * DURESS_MS;
    return toxic;
}

static struct duress_toxic living(struct duress_toxic toxic, uint64_t ttl_ms)
{
    toxic.ttl_ns = ttl_ms * DURESS_MS;
    return toxic;
}

static void time_to_live_ends_as_a_removal_does(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = living(toxic_latency(1, 1000, 0), 300);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 100 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_end(&rig, DURESS_DOWNSTREAM);
    assert_false(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@300 20@300");
    assert_string_equal(rig_actions(&rig), "shutdown-client@300");
    rig_close(&rig);
}

static void expired_toxic_is_as_none(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = living(toxic_bandwidth(1, 0), 300);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 300 * DURESS_MS);
    assert_true(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    rig_add(&rig, toxic_latency(1, 50, 0)); /* Its id is free. */
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@350");
    rig_close(&rig);
}

/* A dead man's switch: whoever keeps updating keeps it alive. */
static void update_renews_the_time_to_live(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = living(toxic_bandwidth(1, 0), 300);
    rig_open(&rig, &toxic, 1);
    for (uint64_t at_ms = 200; at_ms <= 1000; at_ms += 200) {
        rig_run(&rig, at_ms * DURESS_MS);
        toxic.since_ns = at_ms * DURESS_MS;
        rig_update(&rig, toxic);
    }
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@1300");
    rig_close(&rig);
}

/* A stream with a hole does not go on, whoever made an end of the toxic. */
static void expired_timeout_that_dropped_closes(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = living(toxic_timeout(1, 0), 300);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_actions(&rig), "close-client@300 close-server@300");
    rig_close(&rig);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, DURESS_S);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@1000");
    rig_close(&rig);
}

static void time_to_live_is_over_before_the_dial(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = living(toxic_bandwidth(1, 0), 300);
    struct duress_link_options options = {.toxics = &toxic, .toxic_count = 1};
    rig_open_dialing(&rig, &options);
    rig_run(&rig, 500 * DURESS_MS);
    rig_dial(&rig);
    assert_true(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig_close(&rig);
}

static void schedule_acts_in_the_first_part_of_each_period(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = scheduled(toxic_latency(1, 10, 0), 100, 30);
    rig_open(&rig, &toxic, 1);
    for (uint64_t at_ms = 5; at_ms < 300; at_ms += 20) {
        rig_run(&rig, at_ms * DURESS_MS);
        rig_push(&rig, DURESS_DOWNSTREAM, at_ms);
    }
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM),
                        "5@15 25@30 45@45 65@65 85@85 105@115 125@130 145@145 165@165 185@185 205@215 225@230 245@245 "
                        "265@265 285@285");
    rig_close(&rig);
}

static void schedule_counts_from_when_the_toxic_was_made(void **unused)
{
    (void)unused;
    struct rig rig;
    rig_open(&rig, NULL, 0);
    rig_run(&rig, 1070 * DURESS_MS);
    struct duress_toxic toxic = scheduled(toxic_bandwidth(1, 0), 100, 30);
    toxic.since_ns = 20 * DURESS_MS;
    rig_add(&rig, toxic);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 1120 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 20);
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@1070 20@1150");
    rig_close(&rig);
}

/* The owner's clock may be read a moment after the link's. */
static void schedule_from_the_future_is_at_its_beginning(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = scheduled(toxic_bandwidth(1, 0), 100, 30);
    toxic.since_ns = 50 * DURESS_MS;
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@80");
    rig_close(&rig);
}

static void schedule_ends_with_the_time_to_live(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = living(scheduled(toxic_bandwidth(1, 0), 100, 30), 210);
    rig_open(&rig, &toxic, 1);
    rig_run(&rig, 205 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@210");
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    rig_close(&rig);
}

static void schedule_that_is_always_on_has_no_turns(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = scheduled(toxic_bandwidth(1, 0), 100, 100);
    rig_open(&rig, &toxic, 1);
    assert_int_equal(duress_link_next_ns(rig.link), DURESS_TIME_NEVER);
    assert_false(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM));
    rig_close(&rig);
}

static void refuse_keeps_to_its_schedule(void **unused)
{
    (void)unused;
    struct duress_toxic toxic = scheduled(toxic_of(1, DURESS_TOXIC_REFUSE), 100, 30);
    for (uint64_t at_ms = 0; at_ms < 400; at_ms++) {
        struct duress_link *link = NULL;
        struct duress_link_options options = {.toxics = &toxic, .toxic_count = 1};
        assert_int_equal(duress_link_new(&options, at_ms * DURESS_MS, &link, NULL), DURESS_OK);
        assert_int_equal(duress_link_wants_dial(link), at_ms % 100 >= 30);
        duress_link_free(link);
    }
}

static void schedules_out_of_range_are_refused(void **unused)
{
    (void)unused;
    struct duress_failure why;
    struct duress_toxic toxic = scheduled(toxic_latency(1, 1, 0), 100, 101);
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "on_ns is 101000000, allowed is 1 to period_ns (period_ns is 100000000)");
    toxic = scheduled(toxic_latency(1, 1, 0), 100, 0);
    assert_int_equal(duress_toxic_check(&toxic, NULL), DURESS_E_INVALID);
    toxic = scheduled(toxic_latency(1, 1, 0), 9, 5);
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "period_ns is 9000000, allowed is 0 with on_ns, or 10 ms and more"));
    toxic = scheduled(toxic_latency(1, 1, 0), 0, 5);
    assert_int_equal(duress_toxic_check(&toxic, NULL), DURESS_E_INVALID);
    toxic = scheduled(toxic_latency(1, 1, 0), 10, 10);
    assert_int_equal(duress_toxic_check(&toxic, NULL), DURESS_OK);
}

/* Random schedules beside the plain rule, asked millisecond by millisecond whether the direction is touched. */
static void windows_are_where_the_plain_rule_has_them(void **unused)
{
    (void)unused;
    struct duress_prng prng;
    duress_prng_init(&prng, 11, 0);
    for (int program = 0; program < 300; program++) {
        struct rig rig;
        uint64_t period_ms = 10 + duress_prng_below(&prng, 90);
        uint64_t on_ms = 1 + duress_prng_below(&prng, period_ms);
        uint64_t ttl_ms = duress_prng_below(&prng, 3) == 0 ? 1 + duress_prng_below(&prng, 500) : 0;
        uint64_t since_ms = duress_prng_below(&prng, 200);
        struct duress_toxic toxic = living(scheduled(toxic_bandwidth(1, 0), period_ms, on_ms), ttl_ms);
        toxic.since_ns = since_ms * DURESS_MS;
        rig_open(&rig, NULL, 0);
        rig_run(&rig, 200 * DURESS_MS);
        rig_add(&rig, toxic);
        for (uint64_t now_ms = 200; now_ms < 800; now_ms++) {
            rig_run(&rig, now_ms * DURESS_MS);
            bool lives = ttl_ms == 0 || now_ms - since_ms < ttl_ms;
            bool acts = lives && (now_ms - since_ms) % period_ms < on_ms;
            assert_int_equal(duress_link_is_transparent(rig.link, DURESS_DOWNSTREAM), !acts);
        }
        rig_close(&rig);
    }
}

/* A driver that wakes after years: no turn is worth a step of its own, and nothing is lost. */
static void driver_that_is_years_late_is_not_led_through_every_turn(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {scheduled(toxic_latency(1, 3, 0), 10, 5), scheduled(toxic_bandwidth(2, 0), 17, 4)};
    rig_open(&rig, toxics, 2);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    for (uint64_t year = 1; year < 20; year++) {
        rig.now_ns = year * 365 * 86400 * DURESS_S;
        duress_link_tick(rig.link, rig.now_ns);
        rig_outputs(&rig);
        assert_true(duress_link_next_ns(rig.link) > rig.now_ns);
        assert_true(duress_link_next_ns(rig.link) <= rig.now_ns + 17 * DURESS_MS);
        rig_push(&rig, DURESS_DOWNSTREAM, 10);
    }
    rig_run(&rig, rig.now_ns + 100 * DURESS_MS);
    assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], 200);
    rig_close(&rig);
}

static void two_slow_opens_that_take_turns_end_as_well(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {scheduled(toxic_slow_open(1, 1), 10, 5), scheduled(toxic_slow_open(2, 1), 10, 5)};
    struct duress_link_options options = {.toxics = toxics, .toxic_count = 2};
    toxics[0].as.slow_open.delay_ns = toxics[1].as.slow_open.delay_ns = UINT64_MAX;
    toxics[1].since_ns = 5 * DURESS_MS;
    rig_open_dialing(&rig, &options);
    rig.now_ns = 365 * 86400 * DURESS_S;
    duress_link_tick(rig.link, rig.now_ns);
    rig_outputs(&rig);
    assert_false(duress_link_wants_dial(rig.link));
    assert_true(duress_link_next_ns(rig.link) <= rig.now_ns + 5 * DURESS_MS);
    rig_close(&rig);
}

static void list_note(void *context, const struct duress_toxic *toxic, bool is_drawn)
{
    char *text = context;
    size_t length = strlen(text);
    (void)snprintf(text + length, 64 - length, "%c%d%c ", toxic->direction == DURESS_UPSTREAM ? 'u' : 'd',
                   (int)toxic->id, is_drawn ? '+' : '-');
}

static void toxics_of_a_connection_are_told_with_their_draws(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxics[] = {living(toxic_latency(1, 1, 0), 100), toxic_slow_open(2, 0), toxic_latency(3, 1, 0),
                                    toxic_latency(4, 1, 0)};
    toxics[1].toxicity_ppm = 0;
    toxics[3].direction = DURESS_UPSTREAM;
    char text[64] = "";
    rig_open(&rig, toxics, 4);
    duress_link_visit_toxics(rig.link, list_note, text);
    assert_string_equal(text, "u4+ d1+ d2- d3+ ");
    rig_run(&rig, 100 * DURESS_MS);
    text[0] = '\0';
    duress_link_visit_toxics(rig.link, list_note, text);
    assert_string_equal(text, "u4+ d2- d3+ ");
    rig_close(&rig);
}

static void seeds_of_names_tell_names_and_seeds_apart(void **unused)
{
    (void)unused;
    const char *names[] = {"", "a", "b", "ab", "ba", "abc", "web", "web ", "Web"};
    enum { NAME_COUNT = sizeof names / sizeof names[0] };
    for (size_t i = 0; i < NAME_COUNT; i++) {
        assert_int_equal(duress_seed_for_name(5, names[i]), duress_seed_for_name(5, names[i]));
        assert_true(duress_seed_for_name(5, names[i]) != duress_seed_for_name(6, names[i]));
        for (size_t k = 0; k < i; k++)
            assert_true(duress_seed_for_name(5, names[i]) != duress_seed_for_name(5, names[k]));
    }
    /* Pinned: seeds in bug reports stay valid. */
    assert_int_equal(duress_seed_for_name(0, "latency_downstream"), UINT64_C(0x4dc21e8e78024e80));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(time_to_live_ends_as_a_removal_does),
        cmocka_unit_test(expired_toxic_is_as_none),
        cmocka_unit_test(update_renews_the_time_to_live),
        cmocka_unit_test(expired_timeout_that_dropped_closes),
        cmocka_unit_test(time_to_live_is_over_before_the_dial),
        cmocka_unit_test(schedule_acts_in_the_first_part_of_each_period),
        cmocka_unit_test(schedule_counts_from_when_the_toxic_was_made),
        cmocka_unit_test(schedule_from_the_future_is_at_its_beginning),
        cmocka_unit_test(schedule_ends_with_the_time_to_live),
        cmocka_unit_test(schedule_that_is_always_on_has_no_turns),
        cmocka_unit_test(refuse_keeps_to_its_schedule),
        cmocka_unit_test(schedules_out_of_range_are_refused),
        cmocka_unit_test(windows_are_where_the_plain_rule_has_them),
        cmocka_unit_test(driver_that_is_years_late_is_not_led_through_every_turn),
        cmocka_unit_test(two_slow_opens_that_take_turns_end_as_well),
        cmocka_unit_test(toxics_of_a_connection_are_told_with_their_draws),
        cmocka_unit_test(seeds_of_names_tell_names_and_seeds_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
