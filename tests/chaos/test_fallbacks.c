/* SPDX-License-Identifier: Apache-2.0
 *
 * One agent of several: fallback (row P9 of the plan), conditional and router. The services' arrival logs say who was
 * asked, and who was spared. */
#include "composition.h"
#include "stack.h"

struct chain {
    struct chaos_service *primary;
    struct chaos_service *backup;
    struct chaos_link *primary_link;
    struct chaos_link *backup_link;
    struct duress_agent *agents[2]; /* plain ones */
    struct reported reported;
};

static void chain_open(struct chaos *chaos, struct chain *chain, uint64_t primary_after_ns, uint32_t fail_count)
{
    *chain = (struct chain){.primary = NULL};
    chain->primary =
        chaos_service_start(chaos, "primary", .reply_after_ns = primary_after_ns, .fail_count = fail_count);
    chain->backup = chaos_service_start(chaos, "backup", .reply_bytes = 6);
    chain->primary_link = chaos_link_open(chaos, chain->primary);
    chain->backup_link = chaos_link_open(chaos, chain->backup);
    chain->agents[0] = chaos_link_agent_with(chain->primary_link, .connect_timeout_ns = 100 * DURESS_MS);
    chain->agents[1] = chaos_link_agent(chain->backup_link);
}

/* A fallback of the two, reported to |chain|. */
static struct duress_agent *chain_fallback(struct chaos *chaos, struct chain *chain,
                                           struct duress_fallback_options options)
{
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    options.on_report = reported_keep;
    if (options.context == NULL)
        options.context = &chain->reported;
    return COMPOSED(duress_fallback_new("chain", chain->agents, 2, &options, &agent, &why));
}

/* What the backup replies. */
#define BACKUP "abcdef"

CHAOS_TEST(fallback, goes_to_the_backup_and_back, "P9: the backup while the primary is down, the primary when it is up")
{
    struct chain chain;
    chain_open(chaos, &chain, 0, 0);
    struct duress_agent *agent = chain_fallback(chaos, &chain, (struct duress_fallback_options){.annotate = false});

    struct chaos_answer answer = chaos_ask(chaos, agent, "one", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "one");
    CHAOS_EXPECT_EQUAL(chain.reported.answered_by, 0);
    link_take_down(chaos, chain.primary_link);
    answer = chaos_ask(chaos, agent, "two", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, BACKUP);
    CHAOS_EXPECT_ARRIVALS(chain.primary, 1);
    CHAOS_EXPECT_ARRIVALS(chain.backup, 1);
    CHAOS_EXPECT_EQUAL(chain.reported.answered_by, 1);
    EXPECT_STATE(chain.reported, 0, DURESS_PART_FAILED, DURESS_E_REFUSED);
    EXPECT_STATE(chain.reported, 1, DURESS_PART_REPLIED, DURESS_OK);
    chaos_link_up(chain.primary_link);
    answer = chaos_ask(chaos, agent, "three", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "three");
    CHAOS_EXPECT_ARRIVALS(chain.primary, 2);
    CHAOS_EXPECT_ARRIVALS(chain.backup, 1);
    CHAOS_EXPECT_EQUAL(chain.reported.answered_by, 0);
}

CHAOS_TEST(fallback, survives_a_killed_primary, "P9: the primary's process dies; the backup answers; it comes back")
{
    struct chain chain;
    chain_open(chaos, &chain, 0, 0);
    struct duress_agent *agent = chain_fallback(chaos, &chain, (struct duress_fallback_options){.annotate = false});

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "one", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "one");
    chaos_service_kill(chain.primary);
    answer = chaos_ask_idempotent(chaos, agent, "two", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, BACKUP);
    CHAOS_EXPECT_ARRIVALS(chain.primary, 1);
    chaos_service_restart(chain.primary);
    answer = chaos_ask_idempotent(chaos, agent, "three", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "three");
    CHAOS_EXPECT_ARRIVALS(chain.primary, 2);
    CHAOS_EXPECT_ARRIVALS(chain.backup, 1);
}

