/* SPDX-License-Identifier: Apache-2.0
 *
 * Our client against an echo of agenkit's. */
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <duress/agent/remote.h>
#include <duress/agent_http/client.h>

#define CALL_NS (20 * DURESS_S)
enum { CALLS = 64, LARGE_BYTES = 1 << 20, CHUNKS_MAX = 8, TEXT_BYTES_MAX = 32 };

struct asker {
    struct duress_world *world;
    struct duress_agent *agent;
    bool is_http;
    bool is_go;
    unsigned failures;
    unsigned ended;
    unsigned chunks;
    char heard[CHUNKS_MAX * TEXT_BYTES_MAX]; /* the chunks, each with a '|' behind it */
};

static void expect(struct asker *asker, bool holds, const char *what, const char *seen)
{
    if (holds)
        return;
    asker->failures++;
    (void)printf("failed: %s; seen: %s\n", what, seen);
}

static int ask(struct asker *asker, struct duress_message *request, duress_chunk_fn on_chunk,
               struct duress_message **reply, struct duress_failure *failure)
{
    memset(failure, 0, sizeof *failure);
    struct duress_ask question = {.request = request,
                                  .deadline_ns = duress_world_now_ns(asker->world) + CALL_NS,
                                  .on_chunk = on_chunk,
                                  .context = asker};
    return duress_agent_ask_blocking(asker->agent, &question, reply, failure);
}

/* Each writes its JSON in its own way: what must be there are the members, the large integer to its last digit. In Go
 * it becomes floating point, which has no more of them than these. */
static void check_reply(struct asker *asker, const char *what, struct duress_slice content)
{
    const char *large = asker->is_go ? "9007199254740991" : "9007199254740993";
    char sent[64];
    (void)snprintf(sent, sizeof sent, "{\"list\":[1,\"x\"],\"large\":%s}", large);
    struct duress_slice metadata = duress_slice_text(sent);
    struct duress_message *request = peer_message("user", content, metadata);
    struct duress_message *reply = NULL;
    struct duress_failure failure;
    int error = ask(asker, request, NULL, &reply, &failure);
    expect(asker, error == DURESS_OK, what, failure.detail);
    if (error == DURESS_OK) {
        struct duress_slice seen = duress_message_metadata(reply);
        char text[256];
        (void)snprintf(text, sizeof text, "%.*s", (int)seen.length, (const char *)seen.data);
        expect(asker, strstr(text, "\"large\"") != NULL && strstr(text, large) != NULL, what, text);
        expect(asker, strstr(text, "\"list\"") != NULL && strstr(text, "\"x\"") != NULL, what, text);
        expect(asker, duress_slice_equal(duress_message_content(reply), content), what, "another content");
        expect(asker, duress_slice_is(duress_message_role(reply), "agent"), what, "another role");
    }
    duress_message_unref(reply);
    duress_message_unref(request);
}

static void check_replies(struct asker *asker)
{
    check_reply(asker, "plain", duress_slice_text("hello"));
    check_reply(asker, "unicode",
                duress_slice_text(" gr\xc3\xbc\xc3\x9f"
                                  "e \xf0\x9f\x8c\x8d \"\\ \n\t\x01 \n"));
    check_reply(asker, "empty", duress_slice_text(""));
    char *large = malloc(LARGE_BYTES);
    if (large == NULL)
        abort();
    memset(large, 'z', LARGE_BYTES);
    check_reply(asker, "1 MiB", duress_slice_bytes(large, LARGE_BYTES));
    free(large);
}

/* Its HTTP server tells the code and keeps the text for itself. */
static void check_error(struct asker *asker)
{
    struct duress_message *request = peer_message("user", duress_slice_text("fail"), duress_slice_text(NULL));
    struct duress_message *reply = NULL;
    struct duress_failure failure;
    int error = ask(asker, request, NULL, &reply, &failure);
    const char *framed = asker->is_go ? "AGENT_ERROR: asked to fail" : "INTERNAL_ERROR: asked to fail";
    const char *text = asker->is_http ? "EXECUTION_ERROR: " : framed;
    expect(asker, error == DURESS_E_REMOTE, "an error is the peer's own", duress_error_name(error));
    expect(asker, strstr(failure.detail, text) != NULL, "the error's text", failure.detail);
    expect(asker, failure.origin == DURESS_ORIGIN_PEER, "the error's origin", duress_origin_name(failure.origin));
    expect(asker, failure.ambiguous, "it may have been executed", "not ambiguous");
    duress_message_unref(reply);
    duress_message_unref(request);
    check_reply(asker, "after an error", duress_slice_text("after"));
}

