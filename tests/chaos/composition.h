/* SPDX-License-Identifier: Apache-2.0
 *
 * Compositions for chaos tests: services behind links of their own, and the last report. */
#ifndef DURESS_TESTS_CHAOS_COMPOSITION_H
#define DURESS_TESTS_CHAOS_COMPOSITION_H

#include <string.h>

#include <duress/chaos/chaos.h>
#include <duress/compose/conditional.h>
#include <duress/compose/fallback.h>
#include <duress/compose/parallel.h>
#include <duress/compose/quorum.h>
#include <duress/compose/sequential.h>

enum { PARTS_MAX = 5 };

struct reported {
    unsigned reports;
    size_t count;
    size_t answered_by;
    bool partial;
    enum duress_part_state states[PARTS_MAX];
    int codes[PARTS_MAX];
    bool agrees[PARTS_MAX];
};

/* A duress_report_fn whose context is a struct reported. */
static inline void reported_keep(void *context, struct duress_call *call, const struct duress_report *report)
{
    struct reported *kept = context;
    (void)call;
    kept->reports++;
    kept->count = report->count;
    kept->answered_by = report->answered_by;
    kept->partial = report->partial;
    for (size_t i = 0; i < report->count && i < PARTS_MAX; i++) {
        kept->states[i] = report->parts[i].state;
        kept->codes[i] = report->parts[i].failure != NULL ? report->parts[i].failure->code : DURESS_OK;
        kept->agrees[i] = report->parts[i].agrees;
    }
}

/* |error| is what made *agent, which |chaos| keeps. */
static inline struct duress_agent *composed(struct chaos *chaos, int error, struct duress_agent **agent,
                                            const struct duress_failure *why)
{
    if (error != DURESS_OK)
        chaos__fail(chaos, __FILE__, __LINE__, "expected: the options make a composition; seen: %s", why->detail);
    chaos_keep(chaos, *agent);
    return *agent;
}

/* |made| is a call of duress_*_new() that gives its agent to |agent| and its reason to |why|. */
#define COMPOSED(made) composed(chaos, made, &agent, &why)

/* Nobody listens on |link| any more, and whoever had a connection has had the time to hear of it. */
static inline void link_take_down(struct chaos *chaos, struct chaos_link *link)
{
    chaos_link_down(link);
    chaos_pass(chaos, 100 * DURESS_MS);
}

/* A request of the service has been given up. */
static inline bool service_has_cancelled(void *context)
{
    return chaos_service_cancelled(context) > 0;
}

#define EXPECT_CANCELLED(service)                                                                                      \
    CHAOS_EXPECT(chaos_until(chaos, service_has_cancelled, service, chaos_slack_ns(chaos)))

#define EXPECT_STATE(reported, part, state, code)                                                                      \
    (CHAOS_EXPECT_EQUAL((reported).states[part], state), CHAOS_EXPECT_CODE((reported).codes[part], code))

#endif
