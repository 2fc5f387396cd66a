/* SPDX-License-Identifier: Apache-2.0
 *
 * UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef DURESS_WIRE_UTF8_H
#define DURESS_WIRE_UTF8_H

#include <stdbool.h>

#include <duress/export.h>
#include <duress/slice.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Whether |text| is whole, valid UTF-8; the empty text is, U+0000 counts as any other character. Borrows for the call.
 * Thread-safe. The ranges are those of table 3-7 of the Unicode standard. */
DURESS_API bool duress_utf8_is_valid(struct duress_slice text);

#ifdef __cplusplus
}
#endif

#endif
