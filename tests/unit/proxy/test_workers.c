/* SPDX-License-Identifier: Apache-2.0
 *
 * Proxies over worker threads: spreading, orders, and what they answer. */
#include "workers_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { WORKERS = 3 };

static void echo_through(struct workers_fixture *fixture, struct pair *pair)
{
    peer_send_text(&fixture->base, pair->client, "question");
    peer_expect_text(&fixture->base, pair->server, "question");
    peer_send_text(&fixture->base, pair->server, "answer");
    peer_expect_text(&fixture->base, pair->client, "answer");
}

/* --- spreading --- */

static void connections_are_spread_evenly_and_numbered(void **state)
{
    enum { COUNT = 4 * WORKERS };
    struct workers_fixture fixture;
    struct pair pairs[COUNT];
    (void)state;
    workers_start(&fixture, WORKERS, NULL);
    for (size_t i = 0; i < COUNT; i++) {
        pairs[i] = workers_pair(&fixture);
        echo_through(&fixture, &pairs[i]);
    }
    struct duress_workers_counts all = duress_workers_proxy_counts(fixture.proxy);
    uint64_t dial_count = 0;
    for (size_t i = 0; i < DURESS_WORKERS_DIAL_BUCKET_COUNT; i++)
        dial_count += all.dials[i];
    assert_int_equal(dial_count, all.accepted);
    assert_true(all.dial_sum_ns > 0);
    assert_int_equal(all.accepted, COUNT);
    assert_int_equal(all.open, COUNT);
    assert_int_equal(all.direction[DURESS_UPSTREAM].bytes_in, COUNT * strlen("question"));
    assert_int_equal(all.direction[DURESS_UPSTREAM].bytes_out, COUNT * strlen("question"));
    assert_int_equal(all.direction[DURESS_DOWNSTREAM].bytes_in, COUNT * strlen("answer"));
    assert_int_equal(all.direction[DURESS_DOWNSTREAM].bytes_out, COUNT * strlen("answer"));
    for (uint32_t i = 0; i < WORKERS; i++) {
        struct duress_workers_counts of_one = duress_workers_proxy_worker_counts(fixture.proxy, i);
        assert_int_equal(of_one.accepted, COUNT / WORKERS);
        assert_int_equal(of_one.open, COUNT / WORKERS);
    }
    for (size_t i = 0; i < COUNT; i++)
        pair_close(&pairs[i]);
    workers_await_open(&fixture, 0);
    workers_stop(&fixture);
}

static void proxies_have_their_homes_in_turn(void **state)
{
    struct workers_fixture fixture;
    struct duress_workers_proxy *other = NULL;
    struct duress_listen_address address = listen_address("127.0.0.1:0");
    (void)state;
    workers_start(&fixture, 2, NULL);
    struct duress_workers_proxy_options options = {.listen = &address, .upstream = fixture.upstream};
    assert_int_equal(duress_workers_proxy_new(fixture.workers, &options, &other, NULL), DURESS_OK);
    struct pair first = workers_pair(&fixture);
    struct duress_workers_proxy *mine = fixture.proxy;
    fixture.proxy = other;
    struct pair second = workers_pair(&fixture);
    assert_int_equal(duress_workers_proxy_worker_counts(mine, 0).accepted, 1);
    assert_int_equal(duress_workers_proxy_worker_counts(other, 1).accepted, 1);
    pair_close(&first);
    pair_close(&second);
    workers_stop(&fixture);
}

/* --- life --- */

static void bind_errors_come_at_once(void **state)
{
    struct workers_fixture fixture;
    struct duress_workers_proxy *other = NULL;
    struct duress_failure why;
    (void)state;
    workers_start(&fixture, 1, NULL);
    struct duress_listen_address taken = *duress_workers_proxy_address(fixture.proxy);
    struct duress_workers_proxy_options options = {.listen = &taken, .upstream = fixture.upstream};
    assert_int_equal(duress_workers_proxy_new(fixture.workers, &options, &other, &why), DURESS_E_ADDRESS_IN_USE);
    assert_non_null(strstr(why.detail, taken.text));
    taken = listen_address("192.0.2.1:0");
    assert_int_equal(duress_workers_proxy_new(fixture.workers, &options, &other, &why), DURESS_E_ADDRESS_UNAVAILABLE);
    options.upstream = NULL;
    assert_int_equal(duress_workers_proxy_new(fixture.workers, &options, &other, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "upstream"));
    options.upstream = fixture.upstream;
    options.listen = NULL;
    assert_int_equal(duress_workers_proxy_new(fixture.workers, &options, &other, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "listen"));
    assert_null(other);
    workers_stop(&fixture);
}

