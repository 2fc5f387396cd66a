/* SPDX-License-Identifier: Apache-2.0
 *
 * The toxics of whoever keeps many links (the proxy, a simulated relay), in order of creation: which changes are
 * refused, and what an allowed one asks of each open link. Shared between rooms, not installed. A list is owned by one
 * thread. */
#ifndef DURESS_TOXIC_TOXIC_LIST_PRIVATE_H
#define DURESS_TOXIC_TOXIC_LIST_PRIVATE_H

#include <duress/toxic/link.h>

struct duress_toxic_list {
    const struct duress_allocator *allocator;
    struct duress_toxic *toxics; /* what new links begin with */
    size_t count;
    size_t capacity;
};

/* A change of the list, to be made to every open link of its owner. */
enum duress_link_change_type {
    DURESS_LINK_CHANGE_ADD = 0,
    DURESS_LINK_CHANGE_UPDATE,
    DURESS_LINK_CHANGE_REMOVE,
};
struct duress_link_change {
    enum duress_link_change_type type;
    struct duress_toxic toxic; /* to remove one: its id alone */
};

/* How an owner changes one link: duress__link_change(), or a function of its own. */
typedef int (*duress_link_change_fn)(struct duress_link *link, const struct duress_link_change *change,
                                     uint64_t now_ns);

/* An empty list. |allocator| is borrowed. Free with duress__toxic_list_deinit(). */
DURESS_API void duress__toxic_list_init(struct duress_toxic_list *list, const struct duress_allocator *allocator);
DURESS_API void duress__toxic_list_deinit(struct duress_toxic_list *list);

/* Where the owner of a list stands: what the toxics that come and change now count from. */
struct duress_toxic_moment {
    uint64_t now_ns;      /* for a time to live and a schedule */
    uint64_t connections; /* accepted so far, for fail_first */
};

/* Forgets the toxics whose time to live is over. The links know by themselves; the functions below do it first. */
DURESS_API void duress__toxic_list_expire(struct duress_toxic_list *list, uint64_t now_ns);

/* Copies |toxic| to the end, with what its owner is to set: since_ns, fail_first's after_connection, and a pool for
 * shared_bandwidth (a new one, unless |toxic| brings one; the list holds a reference as long as it has the toxic, so
 * threads with links of their own must have made a change before its removal is told to the list). INVALID (a bad
 * toxic, or its id is present; said in |why|, which may be NULL), NO_MEMORY: nothing changed. On DURESS_OK, here and
 * below, *change is to be made to each open link. */
DURESS_API DURESS_MUST_CHECK int duress__toxic_list_add(struct duress_toxic_list *list,
                                                        const struct duress_toxic *toxic,
                                                        struct duress_toxic_moment moment,
                                                        struct duress_link_change *change, struct duress_failure *why);

/* Gives the toxic of that id new settings; its direction stays, whatever |toxic| says, and so do its pool and what it
 * counts from; its time to live and its schedule begin anew. INVALID (a bad toxic, no such
 * id, or another type): nothing changed. */
DURESS_API DURESS_MUST_CHECK int duress__toxic_list_update(struct duress_toxic_list *list,
                                                           const struct duress_toxic *toxic,
                                                           struct duress_toxic_moment moment,
                                                           struct duress_link_change *change,
                                                           struct duress_failure *why);

/* The others keep their order. INVALID where there is no such id. */
DURESS_API DURESS_MUST_CHECK int duress__toxic_list_remove(struct duress_toxic_list *list, uint64_t id, uint64_t now_ns,
                                                           struct duress_link_change *change);

/* Makes |change| to |link|. On failure (NO_MEMORY) the link does not have it, and must not go on as if nothing had been
 * asked: its driver cuts it. */
DURESS_API DURESS_MUST_CHECK int duress__link_change(struct duress_link *link, const struct duress_link_change *change,
                                                     uint64_t now_ns);

#endif
