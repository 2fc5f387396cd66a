/* SPDX-License-Identifier: Apache-2.0
 *
 * Names in the live world, against a name server that answers, errs, lies or is silent. */
#include "name_server.h"
#include "probe_heap.h"

#include <dirent.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define PATIENCE_NS (30 * DURESS_S)

struct rig {
    struct name_server server;
    struct duress_world *world;
};

struct answer {
    unsigned count;
    int error;
    struct duress_address addresses[4];
    size_t address_count;
    struct duress_resolution *resolution;
    struct answer *cancels; /* this question is cancelled when the answer comes */
};

static void rig_open_with(struct rig *rig, struct duress_world_live_options options)
{
    name_server_bind(&rig->server);
    options.name_servers = rig->server.text;
    assert_int_equal(duress_world_live_new(&options, &rig->world, NULL), DURESS_OK);
    name_server_start(&rig->server, rig->world);
}

static void rig_open(struct rig *rig)
{
    rig_open_with(rig, (struct duress_world_live_options){.seed = 1});
}

static void rig_close(struct rig *rig)
{
    name_server_stop(&rig->server);
    duress_world_free(rig->world);
}

static void answer_came(void *context, int error, const struct duress_address *addresses, size_t count)
{
    struct answer *answer = context;
    answer->count++;
    answer->error = error;
    answer->address_count = count;
    for (size_t i = 0; i < count && i < 4; i++)
        answer->addresses[i] = addresses[i];
    if (answer->cancels != NULL)
        duress_resolution_cancel(answer->cancels->resolution);
}

static void ask(struct rig *rig, struct answer *answer, const char *host)
{
    *answer = (struct answer){.count = 0};
    assert_int_equal(duress_world_resolve(rig->world, host, 4711, answer_came, answer, &answer->resolution), DURESS_OK);
    assert_int_equal(answer->count, 0); /* never before it returns */
}

static bool answer_is_there(void *context)
{
    const struct answer *answer = context;
    return answer->count > 0;
}

static void await(struct rig *rig, duress_done_fn done, void *context)
{
    uint64_t deadline_ns = duress_world_now_ns(rig->world) + PATIENCE_NS;
    assert_int_equal(duress_world_run_until(rig->world, done, context, deadline_ns), DURESS_OK);
}

static void settle(struct rig *rig)
{
    for (unsigned turn = 0; turn < 20; turn++)
        (void)duress_world_run_until(rig->world, NULL, NULL, 0);
}

static void ask_and_await(struct rig *rig, struct answer *answer, const char *host)
{
    ask(rig, answer, host);
    await(rig, answer_is_there, answer);
    settle(rig);
    assert_int_equal(answer->count, 1);
}

