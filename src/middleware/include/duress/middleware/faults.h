/* SPDX-License-Identifier: Apache-2.0
 *
 * The fault layer: makes the service behind it look as if it failed, as the policy (duress/policy/faults.h) says, call
 * by call. For tests: the layers to be tried go around it, and no network is needed.
 *
 * - ERROR and CRASH end the call at once, and the inner agent is not asked.
 * - ERROR_AFTER asks the inner agent, and loses its answer: the call fails when that would have come. Chunks of a
 * stream have gone up by then. Where the inner agent fails by itself, that failure is passed on.
 * - DELAY asks the inner agent later. A deadline goes on meanwhile.
 * - HANG never ends by itself: the deadline or the caller ends it. It counts as sent, so that this end is ambiguous.
 * - CORRUPT changes bytes of the reply's content: of a streamed one, of each chunk. What was UTF-8 may be none then.
 * - TRUNCATE cuts the reply's content: of a streamed reply, the first chunk that has any, and ends the stream there,
 *   giving up the inner call. The call succeeds: nothing but the content tells.
 *
 * Which call gets what depends on nothing but the seed and the order in which the calls begin. */
#ifndef DURESS_MIDDLEWARE_FAULTS_H
#define DURESS_MIDDLEWARE_FAULTS_H

#include <duress/middleware/layer.h>
#include <duress/policy/faults.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_faults_layer_options {
    struct duress_faults_options faults;
    uint64_t seed; /* of what chance decides; 0: drawn from the world, whose seed it then follows from */
};

/* Wraps |inner|. |options| are copied; NULL for no faults. Returns in *outer, free with duress_agent_unref().
 * DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_with_faults(struct duress_agent *inner,
                                                    const struct duress_faults_layer_options *options,
                                                    struct duress_agent **outer, struct duress_failure *why);

/* The policy: to reset it, or to ask whether it has crashed. Borrowed for the agent's life. NULL where there is no
 * fault layer. */
DURESS_API struct duress_faults *duress_faults_of(const struct duress_agent *agent);

struct duress_faults_counts {
    struct duress_layer_counts calls;      /* |refused|: by ERROR and CRASH */
    uint64_t injected[DURESS_FAULT_COUNT]; /* by fault: calls to which it really happened; of NONE always 0 */
    uint64_t missed; /* faults that did not: there was no reply to be changed or lost, or no byte in it */
};

/* All zero where there is no fault layer. */
DURESS_API struct duress_faults_counts duress_faults_counts(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
