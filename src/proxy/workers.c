/* SPDX-License-Identifier: Apache-2.0
 *
 * The threads of the workers. */
#include <duress/proxy/workers.h>

#include <inttypes.h>
#include <malloc.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include <duress/proxy/descriptors_private.h>
#include <duress/time.h>

#include "worker.h"

/* When so many connections have gone, it is worth asking the allocator for what it keeps. */
#define TRIM_CONNECTIONS 1000
#define TRIM_AFTER_NS DURESS_S

/* --- memory --- */

/* What the C library keeps of freed memory goes back to the system; nobody is waiting for this thread now. */
static void trim_fired(void *context)
{
    struct worker *worker = context;
    worker->connection_peak = worker->connection_count;
#ifdef __GLIBC__
    (void)malloc_trim(0);
#endif
}

void duress__worker_counts(struct worker *worker, int change)
{
    worker->connection_count = (size_t)((int64_t)worker->connection_count + change);
    if (worker->connection_count > worker->connection_peak)
        worker->connection_peak = worker->connection_count;
    if (worker->connection_peak < worker->connection_count + TRIM_CONNECTIONS || duress_timer_is_armed(&worker->trim))
        return;
    duress__loop_arm(worker->loop, &worker->trim, duress_time_add(duress__loop_now_ns(worker->loop), TRIM_AFTER_NS));
}

/* --- threads --- */

static void worker_end(void *context)
{
    struct worker *worker = context;
    worker->is_ending = true;
}

static bool worker_is_ending(void *context)
{
    const struct worker *worker = context;
    return worker->is_ending;
}

static void *worker_run(void *context)
{
    struct worker *worker = context;
    int error = duress__loop_run_direct(worker->loop, worker_is_ending, worker);
    DURESS_ASSERT(error == DURESS_OK);
    return NULL;
}

/* Signals are for the threads of the program, and SIGPIPE, which splice(2) would raise, for nobody. */
static int thread_begin(struct worker *worker)
{
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);
    int number = pthread_create(&worker->thread, NULL, worker_run, worker);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return number == 0 ? DURESS_OK : DURESS_E_NO_MEMORY;
}

static void thread_end(struct worker *worker)
{
    duress__loop_post(worker->loop, &worker->end);
    (void)pthread_join(worker->thread, NULL);
}

static int worker_begin(struct worker *worker, struct duress_workers *workers, uint32_t index)
{
    worker->workers = workers;
    worker->index = index;
    worker->end = (struct duress_post){.fn = worker_end, .context = worker};
    duress_timer_init(&worker->trim, trim_fired, worker);
    duress__splice_pool_init(&worker->pipes, workers->allocator);
    int error = duress__loop_new(workers->allocator, NULL, &worker->loop);
    if (error != DURESS_OK)
        return error;
    error = thread_begin(worker);
    if (error == DURESS_OK)
        return DURESS_OK;
    duress__loop_free(worker->loop);
    return error;
}

/* --- limits --- */

/* What is left to connections and listeners: the limit without what is open now, the reserve, and the pipes. */
static void limits_set(struct duress_workers *workers, const struct duress_workers_options *options)
{
    struct rlimit limit;
    uint64_t reserve = options->descriptor_reserve > 0 ? options->descriptor_reserve : DURESS_WORKERS_RESERVE_DEFAULT;
    uint64_t taken = duress__descriptors_open() + reserve + (uint64_t)workers->count * SPLICE_PIPES_MAX * 2;
    uint64_t all = getrlimit(RLIMIT_NOFILE, &limit) == 0 ? (uint64_t)limit.rlim_cur : UINT64_MAX;
    workers->descriptors_max = all > taken ? all - taken : 0;
    workers->connections_max = options->connections_max > 0 ? options->connections_max : UINT64_MAX;
}

/* --- life --- */

static int options_check(const struct duress_workers_options *options, struct duress_failure *why)
{
    if (options->worker_count <= DURESS_WORKERS_COUNT_MAX)
        return DURESS_OK;
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER,
                           "worker_count: %" PRIu32 " given, 0 to %d allowed", options->worker_count,
                           DURESS_WORKERS_COUNT_MAX);
    return DURESS_E_INVALID;
}

/* Those that this process may use. */
static uint32_t cores_count(void)
{
    cpu_set_t cores;
    if (sched_getaffinity(0, sizeof cores, &cores) != 0)
        return 1;
    uint32_t count = (uint32_t)CPU_COUNT(&cores);
    return count < DURESS_WORKERS_COUNT_MAX ? count : DURESS_WORKERS_COUNT_MAX;
}

static void workers_release(struct duress_workers *workers)
{
    duress_release(workers->allocator, workers->workers);
    duress_release(workers->allocator, workers);
}

int duress_workers_new(struct duress_loop *control, const struct duress_workers_options *options,
                       struct duress_workers **workers, struct duress_failure *why)
{
    static const struct duress_workers_options defaults;
    if (options == NULL)
        options = &defaults;
    if (control == NULL || workers == NULL) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: NULL given, a pointer is needed",
                               control == NULL ? "control" : "workers");
        return DURESS_E_INVALID;
    }
    int error = options_check(options, why);
    if (error != DURESS_OK)
        return error;
    const struct duress_allocator *allocator =
        options->allocator != NULL ? options->allocator : duress_allocator_default();
    uint32_t count = options->worker_count > 0 ? options->worker_count : cores_count();
    struct duress_workers *made = duress_allocate_zeroed(allocator, 1, sizeof *made);
    if (made == NULL)
        goto fail;
    made->allocator = allocator;
    made->control = control;
    made->workers = duress_allocate_zeroed(allocator, count, sizeof *made->workers);
    if (made->workers == NULL)
        goto fail;
    for (; made->count < count; made->count++) {
        error = worker_begin(&made->workers[made->count], made, made->count);
        if (error != DURESS_OK)
            goto fail;
    }
    limits_set(made, options);
    *workers = made;
    return DURESS_OK;

fail:
    if (made != NULL && made->workers != NULL)
        duress_workers_free(made);
    else
        duress_release(allocator, made);
    error = error != DURESS_OK ? error : DURESS_E_NO_MEMORY;
    if (why != NULL)
        duress_failure_set(why, (enum duress_error)error, DURESS_ORIGIN_CALLER, "the workers cannot begin: %s",
                           duress_strerror(error));
    return error;
}

void duress_workers_free(struct duress_workers *workers)
{
    if (workers == NULL)
        return;
    for (uint32_t i = 0; i < workers->count; i++)
        thread_end(&workers->workers[i]);
    /* From here on all is this thread's. What lies in the queues, a connection on its way above all, is taken out. */
    for (uint32_t i = 0; i < workers->count; i++)
        (void)duress__loop_run_until(workers->workers[i].loop, NULL, NULL, 0);
    while (workers->first != NULL) {
        struct duress_workers_proxy *proxy = workers->first;
        duress__orders_forget(proxy);
        for (uint32_t i = 0; i < workers->count; i++)
            duress__branch_deinit(&proxy->branches[i]);
        duress__workers_proxy_release(proxy);
    }
    for (uint32_t i = 0; i < workers->count; i++) {
        duress__loop_disarm(workers->workers[i].loop, &workers->workers[i].trim);
        duress__splice_pool_deinit(&workers->workers[i].pipes);
        duress__loop_free(workers->workers[i].loop);
    }
    workers_release(workers);
}

uint32_t duress_workers_count(const struct duress_workers *workers)
{
    return workers->count;
}
