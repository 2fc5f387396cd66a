/* SPDX-License-Identifier: Apache-2.0 */
#include "call.h"

#include <assert.h>
#include <stdalign.h>
#include <stddef.h>
#include <string.h>

enum call_phase {
    CALL_STARTING = 1, /* inside process(): an end has to wait until it has returned */
    CALL_RUNNING,
    CALL_ENDING, /* its end waits in the world's queue */
    CALL_ENDED,
    CALL_ABANDONED,
};

struct duress_call_chunk {
    struct duress_call_chunk *next;
    struct duress_message *message;
};

/* --- the arena: blocks of the world, and single allocations for what is larger --- */

#define ARENA_ALIGNMENT alignof(max_align_t)

struct arena_piece {
    alignas(max_align_t) struct arena_piece *next;
};

struct duress_call_root {
    struct arena_piece *blocks; /* the newest first; the oldest holds this struct */
    struct arena_piece *larges;
    size_t used_bytes; /* of the newest block */
    struct duress_world *world;
    struct duress_call *call;
    struct duress_timer deadline;
    struct duress_call_root *next; /* of the agent's */
    struct duress_call_root **link;
    uint32_t starting_count; /* process() of so many of its calls is on the stack */
    uint32_t emitting_count; /* so many chunks are on their way up, or calls held */
    uint32_t call_count;     /* ever begun */
};

static size_t arena_round(size_t bytes)
{
    return (bytes + ARENA_ALIGNMENT - 1) / ARENA_ALIGNMENT * ARENA_ALIGNMENT;
}

static struct duress_call_root *root_new(struct duress_world *world)
{
    struct arena_piece *block = duress_world_block_new(world);
    if (block == NULL)
        return NULL;
    static_assert(sizeof(struct arena_piece) + sizeof(struct duress_call_root) < DURESS_WORLD_BLOCK_BYTES / 2,
                  "a block holds the root and more");
    struct duress_call_root *root = (struct duress_call_root *)(block + 1);
    block->next = NULL;
    *root = (struct duress_call_root){
        .blocks = block,
        .used_bytes = arena_round(sizeof *block + sizeof *root),
        .world = world,
    };
    return root;
}

static void root_free(struct duress_call_root *root)
{
    struct duress_world *world = root->world;
    const struct duress_allocator *allocator = duress_world_allocator(world);
    struct arena_piece *larges = root->larges;
    struct arena_piece *blocks = root->blocks;
    while (larges != NULL) {
        struct arena_piece *next = larges->next;
        duress_release(allocator, larges);
        larges = next;
    }
    while (blocks != NULL) {
        struct arena_piece *next = blocks->next;
        duress_world_block_free(world, blocks);
        blocks = next;
    }
}

static void *arena_large(struct duress_call_root *root, size_t bytes)
{
    struct arena_piece *piece = duress_allocate(duress_world_allocator(root->world), sizeof *piece + bytes);
    if (piece == NULL)
        return NULL;
    piece->next = root->larges;
    root->larges = piece;
    return piece + 1;
}

static void *arena_allocate(struct duress_call_root *root, size_t bytes)
{
    if (bytes > DURESS_WORLD_BLOCK_BYTES / 2)
        return bytes > SIZE_MAX / 2 ? NULL : arena_large(root, bytes);
    size_t rounded = arena_round(bytes);
    if (root->used_bytes + rounded > DURESS_WORLD_BLOCK_BYTES) {
        struct arena_piece *block = duress_world_block_new(root->world);
        if (block == NULL)
            return NULL;
        block->next = root->blocks;
        root->blocks = block;
        root->used_bytes = arena_round(sizeof *block);
    }
    void *memory = (char *)root->blocks + root->used_bytes;
    root->used_bytes += rounded;
    return memory;
}

void *duress_call_allocate(struct duress_call *call, size_t bytes)
{
    return arena_allocate(call->root, bytes);
}

/* --- ends --- */

static bool call_owns_request(const struct duress_call *call)
{
    return call->parent == NULL || call->parent->request != call->request;
}

