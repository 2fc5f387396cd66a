/* SPDX-License-Identifier: Apache-2.0
 *
 * What a program gets that leaves out what it must give: an error, before any world is asked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <duress/world/sim.h>

static void resolved(void *context, int error, const struct duress_address *addresses, size_t count)
{
    (void)context;
    (void)error;
    (void)addresses;
    (void)count;
    fail();
}

static void told(void *context, struct duress_stream *stream, unsigned events)
{
    (void)context;
    (void)stream;
    (void)events;
    fail();
}

static void accepted(void *context, struct duress_stream *stream)
{
    (void)context;
    (void)stream;
    fail();
}

static void resolve_needs_world_name_callback_and_place(void **state)
{
    struct duress_resolution *resolution = NULL;
    struct duress_world *world = *state;
    assert_int_equal(duress_world_resolve(NULL, "localhost", 1, resolved, NULL, &resolution), DURESS_E_INVALID);
    assert_int_equal(duress_world_resolve(world, NULL, 1, resolved, NULL, &resolution), DURESS_E_INVALID);
    assert_int_equal(duress_world_resolve(world, "localhost", 1, NULL, NULL, &resolution), DURESS_E_INVALID);
    assert_int_equal(duress_world_resolve(world, "localhost", 1, resolved, NULL, NULL), DURESS_E_INVALID);
    duress_resolution_cancel(NULL);
}

static void connect_needs_world_address_callback_and_place(void **state)
{
    struct duress_stream *stream = NULL;
    struct duress_world *world = *state;
    struct duress_address address = duress_address_loopback(1);
    assert_int_equal(duress_world_connect(NULL, &address, told, NULL, &stream), DURESS_E_INVALID);
    assert_int_equal(duress_world_connect(world, NULL, told, NULL, &stream), DURESS_E_INVALID);
    assert_int_equal(duress_world_connect(world, &address, NULL, NULL, &stream), DURESS_E_INVALID);
    assert_int_equal(duress_world_connect(world, &address, told, NULL, NULL), DURESS_E_INVALID);
    duress_stream_close(NULL);
    duress_stream_abort(NULL);
}

static void reading_and_writing_need_a_stream(void **state)
{
    (void)state;
    uint8_t byte = 0;
    size_t count = 0;
    struct duress_slice slice = duress_slice_bytes(&byte, 1);
    assert_int_equal(duress_stream_read(NULL, &byte, 1, &count), DURESS_E_INVALID);
    assert_int_equal(duress_stream_write(NULL, &slice, 1, &count), DURESS_E_INVALID);
}

static void listen_needs_world_options_callback_and_place(void **state)
{
    struct duress_listener *listener = NULL;
    struct duress_world *world = *state;
    struct duress_listen_options options = {.address = duress_address_loopback(0)};
    assert_int_equal(duress_world_listen(NULL, &options, accepted, NULL, &listener), DURESS_E_INVALID);
    assert_int_equal(duress_world_listen(world, NULL, accepted, NULL, &listener), DURESS_E_INVALID);
    assert_int_equal(duress_world_listen(world, &options, NULL, NULL, &listener), DURESS_E_INVALID);
    assert_int_equal(duress_world_listen(world, &options, accepted, NULL, NULL), DURESS_E_INVALID);
    duress_listener_close(NULL);
}

static void nothing_runs_without_a_world(void **state)
{
    (void)state;
    assert_int_equal(duress_world_run_until(NULL, NULL, NULL, DURESS_TIME_NEVER), DURESS_E_INVALID);
    duress_world_free(NULL);
}

static int setup(void **state)
{
    return duress_world_sim_new(0, (struct duress_world **)state);
}

/* Nothing was begun: the world is at its end at once. */
static int teardown(void **state)
{
    struct duress_world *world = *state;
    int error = duress_world_run_until(world, NULL, NULL, DURESS_TIME_NEVER);
    duress_world_free(world);
    return error == DURESS_E_END ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resolve_needs_world_name_callback_and_place),
        cmocka_unit_test(connect_needs_world_address_callback_and_place),
        cmocka_unit_test(reading_and_writing_need_a_stream),
        cmocka_unit_test(listen_needs_world_options_callback_and_place),
        cmocka_unit_test(nothing_runs_without_a_world),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
