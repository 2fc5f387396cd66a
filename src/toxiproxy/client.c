/* SPDX-License-Identifier: Apache-2.0
 *
 * The client's life, and how it asks: libcurl's easy interface, one request at a time. */
#include "client_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <duress/time.h>

#define TIME_LIMIT_NS_DEFAULT (30 * DURESS_S)
#define UNIX_PREFIX "unix://"

int duress__toxiproxy_fail(struct duress_toxiproxy *client, struct duress_failure *why, enum duress_error code,
                           const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(client->message, sizeof client->message, format, arguments);
    va_end(arguments);
    if (why != NULL)
        duress_failure_set(why, code, code == DURESS_E_REMOTE ? DURESS_ORIGIN_PEER : DURESS_ORIGIN_CALLER, "%s",
                           client->message);
    return code;
}

/* --- life --- */

static char *text_join(const struct duress_allocator *allocator, const char *first, const char *second)
{
    size_t first_length = strlen(first);
    size_t second_length = strlen(second);
    char *joined = duress_allocate(allocator, first_length + second_length + 1);
    if (joined == NULL)
        return NULL;
    memcpy(joined, first, first_length);
    memcpy(joined + first_length, second, second_length + 1);
    return joined;
}

/* "host:port" is http's; a socket file has a host that nobody looks up. */
static bool url_take(struct duress_toxiproxy *client, const char *url)
{
    if (strncmp(url, UNIX_PREFIX, strlen(UNIX_PREFIX)) == 0) {
        client->socket_path = text_join(client->allocator, url + strlen(UNIX_PREFIX), "");
        client->url = text_join(client->allocator, "http://localhost", "");
        return client->socket_path != NULL && client->url != NULL;
    }
    bool whole = strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
    client->url = text_join(client->allocator, whole ? "" : "http://", url);
    if (client->url == NULL)
        return false;
    for (size_t end = strlen(client->url); end > 0 && client->url[end - 1] == '/'; end--)
        client->url[end - 1] = '\0';
    return true;
}

static bool client_fill(struct duress_toxiproxy *client, const struct duress_toxiproxy_options *options)
{
    const char *agent = options->user_agent != NULL ? options->user_agent : "duress";
    uint64_t limit_ns = options->time_limit_ns > 0 ? options->time_limit_ns : TIME_LIMIT_NS_DEFAULT;
    client->time_limit_ms = (long)(limit_ns / DURESS_MS > 0 ? limit_ns / DURESS_MS : 1);
    client->user_agent = text_join(client->allocator, agent, "");
    if (options->token != NULL)
        client->token = text_join(client->allocator, options->token, "");
    /* No "Expect: 100-continue": it would cost a round trip, or a second where nobody answers it. */
    client->headers = curl_slist_append(NULL, "Content-Type: application/json");
    struct curl_slist *more = client->headers != NULL ? curl_slist_append(client->headers, "Expect:") : NULL;
    client->curl = curl_easy_init();
    return url_take(client, options->url != NULL ? options->url : DURESS_TOXIPROXY_URL_DEFAULT) && more != NULL &&
           client->user_agent != NULL && client->curl != NULL && (options->token == NULL || client->token != NULL);
}

int duress_toxiproxy_new(const struct duress_toxiproxy_options *options, struct duress_toxiproxy **client,
                         struct duress_failure *why)
{
    static const struct duress_toxiproxy_options defaults = {.url = NULL};
    if (options == NULL)
        options = &defaults;
    if (client == NULL || (options->url != NULL && *options->url == '\0')) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER,
                               client == NULL
                                   ? "client: NULL given, a pointer is needed"
                                   : "url: nothing given, http://host:port, host:port or unix:///path allowed");
        return DURESS_E_INVALID;
    }
    struct duress_toxiproxy *made = duress_allocate_zeroed(options->allocator, 1, sizeof *made);
    if (made != NULL) {
        made->allocator = options->allocator;
        if (client_fill(made, options)) {
            *client = made;
            return DURESS_OK;
        }
    }
    duress_toxiproxy_free(made);
    if (why != NULL)
        duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
    return DURESS_E_NO_MEMORY;
}

