/* SPDX-License-Identifier: Apache-2.0
 *
 * The agent: who waits, whose turn it is, and the pump. */
#include "client_private.h"

#include <stdio.h>
#include <string.h>

#include <duress/world/live.h>

#define ID_PURPOSE UINT64_C(0x64757265737368) /* the ids' prefix among the world's random streams */

void duress__http_want_pump(struct http_client *client)
{
    duress_world_defer(client->base.world, &client->pump);
}

void duress__http_call_fail(struct http_call *call, int code, enum duress_origin origin, bool ambiguous,
                            const char *detail)
{
    struct duress_failure failure;
    duress_failure_set(&failure, (enum duress_error)code, origin, "%s",
                       detail != NULL ? detail : duress_strerror(code));
    failure.ambiguous = ambiguous;
    duress_call_fail(call->call, &failure);
}

/* --- giving waiting calls a transfer --- */

static void client_start_one(struct http_client *client)
{
    struct http_call *call = LIST_OWNER(wait_queue_take(&client->waiting), struct http_call, place);
    const char *detail = "no memory for a transfer";
    struct http_transfer *transfer = duress__http_transfer_get(client);
    int error = DURESS_E_NO_MEMORY;
    if (transfer != NULL) {
        error = duress__http_transfer_begin(transfer, call, &detail);
        if (error == DURESS_OK)
            return;
    }
    duress__http_call_fail(call, error, error == DURESS_E_NO_MEMORY ? DURESS_ORIGIN_SEND : DURESS_ORIGIN_CALLER, false,
                           detail);
}

static bool client_start_waiting(struct http_client *client)
{
    bool started = false;
    while (!wait_queue_is_empty(&client->waiting) && client->running_count < client->in_flight_max) {
        if (!duress__http_names_ready(client))
            break;
        client_start_one(client);
        started = true;
    }
    return started;
}

/* --- the pump --- */

static void client_collect(struct http_client *client)
{
    CURLMsg *message;
    int left;
    while (client->multi != NULL && (message = curl_multi_info_read(client->multi, &left)) != NULL) {
        struct http_transfer *transfer = NULL;
        if (message->msg != CURLMSG_DONE)
            continue;
        CURLcode result = message->data.result; /* gone once the handle is taken out */
        (void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        duress__http_transfer_done(transfer, result);
    }
}

/* Those of which a byte has left are ambiguous from now on. */
static void client_note_sent(struct http_client *client)
{
    struct list_link *next;
    for (struct list_link *link = client->unsent.next; link != &client->unsent; link = next) {
        next = link->next;
        duress__http_transfer_note_sent(LIST_OWNER(link, struct http_transfer, unsent));
    }
}

/* Lets libcurl work, then tells what came of it. */
static void client_work(struct http_client *client)
{
    duress__http_multi_drive(client);
    client_note_sent(client);
    client_collect(client);
    while (!list_is_empty(&client->news)) {
        struct http_transfer *transfer = LIST_OWNER(client->news.next, struct http_transfer, news);
        list_remove(&transfer->news);
        duress__http_reply_news(transfer);
    }
    while (!list_is_empty(&client->finished)) {
        struct http_transfer *transfer = LIST_OWNER(client->finished.next, struct http_transfer, link);
        bool refused = transfer->result == CURLE_COULDNT_CONNECT && transfer->open_error == DURESS_OK;
        if (!refused || transfer->owner == NULL || !duress__http_transfer_try_next(transfer))
            duress__http_reply_finish(transfer);
    }
}

static void client_pump(void *context)
{
    struct http_client *client = context;
    duress_agent_ref(&client->base);
    client_work(client);
    if (client_start_waiting(client))
        client_work(client);
    duress_agent_unref(&client->base);
}

/* --- the agent --- */

static void http_process(struct duress_agent *agent, struct duress_call *call)
{
    struct http_client *client = (struct http_client *)agent;
    struct duress_failure failure;
    struct http_call *state = duress_call_allocate(call, sizeof *state);
    if (state == NULL) {
        duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_SEND, NULL);
        duress_call_fail(call, &failure);
        return;
    }
    *state = (struct http_call){.call = call};
    wait_place_init(&state->place);
    call->state = state;
    uint64_t room = client->in_flight_max - client->running_count;
    if (wait_queue_is_full(&client->waiting, room)) {
        duress_failure_set(&failure, DURESS_E_OVERLOADED, DURESS_ORIGIN_CONNECT, "%u calls wait for their turn already",
                           client->waiting.count_max);
        failure.ambiguous = false;
        duress_call_fail(call, &failure);
        return;
    }
    duress_call_mark_stage(call, client->lookup != NULL ? DURESS_ORIGIN_NAME : DURESS_ORIGIN_CONNECT);
    wait_queue_append(&client->waiting, &state->place);
    duress__http_want_pump(client);
}

