/* SPDX-License-Identifier: Apache-2.0
 *
 * The loop's life, and how it hangs in libuv's: one poll handle on the epoll set, a check handle that makes a turn
 * after each of libuv's polls, an idle handle that keeps libuv from blocking while there is something left to do, and a
 * prepare handle that lets libuv block only where it must, and perhaps looks for a while before. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#include "loop_private.h"

enum { LOOP_HANDLES = 4 };

static void poll_spoke(uv_poll_t *poll, int status, int events)
{
    (void)status; /* An epoll set has no errors; if it had, the harvest would meet them. */
    (void)events;
    struct duress_loop *loop = poll->data;
    loop->harvest_is_due = true;
}

static void check_spoke(uv_check_t *check)
{
    duress__loop_turn(check->data);
}

/* --- before libuv blocks --- */

bool duress__loop_is_done(struct duress_loop *loop)
{
    if (!loop->stop && loop->done != NULL && loop->done(loop->done_context))
        loop->stop = true;
    return loop->stop;
}

/* Asks whether libuv would be woken, until it would, or until it would have to go on by itself: what the caller has on
 * the same loop ends the wait too, and so does the timerfd. */
static void look_busily(struct duress_loop *loop)
{
    int block_ms = uv_backend_timeout(loop->uv); /* -1: until it is woken */
    if (block_ms == 0)
        return;
    uint64_t wait_ns = loop->busy_ns;
    if (block_ms > 0 && (uint64_t)block_ms * DURESS_MS < wait_ns)
        wait_ns = (uint64_t)block_ms * DURESS_MS;
    uint64_t until_ns = duress_time_add(duress__loop_now_ns(loop), wait_ns);
    struct pollfd libuv = {.fd = uv_backend_fd(loop->uv), .events = POLLIN};
    while (poll(&libuv, 1, 0) == 0 && duress__loop_now_ns(loop) < until_ns)
        continue;
}

/* A timer of the caller's, on the libuv loop, is called just before this; it may have been what the run waits for. */
static void prepare_spoke(uv_prepare_t *prepare)
{
    struct duress_loop *loop = prepare->data;
    if (duress__loop_is_done(loop))
        uv_stop(loop->uv);
    else if (loop->busy_ns > 0)
        look_busily(loop);
}

void duress__loop_busy_poll(struct duress_loop *loop, uint64_t busy_ns)
{
    loop->busy_ns = busy_ns;
}

/* --- making --- */

static int epoll_include(struct duress_loop *loop, int *fd)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = fd};
    return epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, *fd, &event);
}

static void descriptors_close(struct duress_loop *loop)
{
    int *all[] = {&loop->timer_fd, &loop->wake_fd, &loop->epoll_fd};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (*all[i] >= 0)
            (void)close(*all[i]);
        *all[i] = -1;
    }
}

static int descriptors_open(struct duress_loop *loop)
{
    loop->timer_fd = loop->wake_fd = -1;
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (loop->epoll_fd >= 0)
        loop->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (loop->timer_fd >= 0)
        loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd >= 0 && epoll_include(loop, &loop->timer_fd) == 0 && epoll_include(loop, &loop->wake_fd) == 0)
        return DURESS_OK;
    int error = duress__error_from_errno(errno);
    descriptors_close(loop);
    return error;
}

static void loop_init(struct duress_loop *loop, const struct duress_allocator *allocator)
{
    loop->allocator = allocator != NULL ? allocator : duress_allocator_default();
    duress__timer_heap_init(&loop->timers);
    loop->due.next = loop->due.previous = &loop->due;
    loop->armed_ns = DURESS_TIME_NEVER;
    loop->later.next = loop->later.previous = &loop->later;
    atomic_init(&loop->posted, NULL);
    loop->ready.ready_next = loop->ready.ready_previous = &loop->ready;
    loop->delivering.ready_next = loop->delivering.ready_previous = &loop->delivering;
}

static int handles_open(struct duress_loop *loop)
{
    int status = uv_poll_init(loop->uv, &loop->poll, loop->epoll_fd);
    if (status != 0)
        return duress__error_from_errno(-status);
    (void)uv_check_init(loop->uv, &loop->check);
    (void)uv_idle_init(loop->uv, &loop->idle);
    (void)uv_prepare_init(loop->uv, &loop->prepare);
    loop->handles_open = LOOP_HANDLES;
    loop->poll.data = loop->check.data = loop->idle.data = loop->prepare.data = loop;
    (void)uv_check_start(&loop->check, check_spoke);
    (void)uv_prepare_start(&loop->prepare, prepare_spoke);
    status = uv_poll_start(&loop->poll, UV_READABLE, poll_spoke);
    return duress__error_from_errno(-status);
}

/* Makes a libuv loop of our own. libuv aborts or leaks where it runs out of descriptors half-way (1.44), so make sure
 * beforehand that it will not: it opens at most so many, the first time. */