static void disable_closes_everything_and_enable_keeps_port_and_toxics(void **state)
{
    struct workers_fixture fixture;
    struct answer disabled = {.is_there = false};
    struct answer enabled = {.is_there = false};
    struct duress_toxic latency = toxic_make(1, DURESS_TOXIC_LATENCY, DURESS_UPSTREAM);
    latency.as.latency.latency_ns = 30 * DURESS_MS;
    (void)state;
    workers_start(&fixture, WORKERS, NULL);
    uint16_t port = workers_port(&fixture);
    workers_toxic_add(&fixture, &latency);
    struct pair pairs[WORKERS];
    for (size_t i = 0; i < WORKERS; i++)
        pairs[i] = workers_pair(&fixture);
    assert_int_equal(duress_workers_proxy_disable(fixture.proxy, answered, &disabled), DURESS_OK);
    assert_false(disabled.is_there); /* never before the call returns */
    assert_int_equal(answer_await(&fixture, &disabled), DURESS_OK);
    assert_false(duress_workers_proxy_is_enabled(fixture.proxy));
    assert_int_equal(duress_workers_proxy_counts(fixture.proxy).open, 0);
    assert_true(connect_is_refused(port));
    for (size_t i = 0; i < WORKERS; i++) {
        assert_int_equal(peer_drain(&fixture.base, pairs[i].client, NULL), END_FIN);
        assert_int_equal(peer_drain(&fixture.base, pairs[i].server, NULL), END_FIN);
        pair_close(&pairs[i]);
    }
    assert_int_equal(duress_workers_proxy_enable(fixture.proxy, answered, &enabled), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &enabled), DURESS_OK);
    assert_true(duress_workers_proxy_is_enabled(fixture.proxy));
    assert_int_equal(workers_port(&fixture), port);
    struct pair pair = workers_pair(&fixture);
    uint64_t sent_ns = now_ns(&fixture.base);
    echo_through(&fixture, &pair);
    assert_true(now_ns(&fixture.base) - sent_ns >= 30 * DURESS_MS);
    pair_close(&pair);
    workers_stop(&fixture);
}

/* A receiver that takes nothing must not hold the order up: the kernel goes on with what it has. */
static void disable_does_not_wait_for_a_stalled_receiver(void **state)
{
    static const uint8_t bytes[65536];
    struct workers_fixture fixture;
    struct answer disabled = {.is_there = false};
    (void)state;
    workers_start(&fixture, 2, NULL);
    struct pair pair = workers_pair(&fixture);
    for (ssize_t sent = 1; sent > 0; run_for(&fixture.base, DURESS_MS))
        sent = send(pair.client, bytes, sizeof bytes, MSG_NOSIGNAL | MSG_DONTWAIT);
    uint64_t begun_ns = now_ns(&fixture.base);
    assert_int_equal(duress_workers_proxy_disable(fixture.proxy, answered, &disabled), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &disabled), DURESS_OK);
    assert_true(disabled.at_ns - begun_ns < DURESS_S);
    assert_int_equal(duress_workers_proxy_counts(fixture.proxy).open, 0);
    pair_close(&pair);
    workers_stop(&fixture);
}

static void free_answers_when_the_port_is_free(void **state)
{
    struct workers_fixture fixture;
    struct answer gone = {.is_there = false};
    (void)state;
    workers_start(&fixture, 2, NULL);
    struct duress_listen_address address = *duress_workers_proxy_address(fixture.proxy);
    struct pair pair = workers_pair(&fixture);
    duress_workers_proxy_free(fixture.proxy, answered, &gone);
    assert_int_equal(answer_await(&fixture, &gone), DURESS_OK);
    assert_int_equal(peer_drain(&fixture.base, pair.client, NULL), END_FIN);
    pair_close(&pair);
    struct duress_workers_proxy_options options = {.listen = &address, .upstream = fixture.upstream};
    assert_int_equal(duress_workers_proxy_new(fixture.workers, &options, &fixture.proxy, NULL), DURESS_OK);
    pair = workers_pair(&fixture);
    echo_through(&fixture, &pair);
    pair_close(&pair);
    workers_stop(&fixture);
}

