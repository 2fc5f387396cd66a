/* SPDX-License-Identifier: Apache-2.0
 *
 * NULL, given to every public function that may get one: duress/error.h says what comes of it. check_null.sh sees to it
 * that none is forgotten. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <duress/agent/function.h>
#include <duress/agent/implement.h>
#include <duress/agent/remote.h>
#include <duress/agent/server.h>
#include <duress/agent_http/client.h>
#include <duress/agent_http/retry_after.h>
#include <duress/agent_http/server.h>
#include <duress/campaign/campaign.h>
#include <duress/compose/conditional.h>
#include <duress/compose/fallback.h>
#include <duress/compose/parallel.h>
#include <duress/compose/predicate.h>
#include <duress/compose/quorum.h>
#include <duress/compose/sequential.h>
#include <duress/middleware/batch.h>
#include <duress/middleware/breaker.h>
#include <duress/middleware/bulkhead.h>
#include <duress/middleware/cache.h>
#include <duress/middleware/faults.h>
#include <duress/middleware/guard.h>
#include <duress/middleware/hedge.h>
#include <duress/middleware/metrics.h>
#include <duress/middleware/rate_limiter.h>
#include <duress/middleware/retry.h>
#include <duress/middleware/stack.h>
#include <duress/middleware/timeout.h>
#include <duress/toxic/attribute.h>
#include <duress/toxic/bandwidth_pool.h>
#include <duress/toxic/link.h>
#include <duress/toxiproxy/client.h>
#include <duress/wire/envelope.h>
#include <duress/wire/frame.h>
#include <duress/world/live.h>
#include <duress/world/sim.h>

#define INVALID(call) assert_int_equal(call, DURESS_E_INVALID)
#define NOTHING(call) assert_true(!(call)) /* 0, false or NULL */
#define NOWHERE(call) assert_int_equal((call).family, DURESS_FAMILY_NONE)
/* A struct without padding, all of whose bytes are 0. */
#define EMPTY(type, call)                                                                                              \
    do {                                                                                                               \
        static const type empty;                                                                                       \
        type seen = call;                                                                                              \
        assert_memory_equal(&seen, &empty, sizeof empty);                                                              \
    } while (0)

static void messages_and_memory(void **state)
{
    (void)state;
    void *one = duress_allocate(NULL, 1); /* the default allocator */
    void *two = duress_reallocate(NULL, NULL, 1);
    duress_release(NULL, NULL);
    duress_release(NULL, one);
    duress_release(NULL, two);
    duress_release(NULL, duress_allocate_zeroed(NULL, 1, 1));
    NOTHING(duress_error_from_name(NULL));
    INVALID(duress_message_new(NULL, NULL));
    INVALID(duress_message_text(NULL, NULL));
    NOTHING(duress_message_ref(NULL));
    duress_message_unref(NULL);
    EMPTY(struct duress_slice, duress_message_role(NULL));
    EMPTY(struct duress_slice, duress_message_content(NULL));
    EMPTY(struct duress_slice, duress_message_metadata(NULL));
    NOTHING(duress_message_timestamp_ns(NULL));
}

static void wire(void **state)
{
    (void)state;
    INVALID(duress_buffer_reserve(NULL, 0, NULL));
    INVALID(duress_buffer_append(NULL, duress_slice_text("")));
    assert_int_equal(duress_envelope_limits_check(NULL, NULL), DURESS_OK); /* the defaults */
    INVALID(duress_envelope_decode(duress_slice_text(""), NULL, NULL, NULL, NULL));
    INVALID(duress_envelope_encode(NULL, NULL, NULL, NULL));
    INVALID(duress_envelope_encode_framed(NULL, NULL, NULL, NULL));
    assert_int_equal(duress_envelope_metadata_check(duress_slice_text("{}"), NULL, NULL), DURESS_OK); /* likewise */
    INVALID(duress_frame_reader_next(NULL, NULL, NULL));
    INVALID(duress_frame_reader_end(NULL));
    INVALID(duress_frame_begin(NULL, NULL));
    INVALID(duress_frame_finish(NULL, 0, 0));
}

static void policies_that_are_made(void **state)
{
    (void)state;
    INVALID(duress_adaptive_limit_init(NULL, NULL, NULL));
    INVALID(duress_batch_options_init(NULL, NULL, NULL));
    INVALID(duress_breaker_init(NULL, NULL, NULL));
    INVALID(duress_bucket_init(NULL, NULL, NULL));
    INVALID(duress_bulkhead_init(NULL, NULL, NULL));
    INVALID(duress_bulkhead_join(NULL, NULL, NULL, NULL));
    INVALID(duress_cache_options_init(NULL, NULL, NULL));
    INVALID(duress_faults_init(NULL, NULL, NULL));
    duress_faults_corrupt(0, NULL, 0); /* no bytes, so none is changed */
    INVALID(duress_hedge_init(NULL, NULL, NULL));
    INVALID(duress_rate_limit_options_init(NULL, NULL, NULL, NULL));
    INVALID(duress_retry_options_init(NULL, NULL, NULL));
    INVALID(duress_retry_budget_init(NULL, NULL, NULL));
    INVALID(duress_timeout_options_init(NULL, NULL, NULL));
}

