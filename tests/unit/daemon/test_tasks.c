/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests as tasks, on a real data path and without HTTP: turns, owners that leave, and memory that runs out at each
 * place. */
#include "support.h"

#include <stdio.h>

#include <duress/time.h>

#include "daemon_private.h"

#define PATIENCE_NS (20 * DURESS_S)

/* Counts what lives, and fails the |fail_at|-th allocation (0-based; SIZE_MAX: none). */
struct heap {
    struct duress_allocator base;
    size_t live_count;
    size_t count;
    size_t fail_at;
};

static void *heap_allocate(void *context, size_t bytes)
{
    struct heap *heap = context;
    if (heap->count++ == heap->fail_at)
        return NULL;
    void *memory = duress_allocate(NULL, bytes);
    heap->live_count += memory != NULL;
    return memory;
}

static void *heap_reallocate(void *context, void *memory, size_t bytes)
{
    struct heap *heap = context;
    if (heap->count++ == heap->fail_at)
        return NULL;
    heap->live_count += memory == NULL;
    return duress_reallocate(NULL, memory, bytes);
}

static void heap_release(void *context, void *memory)
{
    struct heap *heap = context;
    heap->live_count -= memory != NULL;
    duress_release(NULL, memory);
}

/* The daemon's loop and workers have memory of their own, which never fails: their rooms have such tests. */
static const struct duress_daemon_options options = {.version = "test", .log_level = DURESS_DAEMON_LOG_DISABLED};

static void daemon_begin(struct daemon *daemon, struct heap *heap)
{
    const struct duress_workers_options workers = {.worker_count = 2};
    *heap = (struct heap){.base = {heap, heap_allocate, heap_reallocate, heap_release}, .fail_at = SIZE_MAX};
    *daemon = (struct daemon){.allocator = &heap->base, .options = &options, .seed = 1};
    assert_int_equal(duress__loop_new(NULL, NULL, &daemon->loop), DURESS_OK);
    assert_int_equal(duress_workers_new(daemon->loop, &workers, &daemon->workers, NULL), DURESS_OK);
    duress__log_init(&daemon->log, -1, DURESS_DAEMON_LOG_DISABLED, false, daemon->allocator);
    duress__registry_init(&daemon->registry, daemon->allocator);
    assert_true(duress__state_init(&daemon->state, daemon, NULL));
    daemon->turn_later.fn = duress__turn_next;
    daemon->turn_later.context = daemon;
    duress_timer_init(&daemon->expiry, duress__expiry_due, daemon);
}

static void daemon_finish(struct daemon *daemon, const struct heap *heap)
{
    duress_workers_free(daemon->workers);
    for (size_t i = 0; i < daemon->registry.count; i++) {
        duress__relay_forget(daemon->registry.proxies[i]->relay);
        daemon->registry.proxies[i]->relay = NULL;
    }
    duress__registry_deinit(&daemon->registry);
    duress__state_deinit(&daemon->state);
    duress__log_deinit(&daemon->log);
    duress__loop_disarm(daemon->loop, &daemon->expiry);
    duress__loop_free(daemon->loop);
    assert_int_equal(daemon->task_count, 0);
    assert_int_equal(heap->live_count, 0);
}

/* --- asking --- */

struct request {
    const char *method;
    const char *target;
    const char *body;
    unsigned status;
    const char *answer; /* its begin; NULL: any */
};

struct asked {
    unsigned *order; /* counts the ends */
    unsigned ended;  /* as which; 0: not yet */
};

static void asked_ended(void *context, struct task *task)
{
    struct asked *asked = context;
    (void)task;
    asked->ended = ++*asked->order;
}

static bool asked_is_ended(void *context)
{
    const struct asked *asked = context;
    return asked->ended > 0;
}

static struct task *task_for(struct daemon *daemon, const struct request *request)
{
    char *target = duress__text_copy(daemon->allocator, request->target);
    return target != NULL ? duress__task_new(daemon, target, request->method) : NULL;
}

