/* SPDX-License-Identifier: Apache-2.0 */
#include "pipe.h"

#include <duress/export.h>

void duress__pipe_init(struct pipe *pipe, const struct duress_allocator *allocator,
                       struct duress_link_direction_stats *stats, size_t bytes_max)
{
    *pipe = (struct pipe){
        .allocator = allocator,
        .stats = stats,
        .bytes_max = bytes_max,
        .next_ns = DURESS_TIME_NEVER,
        .turn_ns = DURESS_TIME_NEVER,
    };
}

void duress__pipe_deinit(struct pipe *pipe)
{
    duress__pipe_kill(pipe);
    while (pipe->first != NULL) {
        struct stage *stage = pipe->first;
        pipe->first = stage->next;
        duress__stage_free(pipe->allocator, stage);
    }
}

void duress__pipe_start(struct pipe *pipe, uint64_t now_ns)
{
    pipe->has_begun = true;
    for (struct stage *stage = pipe->first; stage != NULL; stage = stage->next) {
        stage->begun_ns = now_ns;
        duress__stage_turn(stage, now_ns);
        duress__stage_restart(stage, now_ns);
    }
}

static void pipe_drop_queue(struct pipe *pipe, struct chunk_queue *queue)
{
    size_t bytes = duress__chunk_queue_clear(pipe->allocator, queue);
    DURESS_ASSERT(pipe->held_bytes >= bytes);
    pipe->held_bytes -= bytes;
    pipe->stats->bytes_dropped += bytes;
}

void duress__pipe_kill(struct pipe *pipe)
{
    for (struct stage *stage = pipe->first; stage != NULL; stage = stage->next) {
        pipe_drop_queue(pipe, &stage->queue);
        stage->wake_ns = DURESS_TIME_NEVER;
        stage->is_over = true;
    }
    pipe_drop_queue(pipe, &pipe->exit);
    DURESS_ASSERT(pipe->held_bytes == 0);
    pipe->mark_place = MARK_ABSENT;
    pipe->mark_stage = NULL;
    pipe->is_dead = true;
    pipe->is_blocked = false;
    pipe->next_ns = DURESS_TIME_NEVER;
    pipe->turn_ns = DURESS_TIME_NEVER;
}

size_t duress__pipe_room(const struct pipe *pipe)
{
    if (pipe->is_dead || pipe->mark_place != MARK_ABSENT || pipe->held_bytes >= pipe->bytes_max)
        return 0;
    const struct chunk_queue *entry = pipe->first != NULL ? &pipe->first->queue : &pipe->exit;
    return entry->count < PIPE_QUEUE_CHUNKS_MAX ? pipe->bytes_max - pipe->held_bytes : 0;
}

/* ---- moving ---- */

static struct chunk_queue *stage_output(struct pipe *pipe, struct stage *stage)
{
    return stage->next != NULL ? &stage->next->queue : &pipe->exit;
}

/* |chunk|, in no queue now, goes on behind |stage|; NULL: it comes in. */
static void pipe_hand_on(struct pipe *pipe, struct stage *stage, struct chunk *chunk, uint64_t now_ns)
{
    chunk->entered_ns = now_ns;
    struct stage *to = stage != NULL ? stage->next : pipe->first;
    if (to != NULL) {
        duress__chunk_queue_append(&to->queue, chunk);
        return;
    }
    uint64_t delay_ns = duress_time_until(chunk->arrived_ns, now_ns);
    if (delay_ns > 0 && chunk->is_last)
        pipe->stats->chunks_delayed++;
    if (delay_ns > pipe->stats->delay_ns_max)
        pipe->stats->delay_ns_max = delay_ns;
    duress__chunk_queue_append(&pipe->exit, chunk);
}

static void pipe_hand_on_all(struct pipe *pipe, struct stage *stage, uint64_t now_ns)
{
    struct chunk *chunk;
    while ((chunk = duress__chunk_queue_take(&stage->queue)) != NULL)
        pipe_hand_on(pipe, stage, chunk, now_ns);
}

