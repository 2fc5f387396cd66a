/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/toxic/toxic.h>

#include <inttypes.h>
#include <string.h>

static const char *const toxic_names[DURESS_TOXIC_TYPE_COUNT] = {
#define X(name, text) [DURESS_TOXIC_##name] = (text),
    DURESS_TOXIC_LIST(X)
#undef X
};

const char *duress_toxic_type_name(enum duress_toxic_type type)
{
    return (unsigned)type < DURESS_TOXIC_TYPE_COUNT ? toxic_names[type] : NULL;
}

bool duress_toxic_type_from_name(const char *name, enum duress_toxic_type *type)
{
    if (name == NULL)
        return false;
    for (unsigned i = 0; i < DURESS_TOXIC_TYPE_COUNT; i++) {
        if (strcmp(toxic_names[i], name) != 0)
            continue;
        *type = (enum duress_toxic_type)i;
        return true;
    }
    return false;
}

static int toxic_refuse(struct duress_failure *why, const char *field, uint64_t value, uint64_t max)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s is %" PRIu64 ", allowed is 0 to %" PRIu64,
                           field, value, max);
    return DURESS_E_INVALID;
}

static int corrupt_check(const struct duress_toxic *toxic, struct duress_failure *why)
{
    uint32_t count = toxic->as.corrupt.offset_count;
    if (toxic->as.corrupt.rate_ppm > DURESS_PPM)
        return toxic_refuse(why, "corrupt.rate_ppm", toxic->as.corrupt.rate_ppm, DURESS_PPM);
    if (count > DURESS_CORRUPT_OFFSETS_MAX)
        return toxic_refuse(why, "corrupt.offset_count", count, DURESS_CORRUPT_OFFSETS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t offset = toxic->as.corrupt.offsets[i];
        for (uint32_t before = 0; before < i; before++) {
            if (toxic->as.corrupt.offsets[before] != offset)
                continue;
            if (why != NULL)
                duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER,
                                   "corrupt.offsets holds %" PRIu64 " twice, allowed is once", offset);
            return DURESS_E_INVALID;
        }
    }
    return DURESS_OK;
}

int duress_toxic_check(const struct duress_toxic *toxic, struct duress_failure *why)
{
    if (toxic == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "toxic is NULL");
        return DURESS_E_INVALID;
    }
    if ((unsigned)toxic->type >= DURESS_TOXIC_TYPE_COUNT)
        return toxic_refuse(why, "type", (unsigned)toxic->type, DURESS_TOXIC_TYPE_COUNT - 1);
    if ((unsigned)toxic->direction >= DURESS_DIRECTION_COUNT)
        return toxic_refuse(why, "direction", (unsigned)toxic->direction, DURESS_DIRECTION_COUNT - 1);
    if (toxic->type == DURESS_TOXIC_CORRUPT)
        return corrupt_check(toxic, why);
    if (toxic->type == DURESS_TOXIC_CUT && (unsigned)toxic->as.cut.how > DURESS_CUT_FIN)
        return toxic_refuse(why, "cut.how", (unsigned)toxic->as.cut.how, DURESS_CUT_FIN);
    return DURESS_OK;
}
