/* SPDX-License-Identifier: Apache-2.0
 *
 * Links: the paths of a test that can be hurt. Each order leaves the evidence that it owes. */
#include "internal.h"

#include <stdio.h>

static void link_check(struct chaos_link *link, int error, const char *what)
{
    if (error == DURESS_OK)
        return;
    struct duress_failure why;
    duress_failure_set(&why, (enum duress_error)error, DURESS_ORIGIN_NONE, NULL);
    chaos__broken(link->chaos, what, &why);
}

static void link_ordered(struct chaos_link *link)
{
    link->ordered_ns = chaos_now_ns(link->chaos);
}

struct chaos_link *chaos_link_open(struct chaos *chaos, struct chaos_service *service)
{
    struct chaos_link *link = chaos__allocate(chaos, sizeof *link);
    link->chaos = chaos;
    link->service = service;
    link->number = ++chaos->link_count;
    struct duress_failure why = {0};
    if (chaos->driver->relay_open(link, &why) != DURESS_OK) {
        duress_release(&chaos->heap.allocator, link);
        chaos__broken(chaos, "open a link", &why);
    }
    link->next = chaos->links;
    chaos->links = link;
    return link;
}

struct duress_agent *chaos_link_agent_of(struct chaos_link *link, const struct chaos_agent_options *options)
{
    struct chaos *chaos = link->chaos;
    struct duress_address address = chaos->driver->relay_address(link->relay);
    char place[DURESS_ADDRESS_TEXT_BYTES_MAX];
    char endpoint[DURESS_ADDRESS_TEXT_BYTES_MAX + 80];
    if (options->host != NULL)
        (void)snprintf(endpoint, sizeof endpoint, "tcp://%s:%u", options->host, (unsigned)address.port);
    else
        (void)snprintf(endpoint, sizeof endpoint, "tcp://%s", duress_address_format(&address, place, sizeof place));
    struct duress_remote_options remote_options = {
        .world = chaos->world,
        .endpoint = endpoint,
        .connect_timeout_ns = options->connect_timeout_ns,
        .connections_max = options->connections_max,
        .in_flight_max = options->in_flight_max,
        .idle_timeout_ns = options->idle_timeout_ns,
        .allocator = &chaos->heap.allocator,
    };
    struct duress_agent *remote = NULL;
    struct duress_failure why = {0};
    if (duress_remote_new(&remote_options, &remote, &why) != DURESS_OK)
        chaos__broken(chaos, "make a remote agent", &why);
    chaos_keep(chaos, remote);
    chaos->agents->remote_of = link;
    struct duress_agent *tap = NULL;
    link_check(link, chaos__tap_new(link, remote, &tap), "tap an agent");
    chaos_keep(chaos, tap);
    return tap;
}

struct duress_agent *chaos_link_agent(struct chaos_link *link)
{
    if (link->agent == NULL)
        link->agent = chaos_link_agent_of(link, &(struct chaos_agent_options){0});
    return link->agent;
}

uint64_t chaos_link_toxic(struct chaos_link *link, const struct duress_toxic *toxic)
{
    struct chaos *chaos = link->chaos;
    struct duress_toxic added = *toxic;
    added.id = added.id != 0 ? added.id : chaos->toxic_id_next++;
    added.toxicity_ppm = added.toxicity_ppm != 0 ? added.toxicity_ppm : DURESS_PPM;
    struct duress_failure why = {0};
    chaos__evidence_of_toxic(link, &added);
    link->has_had_toxic = true;
    if (chaos->driver->relay_toxic_add(link->relay, &added, &why) != DURESS_OK)
        chaos__broken(chaos, "add a toxic", &why);
    link_ordered(link);
    chaos_note(chaos, "toxic %s %s on link %u", duress_toxic_type_name(added.type),
               added.direction == DURESS_UPSTREAM ? "upstream" : "downstream", link->number);
    return added.id;
}

