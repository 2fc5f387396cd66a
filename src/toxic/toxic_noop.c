/* SPDX-License-Identifier: Apache-2.0
 *
 * noop: passes everything. What a client uses to see that toxics can be set at all. */
#include "stage.h"

const struct stage_kind duress__noop_kind = {.is_transparent = true};
