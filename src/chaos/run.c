/* SPDX-License-Identifier: Apache-2.0
 *
 * One run of one test in one world: set up, body, taking down, verdict. */
#include "internal.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* How long a run may take to come to rest after its body: timeouts of the test's own agents have ended by then. */
#define RUN_REST_NS (30 * DURESS_S)
/* How long past its deadline a call may take before the run is failed instead of hanging. */
#define CALL_OVERRUN_NS (20 * DURESS_S)

/* --- memory: counted, so that a run that leaks is a run that fails --- */

static void *heap_allocate(void *context, size_t bytes)
{
    struct chaos_heap *heap = context;
    void *memory = duress_allocate(NULL, bytes);
    heap->live_count += memory != NULL;
    return memory;
}

static void *heap_reallocate(void *context, void *memory, size_t bytes)
{
    struct chaos_heap *heap = context;
    void *grown = duress_reallocate(NULL, memory, bytes);
    heap->live_count += grown != NULL && memory == NULL;
    return grown;
}

static void heap_release(void *context, void *memory)
{
    struct chaos_heap *heap = context;
    heap->live_count -= memory != NULL;
    duress_release(NULL, memory);
}

void *chaos__allocate(struct chaos *chaos, size_t bytes)
{
    void *memory = duress_allocate_zeroed(&chaos->heap.allocator, 1, bytes);
    if (memory == NULL) {
        struct duress_failure why;
        duress_failure_set(&why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_NONE, NULL);
        chaos__broken(chaos, "allocate", &why);
    }
    return memory;
}

/* --- time --- */

struct duress_world *chaos_world(struct chaos *chaos)
{
    return chaos->world;
}

bool chaos_is_live(const struct chaos *chaos)
{
    return chaos->driver->is_live;
}

uint64_t chaos_now_ns(struct chaos *chaos)
{
    return duress_world_now_ns(chaos->world);
}

uint64_t chaos_slack_ns(struct chaos *chaos)
{
    return chaos->driver->slack_ns(chaos);
}

uint64_t chaos_draw(struct chaos *chaos, uint64_t low, uint64_t high)
{
    return chaos->seed == 0 ? low : duress_prng_between(&chaos->prng, low, high);
}

struct run_wait {
    struct chaos *chaos;
    duress_done_fn done;
    void *context;
};

/* An expectation that failed in a callback ends every wait. */
static bool wait_is_over(void *context)
{
    const struct run_wait *wait = context;
    return wait->chaos->outcome->verdict != CHAOS_PASSED || (wait->done != NULL && wait->done(wait->context));
}

/* What another process did is seen by looking: live waits look every few milliseconds. */
#define LOOK_NS (2 * DURESS_MS)

struct run_look {
    struct duress_timer timer;
    struct duress_world *world;
};

static void look_again(void *context)
{
    struct run_look *look = context;
    duress_world_arm(look->world, &look->timer, duress_world_now_ns(look->world) + LOOK_NS);
}

static bool run_loop(struct chaos *chaos, duress_done_fn done, void *context, uint64_t deadline_ns)
{
    struct run_wait wait = {chaos, done, context};
    struct run_look look = {.world = chaos->world};
    duress_timer_init(&look.timer, look_again, &look);
    if (chaos->driver->is_live && done != NULL)
        look_again(&look);
    chaos->loop_depth++;
    int error = duress_world_run_until(chaos->world, wait_is_over, &wait, deadline_ns);
    chaos->loop_depth--;
    duress_world_disarm(chaos->world, &look.timer);
    return error == DURESS_OK;
}

/* Ends the body where a callback has failed an expectation meanwhile. */
static void run_check(struct chaos *chaos)
{
    if (chaos->outcome->verdict != CHAOS_PASSED && chaos->in_body && chaos->loop_depth == 0)
        longjmp(chaos->end, 1);
}

bool chaos_until(struct chaos *chaos, duress_done_fn done, void *context, uint64_t within_ns)
{
    bool is_done = run_loop(chaos, done, context, duress_time_add(chaos_now_ns(chaos), within_ns));
    run_check(chaos);
    return is_done;
}

static void pass_is_over(void *context)
{
    bool *over = context;
    *over = true;
}

static bool is_over(void *context)
{
    const bool *over = context;
    return *over;
}

