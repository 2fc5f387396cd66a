/* SPDX-License-Identifier: Apache-2.0
 *
 * The same question, many times, so many at once. */
#ifndef DURESS_AGENT_TOOL_ASKING_H
#define DURESS_AGENT_TOOL_ASKING_H

#include <duress/agent/agent.h>

struct duress__asking;

/* How the |number|-th call ended, from 1. |result| is borrowed for the call. */
typedef void (*duress__answer_fn)(void *context, uint64_t number, const struct duress_result *result);

/* A chunk of the |number|-th call's stream, borrowed. */
typedef void (*duress__answer_chunk_fn)(void *context, uint64_t number, struct duress_message *chunk);

struct duress__asking_options {
    struct duress_agent *agent; /* borrowed, as is |request| */
    struct duress_message *request;
    uint64_t repeat_count; /* calls; at least 1 */
    uint32_t concurrency;  /* of them at once; at least 1 */
    uint64_t limit_ns;     /* of each call, from its begin; 0: none */
    bool idempotent;
    duress__answer_fn on_answer;
    duress__answer_chunk_fn on_chunk; /* not NULL: asks for streams */
    void *context;
};

/* Readies it; nothing is asked yet. DURESS_E_NO_MEMORY. Returns in *asking, free with duress__asking_free(). */
DURESS_MUST_CHECK int duress__asking_new(const struct duress__asking_options *options, struct duress__asking **asking);

/* Asks, and runs the agent's world until every call has ended. */
void duress__asking_run(struct duress__asking *asking);

/* From the world's loop: begins no further call, and cancels those in flight. */
void duress__asking_stop(struct duress__asking *asking);

/* After duress__asking_run(). NULL is allowed. */
void duress__asking_free(struct duress__asking *asking);

#endif
