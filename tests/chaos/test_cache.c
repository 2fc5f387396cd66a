/* SPDX-License-Identifier: Apache-2.0
 *
 * The cache layer under a failing network: one request for many equal calls, and an old reply while the service cannot
 * be reached, as the service's arrival log shows. */
#include <duress/chaos/chaos.h>
#include <duress/middleware/cache.h>

#include <string.h>

static struct duress_agent *cache_around(struct chaos *chaos, struct duress_agent *agent,
                                         const struct duress_cache_layer_options *options)
{
    struct duress_agent *cache = NULL;
    struct duress_failure why = {.code = DURESS_OK};
    if (duress_with_cache(agent, options, &cache, &why) != DURESS_OK)
        chaos__fail(chaos, __FILE__, __LINE__, "expected: the options make a cache; seen: %s", why.detail);
    chaos_keep(chaos, cache);
    return cache;
}

static struct chaos_answer ask(struct chaos *chaos, struct duress_agent *agent, const char *text)
{
    return chaos_ask_idempotent(chaos, agent, text, 30 * DURESS_S);
}

static struct chaos_call *begin(struct chaos *chaos, struct duress_agent *agent, uint64_t within_ns)
{
    return chaos_begin(chaos, agent, "x", within_ns, true);
}

static void forget(struct duress_agent *agent, const char *text)
{
    struct duress_message *request = NULL;
    if (duress_message_text(text, &request) == DURESS_OK)
        (void)duress_cache_invalidate(agent, request);
    duress_message_unref(request);
}

/* --- single-flight --- */

CHAOS_TEST(cache, equal_calls_make_one_request, "one request reaches the service for many equal calls")
{
    enum { CALLS = 50 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 200 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = cache_around(chaos, chaos_link_agent(link), NULL);
    struct chaos_call *calls[CALLS];
    for (size_t i = 0; i < CALLS; i++)
        calls[i] = begin(chaos, agent, 30 * DURESS_S);
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_REPLY(answer, "x");
        CHAOS_EXPECT_AT_LEAST(answer.ended_ns - answer.started_ns, 200 * DURESS_MS);
    }
    struct chaos_answer hit = ask(chaos, agent, "x");
    CHAOS_EXPECT_REPLY(hit, "x");
    hit = ask(chaos, agent, "y");
    CHAOS_EXPECT_REPLY(hit, "y");
    CHAOS_EXPECT_ARRIVALS(echo, 2);
    CHAOS_EXPECT_EQUAL(duress_cache_counts(agent).hits, 1);
    CHAOS_EXPECT_EQUAL(duress_cache_counts(agent).joined, CALLS - 1);
}

CHAOS_TEST(cache, each_caller_keeps_its_deadline, "the first caller's deadline ends its call, and nobody else's")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 500 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = cache_around(chaos, chaos_link_agent(link), NULL);
    uint64_t begun_ns = chaos_now_ns(chaos); /* its deadline is counted from here, a little before the call begins */
    struct chaos_call *hasty = begin(chaos, agent, 150 * DURESS_MS);
    struct chaos_call *patient = begin(chaos, agent, 30 * DURESS_S);

    struct chaos_answer answer = chaos_await(chaos, hasty);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_DEADLINE);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, begun_ns, 150 * DURESS_MS);
    answer = chaos_await(chaos, patient);
    CHAOS_EXPECT_REPLY(answer, "x");
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 500 * DURESS_MS);
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    CHAOS_EXPECT_EQUAL(chaos_service_cancelled(echo), 0);
}

static bool request_has_arrived(void *context)
{
    return chaos_service_arrivals(context) == 1;
}

static bool request_was_cancelled(void *context)
{
    return chaos_service_cancelled(context) == 1;
}

CHAOS_TEST(cache, last_caller_cancels_the_request, "the request goes on while one caller waits, and not any longer")
{
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = cache_around(chaos, chaos_link_agent(link), NULL);
    struct chaos_call *first = begin(chaos, agent, 30 * DURESS_S);
    struct chaos_call *last = begin(chaos, agent, 30 * DURESS_S);
    CHAOS_EXPECT(chaos_until(chaos, request_has_arrived, slow, 10 * DURESS_S));

    chaos_call_cancel(first);
    CHAOS_EXPECT_EQUAL(chaos_link_open_connections(link), 1);
    chaos_call_cancel(last);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    CHAOS_EXPECT(chaos_until(chaos, request_was_cancelled, slow, chaos_slack_ns(chaos)));
    struct chaos_answer answer = chaos_await(chaos, last);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CANCELLED);
    answer = chaos_await(chaos, first);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_CANCELLED);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 1);
}

CHAOS_TEST(cache, failure_goes_to_all_who_wait, "a connection cut under a shared request fails all, and is not kept")
{
    enum { CALLS = 10 };
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 100 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = cache_around(chaos, chaos_link_agent(link), NULL);
    uint64_t cut = chaos_link_cut_after(link, DURESS_DOWNSTREAM, 20, DURESS_CUT_RST);
    struct chaos_call *calls[CALLS];
    for (size_t i = 0; i < CALLS; i++)
        calls[i] = begin(chaos, agent, 30 * DURESS_S);
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_answer answer = chaos_await(chaos, calls[i]);
        CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
        CHAOS_EXPECT(answer.failure.ambiguous);
    }
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    chaos_link_toxic_remove(link, cut);
    struct chaos_answer answer = ask(chaos, agent, "x");
    CHAOS_EXPECT_REPLY(answer, "x");
    CHAOS_EXPECT_ARRIVALS(echo, 2);
}

/* --- stale on error --- */