static void links_and_toxics(void **state)
{
    (void)state;
    NOTHING(duress_toxic_attribute_find(DURESS_TOXIC_LATENCY, NULL, NULL));
    INVALID(duress_toxic_attribute_set(NULL, NULL, 0, NULL));
    duress_bandwidth_pool_retain(NULL);
    duress_bandwidth_pool_release(NULL);
    duress_bandwidth_pool_release(duress_bandwidth_pool_new(NULL)); /* of the default allocator */
    INVALID(duress_link_new(NULL, 0, NULL, NULL));
    duress_link_free(NULL);
    INVALID(duress_link_push(NULL, DURESS_UPSTREAM, duress_slice_text(""), 0));
    INVALID(duress_link_toxic_add(NULL, NULL, 0, NULL));
    INVALID(duress_link_toxic_update(NULL, NULL, 0, NULL));
    INVALID(duress_link_toxic_remove(NULL, 0, 0));
    NOTHING(duress_toxic_type_from_name(NULL, NULL));
    INVALID(duress_toxic_check(NULL, NULL));
}

static void worlds(void **state)
{
    (void)state;
    NOTHING(duress_address_parse(NULL, NULL));
    NOWHERE(duress_address_unix(NULL));
    INVALID(duress_world_live_new(NULL, NULL, NULL));
    NOTHING(duress_world_live_uv_loop(NULL));
    duress_world_free(NULL);
    assert_ptr_equal(duress_world_allocator(NULL), duress_allocator_default());
    NOTHING(duress_world_now_ns(NULL));
    NOTHING(duress_world_wall_ns(NULL));
    duress_world_arm(NULL, NULL, 0);
    duress_world_disarm(NULL, NULL);
    duress_world_defer(NULL, NULL);
    duress_world_undefer(NULL, NULL);
    duress_world_post(NULL, NULL);
    duress_world_prng(NULL, 0, NULL);
    INVALID(duress_world_resolve(NULL, NULL, 0, NULL, NULL, NULL));
    duress_resolution_cancel(NULL);
    INVALID(duress_world_connect(NULL, NULL, NULL, NULL, NULL));
}

static void streams_and_listeners(void **state)
{
    (void)state;
    duress_stream_handle(NULL, NULL, NULL);
    duress_stream_want(NULL, 0);
    INVALID(duress_stream_read(NULL, NULL, 0, NULL));
    INVALID(duress_stream_write(NULL, NULL, 0, NULL));
    duress_stream_shutdown(NULL);
    duress_stream_close(NULL);
    duress_stream_abort(NULL);
    INVALID(duress_stream_error(NULL));
    NOWHERE(duress_stream_peer(NULL));
    NOWHERE(duress_stream_local(NULL));
    INVALID(duress_world_listen(NULL, NULL, NULL, NULL, NULL));
    NOWHERE(duress_listener_address(NULL));
    duress_listener_close(NULL);
    INVALID(duress_world_run_until(NULL, NULL, NULL, 0));
    duress_world_note(NULL, NULL, 0, 0);
    NOTHING(duress_world_block_new(NULL));
    duress_world_block_free(NULL, NULL);
}

static void simulations(void **state)
{
    (void)state;
    INVALID(duress_sim_new(NULL, NULL, NULL));
    duress_sim_free(NULL);
    INVALID(duress_world_sim_new(0, NULL));
    NOTHING(duress_world_sim_of(NULL));
    NOTHING(duress_sim_now_ns(NULL));
    NOTHING(duress_sim_seed(NULL));
    NOTHING(duress_sim_trace_hash(NULL));
    NOTHING(duress_sim_event_count(NULL));
    duress_sim_trace(NULL, NULL, NULL);
    INVALID(duress_sim_run_until(NULL, NULL, NULL, 0));
    NOTHING(duress_sim_delay_ns_max(NULL));
    INVALID(duress_sim_host_new(NULL, NULL, NULL));
    NOTHING(duress_sim_host_world(NULL));
    NOWHERE(duress_sim_host_address(NULL, 0));
    duress_sim_host_kill(NULL);
    duress_sim_host_crash(NULL);
    duress_sim_host_restart(NULL);
    NOTHING(duress_sim_host_is_up(NULL));
    duress_sim_host_freeze(NULL, true);
    duress_sim_host_descriptors(NULL, 0);
    NOTHING(duress_sim_host_queued(NULL));
    duress_sim_partition(NULL, NULL, NULL);
    duress_sim_heal(NULL, NULL, NULL);
    duress_sim_host_unreachable(NULL, true);
    duress_sim_host_silence(NULL, 0, true);
    INVALID(duress_sim_name_set(NULL, NULL, NULL));
    NOTHING(duress_sim_name_questions(NULL, NULL));
}