CHAOS_TEST(fallback, breaker_spares_a_sick_primary,
           "P9: an open breaker sends calls to the backup at once; its probe finds the primary well again")
{
    struct chain chain;
    chain_open(chaos, &chain, 0, 0);
    struct duress_breaker_layer_options breaker = {
        .breaker = {.failures_to_open = 2, .successes_to_close = 1, .recovery_ns = 600 * DURESS_MS}};
    chain.agents[0] = stack_around(chaos, chain.agents[0], &(struct duress_stack_options){.breaker = &breaker});
    struct duress_agent *agent = chain_fallback(chaos, &chain, (struct duress_fallback_options){.annotate = false});

    chaos_link_silence(chain.primary_link, true);
    struct chaos_answer answer;
    for (int i = 0; i < 2; i++) {
        answer = chaos_ask(chaos, agent, "slowly", 10 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, BACKUP);
        CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 100 * DURESS_MS);
        EXPECT_STATE(chain.reported, 0, DURESS_PART_FAILED, DURESS_E_CONNECT_TIMEOUT);
    }
    for (int i = 0; i < 3; i++) {
        answer = chaos_ask(chaos, agent, "at once", 10 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, BACKUP);
        CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 0);
        EXPECT_STATE(chain.reported, 0, DURESS_PART_FAILED, DURESS_E_CIRCUIT_OPEN);
    }
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(chain.primary_link), 2);
    CHAOS_EXPECT_ARRIVALS(chain.backup, 5);
    chaos_link_silence(chain.primary_link, false);
    chaos_pass(chaos, 600 * DURESS_MS);
    answer = chaos_ask(chaos, agent, "back", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "back");
    CHAOS_EXPECT_ARRIVALS(chain.primary, 1);
    CHAOS_EXPECT_ARRIVALS(chain.backup, 5);
}

CHAOS_TEST(fallback, timeout_frees_it_from_a_hanging_primary,
           "P9: a primary that hangs costs its timeout, not the caller's deadline; its work is given up")
{
    struct chain chain;
    chain_open(chaos, &chain, 60 * DURESS_S, 0);
    struct duress_timeout_options timeout = {.limit_ns = 200 * DURESS_MS};
    chain.agents[0] = stack_around(chaos, chain.agents[0], &(struct duress_stack_options){.timeout = &timeout});
    struct duress_agent *agent = chain_fallback(chaos, &chain, (struct duress_fallback_options){.annotate = false});

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 30 * DURESS_S);

    CHAOS_EXPECT_REPLY(answer, BACKUP);
    CHAOS_EXPECT_ON_TIME(answer.ended_ns, answer.started_ns, 200 * DURESS_MS);
    EXPECT_STATE(chain.reported, 0, DURESS_PART_FAILED, DURESS_E_DEADLINE);
    CHAOS_EXPECT_NOTHING_OPEN(chain.primary_link);
    EXPECT_CANCELLED(chain.primary);
}

CHAOS_TEST(fallback, ambiguous_failure_goes_on_only_if_idempotent,
           "P9: what the primary may have executed is not given to the backup, unless it may be executed twice")
{
    struct chain chain;
    chain_open(chaos, &chain, 0, 0);
    struct duress_agent *agent = chain_fallback(chaos, &chain, (struct duress_fallback_options){.annotate = false});
    (void)chaos_link_cut_after(chain.primary_link, DURESS_DOWNSTREAM, 40, DURESS_CUT_RST);

    struct chaos_answer answer = chaos_ask(chaos, agent, "once", 10 * DURESS_S);
    CHAOS_EXPECT_ERROR(answer, DURESS_E_RESET);
    CHAOS_EXPECT(answer.failure.ambiguous);
    CHAOS_EXPECT(strncmp(answer.failure.detail, "agent 1 (", 9) == 0);
    CHAOS_EXPECT_ARRIVALS(chain.primary, 1);
    CHAOS_EXPECT_ARRIVALS(chain.backup, 0);
    EXPECT_STATE(chain.reported, 1, DURESS_PART_NOT_ASKED, DURESS_OK);
    answer = chaos_ask_idempotent(chaos, agent, "twice", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, BACKUP);
    CHAOS_EXPECT_ARRIVALS(chain.primary, 2);
    CHAOS_EXPECT_ARRIVALS(chain.backup, 1);
}

