/* SPDX-License-Identifier: Apache-2.0
 *
 * For those who write an agent or a middleware: the inside of agents and calls.
 *
 * A call of a user is a tree of calls: each layer's process() begins child calls with duress_call_begin() and ends its
 * own in the child's end callback. All memory of the tree is one arena of the world's blocks, freed when the root ends.
 *
 * A leaf that ends its call inside its own process() is told of nothing: the end is put into the world's queue, so that
 * nobody is called back before process() has returned. Ends from later events go up the tree at once. So depth costs no
 * turn of the loop.
 *
 * Who ends a call, passes it on or emits a chunk runs the code of those above: they may cancel other calls of the same
 * agent and give back references to it. So an agent that does so from an event of its own holds a reference to itself
 * meanwhile, and touches neither the call nor what belonged to it afterwards.
 *
 * Abandoning a call (a timeout fired, the caller cancelled, a decision was made without it) calls cancel() of the
 * agents below, from the top down, at once; they stop their work, and their end callbacks never come. */
#ifndef DURESS_AGENT_IMPLEMENT_H
#define DURESS_AGENT_IMPLEMENT_H

#include <duress/agent/agent.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_agent_ops {
    /* Begins to answer |call|. Ends it once, now or later, with duress_call_reply() or duress_call_fail(). */
    void (*process)(struct duress_agent *agent, struct duress_call *call);
    /* |call| is abandoned: stop its work at once, abandon its children, give back what it held. It must not be ended,
     * nor touched after this returns. Not called for a call that has ended. */
    void (*cancel)(struct duress_agent *agent, struct duress_call *call);
    /* The last reference is gone and no call is in flight: free everything, the agent's own memory included. */
    void (*free)(struct duress_agent *agent);
};

#define DURESS_AGENT_NAME_BYTES_MAX 64

/* Calls nest no deeper than this, counting the user's own, and one call of a user has no more calls below it: an agent
 * that asks itself, by itself or through others, fails with DURESS_E_INVALID before stack or memory are spent. So does,
 * at the same depth, an agent that begins new calls of users to itself from inside its own process(). */
#define DURESS_CALL_DEPTH_MAX 64
#define DURESS_CALL_TREE_MAX 65536

/* Embedded first in the implementation's struct. */
struct duress_agent {
    const struct duress_agent_ops *ops;
    struct duress_world *world;
    const struct duress_allocator *allocator;
    size_t references;
    size_t in_flight_count;
    struct duress_call_root *roots; /* private: calls of users in flight */
    uint32_t asking_count;          /* private: calls of users that are inside process() */
    char name[DURESS_AGENT_NAME_BYTES_MAX];
};

struct duress_call_root;  /* private */
struct duress_call_chunk; /* private */

struct duress_call {
    /* For the agent that processes it. */
    struct duress_agent *agent;
    struct duress_message *request; /* borrowed for the life of the call */
    uint64_t deadline_ns;           /* DURESS_TIME_NEVER: none */
    bool idempotent;
    bool streaming;           /* chunks are asked for */
    bool sent;                /* some byte of the request has reached a transport, here or in a child */
    bool chunk_emitted;       /* a chunk went up: nothing may be repeated any more */
    bool expired;             /* in cancel(): given up because its time is over, not because nobody wants it any more */
    enum duress_origin stage; /* what the leaf is doing (NAME, CONNECT, SEND, RECEIVE, …), for messages */
    void *state;              /* the agent's own, from duress_call_allocate() */

    /* Private. */
    struct duress_call *parent;
    struct duress_call_root *root;
    duress_end_fn on_end;
    duress_chunk_fn on_chunk;
    void *context;
    uint64_t started_ns;
    uint64_t ended_ns;
    uint32_t child_count; /* children that have neither ended nor been abandoned */
    uint32_t depth;       /* 1: the user's own */
    uint8_t phase;
    bool chunk_lost; /* memory was out for a chunk that had to wait */
    int error;
    struct duress_message *reply;
    struct duress_failure *failure;
    struct duress_call_chunk *chunks; /* emitted inside process(): they wait for |later| */
    struct duress_call_chunk **chunks_end;
    struct duress_later later;
};

/* Sets up the embedded part with one reference. |name| is copied and cut to fit. */
DURESS_API void duress_agent_init(struct duress_agent *agent, const struct duress_agent_ops *ops,
                                  struct duress_world *world, const struct duress_allocator *allocator,
                                  const char *name) DURESS_NONNULL(1);

