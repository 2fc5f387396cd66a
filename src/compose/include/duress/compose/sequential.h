/* SPDX-License-Identifier: Apache-2.0
 *
 * Sequential composition: the reply of each step is the request of the next. Stops at the first failure; later steps
 * see no call. */
#ifndef DURESS_COMPOSE_SEQUENTIAL_H
#define DURESS_COMPOSE_SEQUENTIAL_H

#include <duress/compose/report.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_sequential_options {
    duress_report_fn on_report; /* NULL: none. |answered_by| is the last step, or the one that failed */
    void *context;
};

/* Makes an agent of |count| |steps| (1 to DURESS_COMPOSITION_AGENTS_MAX), all of one world, each of which it takes a
 * reference of its own. |name| is copied; NULL for "sequential". |options| are copied; NULL for the defaults.
 *
 * The call's deadline and cancellation hold for whatever step runs. A failure is that of its step, with "step 2
 * (name): " before its detail; it is ambiguous as well where an earlier step has been executed, since asking again
 * would execute that step again. Of a streamed call only the last step streams.
 *
 * Returns in *sequential, free with duress_agent_unref(). DURESS_E_INVALID with the reason in |why| (may be NULL),
 * DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_sequential_new(const char *name, struct duress_agent *const *steps,
                                                       size_t count, const struct duress_sequential_options *options,
                                                       struct duress_agent **sequential, struct duress_failure *why);

#ifdef __cplusplus
}
#endif

#endif
