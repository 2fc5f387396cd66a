/* SPDX-License-Identifier: Apache-2.0
 *
 * The HTTP server with many peers at once: connections, the exact limit of requests at work, a third of the callers
 * going away, and memory that runs out at every place. */
#include "server_rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static struct web the_web;

static int setup(void **state)
{
    *state = &the_web;
    web_open(&the_web);
    return 0;
}

/* Each connection has two ends here. */
static void descriptors_allow(size_t connections)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_cur < 2 * connections + 64)
        skip();
}

static struct web_client *clients_new(struct web *web, size_t count)
{
    struct web_client *clients = calloc(count, sizeof *clients);
    assert_non_null(clients);
    descriptors_allow(count);
    for (size_t i = 0; i < count; i++)
        web_connect(web, &clients[i]);
    return clients;
}

static void clients_free(struct web_client *clients, size_t count)
{
    for (size_t i = 0; i < count; i++)
        web_disconnect(&clients[i]);
    free(clients);
}

static void many_connections_are_served(void **state)
{
    struct web *web = *state;
    struct web_reply reply;
    const char *wanted = getenv("DURESS_HTTP_CONNECTIONS"); /* by hand: as many as the machine's limits allow */
    size_t count = wanted != NULL ? strtoul(wanted, NULL, 10) : 2000;
    web_serve(web, NULL);
    struct web_client *clients = clients_new(web, count);
    assert_int_equal(web_counts(web).connections_open, count);
    for (size_t round = 0; round < 2; round++) {
        for (size_t i = 0; i < count; i++)
            web_ask(&clients[i], "/process", "x", "many");
        for (size_t i = 0; i < count; i++) {
            web_await(web, &clients[i], &reply);
            assert_int_equal(reply.status, 200);
        }
    }
    assert_int_equal(web_counts(web).arrivals, 2 * count);
    assert_int_equal(web_counts(web).connections_accepted, count);
    clients_free(clients, count);
    web_until_alone(web);
    web_close(web);
}

struct shedding {
    struct web *web;
    uint64_t count;
};

static bool all_shed(void *context)
{
    const struct shedding *shedding = context;
    return web_counts(shedding->web).shed >= shedding->count;
}

static void the_limit_of_requests_is_exact(void **state)
{
    enum { CLIENTS = 64, LIMIT = 7, ROUNDS = 20 };
    struct web *web = *state;
    struct web_reply reply;
    web_serve(web, &(struct duress_http_server_options){.requests_max = LIMIT});
    struct web_client *clients = clients_new(web, CLIENTS);
    for (int round = 0; round < ROUNDS; round++) {
        web->service.silent = true; /* those that got in stay until all have been heard */
        uint64_t shed = web_counts(web).shed;
        uint64_t begun = web->service.begun;
        for (size_t i = 0; i < CLIENTS; i++)
            web_ask(&clients[i], i % 2 == 0 ? "/process" : "/stream", "x", "x");
        web_until(web, all_shed, &(struct shedding){web, shed + CLIENTS - LIMIT});
        for (size_t i = 0; i < CLIENTS; i++) {
            if (!web_take(&clients[i], false, &reply))
                continue;
            assert_int_equal(reply.status, 503);
            assert_true(web_has_header(&reply, "Retry-After: 1"));
            assert_body_has(reply, "7 requests are in flight");
        }
        assert_int_equal(web_counts(web).in_flight, LIMIT);
        assert_int_equal(web_counts(web).shed, shed + CLIENTS - LIMIT);
        assert_int_equal(web->service.begun, begun + LIMIT);
        assert_int_equal(web->service.running, LIMIT);
        /* Those that are at work go away, and their places with them. */
        for (size_t i = 0; i < CLIENTS; i++)
            web_disconnect(&clients[i]);
        web_until_alone(web);
        assert_int_equal(web->service.running, 0);
        for (size_t i = 0; i < CLIENTS; i++)
            web_connect(web, &clients[i]);
    }
    assert_int_equal(web->service.running_max, LIMIT);
    clients_free(clients, CLIENTS);
    web_close(web);
}

