/* SPDX-License-Identifier: Apache-2.0
 *
 * What came back, and what it means for the call: replies, chunks, failures. The table of <duress/agent_http/client.h>
 * is written down here. */
#include "client_private.h"

#include <stdio.h>

#include <duress/agent/peer_error_private.h>
#include <duress/agent_http/retry_after.h>

static const char role_too_long[] = "a role of more than 64 bytes";

/* What a call ends with: a message, or a failure. */
struct outcome {
    int error;
    struct duress_message *reply; /* a reference of our own; DURESS_OK */
    struct duress_failure failure;
};

static void outcome_fail(struct outcome *outcome, int code, enum duress_origin origin, bool ambiguous,
                         const char *detail)
{
    outcome->error = code;
    duress_failure_set(&outcome->failure, (enum duress_error)code, origin, "%s",
                       detail != NULL ? detail : duress_strerror(code));
    outcome->failure.ambiguous = ambiguous;
}

/* The peer said what nobody can have asked for: its connection is not used again. HTTP/2 has other streams on it, and
 * keeps them apart. */
static void peer_distrust(struct http_transfer *transfer)
{
    if (transfer->phase == TRANSFER_FINISHED && !transfer->client->speaks_http_2)
        duress__http_socket_shut(transfer->client, transfer->fd);
}

static void outcome_malformed(struct outcome *outcome, struct http_transfer *transfer, const char *detail)
{
    outcome_fail(outcome, DURESS_E_MALFORMED, DURESS_ORIGIN_RECEIVE, transfer->owner->call->sent, detail);
    peer_distrust(transfer);
}

static void outcome_no_memory(struct outcome *outcome, const struct http_transfer *transfer)
{
    outcome_fail(outcome, DURESS_E_NO_MEMORY, DURESS_ORIGIN_RECEIVE, transfer->owner->call->sent,
                 "no memory for the reply");
}

/* --- envelopes --- */

static int message_new(const struct http_client *client, const struct duress_envelope *envelope,
                       struct duress_message **message)
{
    struct duress_message_options options = {
        .role = envelope->role,
        .content = envelope->content,
        .metadata = envelope->metadata,
        .timestamp_ns = envelope->message_timestamp_ns,
        .allocator = client->base.allocator,
    };
    return duress_message_new(&options, message);
}

/* Reads an envelope that answers our request. False with *outcome filled where it is none. */
static bool envelope_read(struct http_transfer *transfer, struct duress_slice text, struct duress_envelope *envelope,
                          struct outcome *outcome)
{
    struct http_client *client = transfer->client;
    struct duress_envelope_diagnostics diagnostics = {.reason = NULL};
    int error = duress_envelope_decode(text, &client->limits, &client->scratch, envelope, &diagnostics);
    if (error == DURESS_E_NO_MEMORY) {
        outcome_no_memory(outcome, transfer);
        return false;
    }
    if (error == DURESS_E_TRUNCATED) { /* a body without a length ends wherever the connection does */
        outcome_malformed(outcome, transfer, "the reply ends inside its envelope");
        outcome->error = outcome->failure.code = DURESS_E_TRUNCATED;
        return false;
    }
    if (error != DURESS_OK) {
        outcome_malformed(outcome, transfer, diagnostics.reason != NULL ? diagnostics.reason : duress_strerror(error));
        return false;
    }
    /* agenkit's servers call the id "unknown" where they could not read the request. */
    bool ours = duress_slice_equal(envelope->id, duress_slice_bytes(transfer->id, sizeof transfer->id)) ||
                (envelope->type == DURESS_ENVELOPE_ERROR && duress_slice_is(envelope->id, "unknown"));
    if (!ours)
        outcome_malformed(outcome, transfer, "a reply with an id that was not asked");
    return ours;
}

