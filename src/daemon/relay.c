/* SPDX-License-Identifier: Apache-2.0 */
#include "relay.h"

#include <string.h>

struct relay {
    const struct duress_allocator *allocator;
    struct duress_workers_proxy *proxy;
    struct address address;
    relay_done_fn done; /* of a stop */
    void *context;
};

/* --- addresses --- */

static void listen_address_make(const struct address *address, struct duress_listen_address *made)
{
    _Static_assert(ADDRESS_TEXT_BYTES_MAX <= DURESS_LISTEN_TEXT_BYTES, "every address has room as text");
    *made = (struct duress_listen_address){.address = address->storage, .address_bytes = address->length};
    made->is_wildcard = duress__address_is_wildcard(address);
    (void)duress__address_format(address, made->text);
}

/* A machine without IPv6 listens at 0.0.0.0 where [::] is meant. */
static bool has_no_family(int error)
{
    return error == DURESS_E_ADDRESS_UNAVAILABLE || error == DURESS_E_UNSUPPORTED;
}

static void relay_bound(struct relay *relay)
{
    const struct duress_listen_address *bound = duress_workers_proxy_address(relay->proxy);
    if (bound == NULL)
        return;
    relay->address.storage = bound->address;
    relay->address.length = bound->address_bytes;
}

/* --- life --- */

static int relay_listen(struct relay *relay, const struct relay_options *options, const struct duress_toxic *toxics)
{
    struct duress_listen_address listen;
    struct duress_workers_proxy_options proxy_options = {
        .listen = &listen,
        .upstream = options->upstream,
        .seed = options->seed,
        .buffer_bytes_max = options->buffer_bytes_max,
        .toxics = toxics,
        .toxic_count = options->toxic_count,
    };
    listen_address_make(&relay->address, &listen);
    int error = duress_workers_proxy_new(options->workers, &proxy_options, &relay->proxy, NULL);
    if (has_no_family(error) && duress__address_to_ipv4(&relay->address)) {
        listen_address_make(&relay->address, &listen);
        error = duress_workers_proxy_new(options->workers, &proxy_options, &relay->proxy, NULL);
    }
    if (error == DURESS_OK)
        relay_bound(relay);
    return error;
}

static int relay_open(struct relay *relay, const struct relay_options *options)
{
    struct duress_toxic *toxics = NULL;
    if (options->toxic_count > 0) {
        toxics = duress_allocate_zeroed(options->allocator, options->toxic_count, sizeof *toxics);
        if (toxics == NULL)
            return DURESS_E_NO_MEMORY;
    }
    for (size_t i = 0; i < options->toxic_count; i++)
        toxics[i] = options->toxics[i]->toxic;
    int error = relay_listen(relay, options, toxics);
    duress_release(options->allocator, toxics);
    return error;
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
        duress__relay_forget(made);
    done(context, error);
}

void duress__relay_address(const struct relay *relay, struct address *address)
{
    *address = relay->address;
}

void duress__relay_forget(struct relay *relay)
{
    if (relay != NULL)
        duress_release(relay->allocator, relay);
}

static void relay_stopped(void *context, int error)
{
    struct relay *relay = context;
    relay_done_fn done = relay->done;
    void *done_context = relay->context;
    duress__relay_forget(relay);
    done(done_context, error);
}

void duress__relay_stop(struct relay *relay, relay_done_fn done, void *context)
{
    relay->done = done;
    relay->context = context;
    duress_workers_proxy_free(relay->proxy, relay_stopped, relay);
}

/* --- changes --- */

void duress__relay_down(struct relay *relay, relay_done_fn done, void *context)
{
    int error = duress_workers_proxy_disable(relay->proxy, done, context);
    if (error != DURESS_OK)
        done(context, error);
}

void duress__relay_up(struct relay *relay, relay_done_fn done, void *context)
{
    int error = duress_workers_proxy_enable(relay->proxy, done, context);
    if (error != DURESS_OK)
        done(context, error);
}

static void relay_changed(void *context, int error)
{
    struct relay *relay = context;
    if (error == DURESS_OK)
        relay_bound(relay);
    relay->done(relay->context, error);
}

void duress__relay_change(struct relay *relay, const struct address *listen, const char *upstream, relay_done_fn done,
                          void *context)
{
    struct duress_listen_address address;
    relay->done = done;
    relay->context = context;
    if (listen != NULL)
        listen_address_make(listen, &address);
    int error =
        duress_workers_proxy_change(relay->proxy, listen != NULL ? &address : NULL, upstream, relay_changed, relay);
    if (error != DURESS_OK)
        done(context, error);
}

void duress__relay_toxic_add(struct relay *relay, const struct duress_toxic *toxic, relay_done_fn done, void *context)
{
    int error = duress_workers_proxy_toxic_add(relay->proxy, toxic, done, context, NULL);
    if (error != DURESS_OK)
        done(context, error);
}

void duress__relay_toxic_update(struct relay *relay, const struct duress_toxic *toxic, relay_done_fn done,
                                void *context)
{
    int error = duress_workers_proxy_toxic_update(relay->proxy, toxic, done, context, NULL);
    if (error != DURESS_OK)
        done(context, error);
}

void duress__relay_toxic_remove(struct relay *relay, uint64_t id, relay_done_fn done, void *context)
{
    int error = duress_workers_proxy_toxic_remove(relay->proxy, id, done, context);
    if (error != DURESS_OK)
        done(context, error);
}

/* --- figures --- */

struct duress_workers_counts duress__relay_counts(const struct relay *relay)
{
    return duress_workers_proxy_counts(relay->proxy);
}

int duress__relay_connections(struct relay *relay, size_t count_max, duress_workers_connections_fn fn, void *context)
{
    return duress_workers_proxy_connections(relay->proxy, count_max, fn, context);
}
