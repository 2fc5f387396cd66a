/* SPDX-License-Identifier: Apache-2.0
 *
 * Transfers: libcurl's easy handles, how a request is handed over, and what libcurl calls back while it is under way.
 */
#include "client_private.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <duress/world/address.h>

#define USER_AGENT "duress"

/* --- libcurl's callbacks: nobody is told of anything here --- */

/* Bytes of the request that the transport has taken. */
static long transfer_sent_bytes(const struct http_transfer *transfer)
{
    long bytes = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_REQUEST_SIZE, &bytes);
    return bytes;
}

/* There is a connection, and the request is about to go. */
static int transfer_connected(void *context, char *peer, char *local, int peer_port, int local_port)
{
    struct http_transfer *transfer = context;
    (void)peer;
    (void)local;
    (void)peer_port;
    if (transfer_sent_bytes(transfer) > 0) {
        transfer->abort = HTTP_ABORT_REPEATED;
        return CURL_PREREQFUNC_ABORT;
    }
    transfer->connected = true;
    transfer->local_port = local_port;
    duress_world_disarm(transfer->client->base.world, &transfer->timer);
    list_append(&transfer->client->unsent, &transfer->unsent);
    if (transfer->owner != NULL)
        duress_call_mark_stage(transfer->owner->call, DURESS_ORIGIN_SEND);
    return CURL_PREREQFUNC_OK;
}

/* The value of |line| where it is the header |name| (with its colon); else NULL. */
static const char *header_value(struct duress_slice line, const char *name, size_t *length)
{
    const char *text = (const char *)line.data;
    size_t skip = strlen(name);
    size_t end = line.length;
    if (end < skip || strncasecmp(text, name, skip) != 0)
        return NULL;
    while (end > skip && (text[end - 1] == '\n' || text[end - 1] == '\r' || text[end - 1] == ' '))
        end--;
    while (skip < end && (text[skip] == ' ' || text[skip] == '\t'))
        skip++;
    *length = end - skip;
    return text + skip;
}

static void value_keep(char kept[HTTP_VALUE_BYTES_MAX], const char *value, size_t length)
{
    size_t bytes = length < HTTP_VALUE_BYTES_MAX - 1 ? length : HTTP_VALUE_BYTES_MAX - 1;
    memcpy(kept, value, bytes);
    kept[bytes] = '\0';
}

static bool is_media_type(const char *value, size_t length, const char *type)
{
    size_t bytes = strlen(type);
    if (length < bytes || strncasecmp(value, type, bytes) != 0)
        return false;
    return length == bytes || value[bytes] == ';' || value[bytes] == ' ' || value[bytes] == '\t';
}

static void head_line(struct http_head *head, struct duress_slice line)
{
    size_t length = 0;
    const char *value;
    if (line.length >= 5 && memcmp(line.data, "HTTP/", 5) == 0) {
        *head = (struct http_head){.content = HTTP_CONTENT_NONE};
        return;
    }
    if (head->whole)
        return; /* trailers */
    head->whole = line.length <= 2 && (line.data[0] == '\r' || line.data[0] == '\n');
    if ((value = header_value(line, "Content-Type:", &length)) != NULL) {
        head->content = HTTP_CONTENT_OTHER;
        if (is_media_type(value, length, "application/json"))
            head->content = HTTP_CONTENT_JSON;
        else if (is_media_type(value, length, "text/event-stream"))
            head->content = HTTP_CONTENT_EVENTS;
        value_keep(head->content_type, value, length);
    } else if ((value = header_value(line, "Retry-After:", &length)) != NULL) {
        value_keep(head->retry_after, value, length);
    } else if ((value = header_value(line, "Content-Length:", &length)) != NULL) {
        bool first = head->length[0] == '\0';
        if (memchr(value, ',', length) != NULL ||
            (!first && (strlen(head->length) != length || memcmp(head->length, value, length) != 0)))
            head->lengths_differ = true;
        value_keep(head->length, value, length);
    }
}

