/* SPDX-License-Identifier: Apache-2.0
 *
 * Middleware while services fail, rows S7 to S9 of the plan: a chain in which the last one dies, a breaker while the
 * server really restarts, limits that keep an overloaded service within its capacity, and a retry storm that outlives
 * its trigger. Each is first shown to do harm without the middleware. */
#include <duress/chaos/fault.h>

#include "load.h"
#include "stack.h"

/* --- S7: client → A → B → C, and C hangs --- */

enum { CHAIN_CALLS = 180, A_REQUESTS_MAX = 6 };
#define CHAIN_PERIOD_NS (10 * DURESS_MS)
#define FROZEN_FROM_NS (200 * DURESS_MS)
#define FROZEN_TO_NS (1200 * DURESS_MS)
#define CHAIN_TIMEOUT_NS (250 * DURESS_MS)
#define CHAIN_RECOVERY_NS (200 * DURESS_MS)

struct chain {
    struct chaos_service *a;
    struct chaos_service *b;
    struct chaos_service *c;
    struct load load;
};

static void freeze_due(void *context)
{
    chaos_service_freeze(context);
}

static void thaw_due(void *context)
{
    chaos_service_thaw(context);
}

enum { FAR = 0, LOCAL = 1 };

/* Half of the calls need all three services, the other half A alone. C is frozen for a while. */
static void chain_run(struct chaos *chaos, struct chain *chain, uint32_t failures_to_open)
{
    chain->c = chaos_service_start(chaos, "c");
    struct chaos_onward to_c = {.link = chaos_link_open(chaos, chain->c),
                                .timeout_ns = CHAIN_TIMEOUT_NS,
                                .failures_to_open = failures_to_open,
                                .recovery_ns = CHAIN_RECOVERY_NS};
    chain->b = chaos_service_start(chaos, "b", .onward = to_c);
    struct chaos_onward to_b = {.link = chaos_link_open(chaos, chain->b),
                                .timeout_ns = CHAIN_TIMEOUT_NS + 50 * DURESS_MS,
                                .failures_to_open = failures_to_open,
                                .recovery_ns = CHAIN_RECOVERY_NS};
    chain->a = chaos_service_start(chaos, "a", .onward = to_b, .requests_max = A_REQUESTS_MAX);
    struct duress_agent *agent = chaos_link_agent(chaos_link_open(chaos, chain->a));
    chain->load = (struct load){.chaos = chaos,
                                .agents = {agent, agent},
                                .texts = {"far", "local"},
                                .kinds = 2,
                                .period_ns = CHAIN_PERIOD_NS,
                                .within_ns = 2 * DURESS_S,
                                .count = CHAIN_CALLS};
    chaos_after(chaos, FROZEN_FROM_NS, freeze_due, chain->c);
    chaos_after(chaos, FROZEN_TO_NS, thaw_due, chain->c);
    load_begin(&chain->load);
    load_end(&chain->load);
}

/* Requests that arrived while C was frozen, but for the first moments of it. */
static uint64_t arrivals_under_way(const struct chain *chain, struct chaos_service *service)
{
    uint64_t from_ns = chain->load.started_ns + FROZEN_FROM_NS + 400 * DURESS_MS;
    uint64_t to_ns = chain->load.started_ns + FROZEN_TO_NS;
    uint64_t count = 0;
    for (uint64_t i = 0; i < chaos_service_arrivals(service); i++) {
        uint64_t at_ns = chaos_service_arrival(service, i).at_ns;
        count += at_ns >= from_ns && at_ns < to_ns ? 1 : 0;
    }
    return count;
}