CHAOS_TEST(fallback, bad_request_is_not_asked_of_the_backup, "P9: what no agent can understand is asked of no other")
{
    struct chain chain;
    chain_open(chaos, &chain, 0, 0);
    struct duress_agent *agent = chain_fallback(chaos, &chain, (struct duress_fallback_options){.annotate = false});

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "no \xff UTF-8", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_INVALID);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(chain.backup_link), 0);
    CHAOS_EXPECT_ARRIVALS(chain.backup, 0);
}

CHAOS_TEST(fallback, all_failed_names_all, "P9: where all fail, the last one's code, and what any may have executed")
{
    struct chain chain;
    chain_open(chaos, &chain, 0, 1);
    struct duress_agent *agent = chain_fallback(chaos, &chain, (struct duress_fallback_options){.annotate = false});
    chaos_link_down(chain.backup_link);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "hello", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT(answer.failure.ambiguous); /* the primary's failure was */
    CHAOS_EXPECT_EQUAL(answer.failure.attempts, 2);
    CHAOS_EXPECT(strncmp(answer.failure.detail, "2 agents failed: 1 (", 20) == 0);
    CHAOS_EXPECT(strstr(answer.failure.detail, "REMOTE") != NULL);
    CHAOS_EXPECT_ARRIVALS(chain.primary, 1);
    CHAOS_EXPECT_EQUAL(chain.reported.answered_by, 1);
}

struct sick_primary {
    struct reported reported; /* first: the context of both callbacks */
    bool sick;
};

static bool primary_is_healthy(void *context, size_t index, struct duress_agent *agent)
{
    (void)agent;
    return index != 0 || !((const struct sick_primary *)context)->sick;
}

CHAOS_TEST(fallback, skips_who_is_not_healthy, "P9: a primary known to be sick sees no call, until all others fail")
{
    struct chain chain;
    struct sick_primary health = {.sick = true};
    chain_open(chaos, &chain, 0, 0);
    struct duress_fallback_options options = {.is_healthy = primary_is_healthy, .context = &health};
    struct duress_agent *agent = chain_fallback(chaos, &chain, options);

    struct chaos_answer answer = chaos_ask(chaos, agent, "one", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, BACKUP);
    EXPECT_STATE(health.reported, 0, DURESS_PART_SKIPPED, DURESS_OK);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(chain.primary_link), 0);
    link_take_down(chaos, chain.backup_link);
    answer = chaos_ask(chaos, agent, "two", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "two");
    chaos_link_up(chain.backup_link);
    health.sick = false;
    answer = chaos_ask(chaos, agent, "three", 10 * DURESS_S);
    CHAOS_EXPECT_REPLY(answer, "three");
    CHAOS_EXPECT_ARRIVALS(chain.primary, 2);
    CHAOS_EXPECT_ARRIVALS(chain.backup, 1);
}

/* --- conditional and router --- */

struct desks {
    struct chaos_service *services[3];
    struct chaos_link *links[3];
    struct duress_agent *agents[3];
    struct reported reported;
};

static void desks_open(struct chaos *chaos, struct desks *desks)
{
    static const char *const names[3] = {"red", "blue", "other"};
    *desks = (struct desks){.services = {NULL}};
    for (size_t i = 0; i < 3; i++) {
        desks->services[i] = chaos_service_start(chaos, names[i]);
        desks->links[i] = chaos_link_open(chaos, desks->services[i]);
        desks->agents[i] = chaos_link_agent(desks->links[i]);
    }
}

