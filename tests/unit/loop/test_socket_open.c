/* SPDX-License-Identifier: Apache-2.0
 *
 * Connecting and accepting, and what they do when they cannot. */
#include "loop_test.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

struct server {
    struct duress_acceptor acceptor;
    struct duress_loop *loop;
    struct end ends[64];
    size_t count;
    size_t expected;
    bool close_acceptor_when_told;
};

static void server_accepted(void *context, int fd, const struct sockaddr *peer, socklen_t peer_bytes)
{
    struct server *server = context;
    assert_true(peer_bytes >= sizeof peer->sa_family);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    assert_true(server->count < sizeof server->ends / sizeof server->ends[0]);
    struct end *end = &server->ends[server->count++];
    assert_int_equal(duress__socket_adopt(server->loop, &end->socket, fd, end_spoke, end), DURESS_OK);
    if (server->close_acceptor_when_told)
        duress__acceptor_close(&server->acceptor);
}

static bool server_has_all(void *context)
{
    const struct server *server = context;
    return server->count >= server->expected;
}

static void server_open_tcp(struct server *server, struct duress_loop *loop, struct sockaddr_in *address)
{
    *server = (struct server){.loop = loop};
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t bytes = sizeof *address;
    assert_int_equal(
        duress__acceptor_listen(loop, &server->acceptor, (struct sockaddr *)address, bytes, 0, server_accepted, server),
        DURESS_OK);
    assert_int_equal(getsockname(server->acceptor.socket.fd, (struct sockaddr *)address, &bytes), 0);
}

static void end_connect(struct duress_loop *loop, struct end *end, const struct sockaddr_in *address)
{
    *end = (struct end){.calls = 0};
    assert_int_equal(
        duress__socket_connect(loop, &end->socket, (const struct sockaddr *)address, sizeof *address, end_spoke, end),
        DURESS_OK);
    assert_int_equal(end->calls, 0);
}

/* --- connecting --- */

static void a_connect_is_answered_once(void **state)
{
    (void)state;
    struct server server;
    struct sockaddr_in address;
    struct duress_loop *loop = loop_open();
    server_open_tcp(&server, loop, &address);
    struct end end;
    end_connect(loop, &end, &address);
    size_t count;
    assert_int_equal(duress__socket_read(&end.socket, &(char){0}, 1, &count), DURESS_E_AGAIN);
    end_await(loop, &end, DURESS_SOCKET_CONNECTED);
    server.expected = 1;
    loop_await(loop, server_has_all, &server);
    loop_settle(loop);
    assert_int_equal(end.calls, 1);
    int on = 0;
    socklen_t bytes = sizeof on;
    assert_int_equal(getsockopt(end.socket.fd, IPPROTO_TCP, TCP_NODELAY, &on, &bytes), 0);
    assert_int_equal(on, 1);
    assert_int_equal(getsockopt(server.ends[0].socket.fd, IPPROTO_TCP, TCP_NODELAY, &on, &bytes), 0);
    assert_int_equal(on, 1);
    assert_int_equal(getsockopt(end.socket.fd, SOL_SOCKET, SO_KEEPALIVE, &on, &bytes), 0);
    assert_int_equal(on, 1);
    duress__loop_free(loop);
}

static void a_refused_connect_fails_in_a_callback(void **state)
{
    (void)state;
    struct sockaddr_in address;
    (void)close(tcp_listen_raw(1, &address)); /* nobody listens there any more */
    struct duress_loop *loop = loop_open();
    struct end end;
    end_connect(loop, &end, &address);
    duress__socket_want(&end.socket, DURESS_SOCKET_READABLE | DURESS_SOCKET_WRITABLE);
    end_await(loop, &end, DURESS_SOCKET_FAILED);
    assert_int_equal(end.events, DURESS_SOCKET_FAILED);
    assert_int_equal(end.socket.error, DURESS_E_REFUSED);
    loop_settle(loop);
    assert_int_equal(end.calls, 1);
    duress__socket_close(&end.socket);
    duress__loop_free(loop);
}

