/* SPDX-License-Identifier: Apache-2.0
 *
 * A pipe: one direction of a connection. What is pushed goes through the stages, each with a queue in front of it, to
 * the exit, where the sink's driver takes it. Behind the last byte travels the mark of the stream's end.
 *
 *     push ──▶ [queue|stage] ──▶ [queue|stage] ──▶ … ──▶ [exit] ──▶ written
 *
 * Bounds: the bytes in all queues together never exceed bytes_max (duress__pipe_room() says what is left), and no stage
 * fills the queue behind it beyond PIPE_QUEUE_CHUNKS_MAX: it waits, and so in the end does the sender. Every byte that
 * came in is out, dropped or held; duress__pipe_check() counts. */
#ifndef DURESS_TOXIC_PIPE_H
#define DURESS_TOXIC_PIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/toxic/link.h>

#include "stage.h"

/* A chunk's head is some 70 bytes: this keeps the heads of single bytes within half a megabyte a queue. (Toxiproxy
 * queues 1024 chunks before a latency toxic.) */
#define PIPE_QUEUE_CHUNKS_MAX 8192

enum mark_place {
    MARK_ABSENT = 0, /* the stream goes on */
    MARK_AT_STAGE,   /* behind the queue of pipe->mark_stage */
    MARK_AT_EXIT,    /* behind what the sink has still to take */
    MARK_OUT,        /* the link has acted on it */
};

struct pipe {
    const struct duress_allocator *allocator;
    struct duress_link_direction_stats *stats; /* borrowed from the link */
    size_t bytes_max;
    size_t held_bytes;   /* in all queues */
    struct stage *first; /* NULL: the exit alone */
    struct chunk_queue exit;
    enum mark_kind mark;
    enum mark_place mark_place;
    struct stage *mark_stage;
    bool has_begun;  /* duress__pipe_start() was called; before, no stage is asked anything */
    bool is_dead;    /* its sink is gone: it holds nothing, and takes nothing */
    bool is_blocked; /* a stage waits for room behind it */
    bool has_tripped;
    uint64_t tripped_by;
    uint64_t tripped_ns;
    uint64_t next_ns; /* when a stage wants to be asked again, or turns */
    uint64_t turn_ns; /* when a stage turns on or off next */
};

/* |allocator| and |stats| are borrowed. Free with duress__pipe_deinit(). */
void duress__pipe_init(struct pipe *pipe, const struct duress_allocator *allocator,
                       struct duress_link_direction_stats *stats, size_t bytes_max);
void duress__pipe_deinit(struct pipe *pipe);

/* Lets all stages begin to act. */
void duress__pipe_start(struct pipe *pipe, uint64_t now_ns);

/* Does all that is due at |now_ns|, which is not after an earlier next_ns. */
void duress__pipe_run(struct pipe *pipe, uint64_t now_ns);

/* Turns each stage on or off as it is at |until_ns|, which lies ahead, without what is between. Run the pipe then. */
void duress__pipe_skip_turns(struct pipe *pipe, uint64_t until_ns);

/* How many bytes may be pushed; 0 too where the stream has ended or the pipe is dead. */
size_t duress__pipe_room(const struct pipe *pipe);

/* Copies |bytes|, at most duress__pipe_room() of them. DURESS_E_NO_MEMORY: nothing changed. */
int duress__pipe_push(struct pipe *pipe, struct duress_slice bytes, uint64_t now_ns);

/* The source ended the stream as |mark| says. A stronger mark takes the place of one that is under way. */
void duress__pipe_end(struct pipe *pipe, enum mark_kind mark);

/* The first |bytes| of the first chunk at the exit were written. */
void duress__pipe_written(struct pipe *pipe, size_t bytes);

/* Drops what is held; from now on nothing happens here. */
void duress__pipe_kill(struct pipe *pipe);

/* Changes of the chain. |now_ns| is that of the call in, and the pipe was run up to it. After each, run the pipe. */
void duress__pipe_stage_append(struct pipe *pipe, struct stage *stage, uint64_t now_ns); /* takes |stage| */
void duress__pipe_stage_update(struct pipe *pipe, struct stage *stage, const struct duress_toxic *toxic,
                               uint64_t now_ns);
void duress__pipe_stage_remove(struct pipe *pipe, struct stage *stage, uint64_t now_ns);

/* NULL where there is none of that id. */
struct stage *duress__pipe_stage_find(const struct pipe *pipe, uint64_t id);

/* Holds nothing, and no stage would touch a byte. */
bool duress__pipe_is_transparent(const struct pipe *pipe);

/* Walks the whole pipe and asserts its invariants; slow, for tests. */
void duress__pipe_check(const struct pipe *pipe);

#endif
