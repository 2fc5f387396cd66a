/* SPDX-License-Identifier: Apache-2.0
 *
 * A suite for testing the runner: each way in which a test can end. check_runner.sh says what must come of it. */
#include <duress/chaos/fault.h>
#include <duress/world/sim.h>

#include <signal.h>
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
