/* SPDX-License-Identifier: Apache-2.0 */
#include "link_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory ---- */

static bool heap_must_fail(struct rig_heap *heap)
{
    size_t number = heap->made_count++;
    if (number != heap->fail_at && !(heap->fails_on && number > heap->fail_at))
        return false;
    heap->has_failed = true;
    return true;
}

static void *heap_allocate(void *context, size_t bytes)
{
    struct rig_heap *heap = context;
    if (heap_must_fail(heap))
        return NULL;
    void *memory = malloc(bytes);
    assert_non_null(memory);
    heap->live_count++;
    return memory;
}

static void *heap_reallocate(void *context, void *memory, size_t bytes)
{
    struct rig_heap *heap = context;
    if (memory == NULL)
        return heap_allocate(context, bytes);
    return heap_must_fail(heap) ? NULL : realloc(memory, bytes);
}

static void heap_release(void *context, void *memory)
{
    struct rig_heap *heap = context;
    if (memory == NULL)
        return;
    assert_true(heap->live_count > 0);
    heap->live_count--;
    free(memory);
}

void rig_heap_init(struct rig_heap *heap, size_t fail_at, bool fails_on)
{
    *heap = (struct rig_heap){
        .base = {heap, heap_allocate, heap_reallocate, heap_release},
        .fail_at = fail_at,
        .fails_on = fails_on,
    };
}

/* ---- text ---- */

static void text_add(struct rig_text *text, const char *what, uint64_t at_ns)
{
    char instant[48];
    int length = snprintf(instant, sizeof instant, "%" PRIu64 ".%06" PRIu64, at_ns / DURESS_MS, at_ns % DURESS_MS);
    while (instant[length - 1] == '0')
        length--;
    if (instant[length - 1] == '.')
        length--;
    instant[length] = '\0';
    size_t room = sizeof text->text - text->length;
    int added = snprintf(text->text + text->length, room, "%s%s@%s", text->length > 0 ? " " : "", what, instant);
    text->length = (size_t)added < room ? text->length + (size_t)added : sizeof text->text - 1;
}

/* ---- the digest ---- */

static void digest_add(uint64_t *digest, uint64_t value)
{
    *digest = duress_prng_mix(*digest, value);
}

static void digest_add_queue(uint64_t *digest, const struct chunk_queue *queue)
{
    digest_add(digest, queue->count);
    digest_add(digest, queue->bytes);
}

uint64_t rig_link_digest(const struct duress_link *link)
{
    uint64_t digest = link->state;
    digest_add(&digest, link->opening_next_ns);
    uint64_t words[sizeof link->stats / sizeof(uint64_t)]; /* padding too, which the link zeroed once */
    memcpy(words, &link->stats, sizeof words);
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        digest_add(&digest, words[i]);
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++) {
        const struct pipe *pipe = &link->pipes[i];
        digest_add(&digest, pipe->next_ns);
        digest_add(&digest, pipe->mark * 8U + pipe->mark_place);
        digest_add_queue(&digest, &pipe->exit);
        for (const struct stage *stage = pipe->first; stage != NULL; stage = stage->next) {
            digest_add(&digest, pipe->mark_stage == stage);
            digest_add(&digest, stage->wake_ns);
            digest_add(&digest, stage->turn_ns);
            digest_add(&digest, stage->prng.state[0]);
            digest_add_queue(&digest, &stage->queue);
        }
    }
    for (int i = 0; i < DURESS_SIDE_COUNT; i++) {
        const struct link_side *side = &link->sides[i];
        digest_add(&digest, side->ending * 4U + side->is_ending_owed * 2U + side->is_shutdown_owed);
    }
    return digest;
}

/* ---- the driver ---- */

uint8_t rig_byte(enum duress_direction direction, uint64_t offset)
{
    /* A counter of four bytes, as the acceptance checklist has it: any hole or swap shows. */
    uint64_t counter = offset / 4 + (direction == DURESS_UPSTREAM ? 0 : 0x40000000);
    return (uint8_t)(counter >> (8 * (offset % 4)));
}

void rig_write_some(struct rig *rig, enum duress_direction direction, size_t bytes)
{
    struct duress_slice pending = duress_link_pending(rig->link, direction, rig->now_ns);
    assert_in_range(bytes, 1, pending.length);
    uint64_t offset = rig->link->pipes[direction].exit.first->offset;
    assert_true(offset >= rig->next_offset[direction]);
    assert_true(offset == rig->next_offset[direction] || rig->is_hole_allowed[direction]);
    for (size_t i = 0; i < bytes && !rig->is_change_allowed[direction]; i++)
        assert_int_equal(pending.data[i], rig_byte(direction, offset + i));
    memcpy(rig->last_written, pending.data, bytes);
    rig->last_written_bytes = bytes;
    rig->written_bytes[direction] += bytes;
    rig->next_offset[direction] = offset + bytes;
    char text[24];
    (void)snprintf(text, sizeof text, "%zu", bytes);
    text_add(&rig->writes[direction], text, rig->now_ns);
    duress_link_written(rig->link, direction, bytes, rig->now_ns);
}

