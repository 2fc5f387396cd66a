/* SPDX-License-Identifier: Apache-2.0 */
#include "wire_test_support.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <duress/wire/utf8.h>

static bool allocation_fails(struct test_allocator *test)
{
    test->calls++;
    return test->fail_at != 0 && test->calls >= test->fail_at;
}

static void allocation_count(struct test_allocator *test, void *memory)
{
    test->live_count++;
    test->bytes_live += malloc_usable_size(memory);
    if (test->bytes_live > test->bytes_peak)
        test->bytes_peak = test->bytes_live;
}

static void test_release(void *context, void *memory)
{
    struct test_allocator *test = context;
    if (memory == NULL)
        return;
    test->live_count--;
    test->bytes_live -= malloc_usable_size(memory);
    free(memory);
}

static void *test_allocate(void *context, size_t bytes)
{
    struct test_allocator *test = context;
    assert_true(bytes > 0);
    if (allocation_fails(test))
        return NULL;
    void *memory = malloc(bytes);
    assert_non_null(memory);
    allocation_count(test, memory);
    return memory;
}

static void *test_reallocate(void *context, void *memory, size_t bytes)
{
    void *moved = test_allocate(context, bytes);
    if (moved == NULL || memory == NULL)
        return moved;
    size_t old_bytes = malloc_usable_size(memory);
    memcpy(moved, memory, old_bytes < bytes ? old_bytes : bytes);
    test_release(context, memory);
    return moved;
}

void test_allocator_init(struct test_allocator *test)
{
    *test = (struct test_allocator){
        .allocator = {.context = test,
                      .allocate = test_allocate,
                      .reallocate = test_reallocate,
                      .release = test_release},
    };
}

static size_t page_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