static void ask(struct daemon *daemon, const struct request *request)
{
    unsigned order = 0;
    struct asked asked = {.order = &order};
    struct task *task = task_for(daemon, request);
    assert_non_null(task);
    duress__task_begin(task, duress_slice_text(request->body), asked_ended, &asked);
    uint64_t deadline_ns = duress__loop_now_ns(daemon->loop) + PATIENCE_NS;
    assert_int_equal(duress__loop_run_until(daemon->loop, asked_is_ended, &asked, deadline_ns), DURESS_OK);
    assert_int_equal(task->answer.status, request->status);
    const char *text = buffer_text(&task->answer.body);
    if (request->answer != NULL && strncmp(text, request->answer, strlen(request->answer)) != 0)
        fail_msg("%s %s: '%s' does not begin with '%s'", request->method, request->target, text, request->answer);
    duress__task_free(task);
}

/* --- tests --- */

static const struct request scenario[] = {
    {"POST", "/proxies",
     "{\"name\":\"a\",\"listen\":\"127.0.0.1:0\",\"upstream\":\"x:1\",\"toxics\":[{\"type\":\"noop\"}]}", 201,
     "{\"name\":\"a\",\"listen\":\"127.0.0.1:"},
    {"POST", "/proxies/a/toxics", "{\"type\":\"latency\",\"attributes\":{\"latency\":5}}", 200, "{\"attributes\""},
    {"PATCH", "/proxies/a/toxics/latency_downstream", "{\"toxicity\":0.5}", 200, "{\"attributes\":{\"latency\":5"},
    {"POST", "/populate", "[{\"name\":\"b\",\"listen\":\"127.0.0.1:0\",\"upstream\":\"y:1\"}]", 201, "{\"proxies\":["},
    {"POST", "/proxies/b/toxics", "{\"type\":\"noop\"}", 200, "{\"attributes\":{}"},
    {"PATCH", "/proxies/b", "{\"upstream\":\"z:1\"}", 200, "{\"name\":\"b\""},
    {"PATCH", "/proxies/b", "{\"enabled\":false}", 200, "{\"name\":\"b\""},
    {"PATCH", "/proxies/b", "{\"listen\":\"localhost:0\",\"enabled\":true}", 200, "{\"name\":\"b\",\"listen\":\"127."},
    {"GET", "/proxies", NULL, 200, "{\"a\":{"},
    {"GET", "/connections", NULL, 200, "[]"},
    {"DELETE", "/proxies/a/toxics/noop_downstream", NULL, 204, ""},
    {"POST", "/reset", NULL, 204, ""},
    {"GET", "/proxies/a/toxics", NULL, 200, "[]"},
    {"DELETE", "/proxies/a", NULL, 204, ""},
    {"DELETE", "/proxies/b", NULL, 204, ""},
    {"GET", "/proxies", NULL, 200, "{}"},
};
#define SCENARIO_COUNT (sizeof scenario / sizeof scenario[0])

static void a_day_in_the_life(void **state)
{
    struct daemon daemon;
    struct heap heap;
    (void)state;
    daemon_begin(&daemon, &heap);
    for (size_t i = 0; i < SCENARIO_COUNT; i++)
        ask(&daemon, &scenario[i]);
    daemon_finish(&daemon, &heap);
}

/* With one allocation failing, one request fails for it, or what it wanted to say is shorter; whatever is there after
 * it works. True where the allocation came to be. */