static size_t descriptors_count(void)
{
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    size_t count = 0;
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

static void assert_address(const struct answer *answer, size_t index, const char *text)
{
    char formatted[DURESS_ADDRESS_TEXT_BYTES_MAX];
    assert_string_equal(duress_address_format(&answer->addresses[index], formatted, sizeof formatted), text);
}

/* --- answers --- */

static void a_name_has_its_address_and_the_asked_port(void **state)
{
    (void)state;
    struct rig rig;
    struct answer answer;
    rig_open(&rig);
    ask_and_await(&rig, &answer, "found.test");
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(answer.address_count, 1);
    assert_address(&answer, 0, "192.0.2.7:4711");
    assert_int_equal(rig.server.questions, 2); /* IPv4 and IPv6, once each, no search domain */
    rig_close(&rig);
}

static void a_name_that_is_missing_or_empty_is_not_found(void **state)
{
    (void)state;
    struct rig rig;
    struct answer answer;
    rig_open(&rig);
    ask_and_await(&rig, &answer, "missing.test");
    assert_int_equal(answer.error, DURESS_E_NAME_NOT_FOUND);
    assert_int_equal(rig.server.questions, 2);
    ask_and_await(&rig, &answer, "empty.test");
    assert_int_equal(answer.error, DURESS_E_NAME_NOT_FOUND);
    ask_and_await(&rig, &answer, "not..a.name");
    assert_int_equal(answer.error, DURESS_E_NAME_NOT_FOUND);
    rig_close(&rig);
}

static void a_name_servers_failure_is_temporary(void **state)
{
    (void)state;
    struct rig rig;
    struct answer answer;
    rig_open(&rig);
    ask_and_await(&rig, &answer, "broken.test");
    assert_int_equal(answer.error, DURESS_E_NAME_TEMPORARY);
    rig_close(&rig);
}

static void silence_ends_after_the_patience_of_all_tries(void **state)
{
    (void)state;
    struct rig rig;
    struct answer answer;
    rig_open_with(&rig, (struct duress_world_live_options){.name_timeout_ns = 30 * DURESS_MS, .name_tries = 3});
    uint64_t start_ns = duress_world_now_ns(rig.world);
    ask_and_await(&rig, &answer, "silent.test");
    assert_int_equal(answer.error, DURESS_E_NAME_SILENT);
    assert_true(duress_world_now_ns(rig.world) - start_ns >= 90 * DURESS_MS);
    assert_int_equal(rig.server.questions, 6);  /* three tries of both kinds */
    ask_and_await(&rig, &answer, "found.test"); /* and nothing of it sticks */
    assert_int_equal(answer.error, DURESS_OK);
    rig_close(&rig);
}

static void a_name_server_whose_port_refuses_is_silent(void **state)
{
    (void)state;
    struct rig rig;
    struct name_server elsewhere;
    struct answer answer;
    rig_open(&rig);
    name_server_bind(&elsewhere);
    name_server_stop(&elsewhere); /* nobody is there any more */
    struct duress_world_live_options options = {.name_servers = elsewhere.text, .name_timeout_ns = 50 * DURESS_MS};
    struct rig other = {.world = NULL};
    assert_int_equal(duress_world_live_new(&options, &other.world, NULL), DURESS_OK);
    ask_and_await(&other, &answer, "found.test");
    assert_int_equal(answer.error, DURESS_E_NAME_SILENT);
    duress_world_free(other.world);
    rig_close(&rig);
}

static void an_answer_under_a_wrong_id_is_ignored(void **state)
{
    (void)state;
    struct rig rig;
    struct answer answer;
    rig_open(&rig);
    ask_and_await(&rig, &answer, "forged.test");
    assert_int_equal(answer.error, DURESS_OK);
    assert_int_equal(answer.address_count, 1);
    assert_address(&answer, 0, "192.0.2.7:4711");
    rig_close(&rig);
}

static void a_truncated_answer_is_asked_for_over_tcp(void **state)
{
    (void)state;
    struct rig rig;
    struct answer answer;
    rig_open(&rig);
    ask_and_await(&rig, &answer, "truncated.test");
    assert_int_equal(answer.error, DURESS_OK);
    assert_address(&answer, 0, "192.0.2.7:4711");
    assert_true(rig.server.tcp_questions >= 1);
    rig_close(&rig);
}

static void some_hosts_need_no_name_server(void **state)
{
    (void)state;
    struct rig rig;
    struct answer answer;
    rig_open(&rig);
    ask_and_await(&rig, &answer, "10.1.2.3");
    assert_address(&answer, 0, "10.1.2.3:4711");
    ask_and_await(&rig, &answer, "::1");
    assert_address(&answer, 0, "[::1]:4711");
    static const char *const local[] = {"localhost", "LOCALHOST", "localhost.", "a.b.localhost"};
    for (size_t i = 0; i < sizeof local / sizeof local[0]; i++) {
        ask_and_await(&rig, &answer, local[i]);
        assert_int_equal(answer.error, DURESS_OK);
        assert_int_equal(answer.address_count, 2);
        assert_address(&answer, 0, "127.0.0.1:4711");
        assert_address(&answer, 1, "[::1]:4711");
    }
    assert_int_equal(rig.server.questions, 0);
    ask_and_await(&rig, &answer, "found.notlocalhost"); /* ends like it, and is another name */
    assert_int_equal(rig.server.questions, 2);
    rig_close(&rig);
}

static void bad_names_are_refused(void **state)
{
    (void)state;
    struct rig rig;
    struct answer answer = {.count = 0};
    char name[300];
    memset(name, 'a', sizeof name);
    name[254] = '\0';
    rig_open(&rig);
    assert_int_equal(duress_world_resolve(rig.world, name, 1, answer_came, &answer, &answer.resolution),
                     DURESS_E_INVALID);
    assert_int_equal(duress_world_resolve(rig.world, "", 1, answer_came, &answer, &answer.resolution),
                     DURESS_E_INVALID);
    assert_int_equal(duress_world_resolve(rig.world, NULL, 1, answer_came, &answer, &answer.resolution),
                     DURESS_E_INVALID);
    rig_close(&rig);
}

static void bad_options_are_named(void **state)
{
    (void)state;
    static const struct {
        struct duress_world_live_options options;
        const char *detail;
    } bad[] = {
        {{.name_servers = "not an address"}, "name_servers: \"not an address\" given, allowed "},
        {{.name_servers = ""}, "name_servers: \"\" given, allowed "},
        {{.name_servers = "127.0.0.1,"}, "name_servers: \"\" given, allowed "},
        {{.name_servers = "::1,127.0.0.1:99999"}, "name_servers: \"127.0.0.1:99999\" given, allowed "},
        {{.name_servers = "127.0.0.1:0"}, "name_servers: \"127.0.0.1:0\" given, allowed "},
        {{.name_servers = "1.2.3"}, "name_servers: \"1.2.3\" given, allowed "},
        {{.name_servers = "localhost:53"}, "name_servers: \"localhost:53\" given, allowed "},
        {{.name_servers = "unix:///run/names"}, "name_servers: \"unix:///run/names\" given, allowed "},
        {{.name_timeout_ns = DURESS_MS - 1}, "name_timeout_ns: 999999 given, allowed 1000000 to 3600000000000"},
        {{.name_timeout_ns = 3601 * DURESS_S},
         "name_timeout_ns: 3601000000000 given, allowed 1000000 to 3600000000000"},
        {{.name_tries = 11}, "name_tries: 11 given, allowed 1 to 10"},
        {{.busy_poll_ns = DURESS_S + 1}, "busy_poll_ns: 1000000001 given, allowed 1 to 1000000000"},
    };
    struct duress_world *world = NULL;
    struct duress_failure why = {.code = DURESS_OK};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(duress_world_live_new(&bad[i].options, &world, NULL), DURESS_E_INVALID);
        assert_int_equal(duress_world_live_new(&bad[i].options, &world, &why), DURESS_E_INVALID);
        assert_int_equal(why.code, DURESS_E_INVALID);
        assert_memory_equal(why.detail, bad[i].detail, strlen(bad[i].detail));
    }
    assert_null(world);
    assert_int_equal(duress_world_live_new(NULL, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "world: must be given");
}

static void name_servers_need_no_port(void **state)
{
    (void)state;
    static const struct duress_world_live_options good[] = {
        {.name_servers = "127.0.0.1"},
        {.name_servers = "::1,127.0.0.1:65535,[::1]:5300"},
    };
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        struct duress_world *world = NULL;
        assert_int_equal(duress_world_live_new(&good[i], &world, NULL), DURESS_OK);
        duress_world_free(world);
    }
}