CHAOS_TEST(service, cascade_without_breakers,
           "S7: C hangs: A is full of those who wait, and sheds who needs nobody else")
{
    static struct chain chain;
    chain_run(chaos, &chain, 0);

    struct load_figures before = load_figures(&chain.load, LOCAL, 0, FROZEN_FROM_NS - 100 * DURESS_MS);
    struct load_figures local =
        load_figures(&chain.load, LOCAL, FROZEN_FROM_NS + 400 * DURESS_MS, FROZEN_TO_NS - 350 * DURESS_MS);
    struct load_figures far =
        load_figures(&chain.load, FAR, FROZEN_FROM_NS + 400 * DURESS_MS, FROZEN_TO_NS - 350 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(before.replied, before.asked);
    CHAOS_EXPECT_AT_LEAST(local.shed, local.asked / 4); /* the collapse */
    CHAOS_EXPECT_EQUAL(far.replied, 0);
    CHAOS_EXPECT_AT_LEAST(far.slowest_ns, CHAIN_TIMEOUT_NS);
    CHAOS_EXPECT_AT_LEAST(arrivals_under_way(&chain, chain.b), 6);
}

CHAOS_TEST(service, cascade_with_breakers, "S7: C hangs: A keeps its latency and its other work, B and C are spared")
{
    static struct chain chain;
    chain_run(chaos, &chain, 3);

    struct load_figures local = load_figures(&chain.load, LOCAL, FROZEN_FROM_NS + 400 * DURESS_MS, FROZEN_TO_NS);
    struct load_figures after = load_figures(&chain.load, FAR, FROZEN_TO_NS + 400 * DURESS_MS, UINT64_MAX);
    CHAOS_EXPECT_EQUAL(local.replied, local.asked);
    CHAOS_EXPECT_AT_MOST(local.slowest_ns, chaos_slack_ns(chaos));
    CHAOS_EXPECT_AT_MOST(arrivals_under_way(&chain, chain.b), 4); /* probes */
    CHAOS_EXPECT_EQUAL(arrivals_under_way(&chain, chain.c), 0);   /* it hangs, and has none */
    CHAOS_EXPECT_EQUAL(after.replied, after.asked);               /* and all is well again by itself */
}

/* --- S8: the breaker while the server restarts --- */

static struct duress_breaker_transition transition(const struct duress_agent *agent, size_t index)
{
    struct duress_breaker_transition log[DURESS_BREAKER_LOG_COUNT];
    size_t count = duress_breaker_log(duress_breaker_of(agent), log, DURESS_BREAKER_LOG_COUNT);
    return index < count ? log[index] : (struct duress_breaker_transition){.at_ns = 0};
}

static size_t transition_count(const struct duress_agent *agent)
{
    struct duress_breaker_transition log[DURESS_BREAKER_LOG_COUNT];
    return duress_breaker_log(duress_breaker_of(agent), log, DURESS_BREAKER_LOG_COUNT);
}

static void crash_due(void *context)
{
    chaos_service_kill(context);
}

CHAOS_TEST(service, breaker_follows_a_real_restart, "S8: closed, open, half-open, open …, closed: in order and on time")
{
    static struct load load;
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = 3, .recovery_ns = 200 * DURESS_MS, .successes_to_close = 1, .probes_max = 1}};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.breaker = &breaker});
    load = (struct load){.chaos = chaos,
                         .agents = {agent},
                         .texts = {"hello"},
                         .kinds = 1,
                         .period_ns = 5 * DURESS_MS,
                         .within_ns = 10 * DURESS_S,
                         .count = 240};
    chaos_service_restart_after(echo, 500 * DURESS_MS, 1);
    chaos_after(chaos, chaos_draw(chaos, 100 * DURESS_MS, 250 * DURESS_MS), crash_due, echo);
    load_begin(&load);
    load_end(&load);

    size_t count = transition_count(agent);
    CHAOS_EXPECT_AT_LEAST(count, 5); /* at least one probe has found nobody */
    CHAOS_EXPECT_EQUAL(count % 2, 1);
    CHAOS_EXPECT_EQUAL(transition(agent, 0).from, DURESS_BREAKER_CLOSED);
    CHAOS_EXPECT_AT_LEAST(transition(agent, 0).at_ns, chaos_service_end(echo).at_ns);
    for (size_t i = 0; i + 1 < count; i += 2) {
        struct duress_breaker_transition opened = transition(agent, i);
        struct duress_breaker_transition probing = transition(agent, i + 1);
        CHAOS_EXPECT_EQUAL(opened.to, DURESS_BREAKER_OPEN);
        CHAOS_EXPECT_EQUAL(probing.to, DURESS_BREAKER_HALF_OPEN);
        CHAOS_EXPECT_AT_LEAST(probing.at_ns, opened.at_ns + 200 * DURESS_MS);
        CHAOS_EXPECT_AT_MOST(probing.at_ns, opened.at_ns + 205 * DURESS_MS + chaos_slack_ns(chaos));
    }
    struct duress_breaker_transition closed = transition(agent, count - 1);
    CHAOS_EXPECT_EQUAL(closed.to, DURESS_BREAKER_CLOSED);
    CHAOS_EXPECT_AT_LEAST(closed.at_ns, chaos_service_up_since_ns(echo));
    CHAOS_EXPECT_AT_MOST(closed.at_ns, chaos_service_up_since_ns(echo) + 205 * DURESS_MS + 2 * chaos_slack_ns(chaos));
    /* Between the first opening and the close, each half-open time let one call through. */
    uint64_t probes = 0;
    for (uint64_t i = 0; i < chaos_link_attempts(link); i++) {
        uint64_t started_ns = chaos_link_attempt(link, i).started_ns;
        probes += started_ns > transition(agent, 0).at_ns && started_ns <= closed.at_ns ? 1 : 0;
    }
    CHAOS_EXPECT_EQUAL(probes, (count - 1) / 2);
    struct load_figures after = load_figures(&load, 0, closed.at_ns - load.started_ns + 5 * DURESS_MS, UINT64_MAX);
    CHAOS_EXPECT_AT_LEAST(after.asked, chaos_is_live(chaos) ? 0 : 1);
    CHAOS_EXPECT_EQUAL(after.replied, after.asked);
}

