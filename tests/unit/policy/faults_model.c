/* SPDX-License-Identifier: Apache-2.0 */
#include "faults_model.h"

#include <stdlib.h>

void faults_model_schedule(const struct duress_faults_options *options, enum duress_fault faults[FAULTS_MODEL_CALLS])
{
    for (int i = 0; i < FAULTS_MODEL_CALLS; i++)
        faults[i] = DURESS_FAULT_NONE;
    /* The pattern, again and again until there is no room. */
    uint32_t written = 0;
    while (options->pattern_count > 0 && written < FAULTS_MODEL_CALLS) {
        for (uint32_t i = 0; i < options->pattern_count && written < FAULTS_MODEL_CALLS; i++)
            faults[written++] = options->pattern[i];
        if (options->pattern_once)
            break;
    }
    /* A crash overwrites all that would come after it. */
    bool crashed = false;
    for (int i = 0; i < FAULTS_MODEL_CALLS; i++) {
        bool by_count = options->crash_after != 0 && (uint64_t)i + 1 > options->crash_after;
        crashed = crashed || by_count || faults[i] == DURESS_FAULT_CRASH;
        if (crashed)
            faults[i] = DURESS_FAULT_CRASH;
    }
}

enum duress_fault faults_model_ball(const struct duress_faults_options *options, uint64_t index)
{
    uint8_t *urn = calloc(DURESS_PPM, 1);
    if (urn == NULL)
        abort();
    size_t filled = 0;
    for (int fault = 1; fault < DURESS_FAULT_COUNT; fault++)
        for (uint32_t ball = 0; ball < options->ppm[fault]; ball++)
            urn[filled++] = (uint8_t)fault;
    enum duress_fault drawn = (enum duress_fault)urn[index];
    free(urn);
    return drawn;
}
