/* SPDX-License-Identifier: Apache-2.0
 *
 * Memory enters through a struct that is handed in, one for each object; nothing is process-wide. Every allocation may
 * fail, and the object that asked says DURESS_E_NO_MEMORY. */
#ifndef DURESS_ALLOCATOR_H
#define DURESS_ALLOCATOR_H

#include <stddef.h>

#include <duress/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_allocator {
    void *context;
    /* As malloc: NULL on failure; |bytes| is never 0. Aligned for any object. */
    void *(*allocate)(void *context, size_t bytes);
    /* As realloc; |memory| may be NULL, |bytes| is never 0. On failure |memory| is left as it was. */
    void *(*reallocate)(void *context, void *memory, size_t bytes);
    /* As free; |memory| may be NULL. */
    void (*release)(void *context, void *memory);
};

/* malloc, realloc and free of the C library. Thread-safe; lives for ever. */
DURESS_API const struct duress_allocator *duress_allocator_default(void);

/* The functions below take NULL for the default allocator. */
DURESS_API DURESS_MUST_CHECK void *duress_allocate(const struct duress_allocator *allocator, size_t bytes);
/* As duress_allocate() for |count| * |size|, zeroed; NULL as well where the product overflows. */
DURESS_API DURESS_MUST_CHECK void *duress_allocate_zeroed(const struct duress_allocator *allocator, size_t count,
                                                          size_t size);
DURESS_API DURESS_MUST_CHECK void *duress_reallocate(const struct duress_allocator *allocator, void *memory,
                                                     size_t bytes);
DURESS_API void duress_release(const struct duress_allocator *allocator, void *memory);

#ifdef __cplusplus
}
#endif

#endif
