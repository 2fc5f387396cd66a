/* SPDX-License-Identifier: Apache-2.0
 *
 * Each composition where a call's memory ends just in it: the call ends, with the reply or for want of memory, and
 * nothing of it is left. */
#include "compose_test.h"
#include "eater.h"

struct composition_case {
    int (*make)(struct eater_scene *scene, bool reports);
    uint32_t fail_count;
    uint32_t asked; /* where there is memory for all of it */
    bool combines;  /* the replies in a message of its own, for which there never is any */
    bool needs_one; /* reply alone: it may do without the others */
};

static void report_check(void *context, struct duress_call *call, const struct duress_report *report)
{
    uint32_t *reports = context;
    (void)call;
    assert_int_equal(report->error == DURESS_OK, report->reply != NULL);
    if (report->error !=
        DURESS_OK) { /* and it says whom there was no memory to ask, or to combine the replies of all */
        assert_int_equal(report->error, DURESS_E_NO_MEMORY);
        assert_true(report->failed_count > 0 || report->replied_count == report->count);
    }
    ++*reports;
}

static uint32_t report_count;

static int make_sequential(struct eater_scene *scene, bool reports)
{
    struct duress_sequential_options options = {.on_report = reports ? report_check : NULL, .context = &report_count};
    return duress_sequential_new(NULL, scene->services, 3, &options, &scene->subject, NULL);
}

static int make_fallback(struct eater_scene *scene, bool reports)
{
    struct duress_fallback_options options = {.on_report = reports ? report_check : NULL, .context = &report_count};
    return duress_fallback_new(NULL, scene->services, 3, &options, &scene->subject, NULL);
}

static int make_quorum(struct eater_scene *scene, bool reports)
{
    struct duress_quorum_options options = {
        .need = 3, .on_report = reports ? report_check : NULL, .context = &report_count};
    return duress_quorum_new(NULL, scene->services, 3, &options, &scene->subject, NULL);
}

static int make_any(struct eater_scene *scene, bool reports)
{
    struct duress_parallel_options options = {
        .policy = DURESS_PARALLEL_ANY, .on_report = reports ? report_check : NULL, .context = &report_count};
    return duress_parallel_new(NULL, scene->services, 3, &options, &scene->subject, NULL);
}

static int make_parallel(struct eater_scene *scene, bool reports)
{
    struct duress_parallel_options options = {
        .limit_ns = DURESS_S, .on_report = reports ? report_check : NULL, .context = &report_count};
    return duress_parallel_new(NULL, scene->services, 3, &options, &scene->subject, NULL);
}

static int make_conditional(struct eater_scene *scene, bool reports)
{
    struct duress_route routes[] = {{duress_content_contains, "nothing like it", scene->services[0]},
                                    {duress_content_contains, "hello", scene->services[1]}};
    struct duress_choice_options options = {.on_report = reports ? report_check : NULL, .context = &report_count};
    return duress_conditional_new(NULL, routes, 2, &options, &scene->subject, NULL);
}

static size_t choose_last(void *context, const struct duress_message *request, size_t count)
{
    (void)context;
    (void)request;
    return count - 1;
}

static int make_router(struct eater_scene *scene, bool reports)
{
    struct duress_choice_options options = {.on_report = reports ? report_check : NULL, .context = &report_count};
    return duress_router_new(NULL, choose_last, scene->services, 3, &options, &scene->subject, NULL);
}

static const struct composition_case composition_cases[] = {
    {make_sequential, 0, 3, false, false}, {make_fallback, 2, 3, false, false}, {make_quorum, 0, 3, false, false},
    {make_parallel, 0, 3, true, false},    {make_any, 0, 3, false, true},       {make_conditional, 0, 1, false, false},
    {make_router, 0, 1, false, false},
};

struct tally {
    uint32_t answered;
    uint32_t not_asked; /* memory was out before a service was asked */
    uint32_t midway;    /* and after that */
};

static void run(const struct composition_case *composition, size_t bytes, bool reports, struct tally *tally)
{
    static struct eater_scene scene;
    eater_open(&scene);
    scene.fail_count = composition->fail_count;
    report_count = 0;
    assert_int_equal(composition->make(&scene, reports), DURESS_OK);
    eater_ask(&scene, bytes, true);
    if (scene.answer.error == DURESS_OK) {
        assert_in_range(scene.asked, composition->needs_one ? 1 : composition->asked, composition->asked);
        tally->answered++;
    } else {
        assert_int_equal(scene.answer.error, DURESS_E_NO_MEMORY);
        assert_true(scene.asked <= composition->asked);
        assert_int_equal(scene.answer.failure.ambiguous, scene.asked > composition->fail_count);
        tally->not_asked += !scene.eater->failed && scene.asked == 0;
        tally->midway += scene.asked > 0;
    }
    assert_in_range(report_count, reports && scene.asked > 0, reports && !scene.eater->failed);
    eater_close(&scene);
}

static void a_call_whose_memory_ends_in_a_composition_ends(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof composition_cases / sizeof composition_cases[0]; i++) {
        struct tally tally = {.answered = 0};
        for (size_t bytes = 0; bytes < DURESS_WORLD_BLOCK_BYTES; bytes += EATER_STEP_BYTES) {
            run(&composition_cases[i], bytes, false, &tally);
            run(&composition_cases[i], bytes, true, &tally);
        }
        assert_true(composition_cases[i].combines ? tally.answered == 0 : tally.answered > 100);
        assert_true(tally.not_asked > 4);
        assert_int_equal(tally.midway > 0, composition_cases[i].asked > 1 && !composition_cases[i].needs_one);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_whose_memory_ends_in_a_composition_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
