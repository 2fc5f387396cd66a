/* SPDX-License-Identifier: Apache-2.0
 *
 * The pool: each test in a process of its own, several at once, each watched: one that crashes or hangs is a failure of
 * that test alone. Nothing outlives the runner: children die with it, and it reaps all of them on success, failure and
 * signals alike. */
#include "../runner/runner.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "launch.h"

#define WAKE_NS (200 * DURESS_MS)
enum { OUTPUT_BYTES_MAX = 64 * 1024 };

struct pool_job {
    struct runner_entry *entry; /* NULL: free */
    pid_t pid;
    int output_fd;
    uint64_t started_ns;
    uint64_t limit_ns;
    bool killed;
};

struct pool {
    struct runner *runner;
    struct pool_job *jobs;
    size_t job_count;
    size_t running;
    size_t next;
    size_t done;
    pid_t parent;
    sigset_t signals;
    sigset_t signals_before;
    bool stopping;
};

uint64_t chaos__pool_cpu_count(void)
{
    long count = sysconf(_SC_NPROCESSORS_ONLN);
    return count > 0 ? (uint64_t)count : 1;
}

static uint64_t pool_now_ns(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * DURESS_S + (uint64_t)now.tv_nsec;
}

static size_t shared_bytes(const struct runner_entry *entry)
{
    return sizeof(struct runner_shared) + entry->seed_count * sizeof(struct runner_record);
}

/* --- in the child --- */

static void seed_run(const struct runner_entry *entry, uint64_t index)
{
    struct runner_shared *shared = entry->shared;
    uint64_t started_ns = pool_now_ns();
    chaos__run(entry->test, entry->driver, entry->seed_first + index, &shared->outcome);
    shared->records[index] = (struct runner_record){
        .verdict = shared->outcome.verdict,
        .seed = shared->outcome.seed,
        .wall_ns = pool_now_ns() - started_ns,
        .virtual_ns = shared->outcome.virtual_ns,
        .trace_hash = shared->outcome.trace_hash,
    };
    atomic_store(&shared->runs_done, index + 1);
}

static DURESS_NORETURN void child_main(const struct pool *pool, const struct runner_entry *entry, int output_fd)
{
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != pool->parent)
        _exit(1);
    (void)sigprocmask(SIG_SETMASK, &pool->signals_before, NULL);
    (void)dup2(output_fd, STDOUT_FILENO);
    (void)dup2(output_fd, STDERR_FILENO);
    (void)close(output_fd);
    /* Where it is not allowed, the kernel picks free ports. A daemon would be out of reach. */
    if (entry->driver->is_live && entry->driver->proxy_url == NULL)
        (void)chaos__namespace_network();
    for (uint64_t i = 0; i < entry->seed_count; i++) {
        seed_run(entry, i);
        if (entry->shared->records[i].verdict != CHAOS_PASSED)
            break;
    }
    exit(0); /* not _exit(): leak checkers and coverage write at exit */
}

/* --- in the runner --- */

static int job_start(struct pool *pool, struct pool_job *job, struct runner_entry *entry)
{
    int output_fd = memfd_create("duress-output", MFD_CLOEXEC);
    if (output_fd < 0)
        return DURESS_E_NO_DESCRIPTORS;
    void *memory = mmap(NULL, shared_bytes(entry), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) {
        (void)close(output_fd);
        return DURESS_E_NO_MEMORY;
    }
    entry->shared = memory;
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        child_main(pool, entry, output_fd);
    if (pid < 0) {
        (void)close(output_fd);
        return DURESS_E_NO_MEMORY;
    }
    *job = (struct pool_job){
        .entry = entry,
        .pid = pid,
        .output_fd = output_fd,
        .started_ns = pool_now_ns(),
        .limit_ns = entry->driver->is_live ? pool->runner->options.limit_live_ns : pool->runner->options.limit_ns,
    };
    pool->running++;
    return DURESS_OK;
}

static char *output_read(int fd)
{
    struct stat status;
    if (fstat(fd, &status) != 0 || status.st_size == 0)
        return NULL;
    size_t size = status.st_size > OUTPUT_BYTES_MAX ? OUTPUT_BYTES_MAX : (size_t)status.st_size;
    char *text = malloc(size + 1);
    if (text == NULL)
        return NULL;
    ssize_t count = pread(fd, text, size, 0);
    text[count > 0 ? count : 0] = '\0';
    return text;
}

static enum runner_result entry_result(const struct runner_entry *entry, bool killed, int status)
{
    if (killed)
        return RUNNER_HUNG;
    uint64_t done = atomic_load(&entry->shared->runs_done);
    enum chaos_verdict last = done > 0 ? entry->shared->records[done - 1].verdict : CHAOS_PASSED;
    if (last == CHAOS_FAILED)
        return RUNNER_FAILED;
    if (last == CHAOS_NOT_PROVEN)
        return RUNNER_NOT_PROVEN;
    if (last == CHAOS_SKIPPED)
        return RUNNER_SKIPPED;
    bool whole = WIFEXITED(status) && WEXITSTATUS(status) == 0 && done == entry->seed_count;
    return whole ? RUNNER_PASSED : RUNNER_CRASHED;
}

