/* SPDX-License-Identifier: Apache-2.0
 *
 * Breaker and budget shared by threads. Goal: what holds for one caller after another holds for callers at once: never
 * more probes than allowed, nothing admitted while open, each change of state for its reason, recovery waited out, the
 * books balanced, no token spent twice. Method: four threads call with random outcomes on a virtual clock that all of
 * them push forward, and keep books of their own for each generation, while a fifth reads log and snapshot. Run under
 * ThreadSanitizer as well. */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "policy_test.h"

#include <duress/policy/retry_budget.h>
#include <duress/prng.h>

#define THREADS 4
#define CALLS_EACH 20000 /* admitted ones */
#define GENERATIONS_MAX (1 << 18)
#define RECOVERY_NS 40
#define SUCCESSES_EACH 16000 /* all together fewer than the 65,535 results that may wait while a thread stalls */
#define ROUNDS 20

/* The threads' own books of one generation. */
struct generation {
    atomic_uint in_flight;
    atomic_uint in_flight_most;
    atomic_uint admitted;
    atomic_uint successes;
    atomic_uint failures;
    atomic_uint state; /* 1 + enum duress_breaker_state, once somebody saw it; 0 = unseen */
};

struct party {
    struct duress_breaker breaker;
    struct generation *generations;
    atomic_uint_fast64_t now_ns;
    atomic_uint_fast64_t admitted;
    atomic_uint_fast64_t refused;
    atomic_uint_fast64_t reported;
    atomic_uint_fast64_t seeds;
    uint32_t failure_ppm;
    uint32_t leak_ppm; /* permits that are never reported */
    atomic_uint_fast64_t changes_seen;
};

/* cmocka's assertions are for the test's own thread. */
#define MUST(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            print_error("%s:%d: %s\n", __FILE__, __LINE__, #condition);                                                \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static struct generation *generation_of(struct party *party, uint64_t generation)
{
    MUST(generation < GENERATIONS_MAX);
    return &party->generations[generation];
}

static uint64_t party_time(struct party *party)
{
    return atomic_fetch_add(&party->now_ns, 1);
}

static void note_state(struct party *party)
{
    struct duress_breaker_snapshot snapshot;
    duress_breaker_snapshot(&party->breaker, &snapshot);
    struct generation *generation = generation_of(party, snapshot.generation);
    unsigned before = atomic_exchange(&generation->state, 1 + (unsigned)snapshot.state);
    MUST(before == 0 || before == 1 + (unsigned)snapshot.state);
    MUST(snapshot.probes_in_flight <= party->breaker.options.probes_max);
    const struct duress_breaker_counters *counters = &snapshot.counters;
    MUST(counters->successes + counters->failures + counters->cancelled + counters->ignored <= counters->admitted);
}

/* One try; true where it was admitted. */
static bool make_call(struct party *party, struct duress_prng *prng)
{
    struct duress_permit permit;
    if (duress_breaker_acquire(&party->breaker, party_time(party), &permit, NULL) != DURESS_ADMIT) {
        atomic_fetch_add(&party->refused, 1);
        return false;
    }
    struct generation *generation = generation_of(party, permit.generation);
    unsigned in_flight = atomic_fetch_add(&generation->in_flight, 1) + 1;
    unsigned most = atomic_load(&generation->in_flight_most);
    while (most < in_flight && !atomic_compare_exchange_weak(&generation->in_flight_most, &most, in_flight))
        ;
    atomic_fetch_add(&generation->admitted, 1);
    atomic_fetch_add(&party->admitted, 1);
    note_state(party);
    if (duress_prng_chance(prng, 100000))
        (void)sched_yield(); /* Let the others come while this call is under way. */
    if (duress_prng_chance(prng, party->leak_ppm))
        return true;
    enum duress_outcome outcome = DURESS_OUTCOME_SUCCESS;
    if (duress_prng_chance(prng, party->failure_ppm))
        outcome = DURESS_OUTCOME_FAILURE;
    else if (duress_prng_chance(prng, 50000))
        outcome = DURESS_OUTCOME_CANCELLED;
    atomic_fetch_add(&generation->successes, outcome == DURESS_OUTCOME_SUCCESS);
    atomic_fetch_add(&generation->failures, outcome == DURESS_OUTCOME_FAILURE);
    atomic_fetch_add(&party->reported, 1);
    atomic_fetch_sub(&generation->in_flight, 1); /* before the report: from there on its slot may be another's */
    duress_breaker_report(&party->breaker, permit, outcome, party_time(party));
    return true;
}

