/* SPDX-License-Identifier: Apache-2.0
 *
 * What is seen while the tests run: on a terminal one line that is written over; elsewhere failures as they come. */
#include "runner.h"

#include <stdlib.h>
#include <unistd.h>

static bool is_terminal(FILE *out)
{
    return isatty(fileno(out)) == 1;
}

const char *chaos__colour(FILE *out, const char *code)
{
    return is_terminal(out) && getenv("NO_COLOR") == NULL ? code : "";
}

void chaos__progress(const struct runner *runner, const struct runner_entry *entry, size_t done_count)
{
    if (is_terminal(stderr)) {
        if (done_count == runner->entry_count)
            (void)fprintf(stderr, "\r\033[K");
        else
            (void)fprintf(stderr, "\r\033[K%zu of %zu tests done", done_count, runner->entry_count);
        (void)fflush(stderr);
    }
    if (entry != NULL && chaos__runner_is_failure(entry->result))
        (void)fprintf(stderr, "%s%s.%s (%s): %s\n", is_terminal(stderr) ? "\r\033[K" : "", entry->test->group,
                      entry->test->name, entry->driver->name, chaos__runner_result_name(entry->result));
}
