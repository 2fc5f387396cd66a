/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: the breaker and its plain model cannot be told apart. Method: every story of up to eight events is told to
 * both, for a number of small option sets, and after each event all there is to see is compared. A breaker is lazy
 * about time and the model is not, so a copy of the breaker is told the time before it is looked at, while the breaker
 * itself goes on without: laziness must never show.
 *
 * Events: a call begins; the newest or the oldest call in flight (often a straggler) ends well, badly, or by being
 * cancelled or ignored; it is forced open, forced closed (K) or released; time passes by 1, 5 or 10 ns, which are
 * chosen to meet the recovery of 10 ns, the lease of 6 ns and slow calls of 5 ns exactly, just before and just after.
 */
#include "breaker_model.h"
#include "policy_test.h"

#define EVENTS_MAX 8
#define IN_FLIGHT_MAX 16

struct story {
    struct duress_breaker breaker;
    struct breaker_model model;
    uint64_t now_ns;
    struct duress_permit permits[IN_FLIGHT_MAX]; /* of the model's calls, by number */
    size_t in_flight[IN_FLIGHT_MAX];             /* numbers, oldest first */
    size_t in_flight_count;
    char events[EVENTS_MAX + 1];
    size_t event_count;
};

static uint64_t stories_told;

#define SAME(what, breaker_has, model_has)                                                                             \
    do {                                                                                                               \
        uint64_t breaker_value = (uint64_t)(breaker_has);                                                              \
        uint64_t model_value = (uint64_t)(model_has);                                                                  \
        if (breaker_value != model_value)                                                                              \
            fail_msg("after \"%s\": %s is %llu, should be %llu", story->events, what,                                  \
                     (unsigned long long)breaker_value, (unsigned long long)model_value);                              \
    } while (0)

static void compare_counters(const struct story *story, const struct duress_breaker_counters *breaker)
{
    const struct duress_breaker_counters *model = &story->model.counters;
    SAME("admitted", breaker->admitted, model->admitted);
    SAME("refused_open", breaker->refused_open, model->refused_open);
    SAME("refused_probing", breaker->refused_probing, model->refused_probing);
    SAME("successes", breaker->successes, model->successes);
    SAME("failures", breaker->failures, model->failures);
    SAME("cancelled", breaker->cancelled, model->cancelled);
    SAME("ignored", breaker->ignored, model->ignored);
    SAME("late", breaker->late, model->late);
    SAME("lapsed", breaker->lapsed, model->lapsed);
}

static void compare_log(const struct story *story, const struct duress_breaker *breaker)
{
    struct duress_breaker_transition changes[DURESS_BREAKER_LOG_COUNT];
    size_t count = duress_breaker_log(breaker, changes, DURESS_BREAKER_LOG_COUNT);
    SAME("length of the log", count, story->model.change_count);
    for (size_t i = 0; i < count; i++) {
        SAME("instant of a change", changes[i].at_ns, story->model.changes[i].at_ns);
        SAME("generation of a change", changes[i].generation, story->model.changes[i].generation);
        SAME("from of a change", changes[i].from, story->model.changes[i].from);
        SAME("to of a change", changes[i].to, story->model.changes[i].to);
        SAME("reason of a change", changes[i].reason, story->model.changes[i].reason);
    }
}

static void compare(struct story *story)
{
    struct duress_breaker breaker = story->breaker;
    duress_breaker_tick(&breaker, story->now_ns);
    breaker_model_advance(&story->model, story->now_ns);
    struct duress_breaker_snapshot snapshot;
    duress_breaker_snapshot(&breaker, &snapshot);
    SAME("state", snapshot.state, story->model.state);
    SAME("generation", snapshot.generation, story->model.generation);
    SAME("opened_ns", snapshot.opened_ns, story->model.opened_ns);
    SAME("failures_in_a_row", snapshot.failures_in_a_row, breaker_model_failures_in_a_row(&story->model));
    SAME("probes_good", snapshot.probes_good, breaker_model_probes_good(&story->model));
    SAME("probes_in_flight", snapshot.probes_in_flight, breaker_model_probes_in_flight(&story->model));
    SAME("next_ns", duress_breaker_next_ns(&breaker), breaker_model_next_ns(&story->model));
    compare_counters(story, &snapshot.counters);
    compare_log(story, &breaker);
}