static void a_unix_connect_to_nobody_is_refused(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "/nowhere/at/all"};
    struct duress_loop *loop = loop_open();
    struct end end = {.calls = 0};
    assert_int_equal(
        duress__socket_connect(loop, &end.socket, (struct sockaddr *)&address, sizeof address, end_spoke, &end),
        DURESS_OK);
    end_await(loop, &end, DURESS_SOCKET_FAILED);
    assert_int_equal(end.socket.error, DURESS_E_REFUSED);
    duress__loop_free(loop);
}

/* A queue of one, filled: the kernel drops the SYN, and the connect hangs until somebody gives up. */
static void a_connect_to_a_full_queue_waits_until_it_is_closed(void **state)
{
    (void)state;
    enum { FILLERS = 4 };
    struct sockaddr_in address;
    int listening = tcp_listen_raw(0, &address);
    struct duress_loop *loop = loop_open();
    struct end fillers[FILLERS];
    for (size_t i = 0; i < FILLERS; i++)
        end_connect(loop, &fillers[i], &address);
    end_await(loop, &fillers[0], DURESS_SOCKET_CONNECTED);
    uint64_t until_ns = duress__loop_now_ns(loop) + 30 * DURESS_MS;
    assert_int_equal(duress__loop_run_until(loop, NULL, NULL, until_ns), DURESS_E_DEADLINE);
    struct end *last = &fillers[FILLERS - 1];
    assert_int_equal(last->calls, 0);
    duress__socket_close(&last->socket);
    (void)close(listening);
    loop_settle(loop);
    assert_int_equal(last->calls, 0);
    duress__loop_free(loop);
}

static void a_shutdown_before_the_connect_ended_is_made_up_for(void **state)
{
    (void)state;
    struct server server;
    struct sockaddr_in address;
    struct duress_loop *loop = loop_open();
    server_open_tcp(&server, loop, &address);
    struct end end;
    end_connect(loop, &end, &address);
    duress__socket_shutdown(&end.socket);
    server.expected = 1;
    loop_await(loop, server_has_all, &server);
    size_t count;
    assert_int_equal(end_read_all(loop, &server.ends[0], &count), DURESS_E_END);
    duress__loop_free(loop);
}

/* --- accepting --- */

static void more_than_a_turn_accepts_are_all_accepted(void **state)
{
    (void)state;
    enum { CLIENTS = 50 };
    struct server server;
    struct sockaddr_in address;
    struct duress_loop *loop = loop_open();
    server_open_tcp(&server, loop, &address);
    struct end clients[CLIENTS];
    for (size_t i = 0; i < CLIENTS; i++)
        end_connect(loop, &clients[i], &address);
    server.expected = CLIENTS;
    loop_await(loop, server_has_all, &server);
    duress__loop_free(loop);
}

static void an_acceptor_may_close_itself_inside(void **state)
{
    (void)state;
    struct server server;
    struct sockaddr_in address;
    struct duress_loop *loop = loop_open();
    server_open_tcp(&server, loop, &address);
    server.close_acceptor_when_told = true;
    struct end clients[3];
    for (size_t i = 0; i < 3; i++)
        end_connect(loop, &clients[i], &address);
    server.expected = 1;
    loop_await(loop, server_has_all, &server);
    loop_settle(loop);
    assert_int_equal(server.count, 1);
    end_await(loop, &clients[1], DURESS_SOCKET_HANGUP); /* those that waited in the queue are reset */
    end_await(loop, &clients[2], DURESS_SOCKET_HANGUP);
    duress__loop_free(loop);
}