static bool without_one_allocation(size_t index)
{
    static const struct request cleanup[] = {
        {"DELETE", "/proxies/a", NULL, 204, NULL},
        {"DELETE", "/proxies/b", NULL, 204, NULL},
    };
    struct daemon daemon;
    struct heap heap;
    daemon_begin(&daemon, &heap);
    heap.fail_at = index;
    for (size_t i = 0; i < SCENARIO_COUNT; i++) {
        unsigned order = 0;
        struct asked asked = {.order = &order};
        struct task *task = task_for(&daemon, &scenario[i]);
        if (task == NULL)
            continue;
        duress__task_begin(task, duress_slice_text(scenario[i].body), asked_ended, &asked);
        uint64_t deadline_ns = duress__loop_now_ns(daemon.loop) + PATIENCE_NS;
        assert_int_equal(duress__loop_run_until(daemon.loop, asked_is_ended, &asked, deadline_ns), DURESS_OK);
        assert_true(task->answer.status == scenario[i].status || task->answer.status == 500 ||
                    task->answer.status == 404);
        duress__task_free(task);
    }
    bool failed = heap.count > index;
    heap.fail_at = SIZE_MAX;
    for (size_t i = 0; i < 2; i++)
        if (duress__registry_find(&daemon.registry, cleanup[i].target + strlen("/proxies/")) != NULL)
            ask(&daemon, &cleanup[i]);
    assert_int_equal(daemon.registry.count, 0);
    daemon_finish(&daemon, &heap);
    return failed;
}

static void memory_may_run_out_anywhere(void **state)
{
    size_t index = 0;
    (void)state;
    while (without_one_allocation(index))
        index++;
    assert_true(index > 50);
}

static void changes_take_turns_in_the_order_of_their_coming(void **state)
{
    enum { CHANGES = 50 };
    struct daemon daemon;
    struct heap heap;
    struct task *tasks[CHANGES];
    struct asked asked[CHANGES];
    unsigned order = 0;
    char body[64];
    (void)state;
    daemon_begin(&daemon, &heap);
    ask(&daemon, &scenario[0]);
    ask(&daemon, &scenario[1]);
    for (unsigned i = 0; i < CHANGES; i++) {
        const struct request request = {"PATCH", "/proxies/a/toxics/latency_downstream", NULL, 200, NULL};
        asked[i] = (struct asked){.order = &order};
        tasks[i] = task_for(&daemon, &request);
        assert_non_null(tasks[i]);
        (void)snprintf(body, sizeof body, "{\"attributes\":{\"latency\":%u}}", i);
        duress__task_begin(tasks[i], duress_slice_text(body), asked_ended, &asked[i]);
    }
    uint64_t deadline_ns = duress__loop_now_ns(daemon.loop) + PATIENCE_NS;
    assert_int_equal(duress__loop_run_until(daemon.loop, asked_is_ended, &asked[CHANGES - 1], deadline_ns), DURESS_OK);
    for (unsigned i = 0; i < CHANGES; i++) {
        assert_int_equal(asked[i].ended, i + 1);
        (void)snprintf(body, sizeof body, "{\"attributes\":{\"latency\":%u,", i);
        assert_int_equal(strncmp(buffer_text(&tasks[i]->answer.body), body, strlen(body)), 0);
        duress__task_free(tasks[i]);
    }
    daemon_finish(&daemon, &heap);
}

/* What was there when a request came may be gone when its turn comes. */
static void a_change_sees_what_the_changes_before_it_did(void **state)
{
    static const struct request requests[] = {
        {"DELETE", "/proxies/a", NULL, 204, ""},
        {"POST", "/proxies/a/toxics", "{\"type\":\"latency\"}", 404, "{\"error\":\"proxy not found\""},
        {"PATCH", "/proxies/a", "{\"enabled\":false}", 404, "{\"error\":\"proxy not found\""},
        {"DELETE", "/proxies/a/toxics/noop_downstream", NULL, 404, "{\"error\":\"proxy not found\""},
        {"DELETE", "/proxies/a", NULL, 404, "{\"error\":\"proxy not found\""},
        {"POST", "/proxies", "{\"name\":\"a\",\"listen\":\"127.0.0.1:0\",\"upstream\":\"x:1\"}", 409,
         "{\"error\":\"proxy already exists\""},
    };
    enum { REQUESTS = sizeof requests / sizeof requests[0] };
    struct daemon daemon;
    struct heap heap;
    struct task *tasks[REQUESTS];
    struct asked asked[REQUESTS];
    unsigned order = 0;
    (void)state;
    daemon_begin(&daemon, &heap);
    ask(&daemon, &scenario[0]);
    for (size_t i = 0; i < REQUESTS; i++) {
        asked[i] = (struct asked){.order = &order};
        tasks[i] = task_for(&daemon, &requests[i]);
        assert_non_null(tasks[i]);
        duress__task_begin(tasks[i], duress_slice_text(requests[i].body), asked_ended, &asked[i]);
    }
    for (size_t i = 0; i < REQUESTS; i++) {
        uint64_t deadline_ns = duress__loop_now_ns(daemon.loop) + PATIENCE_NS;
        assert_int_equal(duress__loop_run_until(daemon.loop, asked_is_ended, &asked[i], deadline_ns), DURESS_OK);
        assert_int_equal(tasks[i]->answer.status, requests[i].status);
        const char *text = buffer_text(&tasks[i]->answer.body);
        assert_int_equal(strncmp(text, requests[i].answer, strlen(requests[i].answer)), 0);
        duress__task_free(tasks[i]);
    }
    daemon_finish(&daemon, &heap);
}

