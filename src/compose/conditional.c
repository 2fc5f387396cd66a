/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/compose/conditional.h>

#include <string.h>

#include "composition.h"
#include "metadata.h"

/* Conditional and router: they differ in how they choose. */
struct choice {
    struct composition composition;
    struct duress_choice_options options;
    size_t route_count;          /* agents but for the default, which is the last */
    duress_choose_fn choose;     /* a router's; NULL: conditional */
    struct duress_route *routes; /* a conditional's, without references of their own */
};

struct choice_call {
    struct duress_call *child;
    struct duress_part *parts; /* NULL: nobody wants a report */
    size_t chosen;
};

static size_t choice_route(const struct choice *choice, const struct duress_message *request)
{
    if (choice->choose != NULL)
        return choice->choose(choice->composition.context, request, choice->route_count);
    for (size_t i = 0; i < choice->route_count; i++)
        if (choice->routes[i].predicate(choice->routes[i].context, request))
            return i;
    return DURESS_ROUTER_DEFAULT;
}

/* The chosen agent's place; DURESS_ANSWERED_BY_NONE where nothing takes the message. */
static size_t choice_make(const struct choice *choice, const struct duress_message *request)
{
    size_t route = choice_route(choice, request);
    if (route < choice->route_count)
        return route;
    return choice->options.otherwise != NULL ? choice->route_count : DURESS_ANSWERED_BY_NONE;
}

static void choice_fail(struct duress_call *call, const struct duress_failure *cause)
{
    const struct choice *choice = (const struct choice *)call->agent;
    const struct choice_call *state = call->state;
    const char *name = choice->composition.agents[state->chosen]->name;
    struct duress_failure failure;
    if (state->chosen < choice->route_count)
        duress__failure_wrap(&failure, cause, "route %zu (%.40s)", state->chosen + 1, name);
    else
        duress__failure_wrap(&failure, cause, "default (%.40s)", name);
    duress__composition_fail(call, state->parts, state->chosen, &failure);
}

static void choice_replied(struct duress_call *call, const struct duress_result *result)
{
    const struct choice *choice = (const struct choice *)call->agent;
    const struct choice_call *state = call->state;
    struct duress_result passed = *result;
    struct duress_message *annotated = NULL;
    struct annotation annotation = {
        .agent_key = "conditional_agent_used",
        .agent_name = choice->composition.agents[state->chosen]->name,
        .place_key = "conditional_route",
        .place = state->chosen < choice->route_count ? state->chosen + 1 : 0,
    };
    if (choice->options.annotate) {
        if (duress__metadata_annotate(choice->composition.base.world, result->reply, &annotation, &annotated) !=
            DURESS_OK) {
            struct duress_failure failure = duress__no_memory;
            failure.ambiguous = true; /* it has been executed */
            duress__composition_fail(call, state->parts, state->chosen, &failure);
            return;
        }
        passed.reply = annotated;
    }
    duress__composition_end(call, state->parts, state->chosen, &passed);
    duress_message_unref(annotated);
}

static void choice_ended(void *context, struct duress_call *child, const struct duress_result *result)
{
    struct duress_call *call = context;
    struct choice_call *state = call->state;
    state->child = NULL;
    duress__part_end(state->parts != NULL ? &state->parts[state->chosen] : NULL, child, result);
    if (result->error == DURESS_OK)
        choice_replied(call, result);
    else
        choice_fail(call, result->failure);
}

static void choice_begin(struct choice *choice, struct duress_call *call)
{
    struct choice_call *state = call->state;
    struct duress_failure failure;
    state->chosen = choice_make(choice, call->request);
    if (state->chosen == DURESS_ANSWERED_BY_NONE) {
        duress_failure_set(&failure, DURESS_E_INVALID, DURESS_ORIGIN_COMPOSITION,
                           "%s: none of %zu routes takes this message, and there is no default",
                           choice->composition.base.name, choice->route_count);
        duress__composition_fail(call, state->parts, state->chosen, &failure);
        return;
    }
    struct duress_part *part = state->parts != NULL ? &state->parts[state->chosen] : NULL;
    struct duress_child child = {
        .agent = choice->composition.agents[state->chosen],
        .on_end = choice_ended,
        .context = call,
    };
    if (duress_call_begin(call, &child, &state->child) == DURESS_OK) {
        duress__part_begin(part, state->child);
        return;
    }
    state->child = NULL;
    duress__part_fail_memory(part, duress_call_started_ns(call));
    choice_fail(call, &duress__no_memory);
}