static struct duress_message *mark_stale(void *context, const struct duress_cache_stale *stale)
{
    struct duress_message *marked = NULL;
    struct duress_message_options options = {
        .role = duress_message_role(stale->reply),
        .content = duress_slice_text("old"),
        .metadata = duress_slice_text("{\"stale\":true}"),
    };
    *(uint64_t *)context = stale->age_ns;
    return duress_message_new(&options, &marked) == DURESS_OK ? marked : NULL;
}

CHAOS_TEST(cache, stale_reply_while_the_link_is_down,
           "an old reply stands in while the service cannot be reached, and says so")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    uint64_t age_ns = 0;
    struct duress_cache_layer_options options = {
        .cache = {.ttl_ns = 200 * DURESS_MS, .stale_ns = 30 * DURESS_S}, .on_stale = mark_stale, .context = &age_ns};
    struct duress_agent *agent = cache_around(chaos, chaos_link_agent(link), &options);
    struct chaos_answer answer = ask(chaos, agent, "x");
    CHAOS_EXPECT_REPLY(answer, "x");
    chaos_pass(chaos, 200 * DURESS_MS);

    chaos_link_down(link);
    answer = ask(chaos, agent, "x");
    CHAOS_EXPECT_REPLY(answer, "old");
    CHAOS_EXPECT(chaos_link_attempt(link, 1).error != DURESS_OK);
    CHAOS_EXPECT_AT_LEAST(age_ns, 200 * DURESS_MS);
    CHAOS_EXPECT_EQUAL(duress_cache_counts(agent).stale, 1);
    answer = ask(chaos, agent, "never asked before");
    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);

    chaos_link_up(link);
    answer = ask(chaos, agent, "x");
    CHAOS_EXPECT_REPLY(answer, "x");
    CHAOS_EXPECT_ARRIVALS(echo, 2);
}

CHAOS_TEST(cache, stale_window_ends, "after the stale window a failure is a failure")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_cache_layer_options options = {.cache = {.ttl_ns = 300 * DURESS_MS, .stale_ns = 100 * DURESS_MS}};
    struct duress_agent *agent = cache_around(chaos, chaos_link_agent(link), &options);
    static const char *const texts[] = {"a", "b", "x"}; /* a call sweeps out no more than two dead ones */
    struct chaos_answer answer;
    for (size_t i = 0; i < 3; i++) {
        answer = ask(chaos, agent, texts[i]);
        CHAOS_EXPECT_REPLY(answer, texts[i]);
    }
    chaos_link_down(link);
    answer = ask(chaos, agent, "x"); /* still fresh: nobody is asked */
    CHAOS_EXPECT_REPLY(answer, "x");
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 3);
    chaos_pass(chaos, 400 * DURESS_MS);
    answer = ask(chaos, agent, "x");
    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT_EQUAL(duress_cache_counts(agent).stale, 0);
    CHAOS_EXPECT_ARRIVALS(echo, 3);
}

/* --- what is kept --- */

CHAOS_TEST(cache, replies_expire, "a reply is used for its time to live, and asked for anew after it")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_cache_layer_options options = {.cache = {.ttl_ns = 400 * DURESS_MS}};
    struct duress_agent *agent = cache_around(chaos, chaos_link_agent(link), &options);
    struct chaos_answer answer = ask(chaos, agent, "x");
    CHAOS_EXPECT_REPLY(answer, "x");
    answer = ask(chaos, agent, "x");
    CHAOS_EXPECT_REPLY(answer, "x");
    CHAOS_EXPECT_ARRIVALS(echo, 1);
    chaos_pass(chaos, 400 * DURESS_MS);
    answer = ask(chaos, agent, "x");
    CHAOS_EXPECT_REPLY(answer, "x");
    CHAOS_EXPECT_ARRIVALS(echo, 2);
}

CHAOS_TEST(cache, calls_that_are_not_idempotent_pass, "a call that is not marked idempotent reaches the service")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = cache_around(chaos, chaos_link_agent(link), NULL);
    struct chaos_answer answer = ask(chaos, agent, "x");
    CHAOS_EXPECT_REPLY(answer, "x");
    answer = chaos_ask(chaos, agent, "x", 30 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "x");
    CHAOS_EXPECT_ARRIVALS(echo, 2);
}

CHAOS_TEST(cache, least_recently_used_goes, "at the limit the reply goes that was not asked for for longest")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo");
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_cache_layer_options options = {.cache = {.entries_max = 2}};
    struct duress_agent *agent = cache_around(chaos, chaos_link_agent(link), &options);
    static const char *const texts[] = {"a", "b", "a", "c", "a", "c"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct chaos_answer answer = ask(chaos, agent, texts[i]);
        CHAOS_EXPECT_REPLY(answer, texts[i]);
    }
    CHAOS_EXPECT_ARRIVALS(echo, 3);
    struct chaos_answer answer = ask(chaos, agent, "b");
    CHAOS_EXPECT_REPLY(answer, "b");
    CHAOS_EXPECT_ARRIVALS(echo, 4);
}

CHAOS_TEST(cache, forgotten_in_flight_is_not_kept, "what was asked for before its key was forgotten is not kept")
{
    struct chaos_service *echo = chaos_service_start(chaos, "echo", .reply_after_ns = 400 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, echo);
    struct duress_agent *agent = cache_around(chaos, chaos_link_agent(link), NULL);
    struct chaos_call *call = begin(chaos, agent, 30 * DURESS_S);
    chaos_pass(chaos, 50 * DURESS_MS);
    forget(agent, "x");
    struct chaos_answer answer = chaos_await(chaos, call);
    CHAOS_EXPECT_REPLY(answer, "x");
    for (int i = 0; i < 2; i++) {
        answer = ask(chaos, agent, "x");
        CHAOS_EXPECT_REPLY(answer, "x");
    }
    CHAOS_EXPECT_ARRIVALS(echo, 2);
}
