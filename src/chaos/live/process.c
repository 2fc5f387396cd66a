/* SPDX-License-Identifier: Apache-2.0
 *
 * The process of a live service: what it takes of the machine, and how it ends. */
#include "launch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <duress/loop/socket.h>
#include <duress/world/live.h>
#include <duress/world/live_loop.h>

struct process {
    struct live_service_memory *memory;
    struct duress_world *world;
    struct chaos_service_host *host;
    int signals_fd;             /* SIGTERM */
    struct duress_socket watch; /* of |signals_fd| */
    bool is_done;
    bool is_complete;
    int journal_fd;       /* where temporary files lie, without a name; -1: on the disk of its own */
    enum chaos_disk disk; /* as it was made last */
};

static void process_die(void *context, enum chaos_crash how)
{
    (void)context;
    (void)raise(how == CHAOS_CRASH_SIGSEGV ? SIGSEGV : SIGKILL);
}

/* --- what a request needs of the machine --- */

/* Straight from the kernel, as malloc() takes large pieces: no allocator in between that ends the process itself. */
static bool process_leak(void *context, uint64_t bytes)
{
    (void)context;
    char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    memset(memory, 1, bytes);
    return true;
}

static uint64_t thread_time_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (uint64_t)now.tv_sec * DURESS_S + (uint64_t)now.tv_nsec;
}

static void process_compute(void *context, uint64_t work_ns)
{
    (void)context;
    uint64_t end_ns = thread_time_ns() + work_ns;
    while (thread_time_ns() < end_ns)
        ; /* it is the processor's time that is wanted */
}

static void process_hold(void *context, uint64_t hold_ns)
{
    (void)context;
    struct timespec left = {.tv_sec = (time_t)(hold_ns / DURESS_S), .tv_nsec = (long)(hold_ns % DURESS_S)};
    while (nanosleep(&left, &left) != 0 && errno == EINTR)
        ; /* as long as it is to be held up */
}

static uint64_t process_busy_ns(void *context)
{
    (void)context;
    return 0;
}

static const char DISK_JOURNAL[] = DISK_PATH "/journal";
static const char DISK_FILLER[] = DISK_PATH "/filler";