static void outcome_of_message(struct outcome *outcome, struct http_transfer *transfer,
                               const struct duress_envelope *envelope)
{
    outcome->error = message_new(transfer->client, envelope, &outcome->reply);
    if (outcome->error == DURESS_E_INVALID)
        outcome_malformed(outcome, transfer, role_too_long);
    else if (outcome->error != DURESS_OK)
        outcome_no_memory(outcome, transfer);
}

static void outcome_of_peer_error(struct outcome *outcome, const struct duress_envelope *envelope)
{
    duress__peer_error_read(envelope, &outcome->failure);
    outcome->error = outcome->failure.code;
}

/* --- failures of the transport --- */

/* Whether the connection broke with an RST. libcurl keeps the number of the last call that failed, whatever that was:
 * a connect that was merely under way, say. */
static bool was_reset(const struct http_transfer *transfer)
{
    long number = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
    return duress__http_error_from_errno((int)number) == DURESS_E_RESET;
}

/* What reading and writing fail with. libcurl calls chunks that are none a failure to read too; where there is TLS, so
 * is the connection's end without TLS's own. */
static int break_code(const struct http_transfer *transfer)
{
    if (was_reset(transfer))
        return DURESS_E_RESET;
    return transfer->client->target.tls ? DURESS_E_TRUNCATED : DURESS_E_MALFORMED;
}

static void outcome_of_abort(struct outcome *outcome, struct http_transfer *transfer)
{
    bool sent = transfer->owner->call->sent;
    switch (transfer->abort) {
    case HTTP_ABORT_HEAD_TOO_LARGE:
        outcome_fail(outcome, DURESS_E_MALFORMED, DURESS_ORIGIN_RECEIVE, sent, "a reply's head above the limit");
        return;
    case HTTP_ABORT_BODY_TOO_LARGE:
        outcome_fail(outcome, DURESS_E_MALFORMED, DURESS_ORIGIN_RECEIVE, sent, "a reply's body above the limit");
        return;
    case HTTP_ABORT_LENGTHS_DIFFER:
        outcome_fail(outcome, DURESS_E_MALFORMED, DURESS_ORIGIN_RECEIVE, sent, "a reply of two lengths");
        return;
    case HTTP_ABORT_REPEATED:
        outcome_fail(outcome, was_reset(transfer) ? DURESS_E_RESET : DURESS_E_TRUNCATED, DURESS_ORIGIN_RECEIVE, sent,
                     "the connection ended before the reply");
        return;
    case HTTP_ABORT_NONE:
    case HTTP_ABORT_NO_MEMORY:
        break;
    }
    outcome_no_memory(outcome, transfer);
}

static void outcome_of_connect(struct outcome *outcome, struct http_transfer *transfer)
{
    long number = 0;
    int code = transfer->open_error;
    transfer->client->names_spoiled = true;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_OS_ERRNO, &number);
    if (code == DURESS_OK)
        code = duress__http_error_from_errno((int)number);
    outcome_fail(outcome, code, DURESS_ORIGIN_CONNECT, false, NULL);
    (void)snprintf(outcome->failure.detail, sizeof outcome->failure.detail, "%.64s:%u: %s",
                   transfer->client->target.host, transfer->client->target.port, duress_strerror(code));
}

/* TLS could not be set up. */
static void outcome_of_handshake(struct outcome *outcome, struct http_transfer *transfer)
{
    outcome_fail(outcome, was_reset(transfer) ? DURESS_E_RESET : DURESS_E_MALFORMED, DURESS_ORIGIN_CONNECT, false,
                 transfer->error_text);
}