static void orders_are_answered_in_their_order(void **state)
{
    struct workers_fixture fixture;
    struct answer answers[4] = {{.is_there = false}};
    struct duress_toxic noop = toxic_make(7, DURESS_TOXIC_NOOP, DURESS_UPSTREAM);
    (void)state;
    workers_start(&fixture, 2, NULL);
    struct pair pair = workers_pair(&fixture);
    assert_int_equal(duress_workers_proxy_disable(fixture.proxy, answered, &answers[0]), DURESS_OK);
    assert_int_equal(duress_workers_proxy_enable(fixture.proxy, answered, &answers[1]), DURESS_OK);
    assert_int_equal(duress_workers_proxy_toxic_add(fixture.proxy, &noop, answered, &answers[2], NULL), DURESS_OK);
    duress_workers_proxy_free(fixture.proxy, answered, &answers[3]);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(answer_await(&fixture, &answers[i]), DURESS_OK);
        for (size_t later = i + 2; later < 4; later++)
            assert_false(answers[later].is_there);
    }
    pair_close(&pair);
    workers_stop(&fixture);
}

/* --- changes of address --- */

static void change_binds_the_new_address_before_the_old_one_goes(void **state)
{
    struct workers_fixture fixture;
    struct answer changed = {.is_there = false};
    (void)state;
    workers_start(&fixture, 2, NULL);
    uint16_t before = workers_port(&fixture);
    struct pair pair = workers_pair(&fixture);
    struct duress_listen_address address = listen_address("127.0.0.1:0");
    assert_int_equal(duress_workers_proxy_change(fixture.proxy, &address, NULL, answered, &changed), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &changed), DURESS_OK);
    assert_int_equal(peer_drain(&fixture.base, pair.client, NULL), END_FIN);
    assert_int_not_equal(workers_port(&fixture), before);
    assert_true(connect_is_refused(before));
    pair_close(&pair);
    pair = workers_pair(&fixture);
    echo_through(&fixture, &pair);
    pair_close(&pair);
    workers_stop(&fixture);
}

/* All is as it was: not even a connection is hurt. */
static void change_to_a_taken_address_changes_nothing(void **state)
{
    struct workers_fixture fixture;
    struct answer changed = {.is_there = false};
    char text[32];
    (void)state;
    workers_start(&fixture, 2, NULL);
    uint16_t before = workers_port(&fixture);
    struct pair pair = workers_pair(&fixture);
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)fixture.base.server_port);
    struct duress_listen_address taken = listen_address(text);
    assert_int_equal(duress_workers_proxy_change(fixture.proxy, &taken, "127.0.0.1:1", answered, &changed), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &changed), DURESS_E_ADDRESS_IN_USE);
    assert_int_equal(workers_port(&fixture), before);
    assert_string_equal(duress_workers_proxy_upstream(fixture.proxy), fixture.upstream);
    echo_through(&fixture, &pair);
    pair_close(&pair);
    workers_stop(&fixture);
}

/* The wildcard and an address of the same port cannot both listen: one has to go first. */
static void change_between_wildcard_and_address_of_one_port(void **state)
{
    struct workers_fixture fixture;
    struct answer changed = {.is_there = false};
    char text[32];
    (void)state;
    workers_start(&fixture, 2, NULL);
    uint16_t port = workers_port(&fixture);
    (void)snprintf(text, sizeof text, ":%u", (unsigned)port);
    struct duress_listen_address all = listen_address(text);
    assert_int_equal(duress_workers_proxy_change(fixture.proxy, &all, NULL, answered, &changed), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &changed), DURESS_OK);
    (void)snprintf(text, sizeof text, "[::]:%u", (unsigned)port);
    assert_string_equal(duress_workers_proxy_address(fixture.proxy)->text, text);
    struct pair pair = {.client = client_open_at(port)}; /* by IPv4 */
    pair.server = server_accept(&fixture.base);
    echo_through(&fixture, &pair);
    pair_close(&pair);
    workers_stop(&fixture);
}