static size_t transfer_head(char *bytes, size_t size, size_t count, void *context)
{
    struct http_transfer *transfer = context;
    size_t length = size * count;
    transfer->head_bytes += length;
    if (transfer->head_bytes > transfer->client->head_bytes_max) {
        transfer->abort = HTTP_ABORT_HEAD_TOO_LARGE;
        return 0;
    }
    if (length > 0)
        head_line(&transfer->head, duress_slice_bytes(bytes, length));
    if (transfer->head.lengths_differ) {
        transfer->abort = HTTP_ABORT_LENGTHS_DIFFER;
        return 0;
    }
    return length;
}

static bool transfer_has_events(const struct http_transfer *transfer)
{
    long status = 0;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_RESPONSE_CODE, &status);
    return transfer->streams && status == 200 && transfer->head.content == HTTP_CONTENT_EVENTS;
}

static size_t transfer_body(char *bytes, size_t size, size_t count, void *context)
{
    struct http_transfer *transfer = context;
    struct http_client *client = transfer->client;
    size_t length = size * count;
    if (transfer->owner == NULL)
        return 0; /* A stream that goes on after its end is not listened to. */
    bool events = transfer_has_events(transfer);
    /* What has come of a stream is read at the end of libcurl's turn, which is not long; the limit is an event's. */
    if (!events && duress_buffer_length(&transfer->in) + length > client->limits.envelope_bytes_max) {
        transfer->abort = HTTP_ABORT_BODY_TOO_LARGE;
        return 0;
    }
    if (length > 0 && duress_buffer_append(&transfer->in, duress_slice_bytes(bytes, length)) != DURESS_OK) {
        transfer->abort = HTTP_ABORT_NO_MEMORY;
        return 0;
    }
    if (events)
        list_append(&client->news, &transfer->news);
    return length;
}

/* --- life --- */

static void transfer_timer_expired(void *context)
{
    struct http_transfer *transfer = context;
    struct http_client *client = transfer->client;
    struct http_call *owner = transfer->owner;
    if (owner != NULL && duress__http_transfer_try_next(transfer)) {
        duress__http_want_pump(client);
        return;
    }
    duress_agent_ref(&client->base);
    client->names_spoiled = client->names_spoiled || owner != NULL;
    duress__http_transfer_release(transfer);
    if (owner != NULL)
        duress__http_call_fail(owner, DURESS_E_CONNECT_TIMEOUT, DURESS_ORIGIN_CONNECT, false, NULL);
    duress_agent_unref(&client->base);
}

static long version_option(const struct http_client *client)
{
    if (client->version == DURESS_HTTP_2_BY_AGREEMENT)
        return CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
    if (client->version == DURESS_HTTP_1_1 || !client->target.tls)
        return CURL_HTTP_VERSION_1_1;
    return CURL_HTTP_VERSION_2TLS;
}

static bool setup_callbacks(struct http_transfer *transfer)
{
    CURL *easy = transfer->easy;
    return curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, duress__http_socket_open) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, duress__http_socket_close) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, transfer->client) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, transfer_connected) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PREREQDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, transfer_head) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, transfer_body) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, transfer->error_text) == CURLE_OK;
}

/* libcurl 7.88 greets a peer by prior knowledge once more where a connection is used again, and breaks it: each call
 * gets a connection of its own. (With TLS, ALPN says what is spoken, and all is well.) */
static bool keeps_agreement(const struct http_client *client)
{
    return client->curl_version >= 0x080000;
}

/* libcurl before 8.1 hands HTTP/2's DATA that does not fit into the buffer on in two parts. What it has read behind the
 * first, the stream's end say, it looks at when the socket speaks again, which may be never. So all fits in: what
 * libcurl reads at once (32 KiB), the headers that it allows, and what it reads for others when it reads for one
 * stream. Before it is used, a buffer costs nothing but addresses. Without TLS a stream is alone on its connection. */
