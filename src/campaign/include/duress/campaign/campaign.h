/* SPDX-License-Identifier: Apache-2.0
 *
 * A campaign: a system of the caller's, built anew in a simulated universe for each of many seeds, run until it is
 * done, with its invariants checked after every event. It ends at the first finding, which one number repeats. */
#ifndef DURESS_CAMPAIGN_CAMPAIGN_H
#define DURESS_CAMPAIGN_CAMPAIGN_H

#include <duress/error.h>
#include <duress/export.h>
#include <duress/world/sim.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_campaign_options {
    uint64_t seed_first;
    uint64_t seed_count;  /* at least 1 */
    uint64_t duration_ns; /* of virtual time, for each seed; at least 1 */
    bool repeat;          /* run each seed twice and compare the traces: finds what is not a function of the seed */
    struct duress_sim_options sim; /* its seed is ignored */

    /* Builds the system in |sim| (borrowed until |take_down|) and gives it in *system. DURESS_OK, or the code that ends
     * the campaign. */
    int (*build)(void *context, struct duress_sim *sim, void **system);
    /* True: the system has done what it was to do; the seed is over. NULL: it runs for |duration_ns|. */
    bool (*is_done)(void *system);
    /* The invariants, after every event: NULL where they hold, else one line (borrowed until |take_down|) that says
     * which is broken. */
    const char *(*broken)(void *system);
    /* Frees the system, before its universe goes. */
    void (*take_down)(void *system);
    void *context; /* of |build| */
};

enum duress_campaign_verdict {
    DURESS_CAMPAIGN_CLEAN = 0,    /* every seed ended well */
    DURESS_CAMPAIGN_BROKEN,       /* an invariant */
    DURESS_CAMPAIGN_NOT_DONE,     /* time was over, or nothing was left to happen, before it was done */
    DURESS_CAMPAIGN_LIVELOCK,     /* more events than the universe allows */
    DURESS_CAMPAIGN_NOT_REPEATED, /* a seed's second run differed from its first */
};

#define DURESS_CAMPAIGN_WHAT_BYTES_MAX 200

struct duress_campaign_finding {
    enum duress_campaign_verdict verdict;
    uint64_t seed; /* that was found; of a clean campaign the last one */
    uint64_t seeds_run;
    uint64_t at_ns;                            /* virtual time */
    uint64_t event_count;                      /* of that seed */
    uint64_t trace_hash;                       /* of that seed */
    char what[DURESS_CAMPAIGN_WHAT_BYTES_MAX]; /* what |broken| said; may be empty */
};

/* Runs the campaign and fills |finding|. DURESS_OK, whatever was found; DURESS_E_INVALID (a missing function, no seed,
 * no time), DURESS_E_NO_MEMORY, or what |build| said. */
DURESS_API DURESS_MUST_CHECK int duress_campaign_run(const struct duress_campaign_options *options,
                                                     struct duress_campaign_finding *finding);

/* Name of a verdict in lower case ("not done"); never NULL. */
DURESS_API const char *duress_campaign_verdict_name(enum duress_campaign_verdict verdict);

#ifdef __cplusplus
}
#endif

#endif
