/* SPDX-License-Identifier: Apache-2.0
 *
 * The reader of event streams: each case whole, byte by byte and split at random, against what a plain model that has
 * the whole text says. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <duress/prng.h>

#include "event_stream.h"
#include "probe_heap.h"

enum { EVENT_BYTES_MAX = 64 };

/* Events as text: each in brackets; and how it ended. */
struct seen {
    char text[4096];
    size_t length;
    int error;
};

static void seen_add(struct seen *seen, struct duress_slice event)
{
    seen->length += (size_t)snprintf(seen->text + seen->length, sizeof seen->text - seen->length, "[%.*s]",
                                     (int)event.length, (const char *)event.data);
}

/* The model: splits at newlines, looks at each line. */
static void model(const char *text, size_t length, struct seen *seen)
{
    char data[4096];
    size_t data_length = 0;
    const char *end = text + length;
    *seen = (struct seen){.error = DURESS_E_AGAIN};
    for (;;) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        if (newline == NULL)
            break;
        size_t line = (size_t)(newline - text);
        size_t bare = line > 0 && text[line - 1] == '\r' ? line - 1 : line;
        if (bare == 0 && data_length > 0) {
            seen_add(seen, duress_slice_bytes(data, data_length));
            data_length = 0;
        } else if (bare >= 5 && memcmp(text, "data:", 5) == 0) {
            size_t skip = bare > 5 && text[5] == ' ' ? 6 : 5;
            memcpy(data + data_length, text + skip, bare - skip);
            data_length += bare - skip;
        }
        text = newline + 1;
    }
}

static void feed(struct event_stream *stream, const char *text, size_t length, struct seen *seen)
{
    /* In memory of its own, so that a sanitizer sees a step too far. */
    uint8_t *copy = malloc(length > 0 ? length : 1);
    assert_non_null(copy);
    memcpy(copy, text, length);
    struct duress_slice input = duress_slice_bytes(copy, length);
    struct duress_slice event;
    while ((seen->error = duress__event_stream_next(stream, &input, &event)) == DURESS_OK)
        seen_add(seen, event);
    free(copy);
}

static void read_split(const char *text, size_t length, struct duress_prng *prng, struct seen *seen)
{
    struct event_stream stream;
    *seen = (struct seen){.error = DURESS_OK};
    duress__event_stream_init(&stream, 4096, NULL);
    while (length > 0) {
        size_t piece = prng == NULL ? 1 : (size_t)duress_prng_between(prng, 1, length);
        feed(&stream, text, piece, seen);
        text += piece;
        length -= piece;
    }
    duress__event_stream_close(&stream);
}

static void assert_reads(const char *text, size_t length)
{
    struct seen expected;
    struct seen seen = {.error = DURESS_OK};
    struct event_stream stream;
    struct duress_prng prng;
    model(text, length, &expected);
    duress__event_stream_init(&stream, 4096, NULL);
    feed(&stream, text, length, &seen);
    duress__event_stream_close(&stream);
    assert_string_equal(seen.text, expected.text);
    assert_int_equal(seen.error, DURESS_E_AGAIN);
    read_split(text, length, NULL, &seen);
    assert_string_equal(seen.text, expected.text);
    duress_prng_init(&prng, length, 1);
    for (int i = 0; i < 20; i++) {
        read_split(text, length, &prng, &seen);
        assert_string_equal(seen.text, expected.text);
    }
}

static void events_are_their_data_however_they_arrive(void **state)
{
    static const struct {
        const char *text;
        const char *events;
    } rows[] = {
        {"data: {}\n\n", "[{}]"},
        {"data: a\n\ndata: b\n\n", "[a][b]"},
        {"data: a\r\n\r\ndata: b\r\n\r\n", "[a][b]"},
        {"data:a\n\n", "[a]"},
        {"data:  a \n\n", "[ a ]"},
        {"data: a\ndata: b\n\n", "[ab]"},
        {": comment\nevent: x\nid: 3\nretry: 10\ndata: a\nfoo\n\n", "[a]"},
        {"\n\n\ndata: a\n\n\n\n", "[a]"},
        {"data\n\ndata:\n\ndata: \n\n", ""},
        {"xdata: a\n\n", ""},
        {"data: a\n", ""},
        {"data: a\n\ndata: left over", "[a]"},
        {"", ""},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct seen expected;
        model(rows[i].text, strlen(rows[i].text), &expected);
        assert_string_equal(expected.text, rows[i].events);
        assert_reads(rows[i].text, strlen(rows[i].text));
    }
}

