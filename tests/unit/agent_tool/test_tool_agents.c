/* SPDX-License-Identifier: Apache-2.0
 *
 * Echo and reverse, whole and in chunks; many calls at once; where can be served. In virtual time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/agent_tool/agents.h>
#include <duress/agent_tool/asking.h>
#include <duress/agent_tool/serving.h>
#include <duress/world/live.h>
#include <duress/world/sim.h>

#include "probe_heap.h"

enum { HEARD_BYTES_MAX = 8192 };

struct heard {
    unsigned chunks;
    size_t length;
    uint8_t bytes[HEARD_BYTES_MAX];
};

static void chunk_heard(void *context, struct duress_call *call, struct duress_message *chunk)
{
    struct heard *heard = context;
    struct duress_slice content = duress_message_content(chunk);
    (void)call;
    assert_true(duress_slice_is(duress_message_role(chunk), "agent"));
    assert_true(content.length <= sizeof heard->bytes - heard->length);
    if (content.length > 0)
        memcpy(heard->bytes + heard->length, content.data, content.length);
    heard->length += content.length;
    heard->chunks++;
}

static struct duress_message *ask(struct duress_agent *agent, struct duress_slice content, struct heard *heard)
{
    struct duress_message *request = NULL;
    struct duress_message *reply = NULL;
    struct duress_message_options options = {.content = content, .metadata = duress_slice_text("{\"a\":1}")};
    assert_int_equal(duress_message_new(&options, &request), DURESS_OK);
    struct duress_ask question = {.request = request, .on_chunk = heard != NULL ? chunk_heard : NULL, .context = heard};
    assert_int_equal(duress_agent_ask_blocking(agent, &question, &reply, NULL), DURESS_OK);
    duress_message_unref(request);
    return reply;
}

static void assert_answer(struct duress_agent *agent, const char *content, const char *expected)
{
    struct duress_message *reply = ask(agent, duress_slice_text(content), NULL);
    assert_true(duress_slice_is(duress_message_content(reply), expected));
    assert_true(duress_slice_is(duress_message_role(reply), "agent"));
    assert_true(duress_slice_is(duress_message_metadata(reply), "{\"a\":1}"));
    duress_message_unref(reply);
}

static void echo_and_reverse_answer(void **state)
{
    (void)state;
    struct duress_world *world = NULL;
    struct duress_agent *echo = NULL;
    struct duress_agent *reverse = NULL;
    assert_int_equal(duress_world_sim_new(1, &world), DURESS_OK);
    assert_int_equal(duress__echo_agent_new(world, &echo), DURESS_OK);
    assert_int_equal(duress__reverse_agent_new(world, &reverse), DURESS_OK);
    assert_answer(echo, "", "");
    assert_answer(echo, "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f");
    assert_answer(reverse, "", "");
    assert_answer(reverse, "abc", "cba");
    assert_answer(reverse, "a\xc3\xbc\xe2\x82\xac\xf0\x9f\x8c\x8dz",
                  "z\xf0\x9f\x8c\x8d\xe2\x82\xac\xc3\xbc"
                  "a");
    assert_answer(reverse, "a\x80\x80\x80\x80\x80",
                  "\x80\x80\x80\x80"
                  "a\x80"); /* no UTF-8: no byte is lost */
    duress_agent_unref(echo);
    duress_agent_unref(reverse);
    duress_world_free(world);
}

static void assert_chunks(struct duress_agent *agent, const char *content, unsigned chunks)
{
    struct heard heard = {.chunks = 0};
    duress_message_unref(ask(agent, duress_slice_text(content), &heard));
    assert_int_equal(heard.chunks, chunks);
    assert_true(duress_slice_is(duress_slice_bytes(heard.bytes, heard.length), content));
}

