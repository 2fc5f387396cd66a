/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/policy/faults.h>

#include "option.h"

const char *duress_fault_name(enum duress_fault fault)
{
    switch (fault) {
    case DURESS_FAULT_NONE:
        return "none";
    case DURESS_FAULT_ERROR:
        return "error";
    case DURESS_FAULT_ERROR_AFTER:
        return "error_after";
    case DURESS_FAULT_DELAY:
        return "delay";
    case DURESS_FAULT_HANG:
        return "hang";
    case DURESS_FAULT_CORRUPT:
        return "corrupt";
    case DURESS_FAULT_TRUNCATE:
        return "truncate";
    case DURESS_FAULT_CRASH:
        return "crash";
    }
    return "unknown";
}

/* --- options --- */

static const char *const ppm_fields[DURESS_FAULT_COUNT] = {
    "faults.ppm[NONE]", "faults.ppm[ERROR]",   "faults.ppm[ERROR_AFTER]", "faults.ppm[DELAY]",
    "faults.ppm[HANG]", "faults.ppm[CORRUPT]", "faults.ppm[TRUNCATE]",    "faults.ppm[CRASH]",
};

static bool pattern_check(const struct duress_faults_options *options, struct duress_failure *why)
{
    if (!duress__option_in_range("faults.pattern_count", options->pattern_count, 0, DURESS_FAULTS_PATTERN_MAX, why))
        return false;
    for (unsigned i = 0; i < DURESS_FAULTS_PATTERN_MAX; i++) {
        uint64_t given = (uint64_t)options->pattern[i];
        if (i < options->pattern_count
                ? !duress__option_in_range("faults.pattern", given, 0, DURESS_FAULT_COUNT - 1, why)
                : !duress__option_unused("faults.pattern", given, "beyond pattern_count", why))
            return false;
    }
    return options->pattern_count > 0 ||
           duress__option_unused("faults.pattern_once", options->pattern_once, "without a pattern", why);
}

static bool chances_check(const struct duress_faults_options *options, struct duress_failure *why)
{
    uint64_t left = DURESS_PPM;
    if (!duress__option_unused(ppm_fields[0], options->ppm[0], "as it is no fault", why))
        return false;
    for (unsigned i = 1; i < DURESS_FAULT_COUNT; i++) {
        uint32_t given = options->ppm[i];
        if (!duress__option_in_range(ppm_fields[i], given, 0, left, why) ||
            (options->pattern_count > 0 && !duress__option_unused(ppm_fields[i], given, "beside a pattern", why)))
            return false;
        left -= given;
    }
    return true;
}

/* Whether a call may get |fault|. */
static bool faults_have(const struct duress_faults_options *options, enum duress_fault fault)
{
    bool found = options->ppm[fault] > 0;
    for (uint32_t i = 0; i < options->pattern_count; i++)
        found = found || options->pattern[i] == fault;
    return found;
}

static bool errors_check(const struct duress_faults_options *options, struct duress_failure *why)
{
    uint64_t number = 0 - (uint64_t)(int64_t)options->code;
    bool before = faults_have(options, DURESS_FAULT_ERROR);
    if (!before && !faults_have(options, DURESS_FAULT_ERROR_AFTER)) {
        const char *because = "where no call gets an error";
        return duress__option_unused("faults.code", number, because, why) &&
               duress__option_unused("faults.ambiguity", (uint64_t)options->ambiguity, because, why) &&
               duress__option_unused("faults.retry_after_ns", options->retry_after_ns, because, why);
    }
    if (!before &&
        !duress__option_unused("faults.retry_after_ns", options->retry_after_ns, "where no call is refused", why))
        return false;
    return duress__option_in_range("faults.code", number, 0, DURESS_ERROR_NUMBER_END - 1, why) &&
           duress__option_in_range("faults.ambiguity", (uint64_t)options->ambiguity, 0, DURESS_FAULT_NOT_AMBIGUOUS,
                                   why) &&
           duress__option_in_range("faults.retry_after_ns", options->retry_after_ns, 0, DURESS_FAULTS_DELAY_NS_MAX,
                                   why);
}

static bool delays_check(struct duress_faults_options *options, struct duress_failure *why)
{
    if (!faults_have(options, DURESS_FAULT_DELAY)) {
        const char *because = "where no call is delayed";
        return duress__option_unused("faults.delay_ns_min", options->delay_ns_min, because, why) &&
               duress__option_unused("faults.delay_ns_max", options->delay_ns_max, because, why);
    }
    if (options->delay_ns_min == 0 && options->delay_ns_max == 0)
        options->delay_ns_min = DURESS_FAULTS_DELAY_NS_DEFAULT;
    options->delay_ns_min = option_or_u64(options->delay_ns_min, 1);
    options->delay_ns_max = option_or_u64(options->delay_ns_max, options->delay_ns_min);
    return duress__option_in_range("faults.delay_ns_min", options->delay_ns_min, 1, DURESS_FAULTS_DELAY_NS_MAX, why) &&
           duress__option_in_range("faults.delay_ns_max", options->delay_ns_max, options->delay_ns_min,
                                   DURESS_FAULTS_DELAY_NS_MAX, why);
}

