/* SPDX-License-Identifier: Apache-2.0 */
#include "traffic.h"

#include <duress/time.h>

/* So many full reads in a row are bulk; so many are remembered, as a burst ends with a small one. */
#define BULK_READS 2
#define BULK_READS_MAX 4

/* A splice that moved less than this found no bulk. */
#define BULK_BYTES_MIN 16384

static struct connection_traffic *traffic_figures(struct connection_side *side)
{
    return &connection_of(side)->set->figures.direction[traffic_from(side)];
}

/* Of a figure that only this thread writes. */
static void figure_add(_Atomic uint64_t *figure, uint64_t more)
{
    atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + more, memory_order_relaxed);
}

/* The link hears that |side| is dead, behind the bytes that came from there. */
static void side_died(struct connection_side *side, uint64_t now_ns)
{
    duress__traffic_read_out(side, now_ns);
    side->dead = true;
    duress_link_reset(connection_of(side)->link, (enum duress_side)side->name, now_ns);
}

/* --- pipes --- */

void duress__traffic_drop(struct connection_side *side)
{
    if (side->pipe == NULL)
        return;
    duress__splice_give_back(connection_of(side)->set->pipes, side->pipe);
    side->pipe = NULL;
}

void duress__traffic_read_out(struct connection_side *side, uint64_t now_ns)
{
    struct connection *connection = connection_of(side);
    if (side->pipe == NULL)
        return;
    while (side->pipe->held_bytes > 0) {
        /* There is room, as the link held nothing when they were read; or it has ended and takes none. */
        size_t wanted = duress_link_wants(connection->link, traffic_from(side));
        size_t count = wanted > 0 ? duress__splice_read(side->pipe, connection->set->scratch, wanted) : 0;
        struct duress_slice bytes = {connection->set->scratch, count};
        if (count == 0 || duress_link_push(connection->link, traffic_from(side), bytes, now_ns) != DURESS_OK)
            break;
    }
    duress__traffic_drop(side);
}

/* Writes what the pipe holds to the other side. False where that does not take all. */
static bool pipe_flush(struct connection_side *side, uint64_t now_ns)
{
    struct connection_side *sink = traffic_peer(side);
    while (side->pipe->held_bytes > 0) {
        size_t count = 0;
        int error = sink->blocked ? DURESS_E_AGAIN : duress__splice_out(side->pipe, &sink->socket, &count);
        if (error == DURESS_E_AGAIN) {
            sink->blocked = true;
            if (side->pipe->stall_ns == DURESS_TIME_NEVER)
                side->pipe->stall_ns = duress_time_add(now_ns, TRAFFIC_STALL_NS);
            return false;
        }
        if (error != DURESS_OK) {
            duress__traffic_read_out(side, now_ns); /* What was meant for the dead is counted as dropped. */
            side_died(sink, now_ns);
            return false;
        }
        side->pipe->stall_ns = DURESS_TIME_NEVER;
        duress_link_moved(connection_of(side)->link, traffic_from(side), count);
        figure_add(&traffic_figures(side)->bytes_out, count);
        figure_add(&traffic_figures(side)->bytes_spliced, count);
    }
    return true;
}

static bool side_may_splice(struct connection_side *side)
{
    struct connection_side *sink = traffic_peer(side);
    return side->full_reads >= BULK_READS && connection_of(side)->set->pipes != NULL && !sink->blocked && !sink->dead &&
           sink->state == CONNECTION_OPEN;
}

/* One round: socket to pipe to socket. */
static enum traffic_read side_splice(struct connection_side *side, uint64_t now_ns)
{
    struct connection_set *set = connection_of(side)->set;
    size_t count = 0;
    size_t bytes_max = set->buffer_bytes_max < SPLICE_PIPE_BYTES ? set->buffer_bytes_max : SPLICE_PIPE_BYTES;
    int error = duress__splice_in(side->pipe, &side->socket, bytes_max, &count);
    if (error == DURESS_OK) {
        figure_add(&traffic_figures(side)->bytes_in, count);
        bool emptied = pipe_flush(side, now_ns);
        if (emptied)
            duress__traffic_drop(side);
        if (count >= BULK_BYTES_MIN)
            side->full_reads = BULK_READS_MAX;
        else if (side->full_reads > 0)
            side->full_reads--;
        return emptied ? TRAFFIC_ALL : TRAFFIC_NOTHING;
    }
    duress__traffic_drop(side);
    if (error == DURESS_E_END) {
        side->ended = true;
        duress_link_end(connection_of(side)->link, traffic_from(side), now_ns);
    } else if (error != DURESS_E_AGAIN) {
        side_died(side, now_ns);
    }
    return TRAFFIC_NOTHING;
}

/* --- reading and writing --- */

/* The other side's socket takes what it can, past the link, which would not touch it. How many bytes; what is left goes
 * through the link. */
