/* SPDX-License-Identifier: Apache-2.0
 *
 * Names: looked up by the world, one question for all calls that wait. libcurl is told one address at a time, so that
 * it asks nobody by itself, and which address is tried when is the same as on every transport. A call that will find a
 * kept connection needs no answer. */
#include "client_private.h"

#include <string.h>

#include <duress/world/address.h>

/* The answer came too late, or was an error: those whose turn it was fail with it. */
static void names_fail(struct http_client *client, int error)
{
    uint32_t count = client->in_flight_max - client->running_count;
    struct list_link failing; /* a call may be cancelled by the end of another one: it then leaves this list */
    list_init(&failing);
    for (; count > 0 && !wait_queue_is_empty(&client->waiting); count--)
        list_append(&failing, &wait_queue_take(&client->waiting)->link);
    duress_agent_ref(&client->base);
    while (!list_is_empty(&failing)) {
        struct http_call *call = LIST_OWNER(failing.next, struct http_call, place.link);
        struct duress_failure failure;
        list_remove(&call->place.link);
        duress_failure_set(&failure, (enum duress_error)error, DURESS_ORIGIN_NAME, "%.100s: %s", client->target.host,
                           duress_strerror(error));
        failure.ambiguous = false;
        duress_call_fail(call->call, &failure);
    }
    if (!wait_queue_is_empty(&client->waiting))
        duress__http_want_pump(client);
    duress_agent_unref(&client->base);
}

static void names_resolved(void *context, int error, const struct duress_address *addresses, size_t count)
{
    struct http_client *client = context;
    client->lookup = NULL;
    duress_world_disarm(client->base.world, &client->lookup_timer);
    if (error != DURESS_OK) {
        names_fail(client, error);
        return;
    }
    client->address_count = count < HTTP_ADDRESSES_MAX ? count : HTTP_ADDRESSES_MAX;
    memcpy(client->addresses, addresses, client->address_count * sizeof *addresses);
    client->address_first = 0;
    client->names_generation++;
    client->names_spoiled = false;
    client->names_at_ns = duress_world_now_ns(client->base.world);
    duress__http_want_pump(client);
}

static void names_silent(void *context)
{
    struct http_client *client = context;
    duress_resolution_cancel(client->lookup);
    client->lookup = NULL;
    names_fail(client, DURESS_E_NAME_SILENT);
}

static void names_ask(struct http_client *client)
{
    struct duress_world *world = client->base.world;
    uint64_t now_ns = duress_world_now_ns(world);
    client->counts.lookups_begun++;
    const struct list_link *calls = &client->waiting.calls;
    for (struct list_link *link = calls->next; link != calls; link = link->next) {
        struct http_call *call = LIST_OWNER(link, struct http_call, place.link);
        call->turn_ns = now_ns;
        duress_call_mark_stage(call->call, DURESS_ORIGIN_NAME);
    }
    int error =
        duress_world_resolve(world, client->target.host, client->target.port, names_resolved, client, &client->lookup);
    if (error != DURESS_OK) {
        client->lookup = NULL;
        names_fail(client, error);
        return;
    }
    duress_world_arm(world, &client->lookup_timer, duress_time_add(now_ns, client->connect_timeout_ns));
}

/* Whether libcurl most likely has a connection that is free. Where it has none after all, it opens one to where the
 * last lookup said. */
static bool names_are_not_needed(const struct http_client *client)
{
    if (client->names_generation == 0)
        return false;
    uint64_t busy = client->speaks_http_2 ? 0 : client->running_count;
    return client->counts.connections_open > busy;
}

bool duress__http_names_ready(struct http_client *client)
{
    if (!client->target.named || names_are_not_needed(client))
        return true;
    if (client->lookup != NULL)
        return false;
    uint64_t stale_ns = duress_time_add(client->names_at_ns, client->name_max_age_ns);
    if (client->names_generation > 0 && !client->names_spoiled && duress_world_now_ns(client->base.world) < stale_ns)
        return true;
    names_ask(client);
    return false;
}

void duress__http_names_init(struct http_client *client)
{
    duress_timer_init(&client->lookup_timer, names_silent, client);
}

void duress__http_names_stop(struct http_client *client)
{
    duress_world_disarm(client->base.world, &client->lookup_timer);
    if (client->lookup != NULL)
        duress_resolution_cancel(client->lookup);
    client->lookup = NULL;
}
