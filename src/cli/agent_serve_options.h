/* SPDX-License-Identifier: Apache-2.0
 *
 * The arguments of duress agent serve. */
#ifndef DURESS_CLI_AGENT_SERVE_OPTIONS_H
#define DURESS_CLI_AGENT_SERVE_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum serve_kind {
    SERVE_NOTHING = 0,
    SERVE_ECHO,
    SERVE_REVERSE,
    SERVE_COMMAND,
    SERVE_PROXY,
};

enum serve_failure {
    SERVE_FAIL_ERROR = 0,
    SERVE_FAIL_OVERLOADED,
    SERVE_FAIL_HANG,
    SERVE_FAIL_CORRUPT,
    SERVE_FAIL_TRUNCATE,
};

struct serve_options {
    const char *program;
    bool help;
    enum serve_kind kind;
    const char *const *arguments; /* of COMMAND: the program and its arguments, NULL at the end */
    const char *target;           /* of PROXY: its URL */
    const char *listen;
    uint64_t delay_ns_min; /* both 0: no delay */
    uint64_t delay_ns_max;
    uint32_t fail_ppm;
    enum serve_failure fail_as;
    bool fail_as_given;
    bool seeded;
    uint64_t seed;
    uint32_t concurrency; /* 0: as many as come */
    uint32_t requests_max;
    uint64_t timeout_ns; /* 0: none */
    uint64_t drain_ns;
    uint64_t output_bytes_max;
    bool output_given;
    bool quiet;
};

/* Reads them; whatever is wrong is said on standard error. False: usage. */
bool serve_options_read(struct serve_options *options, int argc, char **argv);

void serve_help_print(FILE *out, const char *program);

#endif
