/* SPDX-License-Identifier: Apache-2.0
 *
 * The hedge beside its model: every sequence of up to seven events of calls in turn, and long random schedules.
 * Latencies are below 128 ns, where the histogram is exact, so that both must agree to the nanosecond; in the random
 * schedules of large ones within the histogram's bound. */
#include "policy_test.h"

#include <duress/prng.h>

#include "hedge_model.h"

enum event {
    STEP_SHORT,
    STEP_LONG,
    OLDEST_SUCCEEDS,
    OLDEST_FAILS,
    NEWEST_SUCCEEDS,
    NEWEST_ANSWERS,
    CALLER_GIVES_UP,
    EVENT_COUNT,
};

enum { SEQUENCE_LENGTH = 7 };

struct pair {
    struct duress_hedge hedge;
    struct duress_hedge_call call;
    struct hedge_model model;
    uint64_t now_ns;
    uint64_t step_long_ns;
    uint32_t calls;
    bool exact;
};

static struct pair the_pair;

/* Equal, or what the histogram's upper bounds make of it. */
static void assert_delay(const struct pair *pair, uint64_t seen_ns, uint64_t model_ns)
{
    if (pair->exact) {
        assert_int_equal(seen_ns, model_ns);
        return;
    }
    assert_true(seen_ns >= model_ns);
    assert_true(seen_ns <= model_ns + model_ns / 64);
}

static void pair_begin_call(struct pair *pair)
{
    bool idempotent = pair->calls % 4 != 3;
    uint64_t deadline_ns = pair->calls % 3 == 2 ? pair->now_ns + 30 : DURESS_TIME_NEVER;
    duress_hedge_begin(&pair->hedge, &pair->call, idempotent, deadline_ns, pair->now_ns);
    hedge_model_begin(&pair->model, idempotent, deadline_ns, pair->now_ns);
    assert_delay(pair, pair->call.delay_ns, pair->model.delay_ns);
    pair->model.delay_ns = pair->call.delay_ns; /* from here on both work with the same one */
    pair->calls++;
}

static void pair_init(struct pair *pair, const struct duress_hedge_options *options, uint64_t step_long_ns)
{
    assert_int_equal(duress_hedge_init(&pair->hedge, options, NULL), DURESS_OK);
    hedge_model_init(&pair->model, &pair->hedge.options);
    pair->now_ns = 1000;
    pair->calls = 0;
    pair->exact = true;
    pair->step_long_ns = step_long_ns;
    pair_begin_call(pair);
}

static void pair_give_up_rest(struct pair *pair)
{
    while (hedge_model_running(&pair->model) > 0) {
        struct hedge_model_attempt *attempt = hedge_model_attempt(&pair->model, 0);
        duress_hedge_given_up(&pair->hedge, &pair->call, attempt->begun_ns, pair->now_ns);
        hedge_model_given_up(&pair->model, attempt, pair->now_ns);
    }
}

/* Time passes, and attempts begin when they are due. Every third one that is due is refused by a budget. */
static void pair_step(struct pair *pair, uint64_t delta_ns)
{
    uint64_t until_ns = pair->now_ns + delta_ns;
    uint64_t due_ns;
    while ((due_ns = duress_hedge_next_ns(&pair->call)) <= until_ns) {
        assert_int_equal(due_ns, hedge_model_next_ns(&pair->model));
        pair->now_ns = due_ns;
        if ((pair->calls + due_ns) % 3 == 0) {
            duress_hedge_stop(&pair->call);
            pair->model.stopped = true;
            continue;
        }
        duress_hedge_another(&pair->call, due_ns);
        hedge_model_another(&pair->model, due_ns);
    }
    pair->now_ns = until_ns;
}

static void pair_end(struct pair *pair, size_t which, bool success)
{
    struct hedge_model_attempt *attempt = hedge_model_attempt(&pair->model, which);
    uint64_t begun_ns = attempt->begun_ns;
    enum duress_hedge_verdict verdict = duress_hedge_ended(&pair->hedge, &pair->call, success, begun_ns, pair->now_ns);
    assert_int_equal(verdict, hedge_model_ended(&pair->model, attempt, success, pair->now_ns));
    if (verdict == DURESS_HEDGE_GOES_ON)
        return;
    pair_give_up_rest(pair);
    assert_int_equal(duress_hedge_next_ns(&pair->call), DURESS_TIME_NEVER);
    pair_begin_call(pair);
}

/* The newest attempt emits a chunk: the others are given up, and its end follows later. */
static void pair_answer(struct pair *pair)
{
    if (pair->model.answering)
        return;
    while (hedge_model_running(&pair->model) > 1) {
        struct hedge_model_attempt *loser = hedge_model_attempt(&pair->model, 0);
        duress_hedge_given_up(&pair->hedge, &pair->call, loser->begun_ns, pair->now_ns);
        hedge_model_given_up(&pair->model, loser, pair->now_ns);
    }
    struct hedge_model_attempt *winner = hedge_model_attempt(&pair->model, 0);
    duress_hedge_answering(&pair->hedge, &pair->call, winner->begun_ns, pair->now_ns);
    hedge_model_answering(&pair->model, winner, pair->now_ns);
}

