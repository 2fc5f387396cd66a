/* SPDX-License-Identifier: Apache-2.0
 *
 * The name server: it knows the hosts, and says of every name what it was told to say. A question takes one hop there
 * and one back; the resolver waits PATIENCE_NS and asks once. */
#include "sim_private.h"

#include <strings.h>

#define PATIENCE_NS (6 * DURESS_S)
#define NAME_BYTES_MAX 253 /* of a domain name, RFC 1035 */

struct sim_name {
    struct sim_name *next;
    uint64_t questions;
    struct duress_sim_name says;
    uint32_t faults_left; /* where says.fault_count is not 0 */
    bool is_host;
    struct duress_address address; /* of that host; else NONE */
    char name[NAME_BYTES_MAX + 1];
};

enum resolution_stage {
    STAGE_NUMERIC = 0, /* nobody is asked */
    STAGE_ASKING,      /* the question travels */
    STAGE_ANSWERING,   /* the answer does */
    STAGE_WAITING,     /* it never comes */
};

struct sim_resolution {
    struct duress_resolution base; /* first */
    struct duress_sim_host *host;
    struct sim_resolution *next;
    struct sim_resolution *previous;
    enum resolution_stage stage;
    struct duress_timer timer;
    uint64_t asked_ns;
    int error;
    struct duress_address answer;
    uint16_t port;
    char name[NAME_BYTES_MAX + 1];
};

/* --- what is known --- */

static struct sim_name *name_find(const struct duress_sim *sim, const char *name)
{
    for (struct sim_name *known = sim->names; known != NULL; known = known->next)
        if (strcasecmp(known->name, name) == 0)
            return known;
    return NULL;
}