/* Memory that lives until the root of |call|'s tree ends; NULL where memory is out. Aligned for any object. */
DURESS_API DURESS_MUST_CHECK void *duress_call_allocate(struct duress_call *call, size_t bytes) DURESS_NONNULL(1);

struct duress_child {
    struct duress_agent *agent;
    struct duress_message *request; /* NULL: the parent's. The child takes a reference */
    uint64_t deadline_ns;           /* 0 = the parent's; a later one is cut to the parent's */
    duress_end_fn on_end;
    duress_chunk_fn on_chunk; /* NULL where the parent streams: chunks go straight to the parent */
    void *context;
    bool whole; /* asks for a whole reply even where the parent streams; |on_chunk| is NULL then */
};

/* Begins a call of |child|->agent as part of |parent|. DURESS_E_NO_MEMORY: there is no child, nothing is called back.
 * Beyond DURESS_CALL_DEPTH_MAX or DURESS_CALL_TREE_MAX the child ends with DURESS_E_INVALID, and its agent is not
 * asked.
 */
DURESS_API DURESS_MUST_CHECK int duress_call_begin(struct duress_call *parent, const struct duress_child *child,
                                                   struct duress_call **call);

/* Gives up a child that has not ended; it must not be touched afterwards. |expired| is passed on from its parent. */
DURESS_API void duress_call_abandon(struct duress_call *child) DURESS_NONNULL(1);

/* The same because a limit passed: sets |expired| on all calls from |child| downwards. */
DURESS_API void duress_call_expire(struct duress_call *child) DURESS_NONNULL(1);

/* Gives up a call that duress_agent_ask() began and whose on_end has not come: what runs below stops at once, on_end
 * does not come, and |call| must not be touched afterwards. For agents whose calls below are no single caller's, as a
 * cache's or a batch's, and for owners that go away themselves. */
DURESS_API void duress_call_drop(struct duress_call *call) DURESS_NONNULL(1);

/* Whether |call| has neither ended nor been given up: to be asked after duress_call_emit(), whose receiver may have
 * cancelled. Only in the callback in which it was emitted; afterwards cancel() has told. */
DURESS_API bool duress_call_is_live(const struct duress_call *call) DURESS_NONNULL(1);

/* Ends |call| with a reply, of which it takes a reference of its own. */
DURESS_API void duress_call_reply(struct duress_call *call, struct duress_message *reply) DURESS_NONNULL(1);

/* Ends |call| with a failure, which is copied. */
DURESS_API void duress_call_fail(struct duress_call *call, const struct duress_failure *failure) DURESS_NONNULL(1);

/* Ends |call| as |result| of its child says. */
DURESS_API void duress_call_pass(struct duress_call *call, const struct duress_result *result) DURESS_NONNULL(1);

/* Keeps how |child| ended beyond its end callback, for as long as the user's call lives. Cannot fail. |result| is a
 * failure; to be called in the callback, once. */
DURESS_API const struct duress_failure *duress_call_keep_failure(struct duress_call *child,
                                                                 const struct duress_result *result) DURESS_NONNULL(1);

/* Around code of a user's that |call|'s agent runs in the middle of its work, and that may cancel the call: between the
 * two its memory stays. The second says, as duress_call_is_live(), whether to go on with it. */
DURESS_API void duress_call_hold(struct duress_call *call) DURESS_NONNULL(1);
DURESS_API DURESS_MUST_CHECK bool duress_call_let_go(struct duress_call *call) DURESS_NONNULL(1);

/* The user's call of which |call| is a part: what duress_agent_ask() gave. */
DURESS_API struct duress_call *duress_call_top(const struct duress_call *call) DURESS_NONNULL(1);

/* Hands one chunk up, of which references are taken where it has to wait. Nothing where no chunks are asked for. */
DURESS_API void duress_call_emit(struct duress_call *call, struct duress_message *chunk) DURESS_NONNULL(1);

/* Some byte of the request has reached a transport (or a function has been called): from now on a failure may be
 * ambiguous. Marks the parents too. */
DURESS_API void duress_call_mark_sent(struct duress_call *call);

/* What the leaf is doing now, for the messages of timeouts. Sets it on the parents too. */
DURESS_API void duress_call_mark_stage(struct duress_call *call, enum duress_origin stage);

/* The same as words that follow "… passed": "while waiting for the reply". Never NULL. */
DURESS_API const char *duress_call_stage_text(const struct duress_call *call) DURESS_NONNULL(1);

/* When |call| began. Children that are begun inside process() begin when their parent did: one clock for all of them.
 */
DURESS_API uint64_t duress_call_started_ns(const struct duress_call *call) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
