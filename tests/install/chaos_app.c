/* SPDX-License-Identifier: Apache-2.0
 *
 * A user's chaos test, with a runner of its own. */
#include <duress/chaos/chaos.h>

CHAOS_TEST(users, reply_is_cut, "a reply that is cut is a reset, not a reply")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    (void)chaos_link_cut_after(link, DURESS_DOWNSTREAM, 40, DURESS_CUT_RST);
    struct chaos_answer answer = chaos_ask(chaos, chaos_link_agent(link), "hello", 2 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
}

int main(int argc, char **argv)
{
    return chaos_main(argc, argv);
}