static size_t bytes_pass(struct connection_side *side, size_t count)
{
    struct connection_side *sink = traffic_peer(side);
    if (sink->state != CONNECTION_OPEN || sink->dead || sink->blocked ||
        !duress_link_is_transparent(connection_of(side)->link, traffic_from(side)))
        return 0;
    struct duress_slice bytes = {connection_of(side)->set->scratch, count};
    size_t written = 0;
    int error = duress__socket_write(&sink->socket, &bytes, 1, &written);
    if (error == DURESS_OK || error == DURESS_E_AGAIN)
        sink->blocked = written < count; /* Of anything else the next write tells the link. */
    if (written > 0) {
        duress_link_moved(connection_of(side)->link, traffic_from(side), written);
        figure_add(&traffic_figures(side)->bytes_out, written);
    }
    return written;
}

static enum traffic_read side_copy(struct connection_side *side, size_t wanted, uint64_t now_ns)
{
    struct connection *connection = connection_of(side);
    size_t count = 0;
    int error = duress__socket_read(&side->socket, connection->set->scratch, wanted, &count);
    if (error == DURESS_OK) {
        figure_add(&traffic_figures(side)->bytes_in, count);
        bool full = count == DURESS_LINK_CHUNK_BYTES_MAX;
        side->full_reads = full ? (uint8_t)(side->full_reads + (side->full_reads < BULK_READS_MAX)) : 0;
        size_t passed = bytes_pass(side, count);
        struct duress_slice rest = {connection->set->scratch + passed, count - passed};
        if (rest.length > 0 && duress_link_push(connection->link, traffic_from(side), rest, now_ns) != DURESS_OK)
            return TRAFFIC_NOTHING; /* no memory: the link is about to reset both sides */
        return count < wanted ? TRAFFIC_SOME : TRAFFIC_ALL;
    }
    if (error == DURESS_E_END) {
        side->ended = true;
        duress_link_end(connection->link, traffic_from(side), now_ns);
    } else if (error != DURESS_E_AGAIN) {
        side_died(side, now_ns);
    }
    return TRAFFIC_NOTHING;
}

enum traffic_read duress__traffic_read(struct connection_side *side, uint64_t now_ns)
{
    struct duress_link *link = connection_of(side)->link;
    size_t wanted = duress_link_wants(link, traffic_from(side));
    if (side->ended || side->dead || wanted == 0)
        return TRAFFIC_NOTHING;
    side->draining = false;
    if (side->pipe != NULL && !pipe_flush(side, now_ns))
        return TRAFFIC_NOTHING;
    if (side->pipe == NULL && side_may_splice(side) && duress_link_is_transparent(link, traffic_from(side)))
        side->pipe = duress__splice_borrow(connection_of(side)->set->pipes);
    if (side->pipe != NULL)
        return side_splice(side, now_ns);
    return side_copy(side, wanted, now_ns);
}

static void piece_write(struct connection_side *side, struct duress_slice piece, uint64_t now_ns)
{
    struct duress_link *link = connection_of(side)->link;
    size_t count = 0;
    int error = duress__socket_write(&side->socket, &piece, 1, &count);
    if (error == DURESS_E_AGAIN) {
        side->blocked = true;
    } else if (error == DURESS_OK) {
        figure_add(&traffic_figures(traffic_peer(side))->bytes_out, count);
        duress_link_written(link, traffic_to(side), count, now_ns);
    } else {
        side_died(side, now_ns);
    }
}

bool duress__traffic_write(struct connection_side *side, size_t *writes_left, uint64_t now_ns)
{
    struct connection_side *source = traffic_peer(side);
    bool progress = false;
    /* What a pipe holds is behind all that the link holds, which was nothing when it was read. */
    if (source->pipe != NULL && side->state == CONNECTION_OPEN && !side->dead && !side->blocked) {
        progress = true;
        if (pipe_flush(source, now_ns))
            duress__traffic_drop(source);
    }
    while (side->state == CONNECTION_OPEN && !side->dead && !side->blocked && *writes_left > 0) {
        struct duress_slice piece = duress_link_pending(connection_of(side)->link, traffic_to(side), now_ns);
        if (piece.length == 0)
            break;
        piece_write(side, piece, now_ns);
        if (side->blocked)
            break;
        (*writes_left)--;
        progress = true;
    }
    return progress;
}

/* --- what is wanted next --- */

bool duress__traffic_wants_read(struct connection_side *side)
{
    const struct duress_link *link = connection_of(side)->link;
    if (side->dead || side->ended || side->pipe != NULL)
        return false;
    if (side->draining && duress_link_buffered_bytes(link, traffic_from(side)) > 0)
        return false;
    return duress_link_wants(link, traffic_from(side)) > 0;
}

bool duress__traffic_wants_write(struct connection_side *side, uint64_t now_ns)
{
    if (side->dead)
        return false;
    return traffic_peer(side)->pipe != NULL ||
           duress_link_pending(connection_of(side)->link, traffic_to(side), now_ns).length > 0;
}
