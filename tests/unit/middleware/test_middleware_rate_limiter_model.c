/* SPDX-License-Identifier: Apache-2.0
 *
 * The rate limiter layer beside a model of its queue, in random crowds. The model serves its queue token by token, in
 * fractions that never overflow, and finds out what a newcomer may expect by serving all who are ahead of it. Each call
 * must be asked of the service at the very instant that the model says, or be refused for the very reason. */
#include "layer_test.h"

#include <duress/middleware/rate_limiter.h>

#include "bucket_model.h"

enum { CALL_COUNT = 120, SEED_COUNT = 150 };

struct expected {
    enum duress_rate_reason reason;
    uint64_t passed_ns; /* 0: not (yet) */
    bool cancelled;
    bool waits;
};

struct queue_model {
    struct bucket_model bucket;
    struct duress_rate_limit_options limit;
    uint32_t queue[CALL_COUNT];
    uint32_t waiting;
    struct expected calls[CALL_COUNT];
};

struct story_call {
    struct story *story;
    struct rig_answer answer;
    struct duress_timer begin;
    struct duress_timer cancel;
    uint64_t deadline_ns;
    uint64_t asked_ns; /* when the service was */
};

struct story {
    struct layer_test test;
    struct queue_model model;
    struct story_call calls[CALL_COUNT];
};

static struct story the_story;

static void model_serve(struct queue_model *model, uint64_t last_ns, uint64_t until_ns)
{
    uint32_t tokens = model->limit.tokens_per_request;
    while (model->waiting > 0) {
        uint64_t ready_ns = bucket_model_ready_ns(&model->bucket, BUCKET_WITH_GIVEN_BACK, tokens, last_ns);
        if (ready_ns > until_ns)
            return;
        bucket_model_take(&model->bucket, tokens, ready_ns);
        model->calls[model->queue[0]].passed_ns = ready_ns;
        model->calls[model->queue[0]].waits = false;
        model->waiting--;
        for (uint32_t i = 0; i < model->waiting; i++)
            model->queue[i] = model->queue[i + 1];
        last_ns = ready_ns;
    }
}

/* When a newcomer would pass, if nobody gave up. */
static uint64_t model_foresee(const struct queue_model *model, uint64_t now_ns)
{
    static struct bucket_model bucket;
    bucket = model->bucket;
    uint64_t ready_ns = now_ns;
    for (uint32_t i = 0; i <= model->waiting; i++) {
        uint32_t tokens = model->limit.tokens_per_request;
        ready_ns = bucket_model_ready_ns(&bucket, BUCKET_WITH_GIVEN_BACK, tokens, ready_ns);
        bucket_model_take(&bucket, tokens, ready_ns);
    }
    return ready_ns;
}

static void model_ask(struct queue_model *model, uint32_t index, uint64_t deadline_ns, uint64_t now_ns)
{
    struct expected *expected = &model->calls[index];
    uint64_t ready_ns = model_foresee(model, now_ns);
    bool full = model->waiting >= model->limit.waiting_max;
    if (ready_ns == now_ns) {
        bucket_model_take(&model->bucket, model->limit.tokens_per_request, now_ns);
        expected->passed_ns = now_ns;
    } else if (model->limit.mode == DURESS_RATE_LIMIT_REFUSE) {
        expected->reason = DURESS_RATE_BY_RATE;
    } else if (full) {
        expected->reason = DURESS_RATE_BY_QUEUE;
    } else if (ready_ns - now_ns > model->limit.wait_ns_max) {
        expected->reason = DURESS_RATE_BY_WAIT;
    } else if (ready_ns >= deadline_ns) {
        expected->reason = DURESS_RATE_BY_DEADLINE;
    } else {
        expected->waits = true;
        model->queue[model->waiting++] = index;
    }
}

static void model_cancel(struct queue_model *model, uint32_t index)
{
    uint32_t kept = 0;
    if (model->calls[index].waits)
        model->calls[index].cancelled = true;
    for (uint32_t i = 0; i < model->waiting; i++) {
        if (model->queue[i] != index)
            model->queue[kept++] = model->queue[i];
    }
    model->waiting = kept;
}

/* --- the story --- */

static uint32_t index_of(const struct story_call *call)
{
    return (uint32_t)(call - call->story->calls);
}

static uint64_t last_take_ns(const struct queue_model *model)
{
    uint32_t count = model->bucket.count;
    return count == 0 ? 0 : model->bucket.takes[count - 1].at_ns;
}

static void story_begin(void *context)
{
    struct story_call *call = context;
    struct story *story = call->story;
    uint64_t now_ns = rig_now_ns(&story->test.rig);
    model_serve(&story->model, last_take_ns(&story->model), now_ns);
    model_ask(&story->model, index_of(call), call->deadline_ns, now_ns);
    /* The text tells the service who asks. */
    rig_ask_by(story->test.agent, (const char[2]){(char)(index_of(call) + 1), '\0'}, call->deadline_ns, false,
               &call->answer);
    assert_int_equal(duress_rate_limiter_counts(story->test.agent).waiting, story->model.waiting);
}

static void story_cancel(void *context)
{
    struct story_call *call = context;
    struct story *story = call->story;
    if (call->answer.call == NULL)
        return;
    model_serve(&story->model, last_take_ns(&story->model), rig_now_ns(&story->test.rig));
    model_cancel(&story->model, index_of(call));
    duress_call_cancel(call->answer.call);
}

