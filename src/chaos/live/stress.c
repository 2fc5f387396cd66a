/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/chaos/stress.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <duress/time.h>

#define PERIOD_NS (10 * DURESS_MS)
enum { WRITE_BYTES = 1 << 20 };

/* What the workers tell of their work, in memory that all of them share. */
struct shared_figures {
    _Atomic uint64_t bytes_held;
    _Atomic uint64_t bytes_written;
    _Atomic uint64_t syncs;
    _Atomic uint64_t slowest_sync_ns;
};

static uint64_t now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * DURESS_S + (uint64_t)now.tv_nsec;
}

static void rest(uint64_t rest_ns)
{
    struct timespec left = {.tv_sec = (time_t)(rest_ns / DURESS_S), .tv_nsec = (long)(rest_ns % DURESS_S)};
    (void)nanosleep(&left, NULL);
}

/* --- workers: each returns where it cannot go on --- */

static void work_cpu(const struct chaos_stress *stress)
{
    uint64_t duty_ppm = stress->duty_ppm > 0 && stress->duty_ppm < 1000000 ? stress->duty_ppm : 1000000;
    uint64_t busy_ns = PERIOD_NS / 1000 * duty_ppm / 1000;
    for (;;) {
        uint64_t begun_ns = now_ns();
        while (now_ns() - begun_ns < busy_ns)
            ; /* that is what it is for */
        if (busy_ns < PERIOD_NS)
            rest(PERIOD_NS - busy_ns);
    }
}

static void work_memory(uint64_t bytes, struct shared_figures *shared)
{
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return;
    for (unsigned char value = 1;; value++) {
        memset(memory, value, bytes); /* again and again, so that it stays in memory */
        if (value == 1)
            (void)atomic_fetch_add(&shared->bytes_held, bytes);
        rest(10 * PERIOD_NS);
    }
}

static void sync_note(struct shared_figures *shared, uint64_t took_ns)
{
    uint64_t slowest_ns = atomic_load(&shared->slowest_sync_ns);
    while (took_ns > slowest_ns && !atomic_compare_exchange_weak(&shared->slowest_sync_ns, &slowest_ns, took_ns))
        ; /* another was quicker to say so */
    (void)atomic_fetch_add(&shared->syncs, 1);
}

static void work_disk(const char *folder, uint64_t bytes, struct shared_figures *shared)
{
    static char piece[WRITE_BYTES];
    int fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    memset(piece, 'd', sizeof piece);
    for (uint64_t at = 0;;) {
        size_t length = bytes - at < sizeof piece ? (size_t)(bytes - at) : sizeof piece;
        ssize_t written = pwrite(fd, piece, length, (off_t)at);
        if (written < 0 && errno != EINTR)
            return;
        at += written > 0 ? (uint64_t)written : 0;
        (void)atomic_fetch_add(&shared->bytes_written, written > 0 ? (uint64_t)written : 0);
        uint64_t begun_ns = now_ns();
        if (fsync(fd) != 0)
            return;
        sync_note(shared, now_ns() - begun_ns);
        at = at < bytes ? at : 0;
    }
}

static DURESS_NORETURN void worker(const struct chaos_stress *stress, uint32_t workers, struct shared_figures *shared,
                                   pid_t parent)
{
    uint64_t bytes = stress->bytes / workers;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1); /* The parent died before the line above took effect. */
    if (stress->kind == CHAOS_STRESS_CPU)
        work_cpu(stress);
    else if (stress->kind == CHAOS_STRESS_MEMORY)
        work_memory(bytes > 0 ? bytes : 1, shared);
    else
        work_disk(stress->folder != NULL ? stress->folder : ".", bytes > 0 ? bytes : 1, shared);
    _exit(1);
}

/* --- the whole --- */

static uint32_t workers_reap(pid_t *pids, uint32_t count)
{
    uint32_t ended = 0;
    for (uint32_t i = 0; i < count; i++)
        if (pids[i] > 0 && waitpid(pids[i], NULL, WNOHANG) == pids[i]) {
            pids[i] = 0;
            ended++;
        }
    return ended;
}

