/* SPDX-License-Identifier: Apache-2.0
 *
 * nghttpx (nghttp2.org) as a child of a test: it speaks HTTP/2 with the agent, and HTTP/1.1 with the tests' raw peer
 * behind it. What it listens on was opened here, so there is nobody to wait for: who connects early waits in the
 * kernel until it accepts. It dies with the test. */
#ifndef DURESS_TESTS_NGHTTPX_H
#define DURESS_TESTS_NGHTTPX_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "certificate.h"

struct nghttpx {
    pid_t child;   /* 0: none */
    uint16_t port; /* on 127.0.0.1 */
    FILE *log;     /* one line a request whose end nghttpx has seen: the caller's port, the protocol, the status */
};

/* Whether it is on this machine. */
bool nghttpx_is_there(void);

/* Starts one before 127.0.0.1:|backend_port|. |port| 0: any free one. |certificate| NULL: HTTP/2 by prior knowledge, or
 * HTTP/1.1; else TLS, and the protocol by ALPN. */
void nghttpx_start(struct nghttpx *proxy, uint16_t port, uint16_t backend_port, const struct certificate *certificate);

/* Ends it at once, with SIGKILL, and waits for its end. Nothing where it has ended. */
void nghttpx_kill(struct nghttpx *proxy);

/* What it has noted. Only of one that was killed: it writes where this reads. */
struct nghttpx_count {
    uint32_t requests;
    uint32_t connections; /* from different ports */
    uint32_t in_http_2;   /* requests */
};
struct nghttpx_count nghttpx_count(const struct nghttpx *proxy);

/* Gives the log back too. */
void nghttpx_close(struct nghttpx *proxy);

#endif
