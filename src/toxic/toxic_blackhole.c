/* SPDX-License-Identifier: Apache-2.0
 *
 * blackhole: bytes vanish, and FIN and RST do not come through; nothing closes. As with a cable that is put back, an
 * end that was held goes on once the toxic is removed; the bytes are lost. */
#include "stage.h"

static struct stage_verdict blackhole_chunk(struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    (void)stage;
    (void)chunk;
    (void)now_ns;
    return stage_drop();
}

static struct stage_verdict blackhole_end(struct stage *stage, uint64_t now_ns)
{
    (void)stage;
    (void)now_ns;
    return stage_wait(DURESS_TIME_NEVER);
}

const struct stage_kind duress__blackhole_kind = {
    .swallows = true,
    .chunk = blackhole_chunk,
    .end = blackhole_end,
};
