/* SPDX-License-Identifier: Apache-2.0
 *
 * refuse: there is no dial, and the client gets an RST when there would have been one. A connection that is open
 * already is left alone. */
#include "stage.h"

static struct stage_opening refuse_opening(const struct stage *stage, uint64_t number)
{
    (void)stage;
    (void)number;
    return (struct stage_opening){.is_refused = true};
}

const struct stage_kind duress__refuse_kind = {
    .is_transparent = true,
    .opening = refuse_opening,
};
