/* SPDX-License-Identifier: Apache-2.0 */
#include "http_2_front.h"

#include <string.h>

struct certificate front_certificate;
bool front_plain = false;
bool front_secured = true;

/* The peer answers nothing by itself. */
void front_hold(void *context, struct http_conn *conn)
{
    struct front *front = context;
    assert_true(front->held_count < FRONT_CALLS_MAX);
    front->held[front->held_count++] = conn;
}

struct duress_http_agent_options front_options(const struct front *front)
{
    struct duress_http_agent_options options = {
        .url = front->url,
        .version = front->tls ? DURESS_HTTP_AUTO : DURESS_HTTP_2_BY_AGREEMENT,
        .ca_file = front->tls ? front_certificate.certificate_file : NULL,
    };
    return options;
}

void front_open(struct front *front, void **state)
{
    if (!nghttpx_is_there()) {
        print_message("skipped: no nghttpx here (scripts/deps.sh http2)\n");
        skip();
    }
    *front = (struct front){.tls = *(bool *)*state};
    http_rig_open(&front->rig);
    front->rig.context = front;
    nghttpx_start(&front->proxy, 0, front->rig.port, front->tls ? &front_certificate : NULL);
    (void)snprintf(front->url, sizeof front->url, "%s://localhost:%u", front->tls ? "https" : "http",
                   front->proxy.port);
    struct duress_http_agent_options options = front_options(front);
    front->agent = http_rig_agent(&front->rig, &options);
}

static bool nothing_is_in_flight(void *context)
{
    const struct front *front = context;
    return duress_http_agent_counts(front->agent).calls_in_flight == 0;
}

/* All in HTTP/2, over |connections|; more without TLS, where libcurl is old. */
void front_close(struct front *front, uint32_t connections)
{
    uint64_t begun = duress_http_agent_counts(front->agent).connections_begun;
    assert_true(front->tls ? begun == connections : begun >= connections);
    http_run_until(&front->rig, nothing_is_in_flight, front); /* a stream may end a moment after its call */
    duress_agent_unref(front->agent);
    nghttpx_kill(&front->proxy);
    struct nghttpx_count count = nghttpx_count(&front->proxy);
    assert_int_equal(count.in_http_2, count.requests);
    assert_true(count.connections <= begun);
    nghttpx_close(&front->proxy);
    http_rig_close(&front->rig);
}

struct held_wish {
    struct front *front;
    uint32_t count;
};

static bool are_held(void *context)
{
    const struct held_wish *wish = context;
    return wish->front->held_count >= wish->count;
}

void front_await_held(struct front *front, uint32_t count)
{
    struct held_wish wish = {front, count};
    http_run_until(&front->rig, are_held, &wish);
}

/* The held request with that content. */
struct http_conn *front_held(struct front *front, const char *content)
{
    for (uint32_t i = 0; i < front->held_count; i++)
        if (strcmp(front->held[i]->content, content) == 0)
            return front->held[i];
    fail_msg("no request \"%s\" came", content);
    return NULL;
}

bool front_conn_is_gone(void *context)
{
    return ((struct http_conn *)context)->stream == NULL;
}

bool front_has_chunks(void *context)
{
    return ((struct http_answer *)context)->chunk_count > 0;
}

void front_assert_replied(struct front *front, struct http_answer *answer, const char *text)
{
    http_run_until_ended(&front->rig, answer);
    if (!http_answer_is(answer, text))
        fail_msg("not \"%s\": %s, %s", text, duress_error_name(answer->error), answer->failure.detail);
    http_answer_clear(answer);
}

int front_set_up(void **state)
{
    (void)state;
    certificate_make(&front_certificate, "localhost");
    return 0;
}

int front_tear_down(void **state)
{
    (void)state;
    certificate_free(&front_certificate);
    return 0;
}
