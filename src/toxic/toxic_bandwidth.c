/* SPDX-License-Identifier: Apache-2.0
 *
 * bandwidth: waits first, then sends. A chunk costs its size divided by the rate. What is more than 100 ms worth leaves
 * in pieces of 100 ms, the rest after its own share. Fractions of a nanosecond are carried over, so the mean is exact;
 * a piece's time begins when the one before it left, or when it arrived, so idle time earns no credit. A rate of 0
 * holds everything, and loses nothing. */
#include "stage.h"

/* 100 ms worth of bytes are the rate divided by this. */
#define PIECES_PER_SECOND 10

/* Above this even one byte at a time costs no nanosecond; the bound keeps sums from wrapping. */
#define RATE_BYTES_PER_S_MAX UINT64_C(1000000000000000000)

struct bandwidth_state {
    bool has_piece; /* the piece in hand is at the front of the first chunk */
    size_t piece_bytes;
    uint64_t due_ns;
    uint64_t carry; /* what the last division left over: nanoseconds times the rate */
};

static void bandwidth_restart(struct stage *stage, uint64_t now_ns)
{
    (void)now_ns;
    struct bandwidth_state *state = stage_state(stage);
    *state = (struct bandwidth_state){0};
}

static void piece_begin(struct bandwidth_state *state, uint64_t rate, size_t length, uint64_t now_ns)
{
    uint64_t piece_bytes_max = rate < PIECES_PER_SECOND ? 1 : rate / PIECES_PER_SECOND;
    state->piece_bytes = length < piece_bytes_max ? length : (size_t)piece_bytes_max;
    uint64_t cost = state->piece_bytes * DURESS_S + state->carry;
    state->carry = cost % rate;
    state->due_ns = duress_time_add(now_ns, cost / rate);
    state->has_piece = true;
}

static struct stage_verdict bandwidth_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct bandwidth_state *state = stage_state(stage);
    uint64_t rate = duress_time_min(stage->toxic.as.bandwidth.rate_bytes_per_s, RATE_BYTES_PER_S_MAX);
    if (rate == 0)
        return stage_wait(DURESS_TIME_NEVER);
    if (!state->has_piece)
        piece_begin(state, rate, chunk->length, now_ns);
    if (now_ns < state->due_ns)
        return stage_wait(state->due_ns);
    state->has_piece = false;
    return stage_pass(state->piece_bytes);
}

static bool bandwidth_is_chunk_in_hand(const struct stage *stage)
{
    (void)stage;
    return true;
}

const struct stage_kind duress__bandwidth_kind = {
    .state_bytes = sizeof(struct bandwidth_state),
    .restart = bandwidth_restart,
    .chunk = bandwidth_chunk,
    .is_chunk_in_hand = bandwidth_is_chunk_in_hand,
};
