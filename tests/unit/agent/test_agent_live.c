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
    assert_int_equal(duress_world_live_new(NULL, &live->world), DURESS_OK);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_go_over_tcp_to_an_address_and_to_a_name),
        cmocka_unit_test(calls_go_over_a_unix_socket),
        cmocka_unit_test(a_closed_port_is_refused),
        cmocka_unit_test(a_server_that_was_restarted_between_blocking_asks_is_found_again),
        cmocka_unit_test(without_descriptors_the_call_says_so_and_a_later_one_goes_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
