/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/compose/parallel.h>

#include "combine.h"
#include "fan.h"

struct parallel {
    struct composition composition;
    struct duress_parallel_options options; /* complete */
};

/* The state of a call is a struct fan. */

static const struct parallel *parallel_of(const struct fan *fan)
{
    return (const struct parallel *)fan->call->agent;
}

static enum decision parallel_decide(const struct fan *fan, bool late)
{
    const struct parallel *parallel = parallel_of(fan);
    if (parallel->options.policy == DURESS_PARALLEL_COLLECT)
        return duress__decide_collect(&fan->tally, late);
    enum decision decision = duress__decide_need(&fan->tally, parallel->options.need);
    return late && decision == DECIDE_WAIT ? DECIDE_BADLY : decision;
}

/* Makes one message of the replies. A combiner that gives no reply, or a code that is none, has failed. */
static int parallel_combine(const struct fan *fan, struct duress_message **reply, struct duress_failure *failure)
{
    const struct parallel *parallel = parallel_of(fan);
    const struct composition *composition = &parallel->composition;
    failure->code = DURESS_OK;
    int error = parallel->options.combine != NULL
                    ? parallel->options.combine(composition->context, fan->call->request, fan->parts,
                                                composition->count, reply, failure)
                    : duress__combine(composition->base.world, fan->parts, composition->count, reply);
    if (error == DURESS_OK && *reply != NULL)
        return DURESS_OK;
    bool known = error < 0 && error > -DURESS_ERROR_NUMBER_END;
    if (!known)
        duress_failure_set(failure, DURESS_E_INVALID, DURESS_ORIGIN_COMPOSITION,
                           error == DURESS_OK ? "combine gave no reply" : "combine returned %d", error);
    else if (failure->code == DURESS_OK)
        duress_failure_set(failure, (enum duress_error)error, DURESS_ORIGIN_COMPOSITION, "the replies' combination");
    failure->ambiguous = true; /* they have been executed */
    return failure->code;
}

static void parallel_end_well(struct fan *fan)
{
    struct duress_result result = {.error = DURESS_OK};
    struct duress_failure failure;
    size_t first = duress__fan_first(fan, DURESS_PART_REPLIED);
    if (parallel_of(fan)->options.policy == DURESS_PARALLEL_ANY) {
        result.reply = fan->parts[first].reply;
        duress__composition_end(fan->call, fan->parts, first, &result);
        return;
    }
    struct duress_message *reply = NULL;
    result.error = parallel_combine(fan, &reply, &failure);
    result.reply = result.error == DURESS_OK ? reply : NULL;
    result.failure = &failure;
    duress__composition_end(fan->call, fan->parts, DURESS_ANSWERED_BY_NONE, &result);
    duress_message_unref(reply);
}

static void parallel_end_badly(struct fan *fan, bool late)
{
    const struct composition *composition = &parallel_of(fan)->composition;
    struct duress_failure failure;
    size_t first = duress__fan_first(fan, DURESS_PART_FAILED);
    if (late) {
        duress__fan_describe_late(fan, &failure);
        duress__composition_fail(fan->call, fan->parts, DURESS_ANSWERED_BY_NONE, &failure);
        return;
    }
    duress__failure_wrap(&failure, fan->parts[first].failure, "%zu of %zu agents failed; %zu (%.40s)",
                         fan->tally.failed, composition->count, first + 1, composition->agents[first]->name);
    failure.ambiguous = duress__fan_is_ambiguous(fan);
    duress__composition_fail(fan->call, fan->parts, first, &failure);
}

static void parallel_judge(struct fan *fan, bool late)
{
    enum decision decision = parallel_decide(fan, late);
    if (decision == DECIDE_WAIT || !duress__fan_stop(fan, late ? DURESS_PART_LATE : DURESS_PART_CANCELLED))
        return;
    if (decision == DECIDE_WELL)
        parallel_end_well(fan);
    else
        parallel_end_badly(fan, late);
}

