/* SPDX-License-Identifier: Apache-2.0
 *
 * Replies in chunks under a failing network, rows N7, N8, S3, S9 and P9 of the plan: every chunk comes once and in
 * order, nothing is repeated after the first one, limits on streams fire on time, and a stream that nobody wants any
 * more is not made any more, as the service's log shows. */
#include "composition.h"
#include "stack.h"

#include <stdio.h>

#define PATIENCE_NS (30 * DURESS_S)
#define PACE_NS (50 * DURESS_MS) /* of the services' chunks */

/* The |count| chunks are "|text| 1" and so on: none is missing, doubled or out of order. */
static void expect_chunks(struct chaos *chaos, const struct chaos_stream *stream, const char *text, size_t count)
{
    CHAOS_EXPECT_EQUAL(stream->chunk_count, count);
    for (size_t i = 0; i < count; i++) {
        char expected[sizeof stream->chunks[i].text];
        (void)snprintf(expected, sizeof expected, "%s %zu", text, i + 1);
        if (strcmp(stream->chunks[i].text, expected) != 0)
            chaos__fail(chaos, __FILE__, __LINE__, "expected: \"%s\"; seen: \"%s\"", expected, stream->chunks[i].text);
    }
}

static void expect_whole(struct chaos *chaos, const struct chaos_stream *stream, const char *text, size_t count)
{
    CHAOS_EXPECT_CODE(stream->end.error, DURESS_OK);
    expect_chunks(chaos, stream, text, count);
    CHAOS_EXPECT_REPLY(stream->end, stream->chunks[count - 1].text); /* the last chunk */
}

/* When the service has made the last chunk that came, at the earliest. The instants of the chunks as they came are a
 * moment later than those from which the layers below have counted. */
static uint64_t last_chunk_ns(struct chaos_service *service, const struct chaos_stream *stream, uint64_t pace_ns)
{
    return chaos_service_arrival(service, 0).at_ns + (stream->chunk_count - 1) * pace_ns;
}

struct chunks_awaited {
    const struct chaos_call *call;
    size_t count;
};

static bool so_many_have_come(void *context)
{
    const struct chunks_awaited *awaited = context;
    return chaos_call_chunk_count(awaited->call) >= awaited->count;
}

static void await_chunks(struct chaos *chaos, const struct chaos_call *call, size_t count)
{
    struct chunks_awaited awaited = {.call = call, .count = count};
    CHAOS_EXPECT(chaos_until(chaos, so_many_have_come, &awaited, PATIENCE_NS));
}

/* What was cancelled is not worked on any more: the service makes no further chunk. */
static void expect_no_more_is_made(struct chaos *chaos, struct chaos_service *service)
{
    EXPECT_CANCELLED(service);
    uint32_t made = chaos_service_arrival(service, 0).chunk_count;
    chaos_pass(chaos, 4 * PACE_NS);
    CHAOS_EXPECT_EQUAL(chaos_service_arrival(service, 0).chunk_count, made);
}

CHAOS_TEST(stream, comes_through_all_layers, "N7: each chunk once, in order, and at once, through a whole stack")
{
    enum { CHUNKS = 8 };
    struct chaos_service *service = chaos_service_start(chaos, "service", .reply_after_ns = 100 * DURESS_MS,
                                                        .chunk_count = CHUNKS, .chunk_gap_ns = PACE_NS);
    struct chaos_link *link = chaos_link_open(chaos, service);
    struct duress_stack_options options = {
        .metrics = &(struct duress_metrics_options){0},
        .cache = &(struct duress_cache_layer_options){0},
        .bulkhead = &(struct duress_bulkhead_layer_options){0},
        .rate_limiter = &(struct duress_rate_limiter_options){0},
        .retry = &(struct duress_retry_options){0},
        .hedge = &(struct duress_hedge_layer_options){0},
        .breaker = &(struct duress_breaker_layer_options){0},
        .timeout = &(struct duress_timeout_options){0},
    };
    struct duress_agent *agent = stack_around(chaos, chaos_link_agent(link), &options);

    struct chaos_stream stream = chaos_ask_stream(chaos, agent, "hello", PATIENCE_NS);

    expect_whole(chaos, &stream, "hello", CHUNKS);
    struct chaos_arrival arrival = chaos_service_arrival(service, 0);
    for (size_t i = 0; i < CHUNKS; i++)
        CHAOS_EXPECT_ON_TIME(stream.chunks[i].at_ns, arrival.at_ns, 100 * DURESS_MS + i * PACE_NS);
    CHAOS_EXPECT_ON_TIME(stream.end.ended_ns, stream.chunks[CHUNKS - 1].at_ns, 0);
    CHAOS_EXPECT_EQUAL(arrival.chunk_count, CHUNKS);
    CHAOS_EXPECT_ARRIVALS(service, 1);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 1);
    struct chaos_answer answer = chaos_ask(chaos, agent, "whole", PATIENCE_NS);
    CHAOS_EXPECT_REPLY(answer, "whole"); /* who asks for no stream gets none */
}