static void change_of_upstream_keeps_the_listener(void **state)
{
    struct workers_fixture fixture;
    struct fixture other;
    struct answer changed = {.is_there = false};
    char upstream[32];
    (void)state;
    workers_start(&fixture, 2, NULL);
    fixture_open(&other);
    uint16_t port = workers_port(&fixture);
    (void)snprintf(upstream, sizeof upstream, "localhost:%u", (unsigned)other.server_port);
    assert_int_equal(duress_workers_proxy_change(fixture.proxy, NULL, upstream, answered, &changed), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &changed), DURESS_OK);
    assert_int_equal(workers_port(&fixture), port);
    assert_string_equal(duress_workers_proxy_upstream(fixture.proxy), upstream);
    struct pair pair = {.client = workers_client(&fixture)};
    pair.server = server_accept(&other);
    echo_through(&fixture, &pair);
    pair_close(&pair);
    workers_await_open(&fixture, 0);
    fixture_stop(&other);
    workers_stop(&fixture);
}

static void change_of_a_disabled_proxy_is_stored(void **state)
{
    struct workers_fixture fixture;
    struct answer changed = {.is_there = false};
    struct answer enabled = {.is_there = false};
    struct duress_workers_proxy_options options = {.is_disabled = true};
    (void)state;
    workers_start(&fixture, 2, &options);
    assert_false(duress_workers_proxy_is_enabled(fixture.proxy));
    struct duress_listen_address address = listen_address("localhost:0");
    assert_int_equal(duress_workers_proxy_change(fixture.proxy, &address, NULL, answered, &changed), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &changed), DURESS_OK);
    assert_string_equal(duress_workers_proxy_address(fixture.proxy)->text, "127.0.0.1:0");
    assert_int_equal(duress_workers_proxy_enable(fixture.proxy, answered, &enabled), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &enabled), DURESS_OK);
    struct pair pair = workers_pair(&fixture);
    echo_through(&fixture, &pair);
    pair_close(&pair);
    workers_stop(&fixture);
}

/* --- toxics --- */

static void toxic_reaches_the_connections_of_all_workers(void **state)
{
    struct workers_fixture fixture;
    struct pair pairs[WORKERS];
    struct duress_toxic latency = toxic_make(1, DURESS_TOXIC_LATENCY, DURESS_DOWNSTREAM);
    latency.as.latency.latency_ns = 40 * DURESS_MS;
    (void)state;
    workers_start(&fixture, WORKERS, NULL);
    for (size_t i = 0; i < WORKERS; i++)
        pairs[i] = workers_pair(&fixture);
    workers_toxic_add(&fixture, &latency);
    for (size_t i = 0; i < WORKERS; i++) {
        uint64_t sent_ns = now_ns(&fixture.base);
        echo_through(&fixture, &pairs[i]);
        assert_true(now_ns(&fixture.base) - sent_ns >= 40 * DURESS_MS);
    }
    struct answer updated = {.is_there = false};
    latency.as.latency.latency_ns = 0;
    assert_int_equal(duress_workers_proxy_toxic_update(fixture.proxy, &latency, answered, &updated, NULL), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &updated), DURESS_OK);
    size_t count = 0;
    assert_int_equal(duress_workers_proxy_toxics(fixture.proxy, &count)[0].as.latency.latency_ns, 0);
    assert_int_equal(count, 1);
    workers_toxic_remove(&fixture, 1);
    assert_true(duress_workers_proxy_toxics(fixture.proxy, &count) == NULL || count == 0);
    for (size_t i = 0; i < WORKERS; i++)
        pair_close(&pairs[i]);
    workers_stop(&fixture);
}

