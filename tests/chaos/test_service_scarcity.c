/* SPDX-License-Identifier: Apache-2.0
 *
 * Services that lack something, rows S4 to S6 of the plan: memory, processor, disk, descriptors; and a wall clock that
 * jumps. */
#include <duress/chaos/fault.h>

#include <string.h>

#include "stack.h"

#define MIB (UINT64_C(1024) * 1024)

static struct duress_agent *timeout_around(struct chaos *chaos, struct duress_agent *agent, uint64_t limit_ns)
{
    struct duress_timeout_options timeout = {.limit_ns = limit_ns};
    return stack_around(chaos, agent, &(struct duress_stack_options){.timeout = &timeout});
}

/* --- S4: memory --- */

CHAOS_TEST(service, memory_pressure_to_the_kill, "S4: the OOM killer strikes: an error at once; restart recovers")
{
    struct chaos_service *leaky = chaos_service_start(chaos, "leaky", .leak_bytes = 4 * MIB);
    struct chaos_link *link = chaos_link_open(chaos, leaky);
    struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 1, .recovery_ns = 200 * DURESS_MS}};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.breaker = &breaker});
    chaos_service_restart_after(leaky, 50 * DURESS_MS, 1);
    chaos_service_memory(leaky, CHAOS_MEMORY_KILL, 18 * MIB);

    uint32_t replies = 0;
    struct chaos_answer answer = chaos_ask(chaos, agent, "take", 10 * DURESS_S);
    while (answer.error == DURESS_OK && replies < 100) {
        replies++;
        answer = chaos_ask(chaos, agent, "take", 10 * DURESS_S);
    }

    CHAOS_EXPECT(answer.error == DURESS_E_TRUNCATED || answer.error == DURESS_E_RESET);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
    CHAOS_EXPECT(chaos_service_await_end(leaky, 1, 10 * DURESS_S));
    CHAOS_EXPECT_EQUAL(chaos_service_end(leaky).how, CHAOS_END_OOM);
    CHAOS_EXPECT_AT_LEAST(replies, 3); /* the limit is what it says, give or take a request */
    CHAOS_EXPECT_AT_MOST(replies, 4);
    CHAOS_EXPECT_ARRIVALS(leaky, replies + 1);
    answer = chaos_ask(chaos, agent, "open", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CIRCUIT_OPEN);
    CHAOS_EXPECT(chaos_service_await_start(leaky, 10 * DURESS_S));
    chaos_pass(chaos, 200 * DURESS_MS + chaos_slack_ns(chaos) / 10);
    answer = chaos_ask(chaos, agent, "again", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "again");
}

CHAOS_TEST(service, memory_pressure_to_failed_allocations, "S4: allocations fail: the service says so, and lives on")
{
    struct chaos_service *leaky = chaos_service_start(chaos, "leaky", .leak_bytes = 4 * MIB);
    struct chaos_link *link = chaos_link_open(chaos, leaky);
    struct duress_agent *agent = chaos_link_agent(link);
    chaos_service_memory(leaky, CHAOS_MEMORY_FAIL, 18 * MIB);

    for (uint32_t i = 0; i < 4; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, "take", 10 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, "take");
    }
    for (uint32_t i = 0; i < 3; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, "take", 10 * DURESS_S);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_REMOTE);
        CHAOS_EXPECT(strstr(answer.failure.detail, "Cannot allocate memory") != NULL);
    }

    CHAOS_EXPECT_EQUAL(chaos_service_refused(leaky, CHAOS_NO_MEMORY), 3);
    CHAOS_EXPECT_EQUAL(chaos_service_end(leaky).how, CHAOS_END_NONE);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 1); /* its connection is none the worse */
}

/* --- S5: processor --- */

CHAOS_TEST(service, saturated_processor_is_slow, "S5: what takes 20 ms alone takes a share of the processor longer")
{
    enum { CALLS = 4, BURNERS = 3 };
    struct chaos_service *busy = chaos_service_start(chaos, "busy", .work_ns = 20 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, busy);
    struct duress_agent *agent = chaos_link_agent(link);
    struct chaos_answer answer = chaos_ask(chaos, agent, "alone", 60 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "alone");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 20 * DURESS_MS);

    chaos_service_cpu(busy, BURNERS, 0);
    for (uint32_t i = 0; i < CALLS; i++) {
        answer = chaos_ask(chaos, agent, "shared", 60 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, "shared");
        CHAOS_EXPECT_AT_LEAST(answer.ended_ns - answer.started_ns, 20 * DURESS_MS);
    }
    CHAOS_EXPECT_AT_MOST(chaos_service_cpu_share_ppm(busy), 700000);
    CHAOS_EXPECT_AT_LEAST(chaos_service_cpu_share_ppm(busy), 1);
    chaos_service_cpu(busy, 0, 0);
    answer = chaos_ask(chaos, agent, "alone", 60 * DURESS_S);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 20 * DURESS_MS);
    CHAOS_EXPECT_ARRIVALS(busy, CALLS + 2);
}

