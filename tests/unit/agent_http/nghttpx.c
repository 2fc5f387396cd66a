/* SPDX-License-Identifier: Apache-2.0 */
#include "nghttpx.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

/* Those who are not root often have no /usr/sbin in their PATH. */
static const char *nghttpx_path(void)
{
    static const char *const places[] = {"/usr/sbin/nghttpx", "/usr/bin/nghttpx", "/usr/local/bin/nghttpx"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
        if (access(places[i], X_OK) == 0)
            return places[i];
    return NULL;
}

bool nghttpx_is_there(void)
{
    return nghttpx_path() != NULL;
}

static int listener_open(uint16_t *port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(*port)};
    socklen_t length = sizeof address;
    int again = 1;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &again, sizeof again), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 128), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

struct command {
    char inherited[64]; /* nghttpx takes a listener over that its environment names */
    char frontend[64];
    char backend[64];
    const char *key_file;
    const char *certificate_file;
};

/* In the child, between fork() and exec(). */
static void child_run(const struct nghttpx *proxy, const struct command *command, int listener, pid_t parent)
{
    const char *const arguments[] = {
        "nghttpx",
        "--conf=/dev/null",
        "--single-process", /* or it would have a child of its own, that outlives it */
        "--workers=1",
        "--no-ocsp",
        "--log-level=ERROR",
        "--accesslog-file=/dev/stdout",
        "--accesslog-format=$remote_port $alpn $status",
        command->frontend,
        command->backend,
        command->key_file, /* NULL: the list ends here */
        command->certificate_file,
        NULL,
    };
    const char *const environment[] = {command->inherited, NULL};
    if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent || dup2(fileno(proxy->log), STDOUT_FILENO) < 0 ||
        fcntl(listener, F_SETFD, 0) != 0)
        _exit(126);
    (void)execve(nghttpx_path(), (char *const *)arguments, (char *const *)environment);
    _exit(127);
}

void nghttpx_start(struct nghttpx *proxy, uint16_t port, uint16_t backend_port, const struct certificate *certificate)
{
    struct command command = {.key_file = NULL};
    *proxy = (struct nghttpx){.port = port, .log = tmpfile()};
    assert_non_null(proxy->log);
    int listener = listener_open(&proxy->port);
    (void)snprintf(command.inherited, sizeof command.inherited, "NGHTTPX_ACCEPT_1=tcp,%d", listener);
    (void)snprintf(command.frontend, sizeof command.frontend, "--frontend=127.0.0.1,%u%s", proxy->port,
                   certificate == NULL ? ";no-tls" : "");
    (void)snprintf(command.backend, sizeof command.backend, "--backend=127.0.0.1,%u", backend_port);
    if (certificate != NULL) {
        command.key_file = certificate->key_file;
        command.certificate_file = certificate->certificate_file;
    }
    pid_t parent = getpid();
    proxy->child = fork();
    assert_true(proxy->child >= 0);
    if (proxy->child == 0)
        child_run(proxy, &command, listener, parent);
    assert_int_equal(close(listener), 0);
}

void nghttpx_kill(struct nghttpx *proxy)
{
    int status = 0;
    if (proxy->child == 0)
        return;
    assert_int_equal(kill(proxy->child, SIGKILL), 0);
    assert_int_equal(waitpid(proxy->child, &status, 0), proxy->child);
    proxy->child = 0;
    /* Anything else, and it had ended by itself before: of wrong options, of a listener that it did not take. */
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

struct nghttpx_count nghttpx_count(const struct nghttpx *proxy)
{
    struct nghttpx_count count = {.requests = 0};
    static bool seen[65536];
    unsigned port;
    char protocol[16];
    memset(seen, 0, sizeof seen);
    assert_int_equal(proxy->child, 0);
    rewind(proxy->log);
    while (fscanf(proxy->log, "%u %15s %*s", &port, protocol) == 2) {
        assert_true(port < 65536);
        count.requests++;
        count.connections += !seen[port];
        count.in_http_2 += strcmp(protocol, "h2") == 0 || strcmp(protocol, "h2c") == 0;
        seen[port] = true;
    }
    return count;
}

void nghttpx_close(struct nghttpx *proxy)
{
    nghttpx_kill(proxy);
    if (proxy->log != NULL)
        assert_int_equal(fclose(proxy->log), 0);
    proxy->log = NULL;
}
