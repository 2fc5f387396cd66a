/* SPDX-License-Identifier: Apache-2.0
 *
 * The same agents on real sockets: TCP, Unix sockets, a name, and descriptors that run out. Waits for conditions. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/agent/remote.h>
#include <duress/agent/server.h>
#include <duress/world/live.h>

struct live {
    struct duress_world *world;
    struct duress_agent *echo;
    struct duress_server *server;
};

static int echo(void *context, struct duress_message *request, struct duress_message **reply,
                struct duress_failure *failure)
{
    (void)context;
    (void)failure;
    *reply = duress_message_ref(request);
    return DURESS_OK;
}

static void live_open(struct live *live, struct duress_address address)
{
    assert_int_equal(duress_world_live_new(NULL, &live->world, NULL), DURESS_OK);
    assert_int_equal(duress_function_new(live->world, "echo", echo, NULL, &live->echo), DURESS_OK);
    struct duress_server_options options = {.world = live->world, .agent = live->echo, .address = address};
    assert_int_equal(duress_server_new(&options, &live->server, NULL), DURESS_OK);
}

static void live_close(struct live *live)
{
    duress_server_free(live->server);
    duress_agent_unref(live->echo);
    duress_world_free(live->world);
}

static struct duress_agent *live_remote(struct live *live, const char *endpoint)
{
    struct duress_remote_options options = {.world = live->world, .endpoint = endpoint};
    struct duress_agent *agent = NULL;
    assert_int_equal(duress_remote_new(&options, &agent, NULL), DURESS_OK);
    return agent;
}

static int live_ask(struct duress_agent *agent, struct duress_failure *failure)
{
    struct duress_message *request = NULL;
    struct duress_message *reply = NULL;
    assert_int_equal(duress_message_text("over the wire", &request), DURESS_OK);
    struct duress_ask ask = {
        .request = request,
        .deadline_ns = duress_world_now_ns(duress_agent_world(agent)) + 20 * DURESS_S,
    };
    int error = duress_agent_ask_blocking(agent, &ask, &reply, failure);
    if (error == DURESS_OK)
        assert_true(duress_slice_is(duress_message_content(reply), "over the wire"));
    duress_message_unref(reply);
    duress_message_unref(request);
    return error;
}

static void assert_served(struct live *live, const char *endpoint)
{
    struct duress_agent *agent = live_remote(live, endpoint);
    struct duress_failure failure;
    for (int i = 0; i < 50; i++)
        assert_int_equal(live_ask(agent, &failure), DURESS_OK);
    assert_int_equal(duress_server_counts(live->server).connections_accepted, 1);
    duress_agent_unref(agent);
}

static void calls_go_over_tcp_to_an_address_and_to_a_name(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct live live;
        char endpoint[64];
        live_open(&live, duress_address_loopback(0));
        (void)snprintf(endpoint, sizeof endpoint, "tcp://%s:%u", hosts[i], duress_server_address(live.server).port);
        assert_served(&live, endpoint);
        live_close(&live);
    }
}

static void calls_go_over_a_unix_socket(void **state)
{
    struct live live;
    char folder[] = "/tmp/duress-test-XXXXXX";
    char path[64];
    char endpoint[80];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/agent", folder);
    (void)snprintf(endpoint, sizeof endpoint, "unix://%s", path);
    live_open(&live, duress_address_unix(path));
    assert_served(&live, endpoint);
    live_close(&live);
    (void)unlink(path);
    assert_int_equal(rmdir(folder), 0);
}

static void a_closed_port_is_refused(void **state)
{
    struct live live;
    char endpoint[64];
    struct duress_failure failure;
    (void)state;
    live_open(&live, duress_address_loopback(0));
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", duress_server_address(live.server).port);
    duress_server_free(live.server);
    live.server = NULL;
    struct duress_agent *agent = live_remote(&live, endpoint);
    assert_int_equal(live_ask(agent, &failure), DURESS_E_REFUSED);
    assert_false(failure.ambiguous);
    duress_agent_unref(agent);
    live_close(&live);
}

/* The peer closed while nobody ran the world: the stale connection is noticed before it is used. */
static void a_server_that_was_restarted_between_blocking_asks_is_found_again(void **state)
{
    struct live live;
    char endpoint[64];
    struct duress_failure failure;
    (void)state;
    live_open(&live, duress_address_loopback(0));
    struct duress_address address = duress_server_address(live.server);
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", address.port);
    struct duress_agent *agent = live_remote(&live, endpoint);
    struct duress_server_options options = {.world = live.world, .agent = live.echo, .address = address};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(live_ask(agent, &failure), DURESS_OK);
        duress_server_free(live.server);
        assert_int_equal(duress_server_new(&options, &live.server, NULL), DURESS_OK);
        uint64_t resume_ns = duress_world_now_ns(live.world) + 3 * DURESS_MS;
        while (duress_world_now_ns(live.world) < resume_ns) /* the world does not run meanwhile */
            ;
    }
    duress_agent_unref(agent);
    live_close(&live);
}

