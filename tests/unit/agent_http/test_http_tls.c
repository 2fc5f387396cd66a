/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTPS: against an echo on libmicrohttpd, in a thread of its own, with certificates that openssl(1) makes when the
 * test begins. */
#include "certificate.h"
#include "http_rig.h"

#include <microhttpd.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include <duress/wire/envelope.h>

static struct certificate good;  /* for localhost, by itself */
static struct certificate wrong; /* for another name */

/* --- the echo --- */

struct body {
    char bytes[65536];
    size_t length;
};

/* In libmicrohttpd's thread: no assertions of the test's. */
static enum MHD_Result echo_reply(struct MHD_Connection *connection, const struct body *body)
{
    char reply[65536];
    struct duress_buffer scratch;
    struct duress_envelope envelope;
    duress_buffer_init(&scratch, 0, NULL);
    if (duress_envelope_decode(duress_slice_bytes(body->bytes, body->length), NULL, &scratch, &envelope, NULL) !=
        DURESS_OK)
        abort();
    int length =
        snprintf(reply, sizeof reply,
                 "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"%.*s\",\"payload\":{\"message\":{\"role\":"
                 "\"agent\",\"content\":\"re: %.*s\"}}}",
                 (int)envelope.id.length, (const char *)envelope.id.data, (int)envelope.content.length,
                 (const char *)envelope.content.data);
    struct MHD_Response *response = MHD_create_response_from_buffer((size_t)length, reply, MHD_RESPMEM_MUST_COPY);
    duress_buffer_close(&scratch);
    (void)MHD_add_response_header(response, "Content-Type", "application/json");
    enum MHD_Result queued = MHD_queue_response(connection, MHD_HTTP_OK, response);
    MHD_destroy_response(response);
    return queued;
}

static enum MHD_Result echo_request(void *context, struct MHD_Connection *connection, const char *url,
                                    const char *method, const char *version, const char *data, size_t *data_bytes,
                                    void **state)
{
    struct body *body = *state;
    (void)context;
    (void)url;
    (void)method;
    (void)version;
    if (body == NULL) {
        *state = calloc(1, sizeof *body);
        return *state != NULL ? MHD_YES : MHD_NO;
    }
    if (*data_bytes > 0) {
        if (body->length + *data_bytes > sizeof body->bytes)
            return MHD_NO;
        memcpy(body->bytes + body->length, data, *data_bytes);
        body->length += *data_bytes;
        *data_bytes = 0;
        return MHD_YES;
    }
    return echo_reply(connection, body);
}

static void echo_done(void *context, struct MHD_Connection *connection, void **state,
                      enum MHD_RequestTerminationCode code)
{
    (void)context;
    (void)connection;
    (void)code;
    free(*state);
}

static struct MHD_Daemon *echo_start(const struct certificate *tls, uint16_t *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD | MHD_USE_TLS, 0, NULL, NULL,
                                                 echo_request, NULL, MHD_OPTION_SOCK_ADDR, (struct sockaddr *)&address,
                                                 MHD_OPTION_NOTIFY_COMPLETED, echo_done, NULL, MHD_OPTION_HTTPS_MEM_KEY,
                                                 tls->key, MHD_OPTION_HTTPS_MEM_CERT, tls->certificate, MHD_OPTION_END);
    assert_non_null(daemon);
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_BIND_PORT);
    assert_non_null(info);
    *port = info->port;
    return daemon;
}

static struct duress_agent *tls_agent(struct http_rig *rig, const char *host, uint16_t port,
                                      struct duress_http_agent_options options)
{
    char url[64];
    (void)snprintf(url, sizeof url, "https://%s:%u", host, port);
    options.url = url;
    return http_rig_agent(rig, &options);
}

/* --- tests --- */

static void a_certificate_that_is_trusted_is_served_over_one_connection(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    uint16_t port;
    (void)state;
    struct MHD_Daemon *daemon = echo_start(&good, &port);
    http_rig_open(&rig);
    struct duress_agent *agent =
        tls_agent(&rig, "localhost", port, (struct duress_http_agent_options){.ca_file = good.certificate_file});
    for (int i = 0; i < 20; i++) {
        int error = http_ask_and_wait(&rig, agent, "secret", &answer);
        if (error != DURESS_OK)
            fail_msg("%s: %s", duress_error_name(error), answer.failure.detail);
        assert_true(http_answer_is(&answer, "re: secret"));
    }
    assert_int_equal(duress_http_agent_counts(agent).connections_begun, 1);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
    MHD_stop_daemon(daemon);
}

static void assert_untrusted(const struct certificate *tls, const char *host, struct duress_http_agent_options options)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    uint16_t port;
    struct MHD_Daemon *daemon = echo_start(tls, &port);
    http_rig_open(&rig);
    struct duress_agent *agent = tls_agent(&rig, host, port, options);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(http_ask_and_wait(&rig, agent, "secret", &answer), DURESS_E_UNTRUSTED);
        assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CONNECT);
        assert_false(answer.failure.ambiguous);
        assert_true(answer.failure.detail[0] != '\0');
        assert_int_equal(duress_http_agent_counts(agent).connections_open, 0);
    }
    duress_agent_unref(agent);
    http_rig_close(&rig);
    MHD_stop_daemon(daemon);
}

