/* SPDX-License-Identifier: Apache-2.0 */
#include "rig.h"

#include <stdio.h>
#include <string.h>

/* --- a service --- */

struct service_job {
    struct rig_service *service;
    struct duress_call *call;
    struct duress_timer timer;
    uint32_t chunks_left;
    bool fails;
};

static struct duress_message *service_message(struct rig_service *service, const char *prefix,
                                              const struct duress_call *call)
{
    char text[512];
    struct duress_slice content = duress_message_content(call->request);
    int length = content.length < 400 ? (int)content.length : 400;
    (void)snprintf(text, sizeof text, "%s%.*s", prefix, length, (const char *)content.data);
    struct duress_message_options options = {
        .role = duress_slice_text("agent"),
        .content = duress_slice_text(text),
        .allocator = duress_world_allocator(service->world),
    };
    struct duress_message *message = NULL;
    return duress_message_new(&options, &message) == DURESS_OK ? message : NULL;
}

static void job_fail(struct service_job *job, const struct duress_failure *failure)
{
    job->service->ended++;
    job->service->running--;
    duress_call_fail(job->call, failure);
}

static void job_finish(struct service_job *job)
{
    struct rig_service *service = job->service;
    if (job->fails) {
        job_fail(job, &service->failure);
        return;
    }
    struct duress_message *reply = service_message(service, "re: ", job->call);
    if (reply == NULL) {
        struct duress_failure failure;
        duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_AGENT, NULL);
        job_fail(job, &failure);
        return;
    }
    service->ended++;
    service->running--;
    duress_call_reply(job->call, reply);
    duress_message_unref(reply);
}

static void job_arm(struct service_job *job)
{
    struct rig_service *service = job->service;
    uint64_t delay_ns = duress_prng_between(&service->prng, service->delay_ns_min, service->delay_ns_max);
    duress_world_arm(service->world, &job->timer, duress_time_add(duress_world_now_ns(service->world), delay_ns));
}

static void job_step(void *context)
{
    struct service_job *job = context;
    while (job->chunks_left > 0) {
        char prefix[32];
        (void)snprintf(prefix, sizeof prefix, "%u ", job->service->chunk_count - job->chunks_left + 1);
        struct duress_message *chunk = service_message(job->service, prefix, job->call);
        job->chunks_left--;
        if (chunk != NULL)
            duress_call_emit(job->call, chunk);
        duress_message_unref(chunk);
        if (!duress_call_is_live(job->call))
            return;
        if (!job->service->at_once) {
            job_arm(job);
            return;
        }
    }
    job_finish(job);
}

static void service_begin(void *context, struct duress_call *call)
{
    struct rig_service *service = context;
    if (service->begun < sizeof service->begun_ns / sizeof service->begun_ns[0])
        service->begun_ns[service->begun] = duress_world_now_ns(service->world);
    service->begun++;
    if (service->on_call != NULL)
        service->on_call(service->context, service, call);
    if (!duress_call_is_live(call))
        return;
    struct service_job *job = duress_call_allocate(call, sizeof *job);
    if (job == NULL) {
        struct duress_failure failure;
        duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_AGENT, NULL);
        service->ended++;
        duress_call_fail(call, &failure);
        return;
    }
    service->running++;
    if (service->running > service->running_max)
        service->running_max = service->running;
    *job = (struct service_job){.service = service, .call = call};
    job->chunks_left = call->streaming ? service->chunk_count : 0;
    job->fails = service->fail_count > 0;
    service->fail_count -= job->fails;
    call->state = job;
    duress_timer_init(&job->timer, job_step, job);
    if (service->silent)
        return;
    if (service->at_once)
        job_step(job);
    else
        job_arm(job);
}

static void service_cancel(void *context, struct duress_call *call)
{
    struct rig_service *service = context;
    struct service_job *job = call->state;
    service->cancelled++;
    if (job == NULL)
        return; /* given up while it began */
    service->running--;
    duress_world_disarm(service->world, &job->timer);
}

int rig_service_try_open(struct rig_service *service, struct duress_world *world, const char *name)
{
    *service = (struct rig_service){.world = world};
    duress_world_prng(world, 4711, &service->prng);
    duress_failure_set(&service->failure, DURESS_E_REFUSED, DURESS_ORIGIN_AGENT, "as asked");
    return duress_function_async_new(world, name, service_begin, service_cancel, service, &service->agent);
}

void rig_service_open(struct rig_service *service, struct duress_world *world, const char *name)
{
    assert_int_equal(rig_service_try_open(service, world, name), DURESS_OK);
}

void rig_service_close(struct rig_service *service)
{
    duress_agent_unref(service->agent);
    service->agent = NULL;
    assert_int_equal(service->begun, service->ended + service->cancelled + service->running);
}

