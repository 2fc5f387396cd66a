/* SPDX-License-Identifier: Apache-2.0
 *
 * Metadata of messages: the members of a JSON object's text. Only what is needed to tell members apart is looked at;
 * values stay text, and are checked where they cross a wire. */
#ifndef DURESS_COMPOSE_METADATA_H
#define DURESS_COMPOSE_METADATA_H

#include <stdbool.h>

#include <duress/agent/agent.h>

struct metadata_member {
    struct duress_slice key; /* between its quotes, with its escapes */
    struct duress_slice value;
};

enum metadata_step {
    METADATA_MEMBER = 1,
    METADATA_END,
    METADATA_MALFORMED,
};

/* The member of |text| at *at (0 to begin with), which moves on. */
enum metadata_step duress__metadata_next(struct duress_slice text, size_t *at, struct metadata_member *member);

/* Whether |text| is one object whole. */
bool duress__metadata_is_object(struct duress_slice text);

/* What is added to the metadata of the reply of an agent that was chosen among several. */
struct annotation {
    const char *agent_key;
    const char *agent_name;
    const char *place_key;
    size_t place; /* from 1; 0: the word "default" */
};

/* A copy of |message| with |annotation|, which replaces members of the same keys. Metadata that is no object is left
 * out. DURESS_E_NO_MEMORY, DURESS_E_INVALID (as duress_message_new()). */
DURESS_MUST_CHECK int duress__metadata_annotate(struct duress_world *world, const struct duress_message *message,
                                                const struct annotation *annotation, struct duress_message **annotated);

#endif
