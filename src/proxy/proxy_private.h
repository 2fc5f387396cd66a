/* SPDX-License-Identifier: Apache-2.0
 *
 * A proxy's insides. Private to proxy/. */
#ifndef DURESS_PROXY_PROXY_PRIVATE_H
#define DURESS_PROXY_PROXY_PRIVATE_H

#include <duress/loop/loop.h>
#include <duress/loop/socket.h>
#include <duress/proxy/proxy.h>
#include <duress/toxic/link_history_private.h>
#include <duress/toxic/toxic_list_private.h>

#include "endpoint.h"
#include "silence.h"

#define PROXY_BACKLOG_DEFAULT 511
#define PROXY_DIAL_LIMIT_NS_DEFAULT (10 * DURESS_S)

struct connection;

struct duress_proxy {
    const struct duress_allocator *allocator;
    struct duress_loop *loop;
    struct endpoint listen; /* with the port that was given to it */
    struct endpoint upstream;
    uint64_t seed;
    uint64_t dial_limit_ns;
    size_t buffer_bytes_max;
    uint32_t backlog;

    struct duress_acceptor acceptor;
    bool up;
    int reserved_fd; /* keeps the port while the proxy is down; -1 */
    struct silence silence;

    struct duress_toxic_list toxics;

    struct connection *first; /* open connections */
    size_t connection_count;
    struct duress_link_history history;
    struct duress_relay_counts counts;

    /* One read buffer for all: a connection keeps only what its link holds, and an idle one nothing. */
    uint8_t scratch[DURESS_LINK_CHUNK_BYTES_MAX];
};

#endif
