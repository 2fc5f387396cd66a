/* SPDX-License-Identifier: Apache-2.0
 *
 * How worlds refuse to be made. |why| may be NULL. */
#ifndef DURESS_WORLD_OPTION_H
#define DURESS_WORLD_OPTION_H

#include <duress/base/option.h>
#include <duress/error.h>

/* Says in |why| that it failed with |error|. */
void duress__world_refuse(struct duress_failure *why, int error, const char *detail);

#endif
