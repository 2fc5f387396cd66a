/* SPDX-License-Identifier: Apache-2.0
 *
 * One bucket under the limiters of several live loops, each in a thread of its own: for the thread sanitizer, and to
 * see that every call is answered once and none before its token. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include <pthread.h>

#include <duress/agent/function.h>
#include <duress/middleware/rate_limiter.h>
#include <duress/world/live.h>

enum { THREAD_COUNT = 4, CALLS_PER_THREAD = 100, BURST = 20, RATE = 5000 };

struct loop {
    pthread_t thread;
    struct duress_bucket *bucket;
    int error;
    uint32_t asked;
    uint32_t ended;
    struct duress_rate_limiter_counts counts;
    uint64_t started_ns;
    uint64_t asked_ns[CALLS_PER_THREAD];
    struct duress_world *world;
};

static int loop_asked(void *context, struct duress_message *request, struct duress_message **reply,
                      struct duress_failure *failure)
{
    struct loop *loop = context;
    (void)failure;
    loop->asked_ns[loop->asked++] = duress_world_now_ns(loop->world);
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static void loop_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct loop *loop = context;
    (void)call;
    loop->ended += result->error == DURESS_OK;
}

/* The thread sanitizer does not see libuv close descriptors, and takes one whose number comes again for shared: so no
 * loop goes before the last one is there. */
static pthread_barrier_t all_are_there;

static bool loop_done(void *context)
{
    return ((const struct loop *)context)->ended == CALLS_PER_THREAD;
}

static void *loop_run(void *context)
{
    struct loop *loop = context;
    struct duress_agent *service = NULL;
    struct duress_agent *limited = NULL;
    struct duress_message *request = NULL;
    struct duress_rate_limiter_options options = {.shared = loop->bucket};
    loop->error = duress_world_live_new(NULL, &loop->world, NULL);
    if (loop->error == DURESS_OK)
        loop->error = duress_function_new(loop->world, "service", loop_asked, loop, &service);
    if (loop->error == DURESS_OK)
        loop->error = duress_with_rate_limiter(service, &options, &limited, NULL);
    if (loop->error == DURESS_OK)
        loop->error = duress_message_text("x", &request);
    struct duress_ask ask = {.request = request, .on_end = loop_ended, .context = loop};
    loop->started_ns = loop->error == DURESS_OK ? duress_world_now_ns(loop->world) : 0;
    for (int i = 0; i < CALLS_PER_THREAD && loop->error == DURESS_OK; i++)
        loop->error = duress_agent_ask(limited, &ask, NULL);
    if (loop->error == DURESS_OK)
        loop->error = duress_world_run_until(loop->world, loop_done, loop, loop->started_ns + 20 * DURESS_S);
    loop->counts = duress_rate_limiter_counts(limited);
    duress_message_unref(request);
    duress_agent_unref(limited);
    duress_agent_unref(service);
    (void)pthread_barrier_wait(&all_are_there);
    duress_world_free(loop->world);
    return NULL;
}

static int instant_compare(const void *a, const void *b)
{
    uint64_t one = *(const uint64_t *)a;
    uint64_t other = *(const uint64_t *)b;
    return (one > other) - (one < other);
}

static void loops_share_a_bucket(void **state)
{
    static struct loop loops[THREAD_COUNT];
    static uint64_t asked_ns[THREAD_COUNT * CALLS_PER_THREAD];
    static struct duress_bucket bucket;
    struct duress_bucket_options options = {.rate = RATE, .burst = BURST};
    uint64_t first_ns = UINT64_MAX;
    (void)state;
    assert_int_equal(duress_bucket_init(&bucket, &options, NULL), DURESS_OK);
    assert_int_equal(pthread_barrier_init(&all_are_there, NULL, THREAD_COUNT), 0);
    for (int i = 0; i < THREAD_COUNT; i++) {
        loops[i].bucket = &bucket;
        assert_int_equal(pthread_create(&loops[i].thread, NULL, loop_run, &loops[i]), 0);
    }
    for (int i = 0; i < THREAD_COUNT; i++) {
        assert_int_equal(pthread_join(loops[i].thread, NULL), 0);
        assert_int_equal(loops[i].error, DURESS_OK);
        assert_int_equal(loops[i].ended, CALLS_PER_THREAD);
        assert_int_equal(loops[i].asked, CALLS_PER_THREAD);
        assert_int_equal(loops[i].counts.calls.succeeded, CALLS_PER_THREAD);
        assert_int_equal(loops[i].counts.waiting, 0);
        first_ns = duress_time_min(first_ns, loops[i].started_ns);
        for (int j = 0; j < CALLS_PER_THREAD; j++)
            asked_ns[i * CALLS_PER_THREAD + j] = loops[i].asked_ns[j];
    }
    (void)pthread_barrier_destroy(&all_are_there);
    qsort(asked_ns, THREAD_COUNT * CALLS_PER_THREAD, sizeof asked_ns[0], instant_compare);
    for (uint64_t i = BURST; i < THREAD_COUNT * CALLS_PER_THREAD; i++)
        assert_in_range(asked_ns[i], first_ns + (i + 1 - BURST) * (DURESS_S / RATE), UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_share_a_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
