/* SPDX-License-Identifier: Apache-2.0
 *
 * JSON as Toxiproxy writes it: compact, keys in the order in which they are put, and <, >, & and the two line
 * separators of Unicode as \u escapes. Private to daemon/. */
#ifndef DURESS_DAEMON_JSON_OUT_H
#define DURESS_DAEMON_JSON_OUT_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/wire/buffer.h>

/* Appends to |buffer| until something fails, which |error| keeps: a caller looks once, at the end. */
struct json_out {
    struct duress_buffer *buffer;
    int error;
};

/* Bytes as they are: punctuation, keys. */
void duress__json_raw(struct json_out *out, const char *text);
/* A string with its quotes. What is no UTF-8 becomes U+FFFD. */
void duress__json_string(struct json_out *out, const char *text);
/* "key": and then the string. |key| is written as it is. */
void duress__json_member(struct json_out *out, const char *key, const char *text);
void duress__json_integer(struct json_out *out, int64_t value);
void duress__json_unsigned(struct json_out *out, uint64_t value);
void duress__json_bool(struct json_out *out, bool value);
/* The shortest text that reads back as the same 32-bit float; |value| is finite. */
void duress__json_float(struct json_out *out, float value);
/* The same for 64 bits. */
void duress__json_double(struct json_out *out, double value);

#endif
