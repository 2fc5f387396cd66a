/* SPDX-License-Identifier: Apache-2.0
 *
 * A simulated proxy: its listener, its toxics, and what its connections have suffered. */
#include "sim_relay.h"

#define TOXIC_CAPACITY_FIRST 4

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
    while (relay->entry_first != NULL) {
        struct relay_entry *entry = relay->entry_first;
        relay->entry_first = entry->next;
        duress_release(sim->allocator, entry);
    }
    if (relay->previous != NULL)
        relay->previous->next = relay->next;
    else
        sim->relays = relay->next;
    if (relay->next != NULL)
        relay->next->previous = relay->previous;
    duress_release(sim->allocator, relay->toxics);
    duress_release(sim->allocator, relay);
}

void duress__sim_relays_free(struct duress_sim *sim)
{
    while (sim->relays != NULL)
        duress_sim_relay_free(sim->relays);
}

struct duress_address duress_sim_relay_address(const struct duress_sim_relay *relay)
{
    return relay->address;
}

/* --- faults --- */

/* One change to one link: as duress_link_toxic_*(). */
typedef int (*link_change_fn)(struct duress_link *link, const void *context, uint64_t now_ns);

/* Changes every open link and does what it then wants. A link that has no memory for the change is cut: it must not go
 * on as if nothing had been asked. */
static void links_change(struct duress_sim_relay *relay, link_change_fn change, const void *context)
{
    struct relay_connection *next;
    if (!relay->host->is_alive)
        return; /* Nobody drives them any more. */
    for (struct relay_connection *each = relay->connections; each != NULL; each = next) {
        next = each->next;
        if (change(each->link, context, relay->host->sim->now_ns) == DURESS_OK)
            duress__sim_relay_pump(each);
        else
            duress__sim_relay_connection_cut(each);
    }
}

static int link_down(struct duress_link *link, const void *context, uint64_t now_ns)
{
    (void)context;
    duress_link_down(link, now_ns);
    return DURESS_OK;
}

void duress_sim_relay_down(struct duress_sim_relay *relay)
{
    change_trace(relay, RELAY_CHANGE_DOWN);
    waiting_accept(relay);
    relay_deafen(relay);
    links_change(relay, link_down, NULL);
}

int duress_sim_relay_up(struct duress_sim_relay *relay)
{
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
    change_trace(relay, silent ? RELAY_CHANGE_SILENT : RELAY_CHANGE_HEARD);
    duress_sim_host_silence(relay->host, relay->address.port, silent);
}

/* --- toxics --- */

/* Where the toxic |id| stands; toxic_count where there is none. */
static size_t toxic_place(const struct duress_sim_relay *relay, uint64_t id)
{
    size_t place = 0;
    while (place < relay->toxic_count && relay->toxics[place].id != id)
        place++;
    return place;
}

static int toxic_refuse(struct duress_failure *why, uint64_t id, const char *reason)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "id: %llu given, %s", (unsigned long long)id,
                           reason);
    return DURESS_E_INVALID;
}

static int toxics_reserve(struct duress_sim_relay *relay)
{
    if (relay->toxic_count < relay->toxic_capacity)
        return DURESS_OK;
    size_t capacity = relay->toxic_capacity > 0 ? relay->toxic_capacity * 2 : TOXIC_CAPACITY_FIRST;
    struct duress_toxic *toxics =
        duress_reallocate(relay->host->sim->allocator, relay->toxics, capacity * sizeof *toxics);
    if (toxics == NULL)
        return DURESS_E_NO_MEMORY;
    relay->toxics = toxics;
    relay->toxic_capacity = capacity;
    return DURESS_OK;
}

static int link_toxic_add(struct duress_link *link, const void *toxic, uint64_t now_ns)
{
    return duress_link_toxic_add(link, toxic, now_ns, NULL);
}

static int link_toxic_update(struct duress_link *link, const void *toxic, uint64_t now_ns)
{
    return duress_link_toxic_update(link, toxic, now_ns, NULL);
}

static int link_toxic_remove(struct duress_link *link, const void *id, uint64_t now_ns)
{
    return duress_link_toxic_remove(link, *(const uint64_t *)id, now_ns);
}

