/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/middleware/guard.h>

#include <stdio.h>
#include <string.h>

#include "layer_private.h"

/* One run, on the stack of its thread. */
struct guard_run {
    struct duress_guard *guard;
    uint64_t number;
    uint64_t now_ns;
    uint64_t deadline_ns;
    bool idempotent;
    bool ambiguous; /* any attempt's failure was */
    bool seeded;
    bool refused;   /* the last failure is a refusal of bulkhead, rate limiter or breaker */
    bool timed_out; /* the last failure is a limit of ours */
    uint32_t attempts;
    uint64_t overrun_ns;
    struct duress_retry retry;
    struct duress_prng prng;
    struct duress_failure failure;
};

static int guard_refuse(struct duress_failure *why, const char *what)
{
    return duress__layer_refuse(why, what);
}

int duress_guard_init(struct duress_guard *guard, const struct duress_guard_options *options,
                      struct duress_failure *why)
{
    if (guard == NULL || options == NULL || options->clock == NULL)
        return guard_refuse(why, "guard, options and clock: must be given");
    if (options->retry_budget != NULL && options->retry == NULL)
        return guard_refuse(why, "retry_budget: only with retry");
    if (options->timeout != NULL && options->timeout->gap_ns != 0)
        return guard_refuse(why, "timeout: gap_ns must be 0, nothing is streamed here");
    if (options->rate_limit != NULL && options->bucket == NULL)
        return guard_refuse(why, "rate_limit: only with bucket");
    struct duress_guard made = {
        .clock = options->clock,
        .bulkhead = options->bulkhead,
        .bucket = options->bucket,
        .retry_budget = options->retry_budget,
        .breaker = options->breaker,
        .outcome_of = options->outcome_of,
        .context = options->context,
        .seed = options->seed,
        .retries = options->retry != NULL,
        .limited = options->timeout != NULL,
    };
    int error = duress_retry_options_init(&made.retry, options->retry, why);
    if (error == DURESS_OK)
        error = duress_timeout_options_init(&made.timeout, options->timeout, why);
    if (error == DURESS_OK && options->bucket != NULL)
        error = duress_rate_limit_options_init(&made.rate_limit, options->rate_limit, options->bucket, why);
    if (error == DURESS_OK)
        *guard = made;
    return error;
}

static uint64_t guard_now_ns(const struct duress_guard *guard)
{
    return guard->clock->now_ns(guard->clock->context);
}

/* --- before the first attempt --- */

static void run_refuse_full(struct guard_run *run)
{
    duress_failure_set(&run->failure, DURESS_E_BULKHEAD_FULL, DURESS_ORIGIN_BULKHEAD, "all slots are taken");
    duress__atomic_add(&run->guard->refused_full, 1);
    run->refused = true;
}

static void run_refuse_rate(struct guard_run *run, const struct duress_rate_decision *decision)
{
    duress_failure_set(&run->failure, DURESS_E_RATE_LIMITED, DURESS_ORIGIN_LIMITER, "%s",
                       duress_rate_reason_name(decision->reason));
    if (decision->at_ns != DURESS_TIME_NEVER)
        run->failure.retry_after_ns = duress_time_until(run->now_ns, decision->at_ns);
    duress__atomic_add(&run->guard->refused_rate, 1);
    run->refused = true;
}

/* Who slept longer than they were asked to, and past their deadline, leave the tokens to others. */
static bool run_tokens_in_time(struct guard_run *run)
{
    if (run->now_ns < run->deadline_ns)
        return true;
    duress_bucket_give_back(run->guard->bucket, run->guard->rate_limit.tokens_per_request, run->now_ns, run->now_ns);
    duress_failure_set(&run->failure, DURESS_E_DEADLINE, DURESS_ORIGIN_CALLER,
                       "the deadline passed while waiting for the rate limiter");
    run->failure.ambiguous = false;
    run->timed_out = true;
    return false;
}

/* Waits for the run's tokens where the options allow it: behind those who wait already at first, and then, at the
 * instant at which its turn has come, like anybody. */
static bool run_take_tokens(struct guard_run *run)
{
    struct duress_guard *guard = run->guard;
    uint64_t ahead = duress__atomic_load(&guard->waiting);
    struct duress_rate_request request = {
        .ahead = ahead < UINT32_MAX ? (uint32_t)ahead : UINT32_MAX,
        .since_ns = run->now_ns,
        .deadline_ns = run->deadline_ns,
    };
    struct duress_rate_decision decision =
        duress_rate_limit_decide(&guard->rate_limit, guard->bucket, &request, run->now_ns);
    if (decision.verdict == DURESS_RATE_PASS)
        return true;
    if (decision.verdict == DURESS_RATE_WAIT) {
        duress__atomic_add(&guard->waiting, 1);
        request.ahead = 0;
        do {
            guard->clock->wait_until_ns(guard->clock->context, decision.at_ns);
            run->now_ns = guard_now_ns(guard);
            decision = duress_rate_limit_decide(&guard->rate_limit, guard->bucket, &request, run->now_ns);
        } while (decision.verdict == DURESS_RATE_WAIT);
        duress__atomic_add(&guard->waiting, UINT64_MAX);
    }
    if (decision.verdict == DURESS_RATE_REFUSE) {
        run_refuse_rate(run, &decision);
        return false;
    }
    duress__atomic_add(&guard->waited, 1);
    return run_tokens_in_time(run);
}