/* libcurl's verdict; CURLE_OK is not for here. */
static void outcome_of_result(struct outcome *outcome, struct http_transfer *transfer)
{
    bool sent = transfer->owner->call->sent;
    enum duress_origin origin = sent ? DURESS_ORIGIN_RECEIVE : DURESS_ORIGIN_SEND;
    const char *detail = transfer->error_text[0] != '\0' ? transfer->error_text : curl_easy_strerror(transfer->result);
    switch (transfer->result) {
    case CURLE_COULDNT_CONNECT:
        outcome_of_connect(outcome, transfer);
        return;
    case CURLE_OPERATION_TIMEDOUT: /* only the connect has a limit of libcurl's */
        outcome_fail(outcome, DURESS_E_CONNECT_TIMEOUT, DURESS_ORIGIN_CONNECT, false, NULL);
        return;
    case CURLE_PEER_FAILED_VERIFICATION:
        outcome_fail(outcome, DURESS_E_UNTRUSTED, DURESS_ORIGIN_CONNECT, false, detail);
        return;
    case CURLE_SSL_CONNECT_ERROR:
        outcome_of_handshake(outcome, transfer);
        return;
    case CURLE_SSL_CACERT_BADFILE:
        outcome_fail(outcome, DURESS_E_INVALID, DURESS_ORIGIN_CONNECT, false, detail);
        return;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        outcome_fail(outcome, DURESS_E_TRUNCATED, DURESS_ORIGIN_RECEIVE, sent, detail);
        return;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        outcome_fail(outcome, break_code(transfer), origin, sent, detail);
        return;
    case CURLE_HTTP2_STREAM:
        outcome_fail(outcome, DURESS_E_RESET, DURESS_ORIGIN_RECEIVE, sent, detail);
        return;
    case CURLE_OUT_OF_MEMORY: /* also what it says of a line of the head above its own limit, 100 KiB */
        if (sent && !transfer->head.whole)
            outcome_fail(outcome, DURESS_E_MALFORMED, DURESS_ORIGIN_RECEIVE, sent, "a reply's head above the limit");
        else
            outcome_no_memory(outcome, transfer);
        return;
    case CURLE_COULDNT_RESOLVE_HOST: /* addresses are given; the name is of no address that can be used here */
        outcome_fail(outcome, DURESS_E_NAME_NOT_FOUND, DURESS_ORIGIN_NAME, false, detail);
        return;
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* HTTP/0.9, or no HTTP at all */
    case CURLE_HTTP2:
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_READ_ERROR:
        outcome_fail(outcome, DURESS_E_MALFORMED, DURESS_ORIGIN_RECEIVE, sent, detail);
        return;
    default:
        outcome_fail(outcome, DURESS_E_MALFORMED, origin, sent, detail);
        return;
    }
}

/* --- replies by their status --- */

/* What a status other than 200 means. |begun|: the peer may have executed the request. */
static int status_code(long status, bool *begun)
{
    *begun = false;
    switch (status) {
    case 429:
    case 503:
        return DURESS_E_OVERLOADED;
    case 408:
    case 425:
        return DURESS_E_REMOTE;
    case 401:
    case 403:
    case 407:
    case 511:
        return DURESS_E_PERMISSION;
    case 413:
    case 414:
    case 431:
        return DURESS_E_TOO_LARGE;
    case 405:
    case 501:
    case 505:
        return DURESS_E_UNSUPPORTED;
    default:
        break;
    }
    if (status >= 300 && status < 400)
        return DURESS_E_UNSUPPORTED;
    if (status >= 400 && status < 500)
        return DURESS_E_INVALID;
    *begun = true;
    return status >= 500 && status < 600 ? DURESS_E_REMOTE : DURESS_E_MALFORMED;
}

static bool status_may_wait(long status)
{
    return status == 408 || status == 425 || status == 429 || status >= 500;
}

/* The peer's error envelope, where the body is one: it says more than the status. */
static bool status_envelope(struct http_transfer *transfer, struct duress_failure *failure)
{
    struct http_client *client = transfer->client;
    struct duress_envelope envelope;
    struct duress_slice text = duress_buffer_slice(&transfer->in);
    if (transfer->head.content != HTTP_CONTENT_JSON || text.length == 0)
        return false;
    if (duress_envelope_decode(text, &client->limits, &client->scratch, &envelope, NULL) != DURESS_OK ||
        envelope.type != DURESS_ENVELOPE_ERROR)
        return false;
    duress__peer_error_read(&envelope, failure);
    return true;
}