static void call_drop_chunks(struct duress_call *call)
{
    for (struct duress_call_chunk *chunk = call->chunks; chunk != NULL; chunk = chunk->next)
        duress_message_unref(chunk->message);
    call->chunks = NULL;
    call->chunks_end = &call->chunks;
}

/* Takes |call| out of every count and gives its references back, but for the reply's and the request's. */
static void call_detach(struct duress_call *call, enum call_phase phase)
{
    DURESS_ASSERT(call->child_count == 0);
    DURESS_ASSERT(call->agent->in_flight_count > 0);
    call->phase = (uint8_t)phase;
    call->agent->in_flight_count--;
    if (call->parent != NULL) {
        call->parent->child_count--;
        return;
    }
    struct duress_call_root *root = call->root;
    duress_world_disarm(root->world, &root->deadline);
    *root->link = root->next;
    if (root->next != NULL)
        root->next->link = root->link;
}

/* Tells the owner. Afterwards |call| is gone, as may be all that is above it. */
static void call_deliver(struct duress_call *call, const struct duress_result *result)
{
    struct duress_agent *agent = call->agent;
    struct duress_message *request = call_owns_request(call) ? call->request : NULL;
    struct duress_message *reply = call->reply;
    struct duress_call_root *root = call->parent == NULL ? call->root : NULL;
    call_detach(call, CALL_ENDED);
    /* Nobody can give a reference back that is not there: who frees an orphan is known before on_end. */
    bool agent_orphaned = agent->references == 0 && agent->in_flight_count == 0;
    call->on_end(call->context, call, result);
    duress_message_unref(request);
    duress_message_unref(reply);
    if (root != NULL)
        root_free(root);
    if (agent_orphaned)
        agent->ops->free(agent);
}

static void call_deliver_stored(struct duress_call *call)
{
    struct duress_result result = {
        .error = call->error,
        .reply = call->reply,
        .failure = call->error == DURESS_OK ? NULL : call->failure,
        .started_ns = call->started_ns,
        .ended_ns = call->ended_ns,
    };
    call_deliver(call, &result);
}

static void chunk_go_up(struct duress_call *call, struct duress_message *message);

/* What had to wait for the end of process(): chunks, and perhaps the end itself. */
static void call_later(void *context)
{
    struct duress_call *call = context;
    while (call->chunks != NULL) {
        struct duress_call_chunk *chunk = call->chunks;
        call->chunks = chunk->next;
        if (call->chunks == NULL)
            call->chunks_end = &call->chunks;
        chunk_go_up(call, chunk->message);
        duress_message_unref(chunk->message);
    }
    if (call->phase != CALL_ENDING)
        return;
    duress_world_undefer(call->root->world, &call->later); /* queued anew where a receiver has cancelled */
    call_deliver_stored(call);
}

/* Stores the end and queues its delivery. */
static void call_end_later(struct duress_call *call, const struct duress_result *result)
{
    call->phase = CALL_ENDING;
    call->error = result->error;
    call->ended_ns = result->ended_ns;
    if (result->error == DURESS_OK)
        call->reply = duress_message_ref(result->reply);
    else
        *call->failure = *result->failure;
    duress_world_defer(call->root->world, &call->later);
}

static void call_end(struct duress_call *call, struct duress_result *result)
{
    DURESS_ASSERT(call->phase == CALL_STARTING || call->phase == CALL_RUNNING); /* A call ends exactly once. */
    struct duress_failure lost;
    if (call->chunk_lost && result->error == DURESS_OK) {
        duress_failure_set(&lost, DURESS_E_NO_MEMORY, DURESS_ORIGIN_AGENT, "no memory for a chunk of the reply");
        lost.ambiguous = call->sent;
        result->error = lost.code;
        result->reply = NULL;
        result->failure = &lost;
    }
    /* Those who emit look at their call once more when the receiver returns. */
    if (call->phase == CALL_STARTING || call->chunks != NULL || call->root->emitting_count > 0) {
        call_end_later(call, result);
        return;
    }
    result->started_ns = call->started_ns;
    call_deliver(call, result);
}

/* An end inside process() has the instant at which the call began: one reading of the clock serves for both. */
static uint64_t call_now_ns(const struct duress_call *call)
{
    return call->phase == CALL_STARTING ? call->started_ns : duress_world_now_ns(call->root->world);
}

