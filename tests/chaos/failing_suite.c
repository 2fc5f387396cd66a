/* SPDX-License-Identifier: Apache-2.0
 *
 * A suite for testing the runner: each way in which a test can end. check_runner.sh says what must come of it. */
#include <duress/chaos/fault.h>
#include <duress/world/sim.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

CHAOS_TEST(sample, passes, "asks once")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
}

CHAOS_TEST(sample, fails, "expects another answer")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "another");
}

/* The message quotes 60 bytes of the reply, and the last of them is the first half of a character. */
CHAOS_TEST(sample, fails_in_mid_character, "a failure's message is cut inside a character")
{
    static const char text[] = "-éééééééééééééééééééééééééééééé";
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), text, 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "another");
}

/* As ^C would in the middle of a test: the runner, which is this process's parent, has to end it. */
CHAOS_TEST(interrupt, runner, "the runner is interrupted")
{
    CHAOS_EXPECT(chaos != NULL);
    (void)kill(getppid(), SIGINT);
    for (;;)
        (void)pause();
}

CHAOS_TEST(interrupt, turn_never_comes, "the runner was interrupted before")
{
    CHAOS_EXPECT(chaos == NULL);
}

/* With seed 2, or live, it never ends, and a service of its is up. */
CHAOS_TEST(hang, for_ever, "waits for what never comes")
{
    struct duress_sim *sim = duress_world_sim_of(chaos_world(chaos));
    (void)chaos_service_start(chaos, "echo");
    while (sim == NULL || duress_sim_seed(sim) == 2)
        (void)pause();
}

CHAOS_TEST(hang, turn_comes_all_the_same, "passes after one that hung")
{
    CHAOS_EXPECT(chaos != NULL);
}

CHAOS_TEST(sample, fails_from_seed_three, "fails with every seed but the first three")
{
    CHAOS_EXPECT(chaos_is_live(chaos) || chaos_draw(chaos, 0, 1000) < 1001);
    static int runs;
    runs++;
    CHAOS_EXPECT_AT_MOST(runs, 3);
}

/* Orders a fault that cannot happen: nobody asks, so that no byte is there to be cut. */
CHAOS_TEST(sample, proves_nothing, "its fault never happens")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    (void)chaos_link_cut_after(link, DURESS_DOWNSTREAM, 1000000, DURESS_CUT_RST);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
}

CHAOS_TEST(sample, proves_no_latency, "a latency toxic acts on one connection in a million")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_toxic rare = {.type = DURESS_TOXIC_LATENCY, .direction = DURESS_UPSTREAM, .toxicity_ppm = 1};
    rare.as.latency.latency_ns = 2 * DURESS_S;
    (void)chaos_link_toxic(link, &rare);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
}

/* The second fault of a kind is not shown by what the first did. */
CHAOS_TEST(sample, proves_the_first_toxic_only, "a second latency toxic delays nothing")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_link_latency(link, 20 * DURESS_MS);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
    chaos_link_clear(link);
    chaos_link_latency(link, 20 * DURESS_MS);
}

CHAOS_TEST(sample, proves_the_second_toxic_only, "a latency toxic is removed before it has delayed anything")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_link_latency(link, 20 * DURESS_MS);
    chaos_link_clear(link);
    chaos_link_latency(link, 20 * DURESS_MS);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
}

CHAOS_TEST(sample, proves_the_first_refusal_only, "the link goes down again and nobody notices")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_link_down(link);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    chaos_link_up(link);
    chaos_link_down(link);
}

CHAOS_TEST(sample, proves_the_first_name_only, "a name is changed after it was last asked for")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_name_set(link, "echo.test", CHAOS_NAME_NOT_FOUND, 0);
    struct duress_agent *agent = chaos_link_agent_with(link, .host = "echo.test");
    struct chaos_answer answer = chaos_ask(chaos, agent, "hello", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_NAME_NOT_FOUND);
    chaos_name_set(link, "echo.test", CHAOS_NAME_TEMPORARY, 0);
}

CHAOS_TEST(sample, proves_no_chunks, "a service that is to stream is asked for whole replies only")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .chunk_count = 3);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
}

CHAOS_TEST(sample, proves_no_crash, "the request that was to kill the service never comes")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_service_crash_at_request(echo, CHAOS_CRASH_SIGSEGV, 2);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "hello");
}

CHAOS_TEST(sample, proves_no_slowness, "a service is made slow, and nobody asks it")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    chaos_service_slow(echo, 1 * DURESS_S);
}