static void parallel_ended(struct fan *fan, size_t part)
{
    (void)part;
    parallel_judge(fan, false);
}

static void parallel_late(void *context)
{
    parallel_judge(context, true);
}

static void parallel_process(struct duress_agent *agent, struct duress_call *call)
{
    const struct parallel *parallel = (const struct parallel *)agent;
    uint64_t stop_ns = duress__decide_stop_ns(duress_call_started_ns(call), call->deadline_ns,
                                              parallel->options.limit_ns, parallel->options.margin_ns);
    struct fan *fan = duress__fan_new(sizeof *fan, call, stop_ns, parallel_late);
    if (fan == NULL) {
        duress_call_fail(call, &duress__no_memory);
        return;
    }
    fan->ended = parallel_ended;
    if (duress__fan_begin(fan) && fan->tally.failed > 0)
        parallel_judge(fan, false);
}

static void parallel_cancel(struct duress_agent *agent, struct duress_call *call)
{
    (void)agent;
    duress__fan_cancel(call->state);
}

static int options_check(const struct duress_parallel_options *options, size_t count, struct duress_failure *why)
{
    bool collects = options->policy == DURESS_PARALLEL_COLLECT;
    bool counts = options->policy == DURESS_PARALLEL_AT_LEAST;
    if ((unsigned)options->policy > DURESS_PARALLEL_AT_LEAST)
        return duress__composition_refuse(why, "parallel.policy: %u given, allowed 0 to %u", (unsigned)options->policy,
                                          (unsigned)DURESS_PARALLEL_AT_LEAST);
    if (counts && (options->need == 0 || options->need > count))
        return duress__composition_refuse(why, "parallel.need: %u given, allowed 1 to %zu", options->need, count);
    if (!counts && options->need != 0)
        return duress__composition_refuse(why, "parallel.need: %u given, must be 0 without AT_LEAST", options->need);
    if (!collects && options->margin_ns != 0)
        return duress__composition_refuse(why, "parallel.margin_ns: %llu given, must be 0 without COLLECT",
                                          (unsigned long long)options->margin_ns);
    if (options->policy == DURESS_PARALLEL_ANY && options->combine != NULL)
        return duress__composition_refuse(why, "parallel.combine: given, must be NULL with ANY");
    return DURESS_OK;
}

/* |need| and |margin_ns| as they are used. */
static struct duress_parallel_options options_complete(const struct duress_parallel_options *options, size_t count)
{
    struct duress_parallel_options complete = *options;
    if (complete.policy == DURESS_PARALLEL_ALL)
        complete.need = (uint32_t)count;
    else if (complete.policy == DURESS_PARALLEL_ANY)
        complete.need = 1;
    else if (complete.policy == DURESS_PARALLEL_COLLECT && complete.margin_ns == 0)
        complete.margin_ns = DURESS_PARALLEL_MARGIN_NS_DEFAULT;
    return complete;
}

int duress_parallel_new(const char *name, struct duress_agent *const *agents, size_t count,
                        const struct duress_parallel_options *options, struct duress_agent **parallel,
                        struct duress_failure *why)
{
    static const struct duress_agent_ops ops = {parallel_process, parallel_cancel, duress__composition_free};
    static const struct duress_parallel_options defaults = {.policy = DURESS_PARALLEL_COLLECT};
    const struct duress_parallel_options *given = options != NULL ? options : &defaults;
    if (parallel == NULL)
        return duress__composition_refuse(why, "parallel: NULL given, must be a pointer");
    int error = duress__composition_check("agents", agents, count, why);
    if (error == DURESS_OK)
        error = options_check(given, count, why);
    if (error != DURESS_OK)
        return error;
    struct parallel *made =
        duress__composition_new(sizeof *made, &ops, name != NULL ? name : "parallel", agents, count, why);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->options = options_complete(given, count);
    made->composition.on_report = given->on_report;
    made->composition.context = given->context;
    *parallel = &made->composition.base;
    return DURESS_OK;
}
