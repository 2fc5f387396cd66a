/* SPDX-License-Identifier: Apache-2.0
 *
 * Events: as long as wanted and true, fair to all, and none after a close. */
#include "loop_test.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

/* --- readable and writable --- */

static void readable_comes_as_long_as_it_is_true(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    char byte;
    size_t count;
    tcp_pair_open(loop, &a, &b);
    duress__socket_want(&b.socket, DURESS_SOCKET_READABLE);
    loop_settle(loop);
    assert_int_equal(b.calls, 0);
    end_write(&a, "abc", 3);
    end_await(loop, &b, DURESS_SOCKET_READABLE);
    unsigned calls = b.calls;
    for (unsigned turn = 1; turn <= 5; turn++) { /* unread bytes: told once in each turn */
        assert_int_equal(duress__loop_run_until(loop, NULL, NULL, 0), DURESS_E_DEADLINE);
        assert_int_equal(b.calls, calls + turn);
    }
    for (size_t i = 0; i < 3; i++) { /* byte by byte, as they are fewer than asked for only at the end */
        b.events = 0;
        end_await(loop, &b, DURESS_SOCKET_READABLE);
        assert_int_equal(duress__socket_read(&b.socket, &byte, 1, &count), DURESS_OK);
        assert_int_equal(byte, "abc"[i]);
    }
    assert_int_equal(duress__socket_read(&b.socket, &byte, 1, &count), DURESS_E_AGAIN);
    calls = b.calls;
    loop_settle(loop);
    assert_int_equal(b.calls, calls);
    duress__loop_free(loop);
}

static void a_short_read_takes_all(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    char bytes[16];
    size_t count;
    tcp_pair_open(loop, &a, &b);
    duress__socket_want(&b.socket, DURESS_SOCKET_READABLE);
    for (unsigned round = 0; round < 3; round++) {
        b.events = 0;
        end_write(&a, "abc", 3);
        end_await(loop, &b, DURESS_SOCKET_READABLE);
        assert_int_equal(duress__socket_read(&b.socket, bytes, sizeof bytes, &count), DURESS_OK);
        assert_int_equal(count, 3);
        unsigned calls = b.calls;
        loop_settle(loop);
        assert_int_equal(b.calls, calls); /* nothing is left, and nobody had to ask the kernel for that */
    }
    end_write(&a, "z", 1); /* bytes and the end at once: the short read must not hide the end */
    duress__socket_close(&a.socket);
    loop_settle(loop);
    assert_int_equal(duress__socket_read(&b.socket, bytes, sizeof bytes, &count), DURESS_OK);
    b.events = 0;
    end_await(loop, &b, DURESS_SOCKET_READABLE);
    assert_int_equal(duress__socket_read(&b.socket, bytes, sizeof bytes, &count), DURESS_E_END);
    duress__loop_free(loop);
}

/* recv() stops at TCP's urgent mark, so that a short read is not the last one. */
static void urgent_data_does_not_stall_what_follows(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    char bytes[16];
    size_t count = 0;
    size_t total = 0;
    tcp_pair_open(loop, &a, &b);
    duress__socket_want(&b.socket, DURESS_SOCKET_READABLE);
    assert_int_equal(send(a.socket.fd, "ab!", 3, MSG_OOB), 3); /* '!' is urgent and not in the stream */
    assert_int_equal(send(a.socket.fd, "cd", 2, 0), 2);
    while (total < 4) {
        b.events = 0;
        end_await(loop, &b, DURESS_SOCKET_READABLE);
        int error = duress__socket_read(&b.socket, bytes + total, sizeof bytes - total, &count);
        assert_true(error == DURESS_OK || error == DURESS_E_AGAIN);
        total += error == DURESS_OK ? count : 0;
    }
    assert_memory_equal(bytes, "abcd", 4);
    duress__loop_free(loop);
}

