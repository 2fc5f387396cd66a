/* SPDX-License-Identifier: Apache-2.0
 *
 * What the order of layers does, in figures: the same service and the same load in a simulated world, once in the
 * documented order and once in another. docs/guide.md quotes what this prints, and a test compares the two. */
#include <stdio.h>
#include <stdlib.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/middleware/stack.h>
#include <duress/prng.h>
#include <duress/world/sim.h>

enum { SECONDS = 20, CALLS_MAX = 4000, LAYERS_MAX = 4 };

/* What the service does with a request; |now_ns| counts from the first call. */
enum behaviour { ANSWERS, FAILS, HANGS };
typedef enum behaviour (*behave_fn)(struct duress_prng *prng, uint64_t now_ns);

struct run {
    struct duress_world *world;
    struct duress_agent *agents[LAYERS_MAX + 1]; /* the service first */
    size_t agent_count;
    struct duress_prng prng;
    behave_fn behave;
    uint64_t begun_ns;
    unsigned arrivals;
    unsigned in_vain; /* arrivals that the service failed, or left hanging */
    unsigned arrivals_of_second[2 * SECONDS];
    unsigned answered;
    unsigned ended;
    uint64_t latencies_ns[CALLS_MAX];
};

struct pending {
    struct run *run;
    struct duress_call *call;
    struct duress_timer timer;
    enum behaviour behaviour;
};

static void check(int error)
{
    if (error == DURESS_OK)
        return;
    (void)fprintf(stderr, "orders: %s\n", duress_strerror(error));
    exit(1);
}

static uint64_t since_ns(const struct run *run)
{
    return duress_world_now_ns(run->world) - run->begun_ns;
}

static void service_end(void *context)
{
    struct pending *pending = context;
    struct duress_failure failure;
    if (pending->behaviour == ANSWERS) {
        duress_call_reply(pending->call, pending->call->request);
        return;
    }
    duress_failure_set(&failure, DURESS_E_REMOTE, DURESS_ORIGIN_PEER, "out of order");
    duress_call_fail(pending->call, &failure);
}

/* Answers or fails after 20 ms, or never. */
static void service_begin(void *context, struct duress_call *call)
{
    struct run *run = context;
    struct pending *pending = duress_call_allocate(call, sizeof *pending);
    if (pending == NULL)
        check(DURESS_E_NO_MEMORY);
    *pending = (struct pending){.run = run, .call = call, .behaviour = run->behave(&run->prng, since_ns(run))};
    call->state = pending;
    run->arrivals++;
    run->in_vain += pending->behaviour != ANSWERS;
    run->arrivals_of_second[since_ns(run) / DURESS_S]++;
    duress_timer_init(&pending->timer, service_end, pending);
    if (pending->behaviour != HANGS)
        duress_world_arm(run->world, &pending->timer, duress_world_now_ns(run->world) + 20 * DURESS_MS);
}

static void service_cancel(void *context, struct duress_call *call)
{
    struct run *run = context;
    struct pending *pending = call->state;
    duress_world_disarm(run->world, &pending->timer);
}

static void call_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct run *run = context;
    (void)call;
    run->ended++;
    if (result->error == DURESS_OK)
        run->latencies_ns[run->answered++] = result->ended_ns - result->started_ns;
}

struct load {
    struct run *run;
    struct duress_timer timer;
    unsigned per_second;
    unsigned texts; /* how many different requests there are */
    unsigned begun;
};

static void load_next(void *context)
{
    struct load *load = context;
    struct run *run = load->run;
    struct duress_message *request;
    char text[16];
    (void)snprintf(text, sizeof text, "%u", load->begun % load->texts);
    check(duress_message_text(text, &request));
    uint64_t now_ns = duress_world_now_ns(run->world);
    struct duress_ask ask = {.request = request,
                             .deadline_ns = now_ns + 2 * DURESS_S,
                             .idempotent = true,
                             .on_end = call_ended,
                             .context = run};
    check(duress_agent_ask(run->agents[run->agent_count - 1], &ask, NULL));
    duress_message_unref(request);
    if (++load->begun < load->per_second * SECONDS)
        duress_world_arm(run->world, &load->timer, now_ns + DURESS_S / load->per_second);
}

