/* SPDX-License-Identifier: Apache-2.0
 *
 * How a connection ends: FIN and RST told apart, with and without bytes unread, read for or not. */
#include "loop_test.h"

#include <unistd.h>

static const char bytes_sent[] = "0123456789";

static void fin_is_the_end_after_all_bytes(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    end_write(&a, bytes_sent, 10);
    duress__socket_close(&a.socket);
    size_t count;
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_END);
    assert_int_equal(count, 10);
    size_t got;
    assert_int_equal(duress__socket_read(&b.socket, &(char){0}, 1, &got), DURESS_E_END); /* and stays so */
    loop_settle(loop);
    assert_int_equal(b.hangups, 0);
    duress__loop_free(loop);
}

static void rst_is_a_reset_after_all_bytes(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    end_write(&a, bytes_sent, 10);
    duress__socket_reset(&a.socket);
    size_t count;
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_RESET);
    assert_int_equal(count, 10);
    size_t got;
    assert_int_equal(duress__socket_read(&b.socket, &(char){0}, 1, &got), DURESS_E_RESET);
    struct duress_slice slice = duress_slice_text("x");
    assert_int_equal(duress__socket_write(&b.socket, &slice, 1, &got), DURESS_E_RESET);
    loop_settle(loop);
    assert_int_equal(b.hangups, 1); /* once, however it was met */
    duress__loop_free(loop);
}

static void hangup_comes_though_nothing_is_wanted(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    end_write(&a, bytes_sent, 10);
    loop_settle(loop);
    assert_int_equal(b.calls, 0); /* bytes are there, nobody wants them */
    duress__socket_reset(&a.socket);
    end_await(loop, &b, DURESS_SOCKET_HANGUP);
    assert_int_equal(b.events, DURESS_SOCKET_HANGUP);
    assert_int_equal(b.socket.error, DURESS_E_RESET);
    size_t count;
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_RESET);
    assert_int_equal(count, 10); /* what came before the RST is not lost */
    loop_settle(loop);
    assert_int_equal(b.hangups, 1);
    duress__loop_free(loop);
}

static void a_fin_is_no_hangup(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    duress__socket_shutdown(&b.socket); /* with both directions shut, the kernel says EPOLLHUP */
    duress__socket_close(&a.socket);
    loop_settle(loop);
    assert_int_equal(b.calls, 0);
    size_t count;
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_END);
    loop_settle(loop);
    assert_int_equal(b.hangups, 0);
    duress__loop_free(loop);
}

/* close(2) with bytes unread sends an RST. */
static void closing_over_unread_bytes_resets(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    end_write(&b, "unread", 6);
    duress__socket_close(&a.socket);
    end_await(loop, &b, DURESS_SOCKET_HANGUP);
    size_t count;
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_RESET);
    assert_int_equal(count, 0);
    duress__loop_free(loop);
}

/* The peer closes in the ordinary way, then answers what is still sent to it with an RST. Reading gives what the FIN
 * promised, all bytes and the end; that the peer is gone altogether is told by the hangup. */
static void an_rst_after_the_fin_does_not_take_the_end_away(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    end_write(&a, bytes_sent, 10);
    duress__socket_close(&a.socket);
    loop_settle(loop);
    end_write(&b, "too late", 8);
    end_await(loop, &b, DURESS_SOCKET_HANGUP);
    size_t count;
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_END);
    assert_int_equal(count, 10);
    struct duress_slice slice = duress_slice_text("x");
    assert_int_equal(duress__socket_write(&b.socket, &slice, 1, &count), DURESS_E_RESET);
    duress__loop_free(loop);
}

/* The write meets the RST first and takes the kernel's error with it; reading must still say RESET, not END. */
static void a_write_that_meets_the_rst_leaves_it_for_reading(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    end_write(&a, bytes_sent, 10);
    duress__socket_reset(&a.socket);
    struct duress_slice slice = duress_slice_text("x");
    size_t count;
    assert_int_equal(duress__socket_write(&b.socket, &slice, 1, &count), DURESS_E_RESET);
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_RESET);
    assert_int_equal(count, 10);
    loop_settle(loop);
    assert_int_equal(b.hangups, 1);
    duress__loop_free(loop);
}

static void half_closed_the_other_half_lives(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    duress__socket_shutdown(&a.socket);
    size_t count;
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_END);
    end_write(&b, bytes_sent, 10);
    duress__socket_close(&b.socket);
    assert_int_equal(end_read_all(loop, &a, &count), DURESS_E_END);
    assert_int_equal(count, 10);
    struct duress_slice slice = duress_slice_text("x");
    assert_int_equal(duress__socket_write(&a.socket, &slice, 1, &count), DURESS_E_CLOSED);
    duress__loop_free(loop);
}