static bool setup_buffer(struct http_transfer *transfer)
{
    const struct http_client *client = transfer->client;
    long bytes = client->target.tls ? CURL_MAX_READ_SIZE : CURL_MAX_READ_SIZE / 2;
    return client->curl_version >= 0x080100 || client->version == DURESS_HTTP_1_1 ||
           curl_easy_setopt(transfer->easy, CURLOPT_BUFFERSIZE, bytes) == CURLE_OK;
}

static bool setup_protocol(struct http_transfer *transfer)
{
    const struct http_client *client = transfer->client;
    CURL *easy = transfer->easy;
    /* Ours comes first; libcurl's own limit only tells it how to share the time among addresses. */
    long connect_ms = (long)(client->connect_timeout_ns / DURESS_MS) + 1000;
    long idle_s = (long)(client->idle_timeout_ns / DURESS_S);
    bool agreed = client->version == DURESS_HTTP_2_BY_AGREEMENT && !client->target.tls;
    bool once = agreed && !keeps_agreement(client);
    bool may_multiplex = (agreed && !once) || (client->target.tls && client->version != DURESS_HTTP_1_1);
    return curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PROXY, "") == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, version_option(client)) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_PIPEWAIT, may_multiplex ? 1L : 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, once ? 1L : 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, once ? 1L : 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_USERAGENT, USER_AGENT) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, connect_ms) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_MAXAGE_CONN, idle_s) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_POST, 1L) == CURLE_OK;
}

/* For plain HTTP as well, where it changes nothing; a libcurl without TLS refuses what it cannot keep. */
static bool setup_tls(struct http_transfer *transfer)
{
    const struct http_client *client = transfer->client;
    CURL *easy = transfer->easy;
    bool verify = !client->accept_any_certificate;
    if (!client->target.tls)
        return true;
    return curl_easy_setopt(easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L) == CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L) == CURLE_OK &&
           (client->ca_file == NULL || curl_easy_setopt(easy, CURLOPT_CAINFO, client->ca_file) == CURLE_OK);
}

/* /process or /stream */
static bool setup_path(struct http_transfer *transfer, bool streams)
{
    const struct http_client *client = transfer->client;
    CURL *easy = transfer->easy;
    transfer->streams = streams;
    return curl_easy_setopt(easy, CURLOPT_URL, streams ? client->target.stream_url : client->target.process_url) ==
               CURLE_OK &&
           curl_easy_setopt(easy, CURLOPT_HTTPHEADER, streams ? client->stream_headers : client->process_headers) ==
               CURLE_OK;
}

static struct http_transfer *transfer_new(struct http_client *client)
{
    const struct duress_allocator *allocator = client->base.allocator;
    struct http_transfer *transfer = duress_allocate_zeroed(allocator, 1, sizeof *transfer);
    if (transfer == NULL)
        return NULL;
    transfer->client = client;
    list_init(&transfer->link);
    list_init(&transfer->unsent);
    list_init(&transfer->news);
    duress_timer_init(&transfer->timer, transfer_timer_expired, transfer);
    duress_buffer_init(&transfer->out, 0, allocator);
    duress_buffer_init(&transfer->in, 0, allocator);
    duress__event_stream_init(&transfer->events, client->limits.envelope_bytes_max, allocator);
    return transfer;
}

/* Sees to it that there is a handle. */
static bool transfer_set_up(struct http_transfer *transfer)
{
    if (transfer->easy != NULL)
        return true;
    transfer->easy = curl_easy_init();
    if (transfer->easy != NULL && setup_callbacks(transfer) && setup_protocol(transfer) && setup_buffer(transfer) &&
        setup_tls(transfer) && setup_path(transfer, false))
        return true;
    curl_easy_cleanup(transfer->easy);
    transfer->easy = NULL;
    return false;
}