int duress_sim_relay_toxic_add(struct duress_sim_relay *relay, const struct duress_toxic *toxic,
                               struct duress_failure *why)
{
    int error = duress_toxic_check(toxic, why);
    if (error != DURESS_OK)
        return error;
    if (toxic_place(relay, toxic->id) < relay->toxic_count)
        return toxic_refuse(why, toxic->id, "an id that no other toxic has is allowed");
    error = toxics_reserve(relay);
    if (error != DURESS_OK) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return error;
    }
    change_trace(relay, RELAY_CHANGE_TOXIC);
    relay->toxics[relay->toxic_count++] = *toxic;
    links_change(relay, link_toxic_add, toxic);
    return DURESS_OK;
}

int duress_sim_relay_toxic_update(struct duress_sim_relay *relay, const struct duress_toxic *toxic,
                                  struct duress_failure *why)
{
    int error = duress_toxic_check(toxic, why);
    if (error != DURESS_OK)
        return error;
    size_t place = toxic_place(relay, toxic->id);
    if (place == relay->toxic_count)
        return toxic_refuse(why, toxic->id, "the id of a toxic that was added is allowed");
    struct duress_toxic updated = *toxic;
    updated.direction = relay->toxics[place].direction;
    if (updated.type != relay->toxics[place].type)
        return toxic_refuse(why, toxic->id, "and its type cannot change");
    change_trace(relay, RELAY_CHANGE_TOXIC);
    relay->toxics[place] = updated;
    links_change(relay, link_toxic_update, &updated);
    return DURESS_OK;
}

int duress_sim_relay_toxic_remove(struct duress_sim_relay *relay, uint64_t id)
{
    size_t place = toxic_place(relay, id);
    if (place == relay->toxic_count)
        return DURESS_E_INVALID;
    change_trace(relay, RELAY_CHANGE_TOXIC);
    relay->toxic_count--;
    for (size_t i = place; i < relay->toxic_count; i++)
        relay->toxics[i] = relay->toxics[i + 1];
    links_change(relay, link_toxic_remove, &id);
    return DURESS_OK;
}

/* --- what happened --- */

struct relay_entry *duress__sim_relay_entry_add(struct duress_sim_relay *relay, uint64_t number,
                                                const struct duress_link *link)
{
    struct relay_entry *entry = duress_allocate_zeroed(relay->host->sim->allocator, 1, sizeof *entry);
    if (entry == NULL)
        return NULL;
    entry->number = number;
    entry->link = link;
    if (relay->entry_last != NULL)
        relay->entry_last->next = entry;
    else
        relay->entry_first = entry;
    relay->entry_last = entry;
    return entry;
}

/* Forgets the oldest connection that has ended. */
static void entry_forget(struct duress_sim_relay *relay)
{
    struct relay_entry *previous = NULL;
    struct relay_entry *entry = relay->entry_first;
    while (entry->link != NULL) {
        previous = entry;
        entry = entry->next;
    }
    if (previous != NULL)
        previous->next = entry->next;
    else
        relay->entry_first = entry->next;
    if (relay->entry_last == entry)
        relay->entry_last = previous;
    relay->ended_count--;
    duress_release(relay->host->sim->allocator, entry);
}

void duress__sim_relay_entry_end(struct duress_sim_relay *relay, struct relay_entry *entry)
{
    entry->stats = *duress_link_stats(entry->link);
    entry->link = NULL;
    if (++relay->ended_count > RELAY_ENDED_COUNT_MAX)
        entry_forget(relay);
}

void duress_sim_relay_visit(const struct duress_sim_relay *relay, duress_link_visit_fn fn, void *context)
{
    for (const struct relay_entry *entry = relay->entry_first; entry != NULL; entry = entry->next) {
        bool has_ended = entry->link == NULL;
        fn(context, entry->number, has_ended ? &entry->stats : duress_link_stats(entry->link), has_ended);
    }
}

struct duress_relay_counts duress_sim_relay_counts(const struct duress_sim_relay *relay)
{
    return relay->counts;
}
