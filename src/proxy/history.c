/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

void duress__history_init(struct history *history, const struct duress_allocator *allocator)
{
    *history = (struct history){.allocator = allocator};
}

void duress__history_deinit(struct history *history)
{
    while (history->first != NULL) {
        struct history_entry *entry = history->first;
        history->first = entry->next;
        duress_release(history->allocator, entry);
    }
    duress__history_init(history, history->allocator);
}

struct history_entry *duress__history_add(struct history *history, uint64_t number, const struct duress_link *link)
{
    struct history_entry *entry = duress_allocate(history->allocator, sizeof *entry);
    if (entry == NULL)
        return NULL;
    *entry = (struct history_entry){.number = number, .link = link, .previous = history->last};
    if (history->last != NULL)
        history->last->next = entry;
    else
        history->first = entry;
    history->last = entry;
    return entry;
}

static void entry_forget(struct history *history, struct history_entry *entry)
{
    if (entry->previous != NULL)
        entry->previous->next = entry->next;
    else
        history->first = entry->next;
    if (entry->next != NULL)
        entry->next->previous = entry->previous;
    else
        history->last = entry->previous;
    duress_release(history->allocator, entry);
}

void duress__history_end(struct history *history, struct history_entry *entry)
{
    DURESS_ASSERT(entry->link != NULL);
    entry->stats = *duress_link_stats(entry->link);
    entry->link = NULL;
    if (history->last_ended != NULL)
        history->last_ended->next_ended = entry;
    else
        history->first_ended = entry;
    history->last_ended = entry;
    if (++history->ended_count <= HISTORY_ENDED_COUNT_MAX)
        return;
    struct history_entry *oldest = history->first_ended;
    history->first_ended = oldest->next_ended;
    history->ended_count--;
    entry_forget(history, oldest);
}

void duress__history_visit(const struct history *history, duress_link_visit_fn fn, void *context)
{
    for (const struct history_entry *entry = history->first; entry != NULL; entry = entry->next) {
        bool ended = entry->link == NULL;
        fn(context, entry->number, ended ? &entry->stats : duress_link_stats(entry->link), ended);
    }
}