/* --- callers --- */

static void answer_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct rig_answer *answer = context;
    assert_false(answer->asking);
    assert_ptr_equal(call, answer->call);
    answer->call = NULL;
    answer->ended++;
    assert_int_equal(answer->ended, 1);
    answer->error = result->error;
    answer->started_ns = result->started_ns;
    answer->ended_ns = result->ended_ns;
    if (result->error == DURESS_OK) {
        assert_non_null(result->reply);
        struct duress_slice content = duress_message_content(result->reply);
        (void)snprintf(answer->text, sizeof answer->text, "%.*s", (int)content.length, (const char *)content.data);
    } else {
        assert_int_equal(result->failure->code, result->error);
        answer->failure = *result->failure;
    }
    if (answer->then != NULL)
        answer->then(answer, answer->then_context);
}

static void answer_chunk(void *context, struct duress_call *call, struct duress_message *chunk)
{
    struct rig_answer *answer = context;
    assert_false(answer->asking);
    assert_int_equal(answer->ended, 0);
    struct duress_slice content = duress_message_content(chunk);
    size_t length = strlen(answer->chunks);
    (void)snprintf(answer->chunks + length, sizeof answer->chunks - length, "%.*s,", (int)content.length,
                   (const char *)content.data);
    answer->chunk_count++;
    if (answer->chunk_count == answer->cancel_after_chunk)
        duress_call_cancel(call);
}

int rig_try_ask(struct duress_agent *agent, const char *text, uint64_t deadline_ns, bool idempotent, bool streaming,
                struct rig_answer *answer)
{
    struct duress_message *request = NULL;
    struct duress_message_options options = {
        .content = duress_slice_text(text),
        .allocator = duress_world_allocator(duress_agent_world(agent)),
    };
    int error = duress_message_new(&options, &request);
    if (error != DURESS_OK)
        return error;
    struct duress_ask ask = {
        .request = request,
        .deadline_ns = deadline_ns,
        .idempotent = idempotent,
        .on_end = answer_ended,
        .on_chunk = streaming ? answer_chunk : NULL,
        .context = answer,
    };
    answer->asking = true;
    error = duress_agent_ask(agent, &ask, &answer->call);
    answer->asking = false;
    duress_message_unref(request);
    return error;
}

void rig_ask_by(struct duress_agent *agent, const char *text, uint64_t deadline_ns, bool idempotent,
                struct rig_answer *answer)
{
    assert_int_equal(rig_try_ask(agent, text, deadline_ns, idempotent, false, answer), DURESS_OK);
}

void rig_ask(struct duress_agent *agent, const char *text, struct rig_answer *answer)
{
    rig_ask_by(agent, text, 0, false, answer);
}

void rig_ask_stream(struct duress_agent *agent, const char *text, uint64_t deadline_ns, struct rig_answer *answer)
{
    assert_int_equal(rig_try_ask(agent, text, deadline_ns, false, true, answer), DURESS_OK);
}

/* --- the network --- */

void rig_open(struct rig *rig, uint64_t seed)
{
    *rig = (struct rig){.server = NULL};
    probe_heap_init(&rig->heap, UINT64_MAX);
    struct duress_sim_options options = {.allocator = &rig->heap.allocator, .seed = seed};
    assert_int_equal(duress_sim_new(&options, &rig->sim, NULL), DURESS_OK);
    assert_int_equal(duress_sim_host_new(rig->sim, "client", &rig->client_host), DURESS_OK);
    assert_int_equal(duress_sim_host_new(rig->sim, "server", &rig->server_host), DURESS_OK);
    rig->client = duress_sim_host_world(rig->client_host);
    rig->server_world = duress_sim_host_world(rig->server_host);
    rig_service_open(&rig->service, rig->server_world, "service");
}

void rig_serve(struct rig *rig, const struct duress_server_options *options)
{
    struct duress_server_options complete = {.world = rig->server_world};
    if (options != NULL)
        complete = *options;
    complete.world = rig->server_world;
    complete.agent = rig->service.agent;
    complete.address = duress_sim_host_address(rig->server_host, RIG_PORT);
    struct duress_failure why = {.code = DURESS_OK};
    assert_int_equal(duress_server_new(&complete, &rig->server, &why), DURESS_OK);
}

struct duress_agent *rig_remote(struct rig *rig, const struct duress_remote_options *options)
{
    struct duress_remote_options complete = {.endpoint = NULL};
    struct duress_agent *agent = NULL;
    if (options != NULL)
        complete = *options;
    complete.world = rig->client;
    if (complete.endpoint == NULL)
        complete.endpoint = "tcp://server:7000";
    assert_int_equal(duress_remote_new(&complete, &agent, NULL), DURESS_OK);
    return agent;
}