static void choice_process(struct duress_agent *agent, struct duress_call *call)
{
    struct choice *choice = (struct choice *)agent;
    bool reports = choice->composition.on_report != NULL;
    struct choice_call *state = duress_call_allocate(call, sizeof *state);
    struct duress_part *parts = state != NULL && reports ? duress__parts_new(call) : NULL;
    if (state == NULL || (reports && parts == NULL)) {
        duress_call_fail(call, &duress__no_memory);
        return;
    }
    *state = (struct choice_call){.parts = parts};
    call->state = state;
    choice_begin(choice, call);
}

static void choice_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct choice_call *state = call->state;
    if (state->child != NULL)
        duress_call_abandon(state->child);
    duress__parts_release(state->parts, ((struct composition *)agent)->count);
}

static void choice_free(struct duress_agent *agent)
{
    duress_release(agent->allocator, ((struct choice *)agent)->routes);
    duress__composition_free(agent);
}

static int choice_new(const char *name, struct duress_agent *const *agents, size_t count,
                      const struct duress_choice_options *options, struct choice **choice, struct duress_failure *why)
{
    static const struct duress_agent_ops ops = {choice_process, choice_cancel, choice_free};
    size_t all = count + (options != NULL && options->otherwise != NULL);
    int error = duress__composition_check("agents", agents, all, why);
    if (error != DURESS_OK)
        return error;
    struct choice *made = duress__composition_new(sizeof *made, &ops, name, agents, all, why);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->route_count = count;
    if (options != NULL) {
        made->options = *options;
        made->composition.on_report = options->on_report;
        made->composition.context = options->context;
    }
    *choice = made;
    return DURESS_OK;
}

static int routes_check(const struct duress_route *routes, size_t count, struct duress_failure *why)
{
    if (routes == NULL)
        return duress__composition_refuse(why, "routes: NULL given, must be an array");
    if (count == 0 || count > DURESS_COMPOSITION_AGENTS_MAX)
        return duress__composition_refuse(why, "count of routes: %zu given, allowed 1 to %d", count,
                                          DURESS_COMPOSITION_AGENTS_MAX);
    for (size_t i = 0; i < count; i++)
        if (routes[i].predicate == NULL)
            return duress__composition_refuse(why, "routes: NULL given as predicate at place %zu", i + 1);
    return DURESS_OK;
}

int duress_conditional_new(const char *name, const struct duress_route *routes, size_t count,
                           const struct duress_choice_options *options, struct duress_agent **conditional,
                           struct duress_failure *why)
{
    if (conditional == NULL)
        return duress__composition_refuse(why, "conditional: NULL given, must be a pointer");
    int error = routes_check(routes, count, why);
    if (error != DURESS_OK)
        return error;
    struct duress_agent *agents[DURESS_COMPOSITION_AGENTS_MAX + 1];
    for (size_t i = 0; i < count; i++)
        agents[i] = routes[i].agent;
    agents[count] = options != NULL ? options->otherwise : NULL;
    struct choice *made = NULL;
    error = choice_new(name != NULL ? name : "conditional", agents, count, options, &made, why);
    if (error != DURESS_OK)
        return error;
    made->routes = duress_allocate_zeroed(made->composition.base.allocator, count, sizeof *routes);
    if (made->routes == NULL) {
        duress_agent_unref(&made->composition.base);
        if (why != NULL)
            duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return DURESS_E_NO_MEMORY;
    }
    memcpy(made->routes, routes, count * sizeof *routes);
    *conditional = &made->composition.base;
    return DURESS_OK;
}

int duress_router_new(const char *name, duress_choose_fn choose, struct duress_agent *const *agents, size_t count,
                      const struct duress_choice_options *options, struct duress_agent **router,
                      struct duress_failure *why)
{
    if (router == NULL || choose == NULL)
        return duress__composition_refuse(why, "%s: NULL given, must be a pointer",
                                          router == NULL ? "router" : "choose");
    if (agents == NULL || count == 0 || count > DURESS_COMPOSITION_AGENTS_MAX)
        return duress__composition_check("agents", agents, count, why);
    struct duress_agent *all[DURESS_COMPOSITION_AGENTS_MAX + 1];
    memcpy(all, agents, count * sizeof *agents);
    all[count] = options != NULL ? options->otherwise : NULL;
    struct choice *made = NULL;
    int error = choice_new(name != NULL ? name : "router", all, count, options, &made, why);
    if (error != DURESS_OK)
        return error;
    made->choose = choose;
    *router = &made->composition.base;
    return DURESS_OK;
}
