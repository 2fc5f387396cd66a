/* SPDX-License-Identifier: Apache-2.0
 *
 * duress agent ask. */
#include "agent.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <duress/agent_tool/agents.h>
#include <duress/agent_tool/asking.h>
#include <duress/agent_tool/signals.h>
#include <duress/world/live.h>

#include "agent_ask_options.h"
#include "agent_ask_report.h"

#define MESSAGE_BYTES_MAX ((size_t)10 * 1024 * 1024) /* what the transports take */

struct asker {
    struct ask_options options;
    struct ask_report report;
    struct duress_world *world;
    struct duress_agent *stack;
    struct duress_message *request;
    struct duress__asking *asking;
    struct duress__signals *signals;
    int interrupted_by; /* a signal, or 0 */
    bool output_lost;
};

static int asker_refuse(const struct asker *asker, const char *what, int error, const struct duress_failure *why)
{
    bool has_detail = why->code != DURESS_OK && why->detail[0] != '\0';
    (void)fprintf(stderr, "%s: %s: %s\n", asker->options.program, what,
                  has_detail ? why->detail : duress_strerror(error));
    return error == DURESS_E_INVALID ? AGENT_EXIT_USAGE : AGENT_EXIT_FAILED;
}

/* --- the message --- */

/* All of standard input. NULL where it cannot be read, or is too long; *error says which. */
static char *input_read(size_t *length, int *error)
{
    char *text = malloc(MESSAGE_BYTES_MAX + 1);
    *error = DURESS_E_NO_MEMORY;
    if (text == NULL)
        return NULL;
    *length = fread(text, 1, MESSAGE_BYTES_MAX + 1, stdin);
    *error = ferror(stdin) ? DURESS_E_SYSTEM : *length > MESSAGE_BYTES_MAX ? DURESS_E_TOO_LARGE : DURESS_OK;
    if (*error == DURESS_OK)
        return text;
    free(text);
    return NULL;
}

static int request_make(struct asker *asker)
{
    char *input = NULL;
    struct duress_message_options message = {.content = duress_slice_text(asker->options.message)};
    if (strcmp(asker->options.message, "-") == 0) {
        int error;
        size_t length;
        input = input_read(&length, &error);
        if (input == NULL)
            return asker_refuse(asker, "standard input", error, &(struct duress_failure){.code = DURESS_OK});
        message.content = duress_slice_bytes(input, length);
    }
    message.timestamp_ns = duress_world_wall_ns(asker->world);
    int error = duress_message_new(&message, &asker->request);
    free(input);
    return error == DURESS_OK ? AGENT_EXIT_OK
                              : asker_refuse(asker, "the message", error, &(struct duress_failure){.code = DURESS_OK});
}

/* --- the stack --- */

static int stack_make(struct asker *asker)
{
    const struct ask_options *options = &asker->options;
    struct duress_failure why = {.code = DURESS_OK};
    struct duress__url_agent_options url = {
        .world = asker->world,
        .url = options->url,
        .headers = options->headers,
        .header_count = options->header_count,
        .connect_timeout_ns = options->connect_timeout_ns,
        /* A hedge takes a second one. */
        .connections_max = options->concurrency * (options->stack.hedge != NULL ? 2 : 1),
        .insecure_accept_any_certificate = options->insecure,
        .ca_file = options->ca_file,
    };
    struct duress_agent *agent = NULL;
    int error = duress__url_agent_new(&url, &agent, &why);
    if (error != DURESS_OK)
        return asker_refuse(asker, options->url, error, &why);
    error = duress_stack_new(agent, &options->stack, &asker->stack, &why);
    duress_agent_unref(agent);
    return error == DURESS_OK ? AGENT_EXIT_OK : asker_refuse(asker, "the layers", error, &why);
}

/* --- the calls --- */

/* Where nobody reads the answers, no further ones are needed. */
static void output_check(struct asker *asker)
{
    if (asker->output_lost || !ferror(stdout))
        return;
    asker->output_lost = true;
    duress__asking_stop(asker->asking);
}

static void call_ended(void *context, uint64_t number, const struct duress_result *result)
{
    struct asker *asker = context;
    ask_report_end(&asker->report, number, result);
    output_check(asker);
}

static void call_chunk(void *context, uint64_t number, struct duress_message *chunk)
{
    struct asker *asker = context;
    ask_report_chunk(&asker->report, number, chunk);
    output_check(asker);
}

static void signal_came(void *context, int number)
{
    struct asker *asker = context;
    asker->interrupted_by = number;
    duress__asking_stop(asker->asking);
}

static int asker_run(struct asker *asker)
{
    const struct ask_options *options = &asker->options;
    struct duress__asking_options asking = {
        .agent = asker->stack,
        .request = asker->request,
        .repeat_count = options->repeat_count,
        .concurrency = options->concurrency,
        .limit_ns = options->deadline_ns,
        .idempotent = options->idempotent,
        .on_answer = call_ended,
        .on_chunk = options->stream ? call_chunk : NULL,
        .context = asker,
    };
    struct duress_failure why = {.code = DURESS_OK};
    int error = duress__asking_new(&asking, &asker->asking);
    if (error == DURESS_OK)
        error = duress__signals_new(asker->world, signal_came, asker, &asker->signals);
    if (error != DURESS_OK)
        return asker_refuse(asker, "asking", error, &why);
    uint64_t begun_ns = duress_world_now_ns(asker->world);
    duress__asking_run(asker->asking);
    if (fflush(stdout) != 0 || ferror(stdout))
        asker->output_lost = true;
    ask_report_table(&asker->report, asker->stack, duress_world_now_ns(asker->world) - begun_ns);
    if (asker->output_lost)
        (void)fprintf(stderr, "%s: cannot write to standard output\n", options->program);
    if (asker->interrupted_by != 0)
        return asker->interrupted_by == SIGINT ? AGENT_EXIT_INTERRUPTED : 128 + asker->interrupted_by;
    return asker->report.failures > 0 || asker->output_lost ? AGENT_EXIT_FAILED : AGENT_EXIT_OK;
}

int agent_ask(int argc, char **argv)
{
    static struct asker asker; /* some of it is too large for the stack */
    if (!ask_options_read(&asker.options, argc, argv))
        return agent_usage(argv[0]);
    if (asker.options.help) {
        ask_help_print(stdout, argv[0]);
        return AGENT_EXIT_OK;
    }
    asker.report = (struct ask_report){
        .program = argv[0],
        .json = asker.options.json,
        .quiet = asker.options.quiet,
        .streams = asker.options.stream,
    };
    struct duress_failure why = {.code = DURESS_OK};
    int error = duress_world_live_new(NULL, &asker.world, &why);
    if (error != DURESS_OK)
        return asker_refuse(&asker, "the world", error, &why);
    int code = request_make(&asker);
    if (code == AGENT_EXIT_OK)
        code = stack_make(&asker);
    if (code == AGENT_EXIT_OK)
        code = asker_run(&asker);
    duress__signals_free(asker.signals);
    duress__asking_free(asker.asking);
    duress_agent_unref(asker.stack);
    duress_message_unref(asker.request);
    duress_world_free(asker.world);
    return code;
}