void rig_close(struct rig *rig)
{
    duress_server_free(rig->server);
    rig_service_close(&rig->service);
    duress_sim_free(rig->sim);
    assert_int_equal(rig->heap.live_count, 0);
}

uint64_t rig_now_ns(const struct rig *rig)
{
    return duress_sim_now_ns(rig->sim);
}

static bool never(void *context)
{
    (void)context;
    return false;
}

static bool answer_has_ended(void *context)
{
    return ((const struct rig_answer *)context)->ended > 0;
}

static void tick(void *context)
{
    *(bool *)context = true;
}

static bool tick_is_over(void *context)
{
    return *(const bool *)context;
}

/* A timer of its own carries the time on where nothing else would happen. */
void rig_run_for(struct rig *rig, uint64_t duration_ns)
{
    bool over = false;
    struct duress_timer timer;
    duress_timer_init(&timer, tick, &over);
    duress_world_arm(rig->client, &timer, duress_time_add(rig_now_ns(rig), duration_ns));
    assert_int_equal(duress_sim_run_until(rig->sim, tick_is_over, &over, DURESS_TIME_NEVER), DURESS_OK);
}

void rig_run_until_ended(struct rig *rig, struct rig_answer *answer)
{
    assert_int_equal(duress_sim_run_until(rig->sim, answer_has_ended, answer, DURESS_TIME_NEVER), DURESS_OK);
}

void rig_run_dry(struct rig *rig)
{
    assert_int_equal(duress_sim_run_until(rig->sim, never, NULL, DURESS_TIME_NEVER), DURESS_E_END);
}

/* --- raw peers --- */

static void raw_note(struct rig_raw *raw, const struct duress_envelope *envelope)
{
    raw->envelopes++;
    raw->last_type = envelope->type;
    (void)snprintf(raw->last_id, sizeof raw->last_id, "%.*s", (int)envelope->id.length,
                   (const char *)envelope->id.data);
    if (envelope->type == DURESS_ENVELOPE_ERROR)
        (void)snprintf(raw->last_text, sizeof raw->last_text, "%.*s: %.*s", (int)envelope->error_code.length,
                       (const char *)envelope->error_code.data, (int)envelope->error_message.length,
                       (const char *)envelope->error_message.data);
    else
        (void)snprintf(raw->last_text, sizeof raw->last_text, "%.*s", (int)envelope->content.length,
                       envelope->content.length > 0 ? (const char *)envelope->content.data : "");
    (void)snprintf(raw->last_details, sizeof raw->last_details, "%.*s", (int)envelope->error_details.length,
                   envelope->error_details.length > 0 ? (const char *)envelope->error_details.data : "");
}

static void raw_feed(struct rig_raw *raw, struct duress_slice input)
{
    struct duress_slice frame;
    struct duress_stream *stream = raw->stream;
    while (raw->stream == stream && duress_frame_reader_next(&raw->reader, &input, &frame) == DURESS_OK) {
        struct duress_envelope envelope;
        assert_int_equal(duress_envelope_decode(frame, NULL, &raw->scratch, &envelope, NULL), DURESS_OK);
        raw_note(raw, &envelope);
        if (raw->on_envelope != NULL)
            raw->on_envelope(raw->context, raw, &envelope);
    }
}

static void raw_event(void *context, struct duress_stream *stream, unsigned events)
{
    struct rig_raw *raw = context;
    uint8_t bytes[4096];
    if (stream != raw->stream)
        return;
    if (events & DURESS_STREAM_CONNECTED)
        raw->connected = true;
    if (!(events & (DURESS_STREAM_READABLE | DURESS_STREAM_HANGUP)) || raw->deaf)
        return;
    size_t count = 0;
    int error = duress_stream_read(stream, bytes, sizeof bytes, &count);
    if (error == DURESS_E_AGAIN)
        return;
    raw->ended = raw->ended || error == DURESS_E_END;
    raw->was_reset = raw->was_reset || error == DURESS_E_RESET;
    if (error != DURESS_OK) {
        duress_stream_want(stream, 0);
        return;
    }
    raw->bytes += count;
    raw_feed(raw, duress_slice_bytes(bytes, count));
}

static void raw_take(struct rig_raw *raw, struct duress_stream *stream)
{
    if (raw->stream != NULL)
        duress_stream_close(raw->stream);
    duress_frame_reader_close(&raw->reader);
    raw->stream = stream;
    raw->ended = false;
    raw->was_reset = false;
}

