/* SPDX-License-Identifier: Apache-2.0
 *
 * The command agent: a program started for each call, its three pipes and its end watched by libuv. */
#include <duress/agent_tool/agents.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <uv.h>

#include <duress/agent/implement.h>
#include <duress/world/live.h>

#include "command_process.h"

enum { READ_BYTES = 65536, LINE_BYTES_MAX = 120 };

struct command_agent {
    struct duress_agent base;
    const char *const *arguments;
    size_t output_bytes_max;
};

enum watch_kind {
    WATCH_INPUT,
    WATCH_OUTPUT,
    WATCH_ERROR,
    WATCH_KEEPER,
    WATCHES,
};

struct command_run;

struct watch {
    uv_poll_t poll;
    struct command_run *run;
    int fd; /* -1: closed */
};

/* A program under way. It outlives its call where that is given up: until the keeper is gone. */
struct command_run {
    struct command_agent *agent; /* a reference */
    struct duress_call *call;    /* NULL: it has ended, or was given up */
    struct duress_message *request;
    size_t written;
    struct command_process process;
    bool ended; /* the keeper was reaped, with |status| */
    int status;
    struct watch watches[WATCHES];
    size_t handles_open;
    uint8_t *output; /* of a stream: what belongs to no whole line yet */
    size_t length;
    size_t capacity;
    struct duress_message *chunk; /* the last one of a stream */
    char line[LINE_BYTES_MAX];    /* the last line of standard error that is not empty; cut */
    size_t line_length;
    bool line_ended;
};

static size_t running_count; /* of the process, as its children are */

size_t duress__command_agents_running(void)
{
    return running_count;
}

/* --- watching --- */

static void run_free(struct command_run *run)
{
    struct duress_agent *agent = &run->agent->base;
    duress_message_unref(run->request);
    duress_message_unref(run->chunk);
    duress_release(agent->allocator, run->output);
    duress_release(agent->allocator, run);
    running_count--;
    duress_agent_unref(agent);
}

static void watch_closed(uv_handle_t *handle)
{
    struct command_run *run = ((struct watch *)handle->data)->run;
    if (--run->handles_open == 0)
        run_free(run);
}

static void watch_close(struct watch *watch)
{
    if (watch->fd < 0)
        return;
    (void)uv_poll_stop(&watch->poll);
    (void)close(watch->fd);
    watch->fd = -1;
    uv_close((uv_handle_t *)&watch->poll, watch_closed);
}

/* Once the keeper was reaped, its number may be another process's. */
static void run_kill(struct command_run *run)
{
    if (!run->ended)
        command_process_kill(&run->process);
}

/* --- the end of the call --- */

static void run_fail(struct command_run *run, const struct duress_failure *failure)
{
    struct duress_call *call = run->call;
    run->call = NULL;
    duress_call_fail(call, failure);
}

/* Ends the call with a failure while the program is still running. */
static void run_give_up(struct command_run *run, enum duress_error code, const char *detail)
{
    struct duress_failure failure;
    duress_failure_set(&failure, code, DURESS_ORIGIN_AGENT, "%s", detail);
    failure.ambiguous = true;
    run_kill(run);
    watch_close(&run->watches[WATCH_INPUT]);
    watch_close(&run->watches[WATCH_OUTPUT]);
    run_fail(run, &failure);
}

static void run_fail_by_status(struct command_run *run)
{
    struct duress_failure failure;
    char how[64];
    if (WIFSIGNALED(run->status))
        (void)snprintf(how, sizeof how, "killed by signal %d (%s)", WTERMSIG(run->status),
                       strsignal(WTERMSIG(run->status)));
    else
        (void)snprintf(how, sizeof how, "exit code %d", WEXITSTATUS(run->status));
    duress_failure_set(&failure, DURESS_E_REMOTE, DURESS_ORIGIN_AGENT, "%s%s%.*s", how,
                       run->line_length > 0 ? ": " : "", (int)run->line_length, run->line);
    run_fail(run, &failure);
}

/* NULL where memory is out. */
static struct duress_message *run_message(const struct command_run *run, size_t length)
{
    struct duress_message *message = NULL;
    struct duress_message_options options = {
        .role = duress_slice_text("agent"),
        .content = duress_slice_bytes(run->output, length),
        .allocator = run->agent->base.allocator,
    };
    return duress_message_new(&options, &message) == DURESS_OK ? message : NULL;
}

/* Hands up the first |length| bytes of the output as a chunk. False where the call is over. */
static bool run_emit(struct command_run *run, size_t length)
{
    struct duress_message *chunk = run_message(run, length);
    if (chunk == NULL) {
        run_give_up(run, DURESS_E_NO_MEMORY, "no memory for a chunk of the reply");
        return false;
    }
    duress_message_unref(run->chunk);
    run->chunk = chunk;
    run->length -= length;
    memmove(run->output, run->output + length, run->length);
    duress_call_emit(run->call, chunk);
    return run->call != NULL && duress_call_is_live(run->call);
}

