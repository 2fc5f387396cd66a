/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent's settings: what is refused, and why; the URL; the headers. */
#include "client_private.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include <duress/base/text.h>
#include <duress/world/address.h>

#define CONNECT_TIMEOUT_NS_DEFAULT (10 * DURESS_S)
#define IDLE_TIMEOUT_NS_DEFAULT (30 * DURESS_S)
#define NAME_MAX_AGE_NS_DEFAULT (10 * DURESS_S)

enum {
    CONNECTIONS_DEFAULT = 64,
    CONNECTIONS_MAX = 65536,
    WAITING_DEFAULT = 1024,
    URL_BYTES_MAX = 2048,
    HEADER_BYTES_MAX = 8192,
    BODY_BYTES_MIN = 256,
    HEAD_BYTES_MIN = 256,
    HEAD_BYTES_MAX = 1024 * 1024,
    HEAD_BYTES_DEFAULT = 64 * 1024,
};

static int refuse(struct duress_failure *why, const char *field, const char *reason)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: %s", field, reason);
    return DURESS_E_INVALID;
}

static int refuse_memory(struct duress_failure *why)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
    return DURESS_E_NO_MEMORY;
}

/* DURESS_OK where |given| is 0 (the default) or in the range. */
static int range_check(struct duress_failure *why, const char *field, uint64_t given, uint64_t low, uint64_t high)
{
    if (given == 0 || (given >= low && given <= high))
        return DURESS_OK;
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: %llu is not from %llu to %llu", field,
                           (unsigned long long)given, (unsigned long long)low, (unsigned long long)high);
    return DURESS_E_INVALID;
}

/* --- headers --- */

static bool is_token_byte(char byte)
{
    bool letter = (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z');
    return letter || (byte >= '0' && byte <= '9') || (byte != '\0' && strchr("!#$%&'*+-.^_`|~", byte) != NULL);
}

/* Set here or by libcurl; a second one would make the request mean something else to each reader. */
static bool is_name_of_ours(const char *name, size_t length)
{
    static const char *const names[] = {"host",       "content-type", "content-length", "transfer-encoding",
                                        "expect",     "accept",       "connection",     "upgrade",
                                        "keep-alive", "te",           "trailer",        "accept-encoding"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i]) == length && strncasecmp(names[i], name, length) == 0)
            return true;
    return false;
}

static const char *header_defect(const char *header)
{
    if (header == NULL)
        return "must be given";
    size_t length = strnlen(header, HEADER_BYTES_MAX + 1);
    if (length > HEADER_BYTES_MAX)
        return "longer than 8192 bytes";
    size_t name = 0;
    while (is_token_byte(header[name]))
        name++;
    if (name == 0 || header[name] != ':')
        return "is not of the form \"Name: value\"";
    bool empty = true;
    for (size_t i = name + 1; i < length; i++) {
        unsigned char byte = (unsigned char)header[i];
        if ((byte < 0x20 && byte != '\t') || byte == 0x7f)
            return "has a control character in its value";
        empty = empty && (byte == ' ' || byte == '\t');
    }
    if (empty)
        return "has no value";
    return is_name_of_ours(header, name) ? "is not for callers to set" : NULL;
}

static int headers_check(const struct duress_http_agent_options *options, struct duress_failure *why)
{
    if (options->header_count > DURESS_HTTP_HEADERS_MAX)
        return range_check(why, "header_count", options->header_count, 0, DURESS_HTTP_HEADERS_MAX);
    if (options->header_count > 0 && options->headers == NULL)
        return refuse(why, "headers", "must be given where header_count is not 0");
    for (uint32_t i = 0; i < options->header_count; i++) {
        const char *defect = header_defect(options->headers[i]);
        if (defect == NULL)
            continue;
        if (why != NULL) /* never the header itself: it may be a secret */
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "headers[%u]: %s", i, defect);
        return DURESS_E_INVALID;
    }
    return DURESS_OK;
}

static bool header_append(struct curl_slist **list, const char *header)
{
    struct curl_slist *longer = curl_slist_append(*list, header);
    if (longer != NULL)
        *list = longer;
    return longer != NULL;
}

