/* SPDX-License-Identifier: Apache-2.0
 *
 * One agent behind a URL, over HTTP or framed. */
#ifndef DURESS_AGENT_TOOL_SERVING_H
#define DURESS_AGENT_TOOL_SERVING_H

#include <duress/agent/agent.h>
#include <duress/agent/server.h>

struct duress__serving;

#define DURESS__SERVING_URL_BYTES_MAX (DURESS_ADDRESS_TEXT_BYTES_MAX + 8)

struct duress__serving_options {
    struct duress_world *world;  /* a live one, borrowed; outlives the serving */
    struct duress_agent *agent;  /* the serving takes a reference */
    const char *url;             /* http://host:port, tcp://host:port (numeric or localhost; port 0: any free one), or
                                    unix:///path */
    uint32_t requests_max;       /* at once; 0 = 10000 */
    uint64_t request_timeout_ns; /* the agent's deadline for one request; 0 = none */
};

/* Whether |url| is one that can be served at; else |why| has the reason. */
DURESS_MUST_CHECK bool duress__serving_url_is_valid(const char *url, struct duress_failure *why);

/* Listens and serves. The errors of duress_server_new() and duress_http_server_new(), with |why| filled. Returns in
 * *serving, free with duress__serving_free(). */
DURESS_MUST_CHECK int duress__serving_new(const struct duress__serving_options *options,
                                          struct duress__serving **serving, struct duress_failure *why);

/* Where it listens, as a URL with the port that was chosen; borrowed for the serving's life. */
const char *duress__serving_url(const struct duress__serving *serving);

/* As duress_server_stop(). */
void duress__serving_stop(struct duress__serving *serving, uint64_t deadline_ns, duress_drained_fn drained,
                          void *context);

/* Closes everything at once and frees. NULL is allowed. */
void duress__serving_free(struct duress__serving *serving);

struct duress__serving_counts {
    uint64_t arrivals;  /* requests for which the agent was asked */
    uint64_t replied;   /* requests answered, refusals included */
    uint64_t shed;      /* over requests_max */
    uint64_t malformed; /* no requests */
    uint64_t cancelled; /* whose peer went away before the reply */
};
struct duress__serving_counts duress__serving_counts(const struct duress__serving *serving);

#endif