static void a_stopped_acceptor_leaves_connections_in_the_queue(void **state)
{
    (void)state;
    struct server server;
    struct sockaddr_in address;
    struct duress_loop *loop = loop_open();
    server_open_tcp(&server, loop, &address);
    duress__acceptor_accept(&server.acceptor, false);
    struct end client;
    end_connect(loop, &client, &address);
    end_await(loop, &client, DURESS_SOCKET_CONNECTED);
    loop_settle(loop);
    assert_int_equal(server.count, 0);
    duress__acceptor_accept(&server.acceptor, true);
    server.expected = 1;
    loop_await(loop, server_has_all, &server);
    duress__loop_free(loop);
}

static void a_port_in_use_is_refused(void **state)
{
    (void)state;
    struct server server;
    struct server second = {.count = 0};
    struct sockaddr_in address;
    struct duress_loop *loop = loop_open();
    server_open_tcp(&server, loop, &address);
    assert_int_equal(duress__acceptor_listen(loop, &second.acceptor, (struct sockaddr *)&address, sizeof address, 0,
                                             server_accepted, &second),
                     DURESS_E_ADDRESS_IN_USE);
    duress__acceptor_close(&second.acceptor);
    address.sin_addr.s_addr = htonl(0xc0000201); /* 192.0.2.1 is nobody's */
    address.sin_port = 0;
    assert_int_equal(duress__acceptor_listen(loop, &second.acceptor, (struct sockaddr *)&address, sizeof address, 0,
                                             server_accepted, &second),
                     DURESS_E_ADDRESS_UNAVAILABLE);
    duress__loop_free(loop);
}

/* --- out of descriptors --- */

enum { DESCRIPTORS_LEFT = 3, CLIENTS_IN_NEED = 6 };

static bool server_has_paused(void *context)
{
    const struct server *server = context;
    return server->acceptor.pause_count > 0;
}

/* In a process of its own, as it lowers its limit. Whoever asserts here ends it with another status than 7. */
static void child_out_of_descriptors(void)
{
    struct server server;
    struct sockaddr_in address;
    struct end clients[CLIENTS_IN_NEED];
    struct duress_loop *loop = loop_open();
    struct end late;
    server_open_tcp(&server, loop, &address);
    for (size_t i = 0; i < CLIENTS_IN_NEED; i++)
        end_connect(loop, &clients[i], &address);
    int next_fd = dup(0);
    (void)close(next_fd);
    struct rlimit limit = {.rlim_cur = (rlim_t)(next_fd + DESCRIPTORS_LEFT), .rlim_max = (rlim_t)4096};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    loop_await(loop, server_has_paused, &server);
    assert_int_equal(server.count, DESCRIPTORS_LEFT);
    assert_int_equal(
        duress__socket_connect(loop, &late.socket, (struct sockaddr *)&address, sizeof address, end_spoke, &late),
        DURESS_E_NO_DESCRIPTORS);
    uint64_t pauses = server.acceptor.pause_count;
    for (unsigned turn = 0; turn < 1000; turn++)
        assert_int_equal(duress__loop_run_until(loop, NULL, NULL, 0), DURESS_E_DEADLINE);
    assert_true(server.acceptor.pause_count <= pauses + 100); /* a thousand turns, and it did not try in each */
    for (size_t i = 0; i < DESCRIPTORS_LEFT; i++)
        duress__socket_close(&server.ends[i].socket);
    server.expected = CLIENTS_IN_NEED;
    loop_await(loop, server_has_all, &server);
    duress__loop_free(loop);
    _exit(7);
}

static void out_of_descriptors_accepting_pauses_and_resumes(void **state)
{
    (void)state;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        child_out_of_descriptors();
        _exit(1);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 7);
}

/* --- the files of Unix sockets --- */

static int unix_listen(struct duress_loop *loop, struct server *server, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    *server = (struct server){.loop = loop};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return duress__acceptor_listen(loop, &server->acceptor, (struct sockaddr *)&address, sizeof address, 0,
                                   server_accepted, server);
}

/* As a server does that died. */
static void unix_file_leave_behind(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    (void)snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    (void)close(fd);
}