void test_guard_open(struct test_guard *guard, size_t bytes_max)
{
    size_t page = page_bytes();
    guard->bytes = (bytes_max + page - 1) / page * page;
    guard->pages = mmap(NULL, guard->bytes + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(guard->pages != MAP_FAILED);
    assert_int_equal(mprotect(guard->pages + page, guard->bytes, PROT_READ | PROT_WRITE), 0);
}

void test_guard_close(struct test_guard *guard)
{
    assert_int_equal(munmap(guard->pages, guard->bytes + 2 * page_bytes()), 0);
}

struct duress_slice test_guard_at_end(struct test_guard *guard, struct duress_slice text)
{
    assert_true(text.length <= guard->bytes);
    uint8_t *at = guard->pages + page_bytes() + guard->bytes - text.length;
    if (text.length > 0)
        memcpy(at, text.data, text.length);
    return duress_slice_bytes(at, text.length);
}

struct duress_slice test_guard_at_start(struct test_guard *guard, struct duress_slice text)
{
    assert_true(text.length <= guard->bytes);
    uint8_t *at = guard->pages + page_bytes();
    if (text.length > 0)
        memcpy(at, text.data, text.length);
    return duress_slice_bytes(at, text.length);
}

size_t test_text_draw(struct duress_prng *prng, uint8_t *out, size_t bytes_max)
{
    /* Every length of UTF-8, the corners of its ranges, and all that a JSON string must escape. */
    static const char *const pieces[] = {"a",
                                         "plain words, no mark at all",
                                         "\"",
                                         "\\",
                                         "/",
                                         "\b",
                                         "\f",
                                         "\n",
                                         "\r",
                                         "\t",
                                         "\x01",
                                         "\x1f",
                                         "\x7f",
                                         "\xc2\x80",
                                         "\xdf\xbf",
                                         "\xe0\xa0\x80",
                                         "\xed\x9f\xbf",
                                         "\xee\x80\x80",
                                         "\xef\xbf\xbf",
                                         "\xf0\x90\x80\x80",
                                         "\xf4\x8f\xbf\xbf",
                                         "\xe2\x82\xac",
                                         "<&>",
                                         "\xe2\x80\xa8"};
    size_t target = (size_t)duress_prng_between(prng, 0, bytes_max);
    size_t length = 0;
    while (length < target) {
        const char *piece = pieces[duress_prng_below(prng, sizeof pieces / sizeof pieces[0])];
        size_t count = strlen(piece);
        if (length + count > bytes_max)
            break;
        memcpy(out + length, piece, count);
        length += count;
        if (length < target && duress_prng_chance(prng, 20000))
            out[length++] = '\0';
    }
    return length;
}

size_t test_object_draw(struct duress_prng *prng, uint8_t *out, size_t bytes_max)
{
    static const char *const members[] = {"\"n\":-12.5e+3",
                                          "\"big\":12345678901234567890",
                                          "\"s\":\"a\\u20ac\\n\\\"\"",
                                          "\"t\" : true",
                                          "\"f\":false",
                                          "\"z\":null",
                                          "\"o\":{\"p\":{\"q\":[]}}",
                                          "\"l\":[1,[2,[3]],{}]",
                                          "\"k\xc3\xa4\":0",
                                          "\"n\":0.0E-0"};
    size_t length = 0;
    out[length++] = '{';
    for (uint64_t count = duress_prng_below(prng, 8); count > 0; count--) {
        const char *member = members[duress_prng_below(prng, sizeof members / sizeof members[0])];
        if (length + strlen(member) + 2 > bytes_max)
            break;
        if (length > 1)
            out[length++] = ',';
        memcpy(out + length, member, strlen(member));
        length += strlen(member);
    }
    out[length++] = '}';
    return length;
}

static struct duress_slice text_next(struct duress_prng *prng, uint8_t **memory, size_t bytes_max, bool required)
{
    size_t length = test_text_draw(prng, *memory, bytes_max);
    if (required && length == 0)
        (*memory)[length++] = 'x';
    struct duress_slice text = {*memory, length};
    *memory += length;
    return text;
}

static struct duress_slice object_next(struct duress_prng *prng, uint8_t **memory, size_t bytes_max)
{
    size_t length = test_object_draw(prng, *memory, bytes_max);
    struct duress_slice text = {*memory, length};
    *memory += length;
    return text;
}

static uint64_t instant_draw(struct duress_prng *prng)
{
    switch (duress_prng_below(prng, 8)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX - duress_prng_below(prng, 1000);
    default:
        return duress_prng_next(prng);
    }
}

void test_envelope_draw(struct duress_prng *prng, uint8_t *memory, size_t text_bytes_max,
                        struct duress_envelope *envelope)
{
    memset(envelope, 0, sizeof *envelope);
    envelope->type = (enum duress_envelope_type)duress_prng_between(prng, 1, DURESS_ENVELOPE_TYPE_END - 1);
    envelope->id = text_next(prng, &memory, text_bytes_max, true);
    envelope->timestamp_ns = instant_draw(prng);
    if (envelope->type == DURESS_ENVELOPE_ERROR) {
        envelope->error_code = text_next(prng, &memory, text_bytes_max, true);
        envelope->error_message = text_next(prng, &memory, text_bytes_max, false);
        envelope->error_details = object_next(prng, &memory, text_bytes_max);
        return;
    }
    if (envelope->type == DURESS_ENVELOPE_REQUEST) {
        envelope->method = text_next(prng, &memory, text_bytes_max, false);
        envelope->agent_name = text_next(prng, &memory, text_bytes_max, false);
    }
    if (envelope->type == DURESS_ENVELOPE_REQUEST || envelope->type == DURESS_ENVELOPE_RESPONSE ||
        envelope->type == DURESS_ENVELOPE_STREAM_CHUNK) {
        envelope->role = text_next(prng, &memory, text_bytes_max, true);
        envelope->content = text_next(prng, &memory, text_bytes_max, false);
        envelope->metadata = object_next(prng, &memory, text_bytes_max);
        envelope->message_timestamp_ns = instant_draw(prng);
    }
}

void test_envelope_assert_equal(const struct duress_envelope *a, const struct duress_envelope *b)
{
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->timestamp_ns / 1000, b->timestamp_ns / 1000);
    assert_int_equal(a->message_timestamp_ns / 1000, b->message_timestamp_ns / 1000);
    assert_true(duress_slice_equal(a->id, b->id));
    assert_true(duress_slice_equal(a->method, b->method));
    assert_true(duress_slice_equal(a->agent_name, b->agent_name));
    assert_true(duress_slice_equal(a->role, b->role));
    assert_true(duress_slice_equal(a->content, b->content));
    assert_true(duress_slice_equal(a->metadata, b->metadata));
    assert_true(duress_slice_equal(a->error_code, b->error_code));
    assert_true(duress_slice_equal(a->error_message, b->error_message));
    assert_true(duress_slice_equal(a->error_details, b->error_details));
}

void test_envelope_assert_sound(const struct duress_envelope *envelope)
{
    bool error = envelope->type == DURESS_ENVELOPE_ERROR;
    bool message = envelope->type == DURESS_ENVELOPE_REQUEST || envelope->type == DURESS_ENVELOPE_RESPONSE ||
                   envelope->type == DURESS_ENVELOPE_STREAM_CHUNK;
    assert_in_range(envelope->type, DURESS_ENVELOPE_REQUEST, DURESS_ENVELOPE_TYPE_END - 1);
    assert_true(envelope->id.length > 0);
    assert_int_equal(envelope->role.length > 0, message);
    assert_int_equal(envelope->metadata.length > 0, message);
    assert_int_equal(envelope->error_code.length > 0, error);
    assert_int_equal(envelope->error_details.length > 0, error);
    const struct duress_slice texts[] = {envelope->id,           envelope->method,  envelope->agent_name,
                                         envelope->role,         envelope->content, envelope->error_code,
                                         envelope->error_message};
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++)
        assert_true(duress_utf8_is_valid(texts[index]));
    if (message)
        assert_int_equal(duress_envelope_metadata_check(envelope->metadata, NULL, NULL), DURESS_OK);
}

void test_slice_assert(struct duress_slice slice, const char *text)
{
    if (!duress_slice_is(slice, text))
        fail_msg("\"%.*s\" is not \"%s\"", (int)slice.length, (const char *)slice.data, text);
}