void duress_call_reply(struct duress_call *call, struct duress_message *reply)
{
    DURESS_ASSERT(reply != NULL);
    struct duress_result result = {.error = DURESS_OK, .reply = reply, .ended_ns = call_now_ns(call)};
    call_end(call, &result);
}

void duress_call_fail(struct duress_call *call, const struct duress_failure *failure)
{
    DURESS_ASSERT(failure->code != DURESS_OK);
    struct duress_result result = {.error = failure->code, .failure = failure, .ended_ns = call_now_ns(call)};
    call_end(call, &result);
}

void duress_call_pass(struct duress_call *call, const struct duress_result *result)
{
    struct duress_result passed = *result;
    call_end(call, &passed);
}

/* --- chunks --- */

static void chunk_go_up(struct duress_call *call, struct duress_message *message)
{
    call->chunk_emitted = true;
    call->root->emitting_count++;
    if (call->on_chunk != NULL)
        call->on_chunk(call->context, call, message);
    else
        duress_call_emit(call->parent, message);
    call->root->emitting_count--;
}

static void chunk_wait(struct duress_call *call, struct duress_message *message)
{
    struct duress_call_chunk *chunk = call->chunk_lost ? NULL : arena_allocate(call->root, sizeof *chunk);
    if (chunk == NULL) {
        call->chunk_lost = true;
        return;
    }
    *chunk = (struct duress_call_chunk){.message = duress_message_ref(message)};
    *call->chunks_end = chunk;
    call->chunks_end = &chunk->next;
    duress_world_defer(call->root->world, &call->later);
}

void duress_call_emit(struct duress_call *call, struct duress_message *chunk)
{
    DURESS_ASSERT(call->phase == CALL_STARTING || call->phase == CALL_RUNNING);
    if (!call->streaming)
        return;
    if (call->phase == CALL_STARTING || call->chunks != NULL || call->chunk_lost)
        chunk_wait(call, chunk);
    else
        chunk_go_up(call, chunk);
}

bool duress_call_is_live(const struct duress_call *call)
{
    return call->phase == CALL_STARTING || call->phase == CALL_RUNNING;
}

void duress_call_hold(struct duress_call *call)
{
    call->root->emitting_count++;
}

bool duress_call_let_go(struct duress_call *call)
{
    call->root->emitting_count--;
    return duress_call_is_live(call);
}

const struct duress_failure *duress_call_keep_failure(struct duress_call *child, const struct duress_result *result)
{
    if (result->failure != child->failure)
        *child->failure = *result->failure;
    return child->failure;
}

struct duress_call *duress_call_top(const struct duress_call *call)
{
    return call->root->call;
}

/* --- begins --- */

/* A call in the arena of |root|, counted and not started. */
static struct duress_call *call_new(struct duress_call_root *root, struct duress_call *parent,
                                    const struct duress_child *child)
{
    struct {
        struct duress_call call;
        struct duress_failure failure; /* beside the call, so that storing an end cannot fail */
    } *both = arena_allocate(root, sizeof *both);
    if (both == NULL)
        return NULL;
    struct duress_call *call = &both->call;
    memset(call, 0, sizeof *call); /* not the failure, which is written where there is one */
    call->agent = child->agent;
    call->request = child->request;
    call->deadline_ns = child->deadline_ns;
    call->parent = parent;
    call->root = root;
    call->on_end = child->on_end;
    call->on_chunk = child->on_chunk;
    call->context = child->context;
    call->phase = CALL_STARTING;
    call->failure = &both->failure;
    call->chunks_end = &call->chunks;
    call->later.fn = call_later;
    call->later.context = call;
    if (call_owns_request(call))
        duress_message_ref(call->request);
    call->agent->in_flight_count++;
    call->depth = parent == NULL ? 1 : parent->depth + 1;
    root->call_count++;
    return call;
}

/* One that is told that it went too far; false where it did not. */
static bool call_refuse(struct duress_call *call, bool too_far, const char *what, unsigned limit)
{
    if (!too_far)
        return false;
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s %u: does an agent ask itself?", what,
                       limit);
    duress_call_fail(call, &failure);
    return true;
}