static void toxic_remove(struct chaos_evidence *evidence)
{
    struct chaos_link *link = evidence->link;
    chaos__evidence_toxic_removed(evidence);
    link_check(link, link->chaos->driver->relay_toxic_remove(link->relay, evidence->toxic.id), "remove a toxic");
    chaos_note(link->chaos, "toxic %s removed from link %u", duress_toxic_type_name(evidence->toxic.type),
               link->number);
}

static bool is_toxic_of(const struct chaos_evidence *evidence, const struct chaos_link *link)
{
    return evidence->kind == CHAOS_EVIDENCE_TOXIC && evidence->link == link && !evidence->removed;
}

void chaos_link_toxic_remove(struct chaos_link *link, uint64_t id)
{
    for (struct chaos_evidence *evidence = link->chaos->evidence; evidence != NULL; evidence = evidence->next)
        if (is_toxic_of(evidence, link) && evidence->toxic.id == id)
            toxic_remove(evidence);
}

void chaos_link_clear(struct chaos_link *link)
{
    for (struct chaos_evidence *evidence = link->chaos->evidence; evidence != NULL; evidence = evidence->next)
        if (is_toxic_of(evidence, link))
            toxic_remove(evidence);
}

void chaos_link_latency(struct chaos_link *link, uint64_t latency_ns)
{
    struct duress_toxic toxic = {.type = DURESS_TOXIC_LATENCY, .direction = DURESS_UPSTREAM};
    toxic.as.latency.latency_ns = latency_ns / 2;
    (void)chaos_link_toxic(link, &toxic);
    toxic.direction = DURESS_DOWNSTREAM;
    toxic.as.latency.latency_ns = latency_ns - latency_ns / 2;
    (void)chaos_link_toxic(link, &toxic);
}

uint64_t chaos_link_cut_after(struct chaos_link *link, enum duress_direction direction, uint64_t after_bytes,
                              enum duress_cut_how how)
{
    struct duress_toxic toxic = {.type = DURESS_TOXIC_CUT, .direction = direction};
    toxic.as.cut.after_bytes = after_bytes;
    toxic.as.cut.how = how;
    return chaos_link_toxic(link, &toxic);
}

void chaos_link_cut(struct chaos_link *link)
{
    (void)chaos__evidence_add(link->chaos, CHAOS_EVIDENCE_CUT, link, NULL);
    link->chaos->driver->relay_cut(link->relay);
    link_ordered(link);
    chaos_note(link->chaos, "link %u is cut", link->number);
}

void chaos_link_down(struct chaos_link *link)
{
    (void)chaos__evidence_add(link->chaos, CHAOS_EVIDENCE_DOWN, link, NULL);
    link->chaos->driver->relay_down(link->relay);
    link_ordered(link);
    chaos_note(link->chaos, "link %u is down", link->number);
}

void chaos_link_up(struct chaos_link *link)
{
    link_check(link, link->chaos->driver->relay_up(link->relay), "bring a link up");
    chaos_note(link->chaos, "link %u is up", link->number);
}

void chaos_link_silence(struct chaos_link *link, bool silent)
{
    if (silent) {
        (void)chaos__evidence_add(link->chaos, CHAOS_EVIDENCE_SILENCE, link, NULL);
        link_ordered(link);
    }
    link_check(link, link->chaos->driver->relay_silence(link->relay, silent), "silence a link");
    chaos_note(link->chaos, "link %u %s", link->number, silent ? "answers no SYN" : "answers SYNs again");
}

static void partition_hold(struct chaos_link *link, enum duress_direction direction)
{
    struct duress_toxic hold = {
        .id = link->chaos->toxic_id_next++,
        .type = DURESS_TOXIC_BANDWIDTH,
        .direction = direction,
        .toxicity_ppm = DURESS_PPM,
    };
    struct duress_failure why = {0};
    if (link->chaos->driver->relay_toxic_add(link->relay, &hold, &why) != DURESS_OK)
        chaos__broken(link->chaos, "partition a link", &why);
    link->hold_ids[direction] = hold.id;
}