/* All texts of up to 8 symbols over what matters. */
static void every_short_text_reads_as_the_model_says(void **state)
{
    static const char *const symbols[] = {"data:", " ", "x", "\r", "\n", "data: y\n"};
    enum { SYMBOLS = 6, LONGEST = 7 };
    (void)state;
    for (uint32_t length = 1, count = SYMBOLS; length <= LONGEST; length++, count *= SYMBOLS)
        for (uint32_t number = 0; number < count; number += length < 6 ? 1 : 7) {
            char text[128] = "";
            uint32_t rest = number;
            size_t bytes = 0;
            for (uint32_t i = 0; i < length; i++, rest /= SYMBOLS) {
                size_t symbol = strlen(symbols[rest % SYMBOLS]);
                memcpy(text + bytes, symbols[rest % SYMBOLS], symbol + 1);
                bytes += symbol;
            }
            struct seen expected;
            struct seen seen = {.error = DURESS_OK};
            model(text, bytes, &expected);
            read_split(text, bytes, NULL, &seen);
            assert_string_equal(seen.text, expected.text);
        }
}

static int read_of(const char *filling, size_t count, const char *tail, struct probe_heap *heap)
{
    struct event_stream stream;
    struct seen seen = {.error = DURESS_OK};
    char text[1024] = "";
    size_t length = 0;
    duress__event_stream_init(&stream, EVENT_BYTES_MAX, &heap->allocator);
    for (size_t i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s", filling);
    length += (size_t)snprintf(text + length, sizeof text - length, "%s", tail);
    for (size_t i = 0; i < length && (seen.error == DURESS_OK || seen.error == DURESS_E_AGAIN); i++)
        feed(&stream, text + i, 1, &seen);
    int error = seen.error;
    if (error != DURESS_E_AGAIN) { /* final */
        struct duress_slice input = duress_slice_text("\n\ndata: x\n\n");
        struct duress_slice event;
        assert_int_equal(duress__event_stream_next(&stream, &input, &event), error);
    }
    duress__event_stream_close(&stream);
    assert_int_equal(heap->live_count, 0);
    return error;
}

static void lines_and_events_have_a_limit(void **state)
{
    struct probe_heap heap;
    (void)state;
    probe_heap_init(&heap, UINT64_MAX);
    assert_int_equal(read_of("x", 500, "", &heap), DURESS_E_MALFORMED);
    assert_int_equal(read_of("data: 0123456789\n", 6, "\n", &heap), DURESS_E_AGAIN);
    assert_int_equal(read_of("data: 0123456789\n", 7, "\n", &heap), DURESS_E_MALFORMED);
    assert_int_equal(read_of("data: 0123456789\n\n", 50, "", &heap), DURESS_E_AGAIN);
    assert_int_equal(read_of(": 0123456789\n", 70, "", &heap), DURESS_E_AGAIN);
    assert_true(heap.largest_bytes <= 256);
}

static void out_of_memory_is_said(void **state)
{
    (void)state;
    for (uint64_t after = 0;; after++) {
        struct probe_heap heap;
        probe_heap_init(&heap, after);
        int error = read_of("data: 0123456789\n\n", 3, "", &heap);
        assert_int_equal(error, heap.tripped ? DURESS_E_NO_MEMORY : DURESS_E_AGAIN);
        if (!heap.tripped)
            return;
    }
}

static void a_restart_forgets_the_stream_before(void **state)
{
    struct event_stream stream;
    struct seen seen = {.error = DURESS_OK};
    (void)state;
    duress__event_stream_init(&stream, EVENT_BYTES_MAX, NULL);
    feed(&stream, "data: old\ndat", 13, &seen);
    duress__event_stream_restart(&stream, 0);
    feed(&stream, "data: new\n\n", 11, &seen);
    assert_string_equal(seen.text, "[new]");
    duress__event_stream_close(&stream);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(events_are_their_data_however_they_arrive),
        cmocka_unit_test(every_short_text_reads_as_the_model_says),
        cmocka_unit_test(lines_and_events_have_a_limit),
        cmocka_unit_test(out_of_memory_is_said),
        cmocka_unit_test(a_restart_forgets_the_stream_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
