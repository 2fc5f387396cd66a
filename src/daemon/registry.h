/* SPDX-License-Identifier: Apache-2.0
 *
 * The proxies and toxics that the daemon has, by name: data, without a socket. Who changes an entry in several steps
 * prepares first (what needs memory) and then takes the step that cannot fail. Private to daemon/. */
#ifndef DURESS_DAEMON_REGISTRY_H
#define DURESS_DAEMON_REGISTRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/allocator.h>
#include <duress/base/text.h>
#include <duress/proxy/workers.h>
#include <duress/toxic/toxic.h>

#include "attribute.h"

struct relay;

struct toxic_entry {
    char *name;
    char *stream; /* as it was given */
    float toxicity;
    struct attributes attributes;
    struct duress_toxic toxic; /* what links are told */
    uint64_t expires_ns;       /* when it ends by itself; NEVER */
    bool is_expiring;          /* its removal is under way */
};

/* Figures of a proxy's connections. */
struct traffic {
    uint64_t accepted;
    uint64_t failed_dials;
    uint64_t dial_sum_ns;
    uint64_t dials[DURESS_WORKERS_DIAL_BUCKET_COUNT];
    uint64_t received_bytes[DURESS_DIRECTION_COUNT]; /* read from the direction's source */
    uint64_t sent_bytes[DURESS_DIRECTION_COUNT];     /* written to its sink */
};

struct proxy_entry {
    char *name;
    char *listen; /* as given, until it listens; then as resolved */
    char *upstream;
    bool enabled;
    struct relay *relay;         /* NULL, or one of |listen| and |upstream|: up where it is enabled */
    struct toxic_entry **toxics; /* in order of creation, both directions */
    size_t toxic_count;
    size_t toxic_capacity;
    struct traffic past; /* of relays that are gone */
};

struct registry {
    const struct duress_allocator *allocator;
    struct proxy_entry **proxies; /* by name, in the order of bytes */
    size_t count;
    size_t capacity;
};

void duress__registry_init(struct registry *registry, const struct duress_allocator *allocator);

/* Frees all entries; their relays are gone before. */
void duress__registry_deinit(struct registry *registry);

/* NULL where there is none of that name. */
struct proxy_entry *duress__registry_find(const struct registry *registry, const char *name);

/* Makes room for one more. NO_MEMORY. */
DURESS_MUST_CHECK int duress__registry_reserve(struct registry *registry);

/* Takes |proxy|, whose name is free; room was made. */
void duress__registry_add(struct registry *registry, struct proxy_entry *proxy);

/* Gives |proxy| back to the caller. */
void duress__registry_remove(struct registry *registry, const struct proxy_entry *proxy);

/* A new entry, disabled and without a relay; copies the texts. NULL without memory. Free with
 * duress__proxy_entry_free(). */
struct proxy_entry *duress__proxy_entry_new(const struct duress_allocator *allocator, const char *name,
                                            const char *listen, const char *upstream);
/* NULL is allowed. Its relay is gone before. */
void duress__proxy_entry_free(const struct duress_allocator *allocator, struct proxy_entry *proxy);

/* NULL where there is none of that name, in either direction. */
struct toxic_entry *duress__proxy_toxic_find(const struct proxy_entry *proxy, const char *name);

/* A new entry; copies the texts. Its id comes from its name alone, so that the same toxic draws the same again. NULL
 * without memory. */
struct toxic_entry *duress__toxic_entry_new(const struct duress_allocator *allocator, const struct proxy_entry *proxy,
                                            const char *name, const char *stream);
/* NULL is allowed. */
void duress__toxic_entry_free(const struct duress_allocator *allocator, struct toxic_entry *toxic);

/* Sets toxicity and attributes of |toxic|, and with them what links are told. False with the refusal where they do not
 * go together. */
bool duress__toxic_entry_set(struct toxic_entry *toxic, float toxicity, const struct attributes *attributes,
                             struct refusal *refusal);

DURESS_MUST_CHECK int duress__proxy_toxic_reserve(const struct duress_allocator *allocator, struct proxy_entry *proxy);
/* Takes |toxic|; room was made. */
void duress__proxy_toxic_add(struct proxy_entry *proxy, struct toxic_entry *toxic);
/* Gives |toxic| back to the caller. */
void duress__proxy_toxic_remove(struct proxy_entry *proxy, const struct toxic_entry *toxic);

#endif
