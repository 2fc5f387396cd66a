/* SPDX-License-Identifier: Apache-2.0 */
#include "workers_fixture.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

struct duress_listen_address listen_address(const char *text)
{
    struct duress_listen_answer answer;
    assert_true(duress_listen_parse(text, &answer));
    assert_int_equal(answer.problem, DURESS_LISTEN_FINE);
    return answer.address;
}

void workers_start(struct workers_fixture *fixture, uint32_t worker_count,
                   const struct duress_workers_proxy_options *options)
{
    struct duress_workers_options threads = {.worker_count = worker_count};
    workers_start_limited(fixture, &threads, options);
}

void workers_start_limited(struct workers_fixture *fixture, const struct duress_workers_options *threads,
                           const struct duress_workers_proxy_options *options)
{
    struct duress_listen_address address = listen_address("127.0.0.1:0");
    struct duress_workers_proxy_options all = {.seed = 1};
    *fixture = (struct workers_fixture){.workers = NULL};
    fixture_open(&fixture->base);
    (void)snprintf(fixture->upstream, sizeof fixture->upstream, "127.0.0.1:%u", (unsigned)fixture->base.server_port);
    if (options != NULL)
        all = *options;
    if (all.listen == NULL)
        all.listen = &address;
    if (all.upstream == NULL)
        all.upstream = fixture->upstream;
    assert_int_equal(duress_workers_new(fixture->base.loop, threads, &fixture->workers, NULL), DURESS_OK);
    assert_int_equal(duress_workers_proxy_new(fixture->workers, &all, &fixture->proxy, NULL), DURESS_OK);
}

void workers_stop(struct workers_fixture *fixture)
{
    duress_workers_free(fixture->workers);
    run_for(&fixture->base, DURESS_MS); /* what the workers had posted */
    fixture_stop(&fixture->base);
}

uint16_t workers_port(const struct workers_fixture *fixture)
{
    const struct duress_listen_address *address = duress_workers_proxy_address(fixture->proxy);
    struct sockaddr_in four;
    assert_non_null(address);
    assert_int_equal(address->address.ss_family, AF_INET);
    memcpy(&four, &address->address, sizeof four);
    return ntohs(four.sin_port);
}

int workers_client(const struct workers_fixture *fixture)
{
    return client_open_at(workers_port(fixture));
}

struct pair workers_pair(struct workers_fixture *fixture)
{
    struct pair pair = {.client = workers_client(fixture)};
    pair.server = server_accept(&fixture->base);
    return pair;
}

/* --- orders --- */

void answered(void *context, int error)
{
    struct answer *answer = context;
    assert_false(answer->is_there);
    answer->is_there = true;
    answer->error = error;
}

static bool is_answered(void *context)
{
    const struct answer *answer = context;
    return answer->is_there;
}

int answer_await(struct workers_fixture *fixture, struct answer *answer)
{
    wait_until(&fixture->base, is_answered, answer, "the answer to an order");
    answer->at_ns = now_ns(&fixture->base);
    return answer->error;
}

void workers_toxic_add(struct workers_fixture *fixture, const struct duress_toxic *toxic)
{
    struct answer answer = {.is_there = false};
    assert_int_equal(duress_workers_proxy_toxic_add(fixture->proxy, toxic, answered, &answer, NULL), DURESS_OK);
    assert_int_equal(answer_await(fixture, &answer), DURESS_OK);
}

void workers_toxic_remove(struct workers_fixture *fixture, uint64_t id)
{
    struct answer answer = {.is_there = false};
    assert_int_equal(duress_workers_proxy_toxic_remove(fixture->proxy, id, answered, &answer), DURESS_OK);
    assert_int_equal(answer_await(fixture, &answer), DURESS_OK);
}

struct open_wait {
    struct duress_workers_proxy *proxy;
    uint64_t count;
};

static bool open_is(void *context)
{
    const struct open_wait *wait = context;
    return duress_workers_proxy_counts(wait->proxy).open == wait->count;
}

void workers_await_open(struct workers_fixture *fixture, uint64_t count)
{
    struct open_wait wait = {fixture->proxy, count};
    wait_until(&fixture->base, open_is, &wait, "the number of open connections");
}