static bool nothing_runs(void *context)
{
    const struct daemon *daemon = context;
    return daemon->task_count == 0;
}

static void what_was_begun_is_brought_to_its_end_though_nobody_waits(void **state)
{
    struct daemon daemon;
    struct heap heap;
    struct asked asked = {.order = NULL};
    (void)state;
    daemon_begin(&daemon, &heap);
    ask(&daemon, &scenario[0]);
    for (int i = 0; i < 2; i++) {
        const struct request request = {"POST", "/proxies/a/toxics", NULL, 200, NULL};
        struct task *task = task_for(&daemon, &request);
        assert_non_null(task);
        const char *body = i == 0 ? "{\"type\":\"latency\"}" : "{\"type\":\"slicer\"}";
        duress__task_begin(task, duress_slice_text(body), asked_ended, &asked);
        assert_int_equal(asked.ended, 0);
        duress__task_free(task);
    }
    uint64_t deadline_ns = duress__loop_now_ns(daemon.loop) + PATIENCE_NS;
    assert_int_equal(duress__loop_run_until(daemon.loop, nothing_runs, &daemon, deadline_ns), DURESS_OK);
    assert_int_equal(daemon.registry.proxies[0]->toxic_count, 3);
    assert_int_equal(asked.ended, 0);
    daemon_finish(&daemon, &heap);
}

static void a_name_that_nobody_knows_holds_no_turn(void **state)
{
    struct daemon daemon;
    struct heap heap;
    unsigned order = 0;
    struct asked slow = {.order = &order};
    (void)state;
    daemon_begin(&daemon, &heap);
    const struct request lost = {"POST", "/proxies", NULL, 500, NULL};
    struct task *task = task_for(&daemon, &lost);
    assert_non_null(task);
    duress__task_begin(
        task, duress_slice_text("{\"name\":\"lost\",\"listen\":\"no-such-host.invalid:0\",\"upstream\":\"x:1\"}"),
        asked_ended, &slow);
    assert_int_equal(slow.ended, 0);
    assert_null(daemon.turn_first);
    ask(&daemon, &scenario[0]);
    uint64_t deadline_ns = duress__loop_now_ns(daemon.loop) + PATIENCE_NS;
    assert_int_equal(duress__loop_run_until(daemon.loop, asked_is_ended, &slow, deadline_ns), DURESS_OK);
    assert_int_equal(task->answer.status, 500);
    assert_string_equal(buffer_text(&task->answer.body),
                        "{\"error\":\"listen tcp: lookup no-such-host.invalid: no such host\",\"status\":500}\n");
    duress__task_free(task);
    daemon_finish(&daemon, &heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_in_the_life),
        cmocka_unit_test(memory_may_run_out_anywhere),
        cmocka_unit_test(changes_take_turns_in_the_order_of_their_coming),
        cmocka_unit_test(a_change_sees_what_the_changes_before_it_did),
        cmocka_unit_test(what_was_begun_is_brought_to_its_end_though_nobody_waits),
        cmocka_unit_test(a_name_that_nobody_knows_holds_no_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
