/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of policies share: cmocka with what it needs, and a few words to tell a breaker's story with. */
#ifndef POLICY_TEST_H
#define POLICY_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <duress/policy/breaker.h>

static inline struct duress_breaker breaker_with(struct duress_breaker_options options)
{
    struct duress_breaker breaker;
    assert_int_equal(duress_breaker_init(&breaker, &options, NULL), DURESS_OK);
    return breaker;
}

/* A call that must be admitted. */
static inline struct duress_permit admitted(struct duress_breaker *breaker, uint64_t now_ns)
{
    struct duress_permit permit;
    uint64_t retry_at_ns = 0;
    assert_int_equal(duress_breaker_acquire(breaker, now_ns, &permit, &retry_at_ns), DURESS_ADMIT);
    assert_int_equal(retry_at_ns, now_ns);
    return permit;
}

/* A call that must be refused with |verdict| and told to ask again at |retry_at_ns|. */
static inline void refused(struct duress_breaker *breaker, uint64_t now_ns, enum duress_verdict verdict,
                           uint64_t retry_at_ns)
{
    struct duress_permit permit;
    uint64_t told_ns = 0;
    assert_int_equal(duress_breaker_acquire(breaker, now_ns, &permit, &told_ns), verdict);
    assert_int_equal(told_ns, retry_at_ns);
}

/* |count| calls in a row that begin and end at |now_ns|. */
static inline void calls(struct duress_breaker *breaker, uint32_t count, enum duress_outcome outcome, uint64_t now_ns)
{
    for (uint32_t i = 0; i < count; i++)
        duress_breaker_report(breaker, admitted(breaker, now_ns), outcome, now_ns);
}

static inline void state_is(const struct duress_breaker *breaker, enum duress_breaker_state state)
{
    assert_string_equal(duress_breaker_state_name(duress_breaker_state(breaker)), duress_breaker_state_name(state));
}

static inline struct duress_breaker_counters counters_of(const struct duress_breaker *breaker)
{
    struct duress_breaker_snapshot snapshot;
    duress_breaker_snapshot(breaker, &snapshot);
    return snapshot.counters;
}

/* The newest change of state. */
static inline struct duress_breaker_transition last_change(const struct duress_breaker *breaker)
{
    struct duress_breaker_transition change = {0};
    assert_int_equal(duress_breaker_log(breaker, &change, 1), 1);
    return change;
}

#endif
