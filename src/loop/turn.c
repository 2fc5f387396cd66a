/* SPDX-License-Identifier: Apache-2.0
 *
 * One turn of the loop, and what fills it: timers, deferred calls, posts. */
#include <sys/timerfd.h>
#include <unistd.h>

#include "loop_private.h"

/* Where a timer's node is, kept in its rank, which the heap needs only where equal instants are not ordered by arming.
 */
enum { NODE_WAITS = 0, NODE_DUE = 1 };

/* --- timers --- */

/* Sets the timerfd where the earliest instant came closer. Where it went away the timerfd stays as it is: waking once
 * in vain is cheaper than setting it for each call that ends before its deadline. */
static void timerfd_follow(struct duress_loop *loop)
{
    const struct duress_timer_node *first = duress__timer_heap_first(&loop->timers);
    if (first == NULL || first->at_ns >= loop->armed_ns)
        return;
    uint64_t at_ns = first->at_ns > 0 ? first->at_ns : 1; /* 0 would disarm it */
    struct itimerspec setting = {
        .it_value = {.tv_sec = (time_t)(at_ns / DURESS_S), .tv_nsec = (long)(at_ns % DURESS_S)},
    };
    int status = timerfd_settime(loop->timer_fd, TFD_TIMER_ABSTIME, &setting, NULL);
    DURESS_ASSERT(status == 0);
    loop->armed_ns = first->at_ns;
}

void duress__loop_arm(struct duress_loop *loop, struct duress_timer *timer, uint64_t at_ns)
{
    duress__loop_disarm(loop, timer);
    if (at_ns == DURESS_TIME_NEVER)
        return;
    duress__timer_heap_insert(&loop->timers, &timer->node, at_ns, NODE_WAITS);
    if (!loop->in_turn)
        timerfd_follow(loop);
}

void duress__loop_disarm(struct duress_loop *loop, struct duress_timer *timer)
{
    struct duress_timer_node *node = &timer->node;
    if (node->previous == NULL)
        return;
    if (node->rank == NODE_WAITS) {
        duress__timer_heap_remove(&loop->timers, node);
        return;
    }
    node->previous->next = node->next;
    node->next->previous = node->previous;
    node->next = node->previous = NULL;
}

/* Moves what is due to the end of the ring of due timers, before any of them is called. */
static void timers_collect(struct duress_loop *loop)
{
    if (duress__timer_heap_first(&loop->timers) == NULL && loop->armed_ns == DURESS_TIME_NEVER)
        return;
    uint64_t now_ns = duress__loop_now_ns(loop);
    if (loop->armed_ns <= now_ns)
        loop->armed_ns = DURESS_TIME_NEVER;
    for (;;) {
        struct duress_timer_node *node = duress__timer_heap_first(&loop->timers);
        if (node == NULL || node->at_ns > now_ns)
            return;
        duress__timer_heap_remove(&loop->timers, node);
        node->rank = NODE_DUE;
        node->previous = loop->due.previous;
        node->next = &loop->due;
        node->previous->next = node;
        loop->due.previous = node;
    }
}

static void timers_fire(struct duress_loop *loop)
{
    timers_collect(loop);
    while (!loop->stop && loop->due.next != &loop->due) {
        struct duress_timer *timer = (struct duress_timer *)loop->due.next; /* the node comes first in it */
        duress__loop_disarm(loop, timer);
        timer->fn(timer->context);
        duress__loop_event_end(loop);
    }
}

/* --- deferred calls --- */

void duress__loop_defer(struct duress_loop *loop, struct duress_later *later)
{
    if (later->previous != NULL)
        return;
    later->previous = loop->later.previous;
    later->next = &loop->later;
    later->previous->next = later;
    loop->later.previous = later;
    duress__loop_settle(loop);
}

void duress__loop_undefer(struct duress_loop *loop, struct duress_later *later)
{
    (void)loop;
    if (later->previous == NULL)
        return;
    later->previous->next = later->next;
    later->next->previous = later->previous;
    later->next = later->previous = NULL;
}

void duress__loop_event_end(struct duress_loop *loop)
{
    while (loop->later.next != &loop->later) {
        struct duress_later *later = loop->later.next;
        duress__loop_undefer(loop, later);
        later->fn(later->context);
    }
    if (!loop->stop && loop->done != NULL && loop->done(loop->done_context))
        loop->stop = true;
}

