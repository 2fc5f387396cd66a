/* SPDX-License-Identifier: Apache-2.0
 *
 * One of several agents, chosen by the message. Conditional: the first route whose predicate holds. Router: one
 * function that says which agent it is, such as a hash of a key, or a table. Both have a default for what nothing
 * takes; without one such a call fails with DURESS_E_INVALID, origin COMPOSITION, and nobody has been asked.
 *
 * The chosen agent's answer is the answer, chunks of a stream included. Its failure has "route 2 (name): " (or "default
 * (name): ") before its detail; no other route is tried. */
#ifndef DURESS_COMPOSE_CONDITIONAL_H
#define DURESS_COMPOSE_CONDITIONAL_H

#include <duress/compose/predicate.h>
#include <duress/compose/report.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_route {
    duress_predicate_fn predicate;
    const void *context; /* of |predicate|; borrowed for the agent's life */
    struct duress_agent *agent;
};

/* The default, where there is one, is the last part of a report. */
struct duress_choice_options {
    struct duress_agent *otherwise; /* the default; NULL: none */
    bool annotate; /* adds "conditional_agent_used" (its name) and "conditional_route" (its place from 1, or "default")
                    * to the reply's metadata, as agenkit does; one allocation. Chunks are left alone */
    duress_report_fn on_report; /* NULL: none. |answered_by| is the chosen one; _NONE where nothing took the message */
    void *context;              /* of |on_report|, and of a router's |choose| */
};

/* Makes an agent of |count| |routes| (1 to DURESS_COMPOSITION_AGENTS_MAX with the default), all of one world; they are
 * copied. |name| is copied; NULL for "conditional". |options| are copied; NULL for the defaults. Returns in
 * *conditional, free with duress_agent_unref(). DURESS_E_INVALID with the reason in |why| (may be NULL),
 * DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_conditional_new(const char *name, const struct duress_route *routes,
                                                        size_t count, const struct duress_choice_options *options,
                                                        struct duress_agent **conditional, struct duress_failure *why);

#define DURESS_ROUTER_DEFAULT SIZE_MAX

/* The place, from 0, of the agent that is to answer |request|; DURESS_ROUTER_DEFAULT, or any other number that is not
 * below |count|, for the default. Decides only: must not cancel the call. */
typedef size_t (*duress_choose_fn)(void *context, const struct duress_message *request, size_t count);

/* As duress_conditional_new(), with "router" for its name. */
DURESS_API DURESS_MUST_CHECK int duress_router_new(const char *name, duress_choose_fn choose,
                                                   struct duress_agent *const *agents, size_t count,
                                                   const struct duress_choice_options *options,
                                                   struct duress_agent **router, struct duress_failure *why);

#ifdef __cplusplus
}
#endif

#endif
