/* SPDX-License-Identifier: Apache-2.0
 *
 * The default of how replies of several agents become one message: as duress/compose/parallel.h says. */
#ifndef DURESS_COMPOSE_COMBINE_H
#define DURESS_COMPOSE_COMBINE_H

#include <duress/compose/report.h>

DURESS_MUST_CHECK int duress__combine(struct duress_world *world, const struct duress_part *parts, size_t count,
                                      struct duress_message **reply);

#endif
