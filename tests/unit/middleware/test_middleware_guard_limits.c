/* SPDX-License-Identifier: Apache-2.0
 *
 * The blocking door's bulkhead and rate limiter: on a clock that the test moves, and between threads and a loop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>
#include <pthread.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/middleware/bulkhead.h>
#include <duress/middleware/guard.h>
#include <duress/world/live.h>

struct desk {
    struct duress_clock clock;
    uint64_t now_ns;
    uint64_t oversleep_ns;
    uint32_t early_wakes; /* so many more */
    uint32_t calls;
    struct duress_bulkhead bulkhead;
    struct duress_bucket bucket;
    struct duress_guard guard;
    struct duress_failure failure;
};

static uint64_t desk_now_ns(void *context)
{
    return ((const struct desk *)context)->now_ns;
}

static void desk_wait_until_ns(void *context, uint64_t at_ns)
{
    struct desk *desk = context;
    assert_true(at_ns > desk->now_ns);
    if (desk->early_wakes > 0) {
        desk->early_wakes--;
        desk->now_ns += (at_ns - desk->now_ns) / 2;
        return;
    }
    desk->now_ns = at_ns + desk->oversleep_ns;
}

static struct desk the_desk;

static int setup(void **state)
{
    the_desk = (struct desk){.now_ns = DURESS_S};
    the_desk.clock = (struct duress_clock){&the_desk, desk_now_ns, desk_wait_until_ns};
    struct duress_bucket_options ten_a_second = {.rate = 10, .burst = 2};
    assert_int_equal(duress_bulkhead_init(&the_desk.bulkhead, &(struct duress_bulkhead_options){.limit = 1}, NULL), 0);
    assert_int_equal(duress_bucket_init(&the_desk.bucket, &ten_a_second, NULL), DURESS_OK);
    *state = &the_desk;
    return 0;
}

static void guarded(struct desk *desk, struct duress_guard_options options)
{
    options.clock = &desk->clock;
    assert_int_equal(duress_guard_init(&desk->guard, &options, NULL), DURESS_OK);
}

static int work(void *context, uint32_t attempt, uint64_t deadline_ns)
{
    struct desk *desk = context;
    (void)attempt;
    (void)deadline_ns;
    desk->calls++;
    return DURESS_OK;
}

static int run(struct desk *desk, uint64_t deadline_ns)
{
    struct duress_guard_call call = {.deadline_ns = deadline_ns};
    return duress_guard_run(&desk->guard, work, desk, &call, &desk->failure);
}

/* Asks the guard again from inside: the only slot is taken. */
static int work_twice(void *context, uint32_t attempt, uint64_t deadline_ns)
{
    struct desk *desk = context;
    (void)attempt;
    (void)deadline_ns;
    assert_int_equal(run(desk, 0), DURESS_E_BULKHEAD_FULL);
    return DURESS_E_REFUSED;
}

static void a_full_bulkhead_refuses_and_a_slot_comes_back(void **state)
{
    struct desk *desk = *state;
    guarded(desk, (struct duress_guard_options){.bulkhead = &desk->bulkhead});
    assert_int_equal(duress_guard_run(&desk->guard, work_twice, desk, NULL, NULL), DURESS_E_REFUSED);
    assert_int_equal(desk->failure.origin, DURESS_ORIGIN_BULKHEAD);
    assert_int_equal(desk->failure.attempts, 0);
    assert_false(desk->failure.ambiguous);
    assert_int_equal(desk->calls, 0);
    assert_int_equal(run(desk, 0), DURESS_OK);
    struct duress_guard_counts counts = duress_guard_counts(&desk->guard);
    assert_int_equal(counts.refused_full, 1);
    assert_int_equal(counts.refused, 1);
    assert_int_equal(counts.failed, 1);
    assert_int_equal(counts.succeeded, 1);
    assert_int_equal(counts.in_flight, 0);
}

static void runs_wait_for_their_tokens(void **state)
{
    struct desk *desk = *state;
    guarded(desk, (struct duress_guard_options){.bucket = &desk->bucket});
    for (int i = 0; i < 5; i++)
        assert_int_equal(run(desk, 0), DURESS_OK);
    assert_int_equal(desk->now_ns, DURESS_S + 300 * DURESS_MS); /* two at once, and one each 100 ms */
    assert_int_equal(duress_guard_counts(&desk->guard).waited, 3);
    assert_int_equal(duress_guard_counts(&desk->guard).waiting, 0);
}

