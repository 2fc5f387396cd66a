/* SPDX-License-Identifier: Apache-2.0
 *
 * Scarcity of live services: cgroups and limits that the kernel enforces, and processes that burn a processor. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "service.h"

static int refuse(struct duress_failure *why, const char *what)
{
    enum duress_error code = errno == EPERM || errno == EACCES ? DURESS_E_PERMISSION : DURESS_E_SYSTEM;
    duress_failure_set(why, code, DURESS_ORIGIN_NONE, "%s: errno %d; run as the user that the service runs as", what,
                       errno);
    return (int)code;
}

/* --- memory --- */

/* Reads the first line of /proc/|pid|/|name|. */
static bool proc_read(pid_t pid, const char *name, char *line, size_t capacity)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%ld/%s", (long)pid, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool read = fgets(line, (int)capacity, file) != NULL;
    (void)fclose(file);
    return read;
}

/* All that the process has mapped, as RLIMIT_AS counts it; 0 where it is not known. */
static uint64_t mapped_bytes(pid_t pid)
{
    char line[128];
    if (!proc_read(pid, "statm", line, sizeof line))
        return 0;
    return strtoull(line, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static int memory_fail(const struct live_service *state, uint64_t bytes, struct duress_failure *why)
{
    struct rlimit limit;
    if (prlimit(state->pid, RLIMIT_AS, NULL, &limit) != 0)
        return refuse(why, "cannot read RLIMIT_AS");
    limit.rlim_cur = mapped_bytes(state->pid) + bytes;
    return prlimit(state->pid, RLIMIT_AS, &limit, NULL) == 0 ? DURESS_OK : refuse(why, "cannot set RLIMIT_AS");
}

static int memory_kill(struct chaos_service *service, struct live_service *state, uint64_t bytes,
                       struct duress_failure *why)
{
    struct watcher *watcher = chaos__live_watcher(service->chaos);
    chaos__cgroup_close(&state->cgroup);
    int error = chaos__watcher_open(watcher);
    if (error == DURESS_OK)
        error = chaos__cgroup_open(&state->cgroup, why);
    if (error == DURESS_OK)
        error = chaos__watcher_add(watcher, state->cgroup.path);
    if (error == DURESS_OK)
        error = chaos__cgroup_limit(&state->cgroup, bytes, why);
    if (error == DURESS_OK)
        error = chaos__cgroup_enter(&state->cgroup, state->pid, why);
    return error;
}

int chaos__live_service_memory(struct chaos_service *service, enum chaos_memory how, uint64_t bytes,
                               struct duress_failure *why)
{
    struct live_service *state = service->driver_state;
    return how == CHAOS_MEMORY_KILL ? memory_kill(service, state, bytes, why) : memory_fail(state, bytes, why);
}

/* --- processor --- */

static void burners_end(struct live_service *state)
{
    while (state->burner_count > 0) {
        pid_t pid = state->burners[--state->burner_count];
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ; /* interrupted by a signal */
    }
}

/* The first processor that the process may use: it and the burners are to have this one alone. */
static int processor_pin(pid_t pid)
{
    cpu_set_t allowed;
    cpu_set_t one;
    if (sched_getaffinity(pid, sizeof allowed, &allowed) != 0)
        return -1;
    size_t processor = 0;
    while (processor + 1 < CPU_SETSIZE && !CPU_ISSET(processor, &allowed))
        processor++;
    CPU_ZERO(&one);
    CPU_SET(processor, &one);
    return sched_setaffinity(pid, sizeof one, &one) == 0 ? (int)processor : -1;
}

int chaos__live_service_cpu(struct chaos_service *service, uint32_t burners, uint32_t duty_ppm,
                            struct duress_failure *why)
{
    struct live_service *state = service->driver_state;
    char processor_text[16];
    char duty_text[16];
    const char *arguments[] = {"burn", processor_text, duty_text, NULL};
    burners_end(state);
    if (burners == 0 || state->pid == 0)
        return DURESS_OK;
    int processor = processor_pin(state->pid);
    if (processor < 0)
        return refuse(why, "cannot pin the service to a processor");
    (void)snprintf(processor_text, sizeof processor_text, "%d", processor);
    (void)snprintf(duty_text, sizeof duty_text, "%" PRIu32, duty_ppm);
    for (uint32_t i = 0; i < burners && i < BURNERS_MAX; i++) {
        int error = chaos__launch(arguments, -1, &state->burners[i]);
        if (error != DURESS_OK) {
            duress_failure_set(why, (enum duress_error)error, DURESS_ORIGIN_NONE, "cannot start a burner");
            return error;
        }
        state->burner_count++;
    }
    return DURESS_OK;
}

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * DURESS_S + (uint64_t)now.tv_nsec;
}

#define BURN_PERIOD_NS (10 * DURESS_MS)

/* Busy for |duty_ppm_text| of each period, until it is killed, as it is when its parent dies. */
int chaos__burner_main(const char *cpu_text, const char *duty_ppm_text)
{
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET((size_t)strtoul(cpu_text, NULL, 10) % CPU_SETSIZE, &one);
    (void)sched_setaffinity(0, sizeof one, &one);
    uint64_t busy_ns = BURN_PERIOD_NS / 1000 * strtoull(duty_ppm_text, NULL, 10) / 1000;
    for (;;) {
        uint64_t begun_ns = now_ns();
        while (now_ns() - begun_ns < busy_ns)
            ; /* that is what it is for */
        if (busy_ns >= BURN_PERIOD_NS)
            continue;
        struct timespec rest = {.tv_nsec = (long)(BURN_PERIOD_NS - busy_ns)};
        (void)nanosleep(&rest, NULL);
    }
}

struct chaos_cpu_time chaos__live_service_cpu_time(struct chaos_service *service)
{
    struct live_service *state = service->driver_state;
    char line[128];
    char *rest = line;
    if (state->pid == 0 || !proc_read(state->pid, "schedstat", line, sizeof line))
        return state->cpu_time;
    state->cpu_time.run_ns = strtoull(rest, &rest, 10);
    state->cpu_time.wait_ns = strtoull(rest, &rest, 10);
    return state->cpu_time;
}

/* --- descriptors --- */

/* The highest descriptor that the process has open: RLIMIT_NOFILE counts by number. */
static rlim_t descriptor_highest(pid_t pid)
{
    char path[64];
    rlim_t highest = 0;
    (void)snprintf(path, sizeof path, "/proc/%ld/fd", (long)pid);
    DIR *folder = opendir(path);
    if (folder == NULL)
        return 0;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        rlim_t number = isdigit((unsigned char)entry->d_name[0]) ? strtoul(entry->d_name, NULL, 10) : 0;
        highest = number > highest ? number : highest;
    }
    (void)closedir(folder);
    return highest;
}

