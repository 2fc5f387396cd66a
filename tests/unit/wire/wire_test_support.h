/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of wire/ share: an allocator that counts and fails on demand, input beside unreadable pages, and
 * envelopes drawn from a seed. */
#ifndef WIRE_TEST_SUPPORT_H
#define WIRE_TEST_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <duress/allocator.h>
#include <duress/error.h>
#include <duress/prng.h>
#include <duress/slice.h>
#include <duress/wire/envelope.h>

/* The worked examples of the protocol, with the lengths they must have. */
#define EXAMPLE_REQUEST                                                                                                \
    "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"0b7e3c52-9a41-4d0e-8f3a-2c9d51e6a7b0\","                       \
    "\"timestamp\":\"2026-01-15T09:30:00.250000Z\",\"payload\":{\"method\":\"process\",\"agent_name\":\"adder\","      \
    "\"message\":{\"role\":\"user\",\"content\":\"2+2\",\"metadata\":{},"                                              \
    "\"timestamp\":\"2026-01-15T09:30:00.250000Z\"}}}"
#define EXAMPLE_RESPONSE                                                                                               \
    "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"0b7e3c52-9a41-4d0e-8f3a-2c9d51e6a7b0\","                      \
    "\"timestamp\":\"2026-01-15T09:30:00.251000Z\",\"payload\":{\"message\":{\"role\":\"agent\",\"content\":\"4\","    \
    "\"metadata\":{\"unit\":\"none\"},\"timestamp\":\"2026-01-15T09:30:00.251000Z\"}}}"
#define EXAMPLE_ERROR                                                                                                  \
    "{\"version\":\"1.0\",\"type\":\"error\",\"id\":\"0b7e3c52-9a41-4d0e-8f3a-2c9d51e6a7b0\","                         \
    "\"timestamp\":\"2026-01-15T09:30:00.251000Z\",\"payload\":{\"error_code\":\"EXECUTION_ERROR\","                   \
    "\"error_message\":\"division by zero\",\"error_details\":{},"                                                     \
    "\"error\":{\"code\":\"EXECUTION_ERROR\",\"message\":\"division by zero\"}}}"
#define EXAMPLE_ERROR_NESTED                                                                                           \
    "{\"id\": \"0b7e3c52-9a41-4d0e-8f3a-2c9d51e6a7b0\", \"type\": \"error\", \"version\": \"1.0\", "                   \
    "\"payload\": {\"error\": {\"code\": \"EXECUTION_ERROR\", \"message\": \"division by zero\"}}}"
#define EXAMPLE_STREAM_CHUNK                                                                                           \
    "{\"version\":\"1.0\",\"type\":\"stream_chunk\",\"id\":\"s1\",\"timestamp\":\"2026-01-15T09:30:01.000000Z\","      \
    "\"payload\":{\"message\":{\"role\":\"agent\",\"content\":\"four\",\"metadata\":{},"                               \
    "\"timestamp\":\"2026-01-15T09:30:01.000000Z\"}}}"
#define EXAMPLE_STREAM_END                                                                                             \
    "{\"version\":\"1.0\",\"type\":\"stream_end\",\"id\":\"s1\",\"timestamp\":\"2026-01-15T09:30:01.001000Z\","        \
    "\"payload\":{}}"

/* 2026-01-15T09:30:00Z */
#define EXAMPLE_S UINT64_C(1768469400)

/* Allocations are counted; the one with number |fail_at| (from 1) fails, and every later one as well. 0: none fails. */
struct test_allocator {
    struct duress_allocator allocator;
    uint64_t calls;
    uint64_t fail_at;
    size_t live_count;
    size_t bytes_live;
    size_t bytes_peak;
};

void test_allocator_init(struct test_allocator *test);

/* Memory whose last byte lies right before an unreadable page, or whose first lies right after one. */
struct test_guard {
    uint8_t *pages;
    size_t bytes; /* readable */
};

void test_guard_open(struct test_guard *guard, size_t bytes_max);
void test_guard_close(struct test_guard *guard);
struct duress_slice test_guard_at_end(struct test_guard *guard, struct duress_slice text);
struct duress_slice test_guard_at_start(struct test_guard *guard, struct duress_slice text);

/* Draws an envelope of any type with texts of up to about |text_bytes_max| bytes, written to |memory|, which has room
 * for eight such texts. */
void test_envelope_draw(struct duress_prng *prng, uint8_t *memory, size_t text_bytes_max,
                        struct duress_envelope *envelope);

/* Draws valid UTF-8 of at most |bytes_max| bytes into |out|; returns its length. */
size_t test_text_draw(struct duress_prng *prng, uint8_t *out, size_t bytes_max);

/* Draws the text of a JSON object of at most |bytes_max| bytes (at least 2). */
size_t test_object_draw(struct duress_prng *prng, uint8_t *out, size_t bytes_max);

/* Fails the test where the envelopes differ; times are compared in microseconds. */
void test_envelope_assert_equal(const struct duress_envelope *a, const struct duress_envelope *b);

/* Fails the test where a decoded envelope breaks a promise of the header. */
void test_envelope_assert_sound(const struct duress_envelope *envelope);

/* Fails the test where |slice| is not |text|. */
void test_slice_assert(struct duress_slice slice, const char *text);

#endif
