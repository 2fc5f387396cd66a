/* SPDX-License-Identifier: Apache-2.0
 *
 * A task: one request of the control API from its body's end to its answer. Whoever has the request (the HTTP shell, or
 * the daemon itself for its configuration) makes a task, begins it, and is told when the answer is there; nothing in
 * between waits.
 *
 * Tasks that only look answer at once. Those that change something take turns, in the order of their coming: one
 * change is seen whole before the next begins. A turn is held while the data path takes the change, which it does
 * within moments whatever its peers do; names are looked up outside a turn, as name servers may take long. Private to
 * daemon/. */
#ifndef DURESS_DAEMON_TASK_H
#define DURESS_DAEMON_TASK_H

#include <jansson.h>

#include "names.h"
#include "refusal.h"
#include "registry.h"
#include "relay.h"
#include "route.h"

struct daemon;
struct task;

enum answer_type {
    ANSWER_NOTHING = 0, /* no body */
    ANSWER_JSON,
    ANSWER_VERSION, /* JSON with its charset */
    ANSWER_TEXT,    /* plain text, and the mark that it is nothing else; errors in JSON come so as well */
    ANSWER_METRICS,
};

struct answer {
    unsigned status; /* of HTTP */
    enum answer_type type;
    bool routed; /* carries the id of a request */
    struct duress_buffer body;
    struct duress_buffer location; /* of a 301; else empty */
};

typedef void (*task_fn)(struct task *task);

/* Tells that task->answer is there. The task is the caller's again: to be freed, later or now. */
typedef void (*task_done_fn)(void *context, struct task *task);

/* A proxy that is about to come, or to take the place of one. */
struct installation {
    struct proxy_entry *old;  /* NULL: none of that name */
    struct proxy_entry *made; /* owned until it is in the registry */
    struct address address;
    struct relay *relay;
    bool enable;
    bool keeps_toxics; /* the old one's go over */
    bool old_stopped;
    int error;      /* why the new one cannot listen, while the old one is started again */
    char *upstream; /* of a change; owned */
    task_fn next;
};

struct task {
    struct daemon *daemon;
    enum operation operation;
    char *target; /* owned; the route's names point into it */
    struct route route;
    json_t *body; /* owned, or NULL */
    struct answer answer;
    struct refusal refusal; /* of what is going on; status 0 while all is well */
    task_done_fn done;
    void *context;

    /* Going on. */
    task_fn next;
    bool ready;   /* |next| is to be called */
    bool running; /* the loop that calls it is on the stack */
    bool ended;
    int error; /* what the data path said last */
    bool dry;  /* freed by its owner, which hears nothing any more */

    /* Turns. */
    task_fn turn; /* what is done in the turn */
    struct task *turn_next;
    struct names names;

    /* Of the operation at hand. */
    struct installation installation;
    struct toxic_entry *toxic; /* owned until it is the proxy's */
    struct proxy_entry *proxy; /* borrowed, while the turn is held */
    float toxicity;
    struct attributes attributes;
    size_t index;
    size_t handled_count;
    struct duress_buffer handled; /* what populate has done so far */
    struct refusal first_refusal; /* of several that did not stop the work */
    bool changed;
    bool only_expired; /* a toxic is removed only where its time is over */
};

/* Makes a task for a request; takes |target| (allocated with the daemon's allocator), on failure too. NULL without
 * memory. */
struct task *duress__task_new(struct daemon *daemon, char *target, const char *method);

/* Makes a task of the daemon's own for the proxy and the toxic (NULL: none) of these names, which are copied. */
struct task *duress__task_new_for(struct daemon *daemon, enum operation operation, const char *proxy,
                                  const char *toxic);

/* Begins the task with |body|, which is borrowed for the call. |done| may be called before this returns. */
void duress__task_begin(struct task *task, struct duress_slice body, task_done_fn done, void *context);

/* Frees it, or has it freed once it has ended: what was begun is brought to its end. */
void duress__task_free(struct task *task);

/* --- for the operations --- */

/* Has |next| called when what runs now has returned. */
void duress__task_then(struct task *task, task_fn next);

/* As relay_done_fn, with |context| the task: goes on with task->next. */
void duress__task_relay_done(void *context, int error);

/* Ends the task with what is in its answer, or with its refusal. */
void duress__task_end(struct task *task);
/* Tells the owner, once all that was done is safe. */
void duress__task_finish(struct task *task);
void duress__task_refuse(struct task *task, unsigned status, const char *text);
void duress__task_refuse_memory(struct task *task);

/* Begins a JSON answer of |status|; close it with duress__task_json_end(), which ends the task. */
struct json_out duress__task_json(struct task *task, unsigned status);
void duress__task_json_end(struct task *task, struct json_out *out);

/* Has |turn| called when it is the task's turn; it keeps the turn until it ends. */
void duress__task_take_turn(struct task *task, task_fn turn);

/* Asks for the name in |text|, where it has one that is not known yet. NO_MEMORY. */
DURESS_MUST_CHECK int duress__task_want_name(struct task *task, const char *text);

/* Looks the wanted names up. True: the turn is given up, and will come again from its begin; the caller returns. */
bool duress__task_lookup(struct task *task);

/* The address of |text|, whose name was wanted. False with the refusal, whose text comes after |prefix|. */
bool duress__task_address(struct task *task, const char *text, const char *prefix, struct address *address);

/* --- the operations --- */

void duress__task_read(struct task *task);         /* all that only looks */
void duress__task_proxy_create(struct task *task); /* … */
void duress__task_proxy_update(struct task *task);
void duress__task_proxy_delete(struct task *task);
void duress__task_populate(struct task *task);
void duress__task_reset(struct task *task);
void duress__task_toxic_create(struct task *task);
void duress__task_toxic_update(struct task *task);
void duress__task_toxic_delete(struct task *task);
void duress__task_connections(struct task *task);

/* Carries task->installation out; its |next| finds the refusal set, or all well. |made| is then the registry's, or
 * freed. */
void duress__task_install(struct task *task);

/* Lets the relay of task->proxy, which is disabled, listen; |next| as above. A relay is made where there is none. */
void duress__task_enable(struct task *task, const struct address *address, task_fn next);

/* Gives task->proxy, which is enabled, another upstream and another address (NULL: it keeps its own). */
void duress__task_change(struct task *task, const struct address *listen, const char *upstream, task_fn next);

/* The proxy's figures until now. */
void duress__proxy_traffic(const struct proxy_entry *proxy, struct traffic *traffic);

/* Takes task->proxy, which is enabled, down. */
void duress__task_disable(struct task *task, task_fn next);

/* Stops task->proxy and forgets it. */
void duress__task_remove(struct task *task, task_fn next);

/* A toxic from a body: checked, made, and owned by the caller. NULL with the refusal. */
struct toxic_entry *duress__task_toxic_make(struct task *task, const struct proxy_entry *proxy, const json_t *value);

/* Adds the toxics of an array to an entry that is not in use yet. False with the refusal. */
bool duress__task_toxics_make(struct task *task, struct proxy_entry *proxy, const json_t *array);

/* The refusal for a failure of the data path at |address|. */
void duress__task_refuse_listen(struct task *task, const struct address *address, int error);

#endif