/* The mark goes to |stage|, or to the exit where that is NULL. */
static void mark_move(struct pipe *pipe, struct stage *stage)
{
    pipe->mark_stage = stage;
    pipe->mark_place = stage != NULL ? MARK_AT_STAGE : MARK_AT_EXIT;
}

static void mark_strengthen(struct pipe *pipe, enum mark_kind mark)
{
    if (mark > pipe->mark)
        pipe->mark = mark;
}

int duress__pipe_push(struct pipe *pipe, struct duress_slice bytes, uint64_t now_ns)
{
    DURESS_ASSERT(bytes.length <= duress__pipe_room(pipe));
    struct chunk *chunk = duress__chunk_new(pipe->allocator, bytes, pipe->stats->bytes_in, now_ns);
    if (chunk == NULL)
        return DURESS_E_NO_MEMORY;
    pipe->stats->bytes_in += bytes.length;
    pipe->stats->chunks_in++;
    pipe->held_bytes += bytes.length;
    pipe_hand_on(pipe, NULL, chunk, now_ns);
    return DURESS_OK;
}

void duress__pipe_end(struct pipe *pipe, enum mark_kind mark)
{
    if (pipe->is_dead)
        return;
    bool is_new = pipe->mark_place == MARK_ABSENT || (pipe->mark_place == MARK_OUT && mark > pipe->mark);
    mark_strengthen(pipe, mark);
    if (is_new)
        mark_move(pipe, pipe->first);
}

void duress__pipe_written(struct pipe *pipe, size_t bytes)
{
    struct chunk *chunk = pipe->exit.first;
    if (chunk == NULL || bytes == 0)
        return;
    if (bytes < chunk->length) {
        duress__chunk_queue_trim(&pipe->exit, bytes);
    } else {
        bytes = chunk->length;
        duress__chunk_free(pipe->allocator, duress__chunk_queue_take(&pipe->exit));
    }
    DURESS_ASSERT(pipe->held_bytes >= bytes);
    pipe->held_bytes -= bytes;
    pipe->stats->bytes_out += bytes;
}

/* ---- running ---- */

static void pipe_drop_head(struct pipe *pipe, struct stage *stage)
{
    struct chunk *chunk = duress__chunk_queue_take(&stage->queue);
    pipe->held_bytes -= chunk->length;
    pipe->stats->bytes_dropped += chunk->length;
    duress__chunk_free(pipe->allocator, chunk);
}

/* The first |bytes| of the head go on. Without memory for a piece's head all of it does: early is better than lost. */
static void pipe_pass(struct pipe *pipe, struct stage *stage, size_t bytes, uint64_t now_ns)
{
    struct chunk *head = stage->queue.first;
    DURESS_ASSERT(bytes > 0);
    DURESS_ASSERT(bytes <= head->length);
    bool is_slicer = stage->toxic.type == DURESS_TOXIC_SLICER;
    struct chunk *piece = bytes < head->length ? duress__chunk_cut(pipe->allocator, head, bytes) : NULL;
    if (piece != NULL) {
        stage->queue.bytes -= bytes;
    } else {
        if (bytes < head->length)
            duress__stage_restart(stage, now_ns);
        piece = duress__chunk_queue_take(&stage->queue);
    }
    if (is_slicer && piece->was_cut)
        pipe->stats->pieces_sliced++;
    pipe_hand_on(pipe, stage, piece, now_ns);
}

/* The connection ends here with |mark|: what is behind |stage| is delivered before it, the rest is dropped. */
static void pipe_trip(struct pipe *pipe, struct stage *stage, enum mark_kind mark, uint64_t now_ns)
{
    bool is_past = pipe->mark_place == MARK_AT_EXIT;
    for (struct stage *each = pipe->first; each != NULL; each = each == stage ? NULL : each->next) {
        pipe_drop_queue(pipe, &each->queue);
        each->is_over = true;
        each->wake_ns = DURESS_TIME_NEVER;
    }
    for (struct stage *each = stage->next; each != NULL; each = each->next)
        is_past = is_past || (pipe->mark_place == MARK_AT_STAGE && pipe->mark_stage == each);
    mark_strengthen(pipe, mark);
    if (!is_past)
        mark_move(pipe, pipe->mark_place == MARK_OUT ? NULL : stage->next);
    if (pipe->has_tripped)
        return;
    pipe->has_tripped = true;
    pipe->tripped_by = stage->toxic.id;
    pipe->tripped_ns = now_ns;
}