static void outcome_of_status(struct outcome *outcome, struct http_transfer *transfer, long status)
{
    bool begun;
    int code = status_code(status, &begun);
    struct duress_failure told;
    if (status_envelope(transfer, &told)) {
        bool overloaded = told.code == DURESS_E_OVERLOADED || code == DURESS_E_OVERLOADED;
        begun = begun && told.ambiguous;
        outcome_fail(outcome, overloaded ? DURESS_E_OVERLOADED : code, DURESS_ORIGIN_PEER, begun && !overloaded,
                     told.detail);
        outcome->failure.retry_after_ns = told.retry_after_ns;
    } else {
        outcome_fail(outcome, code, DURESS_ORIGIN_PEER, begun, NULL);
        const char *remark = status >= 300 && status < 400 ? ": redirects are not followed" : "";
        (void)snprintf(outcome->failure.detail, sizeof outcome->failure.detail, "HTTP %ld%s", status, remark);
    }
    if (outcome->failure.retry_after_ns == 0 && status_may_wait(status))
        outcome->failure.retry_after_ns = duress_http_retry_after_ns(
            duress_slice_text(transfer->head.retry_after), duress_world_wall_ns(transfer->client->base.world));
}

static void outcome_of_body(struct outcome *outcome, struct http_transfer *transfer)
{
    struct duress_envelope envelope;
    char text[HTTP_VALUE_BYTES_MAX + 64];
    bool streams = transfer->streams;
    if (transfer->head.content == HTTP_CONTENT_EVENTS && streams) {
        outcome_fail(outcome, DURESS_E_TRUNCATED, DURESS_ORIGIN_RECEIVE, transfer->owner->call->sent,
                     "the event stream ended without its end");
        return;
    }
    if (transfer->head.content != HTTP_CONTENT_JSON) {
        (void)snprintf(text, sizeof text, "content type \"%s\", not %s", transfer->head.content_type,
                       streams ? "text/event-stream" : "application/json");
        outcome_malformed(outcome, transfer, text);
        return;
    }
    if (!envelope_read(transfer, duress_buffer_slice(&transfer->in), &envelope, outcome))
        return;
    if (envelope.type == DURESS_ENVELOPE_RESPONSE)
        outcome_of_message(outcome, transfer, &envelope);
    else if (envelope.type == DURESS_ENVELOPE_ERROR)
        outcome_of_peer_error(outcome, &envelope);
    else
        outcome_malformed(outcome, transfer, "an envelope of a type that is no answer to the request");
}

static void outcome_find(struct outcome *outcome, struct http_transfer *transfer)
{
    long status = 0;
    if (transfer->abort != HTTP_ABORT_NONE) {
        outcome_of_abort(outcome, transfer);
        return;
    }
    if (transfer->result != CURLE_OK) {
        outcome_of_result(outcome, transfer);
        return;
    }
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    if (!transfer->head.whole) /* libcurl takes an end inside the head for the head's end */
        outcome_fail(outcome, DURESS_E_TRUNCATED, DURESS_ORIGIN_RECEIVE, transfer->owner->call->sent, NULL);
    else if (status == 200)
        outcome_of_body(outcome, transfer);
    else
        outcome_of_status(outcome, transfer, status);
}

/* --- ends --- */

/* Ends |call|, which holds no transfer any more. */
static void outcome_deliver(struct outcome *outcome, struct http_call *call)
{
    duress_message_unref(call->last_chunk);
    call->last_chunk = NULL;
    if (outcome->error != DURESS_OK) {
        duress_call_fail(call->call, &outcome->failure);
        return;
    }
    duress_call_reply(call->call, outcome->reply);
    duress_message_unref(outcome->reply);
}

void duress__http_reply_finish(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    struct http_call *owner = transfer->owner;
    struct outcome outcome = {.error = DURESS_OK};
    if (owner != NULL)
        outcome_find(&outcome, transfer);
    duress__http_transfer_release(transfer);
    duress_buffer_trim(&client->scratch, HTTP_BUFFER_KEPT_BYTES);
    if (owner != NULL)
        outcome_deliver(&outcome, owner);
}

