/* SPDX-License-Identifier: Apache-2.0
 *
 * Over duress/proxy/proxy.h, on the daemon's own loop: each change is made before the function returns. */
#include "relay.h"

#include <string.h>

#include <duress/proxy/proxy.h>

/* Nobody listens there, and a dial fails at once. */
#define NOWHERE "127.0.0.1:1"

struct relay {
    const struct duress_allocator *allocator;
    struct duress_proxy *proxy;
    struct address address;
};

/* The upstream as an address. */
static const char *upstream_text(const char *upstream, char text[ADDRESS_TEXT_BYTES_MAX])
{
    char reason[ADDRESS_REASON_BYTES_MAX];
    struct address_parts parts;
    struct address address;
    if (strncmp(upstream, "unix://", 7) == 0)
        return upstream;
    if (!duress__address_split(upstream, &parts, reason) || parts.port == 0)
        return NOWHERE;
    if (strcmp(parts.host, "localhost") == 0)
        memcpy(parts.host, "127.0.0.1", sizeof "127.0.0.1");
    if (!duress__address_numeric(&parts, &address))
        return NOWHERE;
    if (duress__address_to_ipv4(&address))
        (void)duress__address_split("127.0.0.1:0", &parts, reason);
    return duress__address_format(&address, text);
}

static int relay_listen(struct relay *relay, const struct relay_options *options)
{
    char listen_text[ADDRESS_TEXT_BYTES_MAX];
    char upstream[ADDRESS_TEXT_BYTES_MAX];
    struct duress_proxy_options proxy_options = {
        .allocator = options->allocator,
        .listen = duress__address_format(&relay->address, listen_text),
        .upstream = upstream_text(options->upstream, upstream),
        .seed = options->seed,
    };
    int error = duress_proxy_new(options->loop, &proxy_options, &relay->proxy, NULL);
    if (error == DURESS_OK)
        duress__address_port_set(&relay->address, duress_proxy_port(relay->proxy));
    return error;
}

static int relay_open(struct relay *relay, const struct relay_options *options)
{
    int error = relay_listen(relay, options);
    bool no_family = error == DURESS_E_ADDRESS_UNAVAILABLE || error == DURESS_E_UNSUPPORTED;
    if (no_family && duress__address_to_ipv4(&relay->address))
        error = relay_listen(relay, options);
    for (size_t i = 0; i < options->toxic_count && error == DURESS_OK; i++)
        error = duress_proxy_toxic_add(relay->proxy, &options->toxics[i]->toxic, NULL);
    return error;
}

static void relay_free(struct relay *relay)
{
    duress_proxy_free(relay->proxy);
    duress_release(relay->allocator, relay);
}

void duress__relay_start(const struct relay_options *options, struct relay **relay, relay_done_fn done, void *context)
{
    struct relay *made = duress_allocate_zeroed(options->allocator, 1, sizeof *made);
    if (made == NULL) {
        done(context, DURESS_E_NO_MEMORY);
        return;
    }
    made->allocator = options->allocator;
    made->address = *options->listen;
    int error = relay_open(made, options);
    if (error == DURESS_OK)
        *relay = made;
    else
        relay_free(made);
    done(context, error);
}

void duress__relay_address(const struct relay *relay, struct address *address)
{
    *address = relay->address;
}

void duress__relay_stop(struct relay *relay, relay_done_fn done, void *context)
{
    relay_free(relay);
    done(context, DURESS_OK);
}

void duress__relay_down(struct relay *relay, relay_done_fn done, void *context)
{
    duress_proxy_down(relay->proxy);
    done(context, DURESS_OK);
}

void duress__relay_up(struct relay *relay, relay_done_fn done, void *context)
{
    done(context, duress_proxy_up(relay->proxy));
}

void duress__relay_toxic_add(struct relay *relay, const struct duress_toxic *toxic, relay_done_fn done, void *context)
{
    done(context, duress_proxy_toxic_add(relay->proxy, toxic, NULL));
}

void duress__relay_toxic_update(struct relay *relay, const struct duress_toxic *toxic, relay_done_fn done,
                                void *context)
{
    done(context, duress_proxy_toxic_update(relay->proxy, toxic, NULL));
}

void duress__relay_toxic_remove(struct relay *relay, uint64_t id, relay_done_fn done, void *context)
{
    done(context, duress_proxy_toxic_remove(relay->proxy, id));
}

static void traffic_visit(void *context, uint64_t number, const struct duress_link_stats *stats, bool ended)
{
    struct traffic *traffic = context;
    (void)number;
    (void)ended;
    for (size_t i = 0; i < DURESS_DIRECTION_COUNT; i++) {
        traffic[i].received_bytes += stats->direction[i].bytes_in;
        traffic[i].sent_bytes += stats->direction[i].bytes_out;
    }
}

void duress__relay_traffic(const struct relay *relay, struct traffic traffic[DURESS_DIRECTION_COUNT])
{
    duress_proxy_visit(relay->proxy, traffic_visit, traffic);
}
