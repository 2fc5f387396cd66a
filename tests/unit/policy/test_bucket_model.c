/* SPDX-License-Identifier: Apache-2.0
 *
 * The token bucket beside its model: every short story, and long random ones at any rate and instant, in which no
 * stretch of time may have more tokens than burst + rate * T. */
#include "policy_test.h"

#include <duress/prng.h>

#include "bucket_model.h"

#define EVENTS_MAX 7
#define SCHEDULES 400
#define SCHEDULE_EVENTS 300

struct pair {
    struct duress_bucket bucket;
    struct bucket_model model;
    uint64_t now_ns;
    bool gave_back_late; /* something was given back that had been taken earlier: the bucket may keep some of it */
};

static struct pair the_pair;

static void pair_init(struct pair *pair, struct duress_bucket_options options, uint64_t now_ns)
{
    assert_int_equal(duress_bucket_init(&pair->bucket, &options, NULL), DURESS_OK);
    pair->model.options = options;
    pair->model.count = 0;
    pair->now_ns = now_ns;
    pair->gave_back_late = false;
}

/* Tokens and instants of both are the same; where something was given back late, between those of a bucket that never
 * gave it and of one that has it still. */
static void pair_check(const struct pair *pair, uint64_t tokens)
{
    uint64_t seen_ns = duress_bucket_ready_ns(&pair->bucket, tokens, pair->now_ns);
    uint64_t early_ns = bucket_model_ready_ns(&pair->model, BUCKET_WITHOUT_GIVEN_BACK, tokens, pair->now_ns);
    if (!pair->gave_back_late) {
        assert_int_equal(seen_ns, early_ns);
        return;
    }
    assert_in_range(seen_ns, early_ns,
                    bucket_model_ready_ns(&pair->model, BUCKET_WITH_GIVEN_BACK, tokens, pair->now_ns));
}

static void pair_take(struct pair *pair, uint32_t tokens)
{
    uint64_t at_ns = 0;
    uint64_t should_ns = duress_bucket_ready_ns(&pair->bucket, tokens, pair->now_ns);
    pair_check(pair, tokens);
    bool taken = duress_bucket_acquire(&pair->bucket, tokens, pair->now_ns, &at_ns);
    if (tokens > pair->model.options.burst) {
        assert_false(taken);
        assert_int_equal(at_ns, DURESS_TIME_NEVER);
        return;
    }
    assert_int_equal(taken, should_ns == pair->now_ns);
    if (taken)
        bucket_model_take(&pair->model, tokens, pair->now_ns);
    else
        assert_int_equal(at_ns, should_ns);
}

static void pair_give_back(struct pair *pair)
{
    struct bucket_take *take = bucket_model_newest(&pair->model);
    if (take == NULL)
        return;
    duress_bucket_give_back(&pair->bucket, take->tokens, take->at_ns, pair->now_ns);
    take->given_back = true;
    pair->gave_back_late = pair->gave_back_late || take->at_ns != pair->now_ns;
}

enum event { TAKE_ONE, TAKE_TWO, GIVE_BACK, STEP_NANOSECOND, STEP_HALF, STEP_TOKEN, STEP_FULL, EVENT_COUNT };

static void pair_step(struct pair *pair, enum event event)
{
    const struct duress_bucket_options *options = &pair->model.options;
    uint64_t token_ns = (options->per_ns + options->rate - 1) / options->rate;
    switch (event) {
    case TAKE_ONE:
    case TAKE_TWO:
        pair_take(pair, event == TAKE_ONE ? 1 : 2);
        break;
    case GIVE_BACK:
        pair_give_back(pair);
        break;
    case STEP_NANOSECOND:
        pair->now_ns++;
        break;
    case STEP_HALF:
        pair->now_ns += token_ns / 2;
        break;
    case STEP_TOKEN:
        pair->now_ns += token_ns;
        break;
    case STEP_FULL:
        pair->now_ns += token_ns * options->burst;
        break;
    case EVENT_COUNT:
        break;
    }
}

static uint64_t tell_all(const struct pair *before, int events)
{
    uint64_t told = 1;
    for (uint64_t tokens = 1; tokens <= 3; tokens++)
        pair_check(before, tokens);
    assert_true(bucket_model_is_within_bound(&before->model));
    for (int event = 0; event < EVENT_COUNT && events > 0; event++) {
        struct pair pair; /* copying all of the model would be slow */
        pair.bucket = before->bucket;
        pair.now_ns = before->now_ns;
        pair.gave_back_late = before->gave_back_late;
        pair.model.options = before->model.options;
        pair.model.count = before->model.count;
        for (uint32_t i = 0; i < before->model.count; i++)
            pair.model.takes[i] = before->model.takes[i];
        pair_step(&pair, (enum event)event);
        told += tell_all(&pair, events - 1);
    }
    return told;
}

