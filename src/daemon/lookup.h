/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of hosts, looked up without waiting: a table of one task's names, filled by the C library on libuv's threads
 * (what /etc/hosts and /etc/nsswitch.conf say holds). Private to daemon/. */
#ifndef DURESS_DAEMON_LOOKUP_H
#define DURESS_DAEMON_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>

#include <duress/allocator.h>
#include <duress/error.h>
#include <duress/loop/loop.h>

#include "address.h"

struct lookup; /* of one name */

/* In its owner's memory; begins zeroed but for the first three. */
struct lookup_table {
    const struct duress_allocator *allocator;
    struct duress_loop *loop;
    void (*done)(void *context); /* called once all names that were asked for have been answered */
    void *context;
    struct lookup *first;
    size_t pending_count;
};

enum lookup_result {
    LOOKUP_FOUND,
    LOOKUP_NOT_FOUND,
    LOOKUP_UNKNOWN, /* not asked yet */
};

/* The address for |parts|: at once where its host is numeric, empty or "localhost", else from the table. */
enum lookup_result duress__lookup_address(const struct lookup_table *table, const struct address_parts *parts,
                                          struct address *address);

/* Puts |host| into the table, to be asked by duress__lookup_begin(). Nothing where it is there. NO_MEMORY. */
DURESS_MUST_CHECK int duress__lookup_want(struct lookup_table *table, const char *host);

/* Asks for all that is new in the table. True where |done| will be called; false where nothing is new. */
bool duress__lookup_begin(struct lookup_table *table);

/* Frees the table's names; none is pending. */
void duress__lookup_clear(struct lookup_table *table);

#endif