static struct duress_agent *desks_conditional(struct chaos *chaos, struct desks *desks, bool with_default)
{
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    struct duress_route routes[2] = {{duress_content_contains, "red", desks->agents[0]},
                                     {duress_content_contains, "blue", desks->agents[1]}};
    struct duress_choice_options options = {
        .otherwise = with_default ? desks->agents[2] : NULL, .on_report = reported_keep, .context = &desks->reported};
    return COMPOSED(duress_conditional_new("fork", routes, 2, &options, &agent, &why));
}

CHAOS_TEST(conditional, asks_the_first_route_that_holds, "one agent is asked, the first whose predicate holds")
{
    struct desks desks;
    desks_open(chaos, &desks);
    struct duress_agent *agent = desks_conditional(chaos, &desks, true);
    static const struct {
        const char *text;
        size_t chosen;
    } cases[] = {{"blue", 1}, {"red", 0}, {"blue and red", 0}, {"green", 2}};
    uint64_t arrivals[3] = {0};

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, cases[i].text, 10 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, cases[i].text);
        CHAOS_EXPECT_EQUAL(desks.reported.answered_by, cases[i].chosen);
        arrivals[cases[i].chosen]++;
        for (size_t each = 0; each < 3; each++)
            CHAOS_EXPECT_ARRIVALS(desks.services[each], arrivals[each]);
    }
}

CHAOS_TEST(conditional, fails_clearly_where_nothing_holds, "no route, no default: an error, and nobody was asked")
{
    struct desks desks;
    desks_open(chaos, &desks);
    struct duress_agent *agent = desks_conditional(chaos, &desks, false);

    struct chaos_answer answer = chaos_ask(chaos, agent, "green", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_INVALID);
    CHAOS_EXPECT(!answer.failure.ambiguous);
    for (size_t i = 0; i < 3; i++)
        CHAOS_EXPECT_EQUAL(chaos_link_attempts(desks.links[i]), 0);
}

CHAOS_TEST(conditional, tries_no_other_route, "a route that fails has failed: no other is asked, the default neither")
{
    struct desks desks;
    desks_open(chaos, &desks);
    struct duress_agent *agent = desks_conditional(chaos, &desks, true);
    chaos_link_down(desks.links[0]);

    struct chaos_answer answer = chaos_ask_idempotent(chaos, agent, "red and blue", 10 * DURESS_S);

    CHAOS_EXPECT_ERROR(answer, DURESS_E_REFUSED);
    CHAOS_EXPECT(strncmp(answer.failure.detail, "route 1 (", 9) == 0);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(desks.links[1]), 0);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(desks.links[2]), 0);
}

static size_t choose_by_digit(void *context, const struct duress_message *request, size_t count)
{
    (void)context;
    (void)count;
    return (size_t)(duress_message_content(request).data[0] - '0');
}

CHAOS_TEST(router, asks_whom_its_function_says, "one agent is asked, the one that was said; beyond them the default")
{
    struct desks desks;
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    desks_open(chaos, &desks);
    struct duress_choice_options options = {.otherwise = desks.agents[2]};
    (void)COMPOSED(duress_router_new("router", choose_by_digit, desks.agents, 2, &options, &agent, &why));
    static const char *const texts[] = {"1", "0", "1", "2", "9"};

    for (size_t i = 0; i < 5; i++) {
        struct chaos_answer answer = chaos_ask(chaos, agent, texts[i], 10 * DURESS_S);
        CHAOS_EXPECT_REPLY(answer, texts[i]);
    }
    CHAOS_EXPECT_ARRIVALS(desks.services[0], 1);
    CHAOS_EXPECT_ARRIVALS(desks.services[1], 2);
    CHAOS_EXPECT_ARRIVALS(desks.services[2], 2);
}
