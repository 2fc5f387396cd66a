/* SPDX-License-Identifier: Apache-2.0
 *
 * The life of a proxy: options, listening, down and up, cut, being freed, and many connections. */
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
    struct duress_failure why;
    struct duress_proxy_options options = {.listen = good, .upstream = target};
    assert_int_equal(duress_proxy_new(loop, &options, NULL, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "proxy: NULL given, a pointer is needed");
    duress__loop_free(loop);
}

static void no_proxy_is_invalid(void **state)
{
    struct duress_toxic noop = {.id = 1, .type = DURESS_TOXIC_NOOP, .toxicity_ppm = 1000000};
    struct duress_failure why = {0};
    (void)state;
    assert_int_equal(duress_proxy_toxic_add(NULL, &noop, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "proxy: NULL given, a pointer is needed");
    assert_int_equal(duress_proxy_toxic_update(NULL, &noop, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_proxy_toxic_remove(NULL, 1), DURESS_E_INVALID);
    assert_int_equal(duress_proxy_up(NULL), DURESS_E_INVALID);
    assert_int_equal(duress_proxy_silence(NULL, true), DURESS_E_INVALID);
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
        assert_true(connect_is_refused(port)); /* refused at once, or this test hangs */
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

/* A client that waits to be accepted when the proxy goes down is closed as the others are, with a FIN. */
static void down_meets_clients_that_wait_to_be_accepted(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    int client = client_open(&fixture);
    assert_true(peer_is_connected(client));
    duress_proxy_down(fixture.proxy);
    assert_int_equal(peer_drain(&fixture, client, NULL), END_FIN);
    peer_close(&client);
    fixture_stop(&fixture);
}

/* Leaves one connection whose client takes nothing and is owed an RST behind the bytes. */
static struct pair parting_begin(struct fixture *fixture)
{
    static const uint8_t much[200000];
    struct pair pair = pair_open(fixture);
    peer_receive_buffer(pair.client, 4096);
    peer_send(fixture, pair.server, much, sizeof much);
    while (link_stats(fixture, 1).direction[DURESS_DOWNSTREAM].bytes_out < sizeof much)
        run_for(fixture, DURESS_MS);
    peer_reset(&pair.server);
    while (link_stats(fixture, 1).reset_in_ns[DURESS_SIDE_SERVER] == 0)
        run_for(fixture, DURESS_MS);
    assert_int_equal(duress_proxy_connection_count(fixture->proxy), 1);
    return pair;
}

static void cut_ends_a_socket_that_parts(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = parting_begin(&fixture);
    duress_proxy_cut(fixture.proxy);
    assert_int_equal(duress_proxy_connection_count(fixture.proxy), 0);
    assert_int_equal(peer_drain(&fixture, pair.client, NULL), END_RST);
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* A peer that vanishes while its socket parts is let go, descriptor and all. */
static void peer_that_vanishes_while_parting_is_let_go(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    int before = descriptor_count();
    struct pair pair = parting_begin(&fixture);
    peer_reset(&pair.client);
    wait_connection_count(&fixture, 0);
    assert_int_equal(descriptor_count(), before);
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
        if (stage >= 2 && stage != 5 && stage != 7)
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
        if (stage == 5)
            pair = parting_begin(&fixture);
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
    uint64_t ended_count;
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
    list->ended_count += ended ? 1 : 0;
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
    struct ended_list list = {.in_order = true};
    duress_proxy_visit(fixture.proxy, ended_visit, &list);
    assert_int_equal(list.count, 4);
    assert_int_equal(list.first, 1);
    assert_true(list.in_order);
    assert_int_equal(list.ended_count, 2);
    pair_close(&pairs[1]);
    pair_close(&pairs[3]);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_options_are_refused_by_name),
        cmocka_unit_test(no_proxy_is_invalid),
        cmocka_unit_test(port_in_use_is_told),
        cmocka_unit_test(down_closes_and_refuses_and_up_listens_on_the_same_port),
        cmocka_unit_test(port_is_kept_while_down),
        cmocka_unit_test(up_tells_that_the_port_is_taken),
        cmocka_unit_test(down_does_not_wait_for_toxics),
        cmocka_unit_test(cut_resets_both_ends_of_all),
        cmocka_unit_test(down_meets_clients_that_wait_to_be_accepted),
        cmocka_unit_test(cut_ends_a_socket_that_parts),
        cmocka_unit_test(peer_that_vanishes_while_parting_is_let_go),
        cmocka_unit_test(cut_meets_clients_that_wait_to_be_accepted),
        cmocka_unit_test(free_in_any_state_leaves_nothing),
        cmocka_unit_test(thousands_of_connections),
        cmocka_unit_test(history_tells_of_connections_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
