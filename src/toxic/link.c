/* SPDX-License-Identifier: Apache-2.0
 *
 * The link's bytes and time. */
#include "link_internal.h"

#include <duress/export.h>
#include <duress/time.h>

/* A driver that is late by more turns of schedules than these, some 40 s at the least, is not led through each of them.
 */
#define LINK_TURNS_MAX 4096

static int options_refuse(struct duress_failure *why, const char *reason)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s", reason);
    return DURESS_E_INVALID;
}

int duress_link_new(const struct duress_link_options *options, uint64_t now_ns, struct duress_link **link,
                    struct duress_failure *why)
{
    if (options == NULL || link == NULL)
        return options_refuse(why, options == NULL ? "options is NULL" : "link is NULL");
    if (options->toxics == NULL && options->toxic_count > 0)
        return options_refuse(why, "toxics is NULL although toxic_count is not 0");
    struct duress_link *made = duress_allocate_zeroed(options->allocator, 1, sizeof *made);
    if (made == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return DURESS_E_NO_MEMORY;
    }
    size_t bytes_max = options->buffer_bytes_max > 0 ? options->buffer_bytes_max : DURESS_LINK_BUFFER_BYTES_DEFAULT;
    made->allocator = options->allocator;
    made->seed = options->seed;
    made->number = options->connection_number;
    made->now_ns = now_ns;
    made->stats.started_ns = now_ns;
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++)
        duress__pipe_init(&made->pipes[i], made->allocator, &made->stats.direction[i], bytes_max);
    for (size_t i = 0; i < options->toxic_count; i++) {
        int error = duress_link_toxic_add(made, &options->toxics[i], now_ns, why);
        if (error != DURESS_OK) {
            duress_link_free(made);
            return error;
        }
    }
    made->state = LINK_WAITING;
    duress__link_plan_dial(made);
    *link = made;
    return DURESS_OK;
}

void duress_link_free(struct duress_link *link)
{
    if (link == NULL)
        return;
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++)
        duress__pipe_deinit(&link->pipes[i]);
    duress_release(link->allocator, link);
}

/* What is next is that a schedule turns a toxic on or off, or that the dial is thought of again. */
static bool next_is_turn(const struct duress_link *link, uint64_t at_ns)
{
    if (link->state == LINK_WAITING)
        return true;
    return at_ns == link->pipes[DURESS_UPSTREAM].turn_ns || at_ns == link->pipes[DURESS_DOWNSTREAM].turn_ns;
}

void duress__link_advance(struct duress_link *link, uint64_t now_ns)
{
    unsigned turns = 0;
    if (now_ns < link->now_ns)
        return; /* Time that goes back counts as no time passing. */
    for (;;) {
        uint64_t at_ns = duress_link_next_ns(link);
        if (at_ns > now_ns || at_ns == DURESS_TIME_NEVER)
            break;
        DURESS_ASSERT(at_ns > link->now_ns);
        if (next_is_turn(link, at_ns) && ++turns > LINK_TURNS_MAX) {
            at_ns = link->state == LINK_WAITING ? now_ns : at_ns;
            for (int i = 0; i < DURESS_DIRECTION_COUNT; i++)
                duress__pipe_skip_turns(&link->pipes[i], now_ns);
        }
        link->now_ns = at_ns;
        duress__link_settle(link);
    }
    link->now_ns = now_ns;
}

void duress__link_settle(struct duress_link *link)
{
    duress__link_plan_dial(link);
    if (link->state != LINK_OPEN)
        return;
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++)
        duress__pipe_run(&link->pipes[i], link->now_ns);
    duress__link_collect_marks(link);
}

size_t duress_link_wants(const struct duress_link *link, enum duress_direction direction)
{
    if (link->state != LINK_OPEN || link->sides[direction_source(direction)].ending != DURESS_LINK_NOTHING)
        return 0;
    size_t room = duress__pipe_room(&link->pipes[direction]);
    return room < DURESS_LINK_CHUNK_BYTES_MAX ? room : DURESS_LINK_CHUNK_BYTES_MAX;
}

int duress_link_push(struct duress_link *link, enum duress_direction direction, struct duress_slice bytes,
                     uint64_t now_ns)
{
    if (link == NULL || bytes.length > duress_link_wants(link, direction))
        return DURESS_E_INVALID;
    duress__link_advance(link, now_ns);
    if (bytes.length == 0)
        return DURESS_OK;
    if (bytes.length > duress_link_wants(link, direction)) {
        /* They were asked for, and read; until then a toxic has ended the stream. */
        link->stats.direction[direction].bytes_in += bytes.length;
        link->stats.direction[direction].bytes_dropped += bytes.length;
        return DURESS_OK;
    }
    int error = duress__pipe_push(&link->pipes[direction], bytes, link->now_ns);
    if (error != DURESS_OK) {
        duress__link_end_both(link, DURESS_LINK_RESET); /* A stream must not go on with a hole. */
        return error;
    }
    duress__link_settle(link);
    return DURESS_OK;
}

struct duress_slice duress_link_pending(struct duress_link *link, enum duress_direction direction, uint64_t now_ns)
{
    duress__link_advance(link, now_ns);
    const struct chunk *chunk = link->pipes[direction].exit.first;
    return chunk != NULL ? duress_slice_bytes(chunk->data, chunk->length) : duress_slice_bytes(NULL, 0);
}

void duress_link_written(struct duress_link *link, enum duress_direction direction, size_t count, uint64_t now_ns)
{
    duress__pipe_written(&link->pipes[direction], count); /* First: they were written before anything else happened. */
    duress__link_advance(link, now_ns);
    if (link->pipes[direction].is_blocked)
        duress__link_settle(link);
    else
        duress__link_collect_marks(link);
}

uint64_t duress_link_next_ns(const struct duress_link *link)
{
    if (link->state == LINK_WAITING)
        return link->opening_next_ns;
    if (link->state != LINK_OPEN)
        return DURESS_TIME_NEVER;
    return duress_time_min(link->pipes[DURESS_UPSTREAM].next_ns, link->pipes[DURESS_DOWNSTREAM].next_ns);
}

void duress_link_tick(struct duress_link *link, uint64_t now_ns)
{
    duress__link_advance(link, now_ns);
}

bool duress_link_is_transparent(const struct duress_link *link, enum duress_direction direction)
{
    bool is_read = link->state == LINK_OPEN && link->sides[direction_source(direction)].ending == DURESS_LINK_NOTHING;
    return is_read && duress__pipe_is_transparent(&link->pipes[direction]);
}

void duress_link_moved(struct duress_link *link, enum duress_direction direction, uint64_t count)
{
    link->stats.direction[direction].bytes_in += count;
    link->stats.direction[direction].bytes_out += count;
}

size_t duress_link_buffered_bytes(const struct duress_link *link, enum duress_direction direction)
{
    return link->pipes[direction].held_bytes;
}

const struct duress_link_stats *duress_link_stats(const struct duress_link *link)
{
    return &link->stats;
}

void duress__link_check(const struct duress_link *link)
{
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++) {
        duress__pipe_check(&link->pipes[i]);
        DURESS_ASSERT(link->pipes[i].next_ns > link->now_ns || link->pipes[i].next_ns == DURESS_TIME_NEVER);
        DURESS_ASSERT(link->state != LINK_CLOSED || link->pipes[i].is_dead);
        /* What has no sink holds nothing. */
        enum duress_side sink = direction_sink((enum duress_direction)i);
        DURESS_ASSERT(link->sides[sink].ending == DURESS_LINK_NOTHING || link->pipes[i].is_dead);
    }
}
