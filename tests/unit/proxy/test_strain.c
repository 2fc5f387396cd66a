/* SPDX-License-Identifier: Apache-2.0
 *
 * Workers under strain: upstreams that do not answer, names, peers that vanish, and what runs out. None of it may hold
 * up another connection or an order. */
#include "workers_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Far above what it takes, and far below the dial's limit. */
#define AT_ONCE_NS (2 * DURESS_S)

static void served(struct workers_fixture *fixture, struct pair *pair)
{
    peer_send_text(&fixture->base, pair->client, "question");
    peer_expect_text(&fixture->base, pair->server, "question");
    peer_send_text(&fixture->base, pair->server, "answer");
    peer_expect_text(&fixture->base, pair->client, "answer");
}

static void upstream_text(const struct workers_fixture *fixture, const char *host, char text[64])
{
    (void)snprintf(text, 64, "%s:%u", host, (unsigned)fixture->base.server_port);
}

static void upstream_change(struct workers_fixture *fixture, const char *upstream)
{
    struct answer changed = {.is_there = false};
    assert_int_equal(duress_workers_proxy_change(fixture->proxy, NULL, upstream, answered, &changed), DURESS_OK);
    assert_int_equal(answer_await(fixture, &changed), DURESS_OK);
}

/* --- connects that hang --- */

/* A listener whose queue is full: the kernel drops further SYNs. */
struct silent_host {
    int listener;
    int fillers[4];
    char address[32];
};

static void silent_host_open(struct silent_host *host)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    host->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(host->listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(host->listener, 0), 0);
    assert_int_equal(getsockname(host->listener, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(host->address, sizeof host->address, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    for (size_t i = 0; i < sizeof host->fillers / sizeof host->fillers[0]; i++)
        host->fillers[i] = client_open_at(ntohs(address.sin_port));
}

static void silent_host_close(struct silent_host *host)
{
    for (size_t i = 0; i < sizeof host->fillers / sizeof host->fillers[0]; i++)
        peer_close(&host->fillers[i]);
    peer_close(&host->listener);
}

static void hanging_connects_hold_nobody_up(void **state)
{
    enum { HANGING = 1000 };
    static int clients[HANGING];
    struct workers_fixture fixture;
    struct silent_host host;
    struct duress_workers_proxy *dead = NULL;
    struct answer disabled = {.is_there = false};
    struct duress_listen_address address = listen_address("127.0.0.1:0");
    (void)state;
    workers_start(&fixture, 2, NULL);
    silent_host_open(&host);
    struct duress_workers_proxy_options options = {.listen = &address, .upstream = host.address};
    assert_int_equal(duress_workers_proxy_new(fixture.workers, &options, &dead, NULL), DURESS_OK);
    struct duress_workers_proxy *alive = fixture.proxy;
    fixture.proxy = dead;
    for (size_t i = 0; i < HANGING; i++)
        clients[i] = workers_client(&fixture);
    workers_await_open(&fixture, HANGING);
    fixture.proxy = alive;
    uint64_t begun_ns = now_ns(&fixture.base);
    struct pair pair = workers_pair(&fixture);
    served(&fixture, &pair);
    assert_true(now_ns(&fixture.base) - begun_ns < AT_ONCE_NS);
    begun_ns = now_ns(&fixture.base);
    assert_int_equal(duress_workers_proxy_disable(dead, answered, &disabled), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &disabled), DURESS_OK);
    assert_true(disabled.at_ns - begun_ns < AT_ONCE_NS);
    for (size_t i = 0; i < HANGING; i++) {
        assert_int_equal(peer_drain(&fixture.base, clients[i], NULL), END_FIN);
        peer_close(&clients[i]);
    }
    pair_close(&pair);
    silent_host_close(&host);
    workers_stop(&fixture);
}

static void hanging_connect_ends_with_the_dials_limit(void **state)
{
    struct workers_fixture fixture;
    struct silent_host host;
    (void)state;
    struct duress_workers_proxy_options options = {.dial_limit_ns = 50 * DURESS_MS};
    workers_start(&fixture, 2, &options);
    silent_host_open(&host);
    upstream_change(&fixture, host.address);
    uint64_t begun_ns = now_ns(&fixture.base);
    int client = workers_client(&fixture);
    assert_int_equal(peer_drain(&fixture.base, client, NULL), END_FIN);
    assert_true(now_ns(&fixture.base) - begun_ns >= 50 * DURESS_MS);
    struct duress_workers_counts counts = duress_workers_proxy_counts(fixture.proxy);
    assert_int_equal(counts.failed_dials, 1);
    assert_int_equal(counts.dial_sum_ns, 0); /* times are told of those that succeed */
    peer_close(&client);
    silent_host_close(&host);
    workers_stop(&fixture);
}

/* --- names --- */

static void names_are_dialed(void **state)
{
    struct workers_fixture fixture;
    char text[64];
    (void)state;
    workers_start(&fixture, 2, NULL);
    /* "127.1" is a name to inet_pton(3), and an address to getaddrinfo(3): it takes the way of a name everywhere. */
    const char *hosts[] = {"localhost", "127.1", ""};
    for (size_t i = 0; i < sizeof hosts / sizeof hosts[0]; i++) {
        upstream_text(&fixture, hosts[i], text);
        upstream_change(&fixture, text);
        for (size_t each = 0; each < 4; each++) {
            struct pair pair = workers_pair(&fixture);
            served(&fixture, &pair);
            pair_close(&pair);
        }
    }
    workers_stop(&fixture);
}

/* localhost is two addresses: where the first one refuses the second one is tried. */
static void second_address_is_tried_where_the_first_refuses(void **state)
{
    struct workers_fixture fixture;
    struct sockaddr_in6 six = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    socklen_t length = sizeof six;
    char text[64];
    (void)state;
    int listener = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener < 0 || bind(listener, (const struct sockaddr *)&six, sizeof six) != 0) {
        if (listener >= 0)
            (void)close(listener);
        skip(); /* no IPv6 here */
    }
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&six, &length), 0);
    (void)snprintf(text, sizeof text, "localhost:%u", (unsigned)ntohs(six.sin6_port));
    struct duress_workers_proxy_options options = {.upstream = text};
    workers_start(&fixture, 1, &options);
    int fallback = fixture.base.server_fd;
    fixture.base.server_fd = listener;
    struct pair pair = workers_pair(&fixture);
    served(&fixture, &pair);
    pair_close(&pair);
    fixture.base.server_fd = fallback;
    workers_await_open(&fixture, 0);
    workers_stop(&fixture);
    assert_int_equal(close(listener), 0);
}

