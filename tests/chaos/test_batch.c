/* SPDX-License-Identifier: Apache-2.0
 *
 * The batch layer over a failing network: which calls go to the service in one request and when, as its arrival log
 * shows, and that each caller gets its own. */
#include <duress/chaos/chaos.h>
#include <duress/middleware/batch.h>

#include <string.h>

#include "line_batch.h"

static struct duress_agent *batch_around(struct chaos *chaos, struct duress_agent *agent,
                                         struct duress_batch_options options)
{
    struct duress_batch_layer_options layer = {
        .batch = options, .encode = line_batch_encode, .decode = line_batch_decode};
    struct duress_agent *batch = NULL;
    struct duress_failure why = {.code = DURESS_OK};
    if (duress_with_batch(agent, &layer, &batch, &why) != DURESS_OK)
        chaos__fail(chaos, __FILE__, __LINE__, "expected: the options make a batch; seen: %s", why.detail);
    chaos_keep(chaos, batch);
    return batch;
}

static struct chaos_call *begin(struct chaos *chaos, struct duress_agent *agent, const char *text)
{
    return chaos_begin(chaos, agent, text, 30 * DURESS_S, true);
}

static bool arrived_as(struct chaos_service *service, uint64_t index, const char *text)
{
    return strcmp(chaos_service_arrival(service, index).text, text) == 0;
}

CHAOS_TEST(batch, full_batch_is_one_request, "as many calls as a batch holds go in one request, at once")
{
    enum { CALLS = 8 };
    static const char *const texts[CALLS] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = batch_around(chaos, chaos_link_agent(link),
                                              (struct duress_batch_options){.items_max = 4, .wait_ns = 10 * DURESS_S});
    struct chaos_call *calls[CALLS];
    for (size_t i = 0; i < CALLS; i++)
        calls[i] = begin(chaos, agent, texts[i]);
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, texts[i]);
        CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
    }
    CHAOS_EXPECT_ARRIVALS(echo, 2);
    CHAOS_EXPECT((arrived_as(echo, 0, "a\nb\nc\nd") && arrived_as(echo, 1, "e\nf\ng\nh")) ||
                 (arrived_as(echo, 1, "a\nb\nc\nd") && arrived_as(echo, 0, "e\nf\ng\nh")));
    CHAOS_EXPECT_EQUAL(duress_batch_counts(agent).batches_full, 2);
}

CHAOS_TEST(batch, waits_for_others_and_no_longer, "a batch that does not fill goes when its first item has waited")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent =
        batch_around(chaos, chaos_link_agent(link), (struct duress_batch_options){.wait_ns = 300 * DURESS_MS});
    struct chaos_call *first = begin(chaos, agent, "first");
    chaos_pass(chaos, 100 * DURESS_MS);
    struct chaos_call *second = begin(chaos, agent, "second");
    struct chaos_answer answer = chaos_await(chaos, first);
    CHAOS_EXPECT_REPLY(answer, "first");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 300 * DURESS_MS);
    answer = chaos_await(chaos, second);
    CHAOS_EXPECT_REPLY(answer, "second");
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    CHAOS_EXPECT(arrived_as(echo, 0, "first\nsecond"));
}

CHAOS_TEST(batch, short_deadline_takes_the_batch_with_it, "an item with little time does not wait until it is too late")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 100 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent =
        batch_around(chaos, chaos_link_agent(link),
                     (struct duress_batch_options){.wait_ns = 20 * DURESS_S, .margin_ns = 1800 * DURESS_MS});
    struct chaos_call *patient = begin(chaos, agent, "patient");
    uint64_t begun_ns = chaos_now_ns(chaos); /* its deadline is counted from here, a little before the call begins */
    struct chaos_call *hasty = chaos_begin(chaos, agent, "hasty", 2 * DURESS_S, true);
    struct chaos_answer answer = chaos_await(chaos, hasty);
    CHAOS_EXPECT_REPLY(answer, "hasty");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, begun_ns, (200 + 100) * DURESS_MS);
    answer = chaos_await(chaos, patient);
    CHAOS_EXPECT_REPLY(answer, "patient");
    CHAOS_EXPECT_ARRIVALS(echo, 1);
}

CHAOS_TEST(batch, one_bad_item_fails_no_other, "the service refuses one item of a batch: the others have their answers")
{
    static const char *const texts[] = {"a", "bad", "c", "d"};
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent =
        batch_around(chaos, chaos_link_agent(link), (struct duress_batch_options){.items_max = 4});
    struct chaos_call *calls[4];
    for (size_t i = 0; i < 4; i++)
        calls[i] = begin(chaos, agent, texts[i]);
    for (size_t i = 0; i < 4; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        if (i == 1)
            CHAOS_EXPECT_ERROR(answer, DURESS_E_REMOTE);
        else
            CHAOS_EXPECT_REPLY(answer, texts[i]);
    }
    CHAOS_EXPECT_ARRIVALS(echo, 1);
}

