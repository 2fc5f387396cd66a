/* SPDX-License-Identifier: Apache-2.0
 *
 * An agent that is a C function. */
#ifndef DURESS_AGENT_FUNCTION_H
#define DURESS_AGENT_FUNCTION_H

#include <duress/agent/agent.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Answers at once: DURESS_OK with a reference given away in *reply, or a negative code with *failure optionally filled
 * (code DURESS_OK in it: made from the returned code). Runs on the world's thread; must not block. */
typedef int (*duress_function_fn)(void *context, struct duress_message *request, struct duress_message **reply,
                                  struct duress_failure *failure);

/* Makes an agent of |fn|; |name| is copied, |context| borrowed. Returns in *agent, free with duress_agent_unref().
 * DURESS_E_INVALID (a NULL argument but |context|), DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_function_new(struct duress_world *world, const char *name,
                                                     duress_function_fn fn, void *context, struct duress_agent **agent);

/* Answers later: |begin| is called with the call, of which duress_call_reply() or duress_call_fail() (see
 * duress/agent/implement.h) must be called once, now or later on the world's thread. |cancel| (may be NULL) says that
 * the call is abandoned and must not be ended any more. */
typedef void (*duress_function_begin_fn)(void *context, struct duress_call *call);
typedef void (*duress_function_cancel_fn)(void *context, struct duress_call *call);

/* The same of a function that answers later. */
DURESS_API DURESS_MUST_CHECK int duress_function_async_new(struct duress_world *world, const char *name,
                                                           duress_function_begin_fn begin,
                                                           duress_function_cancel_fn cancel, void *context,
                                                           struct duress_agent **agent);

#ifdef __cplusplus
}
#endif

#endif
