/* SPDX-License-Identifier: Apache-2.0
 *
 * fail_first: as refuse, for the first so many connections since the toxic came; then its proxy has recovered. It
 * counts by the numbers of the connections, so it needs no memory of its own, and threads need not share any. */
#include "stage.h"

static struct stage_opening fail_first_opening(const struct stage *stage, uint64_t number)
{
    uint64_t after = stage->toxic.as.fail_first.after_connection;
    bool is_among = number > after && number - after <= stage->toxic.as.fail_first.connections;
    return (struct stage_opening){.is_refused = is_among};
}

const struct stage_kind duress__fail_first_kind = {
    .is_transparent = true,
    .opening = fail_first_opening,
};
