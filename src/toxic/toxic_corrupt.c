/* SPDX-License-Identifier: Apache-2.0
 *
 * corrupt: flips all bits of the bytes at the given offsets of the direction, and one random bit of each other byte
 * that the rate draws. The bytes change where they lie: no other chunk covers them. */
#include "stage.h"

static bool offset_is_listed(const struct stage *stage, uint64_t offset)
{
    for (uint32_t i = 0; i < stage->toxic.as.corrupt.offset_count; i++)
        if (stage->toxic.as.corrupt.offsets[i] == offset)
            return true;
    return false;
}

static size_t corrupt_at_offsets(const struct stage *stage, struct chunk *chunk)
{
    size_t changed_bytes = 0;
    for (uint32_t i = 0; i < stage->toxic.as.corrupt.offset_count; i++) {
        uint64_t offset = stage->toxic.as.corrupt.offsets[i];
        if (offset < chunk->offset || offset - chunk->offset >= chunk->length)
            continue;
        chunk->data[offset - chunk->offset] ^= 0xff;
        changed_bytes++;
    }
    return changed_bytes;
}

static size_t corrupt_at_rate(struct stage *stage, struct chunk *chunk)
{
    size_t changed_bytes = 0;
    uint32_t rate_ppm = stage->toxic.as.corrupt.rate_ppm;
    if (rate_ppm == 0)
        return 0;
    for (uint32_t i = 0; i < chunk->length; i++) {
        if (!duress_prng_chance(&stage->prng, rate_ppm) || offset_is_listed(stage, chunk->offset + i))
            continue;
        chunk->data[i] ^= (uint8_t)(1U << duress_prng_below(&stage->prng, 8));
        changed_bytes++;
    }
    return changed_bytes;
}

static struct stage_verdict corrupt_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    (void)now_ns;
    struct stage_verdict verdict = stage_pass(chunk->length);
    verdict.changed_bytes = corrupt_at_offsets(stage, chunk);
    verdict.changed_bytes += corrupt_at_rate(stage, chunk);
    return verdict;
}

const struct stage_kind duress__corrupt_kind = {.chunk = corrupt_chunk};