static void a_peer_that_does_not_read_makes_the_writer_wait(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    static char block[65536];
    for (unsigned kind = 0; kind < 2; kind++) {
        struct end a;
        struct end b;
        (kind == 0 ? tcp_pair_open : unix_pair_open)(loop, &a, &b);
        struct duress_slice slice = duress_slice_bytes(block, sizeof block);
        uint64_t sent = 0;
        size_t count = 0;
        int error;
        while ((error = duress__socket_write(&a.socket, &slice, 1, &count)) == DURESS_OK)
            sent += count;
        assert_int_equal(error, DURESS_E_AGAIN);
        duress__socket_want(&a.socket, DURESS_SOCKET_WRITABLE);
        duress__socket_want(&b.socket, DURESS_SOCKET_READABLE);
        end_await(loop, &b, DURESS_SOCKET_READABLE);
        uint64_t received = 0;
        a.events = 0;
        while ((a.events & DURESS_SOCKET_WRITABLE) == 0) {
            if (duress__socket_read(&b.socket, block, sizeof block, &count) == DURESS_OK)
                received += count;
            else
                end_await(loop, &a, DURESS_SOCKET_WRITABLE);
            (void)duress__loop_run_until(loop, NULL, NULL, 0);
        }
        assert_true(received <= sent);
        assert_int_equal(duress__socket_write(&a.socket, &slice, 1, &count), DURESS_OK);
        duress__socket_reset(&a.socket);
        duress__socket_reset(&b.socket);
    }
    duress__loop_free(loop);
}

static void many_slices_are_written_from_the_front(void **state)
{
    (void)state;
    enum { SLICES = 200 };
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    struct duress_slice slices[SLICES];
    char letters[SLICES];
    for (size_t i = 0; i < SLICES; i++) {
        letters[i] = (char)('a' + i % 26);
        slices[i] = duress_slice_bytes(&letters[i], i % 5 == 0 ? 0 : 1); /* some are empty */
    }
    tcp_pair_open(loop, &a, &b);
    size_t count = 0;
    assert_int_equal(duress__socket_write(&a.socket, slices, SLICES, &count), DURESS_OK);
    assert_in_range(count, 1, SLICES);
    char got[SLICES];
    duress__socket_want(&b.socket, DURESS_SOCKET_READABLE);
    end_await(loop, &b, DURESS_SOCKET_READABLE);
    size_t got_count = 0;
    assert_int_equal(duress__socket_read(&b.socket, got, sizeof got, &got_count), DURESS_OK);
    assert_int_equal(got_count, count);
    size_t at = 0;
    for (size_t i = 0; at < got_count; i++)
        if (slices[i].length == 1)
            assert_int_equal(got[at++], letters[i]);
    assert_int_equal(duress__socket_write(&a.socket, slices, 1, &count), DURESS_E_INVALID); /* only an empty one */
    assert_int_equal(duress__socket_read(&a.socket, got, 0, &count), DURESS_E_INVALID);
    duress__loop_free(loop);
}

/* --- fairness --- */

struct drinker {
    struct end end;
    uint64_t turns;
};

static void drinker_spoke(void *context, unsigned events)
{
    (void)events;
    struct drinker *drinker = context;
    char byte;
    size_t count;
    assert_int_equal(duress__socket_read(&drinker->end.socket, &byte, 1, &count), DURESS_OK);
    drinker->turns++;
}

/* One has a megabyte to read a byte at a time, the others a few: in each turn every one gets exactly one go. */
static void one_busy_socket_starves_no_other(void **state)
{
    (void)state;
    enum { DRINKERS = 20 };
    static char plenty[64 * 1024];
    struct duress_loop *loop = loop_open();
    struct drinker drinkers[DRINKERS];
    struct end writers[DRINKERS];
    for (size_t i = 0; i < DRINKERS; i++) {
        tcp_pair_open(loop, &writers[i], &drinkers[i].end);
        drinkers[i].turns = 0;
        duress__socket_handle(&drinkers[i].end.socket, drinker_spoke, &drinkers[i]);
        duress__socket_want(&drinkers[i].end.socket, DURESS_SOCKET_READABLE);
        end_write(&writers[i], plenty, i == 0 ? sizeof plenty : 100);
    }
    for (unsigned turn = 1; turn <= 90; turn++)
        assert_int_equal(duress__loop_run_until(loop, NULL, NULL, 0), DURESS_E_DEADLINE);
    for (size_t i = 0; i < DRINKERS; i++)
        assert_in_range(drinkers[i].turns, 88, 90);
    duress__loop_free(loop);
}

