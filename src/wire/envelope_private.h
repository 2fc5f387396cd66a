/* SPDX-License-Identifier: Apache-2.0
 *
 * What reading and writing an envelope share. Private to wire/. */
#ifndef DURESS_WIRE_ENVELOPE_PRIVATE_H
#define DURESS_WIRE_ENVELOPE_PRIVATE_H

#include <duress/wire/envelope.h>

/* Objects around metadata (envelope, payload, message) and around error details (envelope, payload). */
#define ENVELOPE_METADATA_DEPTH 3
#define ENVELOPE_DETAILS_DEPTH 2

/* Values besides those of the metadata or details in the largest envelope that is written, a request's. */
#define ENVELOPE_VALUES_AROUND 12

/* |limits|, or the defaults where it is NULL. */
const struct duress_envelope_limits *duress__envelope_limits(const struct duress_envelope_limits *limits);

/* The type whose name on the wire is |name|; DURESS_ENVELOPE_NONE where there is none. */
enum duress_envelope_type duress__envelope_type_from_name(struct duress_slice name);

/* duress_envelope_metadata_check() for an object with |depth| objects around it. */
int duress__envelope_object_check(struct duress_slice text, const struct duress_envelope_limits *limits, uint32_t depth,
                                  struct duress_envelope_diagnostics *diagnostics);

/* Fills *diagnostics unless it is NULL. */
void duress__envelope_diagnose(struct duress_envelope_diagnostics *diagnostics, enum duress_envelope_defect defect,
                               size_t offset, const char *reason);

#endif