int duress_faults_init(struct duress_faults *faults, const struct duress_faults_options *options,
                       struct duress_failure *why)
{
    struct duress_faults made = {.calls = 0};
    if (!duress__option_given("faults", faults, why))
        return DURESS_E_INVALID;
    if (options != NULL)
        made.options = *options;
    if (!pattern_check(&made.options, why) || !chances_check(&made.options, why) || !errors_check(&made.options, why) ||
        !delays_check(&made.options, why))
        return DURESS_E_INVALID;
    for (unsigned i = 1; i < DURESS_FAULT_COUNT; i++)
        made.by_chance = made.by_chance || made.options.ppm[i] > 0;
    *faults = made;
    return DURESS_OK;
}

/* --- decisions --- */

static enum duress_fault fault_by_chance(const struct duress_faults_options *options, struct duress_prng *prng)
{
    uint64_t drawn = duress_prng_below(prng, DURESS_PPM);
    uint64_t below = 0;
    for (unsigned i = 1; i < DURESS_FAULT_COUNT; i++) {
        below += options->ppm[i];
        if (drawn < below)
            return (enum duress_fault)i;
    }
    return DURESS_FAULT_NONE;
}

static enum duress_fault fault_by_pattern(const struct duress_faults_options *options, uint64_t index)
{
    if (index >= options->pattern_count && (options->pattern_once || options->pattern_count == 0))
        return DURESS_FAULT_NONE;
    return options->pattern[index % options->pattern_count];
}

struct duress_fault_decision duress_faults_decide(struct duress_faults *faults, struct duress_prng *prng)
{
    const struct duress_faults_options *options = &faults->options;
    struct duress_fault_decision decision = {.fault = DURESS_FAULT_CRASH};
    uint64_t index = faults->calls++;
    if (options->crash_after > 0 && index >= options->crash_after)
        faults->crashed = true;
    if (faults->crashed)
        return decision;
    decision.fault = faults->by_chance ? fault_by_chance(options, prng) : fault_by_pattern(options, index);
    if (decision.fault == DURESS_FAULT_DELAY)
        decision.delay_ns = duress_prng_between(prng, options->delay_ns_min, options->delay_ns_max);
    else if (decision.fault == DURESS_FAULT_CORRUPT || decision.fault == DURESS_FAULT_TRUNCATE)
        decision.seed = duress_prng_next(prng);
    else if (decision.fault == DURESS_FAULT_CRASH)
        faults->crashed = true;
    return decision;
}

void duress_faults_reset(struct duress_faults *faults)
{
    faults->calls = 0;
    faults->crashed = false;
}

bool duress_faults_has_crashed(const struct duress_faults *faults)
{
    return faults->crashed;
}

void duress_faults_failure(const struct duress_faults *faults, enum duress_fault fault, struct duress_failure *failure)
{
    const struct duress_faults_options *options = &faults->options;
    bool crashed = fault == DURESS_FAULT_CRASH;
    enum duress_error code = crashed ? DURESS_OK : options->code;
    if (code == DURESS_OK)
        code = fault == DURESS_FAULT_ERROR_AFTER ? DURESS_E_RESET : DURESS_E_REFUSED;
    duress_failure_set(failure, code, DURESS_ORIGIN_AGENT, "injected: %s", duress_fault_name(fault));
    if (crashed)
        return;
    if (options->ambiguity != DURESS_FAULT_AMBIGUITY_OF_CODE)
        failure->ambiguous = options->ambiguity == DURESS_FAULT_AMBIGUOUS;
    if (fault == DURESS_FAULT_ERROR)
        failure->retry_after_ns = options->retry_after_ns;
}

/* --- bytes --- */

/* Purposes of the streams that one seed gives. */
enum { CORRUPT_STREAM = 1, TRUNCATE_STREAM };

static bool index_is_among(const size_t *indexes, size_t count, size_t index)
{
    for (size_t i = 0; i < count; i++)
        if (indexes[i] == index)
            return true;
    return false;
}

/* The places are a random subset, as Floyd draws one (J. Bentley, "A sample of brilliance", Communications of the ACM,
 * 1987): none comes twice, so that no change is undone. */
void duress_faults_corrupt(uint64_t seed, uint8_t *bytes, size_t length)
{
    size_t places[DURESS_FAULTS_CORRUPT_BYTES_MAX];
    struct duress_prng prng;
    duress_prng_init(&prng, seed, CORRUPT_STREAM);
    size_t count = (size_t)duress_prng_between(&prng, 1, DURESS_FAULTS_CORRUPT_BYTES_MAX);
    if (count > length)
        count = length;
    for (size_t i = 0; i < count; i++) {
        size_t last = length - count + i;
        size_t place = (size_t)duress_prng_between(&prng, 0, last);
        places[i] = index_is_among(places, i, place) ? last : place;
        bytes[places[i]] ^= (uint8_t)duress_prng_between(&prng, 1, UINT8_MAX);
    }
}

size_t duress_faults_keep_bytes(uint64_t seed, size_t length)
{
    struct duress_prng prng;
    duress_prng_init(&prng, seed, TRUNCATE_STREAM);
    return (size_t)duress_prng_below(&prng, length);
}