static void simulated_relays(void **state)
{
    (void)state;
    INVALID(duress_sim_relay_new(NULL, 0, NULL, NULL));
    duress_sim_relay_free(NULL);
    NOWHERE(duress_sim_relay_address(NULL));
    INVALID(duress_sim_relay_toxic_add(NULL, NULL, NULL));
    INVALID(duress_sim_relay_toxic_update(NULL, NULL, NULL));
    INVALID(duress_sim_relay_toxic_remove(NULL, 0));
    duress_sim_relay_down(NULL);
    INVALID(duress_sim_relay_up(NULL));
    duress_sim_relay_cut(NULL);
    duress_sim_relay_silence(NULL, true);
    duress_sim_relay_visit(NULL, NULL, NULL);
    EMPTY(struct duress_relay_counts, duress_sim_relay_counts(NULL));
}

static void agents_and_servers(void **state)
{
    (void)state;
    INVALID(duress_agent_ask(NULL, NULL, NULL));
    duress_call_cancel(NULL);
    INVALID(duress_agent_ask_blocking(NULL, NULL, NULL, NULL));
    NOTHING(duress_agent_ref(NULL));
    duress_agent_unref(NULL);
    NOTHING(duress_agent_name(NULL));
    NOTHING(duress_agent_world(NULL));
    NOTHING(duress_agent_in_flight_count(NULL));
    INVALID(duress_function_new(NULL, NULL, NULL, NULL, NULL));
    INVALID(duress_function_async_new(NULL, NULL, NULL, NULL, NULL, NULL));
    INVALID(duress_call_begin(NULL, NULL, NULL));
    duress_call_mark_sent(NULL);
    duress_call_mark_stage(NULL, DURESS_ORIGIN_CONNECT);
    INVALID(duress_remote_new(NULL, NULL, NULL));
    EMPTY(struct duress_remote_counts, duress_remote_counts(NULL));
    INVALID(duress_server_new(NULL, NULL, NULL));
    NOWHERE(duress_server_address(NULL));
    duress_server_stop(NULL, 0, NULL, NULL);
    duress_server_free(NULL);
    EMPTY(struct duress_server_counts, duress_server_counts(NULL));
}

static void layers(void **state)
{
    (void)state;
    INVALID(duress_batch_new(NULL, NULL, NULL, NULL, NULL));
    INVALID(duress_with_batch(NULL, NULL, NULL, NULL));
    EMPTY(struct duress_batch_counts, duress_batch_counts(NULL));
    INVALID(duress_with_breaker(NULL, NULL, NULL, NULL));
    NOTHING(duress_breaker_of(NULL));
    EMPTY(struct duress_layer_counts, duress_breaker_counts(NULL));
    INVALID(duress_with_bulkhead(NULL, NULL, NULL, NULL));
    EMPTY(struct duress_bulkhead_counts, duress_bulkhead_counts(NULL));
    NOTHING(duress_bulkhead_of(NULL));
    INVALID(duress_with_cache(NULL, NULL, NULL, NULL));
    NOTHING(duress_cache_invalidate(NULL, NULL));
    duress_cache_clear(NULL);
    EMPTY(struct duress_cache_layer_counts, duress_cache_counts(NULL));
    INVALID(duress_with_faults(NULL, NULL, NULL, NULL));
    NOTHING(duress_faults_of(NULL));
    EMPTY(struct duress_faults_counts, duress_faults_counts(NULL));
    INVALID(duress_guard_init(NULL, NULL, NULL));
    INVALID(duress_guard_run(NULL, NULL, NULL, NULL, NULL));
    EMPTY(struct duress_guard_counts, duress_guard_counts(NULL));
    INVALID(duress_with_hedge(NULL, NULL, NULL, NULL));
    EMPTY(struct duress_hedge_counts, duress_hedge_counts(NULL));
    INVALID(duress_with_metrics(NULL, NULL, NULL, NULL));
    INVALID(duress_metrics_read(NULL, NULL));
    duress_metrics_reset(NULL);
    NOTHING(duress_metrics_layers(NULL, NULL, 0));
    INVALID(duress_metrics_json(NULL, NULL, 0));
    INVALID(duress_metrics_prometheus(NULL, 0, NULL, 0));
    INVALID(duress_with_rate_limiter(NULL, NULL, NULL, NULL));
    EMPTY(struct duress_rate_limiter_counts, duress_rate_limiter_counts(NULL));
    NOTHING(duress_rate_limiter_bucket(NULL));
    INVALID(duress_with_retry(NULL, NULL, NULL, NULL, NULL));
    EMPTY(struct duress_retry_counts, duress_retry_counts(NULL));
    INVALID(duress_stack_new(NULL, NULL, NULL, NULL));
    INVALID(duress_with_timeout(NULL, NULL, NULL, NULL));
    EMPTY(struct duress_layer_counts, duress_timeout_counts(NULL));
}