/* --- S9: overload --- */

/* A service that answers a hundred requests a second, asked for 250, for a second, by callers who wait for 200 ms. */
enum { OVERLOAD_CALLS = 250 };
#define OVERLOAD_HOLD_NS (10 * DURESS_MS)
#define OVERLOAD_PERIOD_NS (4 * DURESS_MS)
#define OVERLOAD_PATIENCE_NS (200 * DURESS_MS)

static struct chaos_service *overload(struct chaos *chaos, struct load *load,
                                      const struct duress_stack_options *options)
{
    struct chaos_service *busy = chaos_service_start(chaos, "busy", .hold_ns = OVERLOAD_HOLD_NS);
    struct chaos_link *link = chaos_link_open(chaos, busy);
    *load =
        (struct load){.chaos = chaos,
                      .agents = {stack_around(
                          chaos, chaos_link_agent_with(link, .connections_max = 512, .idle_timeout_ns = 1), options)},
                      .texts = {"work"},
                      .kinds = 1,
                      .period_ns = OVERLOAD_PERIOD_NS,
                      .within_ns = OVERLOAD_PATIENCE_NS,
                      .count = OVERLOAD_CALLS};
    load_begin(load);
    load_end(load);
    return busy;
}

CHAOS_TEST(service, overload_without_limits, "S9: asked for more than it can do, it does work for callers who are gone")
{
    static struct load load;
    (void)overload(chaos, &load, &(struct duress_stack_options){0});

    struct load_figures late = load_figures(&load, 0, 600 * DURESS_MS, UINT64_MAX);
    CHAOS_EXPECT_AT_MOST(late.replied, late.asked / 10);
}

CHAOS_TEST(service, overload_with_rate_limiter,
           "S9: arrivals stay within rate·T + burst; who is let through is answered")
{
    static struct load load;
    struct duress_rate_limiter_options limiter = {
        .limit = {.mode = DURESS_RATE_LIMIT_REFUSE},
        .bucket = {.rate = 70, .burst = 5, .per_ns = 1 * DURESS_S},
    };
    struct chaos_service *busy = overload(chaos, &load, &(struct duress_stack_options){.rate_limiter = &limiter});

    uint64_t span_ns = OVERLOAD_CALLS * OVERLOAD_PERIOD_NS + (chaos_is_live(chaos) ? 500 * DURESS_MS : 0);
    CHAOS_EXPECT_AT_MOST(chaos_service_arrivals(busy), 70 * span_ns / DURESS_S + 5);
    CHAOS_EXPECT_AT_LEAST(chaos_service_arrivals(busy), 60);
    struct load_figures late = load_figures(&load, 0, 600 * DURESS_MS, UINT64_MAX);
    CHAOS_EXPECT_AT_LEAST(late.replied, 20);
    struct load_figures all = load_figures(&load, 0, 0, UINT64_MAX);
    CHAOS_EXPECT_AT_LEAST(all.replied, chaos_service_arrivals(busy) - (chaos_is_live(chaos) ? 20 : 0));
}

CHAOS_TEST(service, overload_with_bulkhead,
           "S9: so many at once and no more; it works at its capacity, for those who wait")
{
    static struct load load;
    struct duress_bulkhead_layer_options bulkhead = {.bulkhead = {.limit = 4}, .waiting_max = 4};
    struct chaos_service *busy = overload(chaos, &load, &(struct duress_stack_options){.bulkhead = &bulkhead});

    struct load_figures late = load_figures(&load, 0, 600 * DURESS_MS, UINT64_MAX);
    CHAOS_EXPECT_AT_LEAST(late.replied, late.asked / 5);
    struct load_figures all = load_figures(&load, 0, 0, UINT64_MAX);
    CHAOS_EXPECT_AT_LEAST(all.replied + 8, chaos_service_arrivals(busy));
    CHAOS_EXPECT_AT_LEAST(chaos_service_arrivals(busy), 50);
}

/* --- a metastable failure --- */

/* At half of its capacity a service is frozen for 1.2 seconds. What was asked meanwhile is asked again, and again:
 * the retries alone are more than it can do, so that every call times out, and is asked again. The trigger is long
 * gone. Bronson et al., "Metastable Failures in Distributed Systems", HotOS 2021; Huang et al., OSDI 2022. */