/* --- closing inside callbacks --- */

struct assassin {
    struct end end;
    struct end *victim;
};

static void assassin_spoke(void *context, unsigned events)
{
    struct assassin *assassin = context;
    end_spoke(&assassin->end, events);
    if (assassin->victim != NULL) {
        duress__socket_close(&assassin->victim->socket);
        memset(assassin->victim, 0xa5, sizeof *assassin->victim); /* its owner has other plans with the memory */
        free(assassin->victim);
        assassin->victim = NULL;
    }
}

/* Both have events harvested in the same turn; whichever comes first closes the other and frees its memory. */
static void a_closed_socket_hears_nothing_of_what_was_harvested(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    for (unsigned order = 0; order < 2; order++) {
        struct end a;
        struct end c;
        struct assassin assassin = {.victim = calloc(1, sizeof *assassin.victim)};
        assert_non_null(assassin.victim);
        tcp_pair_open(loop, &a, &assassin.end);
        tcp_pair_open(loop, &c, assassin.victim);
        duress__socket_handle(&assassin.end.socket, assassin_spoke, &assassin);
        duress__socket_want(&assassin.end.socket, DURESS_SOCKET_READABLE);
        duress__socket_want(&assassin.victim->socket, DURESS_SOCKET_READABLE);
        end_write(order == 0 ? &a : &c, "x", 1);
        end_write(order == 0 ? &c : &a, "x", 1);
        end_await(loop, &assassin.end, DURESS_SOCKET_READABLE);
        assert_null(assassin.victim);
        loop_settle(loop);
        duress__socket_close(&assassin.end.socket);
        duress__socket_close(&a.socket);
        duress__socket_close(&c.socket);
    }
    duress__loop_free(loop);
}

static void a_socket_may_close_itself_inside(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    b.close_when_told = true;
    duress__socket_want(&b.socket, DURESS_SOCKET_READABLE | DURESS_SOCKET_WRITABLE);
    end_write(&a, "x", 1);
    end_await(loop, &b, DURESS_SOCKET_READABLE | DURESS_SOCKET_WRITABLE);
    loop_settle(loop);
    assert_int_equal(b.calls, 1);
    assert_false(duress__socket_is_open(&b.socket));
    duress__socket_close(&b.socket); /* again: nothing */
    size_t count;
    assert_int_equal(duress__socket_read(&b.socket, &(char){0}, 1, &count), DURESS_E_CLOSED);
    duress__loop_free(loop);
}

/* After its close the memory is the owner's, who has put something else there before the callback returns. */
static void end_reused(void *context, unsigned events)
{
    (void)events;
    struct end *end = context;
    duress__socket_close(&end->socket);
    *end = (struct end){.socket = {.want = 0xff, .ready = 0xff}, .calls = 1};
}

static void a_socket_that_closed_itself_is_not_looked_at_again(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    tcp_pair_open(loop, &a, &b);
    duress__socket_handle(&b.socket, end_reused, &b);
    duress__socket_want(&b.socket, DURESS_SOCKET_READABLE);
    end_write(&a, "x", 1);
    end_await(loop, &a, DURESS_SOCKET_HANGUP); /* a byte lay unread */
    assert_int_equal(b.calls, 1);
    duress__loop_free(loop);
}