/* Each change for its reason, by the books of the generation that it ended. */
static void check_change(struct party *party, const struct duress_breaker_transition *change)
{
    const struct duress_breaker_options *options = &party->breaker.options;
    struct generation *ended = generation_of(party, change->generation - 1);
    switch (change->reason) {
    case DURESS_BREAKER_BY_FAILURES:
        MUST(atomic_load(&ended->failures) >= options->failures_to_open);
        break;
    case DURESS_BREAKER_BY_FAILURE_RATE:
        MUST(atomic_load(&ended->failures) + atomic_load(&ended->successes) >= options->calls_min);
        break;
    case DURESS_BREAKER_BY_RECOVERY:
        MUST(change->from == DURESS_BREAKER_OPEN && change->to == DURESS_BREAKER_HALF_OPEN);
        break;
    case DURESS_BREAKER_BY_PROBE_FAILED:
        MUST(change->from == DURESS_BREAKER_HALF_OPEN && atomic_load(&ended->failures) >= 1);
        break;
    case DURESS_BREAKER_BY_PROBES_GOOD:
        MUST(change->to == DURESS_BREAKER_CLOSED);
        MUST(atomic_load(&ended->successes) >= options->successes_to_close);
        break;
    default:
        MUST(change->reason == DURESS_BREAKER_BY_PROBE_LAPSED && party->leak_ppm > 0);
        break;
    }
}

static void look_at_log(struct party *party)
{
    struct duress_breaker_transition changes[DURESS_BREAKER_LOG_COUNT];
    size_t count = duress_breaker_log(&party->breaker, changes, DURESS_BREAKER_LOG_COUNT);
    for (size_t i = 0; i < count; i++) {
        check_change(party, &changes[i]);
        if (i == 0)
            continue;
        MUST(changes[i].generation > changes[i - 1].generation);
        MUST(changes[i].at_ns >= changes[i - 1].at_ns);
        if (changes[i].generation != changes[i - 1].generation + 1)
            continue;
        MUST(changes[i].from == changes[i - 1].to);
        if (changes[i].reason == DURESS_BREAKER_BY_RECOVERY)
            MUST(changes[i].at_ns >= changes[i - 1].at_ns + RECOVERY_NS);
    }
    atomic_fetch_add(&party->changes_seen, count);
}

static void *caller_run(void *context)
{
    struct party *party = context;
    struct duress_prng prng;
    duress_prng_init(&prng, atomic_fetch_add(&party->seeds, 1), 1);
    for (int admitted_calls = 0; admitted_calls < CALLS_EACH;) {
        if (!make_call(party, &prng))
            (void)sched_yield(); /* The probe may be waiting for the processor. */
        else if (admitted_calls++ % 100 == 99)
            look_at_log(party);
    }
    return NULL;
}

static void threads_join_all(struct party *party, void *(*run)(void *))
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, party), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

/* What the books of all generations say in the end. */
static void check_books(struct party *party)
{
    struct duress_breaker_snapshot snapshot;
    duress_breaker_snapshot(&party->breaker, &snapshot);
    assert_int_equal(snapshot.counters.admitted, party->admitted);
    assert_int_equal(snapshot.counters.refused_open + snapshot.counters.refused_probing, party->refused);
    assert_int_equal(snapshot.counters.successes + snapshot.counters.failures + snapshot.counters.cancelled,
                     party->reported);
    uint32_t probes_most = 0;
    for (uint64_t i = 1; i <= snapshot.generation; i++) {
        const struct generation *generation = &party->generations[i];
        if (generation->state == 1 + DURESS_BREAKER_OPEN)
            assert_int_equal(generation->admitted, 0);
        if (generation->state == 1 + DURESS_BREAKER_HALF_OPEN) {
            assert_in_range(generation->in_flight_most, 0, party->breaker.options.probes_max);
            probes_most = generation->in_flight_most > probes_most ? generation->in_flight_most : probes_most;
        }
    }
    assert_in_range(probes_most, 1, DURESS_BREAKER_PROBES_MAX); /* it did get there */
    assert_in_range(snapshot.generation, 100, GENERATIONS_MAX);
    assert_in_range(party->changes_seen, 1, UINT64_MAX);
}

static void run_party(struct duress_breaker_options options, uint32_t leak_ppm)
{
    options.recovery_ns = RECOVERY_NS;
    struct party *party = calloc(1, sizeof *party);
    assert_non_null(party);
    party->generations = calloc(GENERATIONS_MAX, sizeof party->generations[0]);
    assert_non_null(party->generations);
    party->failure_ppm = 300000;
    party->leak_ppm = leak_ppm;
    assert_int_equal(duress_breaker_init(&party->breaker, &options, NULL), DURESS_OK);
    threads_join_all(party, caller_run);
    check_books(party);
    if (leak_ppm > 0)
        assert_in_range(counters_of(&party->breaker).lapsed, 1, UINT64_MAX);
    free(party->generations);
    free(party);
}

