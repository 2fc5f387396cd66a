/* SPDX-License-Identifier: Apache-2.0
 *
 * Agents that a test answers by hand, and what a composition reported. Nothing here waits: an agent's call is held
 * until the test ends it, so every order of answers can be played. */
#ifndef DURESS_TESTS_COMPOSE_TEST_H
#define DURESS_TESTS_COMPOSE_TEST_H

#include "rig.h"

#include <stdio.h>
#include <string.h>

#include <duress/compose/conditional.h>
#include <duress/compose/fallback.h>
#include <duress/compose/parallel.h>
#include <duress/compose/quorum.h>
#include <duress/compose/sequential.h>

enum { HANDS_MAX = 6 };

/* An agent whose calls the test ends. */
struct hand {
    struct duress_agent *agent;
    struct duress_call *call; /* the last one, while it is held */
    unsigned calls;
    unsigned cancels;
    bool expired;   /* the last one that was cancelled: its time was over */
    char asked[64]; /* what the last call was */
    bool streaming;
    uint64_t deadline_ns;
};

/* The last report, copied. */
struct kept_report {
    unsigned reports;
    struct duress_call *call;
    size_t count;
    size_t replied_count;
    size_t failed_count;
    size_t answered_by;
    bool partial;
    int error;
    char text[64];
    char request[64];
    enum duress_part_state states[HANDS_MAX];
    bool agrees[HANDS_MAX];
    int codes[HANDS_MAX];
    char replies[HANDS_MAX][64];
    uint64_t started_ns[HANDS_MAX];
    uint64_t ended_ns[HANDS_MAX];
    bool cancels; /* cancels the call inside */
};

struct compose_test {
    struct rig rig;
    struct hand hands[HANDS_MAX];
    struct duress_agent *agents[HANDS_MAX];
    struct duress_agent *agent; /* under test; of the test's end */
    struct kept_report report;
    struct rig_answer answer;
    struct duress_failure why;
};

static inline void hand_begin(void *context, struct duress_call *call)
{
    struct hand *hand = context;
    struct duress_slice content = duress_message_content(call->request);
    hand->calls++;
    hand->call = call;
    hand->streaming = call->streaming;
    hand->deadline_ns = call->deadline_ns;
    (void)snprintf(hand->asked, sizeof hand->asked, "%.*s", (int)content.length, (const char *)content.data);
}

static inline void hand_cancel(void *context, struct duress_call *call)
{
    struct hand *hand = context;
    assert_ptr_equal(hand->call, call);
    hand->expired = call->expired;
    hand->call = NULL;
    hand->cancels++;
}

static inline struct duress_message *message_of(const char *text, const char *metadata)
{
    struct duress_message *message = NULL;
    struct duress_message_options options = {
        .role = duress_slice_text("agent"),
        .content = duress_slice_text(text),
        .metadata = duress_slice_text(metadata),
    };
    assert_int_equal(duress_message_new(&options, &message), DURESS_OK);
    return message;
}

static inline void hand_reply_with(struct hand *hand, const char *text, const char *metadata)
{
    struct duress_message *reply = message_of(text, metadata);
    struct duress_call *call = hand->call;
    assert_non_null(call);
    hand->call = NULL;
    duress_call_reply(call, reply);
    duress_message_unref(reply);
}

static inline void hand_reply(struct hand *hand, const char *text)
{
    hand_reply_with(hand, text, "{}");
}

static inline void hand_fail_as(struct hand *hand, enum duress_error code, bool ambiguous, const char *detail)
{
    struct duress_failure failure;
    struct duress_call *call = hand->call;
    assert_non_null(call);
    hand->call = NULL;
    duress_failure_set(&failure, code, DURESS_ORIGIN_AGENT, "%s", detail);
    failure.ambiguous = ambiguous;
    duress_call_fail(call, &failure);
}

static inline void hand_fail(struct hand *hand, enum duress_error code)
{
    hand_fail_as(hand, code, false, "on purpose");
}

static inline void hand_emit(struct hand *hand, const char *text)
{
    struct duress_message *chunk = message_of(text, "{}");
    duress_call_emit(hand->call, chunk);
    duress_message_unref(chunk);
}

static inline void text_keep(char *kept, size_t capacity, const struct duress_message *message)
{
    struct duress_slice content = duress_message_content(message);
    (void)snprintf(kept, capacity, "%.*s", (int)content.length, (const char *)content.data);
}

