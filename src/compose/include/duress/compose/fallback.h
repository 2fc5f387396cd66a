/* SPDX-License-Identifier: Apache-2.0
 *
 * Fallback composition: asks the first agent, and the next one where that fails, and so on. The first reply is the
 * answer.
 *
 * It keeps no memory of its own: every call begins with the first agent, so that it goes back to the primary with the
 * very next call when that is well again. What spares a sick primary its calls is a circuit breaker around it: it
 * refuses at once, without a byte being sent, and the next agent is asked in the same instant; when the breaker's
 * recovery is over, one call is the probe. (An |is_healthy| that skips an agent because its breaker is open would keep
 * every probe from it: it would stay open for ever.) |is_healthy| is for what is known by other means. Agents that are
 * not healthy are asked last, in their order, when all the others have failed: bad news may be old.
 *
 * Not every failure goes on. By default (duress_fallback_goes_on()) these do not:
 *
 * - ambiguous ones of a call that is not idempotent: the next agent could execute it a second time;
 * - INVALID, TOO_LARGE: a bad request is as bad for the next one; and a peer's own INVALID_MESSAGE, INVALID_REQUEST and
 *   MALFORMED_PAYLOAD (REMOTE, told by the detail's begin);
 * - CANCELLED, NO_MEMORY.
 *
 * And none does once a chunk of a streamed reply has gone up. The failure is then that of the agent, with "agent 1
 * (name): " before its detail. Where the last one fails, it has the code of the last, and the detail names all: "2
 * agents failed: 1 (name) REFUSED, 2 (name) DEADLINE: " and the last one's own. It is ambiguous where any of them was,
 * |attempts| says how many agents were asked, and |retry_after_ns| is the shortest of those that said one. */
#ifndef DURESS_COMPOSE_FALLBACK_H
#define DURESS_COMPOSE_FALLBACK_H

#include <duress/compose/report.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether the next agent is to be asked after |failure|. Decides only: must not cancel the call. */
typedef bool (*duress_goes_on_fn)(void *context, const struct duress_failure *failure, bool idempotent);

/* Whether the |index|-th agent is worth asking now. Asked just before it would be; must not cancel the call. */
typedef bool (*duress_healthy_fn)(void *context, size_t index, struct duress_agent *agent);

/* The default, for a predicate of one's own to build on; |context| is not used. Thread-safe. */
DURESS_API bool duress_fallback_goes_on(void *context, const struct duress_failure *failure, bool idempotent)
    DURESS_NONNULL(2);

struct duress_fallback_options {
    duress_goes_on_fn goes_on;    /* NULL: duress_fallback_goes_on() */
    duress_healthy_fn is_healthy; /* NULL: all are */
    bool annotate; /* adds "fallback_agent_used" (its name) and "fallback_attempt" (its place, from 1) to the reply's
                    * metadata, as agenkit does, for callers across a wire; one allocation. The chunks of a stream have
                    * gone up by then and are left alone */
    duress_report_fn on_report; /* NULL: none. |answered_by| is who gave the answer, or the last that failed */
    void *context;              /* of all three */
};

/* Makes an agent of |count| |agents| (1 to DURESS_COMPOSITION_AGENTS_MAX), all of one world, the primary first. |name|
 * is copied; NULL for "fallback". |options| are copied; NULL for the defaults. The call's deadline holds for all of
 * them together: put a timeout (duress/middleware/timeout.h) around each but the last, or a hanging primary spends all
 * of it. Returns in *fallback, free with duress_agent_unref(). DURESS_E_INVALID with the reason in |why| (may be NULL),
 * DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_fallback_new(const char *name, struct duress_agent *const *agents, size_t count,
                                                     const struct duress_fallback_options *options,
                                                     struct duress_agent **fallback, struct duress_failure *why);

#ifdef __cplusplus
}
#endif

#endif