/* --- retry --- */

static struct duress_agent *retry_around(struct chaos *chaos, struct chaos_link *link)
{
    struct duress_retry_options retry = {.attempts_max = 4, .backoff_ns = 20 * DURESS_MS};
    return stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.retry = &retry});
}

/* The connection goes, as |cut| does it, when the chunk |count| has come: |code| is how the stream ends. */
static void cut_at_chunk(struct chaos *chaos, uint64_t count, chaos_link_action_fn cut, int code, bool idempotent)
{
    enum { CHUNKS = 20 };
    struct chaos_service *service =
        chaos_service_start(chaos, "service", .chunk_count = CHUNKS, .chunk_gap_ns = PACE_NS);
    struct chaos_link *link = chaos_link_open(chaos, service);
    struct duress_agent *agent = retry_around(chaos, link);
    chaos_link_on_chunk(link, count, cut);

    struct chaos_call *call = chaos_begin_stream(chaos, agent, "hello", PATIENCE_NS, idempotent);
    struct chaos_stream stream = chaos_await_stream(chaos, call);

    CHAOS_EXPECT_ERROR(stream.end, code);
    CHAOS_EXPECT(stream.end.failure.ambiguous);
    CHAOS_EXPECT_EQUAL(stream.end.failure.attempts, 1);
    CHAOS_EXPECT_ON_TIME(stream.end.ended_ns, chaos_fired_at_ns(link), 0);
    /* On a busy machine several may have come before the caller looked. */
    CHAOS_EXPECT_AT_LEAST(stream.chunk_count, count);
    CHAOS_EXPECT_AT_MOST(stream.chunk_count, chaos_is_live(chaos) ? CHUNKS - 1 : count);
    expect_chunks(chaos, &stream, "hello", stream.chunk_count);
    expect_no_more_is_made(chaos, service);
    CHAOS_EXPECT_ARRIVALS(service, 1);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 1);
}

CHAOS_TEST(stream, reset_after_a_chunk_is_not_repeated,
           "N8: after its first chunk no stream is begun anew; the caller has what came, and an ambiguous failure")
{
    cut_at_chunk(chaos, chaos_draw(chaos, 1, 6), chaos_link_cut, DURESS_E_RESET, false);
}

CHAOS_TEST(stream, reset_after_a_chunk_is_not_repeated_when_idempotent, "N8: nor one that may be executed twice")
{
    cut_at_chunk(chaos, chaos_draw(chaos, 1, 6), chaos_link_cut, DURESS_E_RESET, true);
}

CHAOS_TEST(stream, end_inside_is_no_end, "N8: a connection that is closed between two chunks has not ended the stream")
{
    cut_at_chunk(chaos, chaos_draw(chaos, 2, 6), chaos_link_down, DURESS_E_TRUNCATED, true);
}

/* Two attempts are reset before their first chunk. */
static void cut_before_chunks(struct chaos *chaos, bool idempotent)
{
    enum { CHUNKS = 5 };
    struct chaos_service *service =
        chaos_service_start(chaos, "service", .chunk_count = CHUNKS, .chunk_gap_ns = PACE_NS);
    struct chaos_link *link = chaos_link_open(chaos, service);
    struct duress_agent *agent = retry_around(chaos, link);
    (void)chaos_link_cut_after(link, DURESS_DOWNSTREAM, 40, DURESS_CUT_RST);
    chaos_link_on_attempt_end(link, 2, chaos_link_clear);

    struct chaos_call *call = chaos_begin_stream(chaos, agent, "hello", PATIENCE_NS, idempotent);
    struct chaos_stream stream = chaos_await_stream(chaos, call);

    if (idempotent) {
        expect_whole(chaos, &stream, "hello", CHUNKS);
    } else {
        CHAOS_EXPECT_ERROR(stream.end, DURESS_E_RESET);
        CHAOS_EXPECT(stream.end.failure.ambiguous);
        CHAOS_EXPECT_EQUAL(stream.chunk_count, 0);
    }
    CHAOS_EXPECT_ARRIVALS(service, idempotent ? 3 : 1);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), idempotent ? 3 : 1);
}