/* --- cancelling --- */

static void a_cancelled_question_is_never_answered(void **state)
{
    (void)state;
    struct rig rig;
    struct answer cancelled;
    struct answer kept;
    rig_open(&rig);
    size_t descriptors = descriptors_count();
    ask(&rig, &cancelled, "found.test");
    ask(&rig, &kept, "found.test");
    duress_resolution_cancel(cancelled.resolution);
    await(&rig, answer_is_there, &kept);
    settle(&rig);
    assert_int_equal(cancelled.count, 0);
    assert_int_equal(kept.error, DURESS_OK);

    ask(&rig, &cancelled, "127.0.0.1"); /* known already, only not told yet */
    duress_resolution_cancel(cancelled.resolution);
    settle(&rig);
    assert_int_equal(cancelled.count, 0);

    ask(&rig, &cancelled, "silent.test"); /* nobody else asks: the descriptor is closed long before the patience ends */
    assert_true(descriptors_count() > descriptors);
    duress_resolution_cancel(cancelled.resolution);
    settle(&rig);
    assert_int_equal(descriptors_count(), descriptors);
    assert_int_equal(cancelled.count, 0);
    ask_and_await(&rig, &kept, "found.test");
    assert_int_equal(kept.error, DURESS_OK);
    rig_close(&rig);
}

static void cancelling_and_asking_again_keeps_the_new_question(void **state)
{
    (void)state;
    struct rig rig;
    struct answer cancelled;
    struct answer kept;
    rig_open(&rig);
    ask(&rig, &cancelled, "silent.test");
    duress_resolution_cancel(cancelled.resolution); /* the last one: the channel is about to give up */
    ask_and_await(&rig, &kept, "found.test");
    assert_int_equal(kept.error, DURESS_OK);
    assert_int_equal(cancelled.count, 0);
    rig_close(&rig);
}