static void answer_forget(struct duress_toxiproxy *client)
{
    json_decref(client->tree);
    client->tree = NULL;
    duress_release(client->allocator, client->lent);
    client->lent = NULL;
    duress_release(client->allocator, client->answer);
    client->answer = NULL;
    client->answer_length = 0;
    client->answer_capacity = 0;
    client->answer_failed = false;
    client->status = 0;
    client->message[0] = '\0';
}

void duress_toxiproxy_free(struct duress_toxiproxy *client)
{
    if (client == NULL)
        return;
    const struct duress_allocator *allocator = client->allocator;
    answer_forget(client);
    curl_easy_cleanup(client->curl);
    curl_slist_free_all(client->headers);
    duress_release(allocator, client->url);
    duress_release(allocator, client->socket_path);
    duress_release(allocator, client->token);
    duress_release(allocator, client->user_agent);
    duress_release(allocator, client);
}

unsigned duress_toxiproxy_status(const struct duress_toxiproxy *client)
{
    return client != NULL ? client->status : 0;
}

const char *duress_toxiproxy_message(const struct duress_toxiproxy *client)
{
    return client != NULL ? client->message : "";
}

const char *duress_toxiproxy_answer(const struct duress_toxiproxy *client)
{
    return client != NULL && client->answer != NULL ? client->answer : "";
}

/* --- asking --- */

static size_t answer_take(char *bytes, size_t size, size_t count, void *context)
{
    struct duress_toxiproxy *client = context;
    size_t length = size * count;
    size_t needed = client->answer_length + length + 1;
    if (needed > client->answer_capacity) {
        size_t capacity = needed + needed / 2;
        char *moved = needed <= TOXIPROXY_ANSWER_BYTES_MAX
                          ? duress_reallocate(client->allocator, client->answer, capacity)
                          : NULL;
        client->answer_failed = moved == NULL;
        if (moved == NULL)
            return 0;
        client->answer = moved;
        client->answer_capacity = capacity;
    }
    memcpy(client->answer + client->answer_length, bytes, length);
    client->answer_length += length;
    client->answer[client->answer_length] = '\0';
    return length;
}

static enum duress_error error_of(CURLcode code)
{
    switch (code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return DURESS_E_NAME_NOT_FOUND;
    case CURLE_COULDNT_CONNECT:
        return DURESS_E_REFUSED;
    case CURLE_OPERATION_TIMEDOUT:
        return DURESS_E_DEADLINE;
    case CURLE_OUT_OF_MEMORY:
        return DURESS_E_NO_MEMORY;
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return DURESS_E_RESET;
    case CURLE_GOT_NOTHING:
    case CURLE_PARTIAL_FILE:
        return DURESS_E_TRUNCATED;
    case CURLE_PEER_FAILED_VERIFICATION:
        return DURESS_E_UNTRUSTED;
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
        return DURESS_E_INVALID;
    default:
        return DURESS_E_SYSTEM;
    }
}

/* curl_easy_setopt() is a macro that looks at types; each line by itself is easier to read than a chain. */
static CURLcode request_set(struct duress_toxiproxy *client, const char *method, const char *url, const char *body)
{
    CURL *curl = client->curl;
    curl_easy_reset(curl);
    CURLcode code = curl_easy_setopt(curl, CURLOPT_URL, url);
    (void)curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    (void)curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    (void)curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, client->time_limit_ms);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, answer_take);
    (void)curl_easy_setopt(curl, CURLOPT_WRITEDATA, client);
    /* A daemon for tests is not reached by way of the proxy that the environment names. */
    (void)curl_easy_setopt(curl, CURLOPT_NOPROXY, "*");
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
    if (code == CURLE_OK)
        code = curl_easy_setopt(curl, CURLOPT_USERAGENT, client->user_agent);
    if (code == CURLE_OK && client->socket_path != NULL)
        code = curl_easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, client->socket_path);
    if (code == CURLE_OK && client->token != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_HTTPAUTH, CURLAUTH_BEARER);
        code = curl_easy_setopt(curl, CURLOPT_XOAUTH2_BEARER, client->token);
    }
    if (code == CURLE_OK && body != NULL) {
        (void)curl_easy_setopt(curl, CURLOPT_HTTPHEADER, client->headers);
        (void)curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, (long)strlen(body));
        code = curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body);
    }
    return code;
}

