/* SPDX-License-Identifier: Apache-2.0
 *
 * Programs as agents, from within: many at once of which a third is given up at any instant, and memory that runs out.
 * What they answer and how they end is tried in tests/cli, through the program. Waits for conditions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>

#include <duress/agent_tool/agents.h>
#include <duress/middleware/bulkhead.h>
#include <duress/world/live.h>

#include "probe_heap.h"

enum { CALLS = 200, AT_ONCE = 12 };
#define WAIT_NS (20 * DURESS_S)

static bool programs_are_gone(void *context)
{
    (void)context;
    return duress__command_agents_running() == 0;
}

static void await_end_of_programs(struct duress_world *world)
{
    uint64_t deadline_ns = duress_world_now_ns(world) + WAIT_NS;
    assert_int_equal(duress_world_run_until(world, programs_are_gone, NULL, deadline_ns), DURESS_OK);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* no child, no zombie */
    assert_int_equal(errno, ECHILD);
}

static size_t descriptor_count(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

static struct duress_agent *command_new(struct duress_world *world, const char *const *arguments)
{
    struct duress__command_options options = {.world = world, .arguments = arguments};
    struct duress_agent *agent = NULL;
    assert_int_equal(duress__command_agent_new(&options, &agent), DURESS_OK);
    return agent;
}

/* --- many --- */

struct crowd {
    struct duress_world *world;
    struct duress_prng prng;
    unsigned ended;
    unsigned answered;
    unsigned cancelled;
};

struct crowd_call {
    struct crowd *crowd;
    struct duress_call *call; /* NULL: ended */
    struct duress_timer cancel;
    unsigned ends;
    char text[32];
};

static void crowd_cancel(void *context)
{
    struct crowd_call *one = context;
    if (one->call != NULL)
        duress_call_cancel(one->call);
}

static void crowd_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct crowd_call *one = context;
    (void)call;
    one->call = NULL;
    one->ends++;
    one->crowd->ended++;
    if (result->error == DURESS_OK) {
        assert_true(duress_slice_is(duress_message_content(result->reply), one->text));
        one->crowd->answered++;
        return;
    }
    assert_int_equal(result->error, DURESS_E_CANCELLED);
    one->crowd->cancelled++;
}

static bool crowd_is_through(void *context)
{
    return ((const struct crowd *)context)->ended == CALLS;
}

static void crowd_ask(struct crowd *crowd, struct duress_agent *agent, struct crowd_call *one, unsigned number)
{
    struct duress_message *request = NULL;
    one->crowd = crowd;
    (void)snprintf(one->text, sizeof one->text, "call %u", number);
    assert_int_equal(duress_message_text(one->text, &request), DURESS_OK);
    struct duress_ask question = {.request = request, .on_end = crowd_ended, .context = one};
    duress_timer_init(&one->cancel, crowd_cancel, one);
    if (duress_prng_below(&crowd->prng, 3) == 0) {
        uint64_t after_ns = duress_prng_below(&crowd->prng, 200 * DURESS_MS);
        duress_world_arm(crowd->world, &one->cancel, duress_world_now_ns(crowd->world) + after_ns);
    }
    assert_int_equal(duress_agent_ask(agent, &question, &one->call), DURESS_OK);
    duress_message_unref(request);
}

static void many_programs_of_which_a_third_is_given_up_leave_nothing(void **state)
{
    (void)state;
    static const char *const arguments[] = {"sh", "-c", "read -r line; printf %s \"$line\"", NULL};
    static struct crowd_call calls[CALLS];
    struct crowd crowd = {.ended = 0};
    struct duress_agent *outer = NULL;
    assert_int_equal(duress_world_live_new(NULL, &crowd.world, NULL), DURESS_OK);
    duress_prng_init(&crowd.prng, 1, 1);
    size_t open = descriptor_count();
    struct duress_agent *agent = command_new(crowd.world, arguments);
    struct duress_bulkhead_layer_options bulkhead = {.bulkhead = {.limit = AT_ONCE}};
    assert_int_equal(duress_with_bulkhead(agent, &bulkhead, &outer, NULL), DURESS_OK);
    for (unsigned i = 0; i < CALLS; i++)
        crowd_ask(&crowd, outer, &calls[i], i);
    assert_int_equal(
        duress_world_run_until(crowd.world, crowd_is_through, &crowd, duress_world_now_ns(crowd.world) + 3 * WAIT_NS),
        DURESS_OK);
    for (unsigned i = 0; i < CALLS; i++) {
        assert_int_equal(calls[i].ends, 1);
        duress_world_disarm(crowd.world, &calls[i].cancel);
    }
    assert_true(crowd.answered >= CALLS / 2);
    assert_true(crowd.cancelled > 0);
    duress_agent_unref(outer);
    duress_agent_unref(agent); /* the programs that are left hold it */
    await_end_of_programs(crowd.world);
    assert_int_equal(descriptor_count(), open);
    duress_world_free(crowd.world);
}

/* --- streams --- */

struct heard {
    unsigned chunks;
    unsigned cancel_at; /* that chunk; 0: never */
    char last[16];
};

