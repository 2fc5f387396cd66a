/* SPDX-License-Identifier: Apache-2.0
 *
 * A stage: one toxic at work in one direction of one connection. The pipe owns the queue in front of it and moves the
 * chunks; the stage only answers questions, at an instant that it is given:
 *
 *     chunk()   here is the first chunk of your queue: wait, pass (so many bytes of it), drop, or trip?
 *     end()     your queue is empty and the stream's end stands behind it: wait, pass, or trip?
 *     idle()    your queue is empty: is there an instant at which you act all the same?
 *
 * The laws: a stage is asked again at the instant that it named with a wait, or earlier where something else changed,
 * so a question must not change the answer. A chunk that is passed or dropped is not shown again. The instants it names
 * lie in the future. Its only chance is stage->prng. How to add a toxic: one line in the list of toxic.h, one file
 * toxic_<name>.c with a struct stage_kind, one line in stage.c. */
#ifndef DURESS_TOXIC_STAGE_H
#define DURESS_TOXIC_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/allocator.h>
#include <duress/prng.h>
#include <duress/time.h>
#include <duress/toxic/toxic.h>

#include "chunk.h"

/* How a stream ends: the mark that travels behind its last byte. The greater one wins where two meet. */
enum mark_kind {
    MARK_NONE = 0,
    MARK_FIN,   /* the source sent its FIN: the sink gets it, the other direction goes on */
    MARK_CLOSE, /* a toxic ended the connection: both sides are closed */
    MARK_RST,   /* the source sent an RST: so does the sink get one */
    MARK_RESET, /* a toxic ended the connection: both sides are reset */
};

enum stage_verdict_type {
    STAGE_WAIT, /* nothing before |at_ns| */
    STAGE_PASS, /* the first |bytes| of the chunk go on, and any rest is shown again; or the end goes on */
    STAGE_DROP, /* the chunk is swallowed */
    STAGE_TRIP, /* the first |bytes| of the chunk go on, then the connection ends as |mark| says */
};

struct stage_verdict {
    enum stage_verdict_type type;
    enum mark_kind mark;
    size_t bytes;
    size_t changed_bytes; /* of the chunk, by the toxic: for the figures */
    size_t lost_segments; /* transmissions that the toxic drew as lost: likewise */
    uint64_t at_ns;
};

/* What a toxic does to a connection that is about to be dialed. */
struct stage_opening {
    bool is_refused;   /* no dial, and an RST to the client */
    uint64_t delay_ns; /* before the dial */
};

struct stage {
    const struct stage_kind *kind;
    struct stage *next;        /* towards the receiver; NULL: the exit */
    struct duress_toxic toxic; /* the settings as they are now */
    struct duress_prng prng;   /* this toxic's chance on this connection */
    uint32_t draw_ppm;         /* its draw on this connection, once and for all: it acts where toxicity is above */
    bool is_active;            /* what the draw said */
    bool is_on;                /* its schedule lets it act now, and its time to live is not over */
    bool is_over;              /* the end of the stream has passed it: it does not act any more */
    struct chunk_queue queue;  /* what waits for it */
    uint64_t begun_ns;         /* the connection was there, or the toxic was added */
    uint64_t wake_ns;          /* when it wants to be asked again */
    uint64_t turn_ns;          /* when its schedule or its time to live turns it on or off */
    _Alignas(max_align_t) unsigned char state[]; /* the kind's own, zeroed at first */
};

