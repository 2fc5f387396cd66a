/* SPDX-License-Identifier: Apache-2.0
 *
 * One guard and one circuit breaker for all threads of a program: a service that is down is asked five times in all,
 * not five times by each. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include <duress/middleware/guard.h>

enum { THREAD_COUNT = 4, CALL_COUNT = 1000 };

static struct duress_breaker breaker;
static struct duress_guard guard;
static atomic_uint asked_count;

/* Your code goes here. This service is down. */
static int service_ask(void *context, uint32_t attempt, uint64_t deadline_ns)
{
    (void)context;
    (void)attempt;
    (void)deadline_ns;
    atomic_fetch_add(&asked_count, 1);
    return DURESS_E_REFUSED;
}

static void *calls_make(void *context)
{
    struct duress_guard_call call = {.idempotent = true};
    unsigned *refused_count = context;
    for (int i = 0; i < CALL_COUNT; i++)
        if (duress_guard_run(&guard, service_ask, NULL, &call, NULL) == DURESS_E_CIRCUIT_OPEN)
            ++*refused_count;
    return NULL;
}

int main(void)
{
    struct duress_breaker_options breaker_options = {.failures_to_open = 5, .recovery_ns = 60 * DURESS_S};
    struct duress_guard_options options = {.clock = duress_clock_live(), .breaker = &breaker};
    pthread_t threads[THREAD_COUNT];
    unsigned refused_counts[THREAD_COUNT] = {0};
    if (duress_breaker_init(&breaker, &breaker_options, NULL) != DURESS_OK ||
        duress_guard_init(&guard, &options, NULL) != DURESS_OK)
        return 1;
    for (int i = 0; i < THREAD_COUNT; i++)
        if (pthread_create(&threads[i], NULL, calls_make, &refused_counts[i]) != 0)
            return 1;
    unsigned refused_count = 0;
    for (int i = 0; i < THREAD_COUNT; i++) {
        (void)pthread_join(threads[i], NULL);
        refused_count += refused_counts[i];
    }
    /* A call that was let in before the fifth failure may still be under way when the circuit opens. */
    unsigned asked = atomic_load(&asked_count);
    (void)printf("%s: %u calls asked or refused, the circuit is %s\n",
                 asked >= 5 && asked < 5 + THREAD_COUNT ? "asked five times or hardly more" : "asked too often",
                 asked + refused_count, duress_breaker_state_name(duress_breaker_state(&breaker)));
    return 0;
}
