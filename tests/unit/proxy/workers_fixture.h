/* SPDX-License-Identifier: Apache-2.0
 *
 * A proxy over workers between the fixture's server and clients. The test's thread is the control thread. */
#ifndef DURESS_TEST_PROXY_WORKERS_FIXTURE_H
#define DURESS_TEST_PROXY_WORKERS_FIXTURE_H

#include "fixture.h"

#include <duress/proxy/workers.h>

struct workers_fixture {
    struct fixture base; /* without a proxy of its own */
    struct duress_workers *workers;
    struct duress_workers_proxy *proxy;
    char upstream[64];
};

/* |worker_count| workers and a proxy in front of the server. |options|: NULL, or what differs from the defaults; an
 * address or upstream that is NULL is set here. */
void workers_start(struct workers_fixture *fixture, uint32_t worker_count,
                   const struct duress_workers_proxy_options *options);
void workers_start_limited(struct workers_fixture *fixture, const struct duress_workers_options *threads,
                           const struct duress_workers_proxy_options *options);
void workers_stop(struct workers_fixture *fixture);

struct duress_listen_address listen_address(const char *text);
uint16_t workers_port(const struct workers_fixture *fixture);
int workers_client(const struct workers_fixture *fixture);
struct pair workers_pair(struct workers_fixture *fixture);

/* An order's end. */
struct answer {
    bool is_there;
    int error;
    uint64_t at_ns;
};
void answered(void *context, int error);
int answer_await(struct workers_fixture *fixture, struct answer *answer);

/* Orders that are waited for. */
void workers_toxic_add(struct workers_fixture *fixture, const struct duress_toxic *toxic);
void workers_toxic_remove(struct workers_fixture *fixture, uint64_t id);

void workers_await_open(struct workers_fixture *fixture, uint64_t count);

#endif
