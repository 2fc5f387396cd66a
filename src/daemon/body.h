/* SPDX-License-Identifier: Apache-2.0
 *
 * The bodies of requests: JSON with the habits that clients of Toxiproxy lean on. Only the first value counts; keys
 * match in any case, and the last one wins; null means "not given"; unknown keys are ignored. Private to daemon/. */
#ifndef DURESS_DAEMON_BODY_H
#define DURESS_DAEMON_BODY_H

#include <stdbool.h>

#include <jansson.h>

#include <duress/slice.h>

#include "refusal.h"

/* Reads the first value of |bytes|; returned, free with json_decref(). NULL with the refusal where there is none. */
json_t *duress__body_parse(struct duress_slice bytes, struct refusal *refusal);

/* What a proxy is said to be. Texts are borrowed from the tree; NULL where they were not given. */
struct proxy_body {
    const char *name;
    const char *listen;
    const char *upstream;
    bool enabled;         /* as it was before, where it was not given */
    const json_t *toxics; /* of any kind, or NULL */
};

/* Overlays |value| (an object or null) on |body|. False with the refusal where something has the wrong kind. */
bool duress__body_proxy(const json_t *value, struct proxy_body *body, struct refusal *refusal);

struct toxic_body {
    const char *name;
    const char *type;
    const char *stream;
    float toxicity;           /* as it was before, where it was not given */
    const json_t *attributes; /* of any kind, or NULL */
};

bool duress__body_toxic(const json_t *value, struct toxic_body *body, struct refusal *refusal);

/* "bad request body: json: cannot unmarshal string into field |field| of type |wanted|". Returns false. */
bool duress__body_kind_refuse(struct refusal *refusal, const json_t *value, const char *field, const char *wanted);

#endif
