/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults of services: crash, restart, freeze, slow replies. They are ordered from the test, of a service of
 * duress/chaos/chaos.h, and mean the same in both worlds: live they befall a process, simulated a host.
 *
 *     chaos_service_crash_at_request(echo, CHAOS_CRASH_SIGKILL, 3);
 *     chaos_service_restart_after(echo, 200 * DURESS_MS, 1);
 *
 * Each order owes evidence, as all faults do: a crash or an end the wait status that the kernel gave (simulated: the
 * host that went down), a freeze the stopped state, slowness an answer that took as long as was drawn for it. A service
 * that ends otherwise than ordered fails the run. */
#ifndef DURESS_CHAOS_FAULT_H
#define DURESS_CHAOS_FAULT_H

#include <duress/chaos/chaos.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --- crash --- */

enum chaos_crash {
    CHAOS_CRASH_SIGKILL = 0,
    CHAOS_CRASH_SIGSEGV,
};

/* Dies now, and has died when this returns: its kernel closes its connections, its memory is lost, its arrival log
 * stays. Nothing where it does not run. chaos_service_kill() is this with SIGKILL. */
DURESS_API void chaos_service_crash(struct chaos_service *service, enum chaos_crash how);

/* Dies |delay_ns| from now. */
DURESS_API void chaos_service_crash_after(struct chaos_service *service, enum chaos_crash how, uint64_t delay_ns);

/* Dies as the |count|-th request from now (at least 1) has arrived: it is in the log, and has no answer. One such order
 * at a time, of the process that runs now. */
DURESS_API void chaos_service_crash_at_request(struct chaos_service *service, enum chaos_crash how, uint64_t count);

/* Dies in the middle of the reply to the |count|-th request from now: of what it writes from that answer on, the first
 * |after_bytes| leave. */
DURESS_API void chaos_service_crash_in_reply(struct chaos_service *service, enum chaos_crash how, uint64_t count,
                                             uint64_t after_bytes);

/* Crashes now, and |crashes| times in all, each time |up_ns| after it listened again. It comes back as
 * chaos_service_restart_after() has said before. */
DURESS_API void chaos_service_crash_loop(struct chaos_service *service, enum chaos_crash how, uint32_t crashes,
                                         uint64_t up_ns);

/* --- end and restart --- */

/* SIGTERM, and returns: the service accepts and takes nothing new, answers what has arrived, and ends. */
DURESS_API void chaos_service_stop(struct chaos_service *service);

/* Waits until it has ended |number| times in all; says whether it has within |within_ns|. */
DURESS_API bool chaos_service_await_end(struct chaos_service *service, uint32_t number, uint64_t within_ns);

/* From now on it is started anew |delay_ns| after each of its next |restarts| ends (0: after all), on the same port and
 * with an empty memory; the log goes on. It may be called before and after the end. */
DURESS_API void chaos_service_restart_after(struct chaos_service *service, uint64_t delay_ns, uint32_t restarts);

/* Waits until it listens; says whether it does within |within_ns|. */
DURESS_API bool chaos_service_await_start(struct chaos_service *service, uint64_t within_ns);

enum chaos_end_how {
    CHAOS_END_NONE = 0, /* it has never ended */
    CHAOS_END_EXITED,   /* by itself; 0: everything that it had accepted was answered */
    CHAOS_END_SIGKILL,
    CHAOS_END_SIGSEGV,
    CHAOS_END_OOM,   /* the kernel ended it, as its memory was spent */
    CHAOS_END_OTHER, /* of another signal */
};

struct chaos_end {
    enum chaos_end_how how;
    int code;        /* exit code, or number of the signal */
    uint64_t at_ns;  /* when the test's side heard of it */
    uint32_t number; /* from 1: how often it has ended by now */
};

/* Its last end. */
DURESS_API struct chaos_end chaos_service_end(const struct chaos_service *service);

/* Whether it listens: it has started, and neither was told to stop nor has ended. */
DURESS_API bool chaos_service_is_up(const struct chaos_service *service);
/* When it began to listen, last. */
DURESS_API uint64_t chaos_service_up_since_ns(const struct chaos_service *service);

/* --- freeze --- */

/* SIGSTOP, and has stopped when this returns: its sockets stay open, connects and bytes are taken by its kernel as far
 * as there is room, and nothing answers. Thaw, SIGCONT: it goes on with all of that. */
