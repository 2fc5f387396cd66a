/* SPDX-License-Identifier: Apache-2.0
 *
 * The envelope: one JSON object of a fixed grammar around every message between agents (agenkit's protocol, version
 * 1.0). Read by a one-pass scanner and written by a writer of its own, both without a tree.
 *
 *   {"version":"1.0","type":T,"id":I,"timestamp":W,"payload":P}
 *
 *   request                P = {"method":…,"agent_name":…,"message":M}
 *   response, stream_chunk P = {"message":M}       M = {"role":…,"content":…,"metadata":{…},"timestamp":W}
 *   error                  P = {"error_code":…,"error_message":…,"error_details":{…},"error":{"code":…,"message":…}}
 *   the other types        P = {}
 *
 * What is read:
 * - Keys in any order and white space anywhere. A key given twice counts as its last. Unknown keys are checked and
 *   dropped. Strict JSON: no NaN, no Infinity, no comments, numbers by the grammar, valid UTF-8 only; an escaped
 *   surrogate without its other half is refused, because no UTF-8 text could stand for it.
 * - Required: version ("1.0"), type, a non-empty id, and payload, an object. A message needs a non-empty role and
 *   content. An error needs a code. A member with a meaning but of the wrong type is refused.
 * - Optional, with null as good as absent: timestamp, method, agent_name (empty), metadata, error_details ("{}"), the
 *   message's timestamp, error_message. A request without method is for the server to answer.
 * - Content that is no string is taken as its JSON text, byte for byte. Metadata and error_details stay JSON text too.
 * - An error in the flat shape (error_code, error_message, error_details), and what that lacks from the nested one.
 * - The payload of heartbeat, register, unregister and stream_end is checked as JSON and dropped.
 * - Timestamps of RFC 3339 with 0 to 9 fraction digits, Z or a numeric offset; the separator may be a space. The empty
 *   text means unknown. Before 1970 is taken as 0 (unknown), after 2554-07-21 as the last instant 64 bits can hold.
 *
 * What is written: both shapes of an error; all four keys of a message; timestamps with exactly 6 fraction digits and
 * Z; compact JSON, keys in the order above, nothing escaped that need not be; agent_name only where it is not empty.
 * What duress_envelope_encode() writes, duress_envelope_decode() reads back to the same values (times in microseconds).
 *
 * All functions here are pure and thread-safe: they touch only their arguments. */
#ifndef DURESS_WIRE_ENVELOPE_H
#define DURESS_WIRE_ENVELOPE_H

#include <stddef.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>
#include <duress/slice.h>
#include <duress/wire/buffer.h>
#include <duress/wire/frame.h>

