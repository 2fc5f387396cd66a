/* SPDX-License-Identifier: Apache-2.0
 *
 * The unanswered SYN: its beginning, its end, and that it leaves nothing behind. */
#include "fixture.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- silence --- */

static void silence_leaves_syns_unanswered_until_it_ends(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair before = pair_open(&fixture);
    assert_int_equal(duress_proxy_silence(fixture.proxy, true), DURESS_OK);
    assert_int_equal(duress_proxy_silence(fixture.proxy, true), DURESS_OK);
    uint64_t begun_ns = now_ns(&fixture);
    int clients[3];
    for (size_t i = 0; i < 3; i++)
        clients[i] = client_open(&fixture);
    run_for(&fixture, 100 * DURESS_MS);
    for (size_t i = 0; i < 3; i++)
        assert_false(peer_is_connected(clients[i]));
    assert_int_equal(duress_proxy_counts(fixture.proxy).accepted, 1);
    assert_true(duress_proxy_counts(fixture.proxy).silenced >= 3);
    peer_send_text(&fixture, before.client, "open connections go on");
    peer_expect_text(&fixture, before.server, "open connections go on");

    assert_int_equal(duress_proxy_silence(fixture.proxy, false), DURESS_OK);
    assert_int_equal(duress_proxy_silence(fixture.proxy, false), DURESS_OK);
    for (size_t i = 0; i < 3; i++)
        wait_connected(&fixture, clients[i]);
    assert_true(now_ns(&fixture) - begun_ns >= 500 * DURESS_MS); /* through the kernel's retry, not before */
    uint64_t silenced = duress_proxy_counts(fixture.proxy).silenced;
    for (size_t i = 0; i < 3; i++) {
        int server = server_accept(&fixture);
        peer_send_text(&fixture, server, "hi");
        peer_close(&server);
    }
    for (size_t i = 0; i < 3; i++) {
        peer_expect_text(&fixture, clients[i], "hi");
        peer_close(&clients[i]);
    }
    /* The proxy's own connections were neither served nor counted, and what was dropped stays known. */
    assert_int_equal(duress_proxy_counts(fixture.proxy).accepted, 4);
    assert_true(silenced >= 3);
    assert_int_equal(duress_proxy_counts(fixture.proxy).silenced, silenced);
    pair_close(&before);
    fixture_stop(&fixture);
}

/* Clients that wait in the accept queue when the silence begins were answered before, and are served. */
static void silence_serves_those_who_came_before(void **state)
{
    enum { CLIENTS = 40 };
    struct fixture fixture;
    int clients[CLIENTS];
    (void)state;
    fixture_start(&fixture, NULL);
    for (size_t i = 0; i < CLIENTS; i++)
        clients[i] = client_open(&fixture);
    assert_int_equal(duress_proxy_silence(fixture.proxy, true), DURESS_OK);
    for (size_t i = 0; i < CLIENTS; i++) {
        int server = server_accept(&fixture);
        peer_close(&server);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        assert_int_equal(peer_drain(&fixture, clients[i], NULL), END_FIN);
        peer_close(&clients[i]);
    }
    assert_int_equal(duress_proxy_counts(fixture.proxy).silenced, 0);
    fixture_stop(&fixture);
}

static void silence_ends_with_down(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    assert_int_equal(duress_proxy_silence(fixture.proxy, true), DURESS_OK);
    duress_proxy_down(fixture.proxy);
    assert_int_equal(duress_proxy_silence(fixture.proxy, true), DURESS_E_CLOSED);
    assert_true(connect_is_refused(duress_proxy_port(fixture.proxy)));
    assert_int_equal(duress_proxy_up(fixture.proxy), DURESS_OK);
    struct pair pair = pair_open(&fixture);
    peer_send_text(&fixture, pair.client, "heard");
    peer_expect_text(&fixture, pair.server, "heard");
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* The fillers of a listener on all addresses come by loopback. */
static void silence_of_a_wildcard_listener(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, &(struct duress_proxy_options){.listen = "0.0.0.0:0"});
    assert_int_equal(duress_proxy_silence(fixture.proxy, true), DURESS_OK);
    int client = client_open(&fixture);
    run_for(&fixture, 20 * DURESS_MS);
    assert_false(peer_is_connected(client));
    assert_int_equal(duress_proxy_silence(fixture.proxy, false), DURESS_OK);
    run_for(&fixture, 5 * DURESS_MS);
    assert_int_equal(duress_proxy_counts(fixture.proxy).accepted, 0); /* no filler was taken for a client */
    peer_close(&client);
    fixture_stop(&fixture);
}

/* All of it once over IPv6, where the machine has it. */
static void ipv6_listener_serves_and_is_silenced(void **state)
{
    struct fixture fixture;
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    (void)state;
    int probe = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool missing = probe < 0 || bind(probe, (const struct sockaddr *)&address, sizeof address) != 0;
    (void)close(probe);
    if (missing)
        skip();
    fixture_start(&fixture, &(struct duress_proxy_options){.listen = "[::1]:0"});
    address.sin6_port = htons(duress_proxy_port(fixture.proxy));
    int clients[2];
    for (size_t i = 0; i < 2; i++) {
        clients[i] = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        (void)connect(clients[i], (const struct sockaddr *)&address, sizeof address);
        if (i == 0)
            assert_int_equal(duress_proxy_silence(fixture.proxy, true), DURESS_OK);
    }
    int server = server_accept(&fixture);
    peer_send_text(&fixture, server, "six");
    peer_expect_text(&fixture, clients[0], "six");
    assert_false(peer_is_connected(clients[1]));
    assert_int_equal(duress_proxy_silence(fixture.proxy, false), DURESS_OK);
    run_for(&fixture, 5 * DURESS_MS);
    assert_int_equal(duress_proxy_counts(fixture.proxy).accepted, 1);
    duress_proxy_down(fixture.proxy);
    assert_int_equal(duress_proxy_up(fixture.proxy), DURESS_OK);
    assert_int_equal(duress_proxy_port(fixture.proxy), ntohs(address.sin6_port));
    peer_close(&server);
    peer_close(&clients[0]);
    peer_close(&clients[1]);
    fixture_stop(&fixture);
}

/* With no descriptor left, and with one that the first filler takes. */
static void silence_without_descriptors_is_undone(void **state)
{
    (void)state;
    for (rlim_t spare = 0; spare < 2; spare++) {
        struct fixture fixture;
        struct rlimit before;
        fixture_start(&fixture, NULL);
        descriptors_limit(&fixture, spare, &before);
        int error = duress_proxy_silence(fixture.proxy, true);
        assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
        assert_int_equal(error, DURESS_E_NO_DESCRIPTORS);
        struct pair pair = pair_open(&fixture);
        peer_send_text(&fixture, pair.client, "heard");
        peer_expect_text(&fixture, pair.server, "heard");
        assert_int_equal(duress_proxy_counts(fixture.proxy).accepted, 1);
        pair_close(&pair);
        fixture_stop(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(silence_leaves_syns_unanswered_until_it_ends),
        cmocka_unit_test(silence_serves_those_who_came_before),
        cmocka_unit_test(silence_ends_with_down),
        cmocka_unit_test(silence_of_a_wildcard_listener),
        cmocka_unit_test(ipv6_listener_serves_and_is_silenced),
        cmocka_unit_test(silence_without_descriptors_is_undone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
