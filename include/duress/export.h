/* SPDX-License-Identifier: Apache-2.0
 *
 * Marks for the compiler: what is public, what must be checked, and the assertion that stays on in every build. */
#ifndef DURESS_EXPORT_H
#define DURESS_EXPORT_H

#if defined(__GNUC__)
#define DURESS_API __attribute__((visibility("default")))
#define DURESS_MUST_CHECK __attribute__((warn_unused_result))
#define DURESS_PRINTF(format_index, first_index) __attribute__((format(printf, format_index, first_index)))
#define DURESS_NORETURN __attribute__((noreturn))
#define DURESS_NONNULL(index) __attribute__((nonnull(index)))
#else
#define DURESS_API
#define DURESS_MUST_CHECK
#define DURESS_PRINTF(format_index, first_index)
#define DURESS_NORETURN
#define DURESS_NONNULL(index)
#endif

/* For invariants of our own that broke, never for input or options. Stays on in release builds: a resilience library
 * that goes on with a broken invariant gives wrong answers just when they are needed. */
#define DURESS_ASSERT(condition)                                                                                       \
    ((condition) ? (void)0 : duress__assert_failed(#condition, __FILE__, __LINE__, __func__))

#ifdef __cplusplus
extern "C" {
#endif

/* Prints the broken condition with its place to standard error and aborts. */
DURESS_API DURESS_NORETURN void duress__assert_failed(const char *condition, const char *file, int line,
                                                      const char *function);

#ifdef __cplusplus
}
#endif

#endif