static void disk_fill(void)
{
    static const char page[4096] = {0};
    int fd = open(DISK_FILLER, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return;
    while (write(fd, page, sizeof page) > 0)
        ; /* until it is full */
    (void)close(fd);
}

/* The kernel itself refuses to sync from now on; there is no way back but a new process. */
static void disk_break(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_fsync, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof filter / sizeof filter[0], .filter = filter};
    (void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    (void)prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* What a new state needs to be done; where that fails, the evidence of it will be missing. */
static void disk_become(struct process *process, enum chaos_disk state)
{
    bool is_own = process->memory->shared.config.disk_bytes > 0;
    if (process->disk == CHAOS_DISK_READ_ONLY && is_own)
        (void)mount(NULL, DISK_PATH, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV, NULL);
    if (process->disk == CHAOS_DISK_FULL && is_own)
        (void)unlink(DISK_FILLER);
    process->disk = state;
    if (state == CHAOS_DISK_READ_ONLY && is_own)
        (void)mount(NULL, DISK_PATH, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_RDONLY, NULL);
    if (state == CHAOS_DISK_FULL && is_own)
        disk_fill();
    if (state == CHAOS_DISK_BROKEN)
        disk_break();
}

static int journal_append(int fd, uint64_t bytes)
{
    static const char page[4096] = {'j'};
    while (bytes > 0) {
        size_t piece = bytes < sizeof page ? (size_t)bytes : sizeof page;
        ssize_t written = write(fd, page, piece);
        if (written < 0 && errno != EINTR)
            return errno;
        bytes -= written > 0 ? (uint64_t)written : 0;
    }
    return fsync(fd) == 0 ? 0 : errno;
}

static enum chaos_scarcity scarcity_of(int number)
{
    switch (number) {
    case 0:
        return CHAOS_SCARCITY_COUNT;
    case ENOSPC:
        return CHAOS_NO_SPACE;
    case EROFS:
        return CHAOS_DISK_IS_READ_ONLY;
    case ENOMEM:
        return CHAOS_NO_MEMORY;
    default:
        return CHAOS_DISK_FAILED;
    }
}

static enum chaos_scarcity process_journal(void *context, uint64_t bytes)
{
    struct process *process = context;
    enum chaos_disk state = (enum chaos_disk)atomic_load(&process->memory->shared.orders.disk);
    if (state != process->disk)
        disk_become(process, state);
    if (process->journal_fd >= 0)
        return scarcity_of(journal_append(process->journal_fd, bytes));
    int fd = open(DISK_JOURNAL, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return scarcity_of(errno);
    int number = journal_append(fd, bytes);
    (void)close(fd);
    return scarcity_of(number);
}

static int disk_open(struct process *process)
{
    const struct chaos_service_config *config = &process->memory->shared.config;
    if (config->journal_bytes == 0)
        return DURESS_OK;
    if (config->disk_bytes > 0)
        return chaos__namespace_disk(config->disk_bytes);
    const char *folder = getenv("TMPDIR");
    process->journal_fd = open(folder != NULL ? folder : "/tmp", O_TMPFILE | O_WRONLY | O_APPEND | O_CLOEXEC, 0600);
    return process->journal_fd >= 0 ? DURESS_OK : DURESS_E_SYSTEM;
}

/* --- life --- */

static void process_drained(void *context, bool complete)
{
    struct process *process = context;
    process->is_complete = complete;
    process->is_done = true;
}

static void process_terminate(void *context, unsigned events)
{
    struct process *process = context;
    (void)events;
    duress__socket_unwatch(&process->watch);
    chaos__service_host_drain(process->host, process_drained, process);
}

static bool process_is_done(void *context)
{
    return ((struct process *)context)->is_done;
}

/* It dies of a signal where it is told to, whatever a sanitizer may have put in between, and leaves no core behind. */
static int signals_open(struct process *process)
{
    sigset_t stop;
    const struct rlimit none = {0, 0};
    (void)signal(SIGSEGV, SIG_DFL);
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)sigemptyset(&stop);
    (void)sigaddset(&stop, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &stop, NULL);
    process->signals_fd = signalfd(-1, &stop, SFD_CLOEXEC | SFD_NONBLOCK);
    if (process->signals_fd < 0)
        return DURESS_E_SYSTEM;
    int error = duress__socket_watch(duress__world_live_loop(process->world), &process->watch, process->signals_fd,
                                     process_terminate, process);
    if (error == DURESS_OK)
        duress__socket_want(&process->watch, DURESS_SOCKET_READABLE);
    return error;
}

static int process_open(struct process *process)
{
    struct duress_failure why = {0};
    const struct chaos_outside outside = {
        .leak = process_leak,
        .compute = process_compute,
        .hold = process_hold,
        .busy_ns = process_busy_ns,
        .journal = process_journal,
        .die = process_die,
        .context = process,
    };
    struct duress_address address = duress_address_loopback(process->memory->port);
    int error = disk_open(process);
    if (error == DURESS_OK)
        error = duress_world_live_new(NULL, &process->world, NULL);
    if (error == DURESS_OK)
        error = signals_open(process);
    if (error == DURESS_OK)
        error = chaos__service_host_open(process->world, &process->memory->shared, &outside, &address, &process->host,
                                         &why);
    if (error != DURESS_OK)
        (void)fprintf(stderr, "service: cannot listen: %s %s\n", duress_strerror(error), why.detail);
    return error;
}

int chaos__process_main(void)
{
    struct live_service_memory *memory =
        mmap(NULL, sizeof *memory, PROT_READ | PROT_WRITE, MAP_SHARED, MEMORY_FD_IN_CHILD, 0);
    if (memory == MAP_FAILED) {
        (void)fprintf(stderr, "%s: this command is for the test runner's own use\n", CHAOS_LAUNCH_COMMAND);
        return 2;
    }
    struct process process = {.memory = memory, .signals_fd = -1, .journal_fd = -1};
    int error = process_open(&process);
    if (error != DURESS_OK) {
        atomic_store(&memory->error, error);
        atomic_store(&memory->state, LIVE_SERVICE_FAILED);
        duress_world_free(process.world);
        return 1;
    }
    struct duress_address address = duress_server_address(chaos__service_host_server(process.host));
    atomic_store(&memory->listening_port, address.port);
    atomic_store(&memory->state, LIVE_SERVICE_READY);
    (void)duress_world_run_until(process.world, process_is_done, &process, DURESS_TIME_NEVER);
    chaos__service_host_close(process.host);
    duress__socket_unwatch(&process.watch);
    (void)close(process.signals_fd);
    duress_world_free(process.world);
    return process.is_complete ? 0 : CHAOS_EXIT_INCOMPLETE;
}