static void event_acquire(struct story *story)
{
    struct duress_permit permit;
    size_t call = 0;
    uint64_t breaker_retry_at_ns = 0;
    uint64_t model_retry_at_ns = 0;
    enum duress_verdict verdict = breaker_model_acquire(&story->model, story->now_ns, &call, &model_retry_at_ns);
    SAME("verdict", duress_breaker_acquire(&story->breaker, story->now_ns, &permit, &breaker_retry_at_ns), verdict);
    SAME("retry_at_ns", breaker_retry_at_ns, model_retry_at_ns);
    if (verdict != DURESS_ADMIT)
        return;
    SAME("admitted_ns", permit.admitted_ns, story->now_ns);
    story->permits[call] = permit;
    story->in_flight[story->in_flight_count++] = call;
}

/* Ends the call at |place| of those in flight. */
static void event_report(struct story *story, size_t place, enum duress_outcome outcome)
{
    size_t call = story->in_flight[place];
    story->in_flight_count--;
    for (size_t i = place; i < story->in_flight_count; i++)
        story->in_flight[i] = story->in_flight[i + 1];
    duress_breaker_report(&story->breaker, story->permits[call], outcome, story->now_ns);
    breaker_model_report(&story->model, call, outcome, story->now_ns);
}

/* Tells one event; false where it makes no sense, or the same as another one. */
static bool tell(struct story *story, char event)
{
    bool any = story->in_flight_count > 0;
    bool several = story->in_flight_count > 1;
    size_t newest = any ? story->in_flight_count - 1 : 0;
    if ((event == 'S' || event == 'F' || event == 'C' || event == 'I') && !any)
        return false;
    if ((event == 's' || event == 'f' || event == 'c') && !several)
        return false;
    story->events[story->event_count++] = event;
    switch (event) {
    case 'A':
        event_acquire(story);
        break;
    case 'S':
        event_report(story, newest, DURESS_OUTCOME_SUCCESS);
        break;
    case 'F':
        event_report(story, newest, DURESS_OUTCOME_FAILURE);
        break;
    case 'C':
        event_report(story, newest, DURESS_OUTCOME_CANCELLED);
        break;
    case 'I':
        event_report(story, newest, DURESS_OUTCOME_IGNORED);
        break;
    case 's':
        event_report(story, 0, DURESS_OUTCOME_SUCCESS);
        break;
    case 'f':
        event_report(story, 0, DURESS_OUTCOME_FAILURE);
        break;
    case 'c':
        event_report(story, 0, DURESS_OUTCOME_CANCELLED);
        break;
    case 'O':
        duress_breaker_force_open(&story->breaker, story->now_ns);
        breaker_model_force(&story->model, DURESS_BREAKER_FORCED_OPEN, story->now_ns);
        break;
    case 'K':
        duress_breaker_force_closed(&story->breaker, story->now_ns);
        breaker_model_force(&story->model, DURESS_BREAKER_FORCED_CLOSED, story->now_ns);
        break;
    case 'R':
        duress_breaker_release(&story->breaker, story->now_ns);
        breaker_model_release(&story->model, story->now_ns);
        break;
    case '1':
        story->now_ns += 1;
        break;
    case '5':
        story->now_ns += 5;
        break;
    case 'X':
        story->now_ns += 10;
        break;
    default:
        fail_msg("no event %c", event);
    }
    return true;
}

static void tell_all(const struct story *so_far, const char *events, size_t events_left)
{
    for (const char *event = events; *event != '\0'; event++) {
        struct story story = *so_far;
        if (!tell(&story, *event))
            continue;
        compare(&story);
        stories_told++;
        if (events_left > 1)
            tell_all(&story, events, events_left - 1);
    }
}

#define UNFORCED "ASFCIsfc15X"
#define FORCED "ASFOKR5X"

