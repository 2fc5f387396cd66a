/* SPDX-License-Identifier: Apache-2.0
 *
 * The timeout layer: a limit on one call of the inner agent (on one attempt, where a retry layer is outside), on the
 * gaps between the chunks of its reply, or on both.
 *
 * When a limit passes, the call below is abandoned at once, down to closing its stream, and the call ends with
 * DURESS_E_DEADLINE, origin TIMEOUT, ambiguous where some byte of the request had reached a transport. The detail says
 * which limit it was and what was being done: "1000 ms passed while waiting for the reply". A deadline that came with
 * the call is passed on, shortened and never lengthened; when that one passes, whoever set it reports it, not this
 * layer. */
#ifndef DURESS_MIDDLEWARE_TIMEOUT_H
#define DURESS_MIDDLEWARE_TIMEOUT_H

#include <duress/middleware/layer.h>
#include <duress/policy/timeout.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Wraps |inner|. |options| are copied; NULL for the defaults (30 s, no limit on gaps). Returns in *outer, free with
 * duress_agent_unref(). DURESS_E_INVALID with the field in |why| (may be NULL), DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_with_timeout(struct duress_agent *inner,
                                                     const struct duress_timeout_options *options,
                                                     struct duress_agent **outer, struct duress_failure *why);

/* All zero where there is no timeout layer. */
DURESS_API struct duress_layer_counts duress_timeout_counts(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