static void every_story_of_seven_events(void **state)
{
    (void)state;
    static const struct duress_bucket_options all[] = {
        {.rate = 3, .per_ns = DURESS_S, .burst = 2},
        {.rate = 10, .per_ns = DURESS_S, .burst = 1},
        {.rate = 1700, .per_ns = DURESS_US, .burst = 3}, /* more than one a nanosecond */
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        pair_init(&the_pair, all[i], 0);
        assert_int_equal(tell_all(&the_pair, EVENTS_MAX), 960800); /* 7^0 + 7^1 + … + 7^7 */
    }
}

/* --- random schedules --- */

static uint64_t random_of(struct duress_prng *prng, const uint64_t *values, size_t count)
{
    return values[duress_prng_below(prng, count)];
}

static struct duress_bucket_options random_options(struct duress_prng *prng)
{
    static const uint64_t rates[] = {1, 3, 7, 10, 97, 1000, 1500, 999983, 1000000};
    static const uint64_t pers_ns[] = {DURESS_US, 1009, 999999937, DURESS_S, DURESS_BUCKET_PER_NS_MAX};
    static const uint64_t bursts[] = {1, 2, 10, 11, 1000};
    struct duress_bucket_options options = {.rate = (uint32_t)random_of(prng, rates, 9)};
    options.per_ns = random_of(prng, pers_ns, 5);
    options.burst = (uint32_t)random_of(prng, bursts, 5);
    return options;
}

/* Anywhere on the circle of ticks: at its beginning, before it wraps, before half of it, before time ends. */
static uint64_t random_start_ns(struct duress_prng *prng, const struct duress_bucket *bucket)
{
    uint64_t circle_ns = UINT64_MAX / bucket->ticks_per_ns;
    uint64_t before_ns = duress_prng_below(prng, bucket->capacity / bucket->ticks_per_ns * 3 + 10);
    switch (duress_prng_below(prng, 5)) {
    case 0:
        return before_ns;
    case 1:
        return circle_ns / 2 - before_ns;
    case 2:
        return circle_ns / 4 * 3 - before_ns;
    case 3:
        return circle_ns - before_ns;
    default:
        return duress_prng_below(prng, UINT64_MAX / 2);
    }
}

static uint64_t random_step_ns(struct duress_prng *prng, const struct duress_bucket *bucket)
{
    uint64_t token_ns = bucket->ticks_per_token / bucket->ticks_per_ns + 1;
    uint64_t circle_ns = UINT64_MAX / bucket->ticks_per_ns;
    switch (duress_prng_below(prng, 100)) {
    case 0: /* idle for once around and a little more or less */
        return circle_ns - 2 * token_ns + duress_prng_below(prng, 4 * token_ns);
    case 1:
        return duress_prng_below(prng, circle_ns);
    case 2:
        return token_ns * bucket->burst;
    default:
        break;
    }
    switch (duress_prng_below(prng, 4)) {
    case 0:
        return 0;
    case 1:
        return duress_prng_below(prng, 4);
    case 2:
        return token_ns - 1 + duress_prng_below(prng, 3);
    default:
        return duress_prng_below(prng, 2 * token_ns);
    }
}

/* Returns how often tokens were taken. */
static uint32_t schedule_run(struct pair *pair, uint64_t seed, bool give_back)
{
    struct duress_prng prng;
    duress_prng_init(&prng, seed, 1);
    struct duress_bucket_options options = random_options(&prng);
    pair_init(pair, options, 0);
    pair->now_ns = random_start_ns(&prng, &pair->bucket);
    for (int event = 0; event < SCHEDULE_EVENTS; event++) {
        uint64_t kind = duress_prng_below(&prng, 10);
        if (kind < 4) {
            uint64_t step_ns = random_step_ns(&prng, &pair->bucket);
            if (step_ns > DURESS_TIME_NEVER - 1 - pair->now_ns)
                step_ns = 0;
            pair->now_ns += step_ns;
        } else if (kind < 9 || !give_back) {
            pair_take(pair, 1 + (uint32_t)duress_prng_below(&prng, duress_prng_chance(&prng, 100000) ? 12 : 2));
        } else {
            pair_give_back(pair);
        }
    }
    assert_true(bucket_model_is_within_bound(&pair->model));
    return pair->model.count;
}

static void no_stretch_has_more_than_burst_and_rate(void **state)
{
    (void)state;
    uint64_t taken = 0;
    for (uint64_t seed = 0; seed < SCHEDULES; seed++)
        taken += schedule_run(&the_pair, seed, false);
    assert_in_range(taken, SCHEDULES * 30, UINT64_MAX);
}

static void nor_where_tokens_are_given_back(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < SCHEDULES; seed++)
        schedule_run(&the_pair, seed, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_story_of_seven_events),
        cmocka_unit_test(no_stretch_has_more_than_burst_and_rate),
        cmocka_unit_test(nor_where_tokens_are_given_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
