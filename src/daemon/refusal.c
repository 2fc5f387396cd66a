/* SPDX-License-Identifier: Apache-2.0 */
#include "refusal.h"

#include <stdarg.h>
#include <stdio.h>

bool duress__refuse(struct refusal *refusal, unsigned status, const char *format, ...)
{
    va_list arguments;
    refusal->status = status;
    va_start(arguments, format);
    (void)vsnprintf(refusal->text, sizeof refusal->text, format, arguments);
    va_end(arguments);
    return false;
}