static void raw_accepted(void *context, struct duress_stream *stream)
{
    struct rig_raw *raw = context;
    raw->accepted++;
    raw_take(raw, stream);
    duress_stream_handle(stream, raw_event, raw);
    duress_stream_want(stream, raw->deaf ? 0 : DURESS_STREAM_READABLE);
}

static void raw_ready(struct rig_raw *raw, struct duress_world *world)
{
    *raw = (struct rig_raw){.world = world};
    duress_frame_reader_init(&raw->reader, 0, duress_world_allocator(world));
    duress_buffer_init(&raw->scratch, 0, duress_world_allocator(world));
}

void rig_raw_listen(struct rig_raw *raw, struct rig *rig, rig_raw_fn on_envelope, void *context)
{
    raw_ready(raw, rig->server_world);
    raw->on_envelope = on_envelope;
    raw->context = context;
    struct duress_listen_options options = {.address = duress_sim_host_address(rig->server_host, RIG_RAW_PORT)};
    assert_int_equal(duress_world_listen(raw->world, &options, raw_accepted, raw, &raw->listener), DURESS_OK);
}

static bool raw_is_connected(void *context)
{
    return ((const struct rig_raw *)context)->connected;
}

void rig_raw_connect(struct rig_raw *raw, struct rig *rig)
{
    raw_ready(raw, rig->client);
    struct duress_address address = duress_sim_host_address(rig->server_host, RIG_PORT);
    assert_int_equal(duress_world_connect(raw->world, &address, raw_event, raw, &raw->stream), DURESS_OK);
    assert_int_equal(duress_sim_run_until(rig->sim, raw_is_connected, raw, rig_now_ns(rig) + DURESS_S), DURESS_OK);
    duress_stream_want(raw->stream, DURESS_STREAM_READABLE);
}

void rig_raw_close(struct rig_raw *raw)
{
    if (raw->listener != NULL)
        duress_listener_close(raw->listener);
    if (raw->stream != NULL)
        duress_stream_close(raw->stream);
    raw->stream = NULL;
    duress_frame_reader_close(&raw->reader);
    duress_buffer_close(&raw->scratch);
}

void rig_raw_send(struct rig_raw *raw, const void *bytes, size_t length)
{
    size_t count = 0;
    struct duress_slice slice = duress_slice_bytes(bytes, length);
    if (length == 0)
        return;
    assert_int_equal(duress_stream_write(raw->stream, &slice, 1, &count), DURESS_OK);
    assert_int_equal(count, length);
}

void rig_raw_send_text(struct rig_raw *raw, const char *body)
{
    size_t length = strlen(body);
    uint8_t head[4] = {(uint8_t)(length >> 24), (uint8_t)(length >> 16), (uint8_t)(length >> 8), (uint8_t)length};
    rig_raw_send(raw, head, sizeof head);
    rig_raw_send(raw, body, length);
}

void rig_raw_send_envelope(struct rig_raw *raw, const struct duress_envelope *envelope)
{
    struct duress_buffer buffer;
    duress_buffer_init(&buffer, 0, NULL);
    assert_int_equal(duress_envelope_encode_framed(envelope, NULL, &buffer, NULL), DURESS_OK);
    struct duress_slice all = duress_buffer_slice(&buffer);
    rig_raw_send(raw, all.data, all.length);
    duress_buffer_close(&buffer);
}

void rig_raw_send_request(struct rig_raw *raw, const char *id, const char *method, const char *content)
{
    struct duress_envelope envelope = {
        .type = DURESS_ENVELOPE_REQUEST,
        .id = duress_slice_text(id),
        .method = duress_slice_text(method),
        .role = duress_slice_text("user"),
        .content = duress_slice_text(content),
    };
    rig_raw_send_envelope(raw, &envelope);
}

void rig_raw_reply(struct rig_raw *raw, enum duress_envelope_type type, struct duress_slice id, const char *content)
{
    struct duress_envelope envelope = {
        .type = type,
        .id = id,
        .role = duress_slice_text("agent"),
        .content = duress_slice_text(content),
    };
    rig_raw_send_envelope(raw, &envelope);
}

void rig_raw_reply_error(struct rig_raw *raw, struct duress_slice id, const char *code, const char *message,
                         const char *details)
{
    struct duress_envelope envelope = {
        .type = DURESS_ENVELOPE_ERROR,
        .id = id,
        .error_code = duress_slice_text(code),
        .error_message = duress_slice_text(message),
        .error_details = duress_slice_text(details),
    };
    rig_raw_send_envelope(raw, &envelope);
}

void rig_raw_fin(struct rig_raw *raw)
{
    duress_stream_shutdown(raw->stream);
}

void rig_raw_rst(struct rig_raw *raw)
{
    struct duress_stream *stream = raw->stream;
    raw->stream = NULL;
    duress_stream_abort(stream);
}
