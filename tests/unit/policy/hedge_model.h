/* SPDX-License-Identifier: Apache-2.0
 *
 * Hedging as one would explain it, with every sample kept and every attempt in a list: slow and obvious. */
#ifndef HEDGE_MODEL_H
#define HEDGE_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/policy/hedge.h>

enum { HEDGE_MODEL_SAMPLES = 4096 };

struct hedge_model_sample {
    uint64_t latency_ns;
    uint64_t window; /* number of the window that it fell into */
};

struct hedge_model_attempt {
    uint64_t begun_ns;
    bool running;
};

struct hedge_model {
    struct duress_hedge_options options; /* complete */
    struct hedge_model_sample samples[HEDGE_MODEL_SAMPLES];
    size_t sample_count;
    bool knows_origin;
    uint64_t origin_ns; /* the first instant that it was told of: windows are counted from there */
    uint64_t latest_ns;

    /* The call. */
    struct hedge_model_attempt attempts[DURESS_HEDGE_ATTEMPTS_MAX];
    size_t attempt_count;
    bool idempotent;
    bool stopped;
    bool answering;
    uint64_t delay_ns;
    uint64_t deadline_ns;
};

void hedge_model_init(struct hedge_model *model, const struct duress_hedge_options *options);
uint64_t hedge_model_delay_ns(struct hedge_model *model, uint64_t now_ns);
size_t hedge_model_samples(const struct hedge_model *model);
void hedge_model_begin(struct hedge_model *model, bool idempotent, uint64_t deadline_ns, uint64_t now_ns);
uint64_t hedge_model_next_ns(const struct hedge_model *model);
void hedge_model_another(struct hedge_model *model, uint64_t now_ns);
size_t hedge_model_running(const struct hedge_model *model);
/* The |which|-th attempt of those that run, the oldest first. */
struct hedge_model_attempt *hedge_model_attempt(struct hedge_model *model, size_t which);
enum duress_hedge_verdict hedge_model_ended(struct hedge_model *model, struct hedge_model_attempt *attempt,
                                            bool success, uint64_t now_ns);
void hedge_model_answering(struct hedge_model *model, struct hedge_model_attempt *attempt, uint64_t now_ns);
void hedge_model_given_up(struct hedge_model *model, struct hedge_model_attempt *attempt, uint64_t now_ns);

#endif