static void run_leave(const struct guard_run *run)
{
    if (run->guard->bulkhead != NULL)
        duress__bulkhead_wake(duress_bulkhead_release(run->guard->bulkhead));
}

/* True where the run may begin: it has a slot and its tokens. Else the failure is in |run|. */
static bool run_enter(struct guard_run *run)
{
    const struct duress_guard *guard = run->guard;
    if (guard->bulkhead != NULL && !duress_bulkhead_acquire(guard->bulkhead)) {
        run_refuse_full(run);
        return false;
    }
    if (guard->bucket == NULL || run_take_tokens(run))
        return true;
    run_leave(run);
    return false;
}

/* --- one attempt --- */

static void run_refuse(struct guard_run *run, enum duress_verdict verdict, uint64_t retry_at_ns)
{
    duress_failure_set(&run->failure, DURESS_E_CIRCUIT_OPEN, DURESS_ORIGIN_BREAKER,
                       verdict == DURESS_REFUSE_PROBING ? "half-open: all probes are in flight" : "open");
    if (retry_at_ns != DURESS_TIME_NEVER)
        run->failure.retry_after_ns = duress_time_until(run->now_ns, retry_at_ns);
    run->refused = true;
}

static void run_late(struct guard_run *run, int code, uint64_t deadline_ns)
{
    struct duress_guard *guard = run->guard;
    run->overrun_ns = run->now_ns - deadline_ns;
    run->timed_out = true;
    duress__atomic_add(&guard->late, 1);
    duress__atomic_raise(&guard->overrun_ns_max, run->overrun_ns);
    duress_failure_set(&run->failure, DURESS_E_DEADLINE, DURESS_ORIGIN_TIMEOUT,
                       "returned %llu us after its deadline, with %s",
                       (unsigned long long)(run->overrun_ns / DURESS_US), duress_error_name(code));
}

static void run_failed(struct guard_run *run, int code)
{
    bool known = code < 0 && code > -DURESS_ERROR_NUMBER_END;
    if (known)
        duress_failure_set(&run->failure, (enum duress_error)code, DURESS_ORIGIN_AGENT, "%s", duress_strerror(code));
    else
        duress_failure_set(&run->failure, DURESS_E_INVALID, DURESS_ORIGIN_AGENT, "the guarded function returned %d",
                           code);
}

static enum duress_outcome run_outcome(const struct guard_run *run)
{
    if (run->guard->outcome_of != NULL)
        return run->guard->outcome_of(run->guard->context, &run->failure);
    return duress_outcome_of(run->failure.code);
}

/* True where the attempt succeeded; else the failure is in |run|. */
static bool run_attempt(struct guard_run *run, duress_guard_fn fn, void *context)
{
    struct duress_guard *guard = run->guard;
    struct duress_permit permit = {.generation = 0};
    run->refused = false;
    run->timed_out = false;
    run->overrun_ns = 0;
    run->attempts++;
    if (guard->breaker != NULL) {
        uint64_t retry_at_ns;
        enum duress_verdict verdict = duress_breaker_acquire(guard->breaker, run->now_ns, &permit, &retry_at_ns);
        if (verdict != DURESS_ADMIT) {
            run_refuse(run, verdict, retry_at_ns);
            return false;
        }
    }
    uint64_t deadline_ns = run->deadline_ns;
    if (guard->limited)
        deadline_ns = duress_timeout_deadline_ns(&guard->timeout, deadline_ns, run->now_ns);
    duress__atomic_add(&guard->attempts, 1);
    int code = fn(context, run->attempts, deadline_ns);
    run->now_ns = guard_now_ns(guard);
    bool good = false;
    if (run->now_ns > deadline_ns)
        run_late(run, code, deadline_ns);
    else if (code == DURESS_OK)
        good = true;
    else
        run_failed(run, code);
    if (guard->breaker != NULL)
        duress_breaker_report(guard->breaker, permit, good ? DURESS_OUTCOME_SUCCESS : run_outcome(run), run->now_ns);
    return good;
}

/* --- between attempts --- */

static void run_give_up(struct guard_run *run, const char *reason)
{
    size_t length = strnlen(run->failure.detail, sizeof run->failure.detail - 1);
    (void)snprintf(run->failure.detail + length, sizeof run->failure.detail - length, "%sgave up: %s",
                   length > 0 ? "; " : "", reason);
}

