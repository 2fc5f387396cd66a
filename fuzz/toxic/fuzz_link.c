/* SPDX-License-Identifier: Apache-2.0
 *
 * The input is a program for one link: each step an opcode and its arguments. After each step the link's invariants are
 * checked; what is written must be the pattern that was pushed, in order. At the end the toxics go, the sinks take
 * everything, both sides end, and the link must be done. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <duress/export.h>
#include <duress/time.h>
#include <duress/toxic/link.h>

#include "link_internal.h"

/* Each id is one bit of what is on the link; ids beyond are refused by the link or never used. */
enum { FUZZ_IDS = 16, FUZZ_TICKS_MAX = 64 };

struct input {
    const uint8_t *data;
    size_t length;
};

struct fuzz {
    struct duress_link *link;
    uint64_t now_ns;
    uint64_t next_offset[DURESS_DIRECTION_COUNT];
    bool may_change_bytes;
    size_t allocations_left; /* SIZE_MAX: memory never fails */
    struct duress_allocator allocator;
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

static uint8_t take_byte(struct input *input)
{
    if (input->length == 0)
        return 0;
    input->length--;
    return *input->data++;
}

/* One byte gives small numbers, durations and the ends of the range. */
static uint64_t take_number(struct input *input)
{
    uint8_t byte = take_byte(input);
    if (byte < 64)
        return byte;
    if (byte < 192)
        return (uint64_t)(byte - 64) * DURESS_MS;
    if (byte < 224)
        return UINT64_MAX >> (byte - 192);
    return (uint64_t)take_byte(input) << (2 * (byte - 224));
}

static void *fuzz_allocate(void *context, size_t bytes)
{
    struct fuzz *fuzz = context;
    if (fuzz->allocations_left != SIZE_MAX && fuzz->allocations_left-- == 0) {
        fuzz->allocations_left = 0;
        return NULL;
    }
    return malloc(bytes);
}

static void *fuzz_reallocate(void *context, void *memory, size_t bytes)
{
    (void)context;
    return realloc(memory, bytes);
}

static void fuzz_release(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static uint8_t pattern_byte(uint64_t offset)
{
    return (uint8_t)(offset ^ (offset >> 8));
}

static struct duress_toxic take_toxic(struct fuzz *fuzz, struct input *input)
{
    uint8_t what = take_byte(input);
    struct duress_toxic toxic = {
        .id = take_byte(input) % FUZZ_IDS,
        .type = (enum duress_toxic_type)(what % 32 % (DURESS_TOXIC_TYPE_COUNT + 1)), /* one of them unknown */
        .direction = (enum duress_direction)(what >> 7),
        .toxicity_ppm = (what & 0x40) != 0 ? 500000 : DURESS_PPM,
    };
    uint64_t fields[6] = {take_number(input), take_number(input), take_number(input)};
    if ((what & 0x20) != 0) {
        toxic.since_ns = fuzz->now_ns;
        toxic.ttl_ns = take_number(input);
        toxic.period_ns = take_number(input);
        toxic.on_ns = take_number(input);
    }
    if (toxic.type > DURESS_TOXIC_CUT)
        for (int i = 3; i < 6; i++)
            fields[i] = take_number(input);
    if (toxic.type == DURESS_TOXIC_CORRUPT) {
        toxic.as.corrupt.rate_ppm = (uint32_t)fields[0];
        toxic.as.corrupt.offset_count = (uint32_t)fields[1] % 10;
        toxic.as.corrupt.offsets[0] = fields[2];
        toxic.as.corrupt.offsets[1] = fields[1];
        fuzz->may_change_bytes = true;
    } else if (toxic.type == DURESS_TOXIC_CUT) {
        toxic.as.cut.after_bytes = fields[0];
        toxic.as.cut.how = (enum duress_cut_how)(fields[1] % 3);
    } else {
        memcpy(&toxic.as, fields, sizeof fields); /* All the others are up to six numbers. */
    }
    if (toxic.type == DURESS_TOXIC_SHARED_BANDWIDTH)
        toxic.as.shared_bandwidth.pool = NULL;
    return toxic;
}

static void fuzz_push(struct fuzz *fuzz, enum duress_direction direction, uint64_t wanted)
{
    static uint8_t bytes[DURESS_LINK_CHUNK_BYTES_MAX];
    size_t room = duress_link_wants(fuzz->link, direction);
    size_t length = wanted < room ? (size_t)wanted : room;
    uint64_t offset = duress_link_stats(fuzz->link)->direction[direction].bytes_in;
    for (size_t i = 0; i < length; i++)
        bytes[i] = pattern_byte(offset + i);
    (void)duress_link_push(fuzz->link, direction, duress_slice_bytes(bytes, length), fuzz->now_ns);
}

/* Takes up to |count| pieces; true where nothing is left. */
static bool fuzz_write(struct fuzz *fuzz, enum duress_direction direction, size_t count, size_t bytes_max)
{
    for (size_t i = 0; i < count; i++) {
        struct duress_slice pending = duress_link_pending(fuzz->link, direction, fuzz->now_ns);
        if (pending.length == 0)
            return true;
        uint64_t offset = fuzz->link->pipes[direction].exit.first->offset;
        size_t length = pending.length < bytes_max ? pending.length : bytes_max;
        DURESS_ASSERT(offset >= fuzz->next_offset[direction]);
        for (size_t at = 0; at < length && !fuzz->may_change_bytes; at++)
            DURESS_ASSERT(pending.data[at] == pattern_byte(offset + at));
        fuzz->next_offset[direction] = offset + length;
        duress_link_written(fuzz->link, direction, length, fuzz->now_ns);
    }
    return false;
}

/* Up to FUZZ_TICKS_MAX steps of time, as the link wants them, or one jump. */
static void fuzz_pass_time(struct fuzz *fuzz, uint64_t jump_ns)
{
    if (jump_ns > 0) {
        fuzz->now_ns = duress_time_add(fuzz->now_ns, jump_ns);
        duress_link_tick(fuzz->link, fuzz->now_ns);
        return;
    }
    for (int i = 0; i < FUZZ_TICKS_MAX; i++) {
        uint64_t next_ns = duress_link_next_ns(fuzz->link);
        if (next_ns == DURESS_TIME_NEVER)
            return;
        DURESS_ASSERT(next_ns > fuzz->now_ns);
        fuzz->now_ns = next_ns;
        duress_link_tick(fuzz->link, next_ns);
    }
}

static void fuzz_step(struct fuzz *fuzz, struct input *input)
{
    uint8_t what = take_byte(input);
    enum duress_direction direction = (enum duress_direction)(what >> 7);
    struct duress_toxic toxic;
    switch (what % 16) {
    case 0:
    case 1:
        toxic = take_toxic(fuzz, input);
        (void)duress_link_toxic_add(fuzz->link, &toxic, fuzz->now_ns, NULL);
        break;
    case 2:
        toxic = take_toxic(fuzz, input);
        (void)duress_link_toxic_update(fuzz->link, &toxic, fuzz->now_ns, NULL);
        break;
    case 3:
        (void)duress_link_toxic_remove(fuzz->link, take_byte(input) % FUZZ_IDS, fuzz->now_ns);
        break;
    case 4:
        duress_link_end(fuzz->link, direction, fuzz->now_ns);
        break;
    case 5:
        duress_link_reset(fuzz->link, (enum duress_side)direction, fuzz->now_ns);
        break;
    case 6:
        (void)fuzz_write(fuzz, direction, 1, 1U + take_byte(input));
        break;
    case 7:
        (void)fuzz_write(fuzz, direction, take_byte(input), SIZE_MAX);
        break;
    case 8:
        fuzz_pass_time(fuzz, 0);
        break;
    case 9:
        fuzz_pass_time(fuzz, take_number(input));
        break;
    case 10:
        (void)duress_link_poll(fuzz->link, fuzz->now_ns);
        break;
    case 11:
        if (duress_link_is_transparent(fuzz->link, direction) && take_byte(input) < 8) {
            uint64_t in_bytes = duress_link_stats(fuzz->link)->direction[direction].bytes_in;
            duress_link_moved(fuzz->link, direction, 1000);
            fuzz->next_offset[direction] = in_bytes + 1000;
        }
        break;
    case 12:
        if (take_byte(input) == 255)
            duress_link_down(fuzz->link, fuzz->now_ns);
        break;
    case 13:
        if (take_byte(input) == 255)
            fuzz->allocations_left = take_byte(input);
        break;
    case 14:
        fuzz_push(fuzz, direction, 100U * take_byte(input));
        break;
    default:
        fuzz_push(fuzz, direction, take_byte(input));
        break;
    }
    duress__link_check(fuzz->link);
}

static void fuzz_finish(struct fuzz *fuzz)
{
    duress_link_dialed(fuzz->link, DURESS_OK, fuzz->now_ns);
    for (uint64_t id = 0; id < FUZZ_IDS; id++)
        (void)duress_link_toxic_remove(fuzz->link, id, fuzz->now_ns);
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++)
        while (!fuzz_write(fuzz, (enum duress_direction)i, SIZE_MAX, SIZE_MAX))
            ;
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++)
        duress_link_end(fuzz->link, (enum duress_direction)i, fuzz->now_ns);
    while (duress_link_poll(fuzz->link, fuzz->now_ns).type != DURESS_LINK_NOTHING)
        ;
    DURESS_ASSERT(duress_link_is_done(fuzz->link));
    DURESS_ASSERT(duress_link_next_ns(fuzz->link) == DURESS_TIME_NEVER);
    duress__link_check(fuzz->link);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    struct input input = {data, length};
    struct fuzz fuzz = {.allocations_left = SIZE_MAX, .now_ns = DURESS_S};
    fuzz.allocator = (struct duress_allocator){&fuzz, fuzz_allocate, fuzz_reallocate, fuzz_release};
    struct duress_link_options options = {
        .allocator = &fuzz.allocator,
        .seed = take_byte(&input),
        .buffer_bytes_max = 37U * take_byte(&input), /* 0: the default */
    };
    if (duress_link_new(&options, fuzz.now_ns, &fuzz.link, NULL) != DURESS_OK)
        return 0;
    bool is_dialed_late = take_byte(&input) % 4 == 0;
    if (!is_dialed_late)
        duress_link_dialed(fuzz.link, DURESS_OK, fuzz.now_ns);
    for (int steps = 0; input.length > 0; steps++) {
        if (is_dialed_late && steps == 3)
            duress_link_dialed(fuzz.link, DURESS_OK, fuzz.now_ns);
        fuzz_step(&fuzz, &input);
    }
    fuzz_finish(&fuzz);
    duress_link_free(fuzz.link);
    return 0;
}
