/* SPDX-License-Identifier: Apache-2.0 */
#include "option.h"

#include <inttypes.h>
#include <stddef.h>

bool duress__option_given(const char *field, const void *given, struct duress_failure *why)
{
    if (given != NULL)
        return true;
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: NULL given, must be a pointer", field);
    return false;
}

bool duress__option_unused(const char *field, uint64_t given, const char *because, struct duress_failure *why)
{
    if (given == 0)
        return true;
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: %" PRIu64 " given, must be 0 %s", field,
                           given, because);
    return false;
}