static void a_run_that_cannot_get_its_tokens_in_time_is_refused_at_once(void **state)
{
    struct desk *desk = *state;
    guarded(desk, (struct duress_guard_options){.bulkhead = &desk->bulkhead, .bucket = &desk->bucket});
    assert_int_equal(run(desk, 0), DURESS_OK);
    assert_int_equal(run(desk, 0), DURESS_OK);
    assert_int_equal(run(desk, DURESS_S + 100 * DURESS_MS), DURESS_E_RATE_LIMITED);
    assert_int_equal(desk->failure.origin, DURESS_ORIGIN_LIMITER);
    assert_int_equal(desk->failure.retry_after_ns, 100 * DURESS_MS);
    assert_int_equal(desk->failure.attempts, 0);
    assert_false(desk->failure.ambiguous);
    assert_int_equal(desk->now_ns, DURESS_S);
    assert_int_equal(desk->calls, 2);
    assert_int_equal(duress_guard_counts(&desk->guard).refused_rate, 1);
    assert_int_equal(run(desk, 0), DURESS_OK); /* the slot was given back */
}

static void refusing_never_waits(void **state)
{
    struct desk *desk = *state;
    struct duress_rate_limit_options refuse = {.mode = DURESS_RATE_LIMIT_REFUSE};
    guarded(desk, (struct duress_guard_options){.bucket = &desk->bucket, .rate_limit = &refuse});
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(desk, 0), DURESS_OK);
    assert_int_equal(run(desk, 0), DURESS_E_RATE_LIMITED);
    assert_int_equal(desk->now_ns, DURESS_S);
}

static void oversleeping_past_the_deadline_leaves_the_tokens_to_others(void **state)
{
    struct desk *desk = *state;
    guarded(desk, (struct duress_guard_options){.bucket = &desk->bucket});
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(desk, 0), DURESS_OK);
    desk->oversleep_ns = 50 * DURESS_MS;
    assert_int_equal(run(desk, DURESS_S + 120 * DURESS_MS), DURESS_E_DEADLINE);
    assert_int_equal(desk->failure.origin, DURESS_ORIGIN_CALLER);
    assert_false(desk->failure.ambiguous);
    assert_int_equal(desk->calls, 2);
    assert_int_equal(duress_guard_counts(&desk->guard).timed_out, 1);
    assert_int_equal(duress_bucket_tokens(&desk->bucket, desk->now_ns), 1);
}

/* So many tokens each that they are not there before the end of time. */
static void no_instant_is_told_for_tokens_that_never_come(void **state)
{
    struct desk *desk = *state;
    enum { TOKENS = 13000 };
    struct duress_bucket_options one_a_day = {.rate = 1, .burst = TOKENS, .per_ns = DURESS_BUCKET_PER_NS_MAX};
    struct duress_rate_limit_options many = {.tokens_per_request = TOKENS};
    assert_int_equal(duress_bucket_init(&desk->bucket, &one_a_day, NULL), DURESS_OK);
    desk->now_ns = DURESS_TIME_NEVER - DURESS_S;
    guarded(desk, (struct duress_guard_options){.bucket = &desk->bucket, .rate_limit = &many});
    assert_int_equal(run(desk, 0), DURESS_OK);
    assert_int_equal(run(desk, 0), DURESS_E_RATE_LIMITED);
    assert_int_equal(desk->failure.retry_after_ns, 0);
    assert_int_equal(desk->calls, 1);
}

static void a_clock_that_wakes_too_early_is_asked_again(void **state)
{
    struct desk *desk = *state;
    guarded(desk, (struct duress_guard_options){.bucket = &desk->bucket});
    for (int i = 0; i < 2; i++)
        assert_int_equal(run(desk, 0), DURESS_OK);
    desk->early_wakes = 3;
    assert_int_equal(run(desk, 0), DURESS_OK);
    assert_int_equal(desk->early_wakes, 0);
    assert_int_equal(desk->now_ns, DURESS_S + 100 * DURESS_MS);
    assert_int_equal(duress_guard_counts(&desk->guard).waited, 1);
    assert_int_equal(duress_guard_counts(&desk->guard).waiting, 0);
}