CHAOS_TEST(stream, reset_before_the_first_chunk_is_repeated,
           "N8: an idempotent stream of which nothing came is begun anew, and comes once")
{
    cut_before_chunks(chaos, true);
}

CHAOS_TEST(stream, reset_before_the_first_chunk_may_have_run,
           "N8: one that is not idempotent is not begun anew: the service may have executed it")
{
    cut_before_chunks(chaos, false);
}

CHAOS_TEST(stream, rides_out_refusals, "N8: what never reached the service is tried again, and then streams")
{
    enum { CHUNKS = 5 };
    struct chaos_service *service =
        chaos_service_start(chaos, "service", .chunk_count = CHUNKS, .chunk_gap_ns = PACE_NS);
    struct chaos_link *link = chaos_link_open(chaos, service);
    struct duress_agent *agent = retry_around(chaos, link);
    chaos_link_down(link);
    chaos_link_on_attempt_end(link, 3, chaos_link_up);

    struct chaos_stream stream = chaos_ask_stream(chaos, agent, "hello", PATIENCE_NS);

    expect_whole(chaos, &stream, "hello", CHUNKS);
    CHAOS_EXPECT_ARRIVALS(service, 1);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 4);
}

/* --- limits --- */

/* With retries outside of it, which an idempotent stream of which something came must not see. */
static struct duress_agent *limits_around(struct chaos *chaos, struct chaos_link *link, uint64_t limit_ns,
                                          uint64_t gap_ns)
{
    struct duress_timeout_options timeout = {.limit_ns = limit_ns, .gap_ns = gap_ns};
    struct duress_retry_options retry = {.attempts_max = 3, .backoff_ns = 20 * DURESS_MS};
    return stack_around(chaos, chaos_link_agent(link),
                        &(struct duress_stack_options){.timeout = &timeout, .retry = &retry});
}

static void expect_limit_passed(struct chaos *chaos, const struct chaos_stream *stream, const char *words)
{
    CHAOS_EXPECT_ERROR(stream->end, DURESS_E_DEADLINE);
    CHAOS_EXPECT_EQUAL(stream->end.failure.origin, DURESS_ORIGIN_TIMEOUT);
    CHAOS_EXPECT(stream->end.failure.ambiguous);
    if (strstr(stream->end.failure.detail, words) == NULL)
        chaos__fail(chaos, __FILE__, __LINE__, "expected: \"%s\"; seen: \"%s\"", words, stream->end.failure.detail);
}

CHAOS_TEST(stream, gap_ends_one_that_stalls,
           "N7: a service that falls silent between two chunks is given up when the gap has passed, and told so")
{
    static const uint64_t gap_ns = 300 * DURESS_MS;
    struct chaos_service *service =
        chaos_service_start(chaos, "service", .chunk_count = 3, .chunk_gap_ns = 60 * DURESS_S);
    struct chaos_link *link = chaos_link_open(chaos, service);
    struct duress_agent *agent = limits_around(chaos, link, 20 * DURESS_S, gap_ns);

    struct chaos_stream stream = chaos_ask_stream_idempotent(chaos, agent, "hello", PATIENCE_NS);

    expect_limit_passed(chaos, &stream, "300 ms passed without a chunk");
    expect_chunks(chaos, &stream, "hello", 1);
    CHAOS_EXPECT_ON_TIME(stream.end.ended_ns, last_chunk_ns(service, &stream, 0), gap_ns);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    expect_no_more_is_made(chaos, service);
    CHAOS_EXPECT_ARRIVALS(service, 1);
}

static void chunks_vanish(struct chaos_link *link)
{
    struct duress_toxic hole = {.type = DURESS_TOXIC_BLACKHOLE, .direction = DURESS_DOWNSTREAM};
    (void)chaos_link_toxic(link, &hole);
}