/* Dies of a signal that was not ordered: what the test then sees is nobody's plan. */
CHAOS_TEST(sample, dies_otherwise_than_ordered, "a service dies of SIGKILL where SIGSEGV is owed")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    chaos_service_crash_at_request(echo, CHAOS_CRASH_SIGSEGV, 1);
    chaos_service_crash_at_request(echo, CHAOS_CRASH_SIGKILL, 1);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 10 * DURESS_S);
    CHAOS_EXPECT(answer.error != DURESS_OK);
    chaos_pass(chaos, 1 * DURESS_S);
}

CHAOS_TEST_LIVE(sample, shows_output, "a command says why, and ends")
{
    static const char *const command[] = {"sh", "-c", "echo out of sorts on {port}; exit 3", NULL};
    (void)chaos_service_start(chaos, "moody", .command = command);
}

CHAOS_TEST_LIVE(sample, cannot_run, "a command that does not exist")
{
    static const char *const command[] = {"/nonexistent/server", NULL};
    (void)chaos_service_start(chaos, "nobody", .command = command);
}

CHAOS_TEST(sample, orders_too_much, "a command is to crash at a request, of which it knows nothing")
{
    static const char *const command[] = {"sh", "-c", "echo ready; sleep 1000", NULL};
    struct chaos_service *service =
        chaos_service_start(chaos, "simple", .command = command, .ready = CHAOS_READY_LINE, .ready_text = "ready");
    chaos_service_crash_at_request(service, CHAOS_CRASH_SIGKILL, 1);
}

/* Everything that could be left behind: processes with children, a cgroup, a mount, burners, files. */
static void leave_much(struct chaos *chaos)
{
    static const char *const command[] = {"sh", "-c", "sleep 1000 & sleep 1000 & echo ready; wait", NULL};
    struct chaos_service *scribe =
        chaos_service_start(chaos, "scribe", .journal_bytes = 4096, .disk_bytes = 1 << 20, .work_ns = DURESS_MS);
    struct chaos_service *leaky = chaos_service_start(chaos, "leaky", .leak_bytes = 4 << 20, .journal_bytes = 4096);
    struct chaos_service *family =
        chaos_service_start(chaos, "family", .command = command, .ready = CHAOS_READY_LINE, .ready_text = "ready");
    struct duress_agent *agent = chaos_link_agent(chaos_link_open(chaos, leaky));
    struct duress_agent *other = chaos_link_agent(chaos_link_open(chaos, scribe));
    chaos_service_memory(leaky, CHAOS_MEMORY_KILL, 10 << 20);
    chaos_service_cpu(scribe, 2, 0);
    CHAOS_EXPECT(chaos_service_is_up(family));
    while (chaos_ask(chaos, agent, "take", 10 * DURESS_S).error == DURESS_OK)
        (void)chaos_ask(chaos, other, "write", 10 * DURESS_S);
    CHAOS_EXPECT(chaos_service_await_end(leaky, 1, 10 * DURESS_S));
    chaos_service_restart(leaky);
    chaos_service_memory(leaky, CHAOS_MEMORY_KILL, 64 << 20);
}

CHAOS_TEST_LIVE(leftovers, of_success, "passes, with much to tidy up")
{
    leave_much(chaos);
    chaos_skip(chaos, "has much to tidy up, and no more to show");
}

CHAOS_TEST_LIVE(leftovers, of_failure, "fails, with much to tidy up")
{
    leave_much(chaos);
    CHAOS_EXPECT(chaos == NULL);
}

CHAOS_TEST_LIVE(leftovers, of_waiting, "waits to be ended, with much to tidy up")
{
    leave_much(chaos);
    FILE *told = fopen(getenv("LEFTOVERS_READY"), "we");
    CHAOS_EXPECT(told != NULL && fclose(told) == 0);
    chaos_pass(chaos, 100 * DURESS_S);
}

CHAOS_TEST(sample, skips, "needs what is not there")
{
    chaos_skip(chaos, "needs a unicorn; get one from the %s", "stable");
}

CHAOS_TEST(sample, crashes, "aborts")
{
    chaos_note(chaos, "about to abort");
    abort();
}

static void expect_in_callback(void *context)
{
    struct chaos *chaos = context;
    CHAOS_EXPECT(chaos == NULL);
}

CHAOS_TEST(sample, fails_in_callback, "an expectation of a callback fails")
{
    chaos_after(chaos, 10 * DURESS_MS, expect_in_callback, chaos);
    chaos_pass(chaos, 1 * DURESS_S);
}

CHAOS_TEST(sample, leaks, "leaves memory of the world behind")
{
    void *lost = duress_allocate(duress_world_allocator(chaos_world(chaos)), 16);
    CHAOS_EXPECT(lost != NULL);
}

int main(int argc, char **argv)
{
    return chaos_main(argc, argv);
}