static void story_asked(void *context, struct rig_service *service, struct duress_call *call)
{
    struct story *story = context;
    struct duress_slice text = duress_message_content(call->request);
    uint32_t index = (uint32_t) * (const unsigned char *)text.data - 1;
    (void)service;
    story->calls[index].asked_ns = rig_now_ns(&story->test.rig);
}

static struct duress_rate_limiter_options random_options(struct duress_prng *prng)
{
    struct duress_rate_limiter_options options = {.bucket = {.per_ns = DURESS_S}};
    options.bucket.rate = 3 + (uint32_t)duress_prng_below(prng, 60);
    options.bucket.burst = 2 + (uint32_t)duress_prng_below(prng, 5);
    options.limit.tokens_per_request = 1 + (uint32_t)duress_prng_below(prng, 2);
    if (duress_prng_chance(prng, 200000)) {
        options.limit.mode = DURESS_RATE_LIMIT_REFUSE;
        return options;
    }
    options.limit.waiting_max = duress_prng_chance(prng, 500000) ? 5 + (uint32_t)duress_prng_below(prng, 10) : 0;
    options.limit.wait_ns_max = duress_prng_chance(prng, 300000) ? DURESS_S / 2 : 0;
    return options;
}

/* Instants that no two events share, nor with a token: odd numbers of a multiple that no token has. */
static uint64_t random_instant_ns(struct duress_prng *prng, uint64_t base_ns, uint32_t number)
{
    return base_ns + duress_prng_below(prng, 3000) * DURESS_MS + number * 1237 + 1;
}

static void story_open(struct story *story, uint64_t seed)
{
    struct duress_prng prng;
    duress_prng_init(&prng, seed, 7);
    layer_test_open(&story->test, seed);
    struct duress_rate_limiter_options options = random_options(&prng);
    assert_int_equal(duress_with_rate_limiter(story->test.service.agent, &options, &story->test.agent, NULL),
                     DURESS_OK);
    story->test.service.on_call = story_asked;
    story->test.service.context = story;
    story->model = (struct queue_model){.bucket.options = options.bucket};
    assert_int_equal(duress_rate_limit_options_init(&story->model.limit, &options.limit,
                                                    duress_rate_limiter_bucket(story->test.agent), NULL),
                     DURESS_OK);
    uint64_t base_ns = rig_now_ns(&story->test.rig) + 1;
    for (uint32_t i = 0; i < CALL_COUNT; i++) {
        struct story_call *call = &story->calls[i];
        *call = (struct story_call){.story = story};
        duress_timer_init(&call->begin, story_begin, call);
        duress_timer_init(&call->cancel, story_cancel, call);
        uint64_t begin_ns = random_instant_ns(&prng, base_ns, 2 * i);
        call->deadline_ns = begin_ns + 1 + duress_prng_below(&prng, 1500) * DURESS_MS;
        duress_world_arm(story->test.rig.client, &call->begin, begin_ns);
        if (i % 3 == 0)
            duress_world_arm(story->test.rig.client, &call->cancel, random_instant_ns(&prng, begin_ns, 2 * i + 1));
    }
}

static void story_check(const struct story *story, struct duress_rate_limiter_counts counts)
{
    uint64_t by[DURESS_RATE_REASON_COUNT] = {0};
    for (uint32_t i = 0; i < CALL_COUNT; i++) {
        const struct expected *expected = &story->model.calls[i];
        const struct story_call *call = &story->calls[i];
        assert_int_equal(call->answer.ended, 1);
        assert_int_equal(call->asked_ns, expected->passed_ns);
        by[expected->reason] += expected->reason != DURESS_RATE_BY_NOTHING;
        if (expected->cancelled) {
            assert_int_equal(call->answer.error, DURESS_E_CANCELLED);
        } else if (expected->reason == DURESS_RATE_BY_NOTHING) {
            assert_int_equal(call->answer.error, DURESS_OK); /* nobody waits in vain */
        } else {
            assert_int_equal(call->answer.error, DURESS_E_RATE_LIMITED);
            assert_string_equal(call->answer.failure.detail, duress_rate_reason_name(expected->reason));
        }
    }
    for (int reason = 0; reason < DURESS_RATE_REASON_COUNT; reason++)
        assert_int_equal(counts.refused_by[reason], by[reason]);
    assert_true(bucket_model_is_within_bound(&story->model.bucket));
}

static void each_call_passes_or_is_refused_as_the_model_says(void **state)
{
    (void)state;
    uint64_t by[DURESS_RATE_REASON_COUNT] = {0};
    uint64_t waited = 0;
    for (uint64_t seed = 0; seed < SEED_COUNT; seed++) {
        struct story *story = &the_story;
        story_open(story, seed);
        rig_run_dry(&story->test.rig);
        model_serve(&story->model, last_take_ns(&story->model), UINT64_MAX);
        struct duress_rate_limiter_counts counts = duress_rate_limiter_counts(story->test.agent);
        story_check(story, counts);
        waited += counts.waited;
        for (int reason = 0; reason < DURESS_RATE_REASON_COUNT; reason++)
            by[reason] += counts.refused_by[reason];
        layer_test_close(&story->test);
    }
    for (int reason = 1; reason < DURESS_RATE_REASON_COUNT; reason++)
        assert_true(by[reason] > 100); /* the stories have some of everything */
    assert_true(waited > 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_passes_or_is_refused_as_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
