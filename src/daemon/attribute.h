/* SPDX-License-Identifier: Apache-2.0
 *
 * The attributes of toxics as clients see them: names, order, units. The one place in daemon/ that knows what a type of
 * toxic is made of. Private to daemon/. */
#ifndef DURESS_DAEMON_ATTRIBUTE_H
#define DURESS_DAEMON_ATTRIBUTE_H

#include <jansson.h>

#include <duress/toxic/toxic.h>

#include "json_out.h"
#include "refusal.h"

#define ATTRIBUTES_MAX 4 /* of one type */

/* What a client gave, and is shown again: for each attribute of the type, in order. */
struct attributes {
    int64_t values[ATTRIBUTES_MAX];
};

/* The types that clients may make: all but those of our own tests. False where |name| is none. */
bool duress__attribute_type(const char *name, enum duress_toxic_type *type);

/* Overlays |given| (an object, NULL or null: none; an empty array counts as an empty object) on |attributes|. Keys
 * match in any case; unknown ones are ignored. False, with the refusal, where a value is no integer; |attributes| is
 * then as it was. */
bool duress__attributes_merge(enum duress_toxic_type type, const json_t *given, struct attributes *attributes,
                              struct refusal *refusal);

/* Puts the attributes into the toxic's settings. What is out of range is taken as the nearest that is in it. */
void duress__attributes_apply(const struct attributes *attributes, struct duress_toxic *toxic);

/* Writes the object of all attributes of the type. */
void duress__attributes_write(enum duress_toxic_type type, const struct attributes *attributes, struct json_out *out);

#endif
