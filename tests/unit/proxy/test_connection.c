/* SPDX-License-Identifier: Apache-2.0
 *
 * How one connection lives and ends: bytes and FIN through the proxy, and dials that fail. */
#include "fixture.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* --- bytes --- */

static void bytes_pass_both_ways(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = pair_open(&fixture);
    for (int i = 0; i < 20; i++) {
        peer_send_text(&fixture, pair.client, "question");
        peer_expect_text(&fixture, pair.server, "question");
        peer_send_text(&fixture, pair.server, "answer");
        peer_expect_text(&fixture, pair.client, "answer");
    }
    struct duress_link_stats stats = link_stats(&fixture, 1);
    assert_int_equal(stats.direction[DURESS_UPSTREAM].bytes_in, 20 * strlen("question"));
    assert_int_equal(stats.direction[DURESS_UPSTREAM].bytes_out, 20 * strlen("question"));
    assert_int_equal(stats.direction[DURESS_DOWNSTREAM].bytes_out, 20 * strlen("answer"));
    assert_int_equal(stats.dial_error, DURESS_OK);
    assert_true(stats.dialed_ns >= stats.started_ns);
    pair_close(&pair);
    wait_connection_count(&fixture, 0);
    fixture_stop(&fixture);
}

/* What the client sends before the dial is done arrives, once it is. */
static void bytes_before_the_dial_arrive(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = {.client = client_open(&fixture)};
    wait_connected(&fixture, pair.client);
    peer_send_text(&fixture, pair.client, "early");
    pair.server = server_accept(&fixture);
    peer_expect_text(&fixture, pair.server, "early");
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* A receiver that does not read stops the sender, and gets every byte in order once it reads. */
static void back_pressure_reaches_the_sender_and_loses_nothing(void **state)
{
    enum { WORDS = 4 * 1024 * 1024 };
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, &(struct duress_proxy_options){.buffer_bytes_max = 65536});
    struct pair pair = pair_open(&fixture);
    peer_receive_buffer(pair.server, 65536);
    uint32_t *words = malloc(WORDS * sizeof *words);
    assert_non_null(words);
    for (uint32_t i = 0; i < WORDS; i++)
        words[i] = i;
    const uint8_t *at = (const uint8_t *)words;
    size_t left = WORDS * sizeof *words;
    uint64_t quiet_since_ns = now_ns(&fixture);
    while (left > 0 && now_ns(&fixture) - quiet_since_ns < 100 * DURESS_MS) {
        ssize_t count = send(pair.client, at, left, MSG_NOSIGNAL);
        if (count > 0) {
            at += count;
            left -= (size_t)count;
            quiet_since_ns = now_ns(&fixture);
        }
        run_for(&fixture, DURESS_MS);
    }
    assert_true(left > 0); /* it stalled: the pressure came through */
    struct duress_link_stats stats = link_stats(&fixture, 1);
    assert_true(stats.direction[DURESS_UPSTREAM].bytes_in - stats.direction[DURESS_UPSTREAM].bytes_out <= 65536);
    for (uint32_t expected = 0; expected < WORDS;) {
        static uint32_t received[16384];
        size_t share = left < sizeof received ? left : sizeof received;
        ssize_t count = share > 0 ? send(pair.client, at, share, MSG_NOSIGNAL) : 0;
        if (count > 0) {
            at += count;
            left -= (size_t)count;
        }
        size_t expect = WORDS - expected < 4096 ? WORDS - expected : 4096;
        peer_receive(&fixture, pair.server, received, expect * sizeof received[0]);
        for (size_t i = 0; i < expect; i++)
            assert_int_equal(received[i], expected++);
    }
    free(words);
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* --- FIN --- */

static void half_close_is_kept(struct fixture *fixture, int first, int second)
{
    peer_send_text(fixture, first, "last words");
    assert_int_equal(shutdown(first, SHUT_WR), 0);
    peer_expect_text(fixture, second, "last words");
    assert_int_equal(peer_drain(fixture, second, NULL), END_FIN);
    for (int i = 0; i < 3; i++) {
        peer_send_text(fixture, second, "still talking");
        peer_expect_text(fixture, first, "still talking");
    }
    assert_int_equal(shutdown(second, SHUT_WR), 0);
    assert_int_equal(peer_drain(fixture, first, NULL), END_FIN);
}

static void fin_of_the_client_leaves_the_other_direction_open(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = pair_open(&fixture);
    half_close_is_kept(&fixture, pair.client, pair.server);
    wait_connection_count(&fixture, 0);
    struct duress_link_stats stats = link_stats(&fixture, 1);
    assert_true(stats.direction[DURESS_UPSTREAM].fin_out_ns >= stats.direction[DURESS_UPSTREAM].fin_in_ns);
    assert_true(stats.direction[DURESS_UPSTREAM].fin_in_ns > 0);
    assert_true(stats.direction[DURESS_DOWNSTREAM].fin_in_ns > stats.direction[DURESS_UPSTREAM].fin_in_ns);
    assert_int_equal(stats.reset_in_ns[DURESS_SIDE_CLIENT], 0);
    assert_int_equal(stats.reset_in_ns[DURESS_SIDE_SERVER], 0);
    pair_close(&pair);
    fixture_stop(&fixture);
}

static void fin_of_the_server_leaves_the_other_direction_open(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair pair = pair_open(&fixture);
    half_close_is_kept(&fixture, pair.server, pair.client);
    wait_connection_count(&fixture, 0);
    pair_close(&pair);
    fixture_stop(&fixture);
}

/* --- dials --- */

static void refused_dial_ends_the_client_with_a_fin(void **state)
{
    struct fixture fixture;
    char upstream[32];
    (void)state;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0); /* a port that is taken, and listened to by nobody */
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(upstream, sizeof upstream, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    fixture_start(&fixture, &(struct duress_proxy_options){.upstream = upstream});
    int client = client_open(&fixture);
    wait_connected(&fixture, client);
    assert_true(send(client, "hello", 5, MSG_NOSIGNAL) == 5); /* unread bytes must not turn the FIN into an RST */
    assert_int_equal(peer_drain(&fixture, client, NULL), END_FIN);
    wait_connection_count(&fixture, 0);
    assert_int_equal(link_stats(&fixture, 1).dial_error, DURESS_E_REFUSED);
    peer_close(&client);
    fixture_stop(&fixture);
    assert_int_equal(close(fd), 0);
}

/* An upstream that never answers the SYN: another proxy, silenced. The dial ends at its limit, and not before. */
static void dial_ends_at_its_limit(void **state)
{
    struct fixture silent;
    struct fixture fixture;
    char upstream[32];
    (void)state;
    fixture_start(&silent, NULL);
    assert_int_equal(duress_proxy_silence(silent.proxy, true), DURESS_OK);
    (void)snprintf(upstream, sizeof upstream, "127.0.0.1:%u", (unsigned)duress_proxy_port(silent.proxy));
    fixture_start(&fixture, &(struct duress_proxy_options){.upstream = upstream, .dial_limit_ns = 150 * DURESS_MS});
    int client = client_open(&fixture);
    assert_int_equal(peer_drain(&fixture, client, NULL), END_FIN);
    wait_connection_count(&fixture, 0);
    struct duress_link_stats stats = link_stats(&fixture, 1);
    assert_int_equal(stats.dial_error, DURESS_E_CONNECT_TIMEOUT);
    assert_true(stats.dialed_ns - stats.started_ns >= 150 * DURESS_MS);
    peer_close(&client);
    fixture_stop(&fixture);
    fixture_stop(&silent);
}

/* While one dial hangs, others connect, and the client of the hanging one can vanish. */
static void client_that_vanishes_ends_a_hanging_dial(void **state)
{
    struct fixture silent;
    struct fixture fixture;
    char upstream[32];
    (void)state;
    fixture_start(&silent, NULL);
    assert_int_equal(duress_proxy_silence(silent.proxy, true), DURESS_OK);
    (void)snprintf(upstream, sizeof upstream, "127.0.0.1:%u", (unsigned)duress_proxy_port(silent.proxy));
    fixture_start(&fixture, &(struct duress_proxy_options){.upstream = upstream});
    int clients[3];
    for (size_t i = 0; i < 3; i++) {
        clients[i] = client_open(&fixture);
        wait_connected(&fixture, clients[i]);
    }
    wait_connection_count(&fixture, 3); /* accepted, though no dial has ended */
    peer_reset(&clients[1]);
    wait_connection_count(&fixture, 2);
    assert_true(link_stats(&fixture, 2).reset_in_ns[DURESS_SIDE_CLIENT] > 0);
    assert_int_equal(link_stats(&fixture, 1).dialed_ns, 0);
    peer_close(&clients[0]);
    peer_close(&clients[2]);
    fixture_stop(&fixture);
    fixture_stop(&silent);
}

/* One upstream's SYN goes unanswered and is retried after a second; the next client's dial is done at once. */
static void hanging_dial_delays_nobody(void **state)
{
    struct fixture silent;
    struct fixture fixture;
    char upstream[32];
    (void)state;
    fixture_start(&silent, NULL);
    (void)snprintf(upstream, sizeof upstream, "127.0.0.1:%u", (unsigned)duress_proxy_port(silent.proxy));
    fixture_start(&fixture, &(struct duress_proxy_options){.upstream = upstream});
    assert_int_equal(duress_proxy_silence(silent.proxy, true), DURESS_OK);
    int hanging = client_open(&fixture);
    wait_connection_count(&fixture, 1);
    assert_int_equal(duress_proxy_silence(silent.proxy, false), DURESS_OK);
    int client = client_open(&fixture);
    while (duress_proxy_connection_count(fixture.proxy) < 2 || link_stats(&fixture, 2).dialed_ns == 0)
        run_for(&fixture, DURESS_MS);
    assert_int_equal(link_stats(&fixture, 2).dial_error, DURESS_OK);
    assert_int_equal(link_stats(&fixture, 1).dialed_ns, 0); /* still waits for the kernel's retry */
    peer_close(&hanging);
    peer_close(&client);
    fixture_stop(&fixture);
    fixture_stop(&silent);
}

/* One client takes nothing although the proxy is full of bytes for it; others exchange messages all the same. */
static void stalled_client_delays_nobody(void **state)
{
    struct fixture fixture;
    (void)state;
    fixture_start(&fixture, NULL);
    struct pair stalled = pair_open(&fixture);
    struct pair busy = pair_open(&fixture);
    static const uint8_t much[1 << 20];
    uint64_t quiet_since_ns = now_ns(&fixture);
    while (now_ns(&fixture) - quiet_since_ns < 50 * DURESS_MS) {
        if (send(stalled.server, much, sizeof much, MSG_NOSIGNAL) > 0)
            quiet_since_ns = now_ns(&fixture);
        run_for(&fixture, DURESS_MS);
    }
    uint64_t begun_ns = now_ns(&fixture);
    for (int i = 0; i < 100; i++) {
        peer_send_text(&fixture, busy.client, "question");
        peer_expect_text(&fixture, busy.server, "question");
        peer_send_text(&fixture, busy.server, "answer");
        peer_expect_text(&fixture, busy.client, "answer");
    }
    assert_true(now_ns(&fixture) - begun_ns < 5 * DURESS_S);
    pair_close(&stalled);
    pair_close(&busy);
    fixture_stop(&fixture);
}

/* --- Unix sockets --- */

static int unix_listen(const char *path, int backlog)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

/* More clients than the Unix listener's queue holds: the kernel cannot make those wait, so the proxy asks again. */
static void unix_upstream_is_dialed_though_its_queue_is_full(void **state)
{
    enum { CLIENTS = 6 };
    struct fixture fixture;
    char folder[] = "/tmp/duress-proxy-XXXXXX";
    char path[64];
    char upstream[80];
    int clients[CLIENTS];
    (void)state;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/socket", folder);
    (void)snprintf(upstream, sizeof upstream, "unix://%s", path);
    int listener = unix_listen(path, 1);
    fixture_start(&fixture, &(struct duress_proxy_options){.upstream = upstream});
    for (size_t i = 0; i < CLIENTS; i++) {
        clients[i] = client_open(&fixture);
        wait_connected(&fixture, clients[i]);
    }
    wait_connection_count(&fixture, CLIENTS);
    assert_int_equal(link_stats(&fixture, CLIENTS).dialed_ns, 0);
    int tcp_listener = fixture.server_fd;
    fixture.server_fd = listener;
    for (size_t i = 0; i < CLIENTS; i++) {
        int server = server_accept(&fixture);
        peer_send_text(&fixture, server, "welcome");
        peer_close(&server);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        peer_expect_text(&fixture, clients[i], "welcome");
        assert_int_equal(peer_drain(&fixture, clients[i], NULL), END_FIN);
        peer_close(&clients[i]);
    }
    wait_connection_count(&fixture, 0);
    fixture.server_fd = tcp_listener;
    assert_int_equal(close(listener), 0);
    fixture.fd_count_before--; /* the Unix listener was open when the fixture began */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder), 0);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_both_ways),
        cmocka_unit_test(bytes_before_the_dial_arrive),
        cmocka_unit_test(back_pressure_reaches_the_sender_and_loses_nothing),
        cmocka_unit_test(fin_of_the_client_leaves_the_other_direction_open),
        cmocka_unit_test(fin_of_the_server_leaves_the_other_direction_open),
        cmocka_unit_test(refused_dial_ends_the_client_with_a_fin),
        cmocka_unit_test(dial_ends_at_its_limit),
        cmocka_unit_test(client_that_vanishes_ends_a_hanging_dial),
        cmocka_unit_test(hanging_dial_delays_nobody),
        cmocka_unit_test(stalled_client_delays_nobody),
        cmocka_unit_test(unix_upstream_is_dialed_though_its_queue_is_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
