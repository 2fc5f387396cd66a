/* SPDX-License-Identifier: Apache-2.0 */
#include "decide.h"

#include <duress/time.h>

enum decision duress__decide_need(const struct tally *tally, size_t need)
{
    if (tally->replied >= need)
        return DECIDE_WELL;
    return tally->replied + tally->running < need ? DECIDE_BADLY : DECIDE_WAIT;
}

enum decision duress__decide_collect(const struct tally *tally, bool late)
{
    if (tally->running > 0 && !late)
        return DECIDE_WAIT;
    return tally->replied > 0 ? DECIDE_WELL : DECIDE_BADLY;
}

enum decision duress__decide_quorum(const struct tally *tally, size_t need, size_t best)
{
    if (best >= need)
        return DECIDE_WELL;
    return best + tally->running < need ? DECIDE_BADLY : DECIDE_WAIT;
}

size_t duress__decide_majority(size_t count)
{
    return count / 2 + 1;
}

uint64_t duress__decide_stop_ns(uint64_t started_ns, uint64_t deadline_ns, uint64_t limit_ns, uint64_t margin_ns)
{
    uint64_t stop_ns = limit_ns == 0 ? DURESS_TIME_NEVER : duress_time_add(started_ns, limit_ns);
    if (deadline_ns != DURESS_TIME_NEVER) {
        uint64_t half_ns = duress_time_until(started_ns, deadline_ns) / 2;
        stop_ns = duress_time_min(stop_ns, deadline_ns - duress_time_min(margin_ns, half_ns));
    }
    return stop_ns < deadline_ns ? stop_ns : DURESS_TIME_NEVER;
}