/* A short write has filled the buffer: nobody is told that there is room until there is. */
static void after_a_short_write_nothing_is_writable(void **state)
{
    (void)state;
    static char block[4 << 20];
    struct duress_loop *loop = loop_open();
    struct end a;
    struct end b;
    unix_pair_open(loop, &a, &b);
    loop_settle(loop);
    struct duress_slice slice = duress_slice_bytes(block, sizeof block);
    size_t count = 0;
    assert_int_equal(duress__socket_write(&a.socket, &slice, 1, &count), DURESS_OK);
    assert_true(count < sizeof block);
    duress__socket_want(&a.socket, DURESS_SOCKET_WRITABLE);
    loop_settle(loop);
    assert_int_equal(a.calls, 0);
    assert_int_equal(duress__socket_read(&b.socket, block, sizeof block, &count), DURESS_OK);
    end_await(loop, &a, DURESS_SOCKET_WRITABLE);
    duress__loop_free(loop);
}

/* --- watching descriptors of others --- */

static void turn_counted(uv_prepare_t *prepare)
{
    unsigned *turns = prepare->data;
    ++*turns;
}

/* How often libuv goes round while nothing is to be done. */
static unsigned turns_within_ns(struct duress_loop *loop, uint64_t duration_ns)
{
    unsigned turns = 0;
    uv_prepare_t prepare = {.data = &turns};
    assert_int_equal(uv_prepare_init(duress__loop_uv(loop), &prepare), 0);
    assert_int_equal(uv_prepare_start(&prepare, turn_counted), 0);
    uint64_t deadline_ns = duress__loop_now_ns(loop) + duration_ns;
    assert_int_equal(duress__loop_run_until(loop, NULL, NULL, deadline_ns), DURESS_E_DEADLINE);
    assert_int_equal(uv_prepare_stop(&prepare), 0);
    uv_close((uv_handle_t *)&prepare, NULL);
    loop_settle(loop); /* libuv lets go of it */
    return turns;
}

static void a_watched_pipe_is_told_as_long_as_it_is_readable(void **state)
{
    (void)state;
    struct duress_loop *loop = loop_open();
    struct end end = {.calls = 0};
    int fds[2];
    char byte;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(duress__socket_watch(loop, &end.socket, fds[0], end_spoke, &end), DURESS_OK);
    assert_int_equal(write(fds[1], "ab", 2), 2);
    loop_settle(loop);
    assert_int_equal(end.calls, 0);
    duress__socket_want(&end.socket, DURESS_SOCKET_READABLE);
    for (unsigned i = 0; i < 2; i++) {
        end.events = 0;
        end_await(loop, &end, DURESS_SOCKET_READABLE);
        assert_int_equal(read(fds[0], &byte, 1), 1);
    }
    loop_settle(loop);
    unsigned calls = end.calls;
    loop_settle(loop);
    assert_int_equal(end.calls, calls);
    (void)close(fds[1]);
    end.events = 0;
    end_await(loop, &end, DURESS_SOCKET_READABLE); /* hung up: a read gives the end */
    duress__socket_want(&end.socket, 0);
    calls = end.calls;
    assert_in_range(turns_within_ns(loop, 10 * DURESS_MS), 1, 20); /* unwanted, it does not keep the loop busy */
    assert_int_equal(end.calls, calls);
    duress__socket_unwatch(&end.socket);
    assert_int_equal(read(fds[0], &byte, 1), 0); /* still open: it was only watched */
    (void)close(fds[0]);
    duress__loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readable_comes_as_long_as_it_is_true),
        cmocka_unit_test(a_short_read_takes_all),
        cmocka_unit_test(urgent_data_does_not_stall_what_follows),
        cmocka_unit_test(a_peer_that_does_not_read_makes_the_writer_wait),
        cmocka_unit_test(many_slices_are_written_from_the_front),
        cmocka_unit_test(one_busy_socket_starves_no_other),
        cmocka_unit_test(a_closed_socket_hears_nothing_of_what_was_harvested),
        cmocka_unit_test(a_socket_may_close_itself_inside),
        cmocka_unit_test(a_socket_that_closed_itself_is_not_looked_at_again),
        cmocka_unit_test(after_a_short_write_nothing_is_writable),
        cmocka_unit_test(a_watched_pipe_is_told_as_long_as_it_is_readable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
