/* SPDX-License-Identifier: Apache-2.0
 *
 * What the compositions share inside the room. */
#ifndef DURESS_COMPOSE_COMPOSITION_H
#define DURESS_COMPOSE_COMPOSITION_H

#include <duress/agent/implement.h>
#include <duress/compose/report.h>

/* Embedded first in each composition's struct. */
struct composition {
    struct duress_agent base;
    duress_report_fn on_report;
    void *context;
    size_t count;
    struct duress_agent **agents; /* with a reference to each; behind the implementation's struct */
};

/* DURESS_E_INVALID with the text in |why| (may be NULL). */
DURESS_PRINTF(2, 3) int duress__composition_refuse(struct duress_failure *why, const char *format, ...);

/* Whether |count| |agents| (|field| is what they are called) can be one composition. */
int duress__composition_check(const char *field, struct duress_agent *const *agents, size_t count,
                              struct duress_failure *why);

/* A composition of |bytes|, zeroed, of agents that were checked. NULL, said in |why| (may be NULL), where memory is
 * out. */
void *duress__composition_new(size_t bytes, const struct duress_agent_ops *ops, const char *name,
                              struct duress_agent *const *agents, size_t count, struct duress_failure *why);
void duress__composition_free(struct duress_agent *agent);

/* --- the parts of one call --- */

/* In the call's memory, one for each agent; NULL where memory is out. */
struct duress_part *duress__parts_new(struct duress_call *call);

/* |child| is asked. |part| may be NULL, here and below: nothing is kept. */
void duress__part_begin(struct duress_part *part, const struct duress_call *child);
/* The same where memory is out for a child: it has failed. */
void duress__part_fail_memory(struct duress_part *part, uint64_t now_ns);
void duress__part_end(struct duress_part *part, struct duress_call *child, const struct duress_result *result);
/* Gives the replies back. */
void duress__parts_release(struct duress_part *parts, size_t count);

/* The failure of a composition for which memory is out. */
extern const struct duress_failure duress__no_memory;

/* --- ends --- */

/* |failure| is |cause|, with the formatted text, ": " before its detail where that leaves it whole. */
DURESS_PRINTF(3, 4)
void duress__failure_wrap(struct duress_failure *failure, const struct duress_failure *cause, const char *format, ...);

/* Reports, gives the parts (NULL: there are none) back, and ends |call| as |result| says; |result|->ended_ns is set
 * here where it is 0. Nothing of the call may be touched afterwards. The call may have been cancelled inside the
 * report: then cancel() has given the parts back. */
void duress__composition_end(struct duress_call *call, struct duress_part *parts, size_t answered_by,
                             struct duress_result *result);
void duress__composition_fail(struct duress_call *call, struct duress_part *parts, size_t answered_by,
                              const struct duress_failure *failure);

#endif