/* --- posts --- */

void duress__loop_post(struct duress_loop *loop, struct duress_post *post)
{
    struct duress_post *head = atomic_load(&loop->posted);
    do
        post->next = head;
    while (!atomic_compare_exchange_weak(&loop->posted, &head, post));
    /* Who found the list empty wakes the loop; the others' posts are taken over with that one. */
    if (head != NULL)
        return;
    uint64_t one = 1;
    ssize_t written = write(loop->wake_fd, &one, sizeof one);
    (void)written; /* It fails only where the counter is full, and then the loop is awake. */
}

/* The list is last in, first out: turns it round and puts it behind what was taken over before. */
static void posts_take(struct duress_loop *loop)
{
    if (atomic_load(&loop->posted) == NULL)
        return;
    struct duress_post *taken = atomic_exchange(&loop->posted, NULL);
    struct duress_post *turned = NULL;
    while (taken != NULL) {
        struct duress_post *next = taken->next;
        taken->next = turned;
        turned = taken;
        taken = next;
    }
    struct duress_post **end = &loop->posted_due;
    while (*end != NULL)
        end = &(*end)->next;
    *end = turned;
}

static void posts_call(struct duress_loop *loop)
{
    posts_take(loop);
    while (!loop->stop && loop->posted_due != NULL) {
        struct duress_post *post = loop->posted_due;
        loop->posted_due = post->next;
        post->fn(post->context);
        duress__loop_event_end(loop);
    }
}

/* --- the turn --- */

static void sockets_deliver(struct duress_loop *loop)
{
    while (loop->ready.ready_next != &loop->ready) {
        struct duress_socket *socket = loop->ready.ready_next;
        duress__socket_unlist(socket);
        socket->ready_previous = loop->delivering.ready_previous;
        socket->ready_next = &loop->delivering;
        socket->ready_previous->ready_next = socket;
        loop->delivering.ready_previous = socket;
    }
    while (!loop->stop && loop->delivering.ready_next != &loop->delivering) {
        struct duress_socket *socket = loop->delivering.ready_next;
        duress__socket_unlist(socket);
        unsigned events = duress__socket_events(socket);
        if (events == 0)
            continue; /* It was read or stopped being wanted meanwhile. */
        /* What is said once is said now; of a level-triggered descriptor the kernel will tell again. */
        unsigned lasting = socket->watched ? 0 : DURESS_SOCKET_READABLE | DURESS_SOCKET_WRITABLE;
        socket->ready = (uint8_t)(socket->ready & lasting);
        loop->current = socket;
        socket->fn(socket->context, events);
        if (loop->current == socket)
            duress__socket_list(socket);
        loop->current = NULL;
        duress__loop_event_end(loop);
    }
}

bool duress__loop_has_work(const struct duress_loop *loop)
{
    return loop->later.next != &loop->later || loop->due.next != &loop->due || loop->posted_due != NULL ||
           loop->ready.ready_next != &loop->ready || loop->delivering.ready_next != &loop->delivering ||
           loop->harvest_is_due || atomic_load(&loop->posted) != NULL;
}

/* Nothing to do but to run: that keeps libuv from blocking. */
static void idle_spoke(uv_idle_t *idle)
{
    (void)idle;
}

void duress__loop_settle(struct duress_loop *loop)
{
    if (loop->in_turn)
        return;
    timerfd_follow(loop);
    if (loop->direct)
        return; /* libuv is not asked. */
    bool work = duress__loop_has_work(loop);
    if (work == (uv_is_active((uv_handle_t *)&loop->idle) != 0))
        return;
    if (work)
        (void)uv_idle_start(&loop->idle, idle_spoke);
    else
        (void)uv_idle_stop(&loop->idle);
}

void duress__loop_turn(struct duress_loop *loop)
{
    loop->in_turn = true;
    if (loop->later.next != &loop->later)
        duress__loop_event_end(loop);
    posts_call(loop);
    if (!loop->stop)
        timers_fire(loop);
    if (!loop->stop && loop->harvest_is_due)
        duress__sockets_harvest(loop, 0);
    if (!loop->stop)
        sockets_deliver(loop);
    loop->in_turn = false;
    duress__loop_settle(loop);
}
