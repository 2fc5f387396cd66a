/* SPDX-License-Identifier: Apache-2.0
 *
 * Open load: a call each period, whether those before have ended or not, as users do who know nothing of each other.
 * Every |kinds|-th call is of the same kind: agent and text. */
#ifndef DURESS_TESTS_CHAOS_LOAD_H
#define DURESS_TESTS_CHAOS_LOAD_H

#include <duress/chaos/chaos.h>

enum { LOAD_CALLS_MAX = 1024, LOAD_KINDS_MAX = 2 };

struct load {
    struct chaos *chaos;
    struct duress_agent *agents[LOAD_KINDS_MAX];
    const char *texts[LOAD_KINDS_MAX];
    size_t kinds;
    uint64_t period_ns;
    uint64_t within_ns; /* of each call */
    size_t count;       /* of calls, at most LOAD_CALLS_MAX */
    /* From here on the load's own. */
    uint64_t started_ns;
    size_t begun;
    struct duress_timer timer;
    struct chaos_call *calls[LOAD_CALLS_MAX];
};

static inline void load_next(void *context)
{
    struct load *load = context;
    struct chaos *chaos = load->chaos;
    size_t kind = load->begun % load->kinds;
    load->calls[load->begun++] = chaos_begin(chaos, load->agents[kind], load->texts[kind], load->within_ns, true);
    if (load->begun < load->count)
        duress_world_arm(chaos_world(chaos), &load->timer, load->started_ns + load->begun * load->period_ns);
}

/* |load| stays where it is until load_end(). */
static inline void load_begin(struct load *load)
{
    load->started_ns = chaos_now_ns(load->chaos);
    duress_timer_init(&load->timer, load_next, load);
    load_next(load);
}

static inline bool load_is_begun(void *context)
{
    const struct load *load = context;
    return load->begun == load->count;
}

/* Waits until the last call has ended. */
static inline void load_end(struct load *load)
{
    struct chaos *chaos = load->chaos;
    CHAOS_EXPECT(chaos_until(chaos, load_is_begun, load, load->count * load->period_ns + 10 * DURESS_S));
    for (size_t i = 0; i < load->count; i++)
        (void)chaos_await(chaos, load->calls[i]);
}

struct load_figures {
    uint64_t asked;
    uint64_t replied;
    uint64_t shed; /* told that the peer is overloaded */
    uint64_t slowest_ns;
};

/* Of the calls of |kind| that were begun from |from_ns| to before |to_ns| of the load's time, and have all ended. */
static inline struct load_figures load_figures(struct load *load, size_t kind, uint64_t from_ns, uint64_t to_ns)
{
    struct load_figures figures = {.asked = 0};
    for (size_t i = 0; i < load->count; i++) {
        uint64_t at_ns = i * load->period_ns;
        if (i % load->kinds != kind || at_ns < from_ns || at_ns >= to_ns)
            continue;
        struct chaos_answer answer = chaos_await(load->chaos, load->calls[i]);
        uint64_t took_ns = answer.ended_ns - answer.started_ns;
        figures.asked++;
        figures.replied += answer.error == DURESS_OK ? 1 : 0;
        figures.shed += answer.error == DURESS_E_OVERLOADED ? 1 : 0;
        figures.slowest_ns = took_ns > figures.slowest_ns ? took_ns : figures.slowest_ns;
    }
    return figures;
}

#endif
