/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/agent_tool/serving.h>

#include <stdio.h>
#include <string.h>

#include <duress/agent_http/server.h>

struct duress__serving {
    const struct duress_allocator *allocator;
    struct duress_http_server *http; /* one of the two */
    struct duress_server *framed;
    char url[DURESS__SERVING_URL_BYTES_MAX];
};

struct place {
    bool is_http;
    struct duress_address address;
};

static bool place_refuse(struct duress_failure *why, const char *reason)
{
    duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s", reason);
    return false;
}

/* What stands behind "http://" or "tcp://". */
static bool host_and_port_read(const char *text, struct place *place, struct duress_failure *why)
{
    static const char local[] = "localhost:";
    char numeric[DURESS_ADDRESS_TEXT_BYTES_MAX];
    bool is_local = strncmp(text, local, sizeof local - 1) == 0;
    (void)snprintf(numeric, sizeof numeric, "%s%s", is_local ? "127.0.0.1:" : "",
                   is_local ? text + sizeof local - 1 : text);
    size_t length = strlen(numeric);
    if (place->is_http && length > 0 && numeric[length - 1] == '/')
        numeric[length - 1] = '\0';
    if (duress_address_parse(numeric, &place->address) && place->address.family != DURESS_FAMILY_UNIX)
        return true;
    return place_refuse(why, "a numeric host (or localhost), a colon and a port from 0 to 65535 must follow");
}

static bool place_read(const char *url, struct place *place, struct duress_failure *why)
{
    static const char http[] = "http://";
    static const char tcp[] = "tcp://";
    static const char local[] = "unix://";
    *place = (struct place){.is_http = strncmp(url, http, sizeof http - 1) == 0};
    if (place->is_http)
        return host_and_port_read(url + sizeof http - 1, place, why);
    if (strncmp(url, tcp, sizeof tcp - 1) == 0)
        return host_and_port_read(url + sizeof tcp - 1, place, why);
    if (strncmp(url, local, sizeof local - 1) != 0)
        return place_refuse(why, "must begin with http://, tcp:// or unix://");
    place->address = duress_address_unix(url + sizeof local - 1);
    if (url[sizeof local - 1] == '/' && place->address.family != DURESS_FAMILY_NONE)
        return true;
    return place_refuse(why, "an absolute path of at most 107 bytes must follow");
}

bool duress__serving_url_is_valid(const char *url, struct duress_failure *why)
{
    struct place place;
    return place_read(url, &place, why);
}

static void url_write(struct duress__serving *serving, const struct place *place)
{
    char text[DURESS_ADDRESS_TEXT_BYTES_MAX];
    struct duress_address address =
        serving->http != NULL ? duress_http_server_address(serving->http) : duress_server_address(serving->framed);
    const char *scheme = place->is_http ? "http://" : address.family == DURESS_FAMILY_UNIX ? "" : "tcp://";
    (void)snprintf(serving->url, sizeof serving->url, "%s%s", scheme,
                   duress_address_format(&address, text, sizeof text));
}

static int servers_open(struct duress__serving *serving, const struct duress__serving_options *options,
                        const struct place *place, struct duress_failure *why)
{
    if (place->is_http) {
        struct duress_http_server_options http = {
            .world = options->world,
            .agent = options->agent,
            .address = place->address,
            .requests_max = options->requests_max,
            .request_timeout_ns = options->request_timeout_ns,
        };
        return duress_http_server_new(&http, &serving->http, why);
    }
    struct duress_server_options framed = {
        .world = options->world,
        .agent = options->agent,
        .address = place->address,
        .requests_max = options->requests_max,
        .request_timeout_ns = options->request_timeout_ns,
    };
    return duress_server_new(&framed, &serving->framed, why);
}

int duress__serving_new(const struct duress__serving_options *options, struct duress__serving **serving,
                        struct duress_failure *why)
{
    struct place place;
    if (!place_read(options->url, &place, why))
        return DURESS_E_INVALID;
    const struct duress_allocator *allocator = duress_world_allocator(options->world);
    struct duress__serving *made = duress_allocate_zeroed(allocator, 1, sizeof *made);
    if (made == NULL) {
        duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return DURESS_E_NO_MEMORY;
    }
    made->allocator = allocator;
    why->code = DURESS_OK;
    int error = servers_open(made, options, &place, why);
    if (error != DURESS_OK) {
        if (why->code == DURESS_OK)
            duress_failure_set(why, (enum duress_error)error, DURESS_ORIGIN_CALLER, "%s", duress_strerror(error));
        duress_release(allocator, made);
        return error;
    }
    url_write(made, &place);
    *serving = made;
    return DURESS_OK;
}

const char *duress__serving_url(const struct duress__serving *serving)
{
    return serving->url;
}

void duress__serving_stop(struct duress__serving *serving, uint64_t deadline_ns, duress_drained_fn drained,
                          void *context)
{
    if (serving->http != NULL)
        duress_http_server_stop(serving->http, deadline_ns, drained, context);
    else
        duress_server_stop(serving->framed, deadline_ns, drained, context);
}

void duress__serving_free(struct duress__serving *serving)
{
    if (serving == NULL)
        return;
    duress_http_server_free(serving->http);
    duress_server_free(serving->framed);
    duress_release(serving->allocator, serving);
}

struct duress__serving_counts duress__serving_counts(const struct duress__serving *serving)
{
    if (serving->http != NULL) {
        struct duress_http_server_counts http = duress_http_server_counts(serving->http);
        return (struct duress__serving_counts){http.arrivals, http.replied, http.shed, http.malformed, http.cancelled};
    }
    struct duress_server_counts framed = duress_server_counts(serving->framed);
    return (struct duress__serving_counts){framed.arrivals, framed.replied, framed.shed, framed.malformed,
                                           framed.cancelled};
}
