/* SPDX-License-Identifier: Apache-2.0
 *
 * A proxy's insides. Private to proxy/. */
#ifndef DURESS_PROXY_PROXY_PRIVATE_H
#define DURESS_PROXY_PROXY_PRIVATE_H

#include <duress/proxy/proxy.h>

#include "connection.h"
#include "silence.h"

#define PROXY_BACKLOG_DEFAULT 4096 /* as long as Linux allows where it was not told otherwise */

struct duress_proxy {
    const struct duress_allocator *allocator;
    struct duress_loop *loop;
    struct endpoint listen; /* with the port that was given to it */
    uint32_t backlog;

    struct duress_acceptor acceptor;
    bool up;
    int reserved_fd; /* keeps the port while the proxy is down; -1 */
    struct silence silence;

    struct connection_set set;
    struct duress_link_history history;
    struct duress_relay_counts counts;

    uint8_t scratch[CONNECTION_SCRATCH_BYTES];
};

#endif