/* Both answers are there; the first one's callback cancels the second. */
static void a_question_may_be_cancelled_inside_anothers_answer(void **state)
{
    (void)state;
    struct rig rig;
    struct answer first;
    struct answer second;
    rig_open(&rig);
    static const char *const pairs[2][2] = {{"10.0.0.1", "10.0.0.2"}, {"found.test", "silent.test"}};
    for (size_t i = 0; i < 2; i++) {
        ask(&rig, &first, pairs[i][0]);
        ask(&rig, &second, pairs[i][1]);
        first.cancels = &second;
        await(&rig, answer_is_there, &first);
        settle(&rig);
        assert_int_equal(first.count, 1);
        assert_int_equal(second.count, 0);
    }
    rig_close(&rig);
}

static void a_world_is_freed_with_its_questions(void **state)
{
    (void)state;
    size_t descriptors = descriptors_count();
    struct probe_heap heap;
    probe_heap_init(&heap, UINT64_MAX);
    struct rig rig;
    struct answer answers[4];
    rig_open_with(&rig, (struct duress_world_live_options){.allocator = &heap.allocator});
    ask(&rig, &answers[0], "silent.test");
    ask(&rig, &answers[1], "found.test");
    ask(&rig, &answers[2], "10.0.0.1");
    ask(&rig, &answers[3], "silent.test");
    duress_resolution_cancel(answers[3].resolution);
    rig_close(&rig);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(answers[i].count, 0);
    assert_int_equal(heap.live_count, 0);
    assert_int_equal(descriptors_count(), descriptors);
}

/* --- out of memory --- */

static void out_of_memory_every_question_is_answered_or_refused(void **state)
{
    (void)state;
    static const char *const hosts[] = {"found.test", "localhost", "10.0.0.1"};
    for (size_t h = 0; h < sizeof hosts / sizeof hosts[0]; h++) {
        bool tripped = true;
        for (uint64_t after = 0; tripped; after++) {
            struct probe_heap heap;
            probe_heap_init(&heap, UINT64_MAX);
            struct rig rig;
            rig_open_with(&rig, (struct duress_world_live_options){.allocator = &heap.allocator});
            heap.fail_after = heap.allocation_count + after;
            struct answer answer = {.count = 0};
            int error = duress_world_resolve(rig.world, hosts[h], 1, answer_came, &answer, &answer.resolution);
            if (error == DURESS_OK) {
                await(&rig, answer_is_there, &answer);
                error = answer.error;
            }
            tripped = heap.tripped;
            assert_int_equal(error, tripped ? DURESS_E_NO_MEMORY : DURESS_OK);
            rig_close(&rig);
            assert_int_equal(heap.live_count, 0);
        }
    }
}

static void without_descriptors_the_question_says_so_and_a_later_one_goes_well(void **state)
{
    (void)state;
    struct rig rig;
    struct answer answer;
    struct rlimit before;
    rig_open(&rig);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = dup(0);
    assert_true(next >= 0);
    assert_int_equal(close(next), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    ask_and_await(&rig, &answer, "found.test");
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(answer.error, DURESS_E_NO_DESCRIPTORS);
    ask_and_await(&rig, &answer, "found.test");
    assert_int_equal(answer.error, DURESS_OK);
    rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_has_its_address_and_the_asked_port),
        cmocka_unit_test(a_name_that_is_missing_or_empty_is_not_found),
        cmocka_unit_test(a_name_servers_failure_is_temporary),
        cmocka_unit_test(silence_ends_after_the_patience_of_all_tries),
        cmocka_unit_test(a_name_server_whose_port_refuses_is_silent),
        cmocka_unit_test(an_answer_under_a_wrong_id_is_ignored),
        cmocka_unit_test(a_truncated_answer_is_asked_for_over_tcp),
        cmocka_unit_test(some_hosts_need_no_name_server),
        cmocka_unit_test(bad_names_are_refused),
        cmocka_unit_test(bad_options_are_named),
        cmocka_unit_test(name_servers_need_no_port),
        cmocka_unit_test(a_cancelled_question_is_never_answered),
        cmocka_unit_test(cancelling_and_asking_again_keeps_the_new_question),
        cmocka_unit_test(a_question_may_be_cancelled_inside_anothers_answer),
        cmocka_unit_test(a_world_is_freed_with_its_questions),
        cmocka_unit_test(without_descriptors_the_question_says_so_and_a_later_one_goes_well),
        cmocka_unit_test(out_of_memory_every_question_is_answered_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
