/* SPDX-License-Identifier: Apache-2.0
 *
 * A program with a libuv loop of its own, which duress shares: the loop's timer ticks while a call waits for its retry.
 */
#include <stdio.h>

#include <duress/agent/function.h>
#include <duress/middleware/stack.h>
#include <duress/world/live.h>
#include <uv.h>

struct program {
    uv_timer_t ticker;
    unsigned tick_count;
    unsigned asked_count;
    bool ended;
};

static void ticked(uv_timer_t *ticker)
{
    struct program *program = ticker->data;
    program->tick_count++;
    if (program->ended)
        uv_close((uv_handle_t *)ticker, NULL);
}

/* Refuses the first attempt. */
static int service(void *context, struct duress_message *request, struct duress_message **reply,
                   struct duress_failure *failure)
{
    struct program *program = context;
    (void)failure;
    if (++program->asked_count == 1)
        return DURESS_E_REFUSED;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static void ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct program *program = context;
    (void)call;
    (void)printf("%s after %u attempts, while the loop's own timer ticked %s\n",
                 result->error == DURESS_OK ? "answered" : duress_strerror(result->error), program->asked_count,
                 program->tick_count > 0 ? "on" : "not once");
    program->ended = true;
}

int main(void)
{
    uv_loop_t loop;
    struct program program = {.ended = false};
    struct duress_world_live_options options = {.loop = &loop};
    struct duress_retry_options retry = {.backoff_ns = 100 * DURESS_MS, .jitter = DURESS_JITTER_NONE};
    struct duress_stack_options layers = {.retry = &retry};
    struct duress_world *world;
    struct duress_agent *agent;
    struct duress_agent *stack;
    struct duress_message *request;
    if (uv_loop_init(&loop) != 0 || uv_timer_init(&loop, &program.ticker) != 0 ||
        duress_world_live_new(&options, &world, NULL) != DURESS_OK ||
        duress_function_new(world, "service", service, &program, &agent) != DURESS_OK ||
        duress_stack_new(agent, &layers, &stack, NULL) != DURESS_OK ||
        duress_message_text("hello", &request) != DURESS_OK)
        return 1;
    program.ticker.data = &program;
    struct duress_ask ask = {.request = request, .idempotent = true, .on_end = ended, .context = &program};
    if (uv_timer_start(&program.ticker, ticked, 5, 5) != 0 || duress_agent_ask(stack, &ask, NULL) != DURESS_OK)
        return 1;
    while (!program.ended)
        (void)uv_run(&loop, UV_RUN_ONCE);
    duress_message_unref(request);
    duress_agent_unref(stack);
    duress_agent_unref(agent);
    duress_world_free(world);
    (void)uv_run(&loop, UV_RUN_DEFAULT); /* until the ticker has closed, and the world's handles */
    return uv_loop_close(&loop) == 0 ? 0 : 1;
}
