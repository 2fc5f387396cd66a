/* SPDX-License-Identifier: Apache-2.0
 *
 * Texts that are kept. */
#ifndef DURESS_BASE_TEXT_H
#define DURESS_BASE_TEXT_H

#include <string.h>

#include <duress/allocator.h>

/* A copy, to be released by |allocator|; NULL without memory. */
static inline char *duress__text_copy(const struct duress_allocator *allocator, const char *text)
{
    size_t bytes = strlen(text) + 1;
    char *copy = duress_allocate(allocator, bytes);
    if (copy != NULL)
        memcpy(copy, text, bytes);
    return copy;
}

#endif
