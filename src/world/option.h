/* SPDX-License-Identifier: Apache-2.0
 *
 * How worlds refuse to be made, in the words of the policies. |why| may be NULL. */
#ifndef DURESS_WORLD_OPTION_H
#define DURESS_WORLD_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/error.h>

/* True where low <= given <= high; else says in |why| that |field| is out of range. */
bool duress__world_option_in_range(const char *field, uint64_t given, uint64_t low, uint64_t high,
                                   struct duress_failure *why);

/* Says in |why| that it failed with |error|. */
void duress__world_refuse(struct duress_failure *why, int error, const char *detail);

#endif