struct stage_kind {
    size_t state_bytes;
    bool is_transparent; /* bytes go through it at once and unchanged, whatever its settings */
    bool swallows;       /* never passes a chunk, so a full queue behind it does not stop it */
    /* Begins to act, or begins anew after its settings changed: what it had in hand is gone. May be NULL. */
    void (*restart)(struct stage *stage, uint64_t now_ns);
    /* NULL: passes. */
    struct stage_verdict (*chunk)(struct stage *stage, struct chunk *chunk, uint64_t now_ns);
    /* NULL: passes. */
    struct stage_verdict (*end)(struct stage *stage, uint64_t now_ns);
    /* NULL: never acts without being given something. */
    struct stage_verdict (*idle)(struct stage *stage, uint64_t now_ns);
    /* Whether it has begun to treat the first chunk of its queue, so that a change of settings lets that one go. NULL:
     * never. */
    bool (*is_chunk_in_hand)(const struct stage *stage);
    /* How the connection must end where the toxic is removed now; MARK_NONE: it goes on. NULL: it goes on. */
    enum mark_kind (*farewell)(const struct stage *stage);
    /* What becomes of connection |number| (of its proxy, from 1; 0: unknown) before it is dialed. NULL: nothing. */
    struct stage_opening (*opening)(const struct stage *stage, uint64_t number);
};

/* A stage that does not act passes everything. */
static inline bool stage_acts(const struct stage *stage)
{
    return stage->is_active && stage->is_on;
}

static inline void *stage_state(struct stage *stage)
{
    return stage->state;
}

static inline struct stage_verdict stage_wait(uint64_t at_ns)
{
    return (struct stage_verdict){.type = STAGE_WAIT, .at_ns = at_ns};
}

static inline struct stage_verdict stage_pass(size_t bytes)
{
    return (struct stage_verdict){.type = STAGE_PASS, .bytes = bytes};
}

static inline struct stage_verdict stage_drop(void)
{
    return (struct stage_verdict){.type = STAGE_DROP};
}

static inline struct stage_verdict stage_trip(size_t bytes, enum mark_kind mark)
{
    return (struct stage_verdict){.type = STAGE_TRIP, .bytes = bytes, .mark = mark};
}

/* Wait until |at_ns|, then |verdict|. */
static inline struct stage_verdict stage_at(uint64_t at_ns, uint64_t now_ns, struct stage_verdict verdict)
{
    return now_ns < at_ns ? stage_wait(at_ns) : verdict;
}

extern const struct stage_kind duress__noop_kind;
extern const struct stage_kind duress__latency_kind;
extern const struct stage_kind duress__bandwidth_kind;
extern const struct stage_kind duress__slow_close_kind;
extern const struct stage_kind duress__timeout_kind;
extern const struct stage_kind duress__reset_peer_kind;
extern const struct stage_kind duress__slicer_kind;
extern const struct stage_kind duress__limit_data_kind;
extern const struct stage_kind duress__blackhole_kind;
extern const struct stage_kind duress__corrupt_kind;
extern const struct stage_kind duress__cut_kind;
extern const struct stage_kind duress__packet_loss_kind;
extern const struct stage_kind duress__limit_time_kind;
extern const struct stage_kind duress__unplug_kind;
extern const struct stage_kind duress__slow_open_kind;
extern const struct stage_kind duress__refuse_kind;
extern const struct stage_kind duress__fail_first_kind;
extern const struct stage_kind duress__shared_bandwidth_kind;

/* Makes the stage of |toxic| (copied, valid; a pool is retained) on the connection whose chance is |link_seed|, and
 * draws whether it acts. NULL where memory is short. Free with duress__stage_free(). */
struct stage *duress__stage_new(const struct duress_allocator *allocator, const struct duress_toxic *toxic,
                                uint64_t link_seed);

/* The queue must be empty. */
void duress__stage_free(const struct duress_allocator *allocator, struct stage *stage);

/* Begins to act at |now_ns|, or anew after a change of settings. */
void duress__stage_restart(struct stage *stage, uint64_t now_ns);

/* Turns it on or off as its schedule and its time to live have it at |now_ns|, and finds the next turn. */
void duress__stage_turn(struct stage *stage, uint64_t now_ns);

/* Its time to live is over at |now_ns|. */
bool duress__stage_is_expired(const struct stage *stage, uint64_t now_ns);

/* Takes new settings; the draw and the pool stay. */
void duress__stage_configure(struct stage *stage, const struct duress_toxic *toxic);

/* Bytes go through it at once and unchanged. */
bool duress__stage_is_transparent(const struct stage *stage);

#endif