static void call_start(struct duress_call *call)
{
    struct duress_call_root *root = call->root;
    root->starting_count++;
    call->agent->ops->process(call->agent, call);
    root->starting_count--;
    if (call->phase == CALL_STARTING)
        call->phase = CALL_RUNNING;
}

int duress_call_begin(struct duress_call *parent, const struct duress_child *child, struct duress_call **call)
{
    if (parent == NULL || child == NULL)
        return DURESS_E_INVALID;
    struct duress_child complete = *child;
    if (complete.request == NULL)
        complete.request = parent->request;
    if (complete.deadline_ns == 0 || complete.deadline_ns > parent->deadline_ns)
        complete.deadline_ns = parent->deadline_ns;
    struct duress_call *made = call_new(parent->root, parent, &complete);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->idempotent = parent->idempotent;
    made->streaming = !child->whole && (parent->streaming || child->on_chunk != NULL);
    made->started_ns = call_now_ns(parent);
    parent->child_count++;
    if (call != NULL)
        *call = made;
    if (!call_refuse(made, made->depth > DURESS_CALL_DEPTH_MAX, "calls nested deeper than", DURESS_CALL_DEPTH_MAX) &&
        !call_refuse(made, parent->root->call_count > DURESS_CALL_TREE_MAX, "more calls below one than",
                     DURESS_CALL_TREE_MAX))
        call_start(made);
    return DURESS_OK;
}

static void root_expire(void *context)
{
    struct duress_call *call = ((struct duress_call_root *)context)->call;
    if (!duress_call_is_live(call))
        return; /* Its end waits in the queue already. */
    call->expired = true;
    call->phase = CALL_ENDING; /* nobody below may end it any more */
    call->agent->ops->cancel(call->agent, call);
    duress_world_undefer(call->root->world, &call->later);
    call_drop_chunks(call);
    duress_failure_set(call->failure, DURESS_E_DEADLINE, DURESS_ORIGIN_CALLER, "the call's deadline passed %s",
                       duress_call_stage_text(call));
    call->failure->ambiguous = call->sent;
    call->error = DURESS_E_DEADLINE;
    call->ended_ns = duress_world_now_ns(call->root->world);
    call_deliver_stored(call);
}

static void root_link(struct duress_call_root *root, struct duress_agent *agent)
{
    root->next = agent->roots;
    root->link = &agent->roots;
    if (root->next != NULL)
        root->next->link = &root->next;
    agent->roots = root;
}

int duress__call_root_begin(struct duress_agent *agent, const struct duress_ask *ask, struct duress_call **call)
{
    struct duress_call_root *root = root_new(agent->world);
    if (root == NULL)
        return DURESS_E_NO_MEMORY;
    struct duress_child whole = {
        .agent = agent,
        .request = ask->request,
        .deadline_ns = ask->deadline_ns == 0 ? DURESS_TIME_NEVER : ask->deadline_ns,
        .on_end = ask->on_end,
        .on_chunk = ask->on_chunk,
        .context = ask->context,
    };
    struct duress_call *made = call_new(root, NULL, &whole);
    DURESS_ASSERT(made != NULL); /* The first block has room for it. */
    root->call = made;
    root_link(root, agent);
    made->idempotent = ask->idempotent;
    made->streaming = ask->on_chunk != NULL;
    made->started_ns = duress_world_now_ns(agent->world);
    duress_timer_init(&root->deadline, root_expire, root);
    if (call != NULL)
        *call = made;
    if (made->deadline_ns <= made->started_ns) {
        struct duress_failure late;
        duress_failure_set(&late, DURESS_E_DEADLINE, DURESS_ORIGIN_CALLER, "the deadline had passed before the call");
        late.ambiguous = false;
        duress_call_fail(made, &late);
        return DURESS_OK;
    }
    if (call_refuse(made, agent->asking_count >= DURESS_CALL_DEPTH_MAX, "calls nested deeper than",
                    DURESS_CALL_DEPTH_MAX))
        return DURESS_OK;
    duress_world_arm(agent->world, &root->deadline, made->deadline_ns);
    agent->asking_count++;
    call_start(made);
    agent->asking_count--;
    return DURESS_OK;
}

