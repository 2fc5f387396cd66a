/* SPDX-License-Identifier: Apache-2.0
 *
 * Quorum: asks all agents at once, and answers when |need| replies agree: the answer to replicas that are inconsistent
 * or not deterministic.
 *
 * It is decided early, when |need| agree or when that cannot happen any more; then those that still run are cancelled,
 * or awaited for |grace_ns| for the report's sake. The answer is the reply, of those that agree at the moment of the
 * decision, whose agent comes first in the order given; what comes in the grace time does not change it. (Equal replies
 * may differ in what |equal| does not look at: by default in role, metadata and time stamp.)
 *
 * Replies that are not equal to the answer are dissenters: REPLIED, with |agrees| false, in the report. Where no quorum
 * comes about, |agrees| is true for those of the largest group that agrees among itself, the first such in order.
 *
 * It fails with DURESS_E_NO_QUORUM ("2 must agree of 3: 1 agree, 1 dissent, 1 failed; …"), or, where no agent replied
 * at all, with the code of the first that failed, in their order; with DURESS_E_DEADLINE where its limit passed. Of a
 * streamed call the agents are asked for whole replies: nothing can be handed on before it is decided. */
#ifndef DURESS_COMPOSE_QUORUM_H
#define DURESS_COMPOSE_QUORUM_H

#include <duress/compose/report.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether two replies say the same. Must be symmetric, and should be transitive. Where it is not (numbers that differ
 * by less than a tolerance), a reply has as many as are equal to itself; and a vote that only a reply still to come
 * could join together is given up as one that cannot be won. Decides only: must not cancel the call. */
typedef bool (*duress_equal_fn)(void *context, const struct duress_message *a, const struct duress_message *b);

/* The default: the same bytes of content. */
DURESS_API bool duress_equal_content(void *context, const struct duress_message *a, const struct duress_message *b);

struct duress_quorum_options {
    uint32_t need;     /* so many must agree: 1 to the number of agents; 0 = more than half of them */
    uint64_t limit_ns; /* from the call's begin; 0: no limit but the call's deadline */
    uint64_t
        grace_ns; /* how long those that still run are awaited after the decision, at the most; 0: not at all. Never
                   * beyond |limit_ns| or the call's deadline less 10 ms, which the answer needs to get out */
    duress_equal_fn equal;      /* NULL: duress_equal_content() */
    duress_report_fn on_report; /* NULL: none. |answered_by| is whose reply the answer is */
    void *context;              /* of both */
};

/* Makes an agent of |count| |agents| (1 to DURESS_COMPOSITION_AGENTS_MAX), all of one world. |name| is copied; NULL for
 * "quorum". |options| are copied; NULL for the defaults. Returns in *quorum, free with duress_agent_unref().
 * DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_quorum_new(const char *name, struct duress_agent *const *agents, size_t count,
                                                   const struct duress_quorum_options *options,
                                                   struct duress_agent **quorum, struct duress_failure *why);

#ifdef __cplusplus
}
#endif

#endif
