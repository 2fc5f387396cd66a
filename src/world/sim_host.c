/* SPDX-License-Identifier: Apache-2.0
 *
 * Hosts: which are up, and what is cut off from what. */
#include "sim_private.h"

#define HOST_COUNT_MAX 65535
#define HOST_CAPACITY_FIRST 8

/* --- making --- */

/* Room for one host more, in the table and in the matrix of cut paths. */
static int hosts_reserve(struct duress_sim *sim)
{
    if (sim->host_count < sim->host_capacity)
        return DURESS_OK;
    size_t capacity = sim->host_capacity > 0 ? (size_t)sim->host_capacity * 2 : HOST_CAPACITY_FIRST;
    uint8_t *blocked = duress_allocate_zeroed(sim->allocator, capacity, capacity);
    if (blocked == NULL)
        return DURESS_E_NO_MEMORY;
    struct duress_sim_host **hosts = duress_reallocate(sim->allocator, sim->hosts, capacity * sizeof *hosts);
    if (hosts == NULL) {
        duress_release(sim->allocator, blocked);
        return DURESS_E_NO_MEMORY;
    }
    for (size_t from = 0; from < sim->host_count; from++)
        memcpy(blocked + from * capacity, sim->blocked + from * sim->host_capacity, sim->host_count);
    duress_release(sim->allocator, sim->blocked);
    sim->blocked = blocked;
    sim->hosts = hosts;
    sim->host_capacity = (uint32_t)capacity;
    return DURESS_OK;
}

static void host_init(struct duress_sim_host *host, struct duress_sim *sim, const char *name)
{
    duress_world_base_init(&host->world, &duress__sim_world_ops, sim->allocator);
    host->sim = sim;
    host->number = sim->host_count + 1;
    memcpy(host->name, name, strlen(name) + 1);
    host->is_alive = true;
    host->is_powered = true;
    host->streams_max = UINT32_MAX;
    host->port_next = SIM_EPHEMERAL_PORT_FIRST;
    duress__timer_heap_init(&host->held);
    atomic_init(&host->posts, NULL);
    for (int is_user = 0; is_user < 2; is_user++) {
        host->homes[is_user] = (struct sim_home){host, &sim->heap, is_user != 0};
        host->held_homes[is_user] = (struct sim_home){host, &host->held, is_user != 0};
    }
}

