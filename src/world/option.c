/* SPDX-License-Identifier: Apache-2.0 */
#include "option.h"

#include <stddef.h>

void duress__world_refuse(struct duress_failure *why, int error, const char *detail)
{
    if (why != NULL)
        duress_failure_set(why, (enum duress_error)error, DURESS_ORIGIN_CALLER, "%s", detail);
}