static void rig_write(struct rig *rig, enum duress_direction direction)
{
    for (;;) {
        size_t bytes = duress_link_pending(rig->link, direction, rig->now_ns).length;
        if (bytes == 0)
            return;
        rig_write_some(rig, direction, bytes);
    }
}

static const char *action_name(struct duress_link_action action)
{
    bool is_client = action.side == DURESS_SIDE_CLIENT;
    switch (action.type) {
    case DURESS_LINK_SHUTDOWN:
        return is_client ? "shutdown-client" : "shutdown-server";
    case DURESS_LINK_CLOSE:
        return is_client ? "close-client" : "close-server";
    case DURESS_LINK_RESET:
        return is_client ? "reset-client" : "reset-server";
    case DURESS_LINK_NOTHING:
        break;
    }
    return "nothing";
}

void rig_outputs(struct rig *rig)
{
    duress__link_check(rig->link);
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++)
        if (!rig->is_stalled[i])
            rig_write(rig, (enum duress_direction)i);
    for (;;) {
        struct duress_link_action action = duress_link_poll(rig->link, rig->now_ns);
        if (action.type == DURESS_LINK_NOTHING)
            break;
        text_add(&rig->actions, action_name(action), rig->now_ns);
    }
    duress__link_check(rig->link);
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++) {
        const struct duress_link_direction_stats *stats = rig_stats(rig, (enum duress_direction)i);
        size_t held_bytes = duress_link_buffered_bytes(rig->link, (enum duress_direction)i);
        assert_int_equal(stats->bytes_in, stats->bytes_out + stats->bytes_dropped + held_bytes);
    }
}

void rig_open_dialing(struct rig *rig, const struct duress_link_options *options)
{
    memset(rig, 0, sizeof *rig);
    rig_heap_init(&rig->heap, RIG_FAIL_NEVER, false);
    struct duress_link_options own = *options;
    own.allocator = &rig->heap.base;
    struct duress_failure why;
    assert_int_equal(duress_link_new(&own, 0, &rig->link, &why), DURESS_OK);
}

void rig_open(struct rig *rig, const struct duress_toxic *toxics, size_t toxic_count)
{
    struct duress_link_options options = {.seed = 7, .toxics = toxics, .toxic_count = toxic_count};
    rig_open_dialing(rig, &options);
    duress_link_dialed(rig->link, DURESS_OK, 0);
    rig_outputs(rig);
}

void rig_dial(struct rig *rig)
{
    assert_true(duress_link_wants_dial(rig->link));
    duress_link_dialed(rig->link, DURESS_OK, rig->now_ns);
    assert_false(duress_link_wants_dial(rig->link));
    rig_outputs(rig);
}

void rig_close(struct rig *rig)
{
    duress_link_free(rig->link);
    assert_int_equal(rig->heap.live_count, 0);
}

void rig_push(struct rig *rig, enum duress_direction direction, size_t bytes)
{
    static uint8_t chunk[DURESS_LINK_CHUNK_BYTES_MAX];
    while (bytes > 0) {
        size_t wanted = duress_link_wants(rig->link, direction);
        assert_true(wanted > 0);
        size_t length = bytes < wanted ? bytes : wanted;
        for (size_t i = 0; i < length; i++)
            chunk[i] = rig_byte(direction, rig->pushed_bytes[direction] + i);
        struct duress_slice slice = duress_slice_bytes(chunk, length);
        assert_int_equal(duress_link_push(rig->link, direction, slice, rig->now_ns), DURESS_OK);
        rig->pushed_bytes[direction] += length;
        bytes -= length;
        rig_outputs(rig);
    }
}

void rig_end(struct rig *rig, enum duress_direction direction)
{
    duress_link_end(rig->link, direction, rig->now_ns);
    rig_outputs(rig);
}

void rig_reset(struct rig *rig, enum duress_side side)
{
    duress_link_reset(rig->link, side, rig->now_ns);
    rig_outputs(rig);
}

void rig_add(struct rig *rig, struct duress_toxic toxic)
{
    assert_int_equal(duress_link_toxic_add(rig->link, &toxic, rig->now_ns, NULL), DURESS_OK);
    rig_outputs(rig);
}

void rig_update(struct rig *rig, struct duress_toxic toxic)
{
    assert_int_equal(duress_link_toxic_update(rig->link, &toxic, rig->now_ns, NULL), DURESS_OK);
    rig_outputs(rig);
}

void rig_remove(struct rig *rig, uint64_t id)
{
    assert_int_equal(duress_link_toxic_remove(rig->link, id, rig->now_ns), DURESS_OK);
    rig_outputs(rig);
}