/* By a timer: a simulated world in which nothing else is to happen would be at its end at once. */
void chaos_pass(struct chaos *chaos, uint64_t duration_ns)
{
    bool over = false;
    struct duress_timer timer;
    duress_timer_init(&timer, pass_is_over, &over);
    duress_world_arm(chaos->world, &timer, duress_time_add(chaos_now_ns(chaos), duration_ns));
    (void)run_loop(chaos, is_over, &over, DURESS_TIME_NEVER);
    duress_world_disarm(chaos->world, &timer);
    run_check(chaos);
}

static void alarm_rings(void *context)
{
    struct chaos_alarm *alarm = context;
    alarm->fn(alarm->context);
}

void chaos_after(struct chaos *chaos, uint64_t delay_ns, duress_later_fn fn, void *context)
{
    struct chaos_alarm *alarm = chaos__allocate(chaos, sizeof *alarm);
    *alarm = (struct chaos_alarm){.next = chaos->alarms, .chaos = chaos, .fn = fn, .context = context};
    chaos->alarms = alarm;
    duress_timer_init(&alarm->timer, alarm_rings, alarm);
    duress_world_arm(chaos->world, &alarm->timer, duress_time_add(chaos_now_ns(chaos), delay_ns));
}

void chaos_note(struct chaos *chaos, const char *format, ...)
{
    struct chaos_outcome *outcome = chaos->outcome;
    if (outcome->line_count == CHAOS_TIMELINE_LINES_MAX) {
        outcome->lines_dropped++;
        return;
    }
    struct chaos_timeline_line *line = &outcome->lines[outcome->line_count++];
    line->at_ns = chaos_now_ns(chaos);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(line->text, sizeof line->text, format, arguments);
    va_end(arguments);
}

/* --- agents and calls --- */

void chaos_keep(struct chaos *chaos, struct duress_agent *agent)
{
    struct chaos_kept_agent *kept = chaos__allocate(chaos, sizeof *kept);
    *kept = (struct chaos_kept_agent){.next = chaos->agents, .agent = agent};
    chaos->agents = kept;
}

static void call_ended(void *context, struct duress_call *duress_call, const struct duress_result *result)
{
    (void)duress_call;
    struct chaos_call *call = context;
    struct chaos_answer *answer = &call->answer;
    if (call->ended)
        chaos__fail(call->chaos, __FILE__, __LINE__, "expected: a call ends once; seen: it ended twice");
    call->ended = true;
    call->call = NULL;
    answer->error = result->error;
    answer->started_ns = result->started_ns;
    answer->ended_ns = result->ended_ns;
    if (result->failure != NULL)
        answer->failure = *result->failure;
    if (result->reply == NULL)
        return;
    struct duress_slice content = duress_message_content(result->reply);
    size_t length = content.length < sizeof answer->text - 1 ? content.length : sizeof answer->text - 1;
    if (length > 0)
        memcpy(answer->text, content.data, length);
    answer->text[length] = '\0';
    answer->content_bytes = content.length;
}

struct chaos_call *chaos__begin(struct chaos *chaos, struct duress_agent *agent, const char *text,
                                const struct duress_ask *how)
{
    struct chaos_call *call = chaos__allocate(chaos, sizeof *call);
    call->chaos = chaos;
    call->deadline_ns = how->deadline_ns;
    struct duress_message_options options = {
        .content = duress_slice_text(text),
        .timestamp_ns = duress_world_wall_ns(chaos->world),
        .allocator = &chaos->heap.allocator,
    };
    struct duress_message *request = NULL;
    int error = duress_message_new(&options, &request);
    if (error == DURESS_OK) {
        struct duress_ask ask = *how;
        ask.request = request;
        ask.on_end = call_ended;
        ask.context = call;
        error = duress_agent_ask(agent, &ask, &call->call);
        duress_message_unref(request);
    }
    call->next = chaos->calls;
    chaos->calls = call;
    if (error != DURESS_OK) {
        struct duress_failure why;
        duress_failure_set(&why, (enum duress_error)error, DURESS_ORIGIN_CALLER, NULL);
        chaos__broken(chaos, "begin a call", &why);
    }
    return call;
}

struct chaos_call *chaos_begin(struct chaos *chaos, struct duress_agent *agent, const char *text, uint64_t within_ns,
                               bool idempotent)
{
    uint64_t deadline_ns = duress_time_add(chaos_now_ns(chaos), within_ns);
    return chaos__begin(chaos, agent, text, &(struct duress_ask){.deadline_ns = deadline_ns, .idempotent = idempotent});
}