static void bad_toxics_are_refused_at_once(void **state)
{
    struct workers_fixture fixture;
    struct duress_failure why;
    size_t count = 0;
    struct duress_toxic noop = toxic_make(1, DURESS_TOXIC_NOOP, DURESS_UPSTREAM);
    (void)state;
    workers_start(&fixture, 2, NULL);
    workers_toxic_add(&fixture, &noop);
    assert_int_equal(duress_workers_proxy_toxic_add(fixture.proxy, &noop, NULL, NULL, &why), DURESS_E_INVALID);
    noop.id = 2;
    assert_int_equal(duress_workers_proxy_toxic_update(fixture.proxy, &noop, NULL, NULL, &why), DURESS_E_INVALID);
    assert_int_equal(duress_workers_proxy_toxic_remove(fixture.proxy, 2, NULL, NULL), DURESS_E_INVALID);
    (void)duress_workers_proxy_toxics(fixture.proxy, &count);
    assert_int_equal(count, 1);
    workers_stop(&fixture);
}

static void toxics_of_the_options_meet_the_first_connection(void **state)
{
    struct workers_fixture fixture;
    struct duress_toxic limit = toxic_make(1, DURESS_TOXIC_LIMIT_DATA, DURESS_UPSTREAM);
    limit.as.limit_data.bytes_max = 3;
    struct duress_workers_proxy_options options = {.toxics = &limit, .toxic_count = 1};
    size_t received = 0;
    (void)state;
    workers_start(&fixture, 2, &options);
    struct pair pair = workers_pair(&fixture);
    peer_send_text(&fixture.base, pair.client, "question");
    assert_int_equal(peer_drain(&fixture.base, pair.server, &received), END_FIN);
    assert_int_equal(received, 3);
    pair_close(&pair);
    workers_stop(&fixture);
}

static void cut_resets_both_ends(void **state)
{
    struct workers_fixture fixture;
    struct answer cut = {.is_there = false};
    struct pair pairs[2];
    (void)state;
    workers_start(&fixture, 2, NULL);
    for (size_t i = 0; i < 2; i++)
        pairs[i] = workers_pair(&fixture);
    assert_int_equal(duress_workers_proxy_cut(fixture.proxy, answered, &cut), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &cut), DURESS_OK);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(peer_drain(&fixture.base, pairs[i].client, NULL), END_RST);
        assert_int_equal(peer_drain(&fixture.base, pairs[i].server, NULL), END_RST);
        pair_close(&pairs[i]);
    }
    workers_stop(&fixture);
}

/* --- reports --- */

struct list {
    struct answer answer;
    size_t count;
    struct duress_workers_connection connections[8];
};

static void listed(void *context, int error, const struct duress_workers_connection *connections, size_t count)
{
    struct list *list = context;
    assert_true(count <= 8);
    list->count = count;
    if (count > 0)
        memcpy(list->connections, connections, count * sizeof *connections);
    answered(&list->answer, error);
}

static void connections_are_listed_in_order_with_what_hit_them(void **state)
{
    struct workers_fixture fixture;
    struct pair pairs[3];
    struct duress_toxic slicer = toxic_make(9, DURESS_TOXIC_SLICER, DURESS_UPSTREAM);
    struct duress_toxic never = toxic_make(10, DURESS_TOXIC_SLICER, DURESS_UPSTREAM);
    never.toxicity_ppm = 0;
    (void)state;
    workers_start(&fixture, 2, NULL);
    workers_toxic_add(&fixture, &slicer);
    workers_toxic_add(&fixture, &never);
    for (size_t i = 0; i < 3; i++) {
        pairs[i] = workers_pair(&fixture);
        echo_through(&fixture, &pairs[i]);
    }
    struct list list = {.count = 0};
    assert_int_equal(duress_workers_proxy_connections(fixture.proxy, 8, listed, &list), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &list.answer), DURESS_OK);
    assert_int_equal(list.count, 3);
    for (size_t i = 0; i < 3; i++) {
        struct sockaddr_in own;
        socklen_t length = sizeof own;
        char text[32];
        const struct duress_workers_connection *connection = &list.connections[i];
        assert_int_equal(connection->number, i + 1);
        assert_int_equal(connection->worker, i % 2);
        assert_false(connection->is_dialing);
        assert_int_equal(connection->toxic_count, 1);
        assert_int_equal(connection->toxics[0], 9);
        assert_int_equal(connection->bytes_in[DURESS_UPSTREAM], strlen("question"));
        assert_int_equal(connection->bytes_out[DURESS_DOWNSTREAM], strlen("answer"));
        assert_int_equal(getsockname(pairs[i].client, (struct sockaddr *)&own, &length), 0);
        (void)snprintf(text, sizeof text, "127.0.0.1:%u", (unsigned)ntohs(own.sin_port));
        assert_string_equal(connection->client, text);
        assert_string_equal(connection->server, fixture.upstream);
    }
    list = (struct list){.count = 0};
    assert_int_equal(duress_workers_proxy_connections(fixture.proxy, 2, listed, &list), DURESS_OK);
    assert_int_equal(answer_await(&fixture, &list.answer), DURESS_OK);
    assert_int_equal(list.count, 2);
    for (size_t i = 0; i < 3; i++)
        pair_close(&pairs[i]);
    workers_stop(&fixture);
}

