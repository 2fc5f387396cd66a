/* SPDX-License-Identifier: Apache-2.0
 *
 * The arguments of duress agent ask. */
#ifndef DURESS_CLI_AGENT_ASK_OPTIONS_H
#define DURESS_CLI_AGENT_ASK_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include <duress/agent_http/client.h>
#include <duress/middleware/stack.h>

struct ask_options {
    const char *program;
    bool help;
    const char *url;
    const char *message; /* "-": standard input */

    uint64_t repeat_count;
    uint32_t concurrency;
    uint64_t deadline_ns; /* of each call; 0: none */
    bool idempotent;
    bool stream;
    bool json;
    bool quiet;

    uint64_t connect_timeout_ns;
    const char *headers[DURESS_HTTP_HEADERS_MAX];
    uint32_t header_count;
    const char *ca_file;
    bool insecure;

    /* The layers that are asked for, and their options. */
    struct duress_stack_options stack;
    struct duress_metrics_options metrics;
    struct duress_cache_layer_options cache;
    struct duress_bulkhead_layer_options bulkhead;
    struct duress_rate_limiter_options rate_limiter;
    struct duress_retry_options retry;
    struct duress_retry_budget retry_budget;
    struct duress_hedge_layer_options hedge;
    struct duress_breaker_layer_options breaker;
    struct duress_timeout_options timeout;
};

/* Reads them; whatever is wrong is said on standard error. False: usage. |options| must stay where it is. */
bool ask_options_read(struct ask_options *options, int argc, char **argv);

void ask_help_print(FILE *out, const char *program);

#endif