static void run_reply(struct command_run *run)
{
    if (run->call->streaming && run->length > 0 && !run_emit(run, run->length))
        return;
    struct duress_message *reply = run->chunk != NULL ? duress_message_ref(run->chunk) : run_message(run, run->length);
    struct duress_call *call = run->call;
    run->call = NULL;
    if (reply != NULL) {
        duress_call_reply(call, reply);
        duress_message_unref(reply);
        return;
    }
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_NO_MEMORY, DURESS_ORIGIN_AGENT, "no memory for the reply");
    failure.ambiguous = true;
    duress_call_fail(call, &failure);
}

/* The program has ended and its output is at its end: so is the call. */
static void run_end_if_due(struct command_run *run)
{
    if (run->call == NULL || !run->ended || run->watches[WATCH_OUTPUT].fd >= 0)
        return;
    if (WIFEXITED(run->status) && WEXITSTATUS(run->status) == 0)
        run_reply(run);
    else
        run_fail_by_status(run);
}

/* --- standard input --- */

static void input_ready(struct command_run *run)
{
    struct watch *watch = &run->watches[WATCH_INPUT];
    struct duress_slice content = duress_message_content(run->request);
    while (run->written < content.length) {
        ssize_t count = write(watch->fd, content.data + run->written, content.length - run->written);
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0 && errno == EAGAIN)
            return;
        if (count < 0)
            break; /* EPIPE: it reads no further, and that is its own matter */
        run->written += (size_t)count;
    }
    watch_close(watch);
}

/* --- standard output --- */

/* Room for READ_BYTES more. False where there is none to be had. */
static bool output_reserve(struct command_run *run)
{
    if (run->capacity - run->length >= READ_BYTES)
        return true;
    size_t capacity = run->capacity < READ_BYTES ? READ_BYTES : 2 * run->capacity;
    uint8_t *output = duress_reallocate(run->agent->base.allocator, run->output, capacity);
    if (output == NULL)
        return false;
    run->output = output;
    run->capacity = capacity;
    return true;
}

/* False where |length| bytes of output are too many: then the call is over. */
static bool output_is_allowed(struct command_run *run, size_t length)
{
    if (length <= run->agent->output_bytes_max)
        return true;
    char detail[64];
    (void)snprintf(detail, sizeof detail, "more than %zu bytes of output", run->agent->output_bytes_max);
    run_give_up(run, DURESS_E_TOO_LARGE, detail);
    return false;
}

/* Hands up the lines that are whole, of which the newest bytes begin at |from|. False where the call is over. */
static bool lines_emit(struct command_run *run, size_t from)
{
    const uint8_t *end;
    while (run->length > from && (end = memchr(run->output + from, '\n', run->length - from)) != NULL) {
        size_t length = (size_t)(end - run->output) + 1;
        if (!output_is_allowed(run, length) || !run_emit(run, length))
            return false;
        from = 0;
    }
    return true;
}

/* Reads once. False where there is nothing to be read now, or ever. */
static bool output_read(struct command_run *run)
{
    struct watch *watch = &run->watches[WATCH_OUTPUT];
    if (!output_reserve(run)) {
        run_give_up(run, DURESS_E_NO_MEMORY, "no memory for the reply");
        return false;
    }
    ssize_t count = read(watch->fd, run->output + run->length, READ_BYTES);
    if (count < 0 && (errno == EAGAIN || errno == EINTR))
        return false;
    if (count <= 0) {
        watch_close(watch);
        if (!run->ended)
            command_process_release(&run->process);
        return false;
    }
    size_t from = run->length;
    run->length += (size_t)count;
    if (run->call->streaming && !lines_emit(run, from))
        return false;
    if (!output_is_allowed(run, run->length))
        return false;
    return count == READ_BYTES;
}

static void output_ready(struct command_run *run)
{
    while (run->call != NULL && output_read(run))
        continue;
    run_end_if_due(run);
}

/* --- standard error --- */

static void line_note(struct command_run *run, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] == '\n') {
            run->line_ended = true;
            continue;
        }
        if (run->line_ended)
            run->line_length = 0;
        run->line_ended = false;
        if (run->line_length < sizeof run->line)
            run->line[run->line_length++] = bytes[i];
    }
}

/* Passes it through, and keeps its last line. Whether our own standard error takes it is not the program's matter. */
static void error_ready(struct command_run *run)
{
    struct watch *watch = &run->watches[WATCH_ERROR];
    char bytes[4096];
    ssize_t count;
    while ((count = read(watch->fd, bytes, sizeof bytes)) > 0) {
        line_note(run, bytes, (size_t)count);
        for (ssize_t written = 0, some = 0; written < count; written += some) {
            some = write(STDERR_FILENO, bytes + written, (size_t)(count - written));
            if (some <= 0)
                break;
        }
    }
    if (count == 0 || (errno != EAGAIN && errno != EINTR))
        watch_close(watch);
}