static void a_unix_socket_file_is_made_and_removed(void **state)
{
    (void)state;
    char folder[] = "/tmp/duress-loop-XXXXXX";
    char path[64];
    struct stat status;
    struct server first;
    struct server second;
    struct duress_loop *loop = loop_open();
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/socket", folder);

    assert_int_equal(unix_listen(loop, &first, path), DURESS_OK);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(unix_listen(loop, &second, path), DURESS_E_ADDRESS_IN_USE); /* somebody listens there */
    duress__acceptor_close(&first.acceptor);
    assert_int_not_equal(stat(path, &status), 0);

    unix_file_leave_behind(path);
    assert_int_equal(unix_listen(loop, &first, path), DURESS_OK);
    assert_int_equal(unlink(path), 0); /* somebody else takes the place by force */
    assert_int_equal(unix_listen(loop, &second, path), DURESS_OK);
    duress__acceptor_close(&first.acceptor);
    assert_int_equal(stat(path, &status), 0); /* the file is not the first one's any more */
    duress__loop_free(loop);                  /* closes the second, file and all */
    assert_int_not_equal(stat(path, &status), 0);

    loop = loop_open();
    int file = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(file >= 0);
    (void)close(file);
    assert_int_equal(unix_listen(loop, &first, path), DURESS_E_ADDRESS_IN_USE); /* an ordinary file is not ours */
    assert_int_equal(stat(path, &status), 0);
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/no/folder", folder);
    assert_int_equal(unix_listen(loop, &first, path), DURESS_E_INVALID);
    duress__loop_free(loop);
    (void)rmdir(folder);
}

static void errors_of_the_kernel_have_codes(void **state)
{
    (void)state;
    assert_int_equal(duress__error_from_errno(0), DURESS_OK);
    assert_int_equal(duress__error_from_errno(EWOULDBLOCK), DURESS_E_AGAIN);
    assert_int_equal(duress__error_from_errno(ECONNREFUSED), DURESS_E_REFUSED);
    assert_int_equal(duress__error_from_errno(ENETUNREACH), DURESS_E_UNREACHABLE);
    assert_int_equal(duress__error_from_errno(EHOSTUNREACH), DURESS_E_UNREACHABLE);
    assert_int_equal(duress__error_from_errno(ETIMEDOUT), DURESS_E_CONNECT_TIMEOUT);
    assert_int_equal(duress__error_from_errno(ECONNRESET), DURESS_E_RESET);
    assert_int_equal(duress__error_from_errno(EPIPE), DURESS_E_RESET);
    assert_int_equal(duress__error_from_errno(ENOBUFS), DURESS_E_NO_MEMORY);
    assert_int_equal(duress__error_from_errno(ENFILE), DURESS_E_NO_DESCRIPTORS);
    assert_int_equal(duress__error_from_errno(EACCES), DURESS_E_PERMISSION);
    assert_int_equal(duress__error_from_errno(EAFNOSUPPORT), DURESS_E_UNSUPPORTED);
    assert_int_equal(duress__error_from_errno(EXDEV), DURESS_E_SYSTEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connect_is_answered_once),
        cmocka_unit_test(a_refused_connect_fails_in_a_callback),
        cmocka_unit_test(a_unix_connect_to_nobody_is_refused),
        cmocka_unit_test(a_connect_to_a_full_queue_waits_until_it_is_closed),
        cmocka_unit_test(a_shutdown_before_the_connect_ended_is_made_up_for),
        cmocka_unit_test(more_than_a_turn_accepts_are_all_accepted),
        cmocka_unit_test(an_acceptor_may_close_itself_inside),
        cmocka_unit_test(a_stopped_acceptor_leaves_connections_in_the_queue),
        cmocka_unit_test(a_port_in_use_is_refused),
        cmocka_unit_test(out_of_descriptors_accepting_pauses_and_resumes),
        cmocka_unit_test(a_unix_socket_file_is_made_and_removed),
        cmocka_unit_test(errors_of_the_kernel_have_codes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