CHAOS_TEST(service, deadlines_hold_when_saturated, "S5: callers are answered or told on time; what is too much is shed")
{
    enum { CALLS = 12, AT_ONCE = 2 };
    struct chaos_service *busy = chaos_service_start(chaos, "busy", .work_ns = 30 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, busy);
    struct duress_timeout_options timeout = {.limit_ns = 300 * DURESS_MS};
    struct duress_bulkhead_layer_options bulkhead = {
        .bulkhead = {.limit = AT_ONCE}, .waiting_max = AT_ONCE, .wait_ns_max = 400 * DURESS_MS};
    struct duress_agent *agent = stack_around(
        chaos, chaos_link_agent(link), &(struct duress_stack_options){.timeout = &timeout, .bulkhead = &bulkhead});
    struct chaos_call *calls[CALLS];
    chaos_service_cpu(busy, 4, 900000);

    for (size_t i = 0; i < CALLS; i++)
        calls[i] = chaos_begin(chaos, agent, "work", 60 * DURESS_S, false);
    uint32_t shed = 0;
    uint32_t replied = 0;
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_AT_MOST(answer.ended_ns - answer.started_ns, 700 * DURESS_MS + chaos_slack_ns(chaos));
        shed += answer.error == DURESS_E_BULKHEAD_FULL ? 1 : 0;
        replied += answer.error == DURESS_OK ? 1 : 0;
    }

    CHAOS_EXPECT_AT_LEAST(shed, CALLS - 2 * AT_ONCE);
    CHAOS_EXPECT_AT_MOST(chaos_service_arrivals(busy), CALLS - shed);
    CHAOS_EXPECT(chaos_is_live(chaos) || replied > 0);
}

/* --- S6: disk --- */

static void disk_fails(struct chaos *chaos, enum chaos_disk state, enum chaos_scarcity what, const char *words)
{
    struct chaos_service *scribe = chaos_service_start(chaos, "scribe", .journal_bytes = 3000, .disk_bytes = MIB);
    struct chaos_service *other = chaos_service_start(chaos, "other");
    struct chaos_link *link = chaos_link_open(chaos, scribe);
    struct duress_agent *agent = chaos_link_agent(link);
    struct duress_agent *beside = chaos_link_agent(chaos_link_open(chaos, other));
    struct chaos_answer answer = chaos_ask(chaos, agent, "well", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "well");

    chaos_service_disk(scribe, state);
    for (uint32_t i = 0; i < 2; i++) {
        answer = chaos_ask(chaos, agent, "write", 10 * DURESS_S);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_REMOTE);
        CHAOS_EXPECT(strstr(answer.failure.detail, words) != NULL);
    }
    answer = chaos_ask(chaos, beside, "beside", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "beside"); /* the rest goes on */
    CHAOS_EXPECT_EQUAL(chaos_service_refused(scribe, what), 2);

    if (state == CHAOS_DISK_BROKEN) {
        chaos_service_kill(scribe);
        CHAOS_EXPECT_NOTHING_OPEN(link);
        chaos_service_restart(scribe);
    }
    chaos_service_disk(scribe, CHAOS_DISK_WELL);
    answer = chaos_ask(chaos, agent, "again", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "again");
    CHAOS_EXPECT_EQUAL(chaos_service_refused(scribe, what), 2);
    CHAOS_EXPECT_ARRIVALS(scribe, 4);
}

CHAOS_TEST(service, disk_full, "S6: ENOSPC reaches the caller, the rest goes on, room is used again")
{
    disk_fails(chaos, CHAOS_DISK_FULL, CHAOS_NO_SPACE, "No space left on device");
}

CHAOS_TEST(service, disk_read_only, "S6: EROFS reaches the caller, the rest goes on, and it is written again")
{
    disk_fails(chaos, CHAOS_DISK_READ_ONLY, CHAOS_DISK_IS_READ_ONLY, "Read-only file system");
}

CHAOS_TEST(service, disk_broken, "S6: EIO on sync reaches the caller, the rest goes on, a restart mends it")
{
    disk_fails(chaos, CHAOS_DISK_BROKEN, CHAOS_DISK_FAILED, "Input/output error");
}