static void streams_have_a_chunk_a_word_and_not_too_many(void **state)
{
    (void)state;
    struct duress_world *world = NULL;
    struct duress_agent *echo = NULL;
    assert_int_equal(duress_world_sim_new(1, &world), DURESS_OK);
    assert_int_equal(duress__echo_agent_new(world, &echo), DURESS_OK);
    assert_chunks(echo, "", 1);
    assert_chunks(echo, "one", 1);
    assert_chunks(echo, "one two", 2);
    assert_chunks(echo, " one  two ", 3);
    assert_chunks(echo, "   ", 1);
    char words[4001];
    for (size_t i = 0; i < sizeof words - 1; i++)
        words[i] = i % 2 == 0 ? 'w' : ' ';
    words[sizeof words - 1] = '\0';
    struct heard heard = {.chunks = 0};
    duress_message_unref(ask(echo, duress_slice_text(words), &heard));
    assert_in_range(heard.chunks, 32, 65);
    assert_true(duress_slice_is(duress_slice_bytes(heard.bytes, heard.length), words));
    duress_agent_unref(echo);
    duress_world_free(world);
}

/* --- many calls --- */

struct slow {
    struct duress_world *world;
    unsigned now;
    unsigned most;
    unsigned answered;
    unsigned cancelled;
    uint64_t last_number;
    struct duress__asking *asking;
    unsigned stop_after; /* answers; 0: never */
};

struct slow_call {
    struct slow *slow;
    struct duress_call *call;
    struct duress_timer timer;
};

static void slow_due(void *context)
{
    struct slow_call *one = context;
    one->slow->now--;
    duress_call_reply(one->call, one->call->request);
}

static void slow_begin(void *context, struct duress_call *call)
{
    struct slow *slow = context;
    struct slow_call *one = duress_call_allocate(call, sizeof *one);
    assert_non_null(one);
    *one = (struct slow_call){.slow = slow, .call = call};
    call->state = one;
    slow->now++;
    slow->most = slow->now > slow->most ? slow->now : slow->most;
    duress_timer_init(&one->timer, slow_due, one);
    duress_world_arm(slow->world, &one->timer, duress_world_now_ns(slow->world) + 10 * DURESS_MS);
}

static void slow_cancel(void *context, struct duress_call *call)
{
    struct slow *slow = context;
    slow->now--;
    duress_world_disarm(slow->world, &((struct slow_call *)call->state)->timer);
}

static void slow_answered(void *context, uint64_t number, const struct duress_result *result)
{
    struct slow *slow = context;
    slow->answered += result->error == DURESS_OK;
    slow->cancelled += result->error == DURESS_E_CANCELLED;
    assert_true(result->error == DURESS_OK || result->error == DURESS_E_CANCELLED);
    slow->last_number = number > slow->last_number ? number : slow->last_number;
    if (slow->answered == slow->stop_after && result->error == DURESS_OK)
        duress__asking_stop(slow->asking);
}

static void ask_many(struct slow *slow, uint64_t repeat_count, uint32_t concurrency)
{
    struct duress_agent *agent = NULL;
    struct duress_message *request = NULL;
    assert_int_equal(duress_world_sim_new(1, &slow->world), DURESS_OK);
    assert_int_equal(duress_function_async_new(slow->world, "slow", slow_begin, slow_cancel, slow, &agent), DURESS_OK);
    assert_int_equal(duress_message_text("hello", &request), DURESS_OK);
    struct duress__asking_options options = {
        .agent = agent,
        .request = request,
        .repeat_count = repeat_count,
        .concurrency = concurrency,
        .limit_ns = DURESS_S,
        .on_answer = slow_answered,
        .context = slow,
    };
    assert_int_equal(duress__asking_new(&options, &slow->asking), DURESS_OK);
    duress__asking_run(slow->asking);
    duress__asking_free(slow->asking);
    assert_int_equal(slow->now, 0);
    duress_message_unref(request);
    duress_agent_unref(agent);
    duress_world_free(slow->world);
}

