/* SPDX-License-Identifier: Apache-2.0
 *
 * A command of the user's as a service: a process group of its own, whose output is kept, and which is ready when its
 * port, an answer over HTTP or a line of its output says so. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "service.h"

enum { OUTPUT_BYTES_MAX = 16384 };

/* --- starting --- */

static DURESS_NORETURN void command_exec(const struct chaos_service *service, int output_fd, pid_t parent)
{
    char port[8];
    sigset_t none;
    (void)setpgid(0, 0);
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* The parent died before the line above took effect. */
    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)snprintf(port, sizeof port, "%u", (unsigned)service->address.port);
    (void)setenv("PORT", port, 1);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (nothing < 0 || dup2(nothing, STDIN_FILENO) < 0 || dup2(output_fd, STDOUT_FILENO) < 0 ||
        dup2(output_fd, STDERR_FILENO) < 0)
        _exit(1);
    (void)close_range(STDERR_FILENO + 1, ~0U, 0);
    (void)execvp(service->command.arguments[0], service->command.arguments);
    (void)fprintf(stderr, "cannot run %s: %s\n", service->command.arguments[0], strerror(errno));
    (void)fflush(stderr);
    _exit(127);
}

static int command_refuse(const struct chaos_service *service, enum duress_error code, struct duress_failure *why)
{
    duress_failure_set(why, code, DURESS_ORIGIN_NONE, "cannot start %s", service->name);
    return (int)code;
}

int chaos__command_start(struct chaos_service *service, struct live_service *state, struct duress_failure *why)
{
    struct watcher *watcher = chaos__live_watcher(service->chaos);
    pid_t parent = getpid();
    if (chaos__watcher_open(watcher) != DURESS_OK)
        return command_refuse(service, DURESS_E_NO_DESCRIPTORS, why);
    if (state->output_fd <= 0)
        state->output_fd = memfd_create("duress-command", MFD_CLOEXEC);
    if (state->output_fd < 0 || fcntl(state->output_fd, F_SETFL, O_APPEND) != 0)
        return command_refuse(service, DURESS_E_NO_DESCRIPTORS, why);
    (void)fflush(NULL);
    pid_t child = fork();
    if (child == 0)
        command_exec(service, state->output_fd, parent);
    if (child < 0)
        return command_refuse(service, DURESS_E_NO_MEMORY, why);
    (void)setpgid(child, child); /* whoever of the two is first */
    state->pid = child;
    state->is_group = true;
    return chaos__watcher_add_group(watcher, child);
}

/* --- ready --- */

static bool output_has(const struct live_service *state, const char *text)
{
    struct stat status;
    if (fstat(state->output_fd, &status) != 0 || status.st_size == 0)
        return false;
    size_t length = (size_t)status.st_size;
    void *output = mmap(NULL, length, PROT_READ, MAP_SHARED, state->output_fd, 0);
    if (output == MAP_FAILED)
        return false;
    bool has = memmem(output, length, text, strlen(text)) != NULL;
    (void)munmap(output, length);
    return has;
}

/* Asks once, and waits for half a second at the most: something listens there already. */
static bool http_answers(uint16_t port, const char *path)
{
    enum { STATUS_AT = 9, STATUS_BYTES = 12 };
    char text[512];
    struct timeval patience = {.tv_usec = 500000};
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    int length = snprintf(text, sizeof text, "GET %s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n", path);
    ssize_t got = -1;
    if (length > 0 && (size_t)length < sizeof text && connect(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
        send(fd, text, (size_t)length, MSG_NOSIGNAL) == length)
        got = recv(fd, text, STATUS_BYTES, MSG_WAITALL);
    (void)close(fd);
    return got == STATUS_BYTES && strncmp(text, "HTTP/1.", 7) == 0 &&
           (text[STATUS_AT] == '2' || text[STATUS_AT] == '3');
}

bool chaos__command_is_ready(struct chaos_service *service, const struct live_service *state)
{
    uint64_t waiting;
    uint16_t port = service->address.port;
    if (state->pid == 0)
        return false;
    switch (service->command.ready) {
    case CHAOS_READY_LINE:
        return output_has(state, service->command.ready_text);
    case CHAOS_READY_HTTP:
        return chaos__port_listens(port, &waiting) && http_answers(port, service->command.ready_text);
    case CHAOS_READY_PORT:
        break;
    }
    return chaos__port_listens(port, &waiting);
}

uint16_t chaos__live_port_draw(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool drawn = fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof address) == 0 &&
                 getsockname(fd, (struct sockaddr *)&address, &length) == 0;
    if (fd >= 0)
        (void)close(fd);
    return drawn ? ntohs(address.sin_port) : 0;
}

/* --- output --- */

void chaos__live_service_show(struct chaos_service *service)
{
    const struct live_service *state = service->driver_state;
    char text[OUTPUT_BYTES_MAX];
    struct stat status;
    if (state == NULL || state->output_fd <= 0 || fstat(state->output_fd, &status) != 0)
        return;
    off_t from = status.st_size > OUTPUT_BYTES_MAX ? status.st_size - OUTPUT_BYTES_MAX : 0;
    ssize_t count = pread(state->output_fd, text, sizeof text, from);
    (void)printf("output of %s:\n%.*s\n", service->name, count > 0 ? (int)count : 0, text);
    (void)fflush(stdout);
}