CHAOS_TEST(stream, gap_ends_one_whose_chunks_vanish,
           "N7: some chunks come, the network swallows the others: the gap counts from the last one that came")
{
    static const uint64_t gap_ns = 600 * DURESS_MS;
    struct chaos_service *service = chaos_service_start(chaos, "service", .chunk_count = 1000, .chunk_gap_ns = PACE_NS);
    struct chaos_link *link = chaos_link_open(chaos, service);
    struct duress_agent *agent = limits_around(chaos, link, 20 * DURESS_S, gap_ns);
    uint64_t count = chaos_draw(chaos, 14, 20); /* which take longer than the gap */
    chaos_link_on_chunk(link, count, chunks_vanish);

    struct chaos_stream stream = chaos_ask_stream_idempotent(chaos, agent, "hello", PATIENCE_NS);

    expect_limit_passed(chaos, &stream, "without a chunk");
    CHAOS_EXPECT_AT_LEAST(stream.chunk_count, count);
    expect_chunks(chaos, &stream, "hello", stream.chunk_count);
    CHAOS_EXPECT_ON_TIME(stream.end.ended_ns, last_chunk_ns(service, &stream, PACE_NS), gap_ns);
    CHAOS_EXPECT_ARRIVALS(service, 1);
}

CHAOS_TEST(stream, gap_covers_the_first_chunk, "N7: the gap counts from the beginning to the first chunk, too")
{
    static const uint64_t gap_ns = 300 * DURESS_MS;
    struct chaos_service *slow =
        chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S, .slow_count = 1, .chunk_count = 3);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_agent *agent = limits_around(chaos, link, 20 * DURESS_S, gap_ns);

    struct chaos_stream stream = chaos_ask_stream_idempotent(chaos, agent, "hello", PATIENCE_NS);

    /* Nothing came of the first attempt, so that there is a second one. */
    expect_whole(chaos, &stream, "hello", 3);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 2);
    struct chaos_attempt first = chaos_link_attempt(link, 0);
    CHAOS_EXPECT_ON_TIME(first.ended_ns, first.started_ns, gap_ns);
    EXPECT_CANCELLED(slow);
}

CHAOS_TEST(stream, gap_spares_one_that_moves,
           "N7: a stream that takes longer than the gap goes on for as long as it moves")
{
    enum { CHUNKS = 7 };
    static const uint64_t pace_ns = 200 * DURESS_MS;
    static const uint64_t gap_ns = 1000 * DURESS_MS;
    struct chaos_service *service =
        chaos_service_start(chaos, "service", .chunk_count = CHUNKS, .chunk_gap_ns = pace_ns);
    struct duress_agent *agent = limits_around(chaos, chaos_link_open(chaos, service), 20 * DURESS_S, gap_ns);

    struct chaos_stream stream = chaos_ask_stream(chaos, agent, "hello", PATIENCE_NS);

    expect_whole(chaos, &stream, "hello", CHUNKS);
    CHAOS_EXPECT_AT_LEAST(stream.end.ended_ns - stream.end.started_ns, gap_ns);
    chaos_pass(chaos, chaos_is_live(chaos) ? 0 : 2 * gap_ns); /* what is over stays over */
    CHAOS_EXPECT_EQUAL(duress_timeout_counts(agent).timed_out, 0);
}

CHAOS_TEST(stream, limit_covers_the_whole_of_it,
           "N7: the limit ends a stream on time, however well it moves, and the service works no further")
{
    static const uint64_t limit_ns = 400 * DURESS_MS;
    struct chaos_service *service = chaos_service_start(chaos, "service", .chunk_count = 1000, .chunk_gap_ns = PACE_NS);
    struct chaos_link *link = chaos_link_open(chaos, service);
    struct duress_agent *agent = limits_around(chaos, link, limit_ns, 5 * DURESS_S);

    struct chaos_stream stream = chaos_ask_stream_idempotent(chaos, agent, "hello", PATIENCE_NS);

    expect_limit_passed(chaos, &stream, "400 ms passed while");
    CHAOS_EXPECT_ON_TIME(stream.end.ended_ns, stream.end.started_ns, limit_ns);
    CHAOS_EXPECT_AT_LEAST(stream.chunk_count, 1);
    if (!chaos_is_live(chaos))
        CHAOS_EXPECT_AT_LEAST(stream.chunk_count, limit_ns / PACE_NS - 2);
    expect_chunks(chaos, &stream, "hello", stream.chunk_count);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    expect_no_more_is_made(chaos, service);
    CHAOS_EXPECT_ARRIVALS(service, 1);
}