static int own_loop_open(struct duress_loop *loop)
{
    int spare[6];
    size_t count = 0;
    while (count < sizeof spare / sizeof spare[0]) {
        spare[count] = fcntl(loop->epoll_fd, F_DUPFD_CLOEXEC, 0);
        if (spare[count] < 0)
            break;
        count++;
    }
    int error = count < sizeof spare / sizeof spare[0] ? duress__error_from_errno(errno) : DURESS_OK;
    while (count > 0)
        (void)close(spare[--count]);
    return error != DURESS_OK ? error : duress__error_from_errno(-uv_loop_init(&loop->own));
}

int duress__loop_new(const struct duress_allocator *allocator, struct uv_loop_s *uv, struct duress_loop **loop)
{
    struct duress_loop *made = duress_allocate_zeroed(allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    loop_init(made, allocator);
    int error = descriptors_open(made);
    if (error != DURESS_OK)
        goto fail_descriptors;
    made->uv = uv != NULL ? uv : &made->own;
    if (uv == NULL)
        error = own_loop_open(made);
    if (error != DURESS_OK)
        goto fail_uv;
    error = handles_open(made);
    if (error != DURESS_OK) {
        duress__loop_free(made);
        return error;
    }
    *loop = made;
    return DURESS_OK;

fail_uv:
    descriptors_close(made);
fail_descriptors:
    duress_release(allocator, made);
    return error;
}

/* --- freeing --- */

static void handle_closed(uv_handle_t *handle)
{
    struct duress_loop *loop = handle->data;
    loop->handles_open--;
    if (loop->handles_open == 0 && loop->uv != &loop->own)
        duress_release(loop->allocator, loop);
}

static void foreign_handle_close(uv_handle_t *handle, void *context)
{
    (void)context;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void own_loop_close(struct duress_loop *loop)
{
    uv_walk(&loop->own, foreign_handle_close, NULL);
    while (uv_run(&loop->own, UV_RUN_NOWAIT) != 0 || loop->handles_open > 0)
        continue;
    int status = uv_loop_close(&loop->own);
    DURESS_ASSERT(status == 0);
    duress_release(loop->allocator, loop);
}

static void timers_forget(struct duress_loop *loop)
{
    struct duress_timer_node *node;
    while ((node = duress__timer_heap_first(&loop->timers)) != NULL)
        duress__timer_heap_remove(&loop->timers, node);
    while (loop->due.next != &loop->due)
        duress__loop_disarm(loop, (struct duress_timer *)loop->due.next);
    while (loop->later.next != &loop->later)
        duress__loop_undefer(loop, loop->later.next);
}

void duress__loop_free(struct duress_loop *loop)
{
    if (loop == NULL)
        return;
    DURESS_ASSERT(!loop->in_turn && !loop->running);
    while (loop->sockets != NULL) {
        if (loop->sockets->listens)
            duress__acceptor_close((struct duress_acceptor *)loop->sockets); /* the socket comes first in it */
        else
            duress__socket_reset(loop->sockets);
    }
    timers_forget(loop);
    bool owns_uv = loop->uv == &loop->own;
    if (loop->handles_open > 0) {
        uv_close((uv_handle_t *)&loop->poll, handle_closed);
        uv_close((uv_handle_t *)&loop->check, handle_closed);
        uv_close((uv_handle_t *)&loop->idle, handle_closed);
        uv_close((uv_handle_t *)&loop->prepare, handle_closed);
    }
    descriptors_close(loop); /* The poll handle has let go of the set, though its memory is still in use. */
    if (owns_uv)
        own_loop_close(loop);
    else if (loop->handles_open == 0)
        duress_release(loop->allocator, loop);
}

/* --- asking and running --- */

struct uv_loop_s *duress__loop_uv(struct duress_loop *loop)
{
    return loop->uv;
}

const struct duress_allocator *duress__loop_allocator(const struct duress_loop *loop)
{
    return loop->allocator;
}

uint64_t duress__loop_now_ns(const struct duress_loop *loop)
{
    (void)loop;
    struct timespec now;
    int status = clock_gettime(CLOCK_MONOTONIC, &now);
    DURESS_ASSERT(status == 0);
    return (uint64_t)now.tv_sec * DURESS_S + (uint64_t)now.tv_nsec;
}

static void deadline_passed(void *context)
{
    bool *passed = context;
    *passed = true;
}

int duress__loop_run_until(struct duress_loop *loop, duress_loop_done_fn done, void *context, uint64_t deadline_ns)
{
    if (loop->in_turn || loop->running)
        return DURESS_E_INVALID;
    bool passed = false;
    struct duress_timer deadline;
    duress_timer_init(&deadline, deadline_passed, &passed);
    loop->running = true;
    loop->done = done;
    loop->done_context = context;
    if (!duress__loop_is_done(loop)) {
        duress__loop_arm(loop, &deadline, deadline_ns);
        /* Asked here too, as callbacks of other handles on the same libuv loop may have made it true. */
        do
            (void)uv_run(loop->uv, UV_RUN_ONCE);
        while (!duress__loop_is_done(loop) && !passed);
        duress__loop_disarm(loop, &deadline);
    }
    int result = loop->stop ? DURESS_OK : DURESS_E_DEADLINE;
    loop->done = NULL;
    loop->stop = false;
    loop->running = false;
    duress__loop_settle(loop);
    return result;
}