static void a_certificate_that_nobody_vouches_for_is_untrusted(void **state)
{
    (void)state;
    assert_untrusted(&good, "localhost", (struct duress_http_agent_options){.ca_file = NULL});
    assert_untrusted(&good, "localhost", (struct duress_http_agent_options){.ca_file = wrong.certificate_file});
}

static void a_certificate_for_another_name_is_untrusted(void **state)
{
    (void)state;
    assert_untrusted(&wrong, "localhost", (struct duress_http_agent_options){.ca_file = wrong.certificate_file});
    assert_untrusted(&good, "127.0.0.1", (struct duress_http_agent_options){.ca_file = good.certificate_file});
}

static void any_certificate_is_taken_where_that_was_asked_for(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    uint16_t port;
    (void)state;
    struct MHD_Daemon *daemon = echo_start(&wrong, &port);
    http_rig_open(&rig);
    struct duress_agent *agent =
        tls_agent(&rig, "127.0.0.1", port, (struct duress_http_agent_options){.insecure_accept_any_certificate = true});
    assert_int_equal(http_ask_and_wait(&rig, agent, "secret", &answer), DURESS_OK);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
    MHD_stop_daemon(daemon);
}

/* --- peers that speak no TLS --- */

static const char not_tls[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";

enum plain_mood { PLAIN_SPEAKS, PLAIN_RESETS, PLAIN_IS_SILENT };

struct plain_peer {
    struct http_rig rig;
    struct duress_listener *listener;
    struct duress_stream *stream;
    enum plain_mood mood;
    uint32_t accepted;
};

static void plain_event(void *context, struct duress_stream *stream, unsigned events)
{
    struct plain_peer *peer = context;
    uint8_t bytes[4096];
    size_t count = 0;
    (void)events;
    int error = duress_stream_read(stream, bytes, sizeof bytes, &count);
    if (error == DURESS_E_AGAIN || (error == DURESS_OK && peer->mood == PLAIN_IS_SILENT))
        return;
    struct duress_slice said = duress_slice_text(not_tls);
    if (error == DURESS_OK && peer->mood == PLAIN_SPEAKS)
        assert_int_equal(duress_stream_write(stream, &said, 1, &count), DURESS_OK);
    peer->stream = NULL;
    if (peer->mood == PLAIN_RESETS)
        duress_stream_abort(stream);
    else
        duress_stream_close(stream);
}

static void plain_accept(void *context, struct duress_stream *stream)
{
    struct plain_peer *peer = context;
    peer->stream = stream;
    peer->accepted++;
    duress_stream_handle(stream, plain_event, peer);
    duress_stream_want(stream, DURESS_STREAM_READABLE);
}

static bool plain_is_alone(void *context)
{
    return ((struct plain_peer *)context)->stream == NULL;
}

static void a_peer_without_tls_is_told_apart_from_one_that_resets_and_one_that_is_silent(void **state)
{
    static const int codes[] = {[PLAIN_SPEAKS] = DURESS_E_MALFORMED,
                                [PLAIN_RESETS] = DURESS_E_RESET,
                                [PLAIN_IS_SILENT] = DURESS_E_CONNECT_TIMEOUT};
    struct plain_peer peer = {.accepted = 0};
    struct http_answer answer = {.ended = 0};
    struct duress_listen_options listen = {.address = duress_address_loopback(0)};
    (void)state;
    http_rig_open(&peer.rig);
    assert_int_equal(duress_world_listen(peer.rig.world, &listen, plain_accept, &peer, &peer.listener), DURESS_OK);
    uint16_t port = duress_listener_address(peer.listener).port;
    for (int mood = PLAIN_SPEAKS; mood <= PLAIN_IS_SILENT; mood++) {
        struct duress_http_agent_options options = {.connect_timeout_ns = mood == PLAIN_IS_SILENT ? DURESS_S : 0};
        struct duress_agent *agent = tls_agent(&peer.rig, "127.0.0.1", port, options);
        peer.mood = (enum plain_mood)mood;
        int error = http_ask_and_wait(&peer.rig, agent, "secret", &answer);
        if (error != codes[mood])
            fail_msg("mood %d: %s (%s)", mood, duress_error_name(error), answer.failure.detail);
        assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CONNECT);
        assert_false(answer.failure.ambiguous);
        assert_int_equal(duress_http_agent_counts(agent).connections_open, 0);
        http_run_until(&peer.rig, plain_is_alone, &peer); /* of the silent one the agent has let go */
        duress_agent_unref(agent);
    }
    assert_int_equal(peer.accepted, 3);
    duress_listener_close(peer.listener);
    http_rig_close(&peer.rig);
}

static int certificates_make(void **state)
{
    (void)state;
    certificate_make(&good, "localhost");
    certificate_make(&wrong, "other.test");
    return 0;
}

static int certificates_free(void **state)
{
    (void)state;
    certificate_free(&good);
    certificate_free(&wrong);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_certificate_that_is_trusted_is_served_over_one_connection),
        cmocka_unit_test(a_certificate_that_nobody_vouches_for_is_untrusted),
        cmocka_unit_test(a_certificate_for_another_name_is_untrusted),
        cmocka_unit_test(any_certificate_is_taken_where_that_was_asked_for),
        cmocka_unit_test(a_peer_without_tls_is_told_apart_from_one_that_resets_and_one_that_is_silent),
    };
    return cmocka_run_group_tests(tests, certificates_make, certificates_free);
}