DURESS_API void chaos_service_freeze(struct chaos_service *service);
DURESS_API void chaos_service_thaw(struct chaos_service *service);

/* --- slow replies --- */

/* A distribution of thinking times as people measure one: half of them are at most |p50_ns|, nine of ten at most
 * |p90_ns|, and so on; between two points all are as likely. They must not descend. */
struct chaos_delays {
    uint64_t p0_ns;
    uint64_t p50_ns;
    uint64_t p90_ns;
    uint64_t p99_ns;
    uint64_t p100_ns;
};

/* Requests that arrive from now on think for |delay_ns|, or for a time drawn from |delays|, instead of what the service
 * was started with; 0: not at all. Restarts keep it. */
DURESS_API void chaos_service_slow(struct chaos_service *service, uint64_t delay_ns);
DURESS_API void chaos_service_slow_by(struct chaos_service *service, const struct chaos_delays *delays);

/* How long the |index|-th request of the log was to think. */
DURESS_API uint64_t chaos_service_thinking_ns(struct chaos_service *service, uint64_t index);

/* --- scarcity: too little memory, processor, disk, descriptors ---
 *
 * Live, each is the kernel's own doing, and some need what a machine may not allow; then the test is skipped, with what
 * is missing and how to get it. */

enum chaos_memory {
    CHAOS_MEMORY_KILL = 0, /* a memory cgroup: the service ends as CHAOS_END_OOM. Needs the right to make a cgroup */
    CHAOS_MEMORY_FAIL,     /* RLIMIT_AS: its allocations fail, and it says so */
};

/* The service that runs may take |bytes| more memory than it has now. What takes it is its |leak_bytes|. */
DURESS_API void chaos_service_memory(struct chaos_service *service, enum chaos_memory how, uint64_t bytes);

/* So many |burners| want the service's processor, each for |duty_ppm| of the time (0: all of it). 0 burners: it has it
 * for itself again. Its |work_ns| then takes up to 1 + |burners| times as long. */
DURESS_API void chaos_service_cpu(struct chaos_service *service, uint32_t burners, uint32_t duty_ppm);

/* What the service has had of the processor time that it wanted since chaos_service_cpu(), in a million; a million
 * where it wanted none. */
DURESS_API uint64_t chaos_service_cpu_share_ppm(struct chaos_service *service);

enum chaos_disk {
    CHAOS_DISK_WELL = 0,
    CHAOS_DISK_FULL,      /* ENOSPC. Needs |disk_bytes| */
    CHAOS_DISK_READ_ONLY, /* EROFS. Needs |disk_bytes| */
    CHAOS_DISK_BROKEN,    /* EIO on sync; lasts until the service's restart */
};

/* The disk of |journal_bytes| is so from the next request on. A disk of its own is lost with the service's process, and
 * needs the right to make a mount namespace. */
DURESS_API void chaos_service_disk(struct chaos_service *service, enum chaos_disk state);

/* The service may have so many |more| descriptors than now; UINT32_MAX: as many as at first. One that has none left
 * accepts no connection: they wait in its kernel. */
DURESS_API void chaos_service_descriptors(struct chaos_service *service, uint32_t more);

enum chaos_scarcity {
    CHAOS_NO_MEMORY = 0, /* ENOMEM */
    CHAOS_NO_SPACE,      /* ENOSPC */
    CHAOS_DISK_IS_READ_ONLY,
    CHAOS_DISK_FAILED, /* EIO */
    CHAOS_SCARCITY_COUNT,
};

/* How often its kernel has refused the service that, as itself logged. */
DURESS_API uint64_t chaos_service_refused(struct chaos_service *service, enum chaos_scarcity what);

/* --- wall clock --- */

/* The wall clock of the service, or of the test's own world, jumps by |step_ns|, forwards or back. It is the clock that
 * duress_world_wall_ns() reads, not the machine's, which others use too. */
DURESS_API void chaos_service_wall_step(struct chaos_service *service, int64_t step_ns);
DURESS_API void chaos_wall_step(struct chaos *chaos, int64_t step_ns);

/* What the service's wall clock said when the |index|-th request of the log arrived. */
DURESS_API uint64_t chaos_service_wall_ns(struct chaos_service *service, uint64_t index);

#ifdef __cplusplus
}
#endif

#endif
