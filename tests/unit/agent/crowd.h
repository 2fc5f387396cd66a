/* SPDX-License-Identifier: Apache-2.0
 *
 * A thousand calls at once, begun within half a second of virtual time, of which a third is cancelled at random
 * instants; and the moods of the services that they end up at. What is around the service is the test's matter. */
#ifndef DURESS_TESTS_CROWD_H
#define DURESS_TESTS_CROWD_H

#include "rig.h"

enum { CROWD_CALL_COUNT = 1000, CROWD_SEED_COUNT = 40 };

struct crowd;

struct crowd_call {
    struct rig_answer answer;
    struct crowd *crowd;
    struct duress_timer begin;
    struct duress_timer cancel;
    uint64_t deadline_ns;
    bool idempotent;
    bool streaming;
    char text[2];
};

/* Of a hundred calls that a service gets, by a number from 0 to 99 that is drawn for each. */
struct crowd_moods {
    uint32_t at_once_below; /* answered inside process() */
    uint32_t fail_below;    /* those from at_once_below on fail */
    uint32_t silent_from;   /* never answered; 0: none */
    uint64_t delay_ns_max;  /* of all but the first 15 */
    bool streams;           /* replies of up to three chunks */
    enum duress_error code; /* of failures; DURESS_OK: of several kinds */
};

struct crowd_plan {
    uint32_t idempotent_ppm;
    uint32_t streaming_ppm;
    uint64_t deadline_ns_min; /* after its begin, drawn */
    uint64_t deadline_ns_range;
    uint32_t text_count; /* so many different requests, of a letter each; 0: all ask "x" */
    struct crowd_moods moods;
    void (*on_end)(struct crowd *crowd, struct crowd_call *call); /* NULL: nothing more is asked of an end */
};

struct crowd {
    const struct crowd_plan *plan;
    struct rig *rig;
    struct duress_agent *agent; /* whom all ask; of the test's */
    struct duress_prng prng;
    uint32_t ended;
    uint32_t succeeded;
    uint32_t cancelled;
    struct crowd_call calls[CROWD_CALL_COUNT];
};

void crowd_init(struct crowd *crowd, const struct crowd_plan *plan, struct rig *rig, uint64_t seed);
/* |service|, on any host, gets the plan's moods. */
void crowd_join_service(struct crowd *crowd, struct rig_service *service);
/* All ask |agent|; runs until each has ended, and asserts that it did so once, and that the agent has no call left. */
void crowd_run(struct crowd *crowd, struct duress_agent *agent);
/* No timer is armed any more: nothing at all is left to happen. */
void crowd_assert_quiet(struct crowd *crowd);

#endif