static inline void report_keep(void *context, struct duress_call *call, const struct duress_report *report)
{
    struct kept_report *kept = context;
    unsigned reports = kept->reports + 1;
    bool cancels = kept->cancels;
    *kept = (struct kept_report){
        .reports = reports,
        .call = call,
        .count = report->count,
        .replied_count = report->replied_count,
        .failed_count = report->failed_count,
        .answered_by = report->answered_by,
        .partial = report->partial,
        .error = report->error,
        .cancels = cancels,
    };
    assert_int_equal(report->error == DURESS_OK, report->reply != NULL);
    assert_int_equal(report->error == DURESS_OK, report->failure == NULL);
    if (report->reply != NULL)
        text_keep(kept->text, sizeof kept->text, report->reply);
    text_keep(kept->request, sizeof kept->request, report->request);
    for (size_t i = 0; i < report->count && i < HANDS_MAX; i++) {
        const struct duress_part *part = &report->parts[i];
        assert_int_not_equal(part->state, DURESS_PART_ASKED);
        assert_int_equal(part->state == DURESS_PART_REPLIED, part->reply != NULL);
        assert_int_equal(part->state == DURESS_PART_FAILED, part->failure != NULL);
        kept->states[i] = part->state;
        kept->agrees[i] = part->agrees;
        kept->codes[i] = part->failure != NULL ? part->failure->code : DURESS_OK;
        kept->started_ns[i] = part->started_ns;
        kept->ended_ns[i] = part->ended_ns;
        if (part->reply != NULL)
            text_keep(kept->replies[i], sizeof kept->replies[i], part->reply);
    }
    if (cancels)
        duress_call_cancel(call);
}

/* |count| hands, named "a", "b", … */
static inline void compose_test_open(struct compose_test *test, size_t count)
{
    *test = (struct compose_test){.agent = NULL};
    rig_open(&test->rig, 0);
    for (size_t i = 0; i < count; i++) {
        char name[2] = {(char)('a' + i), '\0'};
        assert_int_equal(duress_function_async_new(test->rig.client, name, hand_begin, hand_cancel, &test->hands[i],
                                                   &test->hands[i].agent),
                         DURESS_OK);
        test->agents[i] = test->hands[i].agent;
    }
}

/* Nothing is left: no call, no timer, no memory. */
static inline void compose_test_close(struct compose_test *test)
{
    uint64_t now_ns = rig_now_ns(&test->rig);
    duress_agent_unref(test->agent);
    rig_run_dry(&test->rig);
    assert_int_equal(rig_now_ns(&test->rig), now_ns); /* no timer was armed any more */
    for (size_t i = 0; i < HANDS_MAX; i++)
        duress_agent_unref(test->hands[i].agent);
    rig_close(&test->rig);
}

/* Lets run what is queued. */
static inline void compose_test_turn(struct compose_test *test)
{
    rig_run_for(&test->rig, 0);
}

static inline void compose_test_ask(struct compose_test *test, const char *text, uint64_t within_ns, bool idempotent)
{
    test->answer = (struct rig_answer){.ended = 0};
    test->report.reports = 0;
    uint64_t deadline_ns = within_ns == 0 ? 0 : rig_now_ns(&test->rig) + within_ns;
    rig_ask_by(test->agent, text, deadline_ns, idempotent, &test->answer);
    compose_test_turn(test);
}

/* All orders of |count| things, one after the other, beginning with 0, 1, 2, … */
static inline void order_first(size_t *order, size_t count)
{
    for (size_t i = 0; i < count; i++)
        order[i] = i;
}

static inline bool order_next(size_t *order, size_t count)
{
    size_t rise = count; /* the last place from which it can grow */
    for (size_t i = 0; i + 1 < count; i++)
        if (order[i] < order[i + 1])
            rise = i;
    if (rise == count)
        return false;
    size_t with = rise + 1;
    for (size_t i = rise + 1; i < count; i++)
        if (order[i] > order[rise])
            with = i;
    size_t kept = order[rise];
    order[rise] = order[with];
    order[with] = kept;
    for (size_t low = rise + 1, high = count - 1; low < high; low++, high--) {
        kept = order[low];
        order[low] = order[high];
        order[high] = kept;
    }
    return true;
}

static inline void assert_replied(const struct compose_test *test, const char *text)
{
    assert_int_equal(test->answer.ended, 1);
    assert_int_equal(test->answer.error, DURESS_OK);
    assert_string_equal(test->answer.text, text);
}

static inline void assert_failed(const struct compose_test *test, int code, const char *detail)
{
    assert_int_equal(test->answer.ended, 1);
    assert_int_equal(test->answer.error, code);
    assert_string_equal(test->answer.failure.detail, detail);
}

#endif
