/* SPDX-License-Identifier: Apache-2.0
 *
 * A token bucket to compare with: remembers every call and counts anew, in fractions that never overflow, for each
 * question. Slow and obvious. */
#ifndef BUCKET_MODEL_H
#define BUCKET_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/policy/bucket.h>

#define BUCKET_MODEL_TAKES_MAX 1000

struct bucket_take {
    uint64_t at_ns;
    uint32_t tokens;
    bool given_back;
};

struct bucket_model {
    struct duress_bucket_options options; /* complete: no zeroes */
    struct bucket_take takes[BUCKET_MODEL_TAKES_MAX];
    uint32_t count;
};

enum bucket_view {
    BUCKET_WITHOUT_GIVEN_BACK, /* as if what was given back had never been taken */
    BUCKET_WITH_GIVEN_BACK,    /* as if nothing had been given back */
};

/* When |tokens| will have come in that are taken one lot after the other; |now_ns| where they are there. */
uint64_t bucket_model_ready_ns(const struct bucket_model *model, enum bucket_view view, uint64_t tokens,
                               uint64_t now_ns);

void bucket_model_take(struct bucket_model *model, uint32_t tokens, uint64_t now_ns);

/* The newest take that has not been given back; NULL where there is none. */
struct bucket_take *bucket_model_newest(struct bucket_model *model);

/* True where no stretch of time, from any take to any later one, has more tokens than burst + rate * T. In order of
 * their instants. */
bool bucket_model_is_within_bound(const struct bucket_model *model);

#endif