static void workers_end(const pid_t *pids, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        if (pids[i] > 0)
            (void)kill(pids[i], SIGKILL);
    for (uint32_t i = 0; i < count; i++)
        while (pids[i] > 0 && waitpid(pids[i], NULL, 0) < 0 && errno == EINTR)
            ; /* interrupted by a signal */
}

/* Waits for the end of the time, a signal, or the last worker. */
static int stress_wait(const struct chaos_stress *stress, const sigset_t *signals, pid_t *pids, uint32_t count,
                       uint32_t *failed)
{
    uint64_t end_ns = duress_time_add(now_ns(), stress->for_ns > 0 ? stress->for_ns : DURESS_TIME_NEVER);
    while (*failed < count) {
        uint64_t begun_ns = now_ns();
        if (begun_ns >= end_ns)
            return 0;
        uint64_t left_ns = end_ns - begun_ns < 3600 * DURESS_S ? end_ns - begun_ns : 3600 * DURESS_S;
        struct timespec left = {.tv_sec = (time_t)(left_ns / DURESS_S), .tv_nsec = (long)(left_ns % DURESS_S)};
        int number = sigtimedwait(signals, NULL, &left);
        if (number == SIGCHLD)
            *failed += workers_reap(pids, count);
        else if (number > 0)
            return number;
    }
    return 0;
}

static uint64_t children_cpu_ns(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_CHILDREN, &usage) != 0)
        return 0;
    return ((uint64_t)usage.ru_utime.tv_sec + (uint64_t)usage.ru_stime.tv_sec) * DURESS_S +
           ((uint64_t)usage.ru_utime.tv_usec + (uint64_t)usage.ru_stime.tv_usec) * 1000;
}

static void signals_block(sigset_t *signals, sigset_t *before)
{
    (void)sigemptyset(signals);
    (void)sigaddset(signals, SIGINT);
    (void)sigaddset(signals, SIGTERM);
    (void)sigaddset(signals, SIGHUP);
    (void)sigaddset(signals, SIGCHLD);
    (void)sigprocmask(SIG_BLOCK, signals, before);
}

int chaos_stress_run(const struct chaos_stress *stress, struct chaos_stress_figures *figures,
                     struct duress_failure *why)
{
    pid_t pids[CHAOS_STRESS_WORKERS_MAX] = {0};
    uint32_t count = stress->workers > 0 ? stress->workers : 1;
    sigset_t signals;
    sigset_t before;
    pid_t parent = getpid();
    uint64_t cpu_before_ns = children_cpu_ns();
    if (count > CHAOS_STRESS_WORKERS_MAX) {
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "workers: %u is not from 1 to %u", count,
                           (unsigned)CHAOS_STRESS_WORKERS_MAX);
        return DURESS_E_INVALID;
    }
    struct shared_figures *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        duress_failure_set(why, DURESS_E_NO_MEMORY, DURESS_ORIGIN_CALLER, NULL);
        return DURESS_E_NO_MEMORY;
    }
    signals_block(&signals, &before);
    *figures = (struct chaos_stress_figures){.failed = 0};
    for (uint32_t i = 0; i < count; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            worker(stress, count, shared, parent);
        figures->failed += pids[i] < 0;
    }
    figures->signal_number = stress_wait(stress, &signals, pids, count, &figures->failed);
    workers_end(pids, count);
    figures->cpu_ns = children_cpu_ns() - cpu_before_ns;
    figures->bytes_held = atomic_load(&shared->bytes_held);
    figures->bytes_written = atomic_load(&shared->bytes_written);
    figures->syncs = atomic_load(&shared->syncs);
    figures->slowest_sync_ns = atomic_load(&shared->slowest_sync_ns);
    (void)munmap(shared, sizeof *shared);
    (void)sigprocmask(SIG_SETMASK, &before, NULL);
    return DURESS_OK;
}
