/* SPDX-License-Identifier: Apache-2.0
 *
 * Keeps a number of calls in flight until so many have ended well. */
#ifndef DURESS_BENCH_ASKER_H
#define DURESS_BENCH_ASKER_H

#include <bench.h>

#include <duress/agent/agent.h>

struct asker {
    struct duress_world *world;
    struct duress_agent *agent;
    struct duress_message *request;
    uint32_t in_flight_max;
    bool idempotent;
    uint64_t to_begin;
    uint64_t to_end;
};

static inline void asker_ended(void *context, struct duress_call *call, const struct duress_result *result);

static inline void asker_next(struct asker *asker)
{
    struct duress_ask ask = {
        .request = asker->request, .idempotent = asker->idempotent, .on_end = asker_ended, .context = asker};
    asker->to_begin--;
    if (duress_agent_ask(asker->agent, &ask, NULL) != DURESS_OK)
        bench_fail("a call could not be begun");
}

static inline void asker_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct asker *asker = (struct asker *)context;
    (void)call;
    if (result->error != DURESS_OK)
        bench_fail("a call failed: %s", result->failure->detail);
    asker->to_end--;
    if (asker->to_begin > 0)
        asker_next(asker);
}

static inline bool asker_done(void *context)
{
    return ((const struct asker *)context)->to_end == 0;
}

/* A bench_fn. */
static inline void asker_run(void *context, uint64_t iterations)
{
    struct asker *asker = (struct asker *)context;
    asker->to_begin = iterations;
    asker->to_end = iterations;
    for (uint32_t i = 0; i < asker->in_flight_max && asker->to_begin > 0; i++)
        asker_next(asker);
    if (duress_world_run_until(asker->world, asker_done, asker, DURESS_TIME_NEVER) != DURESS_OK)
        bench_fail("the world stopped before the calls ended");
}

#endif