/* What the daemon says of a refusal: {"error":…}, or a "title" from before 2.1, or whatever it sent. */
static int refusal_tell(struct duress_toxiproxy *client, struct duress_failure *why)
{
    const char *text = json_string_value(json_object_get(client->tree, "error"));
    if (text == NULL)
        text = json_string_value(json_object_get(client->tree, "title"));
    if (text == NULL && client->answer != NULL) {
        client->answer[strcspn(client->answer, "\r\n")] = '\0';
        text = client->answer;
    }
    return duress__toxiproxy_fail(client, why, DURESS_E_REMOTE, "HTTP %u: %.1900s", client->status,
                                  text != NULL ? text : "no reason given");
}

static int request_send(struct duress_toxiproxy *client, const char *method, const char *url, const char *body,
                        struct duress_failure *why)
{
    char detail[CURL_ERROR_SIZE] = "";
    long status = 0;
    CURLcode code = request_set(client, method, url, body);
    (void)curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, detail);
    if (code == CURLE_OK)
        code = curl_easy_perform(client->curl);
    (void)curl_easy_setopt(client->curl, CURLOPT_ERRORBUFFER, NULL);
    if (client->answer_failed)
        return duress__toxiproxy_fail(client, why, DURESS_E_NO_MEMORY, "%s", duress_strerror(DURESS_E_NO_MEMORY));
    if (code != CURLE_OK)
        return duress__toxiproxy_fail(client, why, error_of(code), "%s %s: %s", method, url,
                                      detail[0] != '\0' ? detail : curl_easy_strerror(code));
    (void)curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    client->status = (unsigned)status;
    if (client->answer_length > 0)
        client->tree = json_loadb(client->answer, client->answer_length, 0, NULL);
    /* Numbers beyond 64 bits, as a toxicity may be. */
    if (client->answer_length > 0 && client->tree == NULL)
        client->tree = json_loadb(client->answer, client->answer_length, JSON_DECODE_INT_AS_REAL, NULL);
    return status >= 200 && status < 300 ? DURESS_OK : refusal_tell(client, why);
}

int duress__toxiproxy_ask(struct duress_toxiproxy *client, const char *method, const char *path, const json_t *body,
                          struct duress_failure *why)
{
    answer_forget(client);
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT) : NULL;
    char *url = text_join(client->allocator, client->url, path);
    int error = DURESS_OK;
    if (url == NULL || (body != NULL && text == NULL))
        error = duress__toxiproxy_fail(client, why, DURESS_E_NO_MEMORY, "%s", duress_strerror(DURESS_E_NO_MEMORY));
    else
        error = request_send(client, method, url, text, why);
    duress_release(client->allocator, url);
    if (text != NULL) {
        json_free_t release = NULL;
        json_get_alloc_funcs(NULL, &release);
        release(text);
    }
    return error;
}

char *duress__toxiproxy_path(struct duress_toxiproxy *client, const char *proxy, const char *toxics, const char *toxic)
{
    char *first = curl_easy_escape(client->curl, proxy, 0);
    char *second = toxic != NULL ? curl_easy_escape(client->curl, toxic, 0) : NULL;
    char *path = NULL;
    if (first != NULL && (toxic == NULL || second != NULL)) {
        const char *last = second != NULL ? second : "";
        size_t capacity = strlen("/proxies/") + strlen(first) + strlen(toxics) + strlen(last) + 2;
        path = duress_allocate(client->allocator, capacity);
        if (path != NULL)
            (void)snprintf(path, capacity, "/proxies/%s%s%s%s", first, toxics, second != NULL ? "/" : "", last);
    }
    curl_free(first);
    curl_free(second);
    return path;
}
