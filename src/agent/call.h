/* SPDX-License-Identifier: Apache-2.0
 *
 * The room's own view of calls. */
#ifndef DURESS_AGENT_CALL_H
#define DURESS_AGENT_CALL_H

#include <duress/agent/implement.h>

/* Begins the root of a tree. As duress_agent_ask(), whose arguments are checked. */
DURESS_MUST_CHECK int duress__call_root_begin(struct duress_agent *agent, const struct duress_ask *ask,
                                              struct duress_call **call);

/* Cancels all calls of users that |agent| has in flight. */
void duress__agent_cancel_roots(struct duress_agent *agent);

#endif
