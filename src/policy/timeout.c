/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/policy/timeout.h>

#include <stddef.h>

#include "option.h"

/* DURESS_TIME_NEVER is a choice of its own beside the range. */
static bool limit_in_range(const char *field, uint64_t given, struct duress_failure *why)
{
    return given == DURESS_TIME_NEVER || duress__option_in_range(field, given, 1, DURESS_TIMEOUT_NS_MAX, why);
}

int duress_timeout_options_init(struct duress_timeout_options *options, const struct duress_timeout_options *given,
                                struct duress_failure *why)
{
    struct duress_timeout_options filled = {0};
    if (!duress__option_given("options", options, why))
        return DURESS_E_INVALID;
    if (given != NULL)
        filled = *given;
    if (filled.gap_ns == 0)
        filled.gap_ns = DURESS_TIME_NEVER;
    if (filled.limit_ns == 0)
        filled.limit_ns = filled.gap_ns == DURESS_TIME_NEVER ? DURESS_TIMEOUT_LIMIT_NS_DEFAULT : DURESS_TIME_NEVER;
    if (!limit_in_range("timeout.limit_ns", filled.limit_ns, why) ||
        !limit_in_range("timeout.gap_ns", filled.gap_ns, why))
        return DURESS_E_INVALID;
    *options = filled;
    return DURESS_OK;
}

void duress_timeout_init(struct duress_timeout *timeout, const struct duress_timeout_options *options,
                         uint64_t call_deadline_ns, uint64_t now_ns)
{
    *timeout = (struct duress_timeout){
        .call_deadline_ns = call_deadline_ns,
        .limit_deadline_ns = duress_time_add(now_ns, options->limit_ns),
        .gap_deadline_ns = duress_time_add(now_ns, options->gap_ns),
    };
}

uint64_t duress_timeout_at_ns(const struct duress_timeout *timeout)
{
    uint64_t own_ns = duress_time_min(timeout->limit_deadline_ns, timeout->gap_deadline_ns);
    return duress_time_min(timeout->call_deadline_ns, own_ns);
}

uint64_t duress_timeout_deadline_ns(const struct duress_timeout_options *options, uint64_t call_deadline_ns,
                                    uint64_t now_ns)
{
    struct duress_timeout timeout;
    duress_timeout_init(&timeout, options, call_deadline_ns, now_ns);
    return duress_timeout_at_ns(&timeout);
}

void duress_timeout_chunk(struct duress_timeout *timeout, const struct duress_timeout_options *options, uint64_t now_ns)
{
    if (now_ns >= duress_timeout_at_ns(timeout))
        return;
    uint64_t renewed_ns = duress_time_add(now_ns, options->gap_ns);
    if (renewed_ns > timeout->gap_deadline_ns)
        timeout->gap_deadline_ns = renewed_ns;
}

enum duress_timeout_expiry duress_timeout_expiry(const struct duress_timeout *timeout, uint64_t now_ns)
{
    uint64_t at_ns = duress_timeout_at_ns(timeout);
    if (at_ns == DURESS_TIME_NEVER || now_ns < at_ns)
        return DURESS_TIMEOUT_RUNNING;
    if (at_ns == timeout->call_deadline_ns)
        return DURESS_TIMEOUT_BY_CALL;
    return at_ns == timeout->limit_deadline_ns ? DURESS_TIMEOUT_BY_LIMIT : DURESS_TIMEOUT_BY_GAP;
}

const char *duress_timeout_expiry_name(enum duress_timeout_expiry expiry)
{
    switch (expiry) {
    case DURESS_TIMEOUT_RUNNING:
        return "running";
    case DURESS_TIMEOUT_BY_CALL:
        return "call";
    case DURESS_TIMEOUT_BY_LIMIT:
        return "limit";
    case DURESS_TIMEOUT_BY_GAP:
        return "gap";
    }
    return "unknown";
}
