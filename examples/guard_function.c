/* SPDX-License-Identifier: Apache-2.0
 *
 * A function that blocks, with a deadline, retries and a circuit breaker around it. */
#include <stdio.h>

#include <duress/middleware/guard.h>

/* Your code goes here: ask the service, give up by |deadline_ns|, say how it went. This one is refused twice. */
static int price_ask(void *context, uint32_t attempt, uint64_t deadline_ns)
{
    (void)deadline_ns;
    if (attempt <= 2)
        return DURESS_E_REFUSED;
    *(int *)context = 42;
    return DURESS_OK;
}

int main(void)
{
    static struct duress_breaker breaker; /* one a service, shared by all threads, as the guard is */
    static struct duress_guard guard;
    struct duress_failure failure;
    struct duress_retry_options retry = {.attempts_max = 4, .backoff_ns = 20 * DURESS_MS};
    struct duress_guard_options options = {.clock = duress_clock_live(), .breaker = &breaker, .retry = &retry};
    if (duress_breaker_init(&breaker, NULL, &failure) != DURESS_OK ||
        duress_guard_init(&guard, &options, &failure) != DURESS_OK) {
        (void)fprintf(stderr, "%s\n", failure.detail);
        return 1;
    }

    int price = 0;
    struct duress_guard_call call = {.idempotent = true};
    call.deadline_ns = duress_time_add(options.clock->now_ns(options.clock->context), 2 * DURESS_S);
    int error = duress_guard_run(&guard, price_ask, &price, &call, &failure);
    if (error != DURESS_OK) {
        (void)fprintf(stderr, "no price: %s (%u attempts)\n", duress_strerror(error), failure.attempts);
        return 1;
    }
    (void)printf("the price is %d, after %u attempts\n", price, (unsigned)duress_guard_counts(&guard).attempts);
    return 0;
}