int chaos__live_service_descriptors(struct chaos_service *service, uint32_t more, struct duress_failure *why)
{
    const struct live_service *state = service->driver_state;
    struct rlimit limit;
    if (prlimit(state->pid, RLIMIT_NOFILE, NULL, &limit) != 0)
        return refuse(why, "cannot read RLIMIT_NOFILE");
    rlim_t wanted = more == UINT32_MAX ? limit.rlim_max : descriptor_highest(state->pid) + 1 + more;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    return prlimit(state->pid, RLIMIT_NOFILE, &limit, NULL) == 0 ? DURESS_OK : refuse(why, "cannot set RLIMIT_NOFILE");
}

/* A line of the kernel's table of sockets: number, local and remote address with port, state, and two queues, of which
 * the second, where it listens, holds what waits to be accepted. All in hexadecimal. */
static bool line_listens(char *line, uint16_t port, uint64_t *waiting)
{
    enum { STATE_LISTEN = 0x0a };
    char *rest = line;
    const char *fields[5] = {0};
    for (size_t i = 0; i < 5; i++) {
        rest += strspn(rest, " ");
        fields[i] = strsep(&rest, " ");
        if (rest == NULL)
            return false;
    }
    const char *local = strchr(fields[1], ':');
    const char *queues = strchr(fields[4], ':');
    if (local == NULL || queues == NULL || strtoul(local + 1, NULL, 16) != port ||
        strtoul(fields[3], NULL, 16) != STATE_LISTEN)
        return false;
    *waiting += strtoul(queues + 1, NULL, 16);
    return true;
}

bool chaos__port_listens(uint16_t port, uint64_t *waiting)
{
    static const char *const tables[] = {"/proc/self/net/tcp", "/proc/self/net/tcp6"};
    char line[512];
    bool listens = false;
    *waiting = 0;
    for (size_t i = 0; i < 2; i++) {
        FILE *file = fopen(tables[i], "re");
        if (file == NULL)
            continue;
        while (fgets(line, sizeof line, file) != NULL)
            listens = line_listens(line, port, waiting) || listens;
        (void)fclose(file);
    }
    return listens;
}

uint64_t chaos__live_service_queued(struct chaos_service *service)
{
    uint64_t waiting;
    (void)chaos__port_listens(service->address.port, &waiting);
    return waiting;
}

void chaos__live_scarcity_end(struct live_service *state)
{
    burners_end(state);
    chaos__cgroup_close(&state->cgroup);
}