void rig_unstall(struct rig *rig, enum duress_direction direction)
{
    rig->is_stalled[direction] = false;
    rig_outputs(rig);
}

static void rig_tick(struct rig *rig, uint64_t at_ns)
{
    duress_link_tick(rig->link, at_ns);
    rig->now_ns = at_ns;
}

void rig_run(struct rig *rig, uint64_t until_ns)
{
    rig_outputs(rig);
    for (;;) {
        uint64_t at_ns = duress_link_next_ns(rig->link);
        if (at_ns > until_ns || at_ns == DURESS_TIME_NEVER)
            break;
        assert_true(at_ns > rig->now_ns);
        uint64_t before = rig_link_digest(rig->link);
        rig_tick(rig, at_ns - 1);
        assert_true(rig_link_digest(rig->link) == before); /* Not too late: nothing was due any earlier. */
        rig_tick(rig, at_ns);
        assert_true(rig_link_digest(rig->link) != before); /* Not in vain: something was due. */
        rig_outputs(rig);
    }
    rig_tick(rig, until_ns);
    rig_outputs(rig);
}

const char *rig_writes(const struct rig *rig, enum duress_direction direction)
{
    return rig->writes[direction].text;
}

const char *rig_actions(const struct rig *rig)
{
    return rig->actions.text;
}

const struct duress_link_direction_stats *rig_stats(const struct rig *rig, enum duress_direction direction)
{
    return &duress_link_stats(rig->link)->direction[direction];
}

/* ---- toxics ---- */

struct duress_toxic toxic_of(uint64_t id, enum duress_toxic_type type)
{
    return (struct duress_toxic){
        .id = id,
        .type = type,
        .direction = DURESS_DOWNSTREAM,
        .toxicity_ppm = DURESS_PPM,
    };
}

struct duress_toxic toxic_latency(uint64_t id, uint64_t latency_ms, uint64_t jitter_ms)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_LATENCY);
    toxic.as.latency.latency_ns = latency_ms * DURESS_MS;
    toxic.as.latency.jitter_ns = jitter_ms * DURESS_MS;
    return toxic;
}

struct duress_toxic toxic_bandwidth(uint64_t id, uint64_t rate_bytes_per_s)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_BANDWIDTH);
    toxic.as.bandwidth.rate_bytes_per_s = rate_bytes_per_s;
    return toxic;
}

struct duress_toxic toxic_slow_close(uint64_t id, uint64_t delay_ms)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_SLOW_CLOSE);
    toxic.as.slow_close.delay_ns = delay_ms * DURESS_MS;
    return toxic;
}

struct duress_toxic toxic_timeout(uint64_t id, uint64_t timeout_ms)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_TIMEOUT);
    toxic.as.timeout.timeout_ns = timeout_ms * DURESS_MS;
    return toxic;
}

struct duress_toxic toxic_reset_peer(uint64_t id, uint64_t timeout_ms)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_RESET_PEER);
    toxic.as.reset_peer.timeout_ns = timeout_ms * DURESS_MS;
    return toxic;
}

struct duress_toxic toxic_slicer(uint64_t id, uint64_t average_bytes, uint64_t variation_bytes, uint64_t delay_us)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_SLICER);
    toxic.as.slicer.average_bytes = average_bytes;
    toxic.as.slicer.variation_bytes = variation_bytes;
    toxic.as.slicer.delay_ns = delay_us * DURESS_US;
    return toxic;
}

struct duress_toxic toxic_limit_data(uint64_t id, uint64_t bytes_max)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_LIMIT_DATA);
    toxic.as.limit_data.bytes_max = bytes_max;
    return toxic;
}

struct duress_toxic toxic_cut(uint64_t id, uint64_t after_bytes, enum duress_cut_how how)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_CUT);
    toxic.as.cut.after_bytes = after_bytes;
    toxic.as.cut.how = how;
    return toxic;
}

struct duress_toxic toxic_limit_time(uint64_t id, uint64_t time_ms)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_LIMIT_TIME);
    toxic.as.limit_time.time_ns = time_ms * DURESS_MS;
    return toxic;
}

struct duress_toxic toxic_unplug(uint64_t id, uint64_t after_ms)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_UNPLUG);
    toxic.as.unplug.after_ns = after_ms * DURESS_MS;
    return toxic;
}

struct duress_toxic toxic_slow_open(uint64_t id, uint64_t delay_ms)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_SLOW_OPEN);
    toxic.as.slow_open.delay_ns = delay_ms * DURESS_MS;
    return toxic;
}

struct duress_toxic toxic_fail_first(uint64_t id, uint64_t connections)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_FAIL_FIRST);
    toxic.as.fail_first.connections = connections;
    return toxic;
}

struct duress_toxic toxic_shared_bandwidth(uint64_t id, uint64_t rate_bytes_per_s)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_SHARED_BANDWIDTH);
    toxic.as.shared_bandwidth.rate_bytes_per_s = rate_bytes_per_s;
    return toxic;
}
