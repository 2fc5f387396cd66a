/* SPDX-License-Identifier: Apache-2.0
 *
 * Failures as error envelopes, and back: the same on every transport. Not installed.
 *
 *   our failure                                            on the wire
 *   OVERLOADED, RATE_LIMITED, BULKHEAD_FULL, CIRCUIT_OPEN,  OVERLOADED; error_details {"retry_after_ms":N} where the
 *   NO_MEMORY, none of them ambiguous                       failure has one
 *   DEADLINE                                               AGENT_TIMEOUT
 *   CANCELLED                                              CANCELLED
 *   UNSUPPORTED                                            NOT_IMPLEMENTED
 *   INVALID, not ambiguous                                 INVALID_REQUEST
 *   any other                                              EXECUTION_ERROR
 *
 * Back, OVERLOADED is DURESS_E_OVERLOADED: not ambiguous, since the peer says that it did not begin. Every other code
 * is DURESS_E_REMOTE with "CODE: message" as detail; ambiguous, but for the codes by which a peer says that it could
 * not make sense of the request or had nobody to give it to. */
#ifndef DURESS_AGENT_PEER_ERROR_PRIVATE_H
#define DURESS_AGENT_PEER_ERROR_PRIVATE_H

#include <duress/error.h>
#include <duress/export.h>
#include <duress/wire/envelope.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Reads an envelope of type ERROR. */
DURESS_API void duress__peer_error_read(const struct duress_envelope *envelope, struct duress_failure *failure);

#define PEER_ERROR_DETAILS_BYTES_MAX 64

/* Sets type, code, message and details of |envelope|, which borrows from |failure| and |details|. */
DURESS_API void duress__peer_error_write(const struct duress_failure *failure, struct duress_envelope *envelope,
                                         char details[PEER_ERROR_DETAILS_BYTES_MAX]);

#ifdef __cplusplus
}
#endif

#endif
