/* SPDX-License-Identifier: Apache-2.0
 *
 * A borrowed run of bytes, not NUL-terminated. */
#ifndef DURESS_SLICE_H
#define DURESS_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct duress_slice {
    const uint8_t *data; /* may be NULL where length is 0 */
    size_t length;       /* bytes */
};

/* Borrows |text| without its NUL; NULL gives an empty slice. */
static inline struct duress_slice duress_slice_text(const char *text)
{
    struct duress_slice slice = {(const uint8_t *)text, text == NULL ? 0 : strlen(text)};
    return slice;
}

static inline struct duress_slice duress_slice_bytes(const void *data, size_t length)
{
    struct duress_slice slice = {(const uint8_t *)data, length};
    return slice;
}

static inline bool duress_slice_equal(struct duress_slice a, struct duress_slice b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

static inline bool duress_slice_is(struct duress_slice slice, const char *text)
{
    return duress_slice_equal(slice, duress_slice_text(text));
}

#endif