static void pair_play(struct pair *pair, enum event event)
{
    size_t newest = hedge_model_running(&pair->model) - 1;
    switch (event) {
    case STEP_SHORT:
        pair_step(pair, 3);
        break;
    case STEP_LONG:
        pair_step(pair, pair->step_long_ns);
        break;
    case OLDEST_SUCCEEDS:
        pair_end(pair, 0, true);
        break;
    case OLDEST_FAILS:
        pair_end(pair, 0, false);
        break;
    case NEWEST_SUCCEEDS:
        pair_end(pair, newest, true);
        break;
    case NEWEST_ANSWERS:
        pair_answer(pair);
        break;
    case CALLER_GIVES_UP:
        pair_give_up_rest(pair);
        pair_begin_call(pair);
        break;
    case EVENT_COUNT:
        break;
    }
    assert_int_equal(duress_hedge_next_ns(&pair->call), hedge_model_next_ns(&pair->model));
    assert_int_equal(pair->call.running, hedge_model_running(&pair->model));
    assert_delay(pair, duress_hedge_delay_ns(&pair->hedge, pair->now_ns),
                 hedge_model_delay_ns(&pair->model, pair->now_ns));
    assert_int_equal(duress_hedge_samples(&pair->hedge), hedge_model_samples(&pair->model));
}

static void pair_play_all(const struct duress_hedge_options *options, uint64_t step_long_ns)
{
    uint32_t sequences = 1;
    for (int i = 0; i < SEQUENCE_LENGTH; i++)
        sequences *= EVENT_COUNT;
    for (uint32_t sequence = 0; sequence < sequences; sequence++) {
        uint32_t rest = sequence;
        pair_init(&the_pair, options, step_long_ns);
        for (int i = 0; i < SEQUENCE_LENGTH; i++, rest /= EVENT_COUNT)
            pair_play(&the_pair, (enum event)(rest % EVENT_COUNT));
    }
}

static void every_short_sequence_with_a_fixed_delay(void **state)
{
    (void)state;
    pair_play_all(&(struct duress_hedge_options){.attempts_max = 3, .delay_ns = 5}, 7);
}

static void every_short_sequence_with_a_measured_delay(void **state)
{
    (void)state;
    struct duress_hedge_options options = {
        .attempts_max = 3,
        .quantile_ppm = 600000,
        .samples_min = 2,
        .window_ns = 10,
        .delay_floor_ns = 4,
        .delay_ceiling_ns = 9,
    };
    pair_play_all(&options, 7);
}

static void random_schedules_to_the_nanosecond(void **state)
{
    (void)state;
    struct duress_prng prng;
    for (uint64_t seed = 0; seed < 400; seed++) {
        duress_prng_init(&prng, seed, 1);
        struct duress_hedge_options options = {
            .attempts_max = (uint32_t)duress_prng_between(&prng, 2, DURESS_HEDGE_ATTEMPTS_MAX),
            .quantile_ppm = (uint32_t)duress_prng_between(&prng, 500000, 999999),
            .samples_min = (uint32_t)duress_prng_between(&prng, 1, 30),
            .window_ns = duress_prng_between(&prng, 1, 400),
            .delay_floor_ns = duress_prng_between(&prng, 1, 20),
            .delay_ceiling_ns = duress_prng_between(&prng, 20, 100),
        };
        pair_init(&the_pair, &options, 0);
        for (int i = 0; i < 300; i++) {
            the_pair.step_long_ns = duress_prng_between(&prng, 0, 25);
            pair_play(&the_pair, (enum event)duress_prng_below(&prng, EVENT_COUNT));
            if (the_pair.now_ns - hedge_model_attempt(&the_pair.model, 0)->begun_ns > 100)
                pair_end(&the_pair, 0, true); /* keeps latencies where the histogram is exact */
        }
    }
}

static void random_schedules_of_long_latencies(void **state)
{
    (void)state;
    struct duress_prng prng;
    for (uint64_t seed = 0; seed < 200; seed++) {
        duress_prng_init(&prng, seed, 2);
        struct duress_hedge_options options = {
            .quantile_ppm = 950000,
            .samples_min = 5,
            .window_ns = DURESS_S,
            .delay_floor_ns = 1,
            .delay_ceiling_ns = DURESS_HEDGE_DURATION_NS_MAX,
        };
        pair_init(&the_pair, &options, 0);
        the_pair.exact = false;
        for (int i = 0; i < 300; i++) {
            the_pair.step_long_ns = duress_prng_between(&prng, 0, 30 * DURESS_MS);
            pair_play(&the_pair, (enum event)duress_prng_below(&prng, EVENT_COUNT));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_sequence_with_a_fixed_delay),
        cmocka_unit_test(every_short_sequence_with_a_measured_delay),
        cmocka_unit_test(random_schedules_to_the_nanosecond),
        cmocka_unit_test(random_schedules_of_long_latencies),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