static void without_descriptors_the_call_says_so_and_a_later_one_goes_well(void **state)
{
    struct live live;
    char endpoint[64];
    struct duress_failure failure;
    struct rlimit before;
    (void)state;
    live_open(&live, duress_address_loopback(0));
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", duress_server_address(live.server).port);
    struct duress_agent *agent = live_remote(&live, endpoint);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int next = open("/dev/null", O_RDONLY | O_CLOEXEC);
    assert_true(next >= 0);
    assert_int_equal(close(next), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)next, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int error = live_ask(agent, &failure);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(error, DURESS_E_NO_DESCRIPTORS);
    assert_false(failure.ambiguous);
    assert_int_equal(failure.origin, DURESS_ORIGIN_CONNECT);
    assert_int_equal(live_ask(agent, &failure), DURESS_OK);
    duress_agent_unref(agent);
    live_close(&live);
}

/* --- many at once --- */

enum { CROWD = 9900, CROWD_WAVE = 250 }; /* a wave fits into the accept queue */

struct crowd {
    struct duress_call *held[CROWD];
    size_t held_count;
    size_t wanted_count;
    size_t answered_count;
};

static void crowd_begin(void *context, struct duress_call *call)
{
    struct crowd *crowd = context;
    crowd->held[crowd->held_count++] = call;
}

static void crowd_cancel(void *context, struct duress_call *call)
{
    (void)context;
    (void)call;
    fail();
}

static void crowd_ended(void *context, struct duress_call *call, const struct duress_result *result)
{
    struct crowd *crowd = context;
    (void)call;
    assert_int_equal(result->error, DURESS_OK);
    crowd->answered_count++;
}

static bool crowd_is_held(void *context)
{
    const struct crowd *crowd = context;
    return crowd->held_count == crowd->wanted_count;
}

static bool crowd_is_answered(void *context)
{
    const struct crowd *crowd = context;
    return crowd->answered_count == crowd->wanted_count;
}

static void crowd_await(struct live *live, duress_done_fn done, struct crowd *crowd)
{
    uint64_t deadline_ns = duress_world_now_ns(live->world) + 60 * DURESS_S;
    assert_int_equal(duress_world_run_until(live->world, done, crowd, deadline_ns), DURESS_OK);
}

static void crowd_ask(struct live *live, struct duress_agent *agent, struct crowd *crowd, size_t count)
{
    struct duress_message *request = NULL;
    assert_int_equal(duress_message_text("hold the line", &request), DURESS_OK);
    struct duress_ask ask = {.request = request, .on_end = crowd_ended, .context = crowd};
    while (crowd->wanted_count < count) {
        for (size_t i = 0; i < CROWD_WAVE && crowd->wanted_count < count; i++, crowd->wanted_count++)
            assert_int_equal(duress_agent_ask(agent, &ask, NULL), DURESS_OK);
        crowd_await(live, crowd_is_held, crowd);
    }
    duress_message_unref(request);
}

/* Each call has a connection of its own, and none is answered before all have arrived. */
static void thousands_of_connections_are_served_at_once(void **state)
{
    static struct crowd crowd;
    struct live live = {.world = NULL};
    char endpoint[64];
    struct rlimit before;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit raised = {.rlim_cur = before.rlim_max, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &raised), 0);
    size_t count = (size_t)((raised.rlim_max - 100) / 2); /* both ends are in this process */
    count = count > CROWD ? CROWD : count;
    assert_int_equal(duress_world_live_new(NULL, &live.world, NULL), DURESS_OK);
    assert_int_equal(duress_function_async_new(live.world, "crowd", crowd_begin, crowd_cancel, &crowd, &live.echo),
                     DURESS_OK);
    struct duress_server_options serve = {
        .world = live.world, .agent = live.echo, .address = duress_address_loopback(0)};
    assert_int_equal(duress_server_new(&serve, &live.server, NULL), DURESS_OK);
    (void)snprintf(endpoint, sizeof endpoint, "tcp://127.0.0.1:%u", duress_server_address(live.server).port);
    struct duress_remote_options reach = {
        .world = live.world, .endpoint = endpoint, .connections_max = CROWD, .idle_timeout_ns = DURESS_TIME_NEVER};
    struct duress_agent *agent = NULL;
    assert_int_equal(duress_remote_new(&reach, &agent, NULL), DURESS_OK);
    crowd_ask(&live, agent, &crowd, count);
    assert_int_equal(duress_remote_counts(agent).connections_open, count);
    assert_int_equal(duress_server_counts(live.server).connections_open, count);
    assert_int_equal(crowd.answered_count, 0);
    for (size_t i = 0; i < count; i++)
        duress_call_reply(crowd.held[i], crowd.held[i]->request);
    crowd_await(&live, crowd_is_answered, &crowd);
    assert_int_equal(duress_server_counts(live.server).replied, count);
    duress_agent_unref(agent);
    live_close(&live);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_go_over_tcp_to_an_address_and_to_a_name),
        cmocka_unit_test(calls_go_over_a_unix_socket),
        cmocka_unit_test(a_closed_port_is_refused),
        cmocka_unit_test(a_server_that_was_restarted_between_blocking_asks_is_found_again),
        cmocka_unit_test(without_descriptors_the_call_says_so_and_a_later_one_goes_well),
        cmocka_unit_test(thousands_of_connections_are_served_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
