/* SPDX-License-Identifier: Apache-2.0
 *
 * The attributes of each type of toxic, as Toxiproxy's API, the command line and the documents know them: whole
 * numbers with a name and a unit, in one table. Whoever reads or writes a toxic as JSON, offers it as a flag or lists
 * it for people goes through this table, and never names a field of struct duress_toxic himself:
 *
 *     duress_toxic_init(&toxic, DURESS_TOXIC_SLICER);                    everything as if nothing was given
 *     attributes = duress_toxic_type_attributes(toxic.type, &count);     in the order in which they are echoed
 *     attribute = duress_toxic_attribute_find(toxic.type, "delay");      NULL: unknown, and ignored by Toxiproxy
 *     error = duress_toxic_attribute_set(attribute, &toxic, 250, &why);  250 of attribute->unit, here us
 *     value = duress_toxic_attribute_get(attribute, &toxic);             back in that unit
 *
 * Toxiproxy's own types take every 64-bit number (|is_clamped|): what is below the least counts as the least, what no
 * clock can hold as "never". So a value may come back as another; an API that echoes what was sent keeps the numbers
 * that it was sent. Our own types refuse what is out of range.
 *
 * Three more attributes belong to the toxic and not to its type (a time to live, a schedule): see
 * duress_toxic_common_attributes(). In JSON they stand beside "toxicity", not within "attributes".
 *
 * Tables are constant. A toxic belongs to the caller; nothing here keeps it. */
#ifndef DURESS_TOXIC_ATTRIBUTE_H
#define DURESS_TOXIC_ATTRIBUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/toxic/toxic.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_toxic_attribute {
    const char *name;          /* as JSON and the command line spell it: "latency" */
    const char *unit;          /* of the number: "ms", "us", "bytes", "KB/s" (of 1000 bytes), "ppm"; "" for a count */
    const char *summary;       /* what it says, in a few words, for help texts */
    const char *fraction_name; /* the same thing as a fraction of 1 under another name, as newer Toxiproxys have it
                                  ("loss_rate": 0.1 is loss_ppm 100000); NULL where there is none */
    int64_t value_default;     /* where it is not given */
    int64_t value_min;         /* the least that is allowed */
    int64_t value_max;         /* the most */
    bool is_clamped;           /* what is out of range counts as the nearest in it; else it is refused */
    bool is_ordinal;           /* private: 1 is the first, 0 is none */
    uint16_t field_offset;     /* private, as is the rest: where and how struct duress_toxic holds it */
    uint16_t field_bytes;
    uint64_t field_scale; /* units of the field in one of |unit| */
};

/* The attributes of |type| in the order in which they are echoed; *count of them, 0 for a type that has none or does
 * not exist. */
DURESS_API const struct duress_toxic_attribute *duress_toxic_type_attributes(enum duress_toxic_type type, size_t *count)
    DURESS_NONNULL(2);

/* Those that every toxic has: "ttl", "period" and "on", in milliseconds, all 0 by default. Both count from the toxic's
 * creation or last update: a client that keeps updating keeps a dead man's switch from acting. */
DURESS_API const struct duress_toxic_attribute *duress_toxic_common_attributes(size_t *count) DURESS_NONNULL(1);

/* The attribute of |type| that is called |name|, compared without regard to case, as Toxiproxy does. NULL where there
 * is none. |name| may also be a fraction_name: *is_fraction (may be NULL) says so, and the number, from 0 to 1, is to
 * be multiplied by DURESS_PPM. */
DURESS_API const struct duress_toxic_attribute *duress_toxic_attribute_find(enum duress_toxic_type type,
                                                                            const char *name, bool *is_fraction);

/* What the type does to a connection, in a few words, for lists and help; NULL outside the enum. */
DURESS_API const char *duress_toxic_type_summary(enum duress_toxic_type type);

/* Whether Toxiproxy 2.x knows the type: whether its clients can bear to see it in a list. */
DURESS_API bool duress_toxic_type_is_toxiproxys(enum duress_toxic_type type);

/* A downstream toxic of |type| (which must exist) that acts on every connection, with every attribute at its default.
 * Its id is 0. */
DURESS_API void duress_toxic_init(struct duress_toxic *toxic, enum duress_toxic_type type) DURESS_NONNULL(1);

/* Sets the attribute of |toxic|, which must be of the attribute's type. DURESS_OK, or DURESS_E_INVALID with the name,
 * the value and what is allowed in |why| (may be NULL), and nothing changed. What two attributes say together is for
 * duress_toxic_check() to judge. */
DURESS_API DURESS_MUST_CHECK int duress_toxic_attribute_set(const struct duress_toxic_attribute *attribute,
                                                            struct duress_toxic *toxic, int64_t value,
                                                            struct duress_failure *why);

/* The attribute's number as |toxic| has it, rounded down to whole units. */
DURESS_API int64_t duress_toxic_attribute_get(const struct duress_toxic_attribute *attribute,
                                              const struct duress_toxic *toxic) DURESS_NONNULL(1);

#ifdef __cplusplus
}
#endif

#endif
