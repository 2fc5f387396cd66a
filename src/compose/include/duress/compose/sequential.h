/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequential composition: the reply of each step is the request of the next. Stops at the first failure; later steps
 * see no call. */
#ifndef DURESS_COMPOSE_SEQUENTIAL_H
#define DURESS_COMPOSE_SEQUENTIAL_H

#include <duress/agent/agent.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_SEQUENTIAL_STEPS_MAX 1024

/* Makes an agent of |count| steps (1 to DURESS_SEQUENTIAL_STEPS_MAX), all of one world, each of which it takes a
 * reference of its own. The call's deadline and cancellation hold for whatever step runs. A failure is that of its
 * step, with "step 2 (name): " before its detail; it is ambiguous as well where an earlier step has been executed,
 * since asking again would execute that step again. Of a streamed call only the last step streams. Returns in
 * *sequential, free with duress_agent_unref(). DURESS_E_INVALID with the reason in |why| (may be NULL),
 * DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_sequential_new(const char *name, struct duress_agent *const *steps,
                                                       size_t count, struct duress_agent **sequential,
                                                       struct duress_failure *why);

#ifdef __cplusplus
}
#endif

#endif
