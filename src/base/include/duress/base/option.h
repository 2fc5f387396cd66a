/* SPDX-License-Identifier: Apache-2.0
 *
 * How an option that is out of range is refused, in the same words everywhere. */
#ifndef DURESS_BASE_OPTION_H
#define DURESS_BASE_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/error.h>

/* True where low <= given <= high; else says in |why| (may be NULL) that |field| is out of range. */
bool duress__option_in_range(const char *field, uint64_t given, uint64_t low, uint64_t high,
                             struct duress_failure *why);

#endif