static bool call_is_over(void *context)
{
    const struct chaos_call *call = context;
    return call->ended;
}

bool chaos_call_has_ended(const struct chaos_call *call)
{
    return call->ended;
}

void chaos_call_cancel(struct chaos_call *call)
{
    if (!call->ended && call->call != NULL)
        duress_call_cancel(call->call);
}

struct chaos_answer chaos_await(struct chaos *chaos, struct chaos_call *call)
{
    uint64_t from_ns = call->deadline_ns == DURESS_TIME_NEVER ? chaos_now_ns(chaos) : call->deadline_ns;
    bool ended = run_loop(chaos, call_is_over, call, duress_time_add(from_ns, CALL_OVERRUN_NS));
    run_check(chaos);
    if (!ended && !call->ended)
        chaos__fail(chaos, chaos->test->file, chaos->test->line,
                    "expected: the call ends by its deadline; seen: it still runs %.0f s later",
                    (double)CALL_OVERRUN_NS / 1e9);
    return call->answer;
}

struct chaos_answer chaos_ask(struct chaos *chaos, struct duress_agent *agent, const char *text, uint64_t within_ns)
{
    return chaos_await(chaos, chaos_begin(chaos, agent, text, within_ns, false));
}

struct chaos_answer chaos_ask_idempotent(struct chaos *chaos, struct duress_agent *agent, const char *text,
                                         uint64_t within_ns)
{
    return chaos_await(chaos, chaos_begin(chaos, agent, text, within_ns, true));
}

/* --- taking down --- */

static bool calls_are_over(void *context)
{
    const struct chaos *chaos = context;
    for (const struct chaos_call *call = chaos->calls; call != NULL; call = call->next)
        if (!call->ended)
            return false;
    return true;
}

static void calls_end(struct chaos *chaos)
{
    for (struct chaos_call *call = chaos->calls; call != NULL; call = call->next)
        chaos_call_cancel(call);
    enum chaos_verdict verdict = chaos->outcome->verdict;
    chaos->outcome->verdict = CHAOS_PASSED; /* so that the wait is not over at once */
    bool over = run_loop(chaos, calls_are_over, chaos, duress_time_add(chaos_now_ns(chaos), RUN_REST_NS));
    chaos->outcome->verdict = verdict;
    if (!over)
        chaos__fail(chaos, chaos->test->file, chaos->test->line,
                    "expected: every call ends once cancelled; seen: one did not");
}

static void agents_free(struct chaos *chaos)
{
    while (chaos->agents != NULL) {
        struct chaos_kept_agent *kept = chaos->agents;
        chaos->agents = kept->next;
        duress_agent_unref(kept->agent);
        duress_release(&chaos->heap.allocator, kept);
    }
}

static void alarms_free(struct chaos *chaos)
{
    while (chaos->alarms != NULL) {
        struct chaos_alarm *alarm = chaos->alarms;
        chaos->alarms = alarm->next;
        duress_world_disarm(chaos->world, &alarm->timer);
        duress_release(&chaos->heap.allocator, alarm);
    }
}

static void links_free(struct chaos *chaos)
{
    while (chaos->links != NULL) {
        struct chaos_link *link = chaos->links;
        chaos->links = link->next;
        chaos->driver->relay_free(link->relay);
        duress_release(&chaos->heap.allocator, link->attempts.items);
        duress_release(&chaos->heap.allocator, link);
    }
}

static void services_free(struct chaos *chaos)
{
    while (chaos->services != NULL) {
        struct chaos_service *service = chaos->services;
        chaos->services = service->next;
        duress_world_disarm(chaos->world, &service->timer);
        chaos->driver->service_free(service);
        chaos__command_free(service);
        duress_release(&chaos->heap.allocator, service);
    }
}

static void lists_free(struct chaos *chaos)
{
    while (chaos->calls != NULL) {
        struct chaos_call *call = chaos->calls;
        chaos->calls = call->next;
        duress_release(&chaos->heap.allocator, call->chunks);
        duress_release(&chaos->heap.allocator, call);
    }
    while (chaos->evidence != NULL) {
        struct chaos_evidence *evidence = chaos->evidence;
        chaos->evidence = evidence->next;
        duress_release(&chaos->heap.allocator, evidence);
    }
}

