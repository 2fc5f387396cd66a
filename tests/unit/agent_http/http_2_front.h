/* SPDX-License-Identifier: Apache-2.0
 *
 * HTTP/2 with a peer that is not ours: nghttpx stands between the agent and the raw peer, by prior knowledge and by
 * TLS's ALPN. The raw peer sees one HTTP/1.1 connection for each stream, and its end where a stream was reset; that
 * HTTP/2 was spoken, and over how many connections, nghttpx notes. */
#ifndef DURESS_TESTS_HTTP_2_FRONT_H
#define DURESS_TESTS_HTTP_2_FRONT_H

#include "http_rig.h"
#include "nghttpx.h"

enum { FRONT_CALLS_MAX = 64 };

struct front {
    struct http_rig rig;
    struct nghttpx proxy;
    bool tls;
    char url[64];
    struct duress_agent *agent;
    struct http_conn *held[FRONT_CALLS_MAX]; /* the connections of requests that wait for an answer, as they came */
    uint32_t held_count;
};

/* For localhost; made and freed by these two, a group's set-up and tear-down. */
extern struct certificate front_certificate;
int front_set_up(void **state);
int front_tear_down(void **state);

/* A test's state: by prior knowledge, or by ALPN. Skips the test where there is no nghttpx. */
extern bool front_plain;
extern bool front_secured;
void front_open(struct front *front, void **state);
struct duress_http_agent_options front_options(const struct front *front);
/* All in HTTP/2, over |connections|; more without TLS, where libcurl is old. */
void front_close(struct front *front, uint32_t connections);

/* The two entries of a test. */
#define IN_BOTH(test)                                                                                                  \
    {#test ", by prior knowledge", test, NULL, NULL, &front_plain},                                                    \
    {                                                                                                                  \
#test ", by ALPN", test, NULL, NULL, &front_secured                                                            \
    }

/* For rig.on_request: the peer answers nothing by itself. */
void front_hold(void *context, struct http_conn *conn);
void front_await_held(struct front *front, uint32_t count);
/* The held request with that content. */
struct http_conn *front_held(struct front *front, const char *content);

void front_assert_replied(struct front *front, struct http_answer *answer, const char *text);
/* For http_run_until(): |context| is a struct http_conn; a struct http_answer. */
bool front_conn_is_gone(void *context);
bool front_has_chunks(void *context);

#endif
