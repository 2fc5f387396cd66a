/* SPDX-License-Identifier: Apache-2.0
 *
 * A link between two imagined sockets, in virtual time. The rig does what a driver does: it ticks at the link's own
 * instants, writes what is pending (unless a sink is stalled) and takes the actions. What it saw, it tells as text:
 *
 *     rig_push(rig, DURESS_UPSTREAM, 250);
 *     rig_run(rig, 300 * DURESS_MS);
 *     assert_string_equal(rig_writes(rig, DURESS_UPSTREAM), "100@100 100@200 50@250");   bytes@milliseconds
 *     assert_string_equal(rig_actions(rig), "shutdown-server@250");
 *
 * What is pushed is a counting pattern, and every byte that comes out is compared with it. After each step the link's
 * invariants are checked, and before each tick that nothing happens a nanosecond earlier. Every rig ends with
 * rig_close(), which finds leaks. */
#ifndef DURESS_TESTS_TOXIC_LINK_RIG_H
#define DURESS_TESTS_TOXIC_LINK_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <duress/time.h>
#include <duress/toxic/link.h>

#include "link_internal.h"

#define RIG_TEXT_BYTES 8192
#define RIG_FAIL_NEVER SIZE_MAX

/* Counts what is live; fails at the |fail_at|-th allocation (counted from 0) and, if |fails_on|, at all after it. */
struct rig_heap {
    struct duress_allocator base;
    size_t live_count;
    size_t made_count;
    size_t fail_at;
    bool fails_on;
    bool has_failed;
};

struct rig_text {
    char text[RIG_TEXT_BYTES];
    size_t length;
};

struct rig {
    struct rig_heap heap;
    struct duress_link *link;
    uint64_t now_ns;
    bool is_stalled[DURESS_DIRECTION_COUNT];
    bool is_hole_allowed[DURESS_DIRECTION_COUNT];   /* bytes may be missing; the order is compared all the same */
    bool is_change_allowed[DURESS_DIRECTION_COUNT]; /* bytes may be others than were pushed */
    uint64_t pushed_bytes[DURESS_DIRECTION_COUNT];
    uint64_t written_bytes[DURESS_DIRECTION_COUNT];
    uint64_t next_offset[DURESS_DIRECTION_COUNT]; /* in the stream, behind what was written last */
    struct rig_text writes[DURESS_DIRECTION_COUNT];
    struct rig_text actions;
    uint8_t last_written[DURESS_LINK_CHUNK_BYTES_MAX]; /* the latest piece, for tests that look at bytes */
    size_t last_written_bytes;
};

void rig_heap_init(struct rig_heap *heap, size_t fail_at, bool fails_on);

/* The byte at |offset| of what is pushed into |direction|: never periodic in anything a test does by chance. */
uint8_t rig_byte(enum duress_direction direction, uint64_t offset);

/* A link that was dialed at instant 0, with these toxics (may be NULL) from the start. */
void rig_open(struct rig *rig, const struct duress_toxic *toxics, size_t toxic_count);
/* As rig_open(), with all options; the dial is under way. */
void rig_open_dialing(struct rig *rig, const struct duress_link_options *options);
void rig_close(struct rig *rig);

/* The link wants the dial now, and it succeeds. */
void rig_dial(struct rig *rig);

/* Pushes |bytes| of the pattern now (as many chunks as it takes) and takes the outputs. */
void rig_push(struct rig *rig, enum duress_direction direction, size_t bytes);
void rig_end(struct rig *rig, enum duress_direction direction);
void rig_reset(struct rig *rig, enum duress_side side);
void rig_add(struct rig *rig, struct duress_toxic toxic);
void rig_update(struct rig *rig, struct duress_toxic toxic);
void rig_remove(struct rig *rig, uint64_t id);
/* A sink takes the first |bytes| of the piece that is pending, and no more. */
void rig_write_some(struct rig *rig, enum duress_direction direction, size_t bytes);
/* A sink begins to take bytes again. */
void rig_unstall(struct rig *rig, enum duress_direction direction);

/* Lets time pass until |until_ns|, ticking at each instant that the link names. */
void rig_run(struct rig *rig, uint64_t until_ns);

/* Takes the outputs at this instant; the functions above do it by themselves. */
void rig_outputs(struct rig *rig);

const char *rig_writes(const struct rig *rig, enum duress_direction direction);
const char *rig_actions(const struct rig *rig);
const struct duress_link_direction_stats *rig_stats(const struct rig *rig, enum duress_direction direction);

/* Toxics of the downstream direction that hit every connection, to be adorned. */
struct duress_toxic toxic_of(uint64_t id, enum duress_toxic_type type);
struct duress_toxic toxic_latency(uint64_t id, uint64_t latency_ms, uint64_t jitter_ms);
struct duress_toxic toxic_bandwidth(uint64_t id, uint64_t rate_bytes_per_s);
struct duress_toxic toxic_slow_close(uint64_t id, uint64_t delay_ms);
struct duress_toxic toxic_timeout(uint64_t id, uint64_t timeout_ms);
struct duress_toxic toxic_reset_peer(uint64_t id, uint64_t timeout_ms);
struct duress_toxic toxic_slicer(uint64_t id, uint64_t average_bytes, uint64_t variation_bytes, uint64_t delay_us);
struct duress_toxic toxic_limit_data(uint64_t id, uint64_t bytes_max);
struct duress_toxic toxic_cut(uint64_t id, uint64_t after_bytes, enum duress_cut_how how);
struct duress_toxic toxic_limit_time(uint64_t id, uint64_t time_ms);
struct duress_toxic toxic_unplug(uint64_t id, uint64_t after_ms);
struct duress_toxic toxic_slow_open(uint64_t id, uint64_t delay_ms);
struct duress_toxic toxic_fail_first(uint64_t id, uint64_t connections);
struct duress_toxic toxic_shared_bandwidth(uint64_t id, uint64_t rate_bytes_per_s);

/* A number that differs wherever anything in the link differs that a caller or a later instant could see. */
uint64_t rig_link_digest(const struct duress_link *link);

#endif