static void chunk_heard(void *context, struct duress_call *call, struct duress_message *chunk)
{
    struct heard *heard = context;
    struct duress_slice content = duress_message_content(chunk);
    (void)snprintf(heard->last, sizeof heard->last, "%.*s", (int)content.length, (const char *)content.data);
    if (++heard->chunks == heard->cancel_at)
        duress_call_cancel(call);
}

static int stream_of(struct duress_world *world, const char *text, struct heard *heard, struct duress_message **reply)
{
    static const char *const arguments[] = {"cat", NULL};
    struct duress_agent *agent = command_new(world, arguments);
    struct duress_message *request = NULL;
    assert_int_equal(duress_message_text(text, &request), DURESS_OK);
    struct duress_ask question = {.request = request, .on_chunk = chunk_heard, .context = heard};
    int error = duress_agent_ask_blocking(agent, &question, reply, NULL);
    duress_message_unref(request);
    duress_agent_unref(agent);
    await_end_of_programs(world);
    return error;
}

static void a_stream_ends_with_its_last_line(void **state)
{
    (void)state;
    struct duress_world *world = NULL;
    assert_int_equal(duress_world_live_new(NULL, &world, NULL), DURESS_OK);
    static const char *const texts[] = {"one\ntwo\nlast", "one\ntwo\nlast\n"};
    for (size_t i = 0; i < 2; i++) {
        struct heard heard = {.chunks = 0};
        struct duress_message *reply = NULL;
        assert_int_equal(stream_of(world, texts[i], &heard, &reply), DURESS_OK);
        assert_int_equal(heard.chunks, 3);
        assert_string_equal(heard.last, i == 0 ? "last" : "last\n");
        assert_true(duress_slice_is(duress_message_content(reply), heard.last));
        duress_message_unref(reply);
    }
    duress_world_free(world);
}

static void a_stream_may_be_given_up_inside_of_any_chunk(void **state)
{
    (void)state;
    struct duress_world *world = NULL;
    assert_int_equal(duress_world_live_new(NULL, &world, NULL), DURESS_OK);
    for (unsigned chunk = 1; chunk <= 3; chunk++) {
        struct heard heard = {.cancel_at = chunk};
        struct duress_message *reply = NULL;
        assert_int_equal(stream_of(world, "one\ntwo\nlast", &heard, &reply), DURESS_E_CANCELLED);
        assert_int_equal(heard.chunks, chunk);
        assert_null(reply);
    }
    duress_world_free(world);
}

/* --- memory --- */

static int ask_with(struct duress_world *world, const char *const *arguments, bool streams)
{
    struct duress__command_options options = {.world = world, .arguments = arguments};
    struct duress_agent *agent = NULL;
    struct duress_message *request = NULL;
    struct duress_message *reply = NULL;
    struct heard heard = {.chunks = 0};
    int error = duress__command_agent_new(&options, &agent);
    if (error != DURESS_OK)
        return error;
    assert_int_equal(duress_message_text("one\ntwo", &request), DURESS_OK);
    struct duress_ask question = {.request = request, .on_chunk = streams ? chunk_heard : NULL, .context = &heard};
    error = duress_agent_ask_blocking(agent, &question, &reply, NULL);
    duress_message_unref(reply);
    duress_message_unref(request);
    duress_agent_unref(agent);
    return error;
}

static void a_program_without_memory_for_it_fails_and_leaves_nothing(void **state)
{
    (void)state;
    static const char *const arguments[] = {"cat", NULL};
    for (int streams = 0; streams < 2; streams++) {
        for (uint64_t after = 0;; after++) {
            struct probe_heap heap;
            struct duress_world *world = NULL;
            probe_heap_init(&heap, UINT64_MAX);
            struct duress_world_live_options options = {.allocator = &heap.allocator};
            assert_int_equal(duress_world_live_new(&options, &world, NULL), DURESS_OK);
            heap.fail_after = heap.allocation_count + after;
            heap.fail_once = true;
            int error = ask_with(world, arguments, streams != 0);
            await_end_of_programs(world);
            duress_world_free(world);
            assert_int_equal(heap.live_count, 0);
            assert_int_equal(error, heap.tripped ? DURESS_E_NO_MEMORY : DURESS_OK);
            if (!heap.tripped)
                break;
        }
    }
}

static void an_agent_of_no_program_is_refused(void **state)
{
    (void)state;
    static const char *const nothing[] = {NULL};
    struct duress_world *world = NULL;
    struct duress_agent *agent = NULL;
    assert_int_equal(duress_world_live_new(NULL, &world, NULL), DURESS_OK);
    struct duress__command_options options = {.world = world};
    assert_int_equal(duress__command_agent_new(&options, &agent), DURESS_E_INVALID);
    options.arguments = nothing;
    assert_int_equal(duress__command_agent_new(&options, &agent), DURESS_E_INVALID);
    duress_world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(many_programs_of_which_a_third_is_given_up_leave_nothing),
        cmocka_unit_test(a_stream_ends_with_its_last_line),
        cmocka_unit_test(a_stream_may_be_given_up_inside_of_any_chunk),
        cmocka_unit_test(a_program_without_memory_for_it_fails_and_leaves_nothing),
        cmocka_unit_test(an_agent_of_no_program_is_refused),
    };
    (void)signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