/* Waits for the next attempt; false where there is none. */
static bool run_wait(struct guard_run *run)
{
    struct duress_guard *guard = run->guard;
    run->ambiguous = run->ambiguous || run->failure.ambiguous;
    if (!guard->retries)
        return false;
    if (!run->seeded) {
        duress_prng_init(&run->prng, guard->seed, run->number);
        run->seeded = true;
    }
    struct duress_retry_decision decision = duress_retry_decide(
        &run->retry, &guard->retry, &run->failure, run->idempotent, run->deadline_ns, run->now_ns, &run->prng);
    if (decision.verdict != DURESS_RETRY_WAIT) {
        run_give_up(run, duress_retry_reason_name(decision.reason));
        return false;
    }
    if (guard->retry_budget != NULL && !duress_retry_budget_withdraw(guard->retry_budget)) {
        duress__atomic_add(&guard->budget_refusals, 1);
        run_give_up(run, "retry budget spent");
        return false;
    }
    guard->clock->wait_until_ns(guard->clock->context, decision.at_ns);
    run->now_ns = guard_now_ns(guard);
    if (run->now_ns >= run->deadline_ns) { /* The machine slept longer than it was asked to. */
        run_give_up(run, "the deadline passed during the wait");
        return false;
    }
    return true;
}

/* True where one of them succeeded. */
static bool run_attempts(struct guard_run *run, duress_guard_fn fn, void *context)
{
    duress_retry_init(&run->retry, &run->guard->retry);
    if (run->guard->retry_budget != NULL)
        duress_retry_budget_deposit(run->guard->retry_budget);
    do {
        if (run_attempt(run, fn, context))
            return true;
    } while (run_wait(run));
    return false;
}

static int run_end(struct guard_run *run, const struct duress_guard_call *call, struct duress_failure *failure)
{
    struct duress_guard *guard = run->guard;
    struct duress__atomic *counter = &guard->failed;
    if (run->refused)
        counter = &guard->refused;
    else if (run->timed_out)
        counter = &guard->timed_out;
    duress__atomic_add(counter, 1);
    run->failure.attempts = run->attempts;
    run->failure.ambiguous = run->ambiguous;
    if (call != NULL && call->overrun_ns != NULL)
        *call->overrun_ns = run->overrun_ns;
    if (failure != NULL)
        *failure = run->failure;
    return run->failure.code;
}

int duress_guard_run(struct duress_guard *guard, duress_guard_fn fn, void *context,
                     const struct duress_guard_call *call, struct duress_failure *failure)
{
    if (guard == NULL || fn == NULL)
        return guard_refuse(failure, "guard and fn: must be given");
    struct guard_run run; /* its large members are written where they are needed */
    run.guard = guard;
    run.number = duress__atomic_add(&guard->begun, 1);
    run.now_ns = guard_now_ns(guard);
    run.deadline_ns = call != NULL && call->deadline_ns != 0 ? call->deadline_ns : DURESS_TIME_NEVER;
    run.idempotent = call != NULL && call->idempotent;
    run.ambiguous = false;
    run.seeded = false;
    run.refused = false;
    run.timed_out = false;
    run.attempts = 0;
    run.overrun_ns = 0;
    if (run.deadline_ns <= run.now_ns) {
        duress_failure_set(&run.failure, DURESS_E_DEADLINE, DURESS_ORIGIN_CALLER,
                           "the deadline had passed before the call");
        run.timed_out = true;
        return run_end(&run, call, failure);
    }
    if (!run_enter(&run))
        return run_end(&run, call, failure);
    bool good = run_attempts(&run, fn, context);
    run_leave(&run);
    if (!good)
        return run_end(&run, call, failure);
    duress__atomic_add(&guard->succeeded, 1);
    if (call != NULL && call->overrun_ns != NULL)
        *call->overrun_ns = 0;
    return DURESS_OK;
}

struct duress_guard_counts duress_guard_counts(const struct duress_guard *guard)
{
    if (guard == NULL)
        return (struct duress_guard_counts){.begun = 0};
    /* What has ended is read before what has begun, so that no run ends twice in the sum. */
    struct duress_guard_counts counts = {
        .succeeded = duress__atomic_load(&guard->succeeded),
        .failed = duress__atomic_load(&guard->failed),
        .timed_out = duress__atomic_load(&guard->timed_out),
        .refused = duress__atomic_load(&guard->refused),
        .refused_full = duress__atomic_load(&guard->refused_full),
        .refused_rate = duress__atomic_load(&guard->refused_rate),
        .waiting = duress__atomic_load(&guard->waiting),
        .waited = duress__atomic_load(&guard->waited),
        .attempts = duress__atomic_load(&guard->attempts),
        .budget_refusals = duress__atomic_load(&guard->budget_refusals),
        .late = duress__atomic_load(&guard->late),
        .overrun_ns_max = duress__atomic_load(&guard->overrun_ns_max),
    };
    counts.begun = duress__atomic_load(&guard->begun);
    counts.in_flight = counts.begun - counts.succeeded - counts.failed - counts.timed_out - counts.refused;
    return counts;
}
