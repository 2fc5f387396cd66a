/* SPDX-License-Identifier: Apache-2.0 */
#include "contender.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

static const char *const names[CONTENDER_COUNT] = {
    [DIRECT] = "direct",      [FLOOR_SPLICE] = "splice loop",     [FLOOR_COPY] = "copy loop",
    [DURESS] = "duress",      [DURESS_TWO] = "duress, 2 workers", [HAPROXY] = "HAProxy",
    [TOXIPROXY] = "Toxiproxy"};

/* --- small things --- */

static const char *stream_name(struct contender_toxic toxic)
{
    return toxic.is_upstream ? "upstream" : "downstream";
}

static uint16_t port_free(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t length = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &length) != 0)
        bench_fail("no free port");
    (void)close(fd);
    return ntohs(address.sin_port);
}

static bool port_answers(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool answers = connect(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    (void)close(fd);
    return answers;
}

static void port_await(uint16_t port, const char *what)
{
    struct timespec pause = {.tv_nsec = 2000000};
    for (int tries = 0; tries < 2500; tries++) {
        if (port_answers(port))
            return;
        (void)nanosleep(&pause, NULL);
    }
    bench_fail("%s does not listen", what);
}

/* Told once for each that is missing. */
static void skipped(enum contender_kind kind, const char *program)
{
    static bool told[CONTENDER_COUNT];
    if (!told[kind])
        (void)fprintf(stderr, "# %s is skipped: no %s here\n", names[kind], program);
    told[kind] = true;
}

static bool program_find(const char *program, const char *variable, char *path, size_t path_bytes)
{
    const char *given = getenv(variable);
    const char *places[] = {given, "/usr/sbin", "/usr/bin", "/usr/local/bin"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        if (places[i] == NULL)
            continue;
        (void)snprintf(path, path_bytes, i == 0 ? "%s" : "%s/%s", places[i], program);
        if (access(path, X_OK) == 0)
            return true;
    }
    return false;
}

/* --- processes --- */

static void process_start(struct contender *contender, char *const argv[])
{
    int input[2];
    int output[2];
    if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0)
        bench_fail("no pipe");
    contender->pid = fork();
    if (contender->pid < 0)
        bench_fail("no process");
    if (contender->pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(input[0], STDIN_FILENO);
        (void)dup2(output[1], STDOUT_FILENO);
        (void)execv(argv[0], argv);
        _exit(127);
    }
    (void)close(input[0]);
    (void)close(output[1]);
    contender->input = input[1];
    contender->output = fdopen(output[0], "r");
}

static void ready_await(struct contender *contender)
{
    char line[16];
    if (fgets(line, sizeof line, contender->output) == NULL || strcmp(line, "ready\n") != 0)
        bench_fail("%s did not begin", contender->name);
}

static void ours_start(struct contender *contender, const char *folder, const char *program, const char *first,
                       uint16_t upstream, struct contender_toxic toxic)
{
    char path[512];
    char listen[8];
    char target[8];
    char latency[16];
    char buffer[16];
    char role[16];
    char stream[16];
    (void)snprintf(path, sizeof path, "%s/%s", folder, program);
    (void)snprintf(role, sizeof role, "%s", first);
    (void)snprintf(listen, sizeof listen, "%u", (unsigned)contender->port);
    (void)snprintf(target, sizeof target, "%u", (unsigned)upstream);
    (void)snprintf(latency, sizeof latency, "%u", toxic.latency_ms);
    (void)snprintf(buffer, sizeof buffer, "%u", toxic.buffer_mib);
    (void)snprintf(stream, sizeof stream, "%s", stream_name(toxic));
    char *argv[] = {path, role, listen, target, toxic.latency_ms > 0 ? latency : NULL, buffer, stream, NULL};
    process_start(contender, argv);
    ready_await(contender);
}

static bool haproxy_start(struct contender *contender, uint16_t upstream)
{
    char path[512];
    if (!program_find("haproxy", "HAPROXY", path, sizeof path)) {
        skipped(HAPROXY, "haproxy");
        return false;
    }
    (void)snprintf(contender->config, sizeof contender->config, "/tmp/duress-bench-%d.cfg", (int)getpid());
    FILE *file = fopen(contender->config, "w");
    if (file == NULL)
        bench_fail("no file for HAProxy");
    (void)fprintf(file,
                  "global\n  nbthread 1\n  maxconn 6000\ndefaults\n  mode tcp\n  timeout connect 5s\n"
                  "  timeout client 600s\n  timeout server 600s\n  maxconn 6000\n  option splice-request\n"
                  "  option splice-response\nlisten bench\n  bind 127.0.0.1:%u\n  server s 127.0.0.1:%u\n",
                  (unsigned)contender->port, (unsigned)upstream);
    (void)fclose(file);
    char quiet[] = "-q";
    char run[] = "-db";
    char config[] = "-f";
    char *argv[] = {path, quiet, run, config, contender->config, NULL};
    process_start(contender, argv);
    port_await(contender->port, "HAProxy");
    return true;
}