#ifdef __cplusplus
extern "C" {
#endif

#define DURESS_ENVELOPE_VERSION "1.0"

enum duress_envelope_type {
    DURESS_ENVELOPE_NONE = 0, /* no envelope */
    DURESS_ENVELOPE_REQUEST,
    DURESS_ENVELOPE_RESPONSE,
    DURESS_ENVELOPE_ERROR,
    DURESS_ENVELOPE_HEARTBEAT,
    DURESS_ENVELOPE_REGISTER,
    DURESS_ENVELOPE_UNREGISTER,
    DURESS_ENVELOPE_STREAM_CHUNK,
    DURESS_ENVELOPE_STREAM_END,
};

#define DURESS_ENVELOPE_TYPE_END (DURESS_ENVELOPE_STREAM_END + 1)

/* One envelope as values. All slices are borrowed; members that do not belong to |type| are empty after decoding and
 * ignored when encoding. */
struct duress_envelope {
    enum duress_envelope_type type;
    struct duress_slice id; /* UTF-8, not empty */
    uint64_t timestamp_ns;  /* wall clock, since 1970-01-01 UTC; 0 = unknown (written as 1970) */

    struct duress_slice method;     /* request: "process" or "stream", unchecked */
    struct duress_slice agent_name; /* request; may be empty */

    struct duress_slice role;      /* request, response, stream_chunk: UTF-8, not empty */
    struct duress_slice content;   /* likewise: UTF-8 */
    struct duress_slice metadata;  /* likewise: text of a JSON object; empty is written as "{}" */
    uint64_t message_timestamp_ns; /* likewise; 0 = unknown */

    struct duress_slice error_code;    /* error: "EXECUTION_ERROR", … */
    struct duress_slice error_message; /* error */
    struct duress_slice error_details; /* error: text of a JSON object; empty is written as "{}" */
};

#define DURESS_ENVELOPE_DEPTH_MAX_MAX 128

/* What an envelope may cost. Checked while scanning, before anything is allocated. */
struct duress_envelope_limits {
    size_t envelope_bytes_max; /* of the whole text; 64 to 2^32 - 1 */
    size_t string_bytes_max;   /* of one string or key as it stands in the text, between its quotes; 64 or more */
    uint32_t depth_max;        /* objects and arrays inside each other, the envelope itself counted; 4 to 128 */
    uint32_t values_max;       /* values of any kind, containers and the envelope itself counted; 64 or more */
};

/* As an initialiser: 10 MiB, 10 MiB, 32 deep, 100,000 values. */
#define DURESS_ENVELOPE_LIMITS_DEFAULT                                                                                 \
    {                                                                                                                  \
        .envelope_bytes_max = DURESS_FRAME_BYTES_MAX_DEFAULT, .string_bytes_max = DURESS_FRAME_BYTES_MAX_DEFAULT,      \
        .depth_max = 32, .values_max = 100000,                                                                         \
    }

/* What is wrong with an envelope: servers answer with different codes. */
enum duress_envelope_defect {
    DURESS_DEFECT_NONE = 0,
    DURESS_DEFECT_SYNTAX,  /* no JSON, no UTF-8, or ends too early: MALFORMED_PAYLOAD on the wire */
    DURESS_DEFECT_LIMIT,   /* passes a limit: MALFORMED_PAYLOAD */
    DURESS_DEFECT_FIELD,   /* a member is missing or of the wrong type or form: INVALID_MESSAGE */
    DURESS_DEFECT_VERSION, /* a version other than 1.0: UNSUPPORTED_VERSION */
};

/* Where and why an envelope was refused. */
struct duress_envelope_diagnostics {
    enum duress_envelope_defect defect;
    size_t offset;      /* decode: bytes from the start of the input; encode: 0 */
    const char *reason; /* a few words for people, static; NULL where nothing is wrong */
};

/* The text of a type on the wire ("stream_chunk"); "none" for what is no type. Static. */
DURESS_API const char *duress_envelope_type_name(enum duress_envelope_type type);

/* Checks configured limits against the ranges above. DURESS_E_INVALID with the field's name, what was given and the
 * range in *failure (NULL allowed). */
DURESS_API DURESS_MUST_CHECK int duress_envelope_limits_check(const struct duress_envelope_limits *limits,
                                                              struct duress_failure *failure);

/* Reads |input|, the text of one envelope without its frame. |limits| NULL: the defaults.
 *
 * On DURESS_OK the slices of *envelope borrow from |input|, from |scratch| (strings that held escapes) or from static
 * memory ("{}"). |scratch| is a buffer of the caller that is cleared first and written only where it must be; keep one
 * for each connection. It never needs more bytes than |input| has, and must not hold |input|.
 *
 * DURESS_E_TRUNCATED: every byte is right so far, and more must follow. DURESS_E_MALFORMED: no more bytes could mend it
 * (limits passed included). DURESS_E_NO_MEMORY: the scratch could not grow (or has a bytes_max that is too small).
 * DURESS_E_INVALID: a NULL argument, or limits that duress_envelope_limits_check() refuses. *diagnostics (NULL allowed)
 * then says where and why; an unsupported version is MALFORMED with DURESS_DEFECT_VERSION. The envelope is then empty,
 * but for the id of what is a JSON object with a usable id: an answer can still name it. */
DURESS_API DURESS_MUST_CHECK int duress_envelope_decode(struct duress_slice input,
                                                        const struct duress_envelope_limits *limits,
                                                        struct duress_buffer *scratch, struct duress_envelope *envelope,
                                                        struct duress_envelope_diagnostics *diagnostics);

/* Appends the text of |envelope| to |buffer|, which must not hold what its slices borrow from. |limits| NULL: the
 * defaults.
 *
 * DURESS_E_INVALID: a NULL argument, bad limits, no type, no id, no role, a text that is not UTF-8, metadata or details
 * that are not the text of a JSON object (or pass the limits inside the envelope). DURESS_E_TOO_LARGE: longer than
 * envelope_bytes_max, or a string longer than string_bytes_max, or the buffer's bytes_max. DURESS_E_NO_MEMORY.
 * The buffer is then as it was; *diagnostics (NULL allowed) says why. Never writes what decode would refuse. */
DURESS_API DURESS_MUST_CHECK int duress_envelope_encode(const struct duress_envelope *envelope,
                                                        const struct duress_envelope_limits *limits,
                                                        struct duress_buffer *buffer,
                                                        struct duress_envelope_diagnostics *diagnostics);

/* duress_envelope_encode() as a whole frame: head and text in one contiguous run. */
DURESS_API DURESS_MUST_CHECK int duress_envelope_encode_framed(const struct duress_envelope *envelope,
                                                               const struct duress_envelope_limits *limits,
                                                               struct duress_buffer *buffer,
                                                               struct duress_envelope_diagnostics *diagnostics);

/* Whether |text| may go out as metadata: the text of one JSON object, from its first brace to its last, within |limits|
 * (NULL: the defaults) as it stands three containers deep inside an envelope. DURESS_E_INVALID for bad limits, else
 * DURESS_OK, DURESS_E_MALFORMED or
 * DURESS_E_TRUNCATED, with the place in *diagnostics (NULL allowed). */
DURESS_API DURESS_MUST_CHECK int duress_envelope_metadata_check(struct duress_slice text,
                                                                const struct duress_envelope_limits *limits,
                                                                struct duress_envelope_diagnostics *diagnostics);

#ifdef __cplusplus
}
#endif

#endif
