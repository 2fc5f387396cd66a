/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: retry and its plain model cannot be told apart. Method: every sequence of up to eight failures of five kinds,
 * of calls that are and are not idempotent, with and without a deadline, for each jitter and for option sets that meet
 * the caps and the ends of the numbers; each decision is compared, and the generator must have been drawn from alike.
 */
#include <string.h>

#include "policy_test.h"
#include "retry_model.h"

#define EVENTS_MAX 8

struct story {
    const struct duress_retry_options *options;
    struct duress_retry retry;
    struct retry_model model;
    struct duress_prng retry_prng;
    struct duress_prng model_prng;
    uint64_t deadline_ns;
    uint64_t now_ns;
    bool idempotent;
    char events[EVENTS_MAX + 1];
    size_t event_count;
};

static struct duress_failure failure_of(const struct story *story, char event)
{
    struct duress_failure failure;
    memset(&failure, 0, sizeof failure);
    failure.code = event == 'P' ? DURESS_E_INVALID : DURESS_E_REFUSED;
    failure.ambiguous = event == 'B';
    if (event == 'a')
        failure.retry_after_ns = story->options->backoff_cap_ns;
    if (event == 'A')
        failure.retry_after_ns = story->options->backoff_cap_ns + 1;
    return failure;
}

/* Tells one failure to both; true where the call goes on. */
static bool tell(struct story *story, char event)
{
    story->events[story->event_count++] = event;
    struct duress_failure failure = failure_of(story, event);
    struct duress_retry_decision is = duress_retry_decide(&story->retry, story->options, &failure, story->idempotent,
                                                          story->deadline_ns, story->now_ns, &story->retry_prng);
    struct duress_retry_decision should = retry_model_decide(&story->model, story->options, &failure, story->idempotent,
                                                             story->deadline_ns, story->now_ns, &story->model_prng);
    if (is.verdict != should.verdict || is.reason != should.reason || is.at_ns != should.at_ns)
        fail_msg("after \"%s\": %s until %llu, should be %s until %llu", story->events,
                 duress_retry_reason_name(is.reason), (unsigned long long)is.at_ns,
                 duress_retry_reason_name(should.reason), (unsigned long long)should.at_ns);
    assert_int_equal(story->retry.attempts, story->model.attempts);
    assert_memory_equal(&story->retry_prng, &story->model_prng, sizeof story->retry_prng);
    if (is.verdict == DURESS_RETRY_WAIT)
        story->now_ns = is.at_ns + 1;
    return is.verdict == DURESS_RETRY_WAIT;
}

static uint64_t decisions;

static void tell_all(const struct story *so_far)
{
    for (const char *event = "RPBaA"; *event != '\0'; event++) {
        struct story story = *so_far;
        decisions++;
        if (tell(&story, *event) && story.event_count < EVENTS_MAX)
            tell_all(&story);
    }
}

static void tell_all_with(struct duress_retry_options given)
{
    static const uint64_t deadlines_ns[] = {0, 1000, 1007, 1020, 5 * DURESS_S, DURESS_TIME_NEVER};
    for (int jitter = DURESS_JITTER_FULL; jitter <= DURESS_JITTER_DECORRELATED; jitter++) {
        given.jitter = (enum duress_jitter)jitter;
        struct duress_retry_options options;
        assert_int_equal(duress_retry_options_init(&options, &given, NULL), DURESS_OK);
        for (size_t i = 0; i < 12; i++) {
            struct story story = {.options = &options,
                                  .model = {.attempts = 1},
                                  .deadline_ns = deadlines_ns[i / 2],
                                  .now_ns = 1000,
                                  .idempotent = i % 2 == 1};
            duress_retry_init(&story.retry, &options);
            duress_prng_init(&story.retry_prng, i, (uint64_t)jitter);
            story.model_prng = story.retry_prng;
            tell_all(&story);
        }
    }
}

static void every_sequence_of_failures(void **state)
{
    (void)state;
    decisions = 0;
    tell_all_with((struct duress_retry_options){0});
    tell_all_with((struct duress_retry_options){.attempts_max = 1});
    tell_all_with((struct duress_retry_options){.attempts_max = 8, .backoff_ns = 1, .backoff_cap_ns = 20});
    tell_all_with((struct duress_retry_options){
        .attempts_max = 1000, .backoff_ns = 1, .backoff_cap_ns = 7, .multiplier_milli = 1001});
    tell_all_with((struct duress_retry_options){.attempts_max = 9, .backoff_ns = 30, .backoff_cap_ns = 7});
    tell_all_with((struct duress_retry_options){.attempts_max = 9,
                                                .backoff_ns = DURESS_RETRY_BACKOFF_NS_MAX,
                                                .backoff_cap_ns = DURESS_RETRY_BACKOFF_NS_MAX,
                                                .multiplier_milli = DURESS_RETRY_MULTIPLIER_MILLI_MAX});
    assert_in_range(decisions, 500000, UINT64_MAX);
}

/* Longer runs than the stories: the ceilings of the whole way up, for odd ratios. */
static void every_ceiling_up_to_the_cap(void **state)
{
    (void)state;
    static const uint32_t multipliers_milli[] = {1000, 1001, 1500, 1999, 2000, 3333, 1000000};
    for (size_t i = 0; i < sizeof multipliers_milli / sizeof multipliers_milli[0]; i++) {
        struct duress_retry_options options;
        struct duress_retry_options given = {.attempts_max = 1000,
                                             .backoff_ns = 3,
                                             .backoff_cap_ns = DURESS_RETRY_BACKOFF_NS_MAX,
                                             .multiplier_milli = multipliers_milli[i],
                                             .jitter = DURESS_JITTER_NONE};
        assert_int_equal(duress_retry_options_init(&options, &given, NULL), DURESS_OK);
        struct duress_retry retry;
        struct duress_failure failure = {.code = DURESS_E_RESET};
        duress_retry_init(&retry, &options);
        for (uint32_t number = 1; number < 1000; number++) {
            struct duress_retry_decision decision =
                duress_retry_decide(&retry, &options, &failure, true, DURESS_TIME_NEVER, 0, NULL);
            assert_int_equal(decision.at_ns, retry_model_ceiling_ns(&options, number));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence_of_failures),
        cmocka_unit_test(every_ceiling_up_to_the_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