/* A handle remembers the number of the call of the kernel that failed last, for ever: one that had trouble would lend
 * it to the next call's failure. */
static void transfer_drop_handle(struct http_transfer *transfer)
{
    curl_easy_cleanup(transfer->easy);
    curl_slist_free_all(transfer->address);
    transfer->easy = NULL;
    transfer->address = NULL;
}

void duress__http_transfer_free(struct http_transfer *transfer)
{
    DURESS_ASSERT(transfer->phase == TRANSFER_FREE);
    list_remove(&transfer->link);
    transfer_drop_handle(transfer);
    duress_buffer_close(&transfer->out);
    duress_buffer_close(&transfer->in);
    duress__event_stream_close(&transfer->events);
    duress_release(transfer->client->base.allocator, transfer);
}

struct http_transfer *duress__http_transfer_get(struct http_client *client)
{
    if (list_is_empty(&client->free)) {
        struct http_transfer *made = transfer_new(client);
        if (made != NULL)
            list_prepend(&client->free, &made->link);
        return made;
    }
    return LIST_OWNER(client->free.next, struct http_transfer, link);
}

/* --- beginning --- */

static int request_encode(struct http_transfer *transfer, const struct duress_call *call, const char **detail)
{
    struct http_client *client = transfer->client;
    struct duress_envelope_diagnostics diagnostics = {.reason = NULL};
    const struct duress_message *request = call->request;
    uint64_t wall_ns = duress_world_wall_ns(client->base.world);
    uint64_t made_ns = duress_message_timestamp_ns(request);
    duress__request_id_write(client->id_prefix, ++client->sequence, transfer->id);
    struct duress_envelope envelope = {
        .type = DURESS_ENVELOPE_REQUEST,
        .id = duress_slice_bytes(transfer->id, sizeof transfer->id),
        .timestamp_ns = wall_ns,
        .method = duress_slice_text(call->streaming ? "stream" : "process"),
        .agent_name = duress_slice_text(client->agent_name),
        .role = duress_message_role(request),
        .content = duress_message_content(request),
        .metadata = duress_message_metadata(request),
        .message_timestamp_ns = made_ns != 0 ? made_ns : wall_ns,
    };
    duress_buffer_clear(&transfer->out);
    int error = duress_envelope_encode(&envelope, &client->limits, &transfer->out, &diagnostics);
    *detail = diagnostics.reason;
    return error;
}

/* Tells the handle where to connect to, where that is not the URL's host: the name in the request, and in TLS, stays.
 */
static bool transfer_tell_address(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    char text[DURESS_ADDRESS_TEXT_BYTES_MAX + 8] = "::";
    if (client->address_count == 0)
        return true;
    size_t index = (transfer->address_first + transfer->attempt) % client->address_count;
    if (transfer->address != NULL && transfer->address_generation == client->names_generation &&
        transfer->address_index == index)
        return true;
    (void)duress_address_format(&client->addresses[index], text + 2, sizeof text - 2); /* "::127.0.0.1:80" */
    struct curl_slist *address = curl_slist_append(NULL, text);
    if (address == NULL || curl_easy_setopt(transfer->easy, CURLOPT_CONNECT_TO, address) != CURLE_OK) {
        curl_slist_free_all(address);
        return false;
    }
    curl_slist_free_all(transfer->address);
    transfer->address = address;
    transfer->address_generation = client->names_generation;
    transfer->address_index = index;
    return true;
}

static bool transfer_hand_over(struct http_transfer *transfer, bool streams)
{
    struct http_client *client = transfer->client;
    struct duress_slice body = duress_buffer_slice(&transfer->out);
    if (!transfer_set_up(transfer))
        return false;
    if (transfer->streams != streams && !setup_path(transfer, streams))
        return false;
    if (duress__http_multi_open(client) != DURESS_OK || !transfer_tell_address(transfer))
        return false;
    return curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)body.length) == CURLE_OK &&
           curl_easy_setopt(transfer->easy, CURLOPT_POSTFIELDS, (const char *)body.data) == CURLE_OK &&
           curl_multi_add_handle(client->multi, transfer->easy) == CURLM_OK;
}

