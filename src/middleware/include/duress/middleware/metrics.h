/* SPDX-License-Identifier: Apache-2.0
 *
 * The metrics layer: counts the calls that go through it by how they ended, and measures how long they took. It changes
 * nothing about them. Outermost in a stack it sees what callers see; it also speaks for the layers inside of it, each
 * with its counts and its own figures (attempts, the breaker's state and its changes, hedges …), down to the first
 * agent that is no layer of this library.
 *
 * All of it can be read at any time, from the thread of the agent's world: as structs, as a JSON object, or in the text
 * format of Prometheus (exposition format 0.0.4). Nothing is allocated to read.
 *
 * Durations are kept apart by result, since failures tend to be quick, or as slow as a timeout, and would say nothing
 * of the service in one histogram with the answers. A call that was cancelled is counted, and has no duration.
 * Histograms are those of duress/policy/histogram.h: quantiles are never told too small, and at most 1/64 too large. */
#ifndef DURESS_MIDDLEWARE_METRICS_H
#define DURESS_MIDDLEWARE_METRICS_H

#include <duress/middleware/layer.h>
#include <duress/policy/histogram.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_metrics_options {
    const char *name; /* of the service, in exports and as the agent's name: 1 to 63 bytes, copied. NULL: the inner
                       * agent's name */
};

/* Wraps |inner|. |options| are copied; NULL for the defaults. Returns in *outer, free with duress_agent_unref(). The
 * layer takes 38 KB, for its two histograms. DURESS_E_INVALID with the field in |why| (may be NULL),
 * DURESS_E_NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_with_metrics(struct duress_agent *inner,
                                                     const struct duress_metrics_options *options,
                                                     struct duress_agent **outer, struct duress_failure *why);

/* --- as structs --- */

struct duress_metrics {
    struct duress_layer_counts calls;
    uint64_t ended[DURESS_ERROR_NUMBER_END]; /* by the code they ended with: [0] replies, [-DURESS_E_RESET] resets, …;
                                              * their sum is calls.begun - calls.in_flight. A number that is no
                                              * code counts as DURESS_E_INVALID */
    struct duress_histogram_summary succeeded; /* durations of calls that were answered, in nanoseconds */
    struct duress_histogram_summary failed;    /* of those that ended with any failure but DURESS_E_CANCELLED */
};

/* The figures of the outermost metrics layer, looked for from |agent| inwards. DURESS_E_INVALID where there is none, or
 * |metrics| is NULL. */
DURESS_API DURESS_MUST_CHECK int duress_metrics_read(const struct duress_agent *agent, struct duress_metrics *metrics);

/* Begins to count anew, but for the calls in flight, which count as begun after the reset. The layers inside keep their
 * figures. Nothing where there is no metrics layer. */
DURESS_API void duress_metrics_reset(struct duress_agent *agent);

/* One number of a layer's own. The texts live as long as the library. */
struct duress_metrics_figure {
    const char *name; /* "attempts" */
    const char *help; /* one line for people */
    enum duress_figure_type type;
    const char *label;       /* NULL, or what tells figures of one name apart: "state" */
    const char *label_value; /* with |label|: "half-open" */
    uint64_t value;          /* nanoseconds where |type| is a duration */
};

struct duress_metrics_layer {
    const char *kind; /* "retry" */
    struct duress_layer_counts calls;
    size_t figure_count;
    struct duress_metrics_figure figures[DURESS_LAYER_FIGURES_MAX];
};

/* Copies the figures of the layers inside of the metrics layer, outermost first, at most |capacity| of them, and
 * returns how many there are, which may be more. 0 where there is no metrics layer. */
DURESS_API size_t duress_metrics_layers(const struct duress_agent *agent, struct duress_metrics_layer *layers,
                                        size_t capacity);

/* --- as text --- */

/* Writes one JSON object with everything above to |buffer|, as snprintf() would: at most |bytes| bytes with a NUL at
 * the end, and returns the length of the whole text without the NUL, whatever had room. So a result of |bytes| or more
 * means that the text was cut. |buffer| may be NULL where |bytes| is 0. DURESS_E_INVALID where there is no metrics
 * layer. */
DURESS_API DURESS_MUST_CHECK int duress_metrics_json(const struct duress_agent *agent, char *buffer, size_t bytes);

/* The same in the text format of Prometheus (Content-Type: text/plain; version=0.0.4), for |count| agents in one
 * exposition; docs/middleware/metrics.md lists the families. Bounds of buckets are within 1/64: a number up to 1.6 %
 * above |le| may be counted. DURESS_E_INVALID as well where two of the agents have the same name: their series could
 * not be told apart. */
DURESS_API DURESS_MUST_CHECK int duress_metrics_prometheus(struct duress_agent *const *agents, size_t count,
                                                           char *buffer, size_t bytes);

#ifdef __cplusplus
}
#endif

#endif