static void arrivals_note(struct chaos *chaos)
{
    for (struct chaos_service *service = chaos->services; service != NULL; service = service->next) {
        uint64_t count = chaos_service_arrivals(service);
        for (uint64_t i = 0; i < count && chaos->outcome->line_count < CHAOS_TIMELINE_LINES_MAX; i++) {
            struct chaos_arrival arrival = chaos_service_arrival(service, i);
            struct chaos_timeline_line *line = &chaos->outcome->lines[chaos->outcome->line_count++];
            line->at_ns = arrival.at_ns;
            (void)snprintf(line->text, sizeof line->text, "%.20s: request %" PRIu64 " \"%.20s\"%s", service->name,
                           i + 1, arrival.text, arrival.cancelled ? " (given up before the answer)" : "");
        }
    }
}

/* A stable insertion sort: lines come nearly sorted, and their count is bounded. */
static void timeline_sort(struct chaos_outcome *outcome)
{
    for (uint32_t i = 1; i < outcome->line_count; i++) {
        struct chaos_timeline_line line = outcome->lines[i];
        uint32_t at = i;
        for (; at > 0 && outcome->lines[at - 1].at_ns > line.at_ns; at--)
            outcome->lines[at] = outcome->lines[at - 1];
        outcome->lines[at] = line;
    }
}

static void run_judge(struct chaos *chaos)
{
    struct chaos_outcome *outcome = chaos->outcome;
    if (outcome->verdict == CHAOS_PASSED) {
        const struct chaos_evidence *missing = chaos__evidence_missing(chaos);
        if (missing != NULL && missing->link != NULL)
            chaos__skip_unknown(missing->link, chaos__evidence_text(missing));
        if (missing != NULL && outcome->verdict == CHAOS_PASSED) {
            outcome->verdict = CHAOS_NOT_PROVEN;
            (void)snprintf(outcome->message, sizeof outcome->message, "not proven: no evidence that %s",
                           chaos__evidence_text(missing));
        }
    }
    if (outcome->verdict == CHAOS_FAILED || outcome->verdict == CHAOS_NOT_PROVEN) {
        arrivals_note(chaos);
        for (struct chaos_service *service = chaos->services; service != NULL; service = service->next)
            if (service->command.arguments != NULL)
                chaos->driver->service_show(service);
        timeline_sort(outcome);
    }
}

static void run_body(struct chaos *chaos)
{
    if (setjmp(chaos->end) == 0) {
        chaos->in_body = true;
        chaos->test->fn(chaos);
    }
    chaos->in_body = false;
    chaos->loop_depth = 0;
}

static void run_take_down(struct chaos *chaos)
{
    calls_end(chaos);
    run_judge(chaos);
    chaos->driver->measure(chaos, chaos->outcome);
    alarms_free(chaos);
    agents_free(chaos);
    links_free(chaos);
    services_free(chaos);
    chaos__service_world_close(chaos->between);
    chaos->driver->close(chaos);
    lists_free(chaos);
    if (chaos->heap.live_count != 0 && chaos->outcome->verdict == CHAOS_PASSED) {
        chaos->outcome->verdict = CHAOS_FAILED;
        (void)snprintf(chaos->outcome->message, sizeof chaos->outcome->message,
                       "expected: the run leaves no memory behind; seen: %" PRIu64 " blocks", chaos->heap.live_count);
    }
}

static void outcome_begin(struct chaos_outcome *outcome, uint64_t seed)
{
    memset(outcome, 0, offsetof(struct chaos_outcome, lines));
    outcome->seed = seed;
}

void chaos__run(const struct chaos_test *test, const struct chaos_driver *driver, uint64_t seed,
                struct chaos_outcome *outcome)
{
    struct chaos chaos = {
        .test = test,
        .driver = driver,
        .seed = seed,
        .heap = {.allocator = {NULL, heap_allocate, heap_reallocate, heap_release}},
        .outcome = outcome,
        .toxic_id_next = 1,
    };
    chaos.heap.allocator.context = &chaos.heap;
    outcome_begin(outcome, seed);
    duress_prng_init(&chaos.prng, seed, UINT64_C(0x63686f7364726177));
    struct duress_failure why = {0};
    int error = driver->open(&chaos, &why);
    if (error != DURESS_OK) {
        outcome->verdict = CHAOS_FAILED;
        (void)snprintf(outcome->message, sizeof outcome->message, "could not make the %s world: %s%s%s", driver->name,
                       duress_strerror(error), why.detail[0] != '\0' ? ": " : "", why.detail);
        return;
    }
    outcome->started_ns = chaos_now_ns(&chaos);
    run_body(&chaos);
    run_take_down(&chaos);
}