/* All stories of up to EVENTS_MAX of |events|, after those of |opening|. */
static void tell_all_with(struct duress_breaker_options options, const char *opening, const char *events)
{
    options.recovery_ns = 10;
    options.probe_lease_ns = 6;
    struct story story = {.now_ns = 100};
    story.breaker = breaker_with(options);
    breaker_model_init(&story.model, &story.breaker.options);
    for (const char *event = opening; *event != '\0'; event++) {
        assert_true(tell(&story, *event));
        compare(&story);
        story.event_count = 0; /* The names of the events that follow are told alone. */
    }
    stories_told = 0;
    tell_all(&story, events, EVENTS_MAX);
    assert_in_range(stories_told, 100000, UINT64_MAX);
}

static void one_failure_opens_one_probe_closes(void **state)
{
    (void)state;
    tell_all_with((struct duress_breaker_options){.failures_to_open = 1, .successes_to_close = 1}, "", UNFORCED);
}

static void two_failures_open_two_probes_close(void **state)
{
    (void)state;
    tell_all_with((struct duress_breaker_options){.failures_to_open = 2, .successes_to_close = 2}, "", UNFORCED);
}

static void two_probes_at_once(void **state)
{
    (void)state;
    tell_all_with((struct duress_breaker_options){.failures_to_open = 1, .successes_to_close = 3, .probes_max = 2},
                  "AFX", UNFORCED);
}

static void three_probes_at_once_and_a_straggler(void **state)
{
    (void)state;
    tell_all_with((struct duress_breaker_options){.failures_to_open = 1, .successes_to_close = 2, .probes_max = 3},
                  "AAFX", UNFORCED);
}

static void rate_of_the_last_three_calls(void **state)
{
    (void)state;
    tell_all_with((struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_CALLS,
                                                  .window_calls = 3,
                                                  .calls_min = 2,
                                                  .successes_to_close = 1,
                                                  .failure_rate_ppm = 666666},
                  "", UNFORCED);
}

static void slow_rate_of_the_last_three_calls(void **state)
{
    (void)state;
    tell_all_with((struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_CALLS,
                                                  .window_calls = 3,
                                                  .calls_min = 1,
                                                  .successes_to_close = 1,
                                                  .failure_rate_ppm = 1000000,
                                                  .slow_call_ns = 5,
                                                  .slow_rate_ppm = 500000},
                  "AS", UNFORCED);
}

static void rate_of_the_last_twelve_nanoseconds(void **state)
{
    (void)state;
    tell_all_with((struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_TIME,
                                                  .window_ns = 12,
                                                  .window_buckets = 5,
                                                  .calls_min = 2,
                                                  .successes_to_close = 1,
                                                  .failure_rate_ppm = 500000},
                  "", UNFORCED);
}

static void slow_rate_of_the_last_ten_nanoseconds(void **state)
{
    (void)state;
    tell_all_with((struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_TIME,
                                                  .window_ns = 10,
                                                  .window_buckets = 2,
                                                  .calls_min = 2,
                                                  .successes_to_close = 1,
                                                  .failure_rate_ppm = 1000000,
                                                  .slow_call_ns = 5,
                                                  .slow_rate_ppm = 500000},
                  "ASAF", UNFORCED);
}

static void forced_and_released_at_any_time(void **state)
{
    (void)state;
    tell_all_with((struct duress_breaker_options){.failures_to_open = 1, .successes_to_close = 2}, "", FORCED);
}

static void forced_and_released_with_a_window(void **state)
{
    (void)state;
    tell_all_with((struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_TIME,
                                                  .window_ns = 10,
                                                  .window_buckets = 2,
                                                  .calls_min = 2,
                                                  .successes_to_close = 1},
                  "", FORCED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_failure_opens_one_probe_closes),
        cmocka_unit_test(two_failures_open_two_probes_close),
        cmocka_unit_test(two_probes_at_once),
        cmocka_unit_test(three_probes_at_once_and_a_straggler),
        cmocka_unit_test(rate_of_the_last_three_calls),
        cmocka_unit_test(slow_rate_of_the_last_three_calls),
        cmocka_unit_test(rate_of_the_last_twelve_nanoseconds),
        cmocka_unit_test(slow_rate_of_the_last_ten_nanoseconds),
        cmocka_unit_test(forced_and_released_at_any_time),
        cmocka_unit_test(forced_and_released_with_a_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
