/* SPDX-License-Identifier: Apache-2.0
 *
 * Predicates over messages, for duress_conditional_new(): those that agenkit has. Any function of this type will do.
 *
 *     struct duress_metadata_value german = {"language", "\"de\""};
 *     struct duress_route routes[] = {
 *         {duress_content_contains, "invoice", billing},
 *         {duress_metadata_is, &german, german_desk},
 *     };
 *
 * All of them are pure and thread-safe. */
#ifndef DURESS_COMPOSE_PREDICATE_H
#define DURESS_COMPOSE_PREDICATE_H

#include <stdbool.h>
#include <stddef.h>

#include <duress/export.h>
#include <duress/message.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Decides only: must not cancel the call whose |request| it is. */
typedef bool (*duress_predicate_fn)(const void *context, const struct duress_message *request);

/* |context| is a text, const char *. An empty one is contained in everything. */
DURESS_API bool duress_content_contains(const void *context, const struct duress_message *request);
DURESS_API bool duress_role_is(const void *context, const struct duress_message *request);

/* |context| is a key, const char *, as it stands between its quotes in the JSON text of the metadata. False where the
 * metadata is no JSON object. */
DURESS_API bool duress_metadata_has(const void *context, const struct duress_message *request);

struct duress_metadata_value {
    const char *key;
    const char *json; /* the value's text: "\"de\"", "7", "true"; compared byte by byte */
};

/* |context| is a const struct duress_metadata_value *. Of a key that stands there more than once the last counts. */
DURESS_API bool duress_metadata_is(const void *context, const struct duress_message *request) DURESS_NONNULL(1);

struct duress_predicate {
    duress_predicate_fn fn;
    const void *context;
};

/* |context| is an array of const struct duress_predicate that ends with an fn of NULL: whether all (of an empty one:
 * true), any (false), or none (true) of them hold. */
DURESS_API bool duress_all_of(const void *context, const struct duress_message *request) DURESS_NONNULL(1);
DURESS_API bool duress_any_of(const void *context, const struct duress_message *request) DURESS_NONNULL(1);
DURESS_API bool duress_none_of(const void *context, const struct duress_message *request) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
