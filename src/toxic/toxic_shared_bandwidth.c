/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_bandwidth: as bandwidth, but one rate for all connections together. A piece of at most 10 ms worth reserves
 * its time in the pool that they share, and leaves when that time is over: connections that send at once take turns. A
 * rate of 0 holds everything, and loses nothing. */
#include <duress/toxic/bandwidth_pool.h>

#include "stage.h"

/* 10 ms worth of bytes are the rate divided by this. */
#define PIECES_PER_SECOND 100

/* Above this even one byte at a time costs no nanosecond; the bound keeps sums from wrapping. */
#define RATE_BYTES_PER_S_MAX UINT64_C(1000000000000000000)

struct shared_bandwidth_state {
    bool has_piece; /* the piece in hand is at the front of the first chunk */
    size_t piece_bytes;
    uint64_t due_ns;
    uint64_t carry;   /* what the last division left over: nanoseconds times the rate */
    uint64_t free_ns; /* without a pool: the end of the last piece */
};

static void shared_bandwidth_restart(struct stage *stage, uint64_t now_ns)
{
    (void)now_ns;
    struct shared_bandwidth_state *state = stage_state(stage);
    *state = (struct shared_bandwidth_state){0};
}

static uint64_t piece_reserve(struct stage *stage, uint64_t rate, uint64_t now_ns, uint64_t cost_ns)
{
    struct shared_bandwidth_state *state = stage_state(stage);
    struct duress_bandwidth_pool *pool = stage->toxic.as.shared_bandwidth.pool;
    if (pool != NULL)
        return duress_bandwidth_pool_reserve(pool, rate, now_ns, cost_ns);
    state->free_ns = duress_time_add(now_ns > state->free_ns ? now_ns : state->free_ns, cost_ns);
    return state->free_ns;
}

static void piece_begin(struct stage *stage, uint64_t rate, size_t length, uint64_t now_ns)
{
    struct shared_bandwidth_state *state = stage_state(stage);
    uint64_t piece_bytes_max = rate < PIECES_PER_SECOND ? 1 : rate / PIECES_PER_SECOND;
    state->piece_bytes = length < piece_bytes_max ? length : (size_t)piece_bytes_max;
    uint64_t cost = state->piece_bytes * DURESS_S + state->carry;
    state->carry = cost % rate;
    state->due_ns = piece_reserve(stage, rate, now_ns, cost / rate);
    state->has_piece = true;
}

static struct stage_verdict shared_bandwidth_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct shared_bandwidth_state *state = stage_state(stage);
    uint64_t rate = duress_time_min(stage->toxic.as.shared_bandwidth.rate_bytes_per_s, RATE_BYTES_PER_S_MAX);
    if (rate == 0)
        return stage_wait(DURESS_TIME_NEVER);
    if (!state->has_piece)
        piece_begin(stage, rate, chunk->length, now_ns);
    if (now_ns < state->due_ns)
        return stage_wait(state->due_ns);
    state->has_piece = false;
    return stage_pass(state->piece_bytes);
}

static bool shared_bandwidth_is_chunk_in_hand(const struct stage *stage)
{
    (void)stage;
    return true;
}

const struct stage_kind duress__shared_bandwidth_kind = {
    .state_bytes = sizeof(struct shared_bandwidth_state),
    .restart = shared_bandwidth_restart,
    .chunk = shared_bandwidth_chunk,
    .is_chunk_in_hand = shared_bandwidth_is_chunk_in_hand,
};
