/* SPDX-License-Identifier: Apache-2.0
 *
 * Ids of requests, the same on every transport: "d-", 16 hexadecimal digits that the agent drew when it was made, "-",
 * 16 digits that count. Not installed. */
#ifndef DURESS_AGENT_REQUEST_ID_PRIVATE_H
#define DURESS_AGENT_REQUEST_ID_PRIVATE_H

#include <stdint.h>

#include <duress/export.h>
#include <duress/slice.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { REQUEST_ID_BYTES = 2 + 16 + 1 + 16 };

DURESS_API void duress__request_id_write(uint64_t prefix, uint64_t number, char text[REQUEST_ID_BYTES]);

/* The number in an id of ours; 0 for any other text. */
DURESS_API uint64_t duress__request_id_read(uint64_t prefix, struct duress_slice text);

#ifdef __cplusplus
}
#endif

#endif
