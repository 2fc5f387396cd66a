/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/toxic/link_history_private.h>

void duress__link_history_init(struct duress_link_history *history, const struct duress_allocator *allocator)
{
    *history = (struct duress_link_history){.allocator = allocator};
}

void duress__link_history_deinit(struct duress_link_history *history)
{
    while (history->first != NULL) {
        struct duress_link_history_entry *entry = history->first;
        history->first = entry->next;
        duress_release(history->allocator, entry);
    }
    duress__link_history_init(history, history->allocator);
}

struct duress_link_history_entry *duress__link_history_add(struct duress_link_history *history, uint64_t number,
                                                           const struct duress_link *link)
{
    struct duress_link_history_entry *entry = duress_allocate(history->allocator, sizeof *entry);
    if (entry == NULL)
        return NULL;
    *entry = (struct duress_link_history_entry){.number = number, .link = link, .previous = history->last};
    if (history->last != NULL)
        history->last->next = entry;
    else
        history->first = entry;
    history->last = entry;
    return entry;
}

static void entry_forget(struct duress_link_history *history, struct duress_link_history_entry *entry)
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

void duress__link_history_end(struct duress_link_history *history, struct duress_link_history_entry *entry)
{
    DURESS_ASSERT(entry->link != NULL);
    entry->stats = *duress_link_stats(entry->link);
    entry->link = NULL;
    if (history->last_ended != NULL)
        history->last_ended->next_ended = entry;
    else
        history->first_ended = entry;
    history->last_ended = entry;
    if (++history->ended_count <= DURESS_LINK_HISTORY_ENDED_COUNT_MAX)
        return;
    struct duress_link_history_entry *oldest = history->first_ended;
    history->first_ended = oldest->next_ended;
    history->ended_count--;
    entry_forget(history, oldest);
}

void duress__link_history_visit(const struct duress_link_history *history, duress_link_visit_fn fn, void *context)
{
    for (const struct duress_link_history_entry *entry = history->first; entry != NULL; entry = entry->next) {
        bool ended = entry->link == NULL;
        fn(context, entry->number, ended ? &entry->stats : duress_link_stats(entry->link), ended);
    }
}