/* One request to its API; the answer is not of interest. */
static void toxic_post(uint16_t api, struct contender_toxic toxic)
{
    char body[128];
    char request[512];
    char answer[1024];
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(api)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int length = snprintf(body, sizeof body, "{\"type\":\"latency\",\"stream\":\"%s\",\"attributes\":{\"latency\":%u}}",
                          stream_name(toxic), toxic.latency_ms);
    (void)snprintf(request, sizeof request,
                   "POST /proxies/bench/toxics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
                   "Content-Length: %d\r\n\r\n%s",
                   length, body);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) != 0 ||
        write(fd, request, strlen(request)) < 0 || read(fd, answer, sizeof answer - 1) < 12 ||
        memcmp(answer, "HTTP/1.1 200", 12) != 0)
        bench_fail("Toxiproxy took no toxic");
    (void)close(fd);
}

static bool toxiproxy_start(struct contender *contender, uint16_t upstream, struct contender_toxic toxic)
{
    char path[512];
    char api[8];
    uint16_t api_port = port_free();
    if (!program_find("toxiproxy-server", "TOXIPROXY_SERVER", path, sizeof path)) {
        skipped(TOXIPROXY, "toxiproxy-server");
        return false;
    }
    (void)snprintf(contender->config, sizeof contender->config, "/tmp/duress-bench-%d.json", (int)getpid());
    FILE *file = fopen(contender->config, "w");
    if (file == NULL)
        bench_fail("no file for Toxiproxy");
    (void)fprintf(file, "[{\"name\":\"bench\",\"listen\":\"127.0.0.1:%u\",\"upstream\":\"127.0.0.1:%u\"}]",
                  (unsigned)contender->port, (unsigned)upstream);
    (void)fclose(file);
    (void)snprintf(api, sizeof api, "%u", (unsigned)api_port);
    (void)setenv("LOG_LEVEL", "fatal", 1);
    char port[] = "-port";
    char config[] = "-config";
    char *argv[] = {path, port, api, config, contender->config, NULL};
    process_start(contender, argv);
    port_await(contender->port, "Toxiproxy");
    if (toxic.latency_ms > 0)
        toxic_post(api_port, toxic);
    return true;
}

bool contender_start(struct contender *contender, enum contender_kind kind, const char *folder, uint16_t upstream,
                     struct contender_toxic toxic)
{
    *contender = (struct contender){.name = names[kind], .kind = kind, .input = -1, .port = port_free()};
    switch (kind) {
    case DIRECT:
        contender->port = upstream;
        return toxic.latency_ms == 0;
    case FLOOR_SPLICE:
    case FLOOR_COPY:
        if (toxic.latency_ms == 0)
            ours_start(contender, folder, "floor", kind == FLOOR_COPY ? "copy" : "splice", upstream, toxic);
        return toxic.latency_ms == 0;
    case DURESS:
    case DURESS_TWO:
        ours_start(contender, folder, "serve", kind == DURESS ? "1" : "2", upstream, toxic);
        return true;
    case HAPROXY:
        return toxic.latency_ms == 0 && haproxy_start(contender, upstream);
    case TOXIPROXY:
        return toxiproxy_start(contender, upstream, toxic);
    case CONTENDER_COUNT:
        break;
    }
    return false;
}

void contender_stop(struct contender *contender)
{
    if (contender->pid <= 0)
        return;
    (void)close(contender->input);
    bool is_ours = contender->kind <= DURESS_TWO;
    if (!is_ours)
        (void)kill(contender->pid, SIGKILL);
    else if (fgets(contender->counts, sizeof contender->counts, contender->output) == NULL)
        contender->counts[0] = '\0';
    (void)fclose(contender->output);
    (void)waitpid(contender->pid, NULL, 0);
    if (contender->config[0] != '\0')
        (void)unlink(contender->config);
    contender->pid = 0;
}

/* --- what the kernel says of it --- */

uint64_t contender_cpu_ns(const struct contender *contender)
{
    char path[320];
    uint64_t all = 0;
    if (contender->pid <= 0)
        return 0;
    (void)snprintf(path, sizeof path, "/proc/%d/task", (int)contender->pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 0;
    for (struct dirent *task = readdir(folder); task != NULL; task = readdir(folder)) {
        uint64_t ran_ns = 0;
        if (task->d_name[0] == '.')
            continue; /* the second one is the process, whose figure is its first thread's */
        (void)snprintf(path, sizeof path, "/proc/%d/task/%s/schedstat", (int)contender->pid, task->d_name);
        FILE *file = fopen(path, "r");
        if (file == NULL)
            continue;
        if (fscanf(file, "%" SCNu64, &ran_ns) == 1)
            all += ran_ns;
        (void)fclose(file);
    }
    (void)closedir(folder);
    return all;
}

uint64_t contender_memory_bytes(const struct contender *contender)
{
    char path[64];
    char line[256];
    uint64_t kib = 0;
    (void)snprintf(path, sizeof path, "/proc/%d/status", (int)contender->pid);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        return 0;
    while (fgets(line, sizeof line, file) != NULL) {
        if (sscanf(line, "RssAnon: %" SCNu64, &kib) == 1)
            break;
    }
    (void)fclose(file);
    return kib * 1024;
}