static void unix_sockets_end_and_reset_too(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    size_t count;
    unix_pair_open(loop, &a, &b);
    end_write(&a, bytes_sent, 10);
    duress__socket_close(&a.socket);
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_END);
    assert_int_equal(count, 10);
    assert_int_equal(b.hangups, 0);
    duress__socket_close(&b.socket);

    unix_pair_open(loop, &a, &b);
    end_write(&b, "unread", 6);
    duress__socket_close(&a.socket);
    end_await(loop, &b, DURESS_SOCKET_HANGUP);
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_RESET);
    duress__loop_free(loop);
}

/* A peer that writes into a closed Unix socket meets EPIPE; what it had received before is still there. */
static void a_unix_write_into_the_void_keeps_the_end(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    size_t count;
    unix_pair_open(loop, &a, &b);
    end_write(&a, bytes_sent, 10);
    duress__socket_close(&a.socket);
    struct duress_slice slice = duress_slice_text("x");
    assert_int_equal(duress__socket_write(&b.socket, &slice, 1, &count), DURESS_E_RESET);
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_END);
    assert_int_equal(count, 10);
    duress__loop_free(loop);
}

/* The same, but the peer left bytes unread: the write says only EPIPE, and the reset lies behind it. */
static void a_unix_write_that_meets_a_reset_leaves_it_for_reading(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    size_t count;
    unix_pair_open(loop, &a, &b);
    end_write(&a, bytes_sent, 10);
    end_write(&b, "unread", 6);
    duress__socket_close(&a.socket);
    struct duress_slice slice = duress_slice_text("x");
    assert_int_equal(duress__socket_write(&b.socket, &slice, 1, &count), DURESS_E_RESET);
    loop_settle(loop); /* the kernel's error is taken by now */
    assert_int_equal(end_read_all(loop, &b, &count), DURESS_E_RESET);
    assert_int_equal(count, 10);
    duress__loop_free(loop);
}

/* The driver that moves bytes itself asks what its own system calls mean. */
static void bytes_moved_by_hand_end_the_same_way(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    char bytes[16];
    tcp_pair_open(loop, &a, &b);
    end_write(&a, bytes_sent, 10);
    duress__socket_reset(&a.socket);
    end_await(loop, &b, DURESS_SOCKET_HANGUP); /* the kernel's error is taken by now */
    assert_int_equal(recv(b.socket.fd, bytes, sizeof bytes, 0), 10);
    assert_int_equal(recv(b.socket.fd, bytes, sizeof bytes, 0), 0);
    assert_int_equal(duress__socket_ended(&b.socket), DURESS_E_RESET);
    duress__socket_close(&b.socket);

    tcp_pair_open(loop, &a, &b);
    duress__socket_close(&a.socket);
    duress__socket_want(&b.socket, DURESS_SOCKET_READABLE);
    end_await(loop, &b, DURESS_SOCKET_READABLE);
    assert_int_equal(recv(b.socket.fd, bytes, sizeof bytes, 0), 0);
    assert_int_equal(duress__socket_ended(&b.socket), DURESS_E_END);
    duress__loop_free(loop);
}

static void freeing_the_loop_resets_what_is_open(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct duress_loop *other = loop_open();
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    struct end elsewhere = {.calls = 0};
    int b_fd = dup(b.socket.fd);
    duress__socket_close(&b.socket);
    assert_int_equal(duress__socket_adopt(other, &elsewhere.socket, b_fd, end_spoke, &elsewhere), DURESS_OK);
    duress__loop_free(loop);
    end_await(other, &elsewhere, DURESS_SOCKET_HANGUP);
    duress__loop_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fin_is_the_end_after_all_bytes),
        cmocka_unit_test(rst_is_a_reset_after_all_bytes),
        cmocka_unit_test(hangup_comes_though_nothing_is_wanted),
        cmocka_unit_test(a_fin_is_no_hangup),
        cmocka_unit_test(closing_over_unread_bytes_resets),
        cmocka_unit_test(an_rst_after_the_fin_does_not_take_the_end_away),
        cmocka_unit_test(a_write_that_meets_the_rst_leaves_it_for_reading),
        cmocka_unit_test(half_closed_the_other_half_lives),
        cmocka_unit_test(unix_sockets_end_and_reset_too),
        cmocka_unit_test(a_unix_write_into_the_void_keeps_the_end),
        cmocka_unit_test(a_unix_write_that_meets_a_reset_leaves_it_for_reading),
        cmocka_unit_test(bytes_moved_by_hand_end_the_same_way),
        cmocka_unit_test(freeing_the_loop_resets_what_is_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