static bool all_answered_or_gone(void *context)
{
    struct web *web = context;
    return web_counts(web).in_flight == 0 && web->service.running == 0;
}

static void a_third_of_a_thousand_callers_goes_away(void **state)
{
    enum { CLIENTS = 1000 };
    struct web *web = *state;
    struct web_reply reply;
    struct duress_prng prng;
    uint32_t answered = 0;
    duress_prng_init(&prng, 4711, 1);
    web->service.chunk_count = 3;
    web->service.delay_ns_min = 0;
    web->service.delay_ns_max = 20 * DURESS_MS;
    web_serve(web, NULL);
    struct web_client *clients = clients_new(web, CLIENTS);
    for (size_t i = 0; i < CLIENTS; i++)
        web_ask(&clients[i], i % 2 == 0 ? "/process" : "/stream", "x", "third");
    for (size_t i = 0; i < CLIENTS; i++) {
        if (i % 3 != 0)
            continue;
        web_pass(web, duress_prng_between(&prng, 0, 100 * DURESS_US));
        if (i % 2 == 0)
            web_disconnect(&clients[i]);
        else
            web_rst(&clients[i]);
    }
    for (size_t i = 0; i < CLIENTS; i++) {
        if (i % 3 == 0)
            continue;
        web_await(web, &clients[i], &reply);
        assert_int_equal(reply.status, 200);
        assert_body_has(reply, i % 2 == 0 ? "re: third" : "stream_end");
        answered++;
    }
    web_until(web, all_answered_or_gone, web);
    assert_int_equal(answered, CLIENTS - (CLIENTS + 2) / 3);
    assert_int_equal(web->service.begun, web->service.ended + web->service.cancelled);
    clients_free(clients, CLIENTS);
    web_until_alone(web);
    struct duress_http_server_counts counts = web_counts(web);
    assert_int_equal(counts.in_flight, 0);
    assert_true(counts.cancelled > 0);
    assert_true(counts.replied >= answered);
    web_close(web);
}

/* --- memory --- */

/* One server's life with memory that ends at the |after|-th allocation. Whatever happens, every client is answered or
 * closed, and nothing is left. */
static bool scenario_tripped(struct web *web, uint64_t after)
{
    struct web_client clients[2];
    struct duress_failure why;
    web_open(web);
    probe_heap_init(&web->heap, after);
    web->service.chunk_count = 2;
    struct duress_http_server_options options = {
        .world = web->world,
        .agent = web->service.agent,
        .address = duress_address_loopback(0),
        .allocator = &web->heap.allocator,
    };
    int error = duress_http_server_new(&options, &web->server, &why);
    if (error != DURESS_OK) {
        assert_int_equal(error, DURESS_E_NO_MEMORY);
        assert_true(web->heap.tripped);
        web_close(web);
        return true;
    }
    for (int i = 0; i < 2; i++) {
        web_connect(web, &clients[i]);
        web_ask(&clients[i], i == 0 ? "/process" : "/stream", "x", "memory");
        struct web_reply reply = {.status = 0};
        while (clients[i].stream != NULL && !web_take(&clients[i], false, &reply))
            web_pass(web, 50 * DURESS_US);
        if (!web->heap.tripped)
            assert_int_equal(reply.status, 200);
        else
            assert_true(reply.status == 200 || reply.status == 503 || reply.status == 500 || clients[i].stream == NULL);
        web_disconnect(&clients[i]);
    }
    web_until_alone(web);
    assert_int_equal(web_counts(web).in_flight, 0);
    bool tripped = web->heap.tripped;
    web_close(web);
    return tripped;
}

static void memory_may_run_out_at_every_place(void **state)
{
    uint64_t after = 0;
    (void)state;
    while (scenario_tripped(&the_web, after))
        after++;
    assert_true(after >= 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(many_connections_are_served, setup),
        cmocka_unit_test_setup(the_limit_of_requests_is_exact, setup),
        cmocka_unit_test_setup(a_third_of_a_thousand_callers_goes_away, setup),
        cmocka_unit_test(memory_may_run_out_at_every_place),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