/* Acts on the verdict about the head of |stage|'s queue. True where that changed something. */
static bool stage_obey(struct pipe *pipe, struct stage *stage, struct stage_verdict verdict, uint64_t now_ns)
{
    pipe->stats->bytes_corrupted += verdict.changed_bytes;
    pipe->stats->segments_lost += verdict.lost_segments;
    switch (verdict.type) {
    case STAGE_WAIT:
        DURESS_ASSERT(verdict.at_ns > now_ns || verdict.at_ns == DURESS_TIME_NEVER);
        stage->wake_ns = verdict.at_ns;
        return false;
    case STAGE_PASS:
        pipe_pass(pipe, stage, verdict.bytes, now_ns);
        return true;
    case STAGE_DROP:
        pipe_drop_head(pipe, stage);
        return true;
    case STAGE_TRIP:
        if (verdict.bytes > 0) {
            struct chunk *head = duress__chunk_queue_take(&stage->queue);
            size_t cut_off_bytes = head->length - verdict.bytes;
            head->length = (uint32_t)verdict.bytes;
            pipe->held_bytes -= cut_off_bytes;
            pipe->stats->bytes_dropped += cut_off_bytes;
            head->is_last = true;
            pipe_hand_on(pipe, stage, head, now_ns);
        }
        pipe_trip(pipe, stage, verdict.mark, now_ns);
        return true;
    }
    return false;
}

/* Treats the chunks that wait for |stage|, as far as they may go at |now_ns|. */
static bool stage_run_chunks(struct pipe *pipe, struct stage *stage, uint64_t now_ns)
{
    bool has_moved = false;
    const struct chunk_queue *output = stage_output(pipe, stage);
    bool is_plain = !stage_acts(stage) || stage->kind->chunk == NULL;
    while (stage->queue.first != NULL) {
        struct chunk *head = stage->queue.first;
        if (output->count >= PIPE_QUEUE_CHUNKS_MAX && (is_plain || !stage->kind->swallows)) {
            pipe->is_blocked = true;
            return has_moved;
        }
        struct stage_verdict verdict = is_plain ? stage_pass(head->length) : stage->kind->chunk(stage, head, now_ns);
        if (!stage_obey(pipe, stage, verdict, now_ns))
            return has_moved;
        has_moved = true;
    }
    return has_moved;
}

/* Its queue is empty: the end, where it stands here, or what the stage does by itself. */
static bool stage_run_end(struct pipe *pipe, struct stage *stage, uint64_t now_ns)
{
    const struct stage_kind *kind = stage->kind;
    bool is_at_end = pipe->mark_place == MARK_AT_STAGE && pipe->mark_stage == stage;
    if (!is_at_end) {
        if (stage->is_over || !stage_acts(stage) || kind->idle == NULL)
            return false;
        return stage_obey(pipe, stage, kind->idle(stage, now_ns), now_ns);
    }
    struct stage_verdict verdict = stage_pass(0);
    if (stage_acts(stage) && kind->end != NULL)
        verdict = kind->end(stage, now_ns);
    if (verdict.type != STAGE_PASS)
        return stage_obey(pipe, stage, verdict, now_ns);
    stage->is_over = true;
    mark_move(pipe, stage->next);
    return true;
}

/* |stage| leaves the chain, or stops acting: where it may have made a hole, the stream ends. */
static void pipe_farewell(struct pipe *pipe, struct stage *stage, uint64_t now_ns)
{
    bool has_farewell = stage->kind->farewell != NULL && !pipe->is_dead;
    enum mark_kind mark = has_farewell ? stage->kind->farewell(stage) : MARK_NONE;
    if (mark != MARK_NONE)
        pipe_trip(pipe, stage, mark, now_ns);
}