static int name_new(struct duress_sim *sim, const char *name, struct sim_name **known)
{
    size_t length = strlen(name);
    if (length == 0 || length > NAME_BYTES_MAX)
        return DURESS_E_INVALID;
    struct sim_name *made = duress_allocate_zeroed(sim->allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    memcpy(made->name, name, length + 1);
    made->next = sim->names;
    sim->names = made;
    *known = made;
    return DURESS_OK;
}

int duress__sim_name_add(struct duress_sim *sim, const char *name, const struct duress_address *address)
{
    struct sim_name *known = name_find(sim, name);
    if (known != NULL && known->is_host)
        return DURESS_E_INVALID;
    if (known == NULL) {
        int error = name_new(sim, name, &known);
        if (error != DURESS_OK)
            return error;
    }
    known->is_host = true;
    known->address = *address;
    return DURESS_OK;
}

int duress_sim_name_set(struct duress_sim *sim, const char *name, const struct duress_sim_name *says)
{
    if (sim == NULL || name == NULL || says == NULL || (unsigned)says->fault > DURESS_SIM_NAME_WRONG)
        return DURESS_E_INVALID;
    struct sim_name *known = name_find(sim, name);
    if (known == NULL) {
        int error = name_new(sim, name, &known);
        if (error != DURESS_OK)
            return error;
    }
    known->says = *says;
    known->faults_left = says->fault_count;
    return DURESS_OK;
}

uint64_t duress_sim_name_questions(const struct duress_sim *sim, const char *name)
{
    const struct sim_name *known = sim != NULL && name != NULL ? name_find(sim, name) : NULL;
    return known != NULL ? known->questions : 0;
}

void duress__sim_names_free(struct duress_sim *sim)
{
    while (sim->names != NULL) {
        struct sim_name *known = sim->names;
        sim->names = known->next;
        duress_release(sim->allocator, known);
    }
}

/* What it says without a fault; family NONE where that is nothing. */
static struct duress_address name_address(const struct sim_name *known)
{
    return known->says.address.family != DURESS_FAMILY_NONE ? known->says.address : known->address;
}

/* The fault that the next question meets; counts it. */
static enum duress_sim_name_fault name_fault_take(struct sim_name *known)
{
    enum duress_sim_name_fault fault = known->says.fault;
    if (fault == DURESS_SIM_NAME_OK || known->says.fault_count == 0)
        return fault;
    if (known->faults_left == 0)
        return DURESS_SIM_NAME_OK;
    known->faults_left--;
    return fault;
}

/* --- questions --- */

static void resolution_unlink(struct sim_resolution *resolution)
{
    if (resolution->previous != NULL)
        resolution->previous->next = resolution->next;
    else
        resolution->host->resolutions = resolution->next;
    if (resolution->next != NULL)
        resolution->next->previous = resolution->previous;
}

static void resolution_free(struct sim_resolution *resolution)
{
    struct duress_sim *sim = resolution->host->sim;
    resolution_unlink(resolution);
    if (duress_timer_is_armed(&resolution->timer))
        duress__sim_disarm(sim, &resolution->timer);
    duress_release(sim->allocator, resolution);
}

static void resolution_arm(struct sim_resolution *resolution, enum resolution_stage stage, uint64_t at_ns)
{
    struct duress_sim_host *host = resolution->host;
    resolution->stage = stage;
    duress__sim_arm(host->sim, &host->homes[false], &resolution->timer, at_ns);
}

/* The question reached the name server. */
static void question_answer(struct sim_resolution *resolution)
{
    struct duress_sim *sim = resolution->host->sim;
    struct sim_name *known = name_find(sim, resolution->name);
    enum duress_sim_name_fault fault = DURESS_SIM_NAME_NOT_FOUND;
    uint64_t delay_ns = 0;
    resolution->error = DURESS_E_NAME_NOT_FOUND;
    if (known != NULL) {
        known->questions++;
        delay_ns = known->says.delay_ns;
        fault = name_fault_take(known);
        if (fault == DURESS_SIM_NAME_TEMPORARY)
            resolution->error = DURESS_E_NAME_TEMPORARY;
        resolution->answer = fault == DURESS_SIM_NAME_WRONG ? known->says.wrong : name_address(known);
        bool is_answered = fault == DURESS_SIM_NAME_WRONG || fault == DURESS_SIM_NAME_OK;
        if (is_answered && resolution->answer.family != DURESS_FAMILY_NONE)
            resolution->error = DURESS_OK;
    }
    duress__sim_trace(sim, SIM_EVENT_NAME_ASKED, resolution->host->number, known != NULL ? known->questions : 0);
    uint64_t arrives_ns = duress_time_add(sim->now_ns, duress__sim_delay_draw(sim, resolution->host->number));
    arrives_ns = duress_time_add(arrives_ns, delay_ns);
    uint64_t gives_up_ns = duress_time_add(resolution->asked_ns, PATIENCE_NS);
    if (fault == DURESS_SIM_NAME_SILENT || arrives_ns > gives_up_ns)
        resolution_arm(resolution, STAGE_WAITING, gives_up_ns);
    else
        resolution_arm(resolution, STAGE_ANSWERING, arrives_ns);
}

static void resolution_due(void *context)
{
    struct sim_resolution *resolution = context;
    if (resolution->stage == STAGE_ASKING) {
        question_answer(resolution);
        return;
    }
    int error = resolution->stage == STAGE_WAITING ? DURESS_E_NAME_SILENT : resolution->error;
    struct duress_address answer = resolution->answer;
    answer.port = resolution->port;
    duress_resolve_fn fn = resolution->base.fn;
    void *fn_context = resolution->base.context;
    duress__sim_trace(resolution->host->sim, SIM_EVENT_NAME_ANSWERED, resolution->host->number, (uint64_t)-error);
    resolution_free(resolution);
    fn(fn_context, error, error == DURESS_OK ? &answer : NULL, error == DURESS_OK ? 1 : 0);
}

/* "localhost" is in every host's own table, unless a host or the test took the name. */
static bool name_is_local(const struct duress_sim *sim, const char *name)
{
    return strcasecmp(name, "localhost") == 0 && name_find(sim, name) == NULL;
}

static void resolution_begin(struct sim_resolution *resolution)
{
    struct duress_sim *sim = resolution->host->sim;
    bool is_numeric = duress_address_from_host(resolution->name, resolution->port, &resolution->answer);
    if (!is_numeric && name_is_local(sim, resolution->name)) {
        resolution->answer = duress_address_loopback(resolution->port);
        is_numeric = true;
    }
    if (is_numeric)
        resolution_arm(resolution, STAGE_NUMERIC, sim->now_ns);
    else
        resolution_arm(resolution, STAGE_ASKING,
                       duress_time_add(sim->now_ns, duress__sim_delay_draw(sim, resolution->host->number)));
}

int duress__sim_resolve(struct duress_world *world, const char *host, uint16_t port, duress_resolve_fn fn,
                        void *context, struct duress_resolution **resolution)
{
    struct duress_sim_host *asker = duress__sim_host_of(world);
    size_t length = strlen(host);
    if (length == 0 || length > NAME_BYTES_MAX)
        return DURESS_E_INVALID;
    if (!asker->is_alive)
        return DURESS_E_CLOSED;
    struct sim_resolution *made = duress_allocate_zeroed(asker->sim->allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->base = (struct duress_resolution){.world = world, .fn = fn, .context = context};
    made->host = asker;
    made->asked_ns = asker->sim->now_ns;
    made->port = port;
    memcpy(made->name, host, length + 1);
    made->next = asker->resolutions;
    if (made->next != NULL)
        made->next->previous = made;
    asker->resolutions = made;
    duress_timer_init(&made->timer, resolution_due, made);
    resolution_begin(made);
    *resolution = &made->base;
    return DURESS_OK;
}

void duress__sim_resolution_cancel(struct duress_resolution *resolution)
{
    resolution_free((struct sim_resolution *)resolution);
}

void duress__sim_resolutions_free(struct duress_sim_host *host)
{
    while (host->resolutions != NULL)
        resolution_free(host->resolutions);
}
