/* SPDX-License-Identifier: Apache-2.0
 *
 * slow_open: the dial begins the delay after the accept; what the client sends meanwhile waits in its socket. A change
 * before the dial counts from the accept; removal lets it begin at once. Afterwards it does nothing. */
#include "stage.h"

static struct stage_opening slow_open_opening(const struct stage *stage, uint64_t number)
{
    (void)number;
    return (struct stage_opening){.delay_ns = stage->toxic.as.slow_open.delay_ns};
}

const struct stage_kind duress__slow_open_kind = {
    .is_transparent = true,
    .opening = slow_open_opening,
};
