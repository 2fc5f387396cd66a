/* SPDX-License-Identifier: Apache-2.0
 *
 * Each layer where a call's memory ends just in it: the call ends, the layer's counts say so, and it holds nothing. */
#include "eater.h"
#include "layer_private.h"
#include "layer_test.h"

#include <duress/middleware/batch.h>
#include <duress/middleware/faults.h>

struct layer_case {
    const char *name; /* for who looks at it in a debugger */
    int (*make)(struct eater_scene *scene);
};

static int make_timeout(struct eater_scene *scene)
{
    return duress_with_timeout(scene->services[0], NULL, &scene->subject, NULL);
}

static int make_breaker(struct eater_scene *scene)
{
    return duress_with_breaker(scene->services[0], NULL, &scene->subject, NULL);
}

static int make_retry(struct eater_scene *scene)
{
    scene->fail_count = 1;
    return duress_with_retry(scene->services[0], NULL, NULL, &scene->subject, NULL);
}

static int make_hedge(struct eater_scene *scene)
{
    return duress_with_hedge(scene->services[0], NULL, &scene->subject, NULL);
}

static int make_bulkhead(struct eater_scene *scene)
{
    return duress_with_bulkhead(scene->services[0], NULL, &scene->subject, NULL);
}

static int make_rate_limiter(struct eater_scene *scene)
{
    return duress_with_rate_limiter(scene->services[0], NULL, &scene->subject, NULL);
}

static int make_cache(struct eater_scene *scene)
{
    return duress_with_cache(scene->services[0], NULL, &scene->subject, NULL);
}

static int make_metrics(struct eater_scene *scene)
{
    return duress_with_metrics(scene->services[0], NULL, &scene->subject, NULL);
}

static int make_faults(struct eater_scene *scene)
{
    struct duress_faults_layer_options options = {.faults = {.pattern = {DURESS_FAULT_DELAY}, .pattern_count = 1}};
    return duress_with_faults(scene->services[0], &options, &scene->subject, NULL);
}

static void batch_echo(void *context, struct duress_batch_run *run)
{
    struct eater_scene *scene = context;
    scene->asked++;
    for (size_t i = 0; i < run->count; i++)
        duress_batch_run_reply(run, i, run->requests[i]);
    duress_batch_run_end(run);
}

static int make_batch(struct eater_scene *scene)
{
    struct duress_batch_agent_options options = {.begin = batch_echo, .context = scene};
    return duress_batch_new(scene->world, "batch", &options, &scene->subject, NULL);
}

static const struct layer_case layer_cases[] = {
    {"timeout", make_timeout}, {"breaker", make_breaker},   {"retry", make_retry},
    {"hedge", make_hedge},     {"bulkhead", make_bulkhead}, {"rate limiter", make_rate_limiter},
    {"cache", make_cache},     {"metrics", make_metrics},   {"faults", make_faults},
    {"batch", make_batch},
};

struct tally {
    uint32_t answered;
    uint32_t not_asked; /* memory was out before the service was asked */
    uint32_t midway;    /* and after that */
};

static void run(const struct layer_case *layer_case, size_t bytes, bool idempotent, struct tally *tally)
{
    static struct eater_scene scene;
    eater_open(&scene);
    assert_int_equal(layer_case->make(&scene), DURESS_OK);
    eater_ask(&scene, bytes, idempotent);
    assert_true(scene.answer.error == DURESS_OK || scene.answer.error == DURESS_E_NO_MEMORY);
    const struct duress_layer_counts *counts = &duress__layer_of(scene.subject)->counts;
    assert_balanced(*counts);
    assert_int_equal(counts->in_flight, 0);
    assert_int_equal(counts->begun, !scene.eater->failed);
    assert_int_equal(counts->succeeded, scene.answer.error == DURESS_OK);
    assert_int_equal(counts->failed + counts->refused, !scene.eater->failed && scene.answer.error != DURESS_OK);
    assert_int_equal(duress_bulkhead_counts(scene.subject).running, 0);
    tally->answered += scene.answer.error == DURESS_OK;
    tally->not_asked += scene.answer.error != DURESS_OK && !scene.eater->failed && scene.asked == 0;
    tally->midway += scene.answer.error != DURESS_OK && scene.asked > 0;
    eater_close(&scene);
}

static void a_call_whose_memory_ends_in_a_layer_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof layer_cases / sizeof layer_cases[0]; i++) {
        struct tally tally = {.answered = 0};
        for (size_t bytes = 0; bytes < DURESS_WORLD_BLOCK_BYTES; bytes += EATER_STEP_BYTES) {
            run(&layer_cases[i], bytes, false, &tally);
            run(&layer_cases[i], bytes, true, &tally);
        }
        assert_true(tally.answered > 100);
        assert_true(tally.not_asked > 4); /* for its own memory, and for that of the call that it begins */
        assert_int_equal(tally.midway > 0, layer_cases[i].make == make_retry);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_whose_memory_ends_in_a_layer_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
