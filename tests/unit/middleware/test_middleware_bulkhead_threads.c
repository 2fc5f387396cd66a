/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: a bulkhead shared by the loops of several threads keeps its limit, loses no wake-up and no slot, whoever gives
 * up meanwhile. Method: three threads with a live world each keep eight calls under way through one bulkhead of two
 * slots, and cancel some of them. That all calls end shows that no wake-up was lost; the thread sanitizer sees the
 * rest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/middleware/bulkhead.h>
#include <duress/world/live.h>

enum { THREAD_COUNT = 3, CALLS_EACH = 3000, UNDER_WAY = 8, LIMIT = 2 };

static struct duress_bulkhead shared;
static struct duress_adaptive_limit limit;
static atomic_int running;
static atomic_int running_max;
static pthread_barrier_t all_have_ended; /* only then no thread may be about to wake another's world */

struct looper;

struct slot_holder {
    struct looper *looper;
    struct duress_call *inner; /* in the service */
    struct duress_timer answer;
};

struct looper {
    pthread_t thread;
    struct duress_world *world;
    struct duress_agent *agent;
    struct duress_message *message;
    struct duress_prng prng;
    struct slot_holder holders[LIMIT];
    struct duress_call *calls[UNDER_WAY];
    uint32_t begun;
    uint32_t ended;
    uint32_t cancelled;
};

static void service_leave(struct slot_holder *holder)
{
    holder->inner = NULL;
    atomic_fetch_sub(&running, 1);
}

static void service_answer(void *context)
{
    struct slot_holder *holder = context;
    struct duress_call *call = holder->inner;
    service_leave(holder);
    duress_call_reply(call, holder->looper->message);
}

static void service_begin(void *context, struct duress_call *call)
{
    struct looper *looper = context;
    int now = atomic_fetch_add(&running, 1) + 1;
    int seen = atomic_load(&running_max);
    while (now > seen && !atomic_compare_exchange_weak(&running_max, &seen, now))
        ;
    for (int i = 0; i < LIMIT; i++) {
        struct slot_holder *holder = &looper->holders[i];
        if (holder->inner != NULL)
            continue;
        holder->inner = call;
        uint64_t at_ns = duress_world_now_ns(looper->world) + duress_prng_below(&looper->prng, 20 * DURESS_US);
        duress_world_arm(looper->world, &holder->answer, at_ns);
        return;
    }
    abort(); /* more calls than slots */
}

static void service_cancel(void *context, struct duress_call *call)
{
    struct looper *looper = context;
    for (int i = 0; i < LIMIT; i++) {
        struct slot_holder *holder = &looper->holders[i];
        if (holder->inner != call)
            continue;
        duress_world_disarm(looper->world, &holder->answer);
        service_leave(holder);
    }
}

static void call_begin(struct looper *looper, int place);

static void call_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct looper *looper = context;
    int place = 0;
    while (looper->calls[place] != call)
        place++;
    looper->calls[place] = NULL;
    looper->ended++;
    looper->cancelled += result->error == DURESS_E_CANCELLED;
    call_begin(looper, place);
    struct duress_call *victim = looper->calls[duress_prng_below(&looper->prng, UNDER_WAY)];
    if (victim != NULL && duress_prng_below(&looper->prng, 4) == 0)
        duress_call_cancel(victim);
}

static void call_begin(struct looper *looper, int place)
{
    if (looper->begun == CALLS_EACH)
        return;
    looper->begun++;
    struct duress_ask ask = {.request = looper->message, .on_end = call_ended, .context = looper};
    if (duress_agent_ask(looper->agent, &ask, &looper->calls[place]) != DURESS_OK)
        abort();
}

static bool looper_is_done(void *context)
{
    const struct looper *looper = context;
    return looper->ended == CALLS_EACH;
}

/* The layer is gone when no slot is on its way to it any more. */
static bool agent_is_alone(void *context)
{
    return ((const struct duress_agent *)context)->references == 1;
}

static void *looper_run(void *context)
{
    struct looper *looper = context;
    struct duress_agent *service = NULL;
    struct duress_bulkhead_layer_options options = {.shared = &shared, .shared_adaptive = &limit};
    if (duress_world_live_new(NULL, &looper->world, NULL) != DURESS_OK ||
        duress_message_text("x", &looper->message) != DURESS_OK ||
        duress_function_async_new(looper->world, "service", service_begin, service_cancel, looper, &service) !=
            DURESS_OK ||
        duress_with_bulkhead(service, &options, &looper->agent, NULL) != DURESS_OK)
        abort();
    for (int i = 0; i < LIMIT; i++) {
        looper->holders[i] = (struct slot_holder){.looper = looper};
        duress_timer_init(&looper->holders[i].answer, service_answer, &looper->holders[i]);
    }
    for (int i = 0; i < UNDER_WAY; i++)
        call_begin(looper, i);
    uint64_t deadline_ns = duress_world_now_ns(looper->world) + 120 * DURESS_S;
    int error = duress_world_run_until(looper->world, looper_is_done, looper, deadline_ns);
    duress_agent_unref(looper->agent);
    if (error == DURESS_OK)
        error = duress_world_run_until(looper->world, agent_is_alone, service, deadline_ns);
    if (error != DURESS_OK)
        abort();
    duress_agent_unref(service);
    duress_message_unref(looper->message);
    (void)pthread_barrier_wait(&all_have_ended);
    duress_world_free(looper->world);
    return NULL;
}

static void a_bulkhead_between_threads_loses_nothing(void **state)
{
    (void)state;
    static struct looper loopers[THREAD_COUNT];
    struct duress_adaptive_limit_options adaptive = {
        .limit_max = LIMIT, .window_ns = 100 * DURESS_US, .samples_min = 1, .rule = DURESS_ADAPTIVE_AIMD};
    assert_int_equal(duress_bulkhead_init(&shared, &(struct duress_bulkhead_options){.limit = LIMIT}, NULL), DURESS_OK);
    assert_int_equal(duress_adaptive_limit_init(&limit, &adaptive, NULL), DURESS_OK);
    assert_int_equal(pthread_barrier_init(&all_have_ended, NULL, THREAD_COUNT), 0);
    for (int i = 0; i < THREAD_COUNT; i++) {
        duress_prng_init(&loopers[i].prng, (uint64_t)i, 5);
        assert_int_equal(pthread_create(&loopers[i].thread, NULL, looper_run, &loopers[i]), 0);
    }
    for (int i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_join(loopers[i].thread, NULL), 0);
        assert_int_equal(loopers[i].ended, CALLS_EACH);
        assert_true(loopers[i].cancelled > CALLS_EACH / 20);
    }
    (void)pthread_barrier_destroy(&all_have_ended);
    struct duress_bulkhead_snapshot seen;
    duress_bulkhead_snapshot(&shared, &seen);
    assert_int_equal(seen.running, 0);
    assert_int_equal(seen.waiting, 0);
    assert_int_equal(atomic_load(&running), 0);
    assert_in_range(atomic_load(&running_max), 1, LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bulkhead_between_threads_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
