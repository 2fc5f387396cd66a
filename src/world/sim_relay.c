/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated proxy: its listener, its toxics, and what its connections have suffered. */
#include "sim_relay.h"

/* For the trace: what was done to a relay. */
enum relay_change {
    RELAY_CHANGE_UP = 1,
    RELAY_CHANGE_DOWN,
    RELAY_CHANGE_CUT,
    RELAY_CHANGE_SILENT,
    RELAY_CHANGE_HEARD,
    RELAY_CHANGE_TOXIC,
};

static void change_trace(const struct duress_sim_relay *relay, enum relay_change change)
{
    uint64_t id = (uint64_t)relay->host->number << 16 | relay->address.port;
    duress__sim_trace(relay->host->sim, SIM_EVENT_RELAY, id, change);
}

/* --- listening --- */

static void relay_accepted(void *context, struct duress_stream *stream)
{
    struct duress_sim_relay *relay = context;
    relay->counts.accepted++;
    duress__sim_relay_connect(relay, stream);
}

/* A client that has seen its connect succeed takes part in what happens to the relay now. */
static void waiting_accept(struct duress_sim_relay *relay)
{
    if (relay->listener != NULL && relay->host->is_alive && !relay->host->is_frozen)
        duress__sim_listener_accept_waiting(relay->listener);
}

static int relay_listen(struct duress_sim_relay *relay)
{
    struct duress_listen_options options = {.address = relay->address};
    int error = duress_world_listen(&relay->host->world, &options, relay_accepted, relay, &relay->listener);
    if (error == DURESS_OK)
        relay->address = duress_listener_address(relay->listener);
    return error;
}

static void relay_deafen(struct duress_sim_relay *relay)
{
    if (relay->listener != NULL)
        duress_listener_close(relay->listener);
    relay->listener = NULL;
}

void duress__sim_relay_count(struct duress_sim_host *host, uint16_t port, bool is_silenced)
{
    for (struct duress_sim_relay *each = host->sim->relays; each != NULL; each = each->next) {
        if (each->host != host || each->address.port != port)
            continue;
        if (is_silenced)
            each->counts.silenced++;
        else
            each->counts.refused++;
    }
}

bool duress__sim_relay_keeps_port(const struct duress_sim_host *host, uint16_t port)
{
    for (const struct duress_sim_relay *each = host->sim->relays; each != NULL; each = each->next)
        if (each->host == host && each->address.port == port && each->listener == NULL && !each->is_opening)
            return true;
    return false;
}

/* --- life --- */