static void bad_options_are_named(void **state)
{
    struct desk *desk = *state;
    struct duress_rate_limit_options many = {.tokens_per_request = 3};
    struct duress_guard_options options = {.clock = &desk->clock, .rate_limit = &many};
    struct duress_failure why;
    assert_int_equal(duress_guard_init(&desk->guard, &options, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "rate_limit: only with bucket");
    options.bucket = &desk->bucket;
    assert_int_equal(duress_guard_init(&desk->guard, &options, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "rate_limit.tokens_per_request: 3 given, allowed 1 to 2");
}

/* --- threads --- */

enum { THREAD_COUNT = 4, RUNS_EACH = 2000 };

struct crowd {
    struct duress_bulkhead bulkhead;
    struct duress_guard guard;
    atomic_int inside;
    atomic_int inside_max;
    atomic_bool over;
};

static void crowd_count(struct crowd *crowd)
{
    int now = atomic_fetch_add(&crowd->inside, 1) + 1;
    int seen = atomic_load(&crowd->inside_max);
    while (now > seen && !atomic_compare_exchange_weak(&crowd->inside_max, &seen, now))
        ;
    atomic_fetch_sub(&crowd->inside, 1);
}

static int crowd_work(void *context, uint32_t attempt, uint64_t deadline_ns)
{
    (void)attempt;
    (void)deadline_ns;
    crowd_count(context);
    return DURESS_OK;
}

static void *crowd_thread(void *context)
{
    struct crowd *crowd = context;
    for (int i = 0; i < RUNS_EACH || !atomic_load(&crowd->over); i++)
        (void)duress_guard_run(&crowd->guard, crowd_work, crowd, NULL, NULL);
    return NULL;
}

struct looper {
    struct crowd *crowd;
    struct duress_agent *agent;
    struct duress_message *message;
    uint32_t left;
};

static int looper_service(void *context, struct duress_message *request, struct duress_message **reply,
                          struct duress_failure *failure)
{
    (void)failure;
    crowd_count(((const struct looper *)context)->crowd);
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static void looper_ask(struct looper *looper);

static void looper_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    (void)call;
    if (result->error != DURESS_OK)
        abort();
    struct looper *looper = context;
    if (--looper->left > 0)
        looper_ask(looper);
}

static void looper_ask(struct looper *looper)
{
    struct duress_ask ask = {.request = looper->message, .on_end = looper_ended, .context = looper};
    if (duress_agent_ask(looper->agent, &ask, NULL) != DURESS_OK)
        abort();
}

static bool looper_is_done(void *context)
{
    return ((const struct looper *)context)->left == 0;
}

/* Guards on four threads and a loop share one slot: the loop's calls wait in their queue and are woken by the guards.
 */
static void guards_wake_the_queue_of_a_loop(void **state)
{
    (void)state;
    static struct crowd crowd;
    struct looper looper = {.crowd = &crowd, .left = RUNS_EACH};
    struct duress_world *world = NULL;
    struct duress_agent *service = NULL;
    struct duress_guard_options options = {.clock = duress_clock_live(), .bulkhead = &crowd.bulkhead};
    struct duress_bulkhead_layer_options layer = {.shared = &crowd.bulkhead};
    pthread_t threads[THREAD_COUNT];
    assert_int_equal(duress_bulkhead_init(&crowd.bulkhead, &(struct duress_bulkhead_options){.limit = 1}, NULL), 0);
    assert_int_equal(duress_guard_init(&crowd.guard, &options, NULL), DURESS_OK);
    assert_int_equal(duress_world_live_new(NULL, &world, NULL), DURESS_OK);
    assert_int_equal(duress_message_text("x", &looper.message), DURESS_OK);
    assert_int_equal(duress_function_new(world, "service", looper_service, &looper, &service), DURESS_OK);
    assert_int_equal(duress_with_bulkhead(service, &layer, &looper.agent, NULL), DURESS_OK);
    for (int i = 0; i < THREAD_COUNT; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_thread, &crowd), 0);
    looper_ask(&looper);
    uint64_t deadline_ns = duress_world_now_ns(world) + 120 * DURESS_S;
    assert_int_equal(duress_world_run_until(world, looper_is_done, &looper, deadline_ns), DURESS_OK);
    atomic_store(&crowd.over, true);
    for (int i = 0; i < THREAD_COUNT; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(atomic_load(&crowd.inside_max), 1);
    struct duress_bulkhead_snapshot seen;
    duress_bulkhead_snapshot(&crowd.bulkhead, &seen);
    assert_int_equal(seen.running, 0);
    assert_int_equal(seen.waiting, 0);
    struct duress_guard_counts counts = duress_guard_counts(&crowd.guard);
    assert_true(counts.begun >= THREAD_COUNT * RUNS_EACH);
    assert_int_equal(counts.begun, counts.succeeded + counts.refused);
    assert_int_equal(counts.refused, counts.refused_full);
    duress_agent_unref(looper.agent);
    duress_agent_unref(service);
    duress_message_unref(looper.message);
    duress_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_full_bulkhead_refuses_and_a_slot_comes_back, setup),
        cmocka_unit_test_setup(runs_wait_for_their_tokens, setup),
        cmocka_unit_test_setup(a_run_that_cannot_get_its_tokens_in_time_is_refused_at_once, setup),
        cmocka_unit_test_setup(refusing_never_waits, setup),
        cmocka_unit_test_setup(oversleeping_past_the_deadline_leaves_the_tokens_to_others, setup),
        cmocka_unit_test_setup(bad_options_are_named, setup),
        cmocka_unit_test(guards_wake_the_queue_of_a_loop),
        cmocka_unit_test_setup(no_instant_is_told_for_tokens_that_never_come, setup),
        cmocka_unit_test_setup(a_clock_that_wakes_too_early_is_asked_again, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
