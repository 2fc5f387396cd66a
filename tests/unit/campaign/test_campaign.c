/* SPDX-License-Identifier: Apache-2.0
 *
 * Campaigns over a small system: a counter that a timer steps until it is full, with bugs planted on order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <duress/campaign/campaign.h>

enum bug {
    BUG_NONE,
    BUG_RARE,           /* one seed in about eight steps over the limit */
    BUG_STALLS,         /* never gets there */
    BUG_LIVELOCK,       /* arms itself for the same instant for ever */
    BUG_MEMORY_OF_RUNS, /* depends on what happened in earlier runs */
};

struct counter {
    enum bug bug;
    struct duress_world *world;
    struct duress_prng prng;
    struct duress_timer timer;
    unsigned steps;
    bool rare;
};

enum { STEPS_MAX = 10 };

static unsigned runs_of_this_process;

static void counter_step(void *context)
{
    struct counter *counter = context;
    uint64_t wait_ns = 1 + duress_prng_below(&counter->prng, DURESS_MS);
    if (counter->bug == BUG_MEMORY_OF_RUNS)
        wait_ns += runs_of_this_process;
    if (counter->bug == BUG_LIVELOCK)
        wait_ns = 0;
    else
        counter->steps += counter->rare ? 3 : 1;
    if (counter->steps < STEPS_MAX && !(counter->bug == BUG_STALLS && counter->steps == 4))
        duress_world_arm(counter->world, &counter->timer, duress_world_now_ns(counter->world) + wait_ns);
}

static struct counter counter; /* one system at a time */

static int counter_build(void *context, struct duress_sim *sim, void **system)
{
    struct duress_sim_host *host = NULL;
    int error = duress_sim_host_new(sim, "counter", &host);
    if (error != DURESS_OK)
        return error;
    runs_of_this_process++;
    counter = (struct counter){.bug = *(const enum bug *)context, .world = duress_sim_host_world(host)};
    duress_world_prng(counter.world, 1, &counter.prng);
    counter.rare = counter.bug == BUG_RARE && duress_prng_below(&counter.prng, 8) == 0;
    duress_timer_init(&counter.timer, counter_step, &counter);
    duress_world_arm(counter.world, &counter.timer, duress_world_now_ns(counter.world));
    *system = &counter;
    return DURESS_OK;
}

static bool counter_is_done(void *system)
{
    const struct counter *running = system;
    return running->steps >= STEPS_MAX;
}

static const char *counter_broken(void *system)
{
    const struct counter *running = system;
    return running->steps > STEPS_MAX ? "the counter is over its limit" : NULL;
}

static void counter_take_down(void *system)
{
    struct counter *running = system;
    duress_world_disarm(running->world, &running->timer);
}

static struct duress_campaign_finding campaign(enum bug bug, bool repeat)
{
    struct duress_campaign_options options = {
        .seed_first = 1,
        .seed_count = 200,
        .duration_ns = 10 * DURESS_S,
        .repeat = repeat,
        .sim = {.events_max = 10000},
        .build = counter_build,
        .is_done = counter_is_done,
        .broken = counter_broken,
        .take_down = counter_take_down,
        .context = &bug,
    };
    struct duress_campaign_finding finding;
    assert_int_equal(duress_campaign_run(&options, &finding), DURESS_OK);
    return finding;
}

static void a_sound_system_is_clean_and_repeats(void **state)
{
    (void)state;
    struct duress_campaign_finding finding = campaign(BUG_NONE, true);
    assert_int_equal(finding.verdict, DURESS_CAMPAIGN_CLEAN);
    assert_int_equal(finding.seeds_run, 200);
    assert_int_equal(finding.seed, 200);
    assert_true(finding.event_count >= STEPS_MAX);
}

static void a_rare_bug_is_found_and_its_seed_finds_it_again(void **state)
{
    (void)state;
    struct duress_campaign_finding finding = campaign(BUG_RARE, false);
    assert_int_equal(finding.verdict, DURESS_CAMPAIGN_BROKEN);
    assert_string_equal(finding.what, "the counter is over its limit");
    enum bug bug = BUG_RARE;
    struct duress_campaign_options options = {
        .seed_first = finding.seed,
        .seed_count = 1,
        .duration_ns = 10 * DURESS_S,
        .build = counter_build,
        .is_done = counter_is_done,
        .broken = counter_broken,
        .take_down = counter_take_down,
        .context = &bug,
    };
    struct duress_campaign_finding again;
    assert_int_equal(duress_campaign_run(&options, &again), DURESS_OK);
    assert_int_equal(again.verdict, DURESS_CAMPAIGN_BROKEN);
    assert_int_equal(again.trace_hash, finding.trace_hash);
    assert_int_equal(again.at_ns, finding.at_ns);
}

static void what_never_ends_is_told_apart(void **state)
{
    (void)state;
    assert_int_equal(campaign(BUG_STALLS, false).verdict, DURESS_CAMPAIGN_NOT_DONE);
    assert_int_equal(campaign(BUG_LIVELOCK, false).verdict, DURESS_CAMPAIGN_LIVELOCK);
}

static void a_run_that_depends_on_more_than_its_seed_is_found(void **state)
{
    (void)state;
    struct duress_campaign_finding finding = campaign(BUG_MEMORY_OF_RUNS, true);
    assert_int_equal(finding.verdict, DURESS_CAMPAIGN_NOT_REPEATED);
    assert_int_equal(finding.seeds_run, 1);
}

static void refuses_what_is_missing(void **state)
{
    (void)state;
    struct duress_campaign_finding finding;
    struct duress_campaign_options options = {.seed_count = 1, .duration_ns = 1, .build = counter_build};
    assert_int_equal(duress_campaign_run(&options, &finding), DURESS_E_INVALID);
    options.take_down = counter_take_down;
    options.seed_count = 0;
    assert_int_equal(duress_campaign_run(&options, &finding), DURESS_E_INVALID);
    assert_int_equal(duress_campaign_run(NULL, &finding), DURESS_E_INVALID);
    assert_string_equal(duress_campaign_verdict_name(DURESS_CAMPAIGN_NOT_DONE), "not done");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sound_system_is_clean_and_repeats),
        cmocka_unit_test(a_rare_bug_is_found_and_its_seed_finds_it_again),
        cmocka_unit_test(what_never_ends_is_told_apart),
        cmocka_unit_test(a_run_that_depends_on_more_than_its_seed_is_found),
        cmocka_unit_test(refuses_what_is_missing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