/* --- giving up --- */

void duress_call_abandon(struct duress_call *child)
{
    if (child->phase == CALL_ENDED || child->phase == CALL_ABANDONED)
        return;
    if (child->parent != NULL && child->parent->expired)
        child->expired = true;
    bool works = child->phase != CALL_ENDING;
    child->phase = CALL_ABANDONED;
    if (works)
        child->agent->ops->cancel(child->agent, child);
    duress_world_undefer(child->root->world, &child->later);
    call_drop_chunks(child);
    call_detach(child, CALL_ABANDONED);
    duress_message_unref(child->reply);
    if (call_owns_request(child))
        duress_message_unref(child->request);
}

void duress_call_expire(struct duress_call *child)
{
    child->expired = true;
    duress_call_abandon(child);
}

void duress_call_cancel(struct duress_call *call)
{
    if (call == NULL)
        return;
    struct duress_call *root = call->root->call;
    bool works = duress_call_is_live(root);
    /* Ended, but with chunks that have not gone up: those are not wanted any more. */
    bool chunks_wait = root->phase == CALL_ENDING && root->chunks != NULL;
    if (!works && !chunks_wait)
        return;
    duress_world_undefer(root->root->world, &root->later);
    call_drop_chunks(root);
    duress_message_unref(root->reply);
    root->reply = NULL;
    struct duress_failure failure;
    duress_failure_set(&failure, DURESS_E_CANCELLED, DURESS_ORIGIN_CALLER, NULL);
    failure.ambiguous = root->sent;
    struct duress_result result = {
        .error = failure.code,
        .failure = &failure,
        .ended_ns = duress_world_now_ns(root->root->world),
    };
    call_end_later(root, &result);
    if (works)
        root->agent->ops->cancel(root->agent, root);
}

void duress__agent_cancel_roots(struct duress_agent *agent)
{
    for (struct duress_call_root *root = agent->roots; root != NULL; root = root->next)
        duress_call_cancel(root->call);
}

static void root_free_later(void *context)
{
    root_free(((struct duress_call *)context)->root);
}

void duress_call_drop(struct duress_call *call)
{
    struct duress_call_root *root = call->root;
    DURESS_ASSERT(call->parent == NULL);
    DURESS_ASSERT(call->phase != CALL_ENDED);
    duress_call_abandon(call);
    if (root->starting_count == 0 && root->emitting_count == 0) {
        root_free(root);
        return;
    }
    /* Some function of an agent of the tree is on the stack and may still look at its call. */
    call->later.fn = root_free_later;
    duress_world_defer(root->world, &call->later);
}

/* --- marks --- */

void duress_call_mark_sent(struct duress_call *call)
{
    for (struct duress_call *each = call; each != NULL && !each->sent; each = each->parent)
        each->sent = true;
}

void duress_call_mark_stage(struct duress_call *call, enum duress_origin stage)
{
    for (struct duress_call *each = call; each != NULL; each = each->parent)
        each->stage = stage;
}

const char *duress_call_stage_text(const struct duress_call *call)
{
    static const char *const texts[] = {
        [DURESS_ORIGIN_NAME] = "while looking up the name",
        [DURESS_ORIGIN_CONNECT] = "while connecting",
        [DURESS_ORIGIN_SEND] = "while sending the request",
        [DURESS_ORIGIN_RECEIVE] = "while waiting for the reply",
        [DURESS_ORIGIN_AGENT] = "while the agent was working",
        [DURESS_ORIGIN_RETRY] = "while waiting for the next attempt",
        [DURESS_ORIGIN_CACHE] = "while waiting for the call that equal ones share",
        [DURESS_ORIGIN_BATCH] = "while waiting for the batch",
        [DURESS_ORIGIN_LIMITER] = "while waiting for the rate limiter",
        [DURESS_ORIGIN_BULKHEAD] = "while waiting for a slot of the bulkhead",
    };
    size_t stage = (size_t)call->stage;
    bool known = stage < sizeof texts / sizeof texts[0] && texts[stage] != NULL;
    return known ? texts[stage] : "while waiting";
}

uint64_t duress_call_started_ns(const struct duress_call *call)
{
    return call->started_ns;
}
