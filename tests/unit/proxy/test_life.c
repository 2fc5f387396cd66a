/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a proxy: listening, down and up, cut, silence, being freed, many connections, and what runs out. */
#include "fixture.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- options --- */

static void expect_refused_options(struct duress_loop *loop, const struct duress_proxy_options *options,
                                   const char *field)
{
    struct duress_proxy *proxy = NULL;
    struct duress_failure why = {0};
    assert_int_equal(duress_proxy_new(loop, options, &proxy, &why), DURESS_E_INVALID);
    assert_null(proxy);
    assert_int_equal(why.code, DURESS_E_INVALID);
    assert_memory_equal(why.detail, field, strlen(field));
    assert_int_equal(duress_proxy_new(loop, options, &proxy, NULL), DURESS_E_INVALID);
}

static void bad_options_are_refused_by_name(void **state)
{
    struct duress_loop *loop = NULL;
    const char *good = "127.0.0.1:0";
    const char *target = "127.0.0.1:1";
    (void)state;
    assert_int_equal(duress__loop_new(NULL, NULL, &loop), DURESS_OK);
    expect_refused_options(loop, NULL, "options: NULL");
    expect_refused_options(NULL, &(struct duress_proxy_options){.listen = good, .upstream = target}, "loop: NULL");
    expect_refused_options(loop, &(struct duress_proxy_options){.upstream = target}, "listen: nothing given");
    expect_refused_options(loop, &(struct duress_proxy_options){.listen = "localhost:0", .upstream = target},
                           "listen: localhost:0 given");
    expect_refused_options(loop, &(struct duress_proxy_options){.listen = "unix:///tmp/x", .upstream = target},
                           "listen");
    expect_refused_options(loop, &(struct duress_proxy_options){.listen = good}, "upstream: nothing given");
    expect_refused_options(loop, &(struct duress_proxy_options){.listen = good, .upstream = "127.0.0.1:0"}, "upstream");
    expect_refused_options(
        loop, &(struct duress_proxy_options){.listen = good, .upstream = target, .backlog = UINT32_MAX}, "backlog");
    duress__loop_free(loop);
}

static void port_in_use_is_told(void **state)
{
    struct fixture fixture;
    struct duress_proxy *second = NULL;
    struct duress_failure why = {0};
    char listening[32];
    (void)state;
    fixture_start(&fixture, NULL);
    (void)snprintf(listening, sizeof listening, "127.0.0.1:%u", (unsigned)duress_proxy_port(fixture.proxy));
    struct duress_proxy_options options = {.listen = listening, .upstream = "127.0.0.1:1"};
    assert_int_equal(duress_proxy_new(fixture.loop, &options, &second, &why), DURESS_E_ADDRESS_IN_USE);
    assert_null(second);
    assert_int_equal(why.code, DURESS_E_ADDRESS_IN_USE);
    assert_non_null(strstr(why.detail, listening));
    options.listen = "192.0.2.1:0";
    assert_int_equal(duress_proxy_new(fixture.loop, &options, &second, NULL), DURESS_E_ADDRESS_UNAVAILABLE);
    fixture_stop(&fixture);
}

/* --- down, up, cut --- */

static int connect_blocking_now(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int status = connect(fd, (const struct sockaddr *)&address, sizeof address);
    assert_int_equal(close(fd), 0);
    return status;
}

static void down_closes_and_refuses_and_up_listens_on_the_same_port(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    uint16_t port = duress_proxy_port(fixture.proxy);
    struct duress_toxic corrupt = toxic_make(1, DURESS_TOXIC_CORRUPT, DURESS_UPSTREAM);
    corrupt.as.corrupt.offset_count = 1;
    toxic_add(&fixture, &corrupt);
    struct pair pair = pair_open(&fixture);
    peer_send_text(&fixture, pair.client, "-");
    uint8_t byte = 0;
    peer_receive(&fixture, pair.server, &byte, 1);
    for (int round = 0; round < 3; round++) {
        duress_proxy_down(fixture.proxy);
        duress_proxy_down(fixture.proxy);
        assert_int_equal(connect_blocking_now(port), -1); /* refused at once, or this test hangs */
        assert_int_equal(duress_proxy_up(fixture.proxy), DURESS_OK);
        assert_int_equal(duress_proxy_up(fixture.proxy), DURESS_OK);
        assert_int_equal(duress_proxy_port(fixture.proxy), port);
    }
    assert_int_equal(peer_drain(&fixture, pair.client, NULL), END_FIN);
    assert_int_equal(peer_drain(&fixture, pair.server, NULL), END_FIN);
    wait_connection_count(&fixture, 0);
    struct pair again = pair_open(&fixture);
    peer_send_text(&fixture, again.client, "a");
    peer_receive(&fixture, again.server, &byte, 1);
    assert_int_equal(byte, (uint8_t) ~'a'); /* toxics live through down and up */
    pair_close(&pair);
    pair_close(&again);
    fixture_stop(&fixture);
}

