/* SPDX-License-Identifier: Apache-2.0
 *
 * Values of options, as people write them. Each function says on standard error what is wrong with a value (the
 * program, the option, what was given and what is allowed), and then returns false. |option| has its dashes. */
#ifndef DURESS_CLI_ARGUMENTS_H
#define DURESS_CLI_ARGUMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The value in the middle of an option: "5" of "5,10s". */
#define ARGUMENT_PART_BYTES_MAX 64

/* Says that |text| cannot be, and what can: "a number from 1 to 5". Returns false. */
bool argument_refuse(const char *program, const char *option, const char *text, const char *allowed);

/* A decimal number. */
bool argument_number(const char *program, const char *option, const char *text, uint64_t low, uint64_t high,
                     uint64_t *number);

/* The same for a number that fits. */
bool argument_count(const char *program, const char *option, const char *text, uint32_t low, uint32_t high,
                    uint32_t *count);

/* "250ms", "1.5s": a number with ns, us, ms, s, m or h behind it. */
bool argument_duration(const char *program, const char *option, const char *text, uint64_t low_ns, uint64_t high_ns,
                       uint64_t *duration_ns);

/* "0.25" or "25%", from 0 to 1: in millionths. */
bool argument_share(const char *program, const char *option, const char *text, uint32_t *share_ppm);

/* "8388608", "64KiB", "8MiB", "1GiB". */
bool argument_bytes(const char *program, const char *option, const char *text, uint64_t low, uint64_t high,
                    uint64_t *bytes);

/* Copies what stands before the first |separator| of |text| to |part|, and returns what follows it, or NULL where there
 * is none. A part that is too long is cut, and no value then. */
const char *argument_split(const char *text, const char *separator, char part[ARGUMENT_PART_BYTES_MAX]);

/* "0 ns", "12.3 us", "1.50 s", "2.00 min": three digits say enough. Returns |text|. */
const char *duration_format(uint64_t duration_ns, char *text, size_t capacity);

#endif