/* Ends the call of a stream before libcurl is done. */
static void stream_end(struct http_transfer *transfer, struct outcome *outcome, bool drain)
{
    struct http_client *client = transfer->client;
    struct http_call *owner = transfer->owner;
    if (drain && transfer->phase == TRANSFER_RUNNING) {
        /* The chunk that ends the body is still to come; with it the connection can be kept. */
        transfer->phase = TRANSFER_DRAINING;
        owner->transfer = NULL;
        transfer->owner = NULL;
        uint64_t until_ns = duress_time_add(duress_world_now_ns(client->base.world), HTTP_DRAIN_NS);
        duress_world_arm(client->base.world, &transfer->timer, until_ns);
    } else {
        duress__http_transfer_release(transfer);
    }
    outcome_deliver(outcome, owner);
}

/* The reply of a finished stream is its last chunk; of one without chunks, an empty message. */
static void stream_end_well(struct http_transfer *transfer)
{
    struct outcome outcome = {.error = DURESS_OK, .reply = transfer->owner->last_chunk};
    struct duress_message_options empty = {
        .role = duress_slice_text("agent"),
        .allocator = transfer->client->base.allocator,
    };
    transfer->owner->last_chunk = NULL;
    if (outcome.reply == NULL && duress_message_new(&empty, &outcome.reply) != DURESS_OK)
        outcome_no_memory(&outcome, transfer);
    stream_end(transfer, &outcome, true);
}

/* False where the call is over. */
static bool stream_chunk(struct http_transfer *transfer, const struct duress_envelope *envelope)
{
    struct http_call *owner = transfer->owner;
    struct outcome outcome = {.error = DURESS_OK};
    outcome_of_message(&outcome, transfer, envelope);
    if (outcome.error != DURESS_OK) {
        stream_end(transfer, &outcome, false);
        return false;
    }
    duress_message_unref(owner->last_chunk);
    owner->last_chunk = outcome.reply; /* cancel() gives it back */
    struct duress_message *chunk = duress_message_ref(outcome.reply);
    duress_call_emit(owner->call, chunk);
    duress_message_unref(chunk);
    return transfer->owner != NULL; /* whoever was told may have cancelled; |owner| is gone then */
}

static bool stream_event(struct http_transfer *transfer, struct duress_slice event)
{
    struct duress_envelope envelope;
    struct outcome outcome = {.error = DURESS_OK};
    if (!envelope_read(transfer, event, &envelope, &outcome)) {
        stream_end(transfer, &outcome, false);
        return false;
    }
    switch (envelope.type) {
    case DURESS_ENVELOPE_STREAM_CHUNK:
        return stream_chunk(transfer, &envelope);
    case DURESS_ENVELOPE_STREAM_END:
        stream_end_well(transfer);
        return false;
    case DURESS_ENVELOPE_ERROR:
        outcome_of_peer_error(&outcome, &envelope);
        stream_end(transfer, &outcome, true);
        return false;
    default:
        outcome_malformed(&outcome, transfer, "an envelope of a type that is no answer to the request");
        stream_end(transfer, &outcome, false);
        return false;
    }
}

void duress__http_reply_news(struct http_transfer *transfer)
{
    struct duress_slice input = duress_buffer_slice(&transfer->in);
    struct duress_slice event;
    struct outcome outcome = {.error = DURESS_OK};
    int error;
    if (transfer->owner == NULL)
        return;
    while ((error = duress__event_stream_next(&transfer->events, &input, &event)) == DURESS_OK)
        if (!stream_event(transfer, event))
            return;
    if (error == DURESS_E_AGAIN) {
        duress_buffer_clear(&transfer->in);
        return;
    }
    if (error == DURESS_E_NO_MEMORY)
        outcome_no_memory(&outcome, transfer);
    else
        outcome_malformed(&outcome, transfer, "an event above the limit");
    stream_end(transfer, &outcome, false);
}
