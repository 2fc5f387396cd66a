/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include <duress/error.h>
#include <duress/message.h>

#include "probe_heap.h"

static void assert_slice(struct duress_slice slice, const char *text)
{
    assert_true(duress_slice_is(slice, text));
}

static void a_message_copies_what_it_is_given(void **state)
{
    (void)state;
    struct probe_heap heap;
    probe_heap_init(&heap, UINT64_MAX);
    char content[] = "what\0now";
    struct duress_message_options options = {
        .role = duress_slice_text("tool"),
        .content = duress_slice_bytes(content, 8),
        .metadata = duress_slice_text("{\"a\":1}"),
        .timestamp_ns = 77,
        .allocator = &heap.allocator,
    };
    struct duress_message *message = NULL;
    assert_int_equal(duress_message_new(&options, &message), DURESS_OK);
    memset(content, 'x', sizeof content);
    assert_slice(duress_message_role(message), "tool");
    assert_true(duress_slice_equal(duress_message_content(message), duress_slice_bytes("what\0now", 8)));
    assert_slice(duress_message_metadata(message), "{\"a\":1}");
    assert_int_equal(duress_message_timestamp_ns(message), 77);
    assert_int_equal(heap.allocation_count, 1);
    duress_message_unref(message);
    assert_int_equal(heap.live_count, 0);
    duress_message_unref(NULL);
}

static void what_is_left_out_has_a_default(void **state)
{
    (void)state;
    struct duress_message *message = NULL;
    assert_int_equal(duress_message_text("", &message), DURESS_OK);
    assert_slice(duress_message_role(message), "user");
    assert_slice(duress_message_content(message), "");
    assert_slice(duress_message_metadata(message), "{}");
    assert_int_equal(duress_message_timestamp_ns(message), 0);
    duress_message_unref(message);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    char role[66];
    memset(role, 'r', sizeof role);
    struct duress_message *message = NULL;
    struct duress_message_options options = {.role = duress_slice_bytes(role, 64)};
    assert_int_equal(duress_message_new(&options, &message), DURESS_OK);
    duress_message_unref(message);
    options.role.length = 65;
    assert_int_equal(duress_message_new(&options, &message), DURESS_E_INVALID);
    assert_int_equal(duress_message_new(NULL, &message), DURESS_E_INVALID);
    assert_int_equal(duress_message_new(&options, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_message_text(NULL, &message), DURESS_E_INVALID);
    options = (struct duress_message_options){.content = duress_slice_bytes("", SIZE_MAX)};
    assert_int_equal(duress_message_new(&options, &message), DURESS_E_NO_MEMORY); /* more than there can be */
    struct probe_heap heap;
    probe_heap_init(&heap, 0);
    options = (struct duress_message_options){.allocator = &heap.allocator};
    assert_int_equal(duress_message_new(&options, &message), DURESS_E_NO_MEMORY);
}

enum { THREADS = 4, ROUNDS = 20000 };

static void *reader_run(void *context)
{
    struct duress_message *message = context;
    for (unsigned i = 0; i < ROUNDS; i++)
        duress_message_unref(duress_message_ref(message));
    duress_message_unref(message); /* its own */
    return NULL;
}

static void threads_share_a_message(void **state)
{
    (void)state;
    struct probe_heap heap;
    probe_heap_init(&heap, UINT64_MAX);
    struct duress_message_options options = {.allocator = &heap.allocator};
    struct duress_message *message = NULL;
    pthread_t threads[THREADS];
    assert_int_equal(duress_message_new(&options, &message), DURESS_OK);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, reader_run, duress_message_ref(message)), 0);
    duress_message_unref(message);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(heap.live_count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_copies_what_it_is_given),
        cmocka_unit_test(what_is_left_out_has_a_default),
        cmocka_unit_test(bad_arguments_are_refused),
        cmocka_unit_test(threads_share_a_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