static void http_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct http_client *client = (struct http_client *)agent;
    struct http_call *state = call->state;
    if (state == NULL)
        return;
    wait_queue_leave(&client->waiting, &state->place);
    duress_message_unref(state->last_chunk);
    state->last_chunk = NULL;
    if (state->transfer != NULL)
        duress__http_transfer_release(state->transfer);
}

/* Nothing runs: closes what is open. */
static void client_close(struct http_client *client)
{
    DURESS_ASSERT(client->running_count == 0);
    while (!list_is_empty(&client->free))
        duress__http_transfer_free(LIST_OWNER(client->free.next, struct http_transfer, link));
    duress__http_multi_close(client);
}

static void http_free(struct duress_agent *agent)
{
    struct http_client *client = (struct http_client *)agent;
    DURESS_ASSERT(wait_queue_is_empty(&client->waiting));
    while (!list_is_empty(&client->running)) /* those that are drained have no call */
        duress__http_transfer_release(LIST_OWNER(client->running.next, struct http_transfer, link));
    while (!list_is_empty(&client->finished))
        duress__http_transfer_release(LIST_OWNER(client->finished.next, struct http_transfer, link));
    client_close(client);
    duress__http_names_stop(client);
    duress_world_disarm(agent->world, &client->idle_timer);
    duress_world_undefer(agent->world, &client->pump);
    duress_buffer_close(&client->scratch);
    duress__http_settings_free(client);
    curl_global_cleanup();
    duress_release(agent->allocator, client);
}

static const struct duress_agent_ops http_ops = {http_process, http_cancel, http_free};

static void client_idle_expired(void *context)
{
    struct http_client *client = context;
    uint64_t now_ns = duress_world_now_ns(client->base.world);
    uint64_t due_ns = client->running_count > 0 ? now_ns : client->last_used_ns;
    due_ns = duress_time_add(due_ns, client->idle_timeout_ns);
    if (due_ns > now_ns)
        duress_world_arm(client->base.world, &client->idle_timer, due_ns);
    else
        client_close(client);
}

/* --- making one --- */

static void client_ready(struct http_client *client, struct duress_world *world)
{
    struct duress_prng prng;
    struct list_link *const lists[] = {&client->free, &client->running, &client->finished, &client->unsent,
                                       &client->news, &client->ready,   &client->young};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++)
        list_init(lists[i]);
    duress_world_prng(world, ID_PURPOSE, &prng);
    client->id_prefix = duress_prng_next(&prng);
    client->pump.fn = client_pump;
    client->pump.context = client;
    client->curl_version = curl_version_info(CURLVERSION_NOW)->version_num;
    client->curl_due_ns = DURESS_TIME_NEVER;
    duress_timer_init(&client->idle_timer, client_idle_expired, client);
    duress_buffer_init(&client->scratch, 0, client->base.allocator);
}

static int no_memory(struct duress_failure *why)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
    return DURESS_E_NO_MEMORY;
}

static int client_make(const struct duress_http_agent_options *options, struct uv_loop_s *uv,
                       struct duress_agent **agent, struct duress_failure *why)
{
    const struct duress_allocator *allocator =
        options->allocator != NULL ? options->allocator : duress_world_allocator(options->world);
    struct http_client *client = duress_allocate_zeroed(allocator, 1, sizeof *client);
    if (client == NULL)
        return no_memory(why);
    duress_agent_init(&client->base, &http_ops, options->world, allocator,
                      options->agent_name != NULL ? options->agent_name : options->url);
    client->uv = uv;
    int error = duress__http_configure(client, options, why);
    if (error != DURESS_OK) {
        duress__http_settings_free(client);
        duress_release(allocator, client);
        return error;
    }
    client_ready(client, options->world);
    duress__http_names_init(client);
    *agent = &client->base;
    return DURESS_OK;
}

int duress_http_agent_new(const struct duress_http_agent_options *options, struct duress_agent **agent,
                          struct duress_failure *why)
{
    if (agent == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "agent: must be given");
        return DURESS_E_INVALID;
    }
    int error = duress__http_options_check(options, why);
    if (error != DURESS_OK)
        return error;
    struct uv_loop_s *uv = duress_world_live_uv_loop(options->world);
    if (uv == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_UNSUPPORTED, DURESS_ORIGIN_CALLER, "world: HTTP needs a live one");
        return DURESS_E_UNSUPPORTED;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        return no_memory(why);
    error = client_make(options, uv, agent, why);
    if (error != DURESS_OK)
        curl_global_cleanup();
    return error;
}

struct duress_http_agent_counts duress_http_agent_counts(const struct duress_agent *agent)
{
    struct duress_http_agent_counts counts = {.lookups_begun = 0};
    if (agent == NULL || agent->ops != &http_ops)
        return counts;
    const struct http_client *client = (const struct http_client *)agent;
    counts = client->counts;
    counts.calls_waiting = client->waiting.count;
    counts.calls_in_flight = client->running_count;
    return counts;
}
