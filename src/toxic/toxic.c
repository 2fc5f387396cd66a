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

uint64_t duress_seed_for_name(uint64_t seed, const char *name)
{
    for (; *name != '\0'; name++)
        seed = duress_prng_mix(seed, (unsigned char)*name);
    return duress_prng_mix(seed, 0); /* "ab" is not the beginning of "abc" */
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

static int packet_loss_check(const struct duress_toxic *toxic, struct duress_failure *why)
{
    const struct {
        const char *field;
        uint32_t ppm;
    } chances[] = {
        {"packet_loss.loss_ppm", toxic->as.packet_loss.loss_ppm},
        {"packet_loss.correlation_ppm", toxic->as.packet_loss.correlation_ppm},
        {"packet_loss.good_to_bad_ppm", toxic->as.packet_loss.good_to_bad_ppm},
        {"packet_loss.bad_to_good_ppm", toxic->as.packet_loss.bad_to_good_ppm},
        {"packet_loss.bad_loss_ppm", toxic->as.packet_loss.bad_loss_ppm},
    };
    for (size_t i = 0; i < sizeof chances / sizeof chances[0]; i++)
        if (chances[i].ppm > DURESS_PPM)
            return toxic_refuse(why, chances[i].field, chances[i].ppm, DURESS_PPM);
    return DURESS_OK;
}

/* Those that were measured rise. */
static int quantiles_check(const struct duress_toxic *toxic, struct duress_failure *why)
{
    const uint64_t *quantiles_ns = toxic->as.latency_quantiles.quantiles_ns;
    uint64_t below_ns = quantiles_ns[0];
    for (unsigned i = 1; i < DURESS_QUANTILE_COUNT; i++) {
        if (quantiles_ns[i] == 0)
            continue;
        if (quantiles_ns[i] < below_ns) {
            if (why != NULL)
                duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER,
                                   "latency_quantiles.quantiles_ns[%u] is %" PRIu64 ", allowed is 0, or %" PRIu64
                                   " and more as the one before",
                                   i, quantiles_ns[i], below_ns);
            return DURESS_E_INVALID;
        }
        below_ns = quantiles_ns[i];
    }
    return DURESS_OK;
}

static int schedule_check(const struct duress_toxic *toxic, struct duress_failure *why)
{
    bool is_short = toxic->period_ns < DURESS_SCHEDULE_PERIOD_NS_MIN;
    if (toxic->period_ns == 0 && toxic->on_ns == 0)
        return DURESS_OK;
    if (!is_short && toxic->on_ns > 0 && toxic->on_ns <= toxic->period_ns)
        return DURESS_OK;
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER,
                           "%s is %" PRIu64 ", allowed is %s (period_ns is %" PRIu64 ")",
                           is_short ? "period_ns" : "on_ns", is_short ? toxic->period_ns : toxic->on_ns,
                           is_short ? "0 with on_ns, or 10 ms and more" : "1 to period_ns", toxic->period_ns);
    return DURESS_E_INVALID;
}

static int type_check(const struct duress_toxic *toxic, struct duress_failure *why)
{
    switch (toxic->type) {
    case DURESS_TOXIC_CORRUPT:
        return corrupt_check(toxic, why);
    case DURESS_TOXIC_CUT:
        if ((unsigned)toxic->as.cut.how > DURESS_CUT_FIN)
            return toxic_refuse(why, "cut.how", (unsigned)toxic->as.cut.how, DURESS_CUT_FIN);
        return DURESS_OK;
    case DURESS_TOXIC_PACKET_LOSS:
        return packet_loss_check(toxic, why);
    case DURESS_TOXIC_LATENCY_PARETO:
        if (toxic->as.latency_pareto.shape_hundredths > 0)
            return DURESS_OK;
        if (why != NULL)
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER,
                               "latency_pareto.shape_hundredths is 0, allowed is 1 and more");
        return DURESS_E_INVALID;
    case DURESS_TOXIC_LATENCY_QUANTILES:
        return quantiles_check(toxic, why);
    default:
        return DURESS_OK;
    }
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
    int error = schedule_check(toxic, why);
    return error == DURESS_OK ? type_check(toxic, why) : error;
}