/* The schedule or the time to live of |stage| had a turn. Off is as removed, on is as added, but for what it counts. */
static void pipe_stage_turn(struct pipe *pipe, struct stage *stage, uint64_t now_ns)
{
    bool did_act = stage_acts(stage);
    duress__stage_turn(stage, now_ns);
    if (did_act == stage_acts(stage))
        return;
    if (did_act)
        pipe_farewell(pipe, stage, now_ns);
    else
        duress__stage_restart(stage, now_ns);
}

static bool stage_run(struct pipe *pipe, struct stage *stage, uint64_t now_ns)
{
    stage->wake_ns = DURESS_TIME_NEVER;
    bool has_moved = stage_run_chunks(pipe, stage, now_ns);
    if (stage->queue.first == NULL)
        has_moved = stage_run_end(pipe, stage, now_ns) || has_moved;
    return has_moved;
}

/* When |stage| turns; once the end has passed it, it does not any more. */
static uint64_t stage_turn_ns(const struct stage *stage)
{
    return stage->is_over ? DURESS_TIME_NEVER : stage->turn_ns;
}

/* Makes the turns that are due at |now_ns|. */
static void pipe_run_turns(struct pipe *pipe, uint64_t now_ns)
{
    for (struct stage *stage = pipe->first; stage != NULL; stage = stage->next)
        if (stage_turn_ns(stage) <= now_ns && stage_turn_ns(stage) != DURESS_TIME_NEVER)
            pipe_stage_turn(pipe, stage, now_ns);
}

void duress__pipe_skip_turns(struct pipe *pipe, uint64_t until_ns)
{
    if (!pipe->is_dead && pipe->has_begun)
        pipe_run_turns(pipe, until_ns);
}

void duress__pipe_run(struct pipe *pipe, uint64_t now_ns)
{
    if (pipe->is_dead || pipe->first == NULL)
        return;
    pipe_run_turns(pipe, now_ns);
    bool has_moved;
    do {
        has_moved = false;
        pipe->is_blocked = false;
        for (struct stage *stage = pipe->first; stage != NULL; stage = stage->next)
            has_moved = stage_run(pipe, stage, now_ns) || has_moved;
    } while (has_moved && pipe->is_blocked); /* A stage that had no room may have it now. */
    pipe->next_ns = DURESS_TIME_NEVER;
    pipe->turn_ns = DURESS_TIME_NEVER;
    for (const struct stage *stage = pipe->first; stage != NULL; stage = stage->next) {
        pipe->next_ns = duress_time_min(pipe->next_ns, stage->wake_ns);
        pipe->turn_ns = duress_time_min(pipe->turn_ns, stage_turn_ns(stage));
    }
    pipe->next_ns = duress_time_min(pipe->next_ns, pipe->turn_ns);
}

/* ---- the chain ---- */

void duress__pipe_stage_append(struct pipe *pipe, struct stage *stage, uint64_t now_ns)
{
    struct stage **place = &pipe->first;
    while (*place != NULL)
        place = &(*place)->next;
    *place = stage;
    stage->is_over = pipe->is_dead || pipe->mark_place == MARK_OUT;
    stage->begun_ns = now_ns;
    duress__stage_turn(stage, now_ns);
    duress__stage_restart(stage, now_ns);
    struct chunk *chunk;
    while ((chunk = duress__chunk_queue_take(&pipe->exit)) != NULL) {
        chunk->entered_ns = now_ns;
        duress__chunk_queue_append(&stage->queue, chunk);
    }
    if (pipe->mark_place == MARK_AT_EXIT)
        mark_move(pipe, stage);
}

