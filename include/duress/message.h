/* SPDX-License-Identifier: Apache-2.0
 *
 * A message: a role, content, metadata and a time stamp, as agenkit's agents exchange them. Immutable once made, and
 * counted: share it freely, between threads too. One allocation each. */
#ifndef DURESS_MESSAGE_H
#define DURESS_MESSAGE_H

#include <stdint.h>

#include <duress/allocator.h>
#include <duress/export.h>
#include <duress/slice.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_message; /* opaque */

struct duress_message_options {
    struct duress_slice role;     /* "user", "agent", "system", "tool", …; empty = "user"; at most 64 bytes */
    struct duress_slice content;  /* bytes; a remote agent refuses what is not UTF-8 before it sends */
    struct duress_slice metadata; /* the text of a JSON object; empty = "{}". Checked where it crosses a wire */
    uint64_t timestamp_ns;        /* wall clock, nanoseconds since 1970-01-01 UTC; 0 = unknown */
    const struct duress_allocator *allocator; /* borrowed, outlives the message; NULL for the default */
};

/* Copies everything in |options| into a new message with one reference in *message. Returns, free with
 * duress_message_unref(). DURESS_E_NO_MEMORY, DURESS_E_INVALID (NULL argument, role too long). */
DURESS_API DURESS_MUST_CHECK int duress_message_new(const struct duress_message_options *options,
                                                    struct duress_message **message);

/* duress_message_new() with role "user" and |text| as content. */
DURESS_API DURESS_MUST_CHECK int duress_message_text(const char *text, struct duress_message **message);

/* Takes one reference more and returns |message|. Thread-safe. */
DURESS_API struct duress_message *duress_message_ref(struct duress_message *message);

/* Gives one reference back; the last one frees. NULL is allowed. Thread-safe. */
DURESS_API void duress_message_unref(struct duress_message *message);

/* What it holds, borrowed for as long as the caller holds a reference. */
DURESS_API struct duress_slice duress_message_role(const struct duress_message *message);
DURESS_API struct duress_slice duress_message_content(const struct duress_message *message);
DURESS_API struct duress_slice duress_message_metadata(const struct duress_message *message);
DURESS_API uint64_t duress_message_timestamp_ns(const struct duress_message *message);

#ifdef __cplusplus
}
#endif

#endif