void chaos_link_partition(struct chaos_link *link, enum chaos_partition partition)
{
    static const char *const names[] = {"not", "upstream", "downstream", "both ways"};
    if (link->partition != 0)
        chaos_link_heal(link);
    link->partition = partition;
    link->partition_evidence = chaos__evidence_add(link->chaos, CHAOS_EVIDENCE_PARTITION, link, NULL);
    if (partition & CHAOS_PARTITION_UPSTREAM)
        partition_hold(link, DURESS_UPSTREAM);
    if (partition & CHAOS_PARTITION_DOWNSTREAM)
        partition_hold(link, DURESS_DOWNSTREAM);
    /* A handshake needs both ways, so that half a partition stops every new connection. */
    link_check(link, link->chaos->driver->relay_silence(link->relay, true), "partition a link");
    link_ordered(link);
    chaos_note(link->chaos, "link %u is partitioned %s", link->number, names[partition]);
}

void chaos_link_heal(struct chaos_link *link)
{
    if (link->partition == 0)
        return;
    link->partition_evidence->shown = link->partition_evidence->shown || chaos__link_holds_bytes(link);
    for (unsigned i = 0; i < DURESS_DIRECTION_COUNT; i++)
        if (link->hold_ids[i] != 0) {
            link_check(link, link->chaos->driver->relay_toxic_remove(link->relay, link->hold_ids[i]), "heal a link");
            link->hold_ids[i] = 0;
        }
    link_check(link, link->chaos->driver->relay_silence(link->relay, false), "heal a link");
    link->partition = 0;
    chaos_note(link->chaos, "link %u is healed", link->number);
}

static void fired_visit(void *context, uint64_t number, const struct duress_link_stats *stats, bool ended)
{
    (void)number;
    (void)ended;
    uint64_t *fired_ns = context;
    if (stats->tripped_ns > *fired_ns)
        *fired_ns = stats->tripped_ns;
}

uint64_t chaos_fired_at_ns(struct chaos_link *link)
{
    uint64_t fired_ns = link->ordered_ns;
    if (link->has_had_toxic)
        chaos__skip_unknown(link, "when a toxic acted");
    link->chaos->driver->relay_visit(link->relay, fired_visit, &fired_ns);
    return fired_ns;
}

struct duress_address chaos_link_address(struct chaos_link *link)
{
    return link->chaos->driver->relay_address(link->relay);
}

uint64_t chaos_link_open_connections(struct chaos_link *link)
{
    uint64_t open = 0;
    for (const struct chaos_kept_agent *kept = link->chaos->agents; kept != NULL; kept = kept->next)
        if (kept->remote_of == link)
            open += duress_remote_counts(kept->agent).connections_open;
    return open;
}

struct bytes_sum {
    enum duress_direction direction;
    uint64_t bytes;
};

static void bytes_visit(void *context, uint64_t number, const struct duress_link_stats *stats, bool ended)
{
    (void)number;
    (void)ended;
    struct bytes_sum *sum = context;
    sum->bytes += stats->direction[sum->direction].bytes_out;
}

uint64_t chaos_link_bytes(struct chaos_link *link, enum duress_direction direction)
{
    struct bytes_sum sum = {.direction = direction};
    chaos__skip_unknown(link, "how many bytes passed");
    link->chaos->driver->relay_visit(link->relay, bytes_visit, &sum);
    return sum.bytes;
}

uint64_t chaos_link_accepted(struct chaos_link *link)
{
    chaos__skip_unknown(link, "how many connections were accepted");
    return link->chaos->driver->relay_counts(link->relay).accepted;
}

void chaos_name_set(struct chaos_link *link, const char *host, enum chaos_name_fault fault, uint32_t fault_count)
{
    static const char *const names[] = {"resolves", "is not found", "fails temporarily", "gets no answer"};
    struct chaos *chaos = link->chaos;
    struct duress_address address = chaos->driver->relay_address(link->relay);
    chaos__evidence_of_name(chaos, host);
    link_check(link, chaos->driver->name_set(chaos, host, fault, fault_count, &address), "set a name");
    link_ordered(link);
    chaos_note(chaos, "the name %s %s", host, names[fault]);
}

uint64_t chaos_name_questions(struct chaos *chaos, const char *host)
{
    return chaos->driver->name_questions(chaos, host);
}