CHAOS_TEST(batch, forgotten_item_fails_clearly, "a reply with too few answers fails the items that it forgot")
{
    struct chaos_service *dumb = chaos_service_start(chaos, "dumb", .reply_bytes = 5);
    struct chaos_link *link = chaos_link_open(chaos, dumb);
    struct duress_agent *agent =
        batch_around(chaos, chaos_link_agent(link), (struct duress_batch_options){.items_max = 3});
    struct chaos_call *calls[3];
    for (size_t i = 0; i < 3; i++)
        calls[i] = begin(chaos, agent, "x");
    struct chaos_answer answer = chaos_await(chaos, calls[0]);
    CHAOS_EXPECT_EQUAL(answer.error, DURESS_OK);
    CHAOS_EXPECT_EQUAL(answer.content_bytes, 5);
    for (size_t i = 1; i < 3; i++) {
        answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_MALFORMED);
        CHAOS_EXPECT_EQUAL(answer.failure.origin, DURESS_ORIGIN_BATCH);
    }
    CHAOS_EXPECT_ARRIVALS(dumb, 1);
}

CHAOS_TEST(batch, connection_cut_fails_all, "a connection cut under a batch fails all of its items, and the next goes")
{
    enum { CALLS = 3 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 50 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = batch_around(chaos, chaos_link_agent(link),
                                              (struct duress_batch_options){.items_max = CALLS, .in_flight_max = 1});
    uint64_t cut = chaos_link_cut_after(link, DURESS_DOWNSTREAM, 20, DURESS_CUT_RST);
    struct chaos_call *calls[CALLS];
    struct chaos_answer answer;
    for (size_t i = 0; i < CALLS; i++)
        calls[i] = begin(chaos, agent, "x");
    for (size_t i = 0; i < CALLS; i++) {
        answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
        CHAOS_EXPECT(answer.failure.ambiguous);
    }
    chaos_link_toxic_remove(link, cut);
    for (size_t i = 0; i < CALLS; i++)
        calls[i] = begin(chaos, agent, "y");
    for (size_t i = 0; i < CALLS; i++) {
        answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, "y");
    }
    CHAOS_EXPECT_ARRIVALS(echo, 2);
}

CHAOS_TEST(batch, cancelled_item_leaves_the_batch,
           "a call that is cancelled before its batch goes does not reach the "
           "service; one that is later fails no other")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 400 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent =
        batch_around(chaos, chaos_link_agent(link), (struct duress_batch_options){.wait_ns = 300 * DURESS_MS});
    struct chaos_call *early = begin(chaos, agent, "early");
    struct chaos_call *late = begin(chaos, agent, "late");
    struct chaos_call *stays = begin(chaos, agent, "stays");
    chaos_pass(chaos, 50 * DURESS_MS);
    chaos_call_cancel(early);
    chaos_pass(chaos, 400 * DURESS_MS);
    chaos_call_cancel(late);
    struct chaos_answer answer = chaos_await(chaos, stays);
    CHAOS_EXPECT_REPLY(answer, "stays");
    answer = chaos_await(chaos, early);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CANCELLED);
    CHAOS_EXPECT(!answer.failure.ambiguous);
    answer = chaos_await(chaos, late);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CANCELLED);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    CHAOS_EXPECT(arrived_as(echo, 0, "late\nstays"));
}

static bool request_has_arrived(void *context)
{
    return chaos_service_arrivals(context) == 1;
}

static bool request_was_cancelled(void *context)
{
    return chaos_service_cancelled(context) == 1;
}

CHAOS_TEST(batch, request_ends_with_its_last_caller, "when nobody of a batch waits any more its request is cancelled")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent =
        batch_around(chaos, chaos_link_agent(link), (struct duress_batch_options){.items_max = 2});
    struct chaos_call *first = begin(chaos, agent, "first");
    struct chaos_call *last = begin(chaos, agent, "last");
    CHAOS_EXPECT(chaos_until(chaos, request_has_arrived, slow, 10 * DURESS_S));
    chaos_call_cancel(first);
    CHAOS_EXPECT_EQUAL(chaos_link_open_connections(link), 1);
    chaos_call_cancel(last);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    CHAOS_EXPECT(chaos_until(chaos, request_was_cancelled, slow, chaos_slack_ns(chaos)));
    CHAOS_EXPECT_ARRIVALS(slow, 1);
}

CHAOS_TEST(batch, batches_in_flight_are_bounded, "no more batches are out than allowed: the next one waits for an end")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 100 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent =
        batch_around(chaos, chaos_link_agent(link), (struct duress_batch_options){.items_max = 1, .in_flight_max = 2});
    struct chaos_call *calls[6];
    static const char *const texts[] = {"a", "b", "c", "d", "e", "f"};
    for (size_t i = 0; i < 6; i++)
        calls[i] = begin(chaos, agent, texts[i]);
    for (size_t i = 0; i < 6; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, texts[i]);
        CHAOS_EXPECT_AT_LEAST(answer.ended_ns - answer.started_ns, (i / 2 + 1) * 100 * DURESS_MS);
    }
    CHAOS_EXPECT_ARRIVALS(slow, 6);
    CHAOS_EXPECT_EQUAL(chaos_link_accepted(link), 2);
}
