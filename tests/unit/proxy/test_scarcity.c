/* SPDX-License-Identifier: Apache-2.0
 *
 * What runs out: descriptors and memory. */
#include "fixture.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

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
    descriptors_limit(&fixture, 0, &before);
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
    descriptors_limit(&fixture, 1, &before);
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
    for (size_t n = 0; tripped; n++) {
        struct fixture fixture;
        fixture_start(&fixture, NULL);
        fixture.heap.fail_at = fixture.heap.allocation_count + n; /* the proxy itself is there */
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

/* A connection that has no memory for a new toxic is reset: it must not go on without. */
static void toxic_without_memory_resets_the_connection(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct duress_toxic noop = toxic_make(1, DURESS_TOXIC_NOOP, DURESS_UPSTREAM);
    toxic_add(&fixture, &noop); /* the proxy's list has room from now on */
    struct pair pair = pair_open(&fixture);
    peer_send_text(&fixture, pair.client, "x");
    peer_expect_text(&fixture, pair.server, "x");
    fixture.heap.fail_at = fixture.heap.allocation_count;
    fixture.heap.fail_count = SIZE_MAX;
    noop.id = 2;
    assert_int_equal(duress_proxy_toxic_add(fixture.proxy, &noop, NULL), DURESS_OK);
    assert_true(fixture.heap.failed_count > 0);
    fixture.heap.fail_at = SIZE_MAX;
    assert_int_equal(peer_drain(&fixture, pair.client, NULL), END_RST);
    assert_int_equal(peer_drain(&fixture, pair.server, NULL), END_RST);
    pair_close(&pair);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accept_resumes_when_descriptors_come_back),
        cmocka_unit_test(dial_without_descriptors_ends_the_client),
        cmocka_unit_test(any_failing_allocation_hurts_one_connection_only),
        cmocka_unit_test(proxy_lives_through_no_memory_at_all),
        cmocka_unit_test(toxic_without_memory_resets_the_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