/* Each of the addresses left gets an equal share of the time left, so that a silent one does not eat it all. */
static void transfer_arm(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    uint64_t now_ns = duress_world_now_ns(client->base.world);
    uint64_t left_ns = duress_time_until(now_ns, transfer->connect_deadline_ns);
    uint64_t addresses_left = client->address_count > transfer->attempt ? client->address_count - transfer->attempt : 1;
    duress_world_arm(client->base.world, &transfer->timer, duress_time_add(now_ns, left_ns / addresses_left));
}

/* One exchange from its beginning: the connect, with |transfer|->attempt addresses tried before. */
static bool transfer_start(struct http_transfer *transfer, bool streams)
{
    transfer->connected = false;
    transfer->abort = HTTP_ABORT_NONE;
    transfer->open_error = DURESS_OK;
    transfer->head_bytes = 0;
    transfer->head = (struct http_head){.content = HTTP_CONTENT_NONE};
    transfer->error_text[0] = '\0';
    if (!transfer_hand_over(transfer, streams))
        return false;
    transfer->phase = TRANSFER_RUNNING;
    list_append(&transfer->client->running, &transfer->link);
    transfer_arm(transfer);
    return true;
}

int duress__http_transfer_begin(struct http_transfer *transfer, struct http_call *call, const char **detail)
{
    struct http_client *client = transfer->client;
    int error = request_encode(transfer, call->call, detail);
    if (error != DURESS_OK)
        return error;
    uint64_t turn_ns = call->turn_ns != 0 ? call->turn_ns : duress_world_now_ns(client->base.world);
    transfer->connect_deadline_ns = duress_time_add(turn_ns, client->connect_timeout_ns);
    transfer->attempt = 0;
    transfer->address_first = client->address_first;
    if (!transfer_start(transfer, call->call->streaming))
        return DURESS_E_NO_MEMORY;
    client->running_count++;
    transfer->owner = call;
    call->transfer = transfer;
    duress_call_mark_stage(call->call, DURESS_ORIGIN_CONNECT);
    return DURESS_OK;
}

/* --- under way and after --- */

void duress__http_transfer_note_sent(struct http_transfer *transfer)
{
    curl_off_t uploaded = 0;
    if (transfer->owner == NULL || transfer_sent_bytes(transfer) == 0)
        return;
    duress_call_mark_sent(transfer->owner->call);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_SIZE_UPLOAD_T, &uploaded);
    if (uploaded < (curl_off_t)duress_buffer_length(&transfer->out))
        return;
    duress_call_mark_stage(transfer->owner->call, DURESS_ORIGIN_RECEIVE);
    list_remove(&transfer->unsent);
}

void duress__http_transfer_done(struct http_transfer *transfer, CURLcode result)
{
    struct http_client *client = transfer->client;
    long version = 0;
    duress__http_transfer_note_sent(transfer);
    transfer->fd = CURL_SOCKET_BAD;
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_ACTIVESOCKET, &transfer->fd);
    duress__http_socket_has_served(client, transfer->fd);
    (void)curl_multi_remove_handle(client->multi, transfer->easy);
    duress_world_disarm(client->base.world, &transfer->timer);
    list_remove(&transfer->unsent);
    (void)curl_easy_getinfo(transfer->easy, CURLINFO_HTTP_VERSION, &version);
    if (version != 0)
        client->speaks_http_2 = version == CURL_HTTP_VERSION_2_0;
    transfer->result = result;
    transfer->phase = TRANSFER_FINISHED;
    list_append(&client->finished, &transfer->link);
    if (transfer->connected && client->address_count > 0 && transfer->address_generation == client->names_generation)
        client->address_first = transfer->address_index; /* which was reached: the next ones begin there */
}