static int compare_ns(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

static void run_print(struct run *run, const char *order)
{
    unsigned busiest = 0;
    for (size_t i = 0; i < sizeof run->arrivals_of_second / sizeof run->arrivals_of_second[0]; i++)
        busiest = run->arrivals_of_second[i] > busiest ? run->arrivals_of_second[i] : busiest;
    qsort(run->latencies_ns, run->answered, sizeof run->latencies_ns[0], compare_ns);
    uint64_t p99_ns = run->answered == 0 ? 0 : run->latencies_ns[(run->answered - 1) * 99 / 100];
    unsigned openings = 0;
    struct duress_breaker *breaker = duress_breaker_of(run->agents[run->agent_count - 1]);
    if (breaker != NULL) {
        struct duress_breaker_snapshot seen;
        duress_breaker_snapshot(breaker, &seen);
        for (int reason = DURESS_BREAKER_BY_FAILURES; reason <= DURESS_BREAKER_BY_PROBE_LAPSED; reason++)
            openings += reason == DURESS_BREAKER_BY_RECOVERY ? 0 : (unsigned)seen.counters.transitions[reason];
    }
    (void)printf("%-20s %5u %8u %7u %11u %8u %6u ms %8u\n", order, run->ended, run->arrivals, run->in_vain, busiest,
                 run->answered, (unsigned)(p99_ns / DURESS_MS), openings);
}

/* Wraps the agent that is outermost so far. */
typedef int (*wrap_fn)(struct duress_agent *inner, struct duress_agent **outer);

struct order {
    const char *name;
    wrap_fn wraps[LAYERS_MAX + 1]; /* innermost first, NULL at the end */
};

static void run_order(const struct order *order, behave_fn behave, unsigned per_second, unsigned texts)
{
    struct run *run = calloc(1, sizeof *run);
    struct load load = {.run = run, .per_second = per_second, .texts = texts};
    if (run == NULL)
        check(DURESS_E_NO_MEMORY);
    check(duress_world_sim_new(0, &run->world));
    check(duress_function_async_new(run->world, "service", service_begin, service_cancel, run, &run->agents[0]));
    for (run->agent_count = 1; order->wraps[run->agent_count - 1] != NULL; run->agent_count++)
        check(order->wraps[run->agent_count - 1](run->agents[run->agent_count - 1], &run->agents[run->agent_count]));
    run->behave = behave;
    run->begun_ns = duress_world_now_ns(run->world);
    duress_prng_init(&run->prng, 1, 1);
    duress_timer_init(&load.timer, load_next, &load);
    duress_world_arm(run->world, &load.timer, run->begun_ns);
    if (duress_sim_run_until(duress_world_sim_of(run->world), NULL, NULL, DURESS_TIME_NEVER) != DURESS_E_END)
        check(DURESS_E_SYSTEM);
    run_print(run, order->name);
    while (run->agent_count > 0)
        duress_agent_unref(run->agents[--run->agent_count]);
    duress_world_free(run->world);
    free(run);
}

static int with_retry(struct duress_agent *inner, struct duress_agent **outer)
{
    struct duress_retry_options options = {.attempts_max = 3, .backoff_ns = 100 * DURESS_MS};
    return duress_with_retry(inner, &options, NULL, outer, NULL);
}

static int with_breaker(struct duress_agent *inner, struct duress_agent **outer)
{
    struct duress_breaker_layer_options options = {.breaker = {.failures_to_open = 5, .recovery_ns = 2 * DURESS_S}};
    return duress_with_breaker(inner, &options, outer, NULL);
}

static int with_timeout(struct duress_agent *inner, struct duress_agent **outer)
{
    struct duress_timeout_options options = {.limit_ns = 250 * DURESS_MS};
    return duress_with_timeout(inner, &options, outer, NULL);
}

static int with_limiter(struct duress_agent *inner, struct duress_agent **outer)
{
    struct duress_rate_limiter_options options = {.bucket = {.rate = 50, .burst = 5}};
    return duress_with_rate_limiter(inner, &options, outer, NULL);
}

static int with_cache(struct duress_agent *inner, struct duress_agent **outer)
{
    struct duress_cache_layer_options options = {.cache = {.ttl_ns = DURESS_S, .stale_ns = 60 * DURESS_S}};
    return duress_with_cache(inner, &options, outer, NULL);
}

static int with_bulkhead(struct duress_agent *inner, struct duress_agent **outer)
{
    struct duress_bulkhead_layer_options options = {.bulkhead = {.limit = 4}};
    return duress_with_bulkhead(inner, &options, outer, NULL);
}

/* Gone from the fifth second to the fifteenth. */
static enum behaviour outage(struct duress_prng *prng, uint64_t now_ns)
{
    (void)prng;
    return now_ns >= 5 * DURESS_S && now_ns < 15 * DURESS_S ? FAILS : ANSWERS;
}

static enum behaviour hangs_at_times(struct duress_prng *prng, uint64_t now_ns)
{
    (void)now_ns;
    return duress_prng_chance(prng, 100000) ? HANGS : ANSWERS;
}

static enum behaviour fails_at_times(struct duress_prng *prng, uint64_t now_ns)
{
    (void)now_ns;
    return duress_prng_chance(prng, 300000) ? FAILS : ANSWERS;
}

static void heading(const char *text)
{
    (void)printf("\n%s\n%-20s calls arrivals in vain in a second answered       p99 openings\n", text, "");
}

int main(void)
{
    heading("An outage of 10 s, 100 calls a second: retry and breaker");
    run_order(&(struct order){"retry -> breaker", {with_breaker, with_retry}}, outage, 100, 1);
    run_order(&(struct order){"breaker -> retry", {with_retry, with_breaker}}, outage, 100, 1);
    run_order(&(struct order){"retry alone", {with_retry}}, outage, 100, 1);

    heading("One request of ten hangs, 100 calls a second: retry and timeout");
    run_order(&(struct order){"retry -> timeout", {with_timeout, with_retry}}, hangs_at_times, 100, 1);
    run_order(&(struct order){"timeout -> retry", {with_retry, with_timeout}}, hangs_at_times, 100, 1);

    heading("Three requests of ten fail, 50 calls a second, a limit of 50: limiter and retry");
    run_order(&(struct order){"limiter -> retry", {with_retry, with_limiter}}, fails_at_times, 50, 1);
    run_order(&(struct order){"retry -> limiter", {with_limiter, with_retry}}, fails_at_times, 50, 1);

    heading("One of 10 keys each, 100 calls a second, a limit of 50: cache and limiter");
    run_order(&(struct order){"cache -> limiter", {with_limiter, with_cache}}, fails_at_times, 100, 10);
    run_order(&(struct order){"limiter -> cache", {with_cache, with_limiter}}, fails_at_times, 100, 10);

    heading("An outage of 10 s, 10 keys, 100 calls a second: cache and breaker");
    run_order(&(struct order){"cache -> breaker", {with_breaker, with_cache}}, outage, 100, 10);
    run_order(&(struct order){"breaker -> cache", {with_cache, with_breaker}}, outage, 100, 10);

    heading("Three requests of ten fail, 100 calls a second, 4 at once: bulkhead and retry");
    run_order(&(struct order){"bulkhead -> retry", {with_retry, with_bulkhead}}, fails_at_times, 100, 1);
    run_order(&(struct order){"retry -> bulkhead", {with_bulkhead, with_retry}}, fails_at_times, 100, 1);
    return 0;
}
