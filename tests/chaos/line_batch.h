/* SPDX-License-Identifier: Apache-2.0
 *
 * A batch as one message for the tests: each item a line. A reply has a line for each item in the same order; the line
 * "bad" fails its item, and a line that is not there is forgotten. The functions' context is the messages' allocator.
 */
#ifndef DURESS_TESTS_LINE_BATCH_H
#define DURESS_TESTS_LINE_BATCH_H

#include <string.h>

#include <duress/middleware/batch.h>

enum { LINE_BATCH_BYTES_MAX = 4096 };

static inline int line_batch_encode(void *context, const struct duress_batch_run *run, struct duress_message **combined)
{
    char text[LINE_BATCH_BYTES_MAX];
    size_t length = 0;
    for (size_t i = 0; i < run->count; i++) {
        struct duress_slice content = duress_message_content(run->requests[i]);
        if (content.length + 1 > sizeof text - length)
            return DURESS_E_TOO_LARGE;
        if (i > 0)
            text[length++] = '\n';
        memcpy(text + length, content.data, content.length);
        length += content.length;
    }
    struct duress_message_options options = {.content = duress_slice_bytes(text, length),
                                             .allocator = (const struct duress_allocator *)context};
    return duress_message_new(&options, combined);
}

static inline void line_batch_answer(const struct duress_allocator *allocator, struct duress_batch_run *run,
                                     size_t index, struct duress_slice line)
{
    struct duress_failure failure;
    struct duress_message *reply = NULL;
    struct duress_message_options options = {
        .role = duress_slice_text("agent"), .content = line, .allocator = allocator};
    if (duress_slice_is(line, "bad")) {
        duress_failure_set(&failure, DURESS_E_REMOTE, DURESS_ORIGIN_PEER, "bad item");
        duress_batch_run_fail(run, index, &failure);
    } else if (duress_message_new(&options, &reply) == DURESS_OK) {
        duress_batch_run_reply(run, index, reply);
        duress_message_unref(reply);
    }
}

static inline void line_batch_decode(void *context, struct duress_message *reply, struct duress_batch_run *run)
{
    struct duress_slice rest = duress_message_content(reply);
    for (size_t i = 0; i < run->count && rest.length > 0; i++) {
        const uint8_t *end = (const uint8_t *)memchr(rest.data, '\n', rest.length);
        size_t length = end != NULL ? (size_t)(end - rest.data) : rest.length;
        line_batch_answer((const struct duress_allocator *)context, run, i, duress_slice_bytes(rest.data, length));
        if (end == NULL)
            return;
        rest = duress_slice_bytes(end + 1, rest.length - length - 1);
    }
}

#endif