/* --- the keeper's end --- */

static void keeper_ready(struct command_run *run)
{
    run->status = command_process_reap(&run->process);
    run->ended = true;
    if (run->watches[WATCH_ERROR].fd >= 0)
        error_ready(run);
    watch_close(&run->watches[WATCH_INPUT]);
    watch_close(&run->watches[WATCH_ERROR]);
    watch_close(&run->watches[WATCH_KEEPER]);
    run_end_if_due(run);
}

static void watch_spoke(uv_poll_t *poll, int status, int events)
{
    static void (*const ready[WATCHES])(struct command_run *) = {
        [WATCH_INPUT] = input_ready,
        [WATCH_OUTPUT] = output_ready,
        [WATCH_ERROR] = error_ready,
        [WATCH_KEEPER] = keeper_ready,
    };
    struct watch *watch = poll->data;
    struct command_run *run = watch->run;
    (void)status; /* An error of a pipe is met again by the read or the write. */
    (void)events;
    ready[watch - run->watches](run);
}

/* --- the agent --- */

/* All handles or none. */
static int watches_open(struct command_run *run, uv_loop_t *loop)
{
    const int fds[WATCHES] = {run->process.input_fd, run->process.output_fd, run->process.error_fd,
                              run->process.keeper_fd};
    int status = 0;
    for (size_t i = 0; i < WATCHES; i++) {
        struct watch *watch = &run->watches[i];
        *watch = (struct watch){.run = run, .fd = -1};
        if (status == 0)
            status = uv_poll_init(loop, &watch->poll, fds[i]);
        if (status != 0) {
            (void)close(fds[i]);
            continue;
        }
        watch->fd = fds[i];
        watch->poll.data = watch;
        run->handles_open++;
        status = uv_poll_start(&watch->poll, i == WATCH_INPUT ? UV_WRITABLE : UV_READABLE, watch_spoke);
    }
    return status;
}

static void process_fail(struct duress_call *call, int error, const char *what)
{
    struct duress_failure failure;
    duress_failure_set(&failure, (enum duress_error)error, DURESS_ORIGIN_AGENT, "%s", what);
    failure.ambiguous = false;
    duress_call_fail(call, &failure);
}

static void command_process(struct duress_agent *agent, struct duress_call *call)
{
    struct command_agent *self = (struct command_agent *)agent;
    struct command_run *run = duress_allocate_zeroed(agent->allocator, 1, sizeof *run);
    if (run == NULL) {
        process_fail(call, DURESS_E_NO_MEMORY, "no memory for a program");
        return;
    }
    int error = command_process_start(self->arguments, &run->process);
    if (error != DURESS_OK) {
        duress_release(agent->allocator, run);
        process_fail(call, error, "the program cannot be started");
        return;
    }
    run->agent = (struct command_agent *)duress_agent_ref(agent);
    run->request = duress_message_ref(call->request);
    running_count++;
    if (watches_open(run, duress_world_live_uv_loop(agent->world)) != 0) {
        /* Rare, and not worth a second way to wait. */
        command_process_kill(&run->process);
        (void)command_process_reap(&run->process);
        process_fail(call, DURESS_E_NO_DESCRIPTORS, "the program cannot be watched");
        bool nothing_open = run->handles_open == 0;
        for (size_t i = 0; i < WATCHES; i++)
            watch_close(&run->watches[i]);
        if (nothing_open)
            run_free(run);
        return;
    }
    run->call = call;
    call->state = run;
    duress_call_mark_stage(call, DURESS_ORIGIN_AGENT);
    duress_call_mark_sent(call);
}

static void command_cancel(struct duress_agent *agent, struct duress_call *call)
{
    struct command_run *run = call->state;
    (void)agent;
    run->call = NULL;
    run_kill(run);
    watch_close(&run->watches[WATCH_INPUT]);
    watch_close(&run->watches[WATCH_OUTPUT]);
}

static void command_free(struct duress_agent *agent)
{
    duress_release(agent->allocator, agent);
}

static const struct duress_agent_ops command_ops = {command_process, command_cancel, command_free};

int duress__command_agent_new(const struct duress__command_options *options, struct duress_agent **agent)
{
    if (options->arguments == NULL || options->arguments[0] == NULL)
        return DURESS_E_INVALID;
    if (duress_world_live_uv_loop(options->world) == NULL)
        return DURESS_E_UNSUPPORTED;
    struct command_agent *made = duress_allocate_zeroed(duress_world_allocator(options->world), 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    duress_agent_init(&made->base, &command_ops, options->world, NULL, options->arguments[0]);
    made->arguments = options->arguments;
    made->output_bytes_max =
        options->output_bytes_max != 0 ? options->output_bytes_max : DURESS__COMMAND_OUTPUT_BYTES_MAX_DEFAULT;
    *agent = &made->base;
    return DURESS_OK;
}
