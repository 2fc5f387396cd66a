/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/base/option.h>

#include <inttypes.h>
#include <stddef.h>

bool duress__option_in_range(const char *field, uint64_t given, uint64_t low, uint64_t high, struct duress_failure *why)
{
    if (given >= low && given <= high)
        return true;
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER,
                           "%s: %" PRIu64 " given, allowed %" PRIu64 " to %" PRIu64, field, given, low, high);
    return false;
}