static void bad_upstreams_end_the_client_with_a_fin(void **state)
{
    static const char *const bad[] = {"127.1:no-such-service", "no port", "", "unix:///nonexistent/socket",
                                      "127.0.0.1:1"};
    struct workers_fixture fixture;
    (void)state;
    workers_start(&fixture, 2, NULL);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        upstream_change(&fixture, bad[i]);
        int client = workers_client(&fixture);
        assert_int_equal(peer_drain(&fixture.base, client, NULL), END_FIN);
        assert_int_equal(duress_workers_proxy_counts(fixture.proxy).failed_dials, i + 1);
        peer_close(&client);
    }
    workers_stop(&fixture);
}

/* --- peers --- */

static void vanished_client_is_noticed_though_nothing_is_read(void **state)
{
    struct workers_fixture fixture;
    struct duress_toxic wall = toxic_make(1, DURESS_TOXIC_BANDWIDTH, DURESS_UPSTREAM);
    static const uint8_t bytes[65536];
    (void)state;
    workers_start(&fixture, 2, NULL);
    struct pair pair = workers_pair(&fixture);
    workers_toxic_add(&fixture, &wall);
    for (size_t i = 0; i < 100; i++) {
        (void)send(pair.client, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        run_for(&fixture.base, DURESS_MS / 4);
    }
    peer_reset(&pair.client);
    workers_toxic_remove(&fixture, 1);
    assert_int_equal(peer_drain(&fixture.base, pair.server, NULL), END_RST);
    workers_await_open(&fixture, 0);
    pair_close(&pair);
    workers_stop(&fixture);
}

static void stalled_client_delays_no_neighbour(void **state)
{
    static const uint8_t bytes[65536];
    struct workers_fixture fixture;
    (void)state;
    workers_start(&fixture, 1, NULL);
    struct pair stalled = workers_pair(&fixture);
    for (ssize_t sent = 1; sent > 0; run_for(&fixture.base, 30 * DURESS_MS))
        do
            sent = send(stalled.server, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
        while (sent > 0);
    uint64_t begun_ns = now_ns(&fixture.base);
    struct pair pair = workers_pair(&fixture);
    for (size_t i = 0; i < 100; i++)
        served(&fixture, &pair);
    assert_true(now_ns(&fixture.base) - begun_ns < AT_ONCE_NS);
    pair_close(&pair);
    pair_close(&stalled);
    workers_stop(&fixture);
}

/* --- what runs out --- */

static void limit_of_connections_pauses_accepting(void **state)
{
    struct workers_fixture fixture;
    struct duress_workers_options threads = {.worker_count = 2, .connections_max = 2};
    (void)state;
    workers_start_limited(&fixture, &threads, NULL);
    struct pair first = workers_pair(&fixture);
    struct pair second = workers_pair(&fixture);
    int waiting = workers_client(&fixture);
    run_for(&fixture.base, 60 * DURESS_MS);
    struct duress_workers_counts counts = duress_workers_proxy_counts(fixture.proxy);
    assert_int_equal(counts.accepted, 2);
    assert_true(counts.accept_pauses > 0);
    assert_true(duress_workers_proxy_is_enabled(fixture.proxy));
    served(&fixture, &first);
    pair_close(&second);
    struct pair third = {waiting, server_accept(&fixture.base)};
    served(&fixture, &third);
    pair_close(&first);
    pair_close(&third);
    workers_stop(&fixture);
}

static void accept_resumes_when_descriptors_come_back(void **state)
{
    enum { CLIENTS = 4 };
    struct workers_fixture fixture;
    struct rlimit before;
    struct sockaddr_in address = {.sin_family = AF_INET};
    struct pair pair = {.server = -1};
    int clients[CLIENTS];
    (void)state;
    workers_start(&fixture, 2, NULL);
    address.sin_port = htons(workers_port(&fixture));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    for (size_t i = 0; i < CLIENTS; i++)
        clients[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    descriptors_limit(&fixture.base, 0, &before);
    for (size_t i = 0; i < CLIENTS; i++)
        assert_int_equal(connect(clients[i], (const struct sockaddr *)&address, sizeof address), 0);
    run_for(&fixture.base, 60 * DURESS_MS);
    struct duress_workers_counts counts = duress_workers_proxy_counts(fixture.proxy);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(counts.accepted, 0);
    assert_true(counts.accept_pauses > 0);
    assert_true(duress_workers_proxy_is_enabled(fixture.proxy));
    for (size_t i = 0; i < CLIENTS; i++) {
        pair.server = server_accept(&fixture.base);
        peer_close(&pair.server);
        peer_close(&clients[i]);
    }
    workers_stop(&fixture);
}

/* The reserve: with no descriptor left beyond it nobody is accepted, and others can still open some. */
static void reserve_of_descriptors_is_left_alone(void **state)
{
    struct workers_fixture fixture;
    struct rlimit before;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct duress_workers_options threads = {.worker_count = 1, .descriptor_reserve = (uint32_t)before.rlim_cur};
    workers_start_limited(&fixture, &threads, NULL);
    int client = workers_client(&fixture);
    run_for(&fixture.base, 60 * DURESS_MS);
    struct duress_workers_counts counts = duress_workers_proxy_counts(fixture.proxy);
    assert_int_equal(counts.accepted, 0);
    assert_true(counts.accept_pauses > 0);
    int spare = dup(client);
    assert_true(spare >= 0);
    peer_close(&spare);
    peer_close(&client);
    workers_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hanging_connects_hold_nobody_up),
        cmocka_unit_test(hanging_connect_ends_with_the_dials_limit),
        cmocka_unit_test(names_are_dialed),
        cmocka_unit_test(second_address_is_tried_where_the_first_refuses),
        cmocka_unit_test(bad_upstreams_end_the_client_with_a_fin),
        cmocka_unit_test(vanished_client_is_noticed_though_nothing_is_read),
        cmocka_unit_test(stalled_client_delays_no_neighbour),
        cmocka_unit_test(limit_of_connections_pauses_accepting),
        cmocka_unit_test(accept_resumes_when_descriptors_come_back),
        cmocka_unit_test(reserve_of_descriptors_is_left_alone),
    };
    return cmocka_run_group_tests_name("workers under strain", tests, NULL, NULL);
}
