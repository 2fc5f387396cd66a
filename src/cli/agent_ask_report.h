/* SPDX-License-Identifier: Apache-2.0
 *
 * What duress agent ask prints: answers, failures, and the table at the end. */
#ifndef DURESS_CLI_AGENT_ASK_REPORT_H
#define DURESS_CLI_AGENT_ASK_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/agent/agent.h>

struct ask_report {
    const char *program;
    bool json;
    bool quiet;
    bool streams;
    bool line_open;         /* the last chunk did not end its line */
    uint64_t failures;      /* cancelled calls included */
    uint64_t failures_told; /* one by one */
};

/* One chunk of the |number|-th call's stream, as it comes. */
void ask_report_chunk(struct ask_report *report, uint64_t number, struct duress_message *chunk);

/* How the |number|-th call ended. */
void ask_report_end(struct ask_report *report, uint64_t number, const struct duress_result *result);

/* Outcomes and latencies, from the metrics of |stack|, and what its layers did; to standard error. */
void ask_report_table(const struct ask_report *report, const struct duress_agent *stack, uint64_t took_ns);

#endif
