/* SPDX-License-Identifier: Apache-2.0
 *
 * How every policy refuses a bad option, in the same words. */
#ifndef DURESS_POLICY_OPTION_H
#define DURESS_POLICY_OPTION_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/base/option.h>
#include <duress/error.h>

/* True where |given| is not NULL; else says in |why| (may be NULL) that |field| must be given. */
bool duress__option_given(const char *field, const void *given, struct duress_failure *why);

/* True where |given| is 0; else says in |why| (may be NULL) that |field| means nothing because of |because|. */
bool duress__option_unused(const char *field, uint64_t given, const char *because, struct duress_failure *why);

static inline uint32_t option_or_u32(uint32_t given, uint32_t fallback)
{
    return given == 0 ? fallback : given;
}

static inline uint64_t option_or_u64(uint64_t given, uint64_t fallback)
{
    return given == 0 ? fallback : given;
}

#endif
