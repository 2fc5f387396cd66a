/* SPDX-License-Identifier: Apache-2.0
 *
 * The first ^C or SIGTERM as an event of a live world; the second one ends the program at once. */
#ifndef DURESS_AGENT_TOOL_SIGNALS_H
#define DURESS_AGENT_TOOL_SIGNALS_H

#include <duress/world/world.h>

struct duress__signals;

/* |number| came: SIGINT or SIGTERM. Called once, from the world's loop; both have their default effect from then on. */
typedef void (*duress__signal_fn)(void *context, int number);

/* Watches SIGINT and SIGTERM, but for one that is ignored (that of a background job in a script), and ignores SIGPIPE
 * for the whole process. DURESS_E_UNSUPPORTED (not a live world), DURESS_E_NO_MEMORY, DURESS_E_NO_DESCRIPTORS. Returns
 * in *signals, free with duress__signals_free() before the world. */
DURESS_MUST_CHECK int duress__signals_new(struct duress_world *world, duress__signal_fn fn, void *context,
                                          struct duress__signals **signals);

/* Watches no longer. NULL is allowed. */
void duress__signals_free(struct duress__signals *signals);

#endif