int duress_sim_relay_new(struct duress_sim_host *host, uint16_t port, const struct duress_address *upstream,
                         struct duress_sim_relay **relay)
{
    if (host == NULL || upstream == NULL || relay == NULL || upstream->family == DURESS_FAMILY_NONE)
        return DURESS_E_INVALID;
    struct duress_sim *sim = host->sim;
    struct duress_sim_relay *made = duress_allocate_zeroed(sim->allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->host = host;
    made->upstream = *upstream;
    made->address = duress_sim_host_address(host, port);
    duress__toxic_list_init(&made->toxics, sim->allocator);
    duress__link_history_init(&made->history, sim->allocator);
    int error = relay_listen(made);
    if (error != DURESS_OK) {
        duress_release(sim->allocator, made);
        return error;
    }
    uint64_t seed = duress_prng_mix(sim->seed, SIM_PURPOSE_RELAY);
    made->seed = duress_prng_mix(seed, (uint64_t)host->number << 16 | made->address.port);
    made->next = sim->relays;
    if (made->next != NULL)
        made->next->previous = made;
    sim->relays = made;
    *relay = made;
    return DURESS_OK;
}

void duress_sim_relay_free(struct duress_sim_relay *relay)
{
    if (relay == NULL)
        return;
    struct duress_sim *sim = relay->host->sim;
    relay_deafen(relay);
    while (relay->connections != NULL)
        duress__sim_relay_connection_free(relay->connections);
    duress__link_history_deinit(&relay->history);
    if (relay->previous != NULL)
        relay->previous->next = relay->next;
    else
        sim->relays = relay->next;
    if (relay->next != NULL)
        relay->next->previous = relay->previous;
    duress__toxic_list_deinit(&relay->toxics);
    duress_release(sim->allocator, relay);
}

void duress__sim_relays_free(struct duress_sim *sim)
{
    while (sim->relays != NULL)
        duress_sim_relay_free(sim->relays);
}

struct duress_address duress_sim_relay_address(const struct duress_sim_relay *relay)
{
    return relay != NULL ? relay->address : duress_listener_address(NULL);
}

/* --- faults --- */

/* Changes every open link and does what it then wants. A link that has no memory for the change is cut: it must not go
 * on as if nothing had been asked. */
static void links_change(struct duress_sim_relay *relay, duress_link_change_fn change_link,
                         const struct duress_link_change *change)
{
    struct relay_connection *next;
    if (!relay->host->is_alive)
        return; /* Nobody drives them any more. */
    for (struct relay_connection *each = relay->connections; each != NULL; each = next) {
        next = each->next;
        if (change_link(each->link, change, relay->host->sim->now_ns) == DURESS_OK)
            duress__sim_relay_pump(each);
        else
            duress__sim_relay_connection_cut(each);
    }
}

static int link_down(struct duress_link *link, const struct duress_link_change *change, uint64_t now_ns)
{
    (void)change;
    duress_link_down(link, now_ns);
    return DURESS_OK;
}

void duress_sim_relay_down(struct duress_sim_relay *relay)
{
    if (relay == NULL)
        return;
    change_trace(relay, RELAY_CHANGE_DOWN);
    waiting_accept(relay);
    relay_deafen(relay);
    links_change(relay, link_down, NULL);
}

int duress_sim_relay_up(struct duress_sim_relay *relay)
{
    if (relay == NULL)
        return DURESS_E_INVALID;
    change_trace(relay, RELAY_CHANGE_UP);
    if (relay->listener != NULL && !duress__sim_listener_is_inert(relay->listener))
        return DURESS_OK;
    relay_deafen(relay); /* one that its host's death left behind */
    relay->is_opening = true;
    int error = relay_listen(relay);
    relay->is_opening = false;
    return error;
}

void duress_sim_relay_cut(struct duress_sim_relay *relay)
{
    if (relay == NULL)
        return;
    change_trace(relay, RELAY_CHANGE_CUT);
    waiting_accept(relay);
    struct relay_connection *next;
    for (struct relay_connection *each = relay->connections; each != NULL; each = next) {
        next = each->next;
        duress__sim_relay_connection_cut(each);
    }
}

void duress_sim_relay_silence(struct duress_sim_relay *relay, bool silent)
{
    if (relay == NULL)
        return;
    change_trace(relay, silent ? RELAY_CHANGE_SILENT : RELAY_CHANGE_HEARD);
    duress_sim_host_silence(relay->host, relay->address.port, silent);
}

/* --- toxics --- */

static struct duress_toxic_moment relay_moment(const struct duress_sim_relay *relay)
{
    return (struct duress_toxic_moment){
        .now_ns = relay->host->sim->now_ns,
        .connections = relay->counts.accepted,
    };
}

/* Notes that the list changed, and makes the change to the open links. */
static void toxics_changed(struct duress_sim_relay *relay, const struct duress_link_change *change)
{
    change_trace(relay, RELAY_CHANGE_TOXIC);
    links_change(relay, duress__link_change, change);
}

int duress_sim_relay_toxic_add(struct duress_sim_relay *relay, const struct duress_toxic *toxic,
                               struct duress_failure *why)
{
    struct duress_link_change change;
    if (relay == NULL)
        return DURESS_E_INVALID;
    int error = duress__toxic_list_add(&relay->toxics, toxic, relay_moment(relay), &change, why);
    if (error == DURESS_OK)
        toxics_changed(relay, &change);
    return error;
}

int duress_sim_relay_toxic_update(struct duress_sim_relay *relay, const struct duress_toxic *toxic,
                                  struct duress_failure *why)
{
    struct duress_link_change change;
    if (relay == NULL)
        return DURESS_E_INVALID;
    int error = duress__toxic_list_update(&relay->toxics, toxic, relay_moment(relay), &change, why);
    if (error == DURESS_OK)
        toxics_changed(relay, &change);
    return error;
}

int duress_sim_relay_toxic_remove(struct duress_sim_relay *relay, uint64_t id)
{
    struct duress_link_change change;
    if (relay == NULL)
        return DURESS_E_INVALID;
    int error = duress__toxic_list_remove(&relay->toxics, id, relay->host->sim->now_ns, &change);
    if (error == DURESS_OK)
        toxics_changed(relay, &change);
    return error;
}

/* --- what happened --- */

void duress_sim_relay_visit(const struct duress_sim_relay *relay, duress_link_visit_fn fn, void *context)
{
    if (relay != NULL && fn != NULL)
        duress__link_history_visit(&relay->history, fn, context);
}

struct duress_relay_counts duress_sim_relay_counts(const struct duress_sim_relay *relay)
{
    return relay != NULL ? relay->counts : (struct duress_relay_counts){0};
}