/* Nobody else is given the port while the proxy is down. */
static void port_is_kept_while_down(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(duress_proxy_port(fixture.proxy))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    duress_proxy_down(fixture.proxy);
    int thief = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(thief, (const struct sockaddr *)&address, sizeof address), -1);
    assert_int_equal(close(thief), 0);
    assert_int_equal(duress_proxy_up(fixture.proxy), DURESS_OK);
    fixture_stop(&fixture);
}

/* A port that was stolen all the same (SO_REUSEADDR allows it) is told, and later won back. */
static void up_tells_that_the_port_is_taken(void **state)
{
    struct fixture fixture;
    int one = 1;
    (void)state;
    fixture_start(&fixture, NULL);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(duress_proxy_port(fixture.proxy))};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    duress_proxy_down(fixture.proxy);
    int thief = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(thief, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one), 0);
    assert_int_equal(bind(thief, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(thief, 1), 0);
    assert_int_equal(duress_proxy_up(fixture.proxy), DURESS_E_ADDRESS_IN_USE);
    assert_int_equal(close(thief), 0);
    assert_int_equal(duress_proxy_up(fixture.proxy), DURESS_OK);
    struct pair pair = pair_open(&fixture);
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* Down drops what toxics hold, and waits for none of them. */
static void down_does_not_wait_for_toxics(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic latency = toxic_make(1, DURESS_TOXIC_LATENCY, DURESS_UPSTREAM);
    struct duress_toxic slow = toxic_make(2, DURESS_TOXIC_SLOW_CLOSE, DURESS_UPSTREAM);
    latency.as.latency.latency_ns = 3600 * DURESS_S;
    slow.as.slow_close.delay_ns = 3600 * DURESS_S;
    toxic_add(&fixture, &latency);
    toxic_add(&fixture, &slow);
    struct pair pair = pair_open(&fixture);
    peer_send_text(&fixture, pair.client, "held");
    while (link_stats(&fixture, 1).direction[DURESS_UPSTREAM].bytes_in < 4)
        run_for(&fixture, DURESS_MS);
    duress_proxy_down(fixture.proxy);
    size_t received = 0;
    assert_int_equal(peer_drain(&fixture, pair.server, &received), END_FIN);
    assert_int_equal(received, 0);
    assert_int_equal(peer_drain(&fixture, pair.client, NULL), END_FIN);
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void cut_resets_both_ends_of_all(void **state)
{
    enum { PAIRS = 5 };
    struct fixture fixture;
    struct pair pairs[PAIRS];
    (void)state;
    fixture_start(&fixture, NULL);
    for (size_t i = 0; i < PAIRS; i++) {
        pairs[i] = pair_open(&fixture);
        peer_send_text(&fixture, pairs[i].client, "x");
        peer_expect_text(&fixture, pairs[i].server, "x");
    }
    /* The kernel holds bytes for a client that does not read: a cut does not wait for them. */
    peer_receive_buffer(pairs[0].client, 4096);
    static const uint8_t much[200000];
    peer_send(&fixture, pairs[0].server, much, sizeof much);
    while (link_stats(&fixture, 1).direction[DURESS_DOWNSTREAM].bytes_out < sizeof much)
        run_for(&fixture, DURESS_MS);
    uint64_t cut_ns = now_ns(&fixture);
    duress_proxy_cut(fixture.proxy);
    assert_int_equal(duress_proxy_connection_count(fixture.proxy), 0);
    for (size_t i = 0; i < PAIRS; i++) {
        assert_int_equal(peer_drain(&fixture, pairs[i].client, NULL), END_RST);
        assert_int_equal(peer_drain(&fixture, pairs[i].server, NULL), END_RST);
        struct duress_link_stats stats = link_stats(&fixture, i + 1);
        assert_true(stats.reset_out_ns[DURESS_SIDE_CLIENT] >= cut_ns);
        assert_true(stats.reset_out_ns[DURESS_SIDE_SERVER] >= cut_ns);
        pair_close(&pairs[i]);
    }
    struct pair pair = pair_open(&fixture); /* the proxy itself goes on */
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* A client whose connect succeeded is cut, though the proxy had not looked yet; and with a dial under way. */
static void cut_meets_clients_that_wait_to_be_accepted(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    int client = client_open(&fixture);
    assert_true(peer_is_connected(client)); /* loopback: by the kernel, without a turn of the loop */
    duress_proxy_cut(fixture.proxy);
    assert_int_equal(duress_proxy_counts(fixture.proxy).accepted, 1);
    assert_int_equal(peer_drain(&fixture, client, NULL), END_RST);
    peer_close(&client);
    fixture_stop(&fixture);
}

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
    assert_int_equal(connect_blocking_now(duress_proxy_port(fixture.proxy)), -1);
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

static void silence_without_descriptors_is_undone(void **state)
{
    struct fixture fixture;
    struct rlimit before;
    (void)state;
    fixture_start(&fixture, NULL);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int probe = dup(fixture.server_fd);
    assert_int_equal(close(probe), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)probe, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(duress_proxy_silence(fixture.proxy, true), DURESS_E_NO_DESCRIPTORS);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    struct pair pair = pair_open(&fixture);
    peer_send_text(&fixture, pair.client, "heard");
    peer_expect_text(&fixture, pair.server, "heard");
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* --- freed in any state --- */

static void free_in_any_state_leaves_nothing(void **state)
{
    (void)state;
    for (int stage = 0; stage < 8; stage++) {
        struct fixture fixture;
        fixture_start(&fixture, NULL);
        struct pair pair = {-1, -1};
        if (stage == 1)
            pair.client = client_open(&fixture); /* waits to be accepted */
        if (stage >= 2 && stage != 7)
            pair = pair_open(&fixture);
        struct duress_toxic latency = toxic_make(1, DURESS_TOXIC_LATENCY, DURESS_UPSTREAM);
        latency.as.latency.latency_ns = DURESS_S;
        static const uint8_t much[200000];
        if (stage == 3) {
            toxic_add(&fixture, &latency);
            peer_send(&fixture, pair.client, much, sizeof much); /* bytes and a timer are held */
        }
        if (stage == 4)
            assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
        if (stage == 5) { /* a socket that parts */
            peer_receive_buffer(pair.client, 4096);
            peer_send(&fixture, pair.server, much, sizeof much);
            while (link_stats(&fixture, 1).direction[DURESS_DOWNSTREAM].bytes_out < sizeof much)
                run_for(&fixture, DURESS_MS);
            peer_reset(&pair.server);
            while (link_stats(&fixture, 1).reset_in_ns[DURESS_SIDE_SERVER] == 0)
                run_for(&fixture, DURESS_MS);
            assert_int_equal(duress_proxy_connection_count(fixture.proxy), 1);
        }
        if (stage == 6)
            duress_proxy_down(fixture.proxy);
        if (stage == 7)
            assert_int_equal(duress_proxy_silence(fixture.proxy, true), DURESS_OK);
        run_for(&fixture, 2 * DURESS_MS);
        duress_proxy_free(fixture.proxy);
        fixture.proxy = NULL;
        run_for(&fixture, 5 * DURESS_MS);
        pair_close(&pair);
        fixture_stop(&fixture);
    }
}

/* --- many --- */

/* As many connections as the descriptors allow (four each: two peers, two of the proxy), at most 4000. */
static void thousands_of_connections(void **state)
{
    struct fixture fixture;
    struct rlimit limit;
    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    struct rlimit raised = {limit.rlim_max, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &raised), 0);
    size_t count = (size_t)((limit.rlim_max - 64) / 4);
    count = count > 4000 ? 4000 : count;
    struct pair *pairs = calloc(count, sizeof *pairs);
    assert_non_null(pairs);
    fixture_start(&fixture, NULL);
    for (size_t i = 0; i < count; i++)
        pairs[i] = pair_open(&fixture);
    assert_int_equal(duress_proxy_connection_count(fixture.proxy), count);
    size_t idle_blocks = fixture.heap.live_count;
    for (size_t i = 0; i < count; i++) {
        uint32_t sent = (uint32_t)i;
        peer_send(&fixture, pairs[i].client, &sent, sizeof sent);
    }
    for (size_t i = 0; i < count; i++) {
        uint32_t received = 0;
        peer_receive(&fixture, pairs[i].server, &received, sizeof received);
        assert_int_equal(received, i);
    }
    assert_true(fixture.heap.live_count <= idle_blocks); /* an idle connection holds no buffer */
    for (size_t i = 0; i < count; i++)
        pair_close(&pairs[i]);
    wait_connection_count(&fixture, 0);
    assert_int_equal(duress_proxy_counts(fixture.proxy).accepted, count);
    fixture_stop(&fixture);
    free(pairs);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

struct ended_list {
    uint64_t count;
    uint64_t first;
    uint64_t last;
    bool in_order;
    bool all_ended;
};

static void ended_visit(void *context, uint64_t number, const struct duress_link_stats *stats, bool ended)
{
    struct ended_list *list = context;
    assert_true(stats->started_ns > 0);
    if (list->count++ == 0)
        list->first = number;
    else if (number <= list->last)
        list->in_order = false;
    list->last = number;
    list->all_ended = list->all_ended && ended;
}

static void history_tells_of_connections_in_order(void **state)
{
    struct fixture fixture;
    struct pair pairs[4];
    (void)state;
    fixture_start(&fixture, NULL);
    for (size_t i = 0; i < 4; i++)
        pairs[i] = pair_open(&fixture);
    pair_close(&pairs[2]);
    pair_close(&pairs[0]);
    wait_connection_count(&fixture, 2);
    struct ended_list list = {.in_order = true, .all_ended = true};
    duress_proxy_visit(fixture.proxy, ended_visit, &list);
    assert_int_equal(list.count, 4);
    assert_int_equal(list.first, 1);
    assert_true(list.in_order);
    assert_false(list.all_ended);
    pair_close(&pairs[1]);
    pair_close(&pairs[3]);
    fixture_stop(&fixture);
}

/* --- what runs out --- */

/* Out of descriptors the accept pauses; once there are some again, those who waited are served. */
static void accept_resumes_when_descriptors_come_back(void **state)
{
    enum { CLIENTS = 4 };
    struct fixture fixture;
    struct rlimit before;
    int clients[CLIENTS];
    (void)state;
    fixture_start(&fixture, NULL);
    for (size_t i = 0; i < CLIENTS; i++)
        clients[i] = client_open(&fixture);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int probe = dup(fixture.server_fd);
    assert_int_equal(close(probe), 0);
    struct rlimit none = {.rlim_cur = (rlim_t)probe, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    run_for(&fixture, 50 * DURESS_MS);
    assert_int_equal(duress_proxy_counts(fixture.proxy).accepted, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    for (size_t i = 0; i < CLIENTS; i++) {
        int server = server_accept(&fixture);
        peer_send_text(&fixture, server, "served");
        peer_close(&server);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        peer_expect_text(&fixture, clients[i], "served");
        peer_close(&clients[i]);
    }
    fixture_stop(&fixture);
}

/* With one descriptor left the client is accepted, and its dial has none: it is told by a FIN. */
static void dial_without_descriptors_ends_the_client(void **state)
{
    struct fixture fixture;
    struct rlimit before;
    (void)state;
    fixture_start(&fixture, NULL);
    int client = client_open(&fixture);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int probe = dup(fixture.server_fd);
    assert_int_equal(close(probe), 0);
    struct rlimit one = {.rlim_cur = (rlim_t)probe + 1, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &one), 0);
    enum end end = peer_drain(&fixture, client, NULL);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(end, END_FIN);
    wait_connection_count(&fixture, 0);
    assert_int_equal(link_stats(&fixture, 1).dial_error, DURESS_E_NO_DESCRIPTORS);
    peer_close(&client);
    fixture_stop(&fixture);
}

/* One connection through two toxics, one of them added while bytes are held. True where the bytes came through. */
static bool exchange(struct fixture *fixture)
{
    static const uint8_t question[5000];
    uint8_t answer[256];
    struct duress_toxic latency = toxic_make(1, DURESS_TOXIC_LATENCY, DURESS_UPSTREAM);
    struct duress_toxic slicer = toxic_make(2, DURESS_TOXIC_SLICER, DURESS_UPSTREAM);
    latency.as.latency.latency_ns = DURESS_MS;
    slicer.as.slicer.average_bytes = 900;
    bool added = duress_proxy_toxic_add(fixture->proxy, &latency, NULL) == DURESS_OK;
    int client = client_open(fixture);
    wait_connected(fixture, client);
    assert_true(send(client, question, sizeof question, MSG_NOSIGNAL) == (ssize_t)sizeof question);
    assert_int_equal(shutdown(client, SHUT_WR), 0);
    run_for(fixture, DURESS_MS);
    added = duress_proxy_toxic_add(fixture->proxy, &slicer, NULL) == DURESS_OK && added;
    size_t received = 0;
    enum end end = END_NONE;
    int server = accept4(fixture->server_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    for (int waits = 0; server < 0 && waits < 20; waits++) {
        run_for(fixture, DURESS_MS);
        server = accept4(fixture->server_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    }
    if (server >= 0) {
        end = peer_drain(fixture, server, &received);
        (void)send(server, "done", 4, MSG_NOSIGNAL);
        peer_close(&server);
    }
    enum end client_end = END_NONE;
    size_t answered = 0;
    uint64_t deadline_ns = now_ns(fixture) + PATIENCE_NS;
    while (client_end == END_NONE && now_ns(fixture) < deadline_ns) {
        answered += peer_read_now(client, answer + answered, sizeof answer - answered, &client_end);
        run_for(fixture, DURESS_MS);
    }
    assert_int_not_equal(client_end, END_NONE); /* whatever failed, the client learns that it is over */
    peer_close(&client);
    return added && end == END_FIN && received == sizeof question && answered == 4 && client_end == END_FIN;
}

/* For every n the n-th allocation fails, once: that connection may be reset, another one is served after it, and
 * nothing leaks. */
static void any_failing_allocation_hurts_one_connection_only(void **state)
{
    bool tripped = true;
    size_t failures = 0;
    (void)state;
    for (size_t n = 1; tripped; n++) { /* 0 is the proxy itself */
        struct fixture fixture;
        fixture_start(&fixture, NULL);
        fixture.heap.fail_at = n;
        fixture.heap.fail_count = 1;
        bool passed = exchange(&fixture);
        tripped = fixture.heap.failed_count > 0;
        assert_true(tripped || passed);
        failures += tripped ? 1 : 0;
        fixture.heap.fail_at = SIZE_MAX;
        (void)duress_proxy_toxic_remove(fixture.proxy, 1);
        (void)duress_proxy_toxic_remove(fixture.proxy, 2);
        assert_true(exchange(&fixture));
        fixture_stop(&fixture);
    }
    assert_true(failures >= 5);
}

/* All allocations fail for a while, and then none. */
static void proxy_lives_through_no_memory_at_all(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = pair_open(&fixture);
    fixture.heap.fail_at = 0;
    fixture.heap.fail_count = SIZE_MAX;
    int refused = client_open(&fixture);
    assert_int_equal(peer_drain(&fixture, refused, NULL), END_RST);
    struct duress_toxic noop = toxic_make(1, DURESS_TOXIC_NOOP, DURESS_UPSTREAM);
    struct duress_failure why = {0};
    assert_int_equal(duress_proxy_toxic_add(fixture.proxy, &noop, &why), DURESS_E_NO_MEMORY);
    assert_int_equal(why.code, DURESS_E_NO_MEMORY);
    fixture.heap.fail_at = SIZE_MAX;
    assert_int_equal(duress_proxy_toxic_remove(fixture.proxy, 1), DURESS_E_INVALID); /* it was not added */
    assert_true(exchange(&fixture));
    peer_close(&refused);
    pair_close(&pair);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_options_are_refused_by_name),
        cmocka_unit_test(port_in_use_is_told),
        cmocka_unit_test(down_closes_and_refuses_and_up_listens_on_the_same_port),
        cmocka_unit_test(port_is_kept_while_down),
        cmocka_unit_test(up_tells_that_the_port_is_taken),
        cmocka_unit_test(down_does_not_wait_for_toxics),
        cmocka_unit_test(cut_resets_both_ends_of_all),
        cmocka_unit_test(cut_meets_clients_that_wait_to_be_accepted),
        cmocka_unit_test(silence_leaves_syns_unanswered_until_it_ends),
        cmocka_unit_test(silence_serves_those_who_came_before),
        cmocka_unit_test(silence_ends_with_down),
        cmocka_unit_test(silence_of_a_wildcard_listener),
        cmocka_unit_test(ipv6_listener_serves_and_is_silenced),
        cmocka_unit_test(silence_without_descriptors_is_undone),
        cmocka_unit_test(free_in_any_state_leaves_nothing),
        cmocka_unit_test(thousands_of_connections),
        cmocka_unit_test(history_tells_of_connections_in_order),
        cmocka_unit_test(accept_resumes_when_descriptors_come_back),
        cmocka_unit_test(dial_without_descriptors_ends_the_client),
        cmocka_unit_test(any_failing_allocation_hurts_one_connection_only),
        cmocka_unit_test(proxy_lives_through_no_memory_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