CHAOS_TEST(stream, deadline_of_the_call_ends_it, "N7: the caller's deadline ends a stream on time, without any layer")
{
    struct chaos_service *service = chaos_service_start(chaos, "service", .chunk_count = 1000, .chunk_gap_ns = PACE_NS);
    struct chaos_link *link = chaos_link_open(chaos, service);

    struct chaos_stream stream = chaos_ask_stream(chaos, chaos_link_agent(link), "hello", 400 * DURESS_MS);

    CHAOS_EXPECT_ERROR(stream.end, DURESS_E_DEADLINE);
    CHAOS_EXPECT_ON_TIME(stream.end.ended_ns, stream.end.started_ns, 400 * DURESS_MS);
    CHAOS_EXPECT_AT_LEAST(stream.chunk_count, 1);
    expect_chunks(chaos, &stream, "hello", stream.chunk_count);
    expect_no_more_is_made(chaos, service);
}

CHAOS_TEST(stream, cancelled_one_stops_the_service,
           "N7: who gives a stream up gets nothing more of it, and the service makes nothing more of it")
{
    struct chaos_service *service = chaos_service_start(chaos, "service", .chunk_count = 1000, .chunk_gap_ns = PACE_NS);
    struct chaos_link *link = chaos_link_open(chaos, service);
    struct duress_agent *agent = limits_around(chaos, link, 20 * DURESS_S, 10 * DURESS_S);
    uint64_t count = chaos_draw(chaos, 2, 9);

    struct chaos_call *call = chaos_begin_stream(chaos, agent, "hello", PATIENCE_NS, true);
    await_chunks(chaos, call, count);
    chaos_call_cancel(call);
    uint64_t cancelled_ns = chaos_now_ns(chaos);
    struct chaos_stream stream = chaos_await_stream(chaos, call);

    CHAOS_EXPECT_ERROR(stream.end, DURESS_E_CANCELLED);
    expect_chunks(chaos, &stream, "hello", stream.chunk_count);
    CHAOS_EXPECT_NOTHING_OPEN(link);
    expect_no_more_is_made(chaos, service);
    struct chaos_arrival arrival = chaos_service_arrival(service, 0);
    CHAOS_EXPECT_AT_MOST(arrival.ended_ns, cancelled_ns + chaos_slack_ns(chaos));
    CHAOS_EXPECT_EQUAL(chaos_call_chunk_count(call), stream.chunk_count);
    CHAOS_EXPECT_ARRIVALS(service, 1);
}

/* --- other layers --- */

CHAOS_TEST(stream, holds_its_slot_to_the_end, "S9: a stream keeps its place in the bulkhead until its last chunk")
{
    enum { CHUNKS = 4, CALLS = 3 };
    struct chaos_service *service =
        chaos_service_start(chaos, "service", .chunk_count = CHUNKS, .chunk_gap_ns = PACE_NS);
    struct chaos_link *link = chaos_link_open(chaos, service);
    struct duress_bulkhead_layer_options bulkhead = {.bulkhead.limit = 1};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.bulkhead = &bulkhead});
    struct chaos_call *calls[CALLS];

    for (size_t i = 0; i < CALLS; i++)
        calls[i] = chaos_begin_stream(chaos, agent, "hello", PATIENCE_NS, false);
    for (size_t i = 0; i < CALLS; i++) {
        struct chaos_stream stream = chaos_await_stream(chaos, calls[i]);
        expect_whole(chaos, &stream, "hello", CHUNKS);
    }
    CHAOS_EXPECT_ARRIVALS(service, CALLS);
    for (uint64_t i = 1; i < CALLS; i++)
        CHAOS_EXPECT_ON_TIME(chaos_service_arrival(service, i).at_ns, chaos_service_arrival(service, i - 1).ended_ns,
                             0);
}

