/* SPDX-License-Identifier: Apache-2.0 */
#include "loop_test.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

struct duress_loop *loop_open(void)
{
    struct duress_loop *loop = NULL;
    assert_int_equal(duress__loop_new(NULL, NULL, &loop), DURESS_OK);
    return loop;
}

void loop_await(struct duress_loop *loop, duress_loop_done_fn done, void *context)
{
    uint64_t deadline_ns = duress__loop_now_ns(loop) + PATIENCE_NS;
    assert_int_equal(duress__loop_run_until(loop, done, context, deadline_ns), DURESS_OK);
}

void loop_settle(struct duress_loop *loop)
{
    for (unsigned turn = 0; turn < 10; turn++)
        assert_int_equal(duress__loop_run_until(loop, NULL, NULL, 0), DURESS_E_DEADLINE);
}

size_t descriptors_count(void)
{
    DIR *folder = opendir("/proc/self/fd");
    assert_non_null(folder);
    size_t count = 0;
    while (readdir(folder) != NULL)
        count++;
    (void)closedir(folder);
    return count;
}

void end_spoke(void *context, unsigned events)
{
    struct end *end = context;
    end->events |= events;
    end->calls++;
    end->hangups += (events & DURESS_SOCKET_HANGUP) != 0;
    if (end->close_when_told)
        duress__socket_close(&end->socket);
}

struct awaited {
    const struct end *end;
    unsigned events;
};

static bool awaited_came(void *context)
{
    const struct awaited *awaited = context;
    return (awaited->end->events & awaited->events) != 0;
}

void end_await(struct duress_loop *loop, struct end *end, unsigned events)
{
    struct awaited awaited = {end, events};
    loop_await(loop, awaited_came, &awaited);
}

int tcp_listen_raw(int backlog, struct sockaddr_in *address)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof *address;
    assert_int_equal(bind(fd, (struct sockaddr *)address, bytes), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &bytes), 0);
    assert_int_equal(listen(fd, backlog), 0);
    return fd;
}

static void pair_adopt(struct duress_loop *loop, struct end *a, int a_fd, struct end *b, int b_fd)
{
    *a = (struct end){.calls = 0};
    *b = (struct end){.calls = 0};
    assert_int_equal(duress__socket_adopt(loop, &a->socket, a_fd, end_spoke, a), DURESS_OK);
    assert_int_equal(duress__socket_adopt(loop, &b->socket, b_fd, end_spoke, b), DURESS_OK);
}

void tcp_pair_open(struct duress_loop *loop, struct end *a, struct end *b)
{
    struct sockaddr_in address;
    int listening = tcp_listen_raw(1, &address);
    int a_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(a_fd >= 0);
    assert_int_equal(connect(a_fd, (struct sockaddr *)&address, sizeof address), 0);
    int b_fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(b_fd >= 0);
    (void)close(listening);
    pair_adopt(loop, a, a_fd, b, b_fd);
}

void unix_pair_open(struct duress_loop *loop, struct end *a, struct end *b)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    pair_adopt(loop, a, fds[0], b, fds[1]);
}

void end_write(struct end *end, const void *bytes, size_t count)
{
    struct duress_slice slice = duress_slice_bytes(bytes, count);
    while (slice.length > 0) {
        size_t put = 0;
        assert_int_equal(duress__socket_write(&end->socket, &slice, 1, &put), DURESS_OK);
        assert_in_range(put, 1, slice.length);
        slice = duress_slice_bytes(slice.data + put, slice.length - put);
    }
}

int end_read_all(struct duress_loop *loop, struct end *end, size_t *count)
{
    char bytes[4096];
    *count = 0;
    duress__socket_want(&end->socket, DURESS_SOCKET_READABLE);
    for (;;) {
        size_t got = 0;
        int error = duress__socket_read(&end->socket, bytes, sizeof bytes, &got);
        if (error != DURESS_OK && error != DURESS_E_AGAIN)
            return error;
        *count += error == DURESS_OK ? got : 0;
        end->events = 0;
        if (error == DURESS_E_AGAIN)
            end_await(loop, end, DURESS_SOCKET_READABLE);
    }
}
