/* SPDX-License-Identifier: Apache-2.0
 *
 * packet_loss: what the receiver of a TCP stream sees of lost packets. Nothing is missing: a lost segment comes with a
 * retransmission, and what was sent after it waits behind it. Each chunk is cut into segments; a segment that is lost k
 * times comes RTO · (2^k − 1) after it was sent (RFC 6298, 5.5: the timeout doubles), each doubling bounded by Linux's
 * 120 s. Segments that are lost together are repaired together, as with selective acknowledgement.
 *
 * Losses come in bursts after Gilbert (1960) and Elliott (1963): a channel in two states, each with its chance of loss,
 * that may change state before each transmission; and Toxiproxy's correlation, an extra chance after a loss. */
#include "stage.h"

/* Linux gives a connection up after so many retransmissions (tcp_retries2); here the next one comes through. */
#define RETRANSMISSIONS_MAX 15
#define RTO_NS_MAX (120 * DURESS_S)

struct packet_loss_state {
    bool is_bad;     /* the channel's state */
    bool was_lost;   /* the transmission before */
    bool is_waiting; /* for the retransmission of the segment at the front of the first chunk */
    uint64_t due_ns;
};

static void packet_loss_restart(struct stage *stage, uint64_t now_ns)
{
    (void)now_ns;
    struct packet_loss_state *state = stage_state(stage);
    state->is_waiting = false;
}

/* Draws whether one transmission is lost: always two draws, so that equal chances meet equal chance. */
static bool transmission_is_lost(struct stage *stage)
{
    const struct duress_toxic *toxic = &stage->toxic;
    struct packet_loss_state *state = stage_state(stage);
    uint32_t leave_ppm = state->is_bad ? toxic->as.packet_loss.bad_to_good_ppm : toxic->as.packet_loss.good_to_bad_ppm;
    if (duress_prng_chance(&stage->prng, leave_ppm))
        state->is_bad = !state->is_bad;
    uint32_t loss_ppm = state->is_bad ? toxic->as.packet_loss.bad_loss_ppm : toxic->as.packet_loss.loss_ppm;
    if (state->was_lost)
        loss_ppm += toxic->as.packet_loss.correlation_ppm;
    state->was_lost = duress_prng_chance(&stage->prng, loss_ppm);
    return state->was_lost;
}

/* How often a segment is lost before it comes through. */
static unsigned segment_losses(struct stage *stage)
{
    unsigned losses = 0;
    while (losses < RETRANSMISSIONS_MAX && transmission_is_lost(stage))
        losses++;
    return losses;
}

static uint64_t repair_ns(const struct stage *stage, unsigned losses)
{
    uint64_t rto_ns = stage->toxic.as.packet_loss.rto_ns;
    uint64_t sum_ns = 0;
    if (rto_ns == 0)
        rto_ns = DURESS_PACKET_LOSS_RTO_NS_DEFAULT;
    for (; losses > 0; losses--) {
        sum_ns = duress_time_add(sum_ns, rto_ns);
        if (rto_ns < RTO_NS_MAX)
            rto_ns = duress_time_min(2 * rto_ns, RTO_NS_MAX);
    }
    return sum_ns;
}

static size_t segment_bytes(const struct stage *stage, size_t left_bytes)
{
    size_t max = stage->toxic.as.packet_loss.segment_bytes_max;
    if (max == 0)
        max = DURESS_PACKET_LOSS_SEGMENT_BYTES_DEFAULT;
    return left_bytes < max ? left_bytes : max;
}

/* Looks for the next lost segment, from the front of |chunk| on. Returns how many bytes come before it. */
static size_t loss_find(struct stage *stage, const struct chunk *chunk, unsigned *losses)
{
    struct packet_loss_state *state = stage_state(stage);
    size_t clear_bytes = 0;
    *losses = 0;
    while (clear_bytes < chunk->length && (*losses = segment_losses(stage)) == 0)
        clear_bytes += segment_bytes(stage, chunk->length - clear_bytes);
    state->is_waiting = *losses > 0;
    state->due_ns = duress_time_add(chunk->stamp_ns, repair_ns(stage, *losses));
    return clear_bytes;
}

/* The segments before the next lost one go on as one piece; that one waits, and goes on alone. */
static struct stage_verdict packet_loss_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    struct packet_loss_state *state = stage_state(stage);
    unsigned losses = 0;
    size_t clear_bytes = state->is_waiting ? 0 : loss_find(stage, chunk, &losses);
    struct stage_verdict verdict = stage_pass(clear_bytes);
    if (clear_bytes == 0) {
        verdict = stage_at(state->due_ns, now_ns, stage_pass(segment_bytes(stage, chunk->length)));
        state->is_waiting = verdict.type == STAGE_WAIT;
    }
    verdict.lost_segments = losses;
    return verdict;
}

static bool packet_loss_is_chunk_in_hand(const struct stage *stage)
{
    const struct packet_loss_state *state = (const void *)stage->state;
    return state->is_waiting;
}

const struct stage_kind duress__packet_loss_kind = {
    .state_bytes = sizeof(struct packet_loss_state),
    .restart = packet_loss_restart,
    .chunk = packet_loss_chunk,
    .is_chunk_in_hand = packet_loss_is_chunk_in_hand,
};