/* --- the end of all --- */

static void workers_end_with_connections_and_orders_under_way(void **state)
{
    struct workers_fixture fixture;
    struct pair pairs[4];
    struct duress_toxic noop = toxic_make(1, DURESS_TOXIC_NOOP, DURESS_UPSTREAM);
    (void)state;
    workers_start(&fixture, 2, NULL);
    for (size_t i = 0; i < 4; i++)
        pairs[i] = workers_pair(&fixture);
    int waiting = workers_client(&fixture); /* perhaps on its way from one worker to another */
    assert_int_equal(duress_workers_proxy_toxic_add(fixture.proxy, &noop, NULL, NULL, NULL), DURESS_OK);
    assert_int_equal(duress_workers_proxy_disable(fixture.proxy, NULL, NULL), DURESS_OK);
    duress_workers_proxy_free(fixture.proxy, NULL, NULL);
    run_for(&fixture.base, 0);
    duress_workers_free(fixture.workers);
    fixture.workers = NULL;
    for (size_t i = 0; i < 4; i++)
        pair_close(&pairs[i]);
    peer_close(&waiting);
    workers_stop(&fixture);
}

static void bad_options_are_refused(void **state)
{
    struct fixture fixture;
    struct duress_workers *workers = NULL;
    struct duress_failure why;
    struct duress_workers_options options = {.worker_count = DURESS_WORKERS_COUNT_MAX + 1};
    (void)state;
    fixture_open(&fixture);
    assert_int_equal(duress_workers_new(NULL, NULL, &workers, &why), DURESS_E_INVALID);
    assert_int_equal(duress_workers_new(fixture.loop, &options, &workers, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "worker_count: 65 given, 0 to 64 allowed"));
    assert_null(workers);
    assert_int_equal(duress_workers_new(fixture.loop, NULL, &workers, NULL), DURESS_OK);
    assert_true(duress_workers_count(workers) >= 1);
    duress_workers_free(workers);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_are_spread_evenly_and_numbered),
        cmocka_unit_test(proxies_have_their_homes_in_turn),
        cmocka_unit_test(bind_errors_come_at_once),
        cmocka_unit_test(disable_closes_everything_and_enable_keeps_port_and_toxics),
        cmocka_unit_test(disable_does_not_wait_for_a_stalled_receiver),
        cmocka_unit_test(free_answers_when_the_port_is_free),
        cmocka_unit_test(orders_are_answered_in_their_order),
        cmocka_unit_test(change_binds_the_new_address_before_the_old_one_goes),
        cmocka_unit_test(change_to_a_taken_address_changes_nothing),
        cmocka_unit_test(change_between_wildcard_and_address_of_one_port),
        cmocka_unit_test(change_of_upstream_keeps_the_listener),
        cmocka_unit_test(change_of_a_disabled_proxy_is_stored),
        cmocka_unit_test(toxic_reaches_the_connections_of_all_workers),
        cmocka_unit_test(bad_toxics_are_refused_at_once),
        cmocka_unit_test(toxics_of_the_options_meet_the_first_connection),
        cmocka_unit_test(cut_resets_both_ends),
        cmocka_unit_test(connections_are_listed_in_order_with_what_hit_them),
        cmocka_unit_test(workers_end_with_connections_and_orders_under_way),
        cmocka_unit_test(bad_options_are_refused),
    };
    return cmocka_run_group_tests_name("proxy over workers", tests, NULL, NULL);
}
