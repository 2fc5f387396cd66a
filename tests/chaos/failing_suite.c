/* SPDX-License-Identifier: Apache-2.0
 *
 * A suite for testing the runner: each way in which a test can end. check_runner.sh says what must come of it. */
#include <duress/chaos/chaos.h>

#include <stdlib.h>

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
