/* SPDX-License-Identifier: Apache-2.0
 *
 * Faults of the machine and of a command without a test around them: what "duress stress" and "duress service" do. Both
 * functions run until their time is over or until SIGINT, SIGTERM or SIGHUP comes, which they block meanwhile, and
 * leave nothing behind. For programs with one thread. */
#ifndef DURESS_CHAOS_STRESS_H
#define DURESS_CHAOS_STRESS_H

#include <stddef.h>
#include <stdint.h>

#include <duress/error.h>
#include <duress/export.h>

#ifdef __cplusplus
extern "C" {
#endif

enum chaos_stress_kind {
    CHAOS_STRESS_CPU = 0, /* burns processor time */
    CHAOS_STRESS_MEMORY,  /* takes memory, and keeps using it */
    CHAOS_STRESS_DISK,    /* writes over and over, and syncs, to files without a name */
};

#define CHAOS_STRESS_WORKERS_MAX 256

struct chaos_stress {
    enum chaos_stress_kind kind;
    uint32_t workers;   /* processes, to CHAOS_STRESS_WORKERS_MAX; 0: one */
    uint32_t duty_ppm;  /* of the processor: the share of the time that each is busy; 0: all of it */
    uint64_t bytes;     /* of memory or of files, of all workers together */
    const char *folder; /* where the files lie; NULL: the current one */
    uint64_t for_ns;    /* 0: until a signal */
};

struct chaos_stress_figures {
    int signal_number;      /* that ended it; 0: its time was over */
    uint64_t cpu_ns;        /* processor time that the workers have had */
    uint64_t bytes_held;    /* of memory */
    uint64_t bytes_written; /* to files */
    uint64_t syncs;
    uint64_t slowest_sync_ns;
    uint32_t failed; /* workers that could not go on: no memory, no space, killed by the kernel */
};

/* Stresses. DURESS_E_NO_MEMORY and DURESS_E_SYSTEM where it could not begin, DURESS_E_INVALID with the field in |why|.
 */
DURESS_API DURESS_MUST_CHECK int chaos_stress_run(const struct chaos_stress *stress,
                                                  struct chaos_stress_figures *figures, struct duress_failure *why);

enum chaos_act_kind {
    CHAOS_ACT_SIGKILL = 0,
    CHAOS_ACT_SIGSEGV,
    CHAOS_ACT_SIGTERM,
    CHAOS_ACT_FREEZE, /* SIGSTOP, and SIGCONT |for_ns| later */
};

struct chaos_act {
    enum chaos_act_kind kind;
    uint64_t at_ns; /* from the begin */
    uint64_t for_ns;
};

#define CHAOS_ACTS_MAX 64

struct chaos_supervision {
    char *const *command;   /* up to a NULL */
    struct chaos_act *acts; /* at most CHAOS_ACTS_MAX; sorted by |at_ns| here */
    size_t act_count;
    uint64_t restart_after_ns; /* DURESS_TIME_NEVER: it is not started again */
    uint64_t for_ns;           /* 0: until a signal, or until it has ended for good */
    void (*told)(void *context, uint64_t at_ns, const char *what); /* each event; may be NULL */
    void *context;
};

/* Runs a command in a process group of its own, and does to it what is scheduled. At the end it gets SIGTERM, and five
 * seconds later SIGKILL. *status: the wait status of its last end; *signal_number: the one that ended the supervision,
 * or 0. Errors as above. */
DURESS_API DURESS_MUST_CHECK int chaos_supervise(const struct chaos_supervision *supervision, int *status,
                                                 int *signal_number, struct duress_failure *why);

#ifdef __cplusplus
}
#endif

#endif