/* libcurl reads and writes what |transfer| may read and write, whatever the socket has said: that a transfer goes on
 * which was held is the only thing that it can be told of one. */
static void transfer_look_again(struct http_transfer *transfer)
{
    (void)curl_easy_pause(transfer->easy, CURLPAUSE_SEND);
    (void)curl_easy_pause(transfer->easy, CURLPAUSE_CONT);
}

/* An exchange beside |transfer| on its connection; NULL: none. */
static struct http_transfer *transfer_neighbour(const struct http_transfer *transfer)
{
    const struct list_link *running = &transfer->client->running;
    for (struct list_link *link = running->next; link != running; link = link->next) {
        struct http_transfer *other = LIST_OWNER(link, struct http_transfer, link);
        if (other != transfer && other->connected && other->local_port == transfer->local_port &&
            transfer_sent_bytes(other) > 0)
            return other;
    }
    return NULL;
}

/* Takes it from libcurl, where libcurl has it, and out of the lists of those under way. */
static void transfer_stop(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    bool done = transfer->phase == TRANSFER_FINISHED;
    if (!done) {
        client->resetting = true;
        client->left_fd = CURL_SOCKET_BAD;
        (void)curl_multi_remove_handle(client->multi, transfer->easy);
        client->resetting = false;
        duress__http_sockets_sweep(client);
        /* libcurl (7.88 to 8.14) writes a stream's RST_STREAM and does not send it. Where others are on the connection,
         * one of them takes it along, and what was read for them. Where nobody is, the connection ends, and the peer
         * learns of it that way. */
        struct http_transfer *neighbour = transfer->connected ? transfer_neighbour(transfer) : NULL;
        duress__http_socket_shut(client, client->left_fd);
        if (neighbour != NULL)
            transfer_look_again(neighbour);
    }
    if (!done || transfer->result != CURLE_OK)
        transfer_drop_handle(transfer);
    duress_world_disarm(client->base.world, &transfer->timer);
    list_remove(&transfer->unsent);
    list_remove(&transfer->news);
}

bool duress__http_transfer_try_next(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    uint64_t now_ns = duress_world_now_ns(client->base.world);
    if (transfer->attempt + 1 >= client->address_count || now_ns >= transfer->connect_deadline_ns ||
        transfer_sent_bytes(transfer) > 0)
        return false;
    transfer_stop(transfer);
    transfer->attempt++;
    if (transfer_start(transfer, transfer->owner->call->streaming))
        return true;
    transfer->phase = TRANSFER_FINISHED;
    transfer->result = CURLE_OUT_OF_MEMORY;
    list_append(&client->finished, &transfer->link);
    return true;
}

void duress__http_transfer_release(struct http_transfer *transfer)
{
    struct http_client *client = transfer->client;
    struct duress_world *world = client->base.world;
    DURESS_ASSERT(transfer->phase != TRANSFER_FREE);
    transfer_stop(transfer);
    if (transfer->owner != NULL)
        transfer->owner->transfer = NULL;
    transfer->owner = NULL;
    duress_buffer_clear(&transfer->out);
    duress_buffer_trim(&transfer->out, HTTP_BUFFER_KEPT_BYTES);
    duress_buffer_clear(&transfer->in);
    duress_buffer_trim(&transfer->in, HTTP_BUFFER_KEPT_BYTES);
    duress__event_stream_restart(&transfer->events, HTTP_BUFFER_KEPT_BYTES);
    transfer->phase = TRANSFER_FREE;
    list_prepend(&client->free, &transfer->link);
    client->running_count--;
    client->last_used_ns = duress_world_now_ns(world);
    if (!duress_timer_is_armed(&client->idle_timer))
        duress_world_arm(world, &client->idle_timer, duress_time_add(client->last_used_ns, client->idle_timeout_ns));
    if (!wait_queue_is_empty(&client->waiting))
        duress__http_want_pump(client);
}
