/* SPDX-License-Identifier: Apache-2.0
 *
 * The attributes of toxics as JSON, by the one table of duress/toxic/attribute.h. What a client sent is kept as it was
 * sent, and echoed; what links are told may be the nearest that makes sense. Private to daemon/. */
#ifndef DURESS_DAEMON_ATTRIBUTE_H
#define DURESS_DAEMON_ATTRIBUTE_H

#include <jansson.h>

#include <duress/toxic/attribute.h>
#include <duress/toxic/toxic.h>

#include "json_out.h"
#include "refusal.h"

#define ATTRIBUTES_MAX 8        /* of one type */
#define COMMON_ATTRIBUTES_MAX 4 /* of all: they stand beside "toxicity" */

/* The numbers as they were given, in the order of the tables. */
struct attributes {
    int64_t values[ATTRIBUTES_MAX];
    int64_t common[COMMON_ATTRIBUTES_MAX];
};

/* Each at its default. */
void duress__attributes_init(enum duress_toxic_type type, struct attributes *attributes);

/* Overlays |given| (an object, NULL or null: none; an empty array counts as an empty object) on the type's own, and
 * what |toxic| (the whole object) says of the common ones. Keys match in any case; unknown ones are ignored. False,
 * with the refusal, where a value is no integer or out of range; |attributes| is then as it was. */
bool duress__attributes_merge(enum duress_toxic_type type, const json_t *given, const json_t *toxic,
                              struct attributes *attributes, struct refusal *refusal);

/* Puts the attributes into |toxic|'s settings and checks them together. False with the refusal. */
bool duress__attributes_apply(const struct attributes *attributes, struct duress_toxic *toxic, struct refusal *refusal);

/* Writes the object of all attributes of the type. */
void duress__attributes_write(enum duress_toxic_type type, const struct attributes *attributes, struct json_out *out);

/* Writes the common ones that are not at their defaults, each with a comma before it. */
void duress__attributes_write_common(const struct attributes *attributes, struct json_out *out);

#endif