static void callers_and_readers_at_once_see_one_breaker_b9_b10(void **state)
{
    (void)state;
    run_party((struct duress_breaker_options){.failures_to_open = 3, .probe_lease_ns = DURESS_S}, 0);
}

static void three_probes_at_once_among_threads(void **state)
{
    (void)state;
    run_party(
        (struct duress_breaker_options){
            .failures_to_open = 2, .successes_to_close = 4, .probes_max = 3, .probe_lease_ns = DURESS_S},
        0);
}

static void lost_probes_lapse_among_threads(void **state)
{
    (void)state;
    run_party((struct duress_breaker_options){.failures_to_open = 3, .probes_max = 2, .probe_lease_ns = 100}, 50000);
}

static void windows_are_shared_among_threads(void **state)
{
    (void)state;
    run_party((struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_CALLS,
                                              .window_calls = 20,
                                              .calls_min = 10,
                                              .failure_rate_ppm = 400000,
                                              .probe_lease_ns = DURESS_S},
              0);
    run_party((struct duress_breaker_options){.mode = DURESS_BREAKER_RATE_OF_TIME,
                                              .window_ns = 100,
                                              .window_buckets = 7,
                                              .calls_min = 10,
                                              .failure_rate_ppm = 400000,
                                              .probe_lease_ns = DURESS_S},
              0);
}

static void *successes_run(void *context)
{
    struct party *party = context;
    for (int i = 0; i < SUCCESSES_EACH; i++) {
        struct duress_permit permit;
        MUST(duress_breaker_acquire(&party->breaker, 1, &permit, NULL) == DURESS_ADMIT);
        duress_breaker_report(&party->breaker, permit, DURESS_OUTCOME_SUCCESS, 1);
    }
    return NULL;
}

/* Goal: the window loses no result between threads and counts none twice. Method: after N successes one failure is to
 * trip it from N + 1 calls on; it does where the minimum is N + 1, and does not where it is N + 2. */
static void no_result_is_lost_between_threads(void **state)
{
    (void)state;
    struct party party;
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t more = 1 + round % 2;
        struct duress_breaker_options options = {
            .mode = DURESS_BREAKER_RATE_OF_TIME, .calls_min = THREADS * SUCCESSES_EACH + more, .failure_rate_ppm = 1};
        assert_int_equal(duress_breaker_init(&party.breaker, &options, NULL), DURESS_OK);
        threads_join_all(&party, successes_run);
        calls(&party.breaker, 1, DURESS_OUTCOME_FAILURE, 1);
        state_is(&party.breaker, more == 1 ? DURESS_BREAKER_OPEN : DURESS_BREAKER_CLOSED);
    }
}

struct purse {
    struct duress_retry_budget budget;
    atomic_uint_fast64_t deposits;
    atomic_uint_fast64_t granted;
    atomic_uint_fast64_t refused;
};

/* Pays in half a token for each time it wants a whole one, so that the bucket never overflows. */
static void *spender_run(void *context)
{
    struct purse *purse = context;
    for (int i = 0; i < CALLS_EACH; i++) {
        duress_retry_budget_deposit(&purse->budget);
        atomic_fetch_add(&purse->deposits, 1);
        bool granted = duress_retry_budget_withdraw(&purse->budget);
        atomic_fetch_add(granted ? &purse->granted : &purse->refused, 1);
        struct duress_retry_budget_snapshot snapshot;
        duress_retry_budget_snapshot(&purse->budget, &snapshot);
        MUST(snapshot.tokens_milli <= 1000000);
    }
    return NULL;
}

static void no_token_is_spent_twice(void **state)
{
    (void)state;
    struct purse purse = {0};
    struct duress_retry_budget_options options = {.capacity = 1000, .deposit_milli = 500};
    assert_int_equal(duress_retry_budget_init(&purse.budget, &options, NULL), DURESS_OK);
    for (int i = 0; i < 1000; i++)
        assert_true(duress_retry_budget_withdraw(&purse.budget));
    pthread_t threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, spender_run, &purse), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    struct duress_retry_budget_snapshot snapshot;
    duress_retry_budget_snapshot(&purse.budget, &snapshot);
    assert_int_equal(snapshot.withdrawn, 1000 + purse.granted);
    assert_int_equal(snapshot.refused, purse.refused);
    assert_int_equal(snapshot.tokens_milli + purse.granted * 1000, purse.deposits * 500);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(callers_and_readers_at_once_see_one_breaker_b9_b10),
        cmocka_unit_test(three_probes_at_once_among_threads),
        cmocka_unit_test(lost_probes_lapse_among_threads),
        cmocka_unit_test(windows_are_shared_among_threads),
        cmocka_unit_test(no_result_is_lost_between_threads),
        cmocka_unit_test(no_token_is_spent_twice),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