static void asking_keeps_so_many_calls_at_once(void **state)
{
    (void)state;
    struct slow slow = {.now = 0};
    ask_many(&slow, 100, 7);
    assert_int_equal(slow.answered, 100);
    assert_int_equal(slow.most, 7);
    assert_int_equal(slow.last_number, 100);
    slow = (struct slow){.now = 0};
    ask_many(&slow, 3, 100);
    assert_int_equal(slow.answered, 3);
    assert_int_equal(slow.most, 3);
}

static void asking_that_is_stopped_cancels_and_begins_nothing_more(void **state)
{
    (void)state;
    struct slow slow = {.stop_after = 8};
    ask_many(&slow, 1000, 5);
    assert_int_equal(slow.answered, 8);
    /* The eighth answer came when seven had been replaced by further calls, and four more were in flight. */
    assert_int_equal(slow.cancelled, slow.last_number - 8);
    assert_in_range(slow.cancelled, 1, 4);
}

/* --- where can be served --- */

static void serving_says_what_is_no_place(void **state)
{
    static const char *const good[] = {"http://127.0.0.1:0",  "http://127.0.0.1:8080/", "http://localhost:80",
                                       "http://[::1]:80",     "tcp://0.0.0.0:65535",    "tcp://localhost:0",
                                       "unix:///tmp/a.socket"};
    static const char *const bad[] = {"",
                                      "127.0.0.1:80",
                                      "http://",
                                      "http://127.0.0.1",
                                      "http://127.0.0.1:",
                                      "http://127.0.0.1:65536",
                                      "http://127.0.0.1:80/path",
                                      "http://example.org:80",
                                      "http://::1:80",
                                      "https://127.0.0.1:80",
                                      "tcp://127.0.0.1:80/",
                                      "tcp://localhost",
                                      "tcp://unix:///tmp/a",
                                      "unix://",
                                      "unix://tmp/a"};
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct duress_failure why;
        assert_true(duress__serving_url_is_valid(good[i], &why));
    }
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct duress_failure why = {.code = DURESS_OK};
        assert_false(duress__serving_url_is_valid(bad[i], &why));
        assert_int_equal(why.code, DURESS_E_INVALID);
        assert_true(why.detail[0] != '\0');
    }
}

/* A reply for whose memory there is none is a failure, and nothing is left. */
static void agents_without_memory_fail(void **state)
{
    (void)state;
    for (uint64_t after = 0;; after++) {
        struct probe_heap heap;
        probe_heap_init(&heap, UINT64_MAX);
        struct duress_world *world = NULL;
        struct duress_agent *reverse = NULL;
        struct duress_message *request = NULL;
        struct duress_message *reply = NULL;
        struct heard heard = {.chunks = 0};
        struct duress_world_live_options options = {.allocator = &heap.allocator};
        assert_int_equal(duress_world_live_new(&options, &world, NULL), DURESS_OK);
        assert_int_equal(duress__reverse_agent_new(world, &reverse), DURESS_OK);
        assert_int_equal(duress_message_text("one two three", &request), DURESS_OK);
        heap.fail_after = heap.allocation_count + after;
        heap.fail_once = true;
        struct duress_ask question = {.request = request, .on_chunk = chunk_heard, .context = &heard};
        int error = duress_agent_ask_blocking(reverse, &question, &reply, NULL);
        duress_message_unref(reply);
        duress_message_unref(request);
        duress_agent_unref(reverse);
        duress_world_free(world);
        assert_int_equal(heap.live_count, 0);
        assert_int_equal(error, heap.tripped ? DURESS_E_NO_MEMORY : DURESS_OK);
        if (!heap.tripped)
            break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(echo_and_reverse_answer),
        cmocka_unit_test(streams_have_a_chunk_a_word_and_not_too_many),
        cmocka_unit_test(asking_keeps_so_many_calls_at_once),
        cmocka_unit_test(asking_that_is_stopped_cancels_and_begins_nothing_more),
        cmocka_unit_test(serving_says_what_is_no_place),
        cmocka_unit_test(agents_without_memory_fail),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