static bool headers_make(struct curl_slist **list, const char *accept, const struct duress_http_agent_options *options)
{
    bool made = header_append(list, "Content-Type: application/json") && header_append(list, accept) &&
                header_append(list, "Expect:"); /* none: it would cost a round trip, or a second of waiting for it */
    for (uint32_t i = 0; made && i < options->header_count; i++)
        made = header_append(list, options->headers[i]);
    return made;
}

/* --- the URL --- */

/* One part of |url| into |text|; false where it is not there or does not fit. */
static bool url_part(CURLU *url, CURLUPart part, unsigned flags, char *text, size_t capacity)
{
    char *found = NULL;
    if (curl_url_get(url, part, &found, flags) != CURLUE_OK)
        return false;
    size_t length = strlen(found);
    bool fits = length < capacity;
    if (fits)
        memcpy(text, found, length + 1);
    curl_free(found);
    return fits;
}

static const char *url_defect(CURLU *url, struct http_target *target)
{
    char text[URL_BYTES_MAX + 1];
    char port[8];
    if (url_part(url, CURLUPART_USER, 0, text, sizeof text) || url_part(url, CURLUPART_PASSWORD, 0, text, sizeof text))
        return "must not hold a user; use a header";
    if (url_part(url, CURLUPART_QUERY, 0, text, sizeof text) || url_part(url, CURLUPART_FRAGMENT, 0, text, sizeof text))
        return "must have neither query nor fragment";
    if (!url_part(url, CURLUPART_SCHEME, 0, text, sizeof text) ||
        (strcmp(text, "http") != 0 && strcmp(text, "https") != 0))
        return "must begin with http:// or https://";
    target->tls = strcmp(text, "https") == 0;
    if (!url_part(url, CURLUPART_HOST, 0, text, sizeof target->host + 2))
        return "a host has 1 to 255 characters";
    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at >= 0x80 || *at == '%' || *at == ',')
            return "a host is of ASCII letters, digits, dots and dashes";
    if (!url_part(url, CURLUPART_PORT, CURLU_DEFAULT_PORT, port, sizeof port) || strtol(port, NULL, 10) < 1)
        return "a port is from 1 to 65535";
    target->port = (uint16_t)strtoul(port, NULL, 10);
    size_t length = strlen(text);
    bool bracketed = text[0] == '[';
    memcpy(target->host, text + bracketed, length - 2U * bracketed);
    struct duress_address address;
    target->named = !bracketed && !duress_address_from_host(target->host, target->port, &address);
    return NULL;
}

static int url_check(const char *text, struct http_target *target, struct duress_failure *why)
{
    if (text == NULL)
        return refuse(why, "url", "must be given");
    if (strnlen(text, URL_BYTES_MAX + 1) > URL_BYTES_MAX)
        return refuse(why, "url", "longer than 2048 characters");
    CURLU *url = curl_url();
    if (url == NULL)
        return refuse_memory(why);
    CURLUcode code = curl_url_set(url, CURLUPART_URL, text, CURLU_NON_SUPPORT_SCHEME);
    const char *defect = code == CURLUE_OK ? url_defect(url, target) : NULL;
    curl_url_cleanup(url);
    if (code == CURLUE_OUT_OF_MEMORY)
        return refuse_memory(why);
    if (code == CURLUE_OK)
        return defect == NULL ? DURESS_OK : refuse(why, "url", defect);
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "url: is no URL (%s)", curl_url_strerror(code));
    return DURESS_E_INVALID;
}

/* |base| without slashes at its end, and |path| behind it. */
static char *url_join(const struct duress_allocator *allocator, const char *base, const char *path)
{
    size_t length = strlen(base);
    while (length > 0 && base[length - 1] == '/')
        length--;
    size_t path_bytes = strlen(path) + 1;
    char *joined = duress_allocate(allocator, length + path_bytes);
    if (joined != NULL) {
        memcpy(joined, base, length);
        memcpy(joined + length, path, path_bytes);
    }
    return joined;
}

/* --- all of it --- */

