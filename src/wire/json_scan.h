/* SPDX-License-Identifier: Apache-2.0
 *
 * A scanner of JSON text (RFC 8259) that checks all of it and keeps nothing: callers are shown each member of an object
 * and scan its value where it stands. Private to wire/. Recursion is bounded by depth_max. */
#ifndef DURESS_WIRE_JSON_SCAN_H
#define DURESS_WIRE_JSON_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/slice.h>
#include <duress/wire/envelope.h>

/* Any key that the grammar knows is shorter, even with each character escaped. */
#define JSON_KEY_BYTES_MAX 96

enum json_kind {
    JSON_ABSENT = 0,
    JSON_STRING,
    JSON_NUMBER,
    JSON_LITERAL, /* true, false */
    JSON_NULL,
    JSON_OBJECT,
    JSON_ARRAY,
};

/* One value where it stands in the text. */
struct json_field {
    enum json_kind kind;
    bool escaped;         /* a string with at least one escape */
    const uint8_t *start; /* of a string without its quotation marks, of all else with its brackets */
    size_t length;
};

struct json_scan {
    const uint8_t *start;
    const uint8_t *at;
    const uint8_t *end;
    size_t string_bytes_max;
    uint32_t depth_max;
    uint32_t depth;
    uint32_t values_left;

    int code; /* why the scan failed, and where */
    enum duress_envelope_defect defect;
    const uint8_t *place;
    const char *reason;

    uint8_t key[JSON_KEY_BYTES_MAX]; /* the last key that held escapes */
};

/* Is shown the key of a member (unescaped, borrowed for the call; empty where it is longer than any known one) and
 * scans its value, which the scan stands before. Returns false where that failed. */
typedef bool (*json_member_fn)(struct json_scan *scan, void *context, struct duress_slice key);

/* All functions below return false where the scan failed; |code|, |defect|, |place| and |reason| are then set. */

void duress__json_scan_init(struct json_scan *scan, struct duress_slice text,
                            const struct duress_envelope_limits *limits);

/* Skips white space; fails as truncated where nothing follows. */
bool duress__json_scan_peek(struct json_scan *scan);

/* Scans the object whose brace the scan stands at, and shows each member to |member|. */
bool duress__json_scan_object(struct json_scan *scan, json_member_fn member, void *context);

/* Scans the value that follows, whatever it is, and says in *field what and where it was. */
bool duress__json_scan_value(struct json_scan *scan, struct json_field *field);

/* As duress__json_scan_value(), but shows the members of an object to |member|. */
bool duress__json_scan_value_members(struct json_scan *scan, struct json_field *field, json_member_fn member,
                                     void *context);

/* Checks that nothing but white space is left. */
bool duress__json_scan_finish(struct json_scan *scan);

/* Writes the meaning of |length| bytes of a string that was scanned to |out|, which has room for as many, and returns
 * how many it took. */
size_t duress__json_unescape(const uint8_t *start, size_t length, uint8_t *out);

#endif