CHAOS_TEST(stream, first_chunk_decides_a_hedge,
           "S3: the attempt whose chunk comes first has won; the other one is cancelled")
{
    enum { CHUNKS = 4 };
    struct chaos_service *slow = chaos_service_start(chaos, "slow", .reply_after_ns = 60 * DURESS_S, .slow_count = 1,
                                                     .chunk_count = CHUNKS, .chunk_gap_ns = 100 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, slow);
    struct duress_hedge_layer_options hedge = {.hedge = {.delay_ns = 200 * DURESS_MS}};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.hedge = &hedge});

    struct chaos_stream stream = chaos_ask_stream_idempotent(chaos, agent, "hello", PATIENCE_NS);

    expect_whole(chaos, &stream, "hello", CHUNKS);
    CHAOS_EXPECT_ARRIVALS(slow, 2);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 2);
    struct chaos_attempt loser = chaos_link_attempt(link, 0);
    CHAOS_EXPECT_CODE(loser.error, DURESS_E_CANCELLED);
    CHAOS_EXPECT_ON_TIME(loser.ended_ns, stream.end.started_ns, 200 * DURESS_MS);
    CHAOS_EXPECT_AT_MOST(loser.ended_ns, stream.chunks[0].at_ns); /* and not when the stream had ended */
    EXPECT_CANCELLED(slow);
}

CHAOS_TEST(stream, is_not_hedged_once_it_moves,
           "S3: after the first chunk there is no second attempt, however slow the rest")
{
    enum { CHUNKS = 3 };
    struct chaos_service *service =
        chaos_service_start(chaos, "service", .chunk_count = CHUNKS, .chunk_gap_ns = 700 * DURESS_MS);
    struct chaos_link *link = chaos_link_open(chaos, service);
    struct duress_hedge_layer_options hedge = {.hedge = {.delay_ns = 600 * DURESS_MS}};
    struct duress_agent *agent =
        stack_around(chaos, chaos_link_agent(link), &(struct duress_stack_options){.hedge = &hedge});

    struct chaos_stream stream = chaos_ask_stream_idempotent(chaos, agent, "hello", PATIENCE_NS);

    expect_whole(chaos, &stream, "hello", CHUNKS);
    CHAOS_EXPECT_ARRIVALS(service, 1);
    CHAOS_EXPECT_EQUAL(chaos_link_attempts(link), 1);
}

static void fall_back(struct chaos *chaos, bool after_a_chunk)
{
    enum { CHUNKS = 6 };
    struct chaos_service *primary =
        chaos_service_start(chaos, "primary", .chunk_count = CHUNKS, .chunk_gap_ns = PACE_NS);
    struct chaos_service *backup = chaos_service_start(chaos, "backup");
    struct chaos_link *link = chaos_link_open(chaos, primary);
    struct duress_agent *agents[] = {chaos_link_agent(link), chaos_link_agent(chaos_link_open(chaos, backup))};
    struct duress_agent *agent = NULL;
    struct duress_failure why;
    (void)COMPOSED(duress_fallback_new("chain", agents, 2, NULL, &agent, &why));
    if (after_a_chunk)
        chaos_link_on_chunk(link, 2, chaos_link_cut);
    else
        (void)chaos_link_cut_after(link, DURESS_DOWNSTREAM, 40, DURESS_CUT_RST);

    struct chaos_stream stream = chaos_ask_stream_idempotent(chaos, agent, "hello", PATIENCE_NS);

    if (after_a_chunk) {
        CHAOS_EXPECT_ERROR(stream.end, DURESS_E_RESET);
        CHAOS_EXPECT_AT_LEAST(stream.chunk_count, 2);
        expect_chunks(chaos, &stream, "hello", stream.chunk_count);
    } else {
        CHAOS_EXPECT_REPLY(stream.end, "hello");
        CHAOS_EXPECT_EQUAL(stream.chunk_count, 1); /* the backup streams nothing: its reply is one chunk */
    }
    CHAOS_EXPECT_ARRIVALS(primary, 1);
    CHAOS_EXPECT_ARRIVALS(backup, after_a_chunk ? 0 : 1);
}

CHAOS_TEST(stream, is_not_taken_over_once_it_moves,
           "P9: the backup does not begin anew what the primary began to answer")
{
    fall_back(chaos, true);
}

CHAOS_TEST(stream, is_taken_over_before_it_moves, "P9: where nothing came of the primary, the backup's stream comes")
{
    fall_back(chaos, false);
}