enum { STORM_CALLS = 300 };
#define STORM_HOLD_NS (8 * DURESS_MS)
#define STORM_PERIOD_NS (16 * DURESS_MS)
#define STORM_TIMEOUT_NS (400 * DURESS_MS)
#define STORM_FROM_NS (500 * DURESS_MS)
#define STORM_TO_NS (1700 * DURESS_MS)
#define STORM_JUDGED_NS (3700 * DURESS_MS)

struct storm {
    struct load load;
    struct duress_retry_budget budget;
    uint64_t attempts; /* from the trigger's end on */
    struct load_figures before;
    struct load_figures after; /* of the calls of half a second, long after the trigger */
};

static void storm_run(struct chaos *chaos, struct storm *storm, bool has_budget, bool has_breaker)
{
    struct chaos_service *frail = chaos_service_start(chaos, "frail", .hold_ns = STORM_HOLD_NS);
    struct chaos_link *link = chaos_link_open(chaos, frail);
    struct duress_retry_options retry = {
        .attempts_max = 5, .backoff_ns = 5 * DURESS_MS, .multiplier_milli = 1000, .jitter = DURESS_JITTER_NONE};
    struct duress_timeout_options timeout = {.limit_ns = STORM_TIMEOUT_NS};
    struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 5, .recovery_ns = 300 * DURESS_MS}};
    struct duress_failure why;
    CHAOS_EXPECT_CODE(duress_retry_budget_init(&storm->budget, NULL, &why), DURESS_OK);
    const struct duress_stack_options options = {.retry = &retry,
                                                 .timeout = &timeout,
                                                 .retry_budget = has_budget ? &storm->budget : NULL,
                                                 .breaker = has_breaker ? &breaker : NULL};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent_with(link, .connections_max = 512, .idle_timeout_ns = 1), &options);
    storm->load = (struct load){.chaos = chaos,
                                .agents = {agent},
                                .texts = {"work"},
                                .kinds = 1,
                                .period_ns = STORM_PERIOD_NS,
                                .within_ns = 3 * DURESS_S,
                                .count = STORM_CALLS};
    chaos_after(chaos, STORM_FROM_NS, freeze_due, frail);
    chaos_after(chaos, STORM_TO_NS, thaw_due, frail);
    load_begin(&storm->load);
    load_end(&storm->load);
    storm->before = load_figures(&storm->load, 0, 0, STORM_FROM_NS - STORM_TIMEOUT_NS);
    storm->after = load_figures(&storm->load, 0, STORM_JUDGED_NS, STORM_JUDGED_NS + 500 * DURESS_MS);
    storm->attempts = 0;
    for (uint64_t i = 0; i < chaos_link_attempts(link); i++)
        storm->attempts += chaos_link_attempt(link, i).started_ns >= storm->load.started_ns + STORM_TO_NS ? 1 : 0;
    chaos_note(chaos, "metastable: %llu of %llu replied, %llu attempts", (unsigned long long)storm->after.replied,
               (unsigned long long)storm->after.asked, (unsigned long long)storm->attempts);
    CHAOS_EXPECT_EQUAL(storm->before.replied, storm->before.asked);
}

/* All is well again; a busy machine may lose a few of its own. */
static uint64_t storm_well(struct chaos *chaos, const struct storm *storm)
{
    return chaos_is_live(chaos) ? storm->after.asked * 3 / 4 : storm->after.asked;
}

CHAOS_TEST(service, retry_storm_outlives_its_trigger,
           "metastable: at half its capacity, frozen once, it never recovers")
{
    static struct storm storm;
    storm_run(chaos, &storm, false, false);
    CHAOS_EXPECT_AT_MOST(storm.after.replied, storm.after.asked / 2);
    CHAOS_EXPECT_AT_LEAST(storm.attempts,
                          4 * (STORM_CALLS - STORM_TO_NS / STORM_PERIOD_NS)); /* each asked four times */
}

CHAOS_TEST(service, retry_storm_ends_with_a_budget, "metastable: a retry budget ends the storm: it recovers by itself")
{
    static struct storm storm;
    storm_run(chaos, &storm, true, false);
    CHAOS_EXPECT_AT_LEAST(storm.after.replied, storm_well(chaos, &storm));
}

CHAOS_TEST(service, retry_storm_ends_with_a_breaker, "metastable: a circuit breaker ends the storm as well")
{
    static struct storm storm;
    storm_run(chaos, &storm, false, true);
    CHAOS_EXPECT_AT_LEAST(storm.after.replied, storm_well(chaos, &storm));
}

CHAOS_TEST(service, retry_storm_ends_with_both, "metastable: budget and breaker together: least work, soonest well")
{
    static struct storm storm;
    storm_run(chaos, &storm, true, true);
    CHAOS_EXPECT_AT_LEAST(storm.after.replied, storm_well(chaos, &storm));
}