int duress__http_options_check(const struct duress_http_agent_options *options, struct duress_failure *why)
{
    struct http_target target = {.port = 0};
    if (options == NULL || options->world == NULL)
        return refuse(why, "world", "must be given");
    int error = url_check(options->url, &target, why);
    if (error == DURESS_OK)
        error = headers_check(options, why);
    if (error == DURESS_OK && options->version > DURESS_HTTP_2_BY_AGREEMENT)
        error = refuse(why, "version", "is none of the list");
    if (error == DURESS_OK && options->ca_file != NULL && options->insecure_accept_any_certificate)
        error = refuse(why, "ca_file", "means nothing where any certificate is accepted");
    if (error == DURESS_OK && options->ca_file != NULL && access(options->ca_file, R_OK) != 0)
        error = refuse(why, "ca_file", "cannot be read");
    if (error == DURESS_OK)
        error = range_check(why, "connect_timeout_ns", options->connect_timeout_ns, DURESS_MS, 3600 * DURESS_S);
    if (error == DURESS_OK)
        error = range_check(why, "idle_timeout_ns", options->idle_timeout_ns, DURESS_S, 86400 * DURESS_S);
    if (error == DURESS_OK)
        error = range_check(why, "connections_max", options->connections_max, 1, CONNECTIONS_MAX);
    if (error == DURESS_OK)
        error = range_check(why, "in_flight_max", options->in_flight_max, 1, CONNECTIONS_MAX);
    if (error == DURESS_OK)
        error = range_check(why, "head_bytes_max", options->head_bytes_max, HEAD_BYTES_MIN, HEAD_BYTES_MAX);
    if (error == DURESS_OK)
        error = range_check(why, "body_bytes_max", options->body_bytes_max, BODY_BYTES_MIN, UINT32_MAX);
    return error;
}

static uint64_t or_default(uint64_t given, uint64_t fallback)
{
    return given != 0 ? given : fallback;
}

static void limits_configure(struct http_client *client, const struct duress_http_agent_options *options)
{
    client->version = options->version;
    client->accept_any_certificate = options->insecure_accept_any_certificate;
    client->connect_timeout_ns = or_default(options->connect_timeout_ns, CONNECT_TIMEOUT_NS_DEFAULT);
    client->idle_timeout_ns = or_default(options->idle_timeout_ns, IDLE_TIMEOUT_NS_DEFAULT);
    client->name_max_age_ns = or_default(options->name_max_age_ns, NAME_MAX_AGE_NS_DEFAULT);
    client->connections_max = (uint32_t)or_default(options->connections_max, CONNECTIONS_DEFAULT);
    client->in_flight_max = (uint32_t)or_default(options->in_flight_max, client->connections_max);
    wait_queue_init(&client->waiting, (uint32_t)or_default(options->waiting_max, WAITING_DEFAULT));
    client->head_bytes_max = (size_t)or_default(options->head_bytes_max, HEAD_BYTES_DEFAULT);
    size_t body_bytes = (size_t)or_default(options->body_bytes_max, DURESS_FRAME_BYTES_MAX_DEFAULT);
    client->limits = (struct duress_envelope_limits)DURESS_ENVELOPE_LIMITS_DEFAULT;
    client->limits.envelope_bytes_max = body_bytes;
    client->limits.string_bytes_max = body_bytes;
}

int duress__http_configure(struct http_client *client, const struct duress_http_agent_options *options,
                           struct duress_failure *why)
{
    const struct duress_allocator *allocator = client->base.allocator;
    limits_configure(client, options);
    int error = url_check(options->url, &client->target, why);
    if (error != DURESS_OK)
        return error;
    client->target.process_url = url_join(allocator, options->url, "/process");
    client->target.stream_url = url_join(allocator, options->url, "/stream");
    bool made = client->target.process_url != NULL && client->target.stream_url != NULL;
    if (made && options->agent_name != NULL)
        made = (client->agent_name = duress__text_copy(allocator, options->agent_name)) != NULL;
    if (made && options->ca_file != NULL)
        made = (client->ca_file = duress__text_copy(allocator, options->ca_file)) != NULL;
    made = made && headers_make(&client->process_headers, "Accept: application/json", options) &&
           headers_make(&client->stream_headers, "Accept: text/event-stream", options);
    return made ? DURESS_OK : refuse_memory(why);
}

void duress__http_settings_free(struct http_client *client)
{
    const struct duress_allocator *allocator = client->base.allocator;
    duress_release(allocator, client->target.process_url);
    duress_release(allocator, client->target.stream_url);
    duress_release(allocator, client->agent_name);
    duress_release(allocator, client->ca_file);
    curl_slist_free_all(client->process_headers);
    curl_slist_free_all(client->stream_headers);
}
