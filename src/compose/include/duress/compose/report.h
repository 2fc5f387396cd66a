/* SPDX-License-Identifier: Apache-2.0
 *
 * What all compositions have in common. A composition is an agent made of agents: it asks them in its own way and makes
 * one answer of theirs. It takes a reference of its own to each, and gives it back when it is freed; the same agent may
 * stand in it more than once, and compositions may be made of compositions. Calls nest 64 deep at the most
 * (duress/agent/implement.h): an agent that asks itself fails with DURESS_E_INVALID.
 *
 * The answer of a call is a message or a failure. Who gave it, and what became of the others, is told by a report: the
 * |on_report| of a composition's options is called once for each call that ends by itself, just before it ends. A call
 * that is given up from above (cancelled by its caller, its deadline passed, not wanted any more by a composition or
 * layer around) is not reported, since nobody waits for it.
 *
 * How a composition fails: with the code of the agent whose failure decided it, so that those above can tell what is
 * wrong, and with the agent's place and name before its detail ("step 2 (pricing): …", counted from 1; left out where
 * nesting leaves no room for it); DURESS_E_DEADLINE where a limit of its own passed, DURESS_E_NO_QUORUM where replies
 * disagree, origin COMPOSITION. It is ambiguous where any agent may have executed something. */
#ifndef DURESS_COMPOSE_REPORT_H
#define DURESS_COMPOSE_REPORT_H

#include <duress/agent/agent.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_COMPOSITION_AGENTS_MAX 1024

enum duress_part_state {
    DURESS_PART_NOT_ASKED = 0,
    DURESS_PART_ASKED, /* runs; never so in a report */
    DURESS_PART_REPLIED,
    DURESS_PART_FAILED,
    DURESS_PART_CANCELLED, /* asked, and given up: it was decided without it */
    DURESS_PART_LATE,      /* asked, and given up: the composition's limit had passed */
    DURESS_PART_SKIPPED,   /* not asked: it is not healthy */
};

/* "replied", "not asked", …; never NULL. */
DURESS_API const char *duress_part_state_name(enum duress_part_state state);

/* What one agent had to do with one call. */
struct duress_part {
    struct duress_agent *agent;
    struct duress_message *reply;         /* REPLIED; else NULL */
    const struct duress_failure *failure; /* FAILED; else NULL */
    uint64_t started_ns;                  /* 0: not asked */
    uint64_t ended_ns;                    /* 0: not asked */
    enum duress_part_state state;
    bool agrees; /* quorum: its reply is the answer, or equal to it */
};

#define DURESS_ANSWERED_BY_NONE SIZE_MAX

/* How one call of a composition ends. Borrowed for the callback, with all that it points to; take a reference of a
 * message to keep it. */
struct duress_report {
    struct duress_message *request;
    const struct duress_part *parts; /* in the order in which the agents were given */
    size_t count;
    size_t replied_count;
    size_t failed_count;
    size_t answered_by; /* the part whose reply or failure decided; DURESS_ANSWERED_BY_NONE: more than one, or none */
    bool partial;       /* ends well, though an agent that was asked has failed or was late */
    int error;          /* DURESS_OK, or failure->code */
    struct duress_message *reply;         /* on DURESS_OK; else NULL */
    const struct duress_failure *failure; /* NULL on DURESS_OK */
};

/* |call| is what duress_agent_ask() gave: the user's call of which the composition's is a part. It may be cancelled
 * inside; then nothing of the report comes true. Like an agent's function, it may be called before duress_agent_ask()
 * has returned, where memory is out or no agent could be asked. */
typedef void (*duress_report_fn)(void *context, struct duress_call *call, const struct duress_report *report);

#ifdef __cplusplus
}
#endif

#endif
