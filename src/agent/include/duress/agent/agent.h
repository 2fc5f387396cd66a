/* SPDX-License-Identifier: Apache-2.0
 *
 * Agents and calls. An agent answers messages: a function, a remote service, or another agent behind a middleware. A
 * call is one question to it.
 *
 * - Every call ends exactly once: with a reply, a failure, or a failure with DURESS_E_CANCELLED.
 * - Nothing is called back before duress_agent_ask() or duress_call_cancel() has returned.
 * - The deadline is absolute, on the world's monotonic clock, and travels with the call; layers may shorten it, never
 *   lengthen it. When it passes, the call ends with DURESS_E_DEADLINE and the work below it is cancelled.
 * - Agents, and the calls made to them, belong to the thread of their world. Run it until the calls have ended before
 *   it is freed: a call in flight of a world that is gone is never told of, and its memory is lost.
 *
 * Who writes an agent or a middleware of their own: duress/agent/implement.h. */
#ifndef DURESS_AGENT_AGENT_H
#define DURESS_AGENT_AGENT_H

#include <duress/error.h>
#include <duress/export.h>
#include <duress/message.h>
#include <duress/time.h>
#include <duress/world/world.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_agent;
struct duress_call;

/* How a call ended. Borrowed for the callback; take a reference of |reply| to keep it. */
struct duress_result {
    int error;                            /* DURESS_OK, or failure->code */
    struct duress_message *reply;         /* on DURESS_OK: the reply, or the last chunk of a stream; else NULL */
    const struct duress_failure *failure; /* NULL on DURESS_OK */
    uint64_t started_ns;
    uint64_t ended_ns;
};

/* The call ended; |call| is gone when this returns. */
typedef void (*duress_end_fn)(void *context, struct duress_call *call, const struct duress_result *result);

/* One chunk of a streamed reply, borrowed. The call may be cancelled inside. */
typedef void (*duress_chunk_fn)(void *context, struct duress_call *call, struct duress_message *chunk);

struct duress_ask {
    struct duress_message *request; /* the call takes a reference of its own */
    uint64_t deadline_ns;           /* absolute; 0 = DURESS_TIME_NEVER = none */
    bool idempotent; /* may be executed twice without harm: needed for retries after an ambiguous failure */
    duress_end_fn on_end;
    duress_chunk_fn on_chunk; /* not NULL: asks for a stream of chunks */
    void *context;
};

/* Asks |agent|. *call (may be NULL) is valid until on_end is called. An agent whose own function asks that agent again,
 * or one that leads back to it, is bounded only where all of it happens at once (duress/agent/implement.h); give such
 * calls a deadline. DURESS_E_INVALID (NULL agent, request or on_end),
 * DURESS_E_NO_MEMORY: then there is no call and no callback. */
DURESS_API DURESS_MUST_CHECK int duress_agent_ask(struct duress_agent *agent, const struct duress_ask *ask,
                                                  struct duress_call **call);

/* Gives the call up: the work below stops at once, down to closing streams, and on_end comes soon, with
 * DURESS_E_CANCELLED. Called again, or after the call has ended but before on_end came: nothing. */
DURESS_API void duress_call_cancel(struct duress_call *call);

/* Blocking: asks and runs the world until the call ends. Not from inside a callback of that world (DURESS_E_INVALID).
 * DURESS_OK with a reference for the caller in *reply (free with duress_message_unref()), or the failure's code with
 * *failure filled (may be NULL). |ask|'s callbacks are ignored, but for on_chunk. */
DURESS_API DURESS_MUST_CHECK int duress_agent_ask_blocking(struct duress_agent *agent, const struct duress_ask *ask,
                                                           struct duress_message **reply,
                                                           struct duress_failure *failure);

/* References: who wraps an agent takes one; the last one frees it (its calls in flight end with DURESS_E_CANCELLED
 * before: freeing is done from the loop). NULL is allowed in unref. */
DURESS_API struct duress_agent *duress_agent_ref(struct duress_agent *agent);
DURESS_API void duress_agent_unref(struct duress_agent *agent);

/* Borrowed for the agent's life. */
DURESS_API const char *duress_agent_name(const struct duress_agent *agent);
DURESS_API struct duress_world *duress_agent_world(const struct duress_agent *agent);

/* Calls begun on |agent| and not ended. */
DURESS_API size_t duress_agent_in_flight_count(const struct duress_agent *agent);

#ifdef __cplusplus
}
#endif

#endif