CHAOS_TEST(service, disk_fills_up_by_itself, "S6: a disk of sixteen pages takes four requests of four pages")
{
    struct chaos_service *scribe = chaos_service_start(chaos, "scribe", .journal_bytes = 16384, .disk_bytes = 65536);
    struct duress_agent *agent = chaos_link_agent(chaos_link_open(chaos, scribe));
    for (uint32_t i = 0; i < 4; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, "write", 10 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, "write");
    }

    struct chaos_answer answer = chaos_ask(chaos, agent, "one more", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REMOTE);
    CHAOS_EXPECT_EQUAL(chaos_service_refused(scribe, CHAOS_NO_SPACE), 1);
    CHAOS_EXPECT_EQUAL(answer.failure.ambiguous, true);
}

/* --- descriptors --- */

CHAOS_TEST(service, descriptors_exhausted, "S6: no descriptor left: who is connected is served, others in time or not")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *connected = chaos_link_agent_with(link, .connections_max = 1);
    struct duress_agent *fresh =
        timeout_around(chaos, chaos_link_agent_with(link, .connections_max = 1), 400 * DURESS_MS);
    struct chaos_answer answer = chaos_ask(chaos, connected, "one", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "one");

    chaos_service_descriptors(echo, 0);
    answer = chaos_ask(chaos, fresh, "two", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 400 * DURESS_MS);
    struct chaos_call *patient = chaos_begin(chaos, chaos_link_agent(link), "four", 20 * DURESS_S, false);
    answer = chaos_ask(chaos, connected, "three", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "three");
    chaos_pass(chaos, 100 * DURESS_MS);
    CHAOS_EXPECT(!chaos_call_has_ended(patient));
    CHAOS_EXPECT_ARRIVALS(echo, 2);

    chaos_service_descriptors(echo, UINT32_MAX);
    answer = chaos_await(chaos, patient); /* the kernel has kept it */
    CHAOS_EXPECT_REPLY(answer, "four");
}

/* --- wall clock --- */

/* All that decides by time, with the clocks of both sides an hour off in the middle. */
static void wall_steps(struct chaos *chaos, int64_t step_ns)
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 100 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_timeout_options timeout = {.limit_ns = 300 * DURESS_MS};
    struct duress_breaker_layer_options breaker = {.breaker = {.failures_to_open = 1, .recovery_ns = 400 * DURESS_MS}};
    struct duress_cache_layer_options cache = {.cache = {.ttl_ns = 600 * DURESS_MS}};
    struct duress_stack_options options = {.timeout = &timeout, .breaker = &breaker, .cache = &cache};
    struct duress_agent *agent = stack_around(chaos, chaos_link_agent(link), &options);
    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "cached", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "cached");
    uint64_t cached_ns = answer.ended_ns;

    struct chaos_call *call = chaos_begin(chaos, agent, "in flight", 10 * DURESS_S, false);
    chaos_pass(chaos, 20 * DURESS_MS);
    chaos_service_wall_step(slow, step_ns);
    chaos_wall_step(chaos, step_ns);
    answer = chaos_await(chaos, call);
    CHAOS_EXPECT_REPLY(answer, "in flight"); /* neither timed out nor answered early */
    CHAOS_EXPECT_AT_LEAST(answer.ended_ns - answer.started_ns, 100 * DURESS_MS);
    if (chaos_now_ns(chaos) < cached_ns + 600 * DURESS_MS) {
        answer = chaos_ask_idempotent(chaos, agent, "cached", 10 * DURESS_S);
        CHAOS_EXPECT_AT_MOST(answer.ended_ns - answer.started_ns, 90 * DURESS_MS); /* it has not expired */
    }

    chaos_service_slow(slow, 60 * DURESS_S);
    answer = chaos_ask(chaos, agent, "slow", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 300 * DURESS_MS);
    chaos_service_slow(slow, 0);
    chaos_wall_step(chaos, step_ns);
    uint64_t opened_ns = answer.ended_ns;
    answer = chaos_ask(chaos, agent, "open", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CIRCUIT_OPEN); /* no hour of recovery has passed */
    chaos_pass(chaos, opened_ns + 400 * DURESS_MS - chaos_now_ns(chaos));
    answer = chaos_ask(chaos, agent, "probe", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "probe"); /* nor is there an hour to wait */
    CHAOS_EXPECT_ARRIVALS(slow, 4);
}

CHAOS_TEST(service, wall_clock_jumps_forward, "the wall clocks of both sides jump an hour ahead: nobody cares")
{
    wall_steps(chaos, (int64_t)(3600 * DURESS_S));
}

CHAOS_TEST(service, wall_clock_jumps_back, "the wall clocks of both sides jump an hour back: nobody cares")
{
    wall_steps(chaos, -(int64_t)(3600 * DURESS_S));
}
