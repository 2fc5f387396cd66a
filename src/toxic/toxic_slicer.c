/* SPDX-License-Identifier: Apache-2.0
 *
 * slicer: halves each chunk until every piece is at most average + variation bytes, each cut shifted off the middle by
 * a draw from [-variation, variation). After each piece, the last included, it pauses. The pieces are found from left
 * to right, one at a time, with a stack of the cuts still to come: a chunk of single bytes costs no list. */
#include "stage.h"

#include <assert.h>

#include <duress/export.h>
#include <duress/toxic/link.h>

/* Each cut halves what exceeds twice the variation, and at last takes one byte off: see slicer_cut(). */
enum { SLICER_CUTS_MAX = 32 };
static_assert(DURESS_LINK_CHUNK_BYTES_MAX < 1 << (SLICER_CUTS_MAX - 4), "a chunk needs more cuts at once");

struct slicer_state {
    uint64_t pause_until_ns;
    size_t cut_count;
    size_t
        cuts[SLICER_CUTS_MAX]; /* ends of pieces not yet final, from the front of the chunk; the last is the nearest */
};

static void slicer_restart(struct stage *stage, uint64_t now_ns)
{
    struct slicer_state *state = stage_state(stage);
    state->pause_until_ns = now_ns;
    state->cut_count = 0;
}

/* Where to cut |bytes|, which are more than average + variation: neither half is empty. */
static size_t slicer_cut(struct stage *stage, size_t bytes, uint64_t variation_bytes)
{
    size_t variation = (size_t)variation_bytes; /* at most the average, so less than half of |bytes| */
    size_t shifted = bytes / 2 + (size_t)duress_prng_below(&stage->prng, 2 * variation_bytes);
    size_t cut = shifted > variation ? shifted - variation : 1;
    DURESS_ASSERT(cut < bytes);
    return cut;
}

/* How many bytes the next piece has. |length|: those of the chunk that were not sent. */
static size_t slicer_piece_bytes(struct stage *stage, struct slicer_state *state, size_t length)
{
    uint64_t average_bytes = stage->toxic.as.slicer.average_bytes;
    uint64_t variation_bytes = stage->toxic.as.slicer.variation_bytes;
    if (variation_bytes > average_bytes)
        variation_bytes = average_bytes;
    uint64_t piece_bytes_max = duress_time_add(average_bytes, variation_bytes);
    if (piece_bytes_max == 0)
        return length;
    size_t piece_bytes = state->cut_count > 0 ? state->cuts[state->cut_count - 1] : length;
    if (state->cut_count > 0)
        state->cut_count--;
    while (piece_bytes > piece_bytes_max) {
        DURESS_ASSERT(state->cut_count < SLICER_CUTS_MAX);
        state->cuts[state->cut_count++] = piece_bytes;
        piece_bytes = slicer_cut(stage, piece_bytes, variation_bytes);
    }
    for (size_t i = 0; i < state->cut_count; i++)
        state->cuts[i] -= piece_bytes;
    return piece_bytes;
}

static struct stage_verdict slicer_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct slicer_state *state = stage_state(stage);
    if (now_ns < state->pause_until_ns)
        return stage_wait(state->pause_until_ns);
    state->pause_until_ns = duress_time_add(now_ns, stage->toxic.as.slicer.delay_ns);
    return stage_pass(slicer_piece_bytes(stage, state, chunk->length));
}

static struct stage_verdict slicer_end(struct stage *stage, uint64_t now_ns)
{
    const struct slicer_state *state = stage_state(stage);
    return stage_at(state->pause_until_ns, now_ns, stage_pass(0));
}

static bool slicer_is_chunk_in_hand(const struct stage *stage)
{
    const struct slicer_state *state = (const void *)stage->state;
    return state->cut_count > 0;
}

const struct stage_kind duress__slicer_kind = {
    .state_bytes = sizeof(struct slicer_state),
    .restart = slicer_restart,
    .chunk = slicer_chunk,
    .end = slicer_end,
    .is_chunk_in_hand = slicer_is_chunk_in_hand,
};