void duress__pipe_stage_update(struct pipe *pipe, struct stage *stage, const struct duress_toxic *toxic,
                               uint64_t now_ns)
{
    const struct stage_kind *kind = stage->kind;
    bool is_in_hand = stage_acts(stage) && stage->queue.first != NULL && kind->is_chunk_in_hand != NULL &&
                      kind->is_chunk_in_hand(stage);
    if (is_in_hand)
        pipe_pass(pipe, stage, stage->queue.first->length, now_ns);
    duress__stage_configure(stage, toxic);
    duress__stage_turn(stage, now_ns);
    duress__stage_restart(stage, now_ns);
}

void duress__pipe_stage_remove(struct pipe *pipe, struct stage *stage, uint64_t now_ns)
{
    pipe_farewell(pipe, stage, now_ns);
    pipe_hand_on_all(pipe, stage, now_ns);
    if (pipe->mark_place == MARK_AT_STAGE && pipe->mark_stage == stage)
        mark_move(pipe, stage->next);
    struct stage **place = &pipe->first;
    while (*place != stage) /* NOLINT(clang-analyzer-core.NullDereference): |stage| is in the chain */
        place = &(*place)->next;
    *place = stage->next;
    duress__stage_free(pipe->allocator, stage);
    pipe->next_ns = DURESS_TIME_NEVER; /* For a chain that is empty now; another is run next. */
    pipe->turn_ns = DURESS_TIME_NEVER;
}

struct stage *duress__pipe_stage_find(const struct pipe *pipe, uint64_t id)
{
    for (struct stage *stage = pipe->first; stage != NULL; stage = stage->next)
        if (stage->toxic.id == id)
            return stage;
    return NULL;
}

/* ---- queries ---- */

bool duress__pipe_is_transparent(const struct pipe *pipe)
{
    if (pipe->is_dead || pipe->held_bytes > 0 || pipe->mark_place != MARK_ABSENT)
        return false;
    for (const struct stage *stage = pipe->first; stage != NULL; stage = stage->next)
        if (!duress__stage_is_transparent(stage))
            return false;
    return true;
}

static void queue_check(const struct chunk_queue *queue)
{
    size_t count = 0;
    size_t bytes = 0;
    for (const struct chunk *chunk = queue->first; chunk != NULL; chunk = chunk->next) {
        DURESS_ASSERT(chunk->length > 0);
        DURESS_ASSERT(chunk->next != NULL || queue->last == chunk);
        DURESS_ASSERT(chunk->next == NULL || chunk->next->offset >= chunk->offset + chunk->length);
        count++;
        bytes += chunk->length;
    }
    DURESS_ASSERT(count == queue->count);
    DURESS_ASSERT(bytes == queue->bytes);
}

void duress__pipe_check(const struct pipe *pipe)
{
    size_t held_bytes = pipe->exit.bytes;
    uint64_t next_ns = DURESS_TIME_NEVER;
    bool is_mark_seen = pipe->mark_place != MARK_AT_STAGE;
    queue_check(&pipe->exit);
    for (const struct stage *stage = pipe->first; stage != NULL; stage = stage->next) {
        queue_check(&stage->queue);
        held_bytes += stage->queue.bytes;
        next_ns = duress_time_min(next_ns, duress_time_min(stage->wake_ns, stage_turn_ns(stage)));
        if (stage == pipe->mark_stage)
            is_mark_seen = true;
        else if (!is_mark_seen)
            DURESS_ASSERT(stage->queue.count == 0); /* Nothing is behind the end. */
    }
    DURESS_ASSERT(is_mark_seen);
    DURESS_ASSERT(pipe->mark_place != MARK_AT_EXIT || held_bytes == pipe->exit.bytes);
    DURESS_ASSERT(pipe->mark_place != MARK_OUT || held_bytes == 0);
    DURESS_ASSERT(held_bytes == pipe->held_bytes);
    DURESS_ASSERT(held_bytes <= pipe->bytes_max);
    DURESS_ASSERT(pipe->next_ns == (pipe->has_begun ? next_ns : DURESS_TIME_NEVER));
    const struct duress_link_direction_stats *stats = pipe->stats;
    DURESS_ASSERT(stats->bytes_in == stats->bytes_out + stats->bytes_dropped + held_bytes);
}
