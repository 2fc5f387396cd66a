/* SPDX-License-Identifier: Apache-2.0
 *
 * A doubly linked ring through its members, with a head of its own. Members know neither the head nor their neighbours'
 * types, and leave whatever list they are in. */
#ifndef DURESS_AGENT_LIST_PRIVATE_H
#define DURESS_AGENT_LIST_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>

struct list_link {
    struct list_link *next; /* itself where it is in no list, or the head of an empty one */
    struct list_link *previous;
};

#define LIST_OWNER(link, type, member) ((type *)(void *)((char *)(link)-offsetof(type, member)))

static inline void list_init(struct list_link *link)
{
    link->next = link;
    link->previous = link;
}

static inline bool list_is_empty(const struct list_link *head)
{
    return head->next == head;
}

/* Nothing where it is in no list. */
static inline void list_remove(struct list_link *link)
{
    link->next->previous = link->previous;
    link->previous->next = link->next;
    list_init(link);
}

/* Leaves the list that |link| is in first. */
static inline void list_append(struct list_link *head, struct list_link *link)
{
    list_remove(link);
    link->previous = head->previous;
    link->next = head;
    head->previous->next = link;
    head->previous = link;
}

static inline void list_prepend(struct list_link *head, struct list_link *link)
{
    list_append(head->next, link);
}

#endif
