/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of hosts, looked up without waiting: a table of one task's names. What /etc/hosts and /etc/nsswitch.conf say
 * holds; a name server that is silent is waited for 10 s. Private to daemon/. */
#ifndef DURESS_DAEMON_NAMES_H
#define DURESS_DAEMON_NAMES_H

#include <stdbool.h>
#include <stddef.h>

#include <duress/allocator.h>
#include <duress/error.h>
#include <duress/loop/loop.h>

#include "address.h"

struct name; /* opaque: one of them */

/* In its owner's memory; begins zeroed but for the first four. */
struct names {
    const struct duress_allocator *allocator;
    struct duress_loop *loop;
    void (*done)(void *context); /* called once all names that were asked for have been answered */
    void *context;
    struct name *first;
    size_t pending_count;
};

enum names_result {
    NAMES_FOUND,
    NAMES_NOT_FOUND,
    NAMES_UNKNOWN, /* not asked yet */
};

/* The address for |parts|: at once where its host is numeric, empty or "localhost", else from the table. */
enum names_result duress__names_address(const struct names *names, const struct address_parts *parts,
                                        struct address *address);

/* Puts |host| into the table, to be asked by duress__names_begin(). Nothing where it is there. NO_MEMORY. */
DURESS_MUST_CHECK int duress__names_want(struct names *names, const char *host);

/* Asks for all that is new in the table. True where |done| will be called; false where nothing is new. */
bool duress__names_begin(struct names *names);

/* Forgets them all; nobody is called any more. */
void duress__names_clear(struct names *names);

#endif