int duress_sim_host_new(struct duress_sim *sim, const char *name, struct duress_sim_host **host)
{
    if (sim == NULL || host == NULL || name == NULL || name[0] == '\0' || strlen(name) >= SIM_HOST_NAME_BYTES_MAX)
        return DURESS_E_INVALID;
    if (sim->host_count >= HOST_COUNT_MAX)
        return DURESS_E_INVALID;
    int error = hosts_reserve(sim);
    if (error != DURESS_OK)
        return error;
    struct duress_sim_host *made = duress_allocate_zeroed(sim->allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    host_init(made, sim, name);
    struct duress_address address = duress_sim_host_address(made, 0);
    error = duress__sim_name_add(sim, name, &address);
    if (error != DURESS_OK) {
        duress_release(sim->allocator, made);
        return error;
    }
    sim->hosts[sim->host_count++] = made;
    *host = made;
    return DURESS_OK;
}

void duress__sim_host_free(struct duress_sim_host *host)
{
    duress__sim_host_forget(host);
    duress__sim_streams_free(host);
    duress__sim_listeners_free(host);
    duress__sim_resolutions_free(host);
    duress_world_base_deinit(&host->world);
    duress_release(host->sim->allocator, host);
}

struct duress_world *duress_sim_host_world(struct duress_sim_host *host)
{
    return host != NULL ? &host->world : NULL;
}

/* --- addresses --- */

struct duress_address duress_sim_host_address(const struct duress_sim_host *host, uint16_t port)
{
    struct duress_address address = {.family = DURESS_FAMILY_NONE};
    if (host == NULL)
        return address;
    address.family = DURESS_FAMILY_IPV4;
    address.port = port;
    address.bytes[0] = 10;
    address.bytes[1] = (uint8_t)(host->number >> 16);
    address.bytes[2] = (uint8_t)(host->number >> 8);
    address.bytes[3] = (uint8_t)host->number;
    return address;
}

static bool bytes_are(const uint8_t *bytes, size_t count, uint8_t last)
{
    for (size_t i = 0; i + 1 < count; i++)
        if (bytes[i] != 0)
            return false;
    return bytes[count - 1] == last;
}

bool duress__sim_address_is_any(const struct duress_address *address)
{
    size_t count = address->family == DURESS_FAMILY_IPV4 ? 4 : 16;
    return bytes_are(address->bytes, count, 0);
}

bool duress__sim_address_is_loopback(const struct duress_address *address)
{
    if (address->family == DURESS_FAMILY_IPV4)
        return address->bytes[0] == 127;
    return bytes_are(address->bytes, 16, 1);
}

struct duress_sim_host *duress__sim_host_at(struct duress_sim_host *from, const struct duress_address *address)
{
    if (address->family == DURESS_FAMILY_UNIX)
        return from;
    if (duress__sim_address_is_any(address) || duress__sim_address_is_loopback(address))
        return from; /* Linux takes the wildcard for the loopback. */
    if (address->family != DURESS_FAMILY_IPV4 || address->bytes[0] != 10)
        return NULL;
    uint32_t number =
        (uint32_t)address->bytes[1] << 16 | (uint32_t)address->bytes[2] << 8 | (uint32_t)address->bytes[3];
    return number >= 1 && number <= from->sim->host_count ? from->sim->hosts[number - 1] : NULL;
}

/* --- processes and power --- */

static void host_end(struct duress_sim_host *host, bool is_silent)
{
    host->is_frozen = false;
    host->is_alive = false;
    host->streams_max = UINT32_MAX;
    duress__sim_host_forget(host); /* Questions to the name server hang on their timers alone. */
    duress__sim_listeners_detach(host, is_silent);
    duress__sim_streams_detach(host, is_silent);
}

void duress_sim_host_kill(struct duress_sim_host *host)
{
    if (host == NULL || !host->is_alive)
        return;
    duress__sim_trace(host->sim, SIM_EVENT_HOST_KILLED, host->number, 0);
    host_end(host, false);
}

void duress_sim_host_crash(struct duress_sim_host *host)
{
    if (host == NULL || !host->is_powered)
        return;
    duress__sim_trace(host->sim, SIM_EVENT_HOST_CRASHED, host->number, 0);
    host_end(host, true);
    host->is_powered = false;
    duress__sim_connections_vanish(host);
}

void duress_sim_host_restart(struct duress_sim_host *host)
{
    if (host == NULL || host->is_alive)
        return;
    duress__sim_trace(host->sim, SIM_EVENT_HOST_RESTARTED, host->number, 0);
    host->is_alive = true;
    host->is_powered = true;
    duress__sim_connections_release(host->sim);
}

bool duress_sim_host_is_up(const struct duress_sim_host *host)
{
    return host != NULL && host->is_alive;
}

void duress_sim_host_freeze(struct duress_sim_host *host, bool frozen)
{
    if (host == NULL || !host->is_alive || host->is_frozen == frozen)
        return;
    duress__sim_trace(host->sim, SIM_EVENT_HOST_FROZEN, host->number, frozen);
    host->is_frozen = frozen;
    if (!frozen)
        duress__sim_host_thaw(host);
}

/* --- descriptors --- */

static uint32_t host_stream_count(const struct duress_sim_host *host)
{
    uint32_t count = 0;
    for (const struct sim_stream *each = host->streams; each != NULL; each = each->next)
        count += !each->is_inert;
    return count;
}

bool duress__sim_host_is_out_of_descriptors(const struct duress_sim_host *host)
{
    return host->streams_max != UINT32_MAX && host_stream_count(host) >= host->streams_max;
}

void duress_sim_host_descriptors(struct duress_sim_host *host, uint32_t more)
{
    if (host == NULL)
        return;
    uint32_t count = host_stream_count(host);
    host->streams_max = more < UINT32_MAX - count ? count + more : UINT32_MAX;
}

uint32_t duress_sim_host_queued(const struct duress_sim_host *host)
{
    uint32_t count = 0;
    if (host == NULL)
        return 0;
    for (const struct sim_listener *each = host->listeners; each != NULL; each = each->next)
        for (const struct sim_connection *queued = each->queue_first; queued != NULL; queued = queued->queue_next)
            count++;
    return count;
}

/* --- paths --- */

static uint8_t *path(const struct duress_sim *sim, const struct duress_sim_host *from, const struct duress_sim_host *to)
{
    return &sim->blocked[(size_t)(from->number - 1) * sim->host_capacity + (to->number - 1)];
}

bool duress__sim_is_blocked(const struct duress_sim *sim, const struct duress_sim_host *from,
                            const struct duress_sim_host *to)
{
    if (!to->is_powered || *path(sim, from, to) != 0)
        return true;
    return to->is_unreachable && from != to;
}

static bool path_set(struct duress_sim *sim, struct duress_sim_host *from, struct duress_sim_host *to, uint8_t cut)
{
    if (sim == NULL || from == NULL || to == NULL)
        return false;
    duress__sim_trace(sim, SIM_EVENT_PATH, from->number, to->number);
    *path(sim, from, to) = cut;
    return true;
}

void duress_sim_partition(struct duress_sim *sim, struct duress_sim_host *from, struct duress_sim_host *to)
{
    (void)path_set(sim, from, to, 1);
}

void duress_sim_heal(struct duress_sim *sim, struct duress_sim_host *from, struct duress_sim_host *to)
{
    if (path_set(sim, from, to, 0))
        duress__sim_connections_release(sim);
}

void duress_sim_host_unreachable(struct duress_sim_host *host, bool unreachable)
{
    if (host == NULL)
        return;
    duress__sim_trace(host->sim, SIM_EVENT_PATH, 0, host->number);
    host->is_unreachable = unreachable;
    duress__sim_connections_release(host->sim);
}

void duress_sim_host_silence(struct duress_sim_host *host, uint16_t port, bool silent)
{
    if (host == NULL)
        return;
    duress__sim_trace(host->sim, SIM_EVENT_PATH, host->number, (uint64_t)port << 32);
    uint8_t bit = (uint8_t)(1U << (port % 8));
    if (silent)
        host->silent_ports[port / 8] |= bit;
    else
        host->silent_ports[port / 8] &= (uint8_t)~bit;
}
