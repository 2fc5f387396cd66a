/* SPDX-License-Identifier: Apache-2.0
 *
 * Timestamps as text of RFC 3339. Private to wire/; what is accepted stands in duress/wire/envelope.h. */
#ifndef DURESS_WIRE_INSTANT_H
#define DURESS_WIRE_INSTANT_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/slice.h>

#define INSTANT_BYTES 27

/* Nanoseconds since 1970-01-01 UTC of |text| in *ns; 0 before that, UINT64_MAX where 64 bits do not reach. False where
 * |text| is no timestamp. */
bool duress__instant_parse(struct duress_slice text, uint64_t *ns);

/* "2026-01-15T09:30:00.250000Z": exactly INSTANT_BYTES, no NUL. Cuts below the microsecond. */
void duress__instant_format(uint64_t ns, uint8_t text[INSTANT_BYTES]);

#endif
