/* SPDX-License-Identifier: Apache-2.0
 *
 * Parallel composition: all agents get the same message at once. The policy says when that is decided:
 *
 *   policy      ends well                                      fails
 *   COLLECT     all have ended, or the limit passed, and at    all have ended and none replied; the limit passed and
 *               least one has replied: partial results         none had replied
 *   ALL         all have replied                               at the first failure, or when the limit passes
 *   ANY         at the first reply                             all have failed, or the limit passes
 *   AT_LEAST    |need| have replied                            so many have failed that |need| cannot reply any more,
 * or the limit passes
 *
 * As soon as it is decided those that still run are cancelled (DURESS_PART_CANCELLED in the report), down to closing
 * their streams. When the limit passes they are given up as late (DURESS_PART_LATE), which a circuit breaker below
 * counts against them.
 *
 * The reply of ANY is that of the agent itself. Of the other policies it is made by |combine| of all that have replied,
 * by default as agenkit does: role "agent"; a line "[name]: content" for each reply, in the order of the agents; the
 * replies' metadata with "name." before each key ("name#2." for the second agent of the same name), unless it is no
 * JSON object; and "parallel_agents" (how many were asked), "successful_agents" (how many replied), and, where any has
 * not, "errors", an array of {"agent": name, "error": name of the code}.
 *
 * A failure has the code of the first agent, in their order, that failed, and "2 of 3 agents failed; 1 (name): " before
 * its detail. Of a streamed call the agents are asked for whole replies, and the combined one is the end of the stream:
 * chunks of several agents would be no one's reply. */
#ifndef DURESS_COMPOSE_PARALLEL_H
#define DURESS_COMPOSE_PARALLEL_H

#include <duress/compose/report.h>

#ifdef __cplusplus
extern "C" {
#endif

enum duress_parallel_policy {
    DURESS_PARALLEL_COLLECT = 0,
    DURESS_PARALLEL_ALL,
    DURESS_PARALLEL_ANY,
    DURESS_PARALLEL_AT_LEAST,
};

#define DURESS_PARALLEL_MARGIN_NS_DEFAULT (10 * DURESS_MS)

/* Makes one message of the replies among |parts| (those with state REPLIED; there is at least one). DURESS_OK with a
 * reference given away in *reply, or a negative code with *failure optionally filled (code DURESS_OK in it: made from
 * the returned code). Must neither block nor cancel the call. */
typedef int (*duress_combine_fn)(void *context, struct duress_message *request, const struct duress_part *parts,
                                 size_t count, struct duress_message **reply, struct duress_failure *failure);

/* All zero: the defaults. */
struct duress_parallel_options {
    enum duress_parallel_policy policy;
    uint32_t need;      /* AT_LEAST: 1 to the number of agents; else 0 */
    uint64_t limit_ns;  /* from the call's begin; 0: no limit but the call's deadline */
    uint64_t margin_ns; /* COLLECT: answers with what is there so long before the call's deadline, but leaves the agents
                         * half of the time at least; 0 = DURESS_PARALLEL_MARGIN_NS_DEFAULT. Else 0 */
    duress_combine_fn combine;  /* NULL: as above. Not with ANY */
    duress_report_fn on_report; /* NULL: none. |answered_by|: with ANY who replied; else who failed first in order */
    void *context;              /* of both */
};

/* Makes an agent of |count| |agents| (1 to DURESS_COMPOSITION_AGENTS_MAX), all of one world. |name| is copied; NULL for
 * "parallel". |options| are copied; NULL for the defaults. Returns in *parallel, free with duress_agent_unref().
 * DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_parallel_new(const char *name, struct duress_agent *const *agents, size_t count,
                                                     const struct duress_parallel_options *options,
                                                     struct duress_agent **parallel, struct duress_failure *why);

#ifdef __cplusplus
}
#endif

#endif
