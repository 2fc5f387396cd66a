/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the metrics layer, and the text that its exports are written with. */
#ifndef DURESS_MIDDLEWARE_METRICS_PRIVATE_H
#define DURESS_MIDDLEWARE_METRICS_PRIVATE_H

#include <duress/middleware/metrics.h>

#include "layer_private.h"

struct metrics_layer {
    struct layer layer;
    uint64_t ended[DURESS_ERROR_NUMBER_END]; /* by -code */
    struct duress_histogram succeeded;       /* durations, in nanoseconds */
    struct duress_histogram failed;
};

/* The outermost metrics layer, from |agent| inwards; NULL where there is none. */
const struct metrics_layer *duress__metrics_of(const struct duress_agent *agent);

/* --- text: written as snprintf() writes, and counted where there is no room --- */

struct text {
    char *buffer;
    size_t bytes;
    size_t length; /* of everything, whether it had room or not */
};

void duress__text_put(struct text *text, const char *string);
void duress__text_format(struct text *text, const char *format, ...) DURESS_PRINTF(2, 3);
/* |nanoseconds| as seconds, exactly and without trailing zeros: "0.25". */
void duress__text_seconds(struct text *text, uint64_t nanoseconds);

enum text_escape {
    TEXT_JSON,       /* inside the quotes of a JSON string */
    TEXT_PROMETHEUS, /* inside the quotes of a label's value */
};
/* |string| so that it may stand between quotes. What is no UTF-8 becomes U+FFFD. */
void duress__text_quoted(struct text *text, enum text_escape escape, const char *string);

/* The name of an error in lower case; "ok" for 0. */
void duress__text_error_name(struct text *text, int code);

/* Ends the text with a NUL, and returns its length or DURESS_E_TOO_LARGE. */
int duress__text_end(struct text *text);

#endif
