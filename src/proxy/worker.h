/* SPDX-License-Identifier: Apache-2.0
 *
 * The insides of workers and their proxies. Three kinds of things, by who may touch them:
 *
 * - a worker and a branch (a proxy's part on one worker) are their worker's thread's, but for what is atomic;
 * - a proxy and the queue of its orders are the control thread's;
 * - an order belongs to the thread that it was posted to last: each leg goes out to its branch and comes back.
 *
 * One worker of a proxy, its home, watches the listening socket and hands the connections out in turn. Measured beside
 * it: all workers watch the socket with EPOLLEXCLUSIVE. Two workers, five interleaved runs on two busy cores: handing
 * out costs 89 to 103 us of processor time a connection from one client and 74 to 98 from eight, and each worker gets
 * half of them; exclusive waits cost 87 to 95 and 85 to 93, and share them 59:41 to 70:30 from one client and 52:48 to
 * 67:33 from eight. Private to proxy/. */
#ifndef DURESS_PROXY_WORKER_H
#define DURESS_PROXY_WORKER_H

#include <pthread.h>

#include <duress/proxy/workers.h>

#include "connection.h"

/* How long connections may part before an order to close them closes them all the same: the kernel goes on with what it
 * has, as after close(2). */
#define BRANCH_PARTING_NS (50 * DURESS_MS)

struct worker {
    struct duress_workers *workers;
    uint32_t index;
    bool is_ending;
    struct duress_loop *loop;
    struct duress_post end;
    struct splice_pool pipes;
    size_t connection_peak; /* since memory was last given back */
    size_t connection_count;
    struct duress_timer trim;
    pthread_t thread;
    uint8_t scratch[CONNECTION_SCRATCH_BYTES];
};

struct duress_workers {
    const struct duress_allocator *allocator;
    struct duress_loop *control;
    uint32_t count;
    uint32_t next_home;
    uint64_t connections_max;
    uint64_t descriptors_max; /* for connections and listeners */
    _Atomic uint64_t connection_count;
    _Atomic uint64_t listener_count;
    struct duress_workers_proxy *first;
    struct worker *workers; /* |count| of them */
};

/* The worker has so many connections more (or less, where |change| is negative). Some time after many have gone their
 * memory is given back to the system. */
void duress__worker_counts(struct worker *worker, int change);

/* Makes |to|, which is empty, equal to |from|. NO_MEMORY. */
int duress__toxics_copy(struct duress_toxic_list *to, const struct duress_toxic_list *from);

/* --- branches --- */

struct leg;

struct branch {
    struct connection_set set; /* first: a set's branch is found from it */
    struct worker *worker;
    struct duress_workers_proxy *proxy; /* its constant part, and its atomics */
    struct duress_acceptor acceptor;    /* at home only */
    _Atomic uint64_t accepted_count;    /* connections that this worker was given */
    _Atomic uint64_t pause_count;       /* of the acceptors that it had */
    uint32_t turn;                      /* whose is the next connection */
    size_t doomed_count;                /* connections whose end the leg below waits for */
    struct leg *leaving;                /* at most one: orders of a proxy come one after another */
    struct duress_timer patience;
};

/* What an order asks of a branch; on its worker's thread. True: it is done. False: duress__leg_back() will be called.
 */
typedef bool (*branch_fn)(struct branch *branch, struct leg *leg);

bool duress__branch_listen(struct branch *branch, struct leg *leg);   /* adopts leg->fd */
bool duress__branch_unlisten(struct branch *branch, struct leg *leg); /* accepts what waits; closes, or keeps a listener
                                                                         that is to be resumed */
bool duress__branch_resume(struct branch *branch, struct leg *leg);
bool duress__branch_leave(struct branch *branch, struct leg *leg);  /* closes all connections; takes leg->upstream */
bool duress__branch_change(struct branch *branch, struct leg *leg); /* takes leg->toxics, and makes leg->change */
bool duress__branch_cut(struct branch *branch, struct leg *leg);
bool duress__branch_report(struct branch *branch, struct leg *leg); /* fills leg->report */

bool duress__branch_bury(struct branch *branch, struct leg *leg); /* duress__branch_deinit() */

/* Makes what a branch has before anything is posted to it, on the control thread. NO_MEMORY. */
int duress__branch_init(struct branch *branch, struct worker *worker, struct duress_workers_proxy *proxy,
                        const struct duress_workers_proxy_options *options);
/* Closes all that is left; by its worker, or by the control thread once that has ended. */
void duress__branch_deinit(struct branch *branch);

/* --- orders --- */

struct report {
    struct duress_workers_connection *connections;
    size_t count;
};

struct leg {
    struct order *order;
    struct branch *branch;
    branch_fn task;
    struct duress_post out;
    struct duress_post back;
    bool is_back; /* posted back */
    int error;
    /* what it carries */
    int fd;       /* a listening socket; -1 */
    bool is_kept; /* the listener is to be resumed */
    struct upstream *upstream;
    struct duress_link_change change;
    struct duress_toxic_list toxics;
    size_t report_max;
    struct report report;
};

/* One step of an order, on the control thread: posts legs and returns true, or returns false where the order is done.
 */
typedef bool (*order_fn)(struct order *order);

struct order {
    const struct duress_allocator *allocator;
    struct duress_loop *control;
    struct duress_workers_proxy *proxy;
    struct order *next;
    order_fn step;
    struct duress_later later; /* the first step */
    uint32_t stage;            /* steps that were made */
    uint32_t legs_out;
    duress_workers_fn fn;
    duress_workers_connections_fn report_fn; /* in its place */
    void *context;
    int error;
    bool ends_proxy;
    bool is_orphaned;                     /* the workers are gone, and legs lie in the control loop */
    struct duress_listen_address *listen; /* of a change; NULL: kept */
    char *upstream;
    int fd; /* listens at it; -1 */
    bool old_goes_first;
    struct report report;
    uint32_t leg_count;
    struct leg legs[]; /* one a worker */
};

struct duress_workers_proxy {
    struct duress_workers *workers;
    struct duress_workers_proxy *previous;
    struct duress_workers_proxy *next;
    uint32_t home;
    uint32_t backlog;
    bool is_enabled;
    bool has_address;
    struct duress_listen_address address;
    char *upstream;
    struct duress_toxic_list toxics;
    struct order *first_order; /* the one that is being carried out */
    struct order *last_order;
    struct order *farewell; /* kept for the end, which cannot fail */
    _Atomic uint64_t accepted_count;
    struct branch *branches; /* one a worker */
};

struct order *duress__order_new(struct duress_workers_proxy *proxy, order_fn step, duress_workers_fn fn, void *context);
void duress__order_free(struct order *order);

/* Puts it behind the others of its proxy. It begins in this call or when they have ended; answers come later. */
void duress__order_give(struct order *order);

/* For steps: has |task| carried out by the branch of |worker|, or by all. */
void duress__order_send(struct order *order, uint32_t worker, branch_fn task);
void duress__order_send_all(struct order *order, branch_fn task);

/* A branch is done with a leg; on its worker's thread. */
void duress__leg_back(struct leg *leg);

/* After the threads have ended: the orders of |proxy| are forgotten. */
void duress__orders_forget(struct duress_workers_proxy *proxy);

/* Frees a proxy whose branches nobody touches any more. */
void duress__workers_proxy_release(struct duress_workers_proxy *proxy);

/* --- listening --- */

/* Opens a socket that listens at |address| and writes the port that it was given into it. The errors of
 * duress_workers_proxy_new(). */
int duress__listener_open(struct duress_listen_address *address, uint32_t backlog, int *fd);

#endif