static void compositions(void **state)
{
    (void)state;
    INVALID(duress_conditional_new(NULL, NULL, 0, NULL, NULL, NULL));
    INVALID(duress_router_new(NULL, NULL, NULL, 0, NULL, NULL, NULL));
    INVALID(duress_fallback_new(NULL, NULL, 0, NULL, NULL, NULL));
    INVALID(duress_parallel_new(NULL, NULL, 0, NULL, NULL, NULL));
    /* No text is an empty one, and no message has neither content nor role nor metadata. */
    assert_true(duress_content_contains(NULL, NULL));
    assert_true(duress_role_is(NULL, NULL));
    assert_false(duress_metadata_has(NULL, NULL));
    assert_true(duress_equal_content(NULL, NULL, NULL));
    INVALID(duress_quorum_new(NULL, NULL, 0, NULL, NULL, NULL));
    INVALID(duress_sequential_new(NULL, NULL, 0, NULL, NULL, NULL));
}

static void http(void **state)
{
    (void)state;
    INVALID(duress_http_agent_new(NULL, NULL, NULL));
    EMPTY(struct duress_http_agent_counts, duress_http_agent_counts(NULL));
    NOTHING(duress_http_date_read(duress_slice_text(""), 0, NULL));
    INVALID(duress_http_server_new(NULL, NULL, NULL));
    NOWHERE(duress_http_server_address(NULL));
    duress_http_server_stop(NULL, 0, NULL, NULL);
    duress_http_server_free(NULL);
    EMPTY(struct duress_http_server_counts, duress_http_server_counts(NULL));
}

static void campaigns(void **state)
{
    (void)state;
    INVALID(duress_campaign_run(NULL, NULL));
}

static void toxiproxy(void **state)
{
    (void)state;
    INVALID(duress_toxiproxy_new(NULL, NULL, NULL));
    duress_toxiproxy_free(NULL);
    NOTHING(duress_toxiproxy_status(NULL));
    assert_string_equal(duress_toxiproxy_message(NULL), "");
    assert_string_equal(duress_toxiproxy_answer(NULL), "");
    INVALID(duress_toxiproxy_version(NULL, NULL, NULL));
    INVALID(duress_toxiproxy_proxies(NULL, NULL, NULL, NULL));
    INVALID(duress_toxiproxy_proxy_get(NULL, NULL, NULL, NULL));
    INVALID(duress_toxiproxy_proxy_create(NULL, NULL, NULL, NULL));
    INVALID(duress_toxiproxy_proxy_move(NULL, NULL, NULL, NULL, NULL, NULL));
    INVALID(duress_toxiproxy_proxy_enable(NULL, NULL, false, NULL, NULL));
    INVALID(duress_toxiproxy_proxy_delete(NULL, NULL, NULL));
    INVALID(duress_toxiproxy_toxic_add(NULL, NULL, NULL, NULL, NULL));
    INVALID(duress_toxiproxy_toxic_update(NULL, NULL, NULL, NULL, NULL));
    INVALID(duress_toxiproxy_toxic_remove(NULL, NULL, NULL, NULL));
    INVALID(duress_toxiproxy_reset(NULL, NULL));
    struct duress_toxiproxy *client = NULL;
    assert_int_equal(duress_toxiproxy_new(NULL, &client, NULL), DURESS_OK);
    INVALID(duress_toxiproxy_proxies(client, NULL, NULL, NULL));
    INVALID(duress_toxiproxy_toxic_add(client, NULL, NULL, NULL, NULL));
    INVALID(duress_toxiproxy_toxic_update(client, "proxy", &(struct duress_toxiproxy_toxic){.name = NULL}, NULL, NULL));
    duress_toxiproxy_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_memory),
        cmocka_unit_test(wire),
        cmocka_unit_test(policies_that_are_made),
        cmocka_unit_test(links_and_toxics),
        cmocka_unit_test(worlds),
        cmocka_unit_test(streams_and_listeners),
        cmocka_unit_test(simulations),
        cmocka_unit_test(simulated_relays),
        cmocka_unit_test(agents_and_servers),
        cmocka_unit_test(layers),
        cmocka_unit_test(compositions),
        cmocka_unit_test(http),
        cmocka_unit_test(campaigns),
        cmocka_unit_test(toxiproxy),
    };
    return cmocka_run_group_tests_name("null", tests, NULL, NULL);
}