static void chunk_heard(void *context, struct duress_call *call, struct duress_message *chunk)
{
    struct asker *asker = context;
    (void)call;
    struct duress_slice content = duress_message_content(chunk);
    size_t length = strlen(asker->heard);
    if (asker->chunks++ < CHUNKS_MAX)
        (void)snprintf(asker->heard + length, sizeof asker->heard - length, "%.*s|", (int)content.length,
                       (const char *)content.data);
}

static void check_stream(struct asker *asker, const char *words, const char *heard, int expected)
{
    struct duress_message *request = peer_message("user", duress_slice_text(words), duress_slice_text(NULL));
    struct duress_message *reply = NULL;
    struct duress_failure failure;
    asker->chunks = 0;
    asker->heard[0] = '\0';
    int error = ask(asker, request, chunk_heard, &reply, &failure);
    expect(asker, error == expected, "the end of a stream", duress_error_name(error));
    expect(asker, strcmp(asker->heard, heard) == 0, heard, asker->heard);
    duress_message_unref(reply);
    duress_message_unref(request);
}

struct crowd_call {
    struct asker *asker;
    char text[TEXT_BYTES_MAX];
};

static void crowd_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct crowd_call *one = context;
    (void)call;
    one->asker->ended++;
    bool own = result->error == DURESS_OK && duress_slice_is(duress_message_content(result->reply), one->text);
    expect(one->asker, own, one->text, duress_error_name(result->error));
}

static bool crowd_is_through(void *context)
{
    return ((struct asker *)context)->ended == CALLS;
}

static void check_crowd(struct asker *asker)
{
    struct crowd_call calls[CALLS];
    asker->ended = 0;
    for (unsigned i = 0; i < CALLS; i++) {
        calls[i].asker = asker;
        (void)snprintf(calls[i].text, sizeof calls[i].text, "call %u", i);
        struct duress_message *request =
            peer_message("user", duress_slice_text(calls[i].text), duress_slice_text(NULL));
        struct duress_ask question = {.request = request,
                                      .deadline_ns = duress_world_now_ns(asker->world) + CALL_NS,
                                      .on_end = crowd_ended,
                                      .context = &calls[i]};
        if (duress_agent_ask(asker->agent, &question, NULL) != DURESS_OK)
            abort();
        duress_message_unref(request);
    }
    /* Each of them has a deadline. */
    (void)duress_world_run_until(asker->world, crowd_is_through, asker, DURESS_TIME_NEVER);
}

int peer_ask(struct duress_world *world, const char *url, bool is_go)
{
    struct asker asker = {.world = world, .is_http = strncmp(url, "http", 4) == 0, .is_go = is_go};
    struct duress_failure why = {.code = DURESS_OK};
    struct duress_http_agent_options http = {.world = world, .url = url, .agent_name = "echo"};
    struct duress_remote_options framed = {.world = world, .endpoint = url, .agent_name = "echo"};
    int error = asker.is_http ? duress_http_agent_new(&http, &asker.agent, &why)
                              : duress_remote_new(&framed, &asker.agent, &why);
    if (error != DURESS_OK) {
        (void)printf("failed: %s: %s\n", url, why.detail);
        return 1;
    }
    check_replies(&asker);
    check_error(&asker);
    check_stream(&asker, "a b\xc3\xb6 c", "a|b\xc3\xb6|c|", DURESS_OK);
    check_stream(&asker, "a fail c", "a|", DURESS_E_REMOTE);
    check_crowd(&asker);
    duress_agent_unref(asker.agent);
    return asker.failures == 0 ? 0 : 1;
}
