/* SPDX-License-Identifier: Apache-2.0 */
#include "fan.h"

#include <string.h>

static size_t fan_count(const struct fan *fan)
{
    return ((const struct composition *)fan->call->agent)->count;
}

static struct duress_world *fan_world(const struct fan *fan)
{
    return fan->call->agent->world;
}

void *duress__fan_new(size_t bytes, struct duress_call *call, uint64_t stop_ns, duress_timer_fn late)
{
    size_t count = ((const struct composition *)call->agent)->count;
    struct fan *fan = duress_call_allocate(call, bytes);
    struct fan_branch *branches = duress_call_allocate(call, count * sizeof *branches);
    struct duress_part *parts = duress__parts_new(call);
    if (fan == NULL || branches == NULL || parts == NULL)
        return NULL;
    memset(fan, 0, bytes);
    for (size_t i = 0; i < count; i++)
        branches[i] = (struct fan_branch){.fan = fan};
    fan->call = call;
    fan->parts = parts;
    fan->branches = branches;
    fan->stop_ns = stop_ns;
    duress_timer_init(&fan->timer, late, fan);
    call->state = fan;
    return fan;
}

static void branch_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct fan_branch *branch = context;
    struct fan *fan = branch->fan;
    size_t place = (size_t)(branch - fan->branches);
    branch->child = NULL;
    fan->tally.running--;
    *(result->error == DURESS_OK ? &fan->tally.replied : &fan->tally.failed) += 1;
    duress__part_end(&fan->parts[place], child, result);
    fan->ended(fan, place);
}

static void branch_begin(struct fan *fan, size_t place)
{
    const struct composition *composition = (const struct composition *)fan->call->agent;
    struct fan_branch *branch = &fan->branches[place];
    struct duress_child child = {
        .agent = composition->agents[place],
        .deadline_ns = fan->stop_ns,
        .whole = true,
        .on_end = branch_ended,
        .context = branch,
    };
    fan->tally.running++;
    if (duress_call_begin(fan->call, &child, &branch->child) == DURESS_OK) {
        if (branch->child != NULL) /* else all has been cancelled by the agent itself */
            duress__part_begin(&fan->parts[place], branch->child);
        return;
    }
    branch->child = NULL;
    fan->tally.running--;
    fan->tally.failed++;
    duress__part_fail_memory(&fan->parts[place], duress_call_started_ns(fan->call));
}

bool duress__fan_begin(struct fan *fan)
{
    if (fan->stop_ns != DURESS_TIME_NEVER)
        duress_world_arm(fan_world(fan), &fan->timer, fan->stop_ns);
    for (size_t i = 0; i < fan_count(fan) && duress_call_is_live(fan->call); i++)
        branch_begin(fan, i);
    return duress_call_is_live(fan->call);
}

bool duress__fan_stop(struct fan *fan, enum duress_part_state state)
{
    uint64_t now_ns = duress_world_now_ns(fan_world(fan));
    duress_world_disarm(fan_world(fan), &fan->timer);
    duress_call_hold(fan->call);
    for (size_t i = 0; i < fan_count(fan) && fan->tally.running > 0; i++) {
        struct duress_call *child = fan->branches[i].child;
        if (child == NULL)
            continue;
        fan->branches[i].child = NULL;
        fan->tally.running--;
        fan->sent = fan->sent || child->sent;
        fan->parts[i].state = state;
        fan->parts[i].ended_ns = now_ns;
        if (state == DURESS_PART_LATE)
            duress_call_expire(child);
        else
            duress_call_abandon(child);
    }
    return duress_call_let_go(fan->call);
}

void duress__fan_cancel(struct fan *fan)
{
    duress_world_disarm(fan_world(fan), &fan->timer);
    for (size_t i = 0; i < fan_count(fan); i++) {
        struct duress_call *child = fan->branches[i].child;
        fan->branches[i].child = NULL;
        if (child != NULL)
            duress_call_abandon(child);
    }
    fan->tally.running = 0;
    duress__parts_release(fan->parts, fan_count(fan));
}

size_t duress__fan_first(const struct fan *fan, enum duress_part_state state)
{
    for (size_t i = 0; i < fan_count(fan); i++)
        if (fan->parts[i].state == state)
            return i;
    return DURESS_ANSWERED_BY_NONE;
}

bool duress__fan_is_ambiguous(const struct fan *fan)
{
    if (fan->sent || fan->tally.replied > 0)
        return true;
    for (size_t i = 0; i < fan_count(fan); i++)
        if (fan->parts[i].failure != NULL && fan->parts[i].failure->ambiguous)
            return true;
    return false;
}

void duress__fan_describe_late(const struct fan *fan, struct duress_failure *failure)
{
    uint64_t limit_ns = fan->stop_ns - duress_call_started_ns(fan->call);
    bool whole_ms = limit_ns % DURESS_MS == 0;
    duress_failure_set(failure, DURESS_E_DEADLINE, DURESS_ORIGIN_COMPOSITION,
                       "%llu %s passed; of %zu agents %zu replied, %zu failed",
                       (unsigned long long)(whole_ms ? limit_ns / DURESS_MS : limit_ns / DURESS_US),
                       whole_ms ? "ms" : "us", fan_count(fan), fan->tally.replied, fan->tally.failed);
    failure->ambiguous = duress__fan_is_ambiguous(fan);
}