static void job_end(struct pool *pool, struct pool_job *job, int status)
{
    struct runner_entry *entry = job->entry;
    entry->wall_ns = pool_now_ns() - job->started_ns;
    entry->status = status;
    entry->result = pool->runner->interrupted ? RUNNER_NOT_RUN : entry_result(entry, job->killed, status);
    if (chaos__runner_is_failure(entry->result)) {
        entry->output = output_read(job->output_fd);
        pool->stopping = pool->stopping || pool->runner->options.stop_at_first;
    }
    (void)close(job->output_fd);
    job->entry = NULL;
    pool->running--;
    pool->done++;
    chaos__progress(pool->runner, entry, pool->done);
}

static void pool_reap(struct pool *pool)
{
    for (size_t i = 0; i < pool->job_count; i++) {
        struct pool_job *job = &pool->jobs[i];
        int status = 0;
        if (job->entry != NULL && waitpid(job->pid, &status, WNOHANG) == job->pid)
            job_end(pool, job, status);
    }
}

static void pool_kill(struct pool *pool, bool all)
{
    uint64_t now_ns = pool_now_ns();
    for (size_t i = 0; i < pool->job_count; i++) {
        struct pool_job *job = &pool->jobs[i];
        if (job->entry == NULL || job->killed)
            continue;
        if (!all && now_ns - job->started_ns < job->limit_ns)
            continue;
        job->killed = true;
        (void)kill(job->pid, SIGKILL);
    }
}

static struct pool_job *job_free_find(struct pool *pool)
{
    for (size_t i = 0; i < pool->job_count; i++)
        if (pool->jobs[i].entry == NULL)
            return &pool->jobs[i];
    return NULL;
}

/* Live tests begin once the simulated ones are through, which would otherwise take their cores. */
static bool may_start(const struct pool *pool, const struct runner_entry *entry)
{
    const struct runner_options *options = &pool->runner->options;
    if (!entry->driver->is_live)
        return pool->running < options->jobs;
    bool first_live = pool->next > 0 && !pool->runner->entries[pool->next - 1].driver->is_live;
    return first_live ? pool->running == 0 : pool->running < options->jobs_live;
}

static int pool_fill(struct pool *pool)
{
    struct runner *runner = pool->runner;
    while (!pool->stopping && pool->next < runner->entry_count && may_start(pool, &runner->entries[pool->next])) {
        struct pool_job *job = job_free_find(pool);
        if (job == NULL)
            return DURESS_OK;
        int error = job_start(pool, job, &runner->entries[pool->next]);
        if (error != DURESS_OK)
            return error;
        pool->next++;
    }
    return DURESS_OK;
}

static void pool_wait(struct pool *pool)
{
    const struct timespec wake = {.tv_nsec = (long)WAKE_NS};
    int number = sigtimedwait(&pool->signals, NULL, &wake);
    if (number == SIGINT || number == SIGTERM || number == SIGHUP) {
        pool->runner->interrupted = true;
        pool->stopping = true;
        pool_kill(pool, true);
    }
    pool_kill(pool, false);
    pool_reap(pool);
    chaos__progress(pool->runner, NULL, pool->done);
}

static int pool_loop(struct pool *pool)
{
    for (;;) {
        int error = pool_fill(pool);
        if (error != DURESS_OK) {
            pool->stopping = true;
            pool_kill(pool, true);
            while (pool->running > 0)
                pool_wait(pool);
            return error;
        }
        if (pool->running == 0)
            return DURESS_OK;
        pool_wait(pool);
    }
}

int chaos__pool_run(struct runner *runner)
{
    struct pool pool = {.runner = runner, .parent = getpid()};
    const struct runner_options *options = &runner->options;
    pool.job_count = options->jobs > options->jobs_live ? options->jobs : options->jobs_live;
    pool.jobs = duress_allocate_zeroed(NULL, pool.job_count, sizeof *pool.jobs);
    if (pool.jobs == NULL)
        return DURESS_E_NO_MEMORY;
    (void)sigemptyset(&pool.signals);
    (void)sigaddset(&pool.signals, SIGCHLD);
    (void)sigaddset(&pool.signals, SIGINT);
    (void)sigaddset(&pool.signals, SIGTERM);
    (void)sigaddset(&pool.signals, SIGHUP);
    (void)sigprocmask(SIG_BLOCK, &pool.signals, &pool.signals_before);
    uint64_t started_ns = pool_now_ns();
    int error = pool_loop(&pool);
    runner->wall_ns = pool_now_ns() - started_ns;
    (void)sigprocmask(SIG_SETMASK, &pool.signals_before, NULL);
    duress_release(NULL, pool.jobs);
    return error;
}
