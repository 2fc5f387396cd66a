/* SPDX-License-Identifier: Apache-2.0
 *
 * Flags in the manner of Go's programs: one or two dashes, "-port 1" or "-port=1"; switches take "-x" or "-x=false"
 * only; the first word that is no flag ends them, and so does "--". */
#ifndef DURESS_CLI_GO_FLAGS_H
#define DURESS_CLI_GO_FLAGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum go_flag_kind {
    GO_FLAG_TEXT,    /* const char ** */
    GO_FLAG_SWITCH,  /* bool * */
    GO_FLAG_INTEGER, /* int64_t *, decimal, or with 0x, 0o, 0b, 0 in front */
    GO_FLAG_TEXTS,   /* struct go_flag_texts *: may be given again */
};

struct go_flag {
    const char *name;
    enum go_flag_kind kind;
    void *value;
    const char *usage;
    bool given; /* set by go_flags_read() */
};

#define GO_FLAG_TEXTS_MAX 64

struct go_flag_texts {
    const char *texts[GO_FLAG_TEXTS_MAX];
    size_t count;
};

enum go_flags_result {
    GO_FLAGS_READ,
    GO_FLAGS_HELP, /* -h or -help, and no flag of that name */
    GO_FLAGS_BAD,  /* a message was printed to standard error */
};

/* Reads the flags behind |argv|[0]; *rest is the index of the first word that is none. */
enum go_flags_result go_flags_read(struct go_flag *flags, size_t flag_count, int argc, char **argv, int *rest);

/* Whether a flag with that |value| was given, by any of its names. */
bool go_flag_given(const struct go_flag *flags, size_t flag_count, const void *value);

/* Prints the flags as Go does, to standard error. */
void go_flags_usage(const char *program, const struct go_flag *flags, size_t flag_count);

#endif
