/* SPDX-License-Identifier: Apache-2.0
 *
 * A client of Toxiproxy's control API: for tests that put toxics between a program and its services, by way of any
 * daemon that speaks it, Toxiproxy's or `duress proxy`.
 *
 *     struct duress_toxiproxy *client = NULL;
 *     struct duress_toxiproxy_proxy web = {.name = "web", .listen = "localhost:0", .upstream = "localhost:5432"};
 *     struct duress_toxiproxy_attribute slow[] = {{"latency", "200"}, {"jitter", "20"}};
 *     struct duress_toxiproxy_toxic toxic = {.type = "latency", .attributes = slow, .attribute_count = 2};
 *     const struct duress_toxiproxy_proxy *made = NULL;
 *
 *     error = duress_toxiproxy_new(NULL, &client, &why);
 *     error = duress_toxiproxy_proxy_create(client, &web, &made, &why);     made->listen says where it listens
 *     error = duress_toxiproxy_toxic_add(client, "web", &toxic, NULL, &why);
 *     error = duress_toxiproxy_proxy_enable(client, "web", false, NULL, &why);
 *     error = duress_toxiproxy_reset(client, &why);
 *     duress_toxiproxy_free(client);
 *
 * Calls block until the daemon has answered, or the time limit has passed. What they return in pointers is the
 * client's, and borrowed until its next call; NULL may be given where it is not wanted. A client belongs to one thread
 * at a time.
 *
 * Errors: REMOTE where the daemon refused (duress_toxiproxy_status() and duress_toxiproxy_message() say how and why);
 * REFUSED, CONNECT_TIMEOUT, NAME_NOT_FOUND, UNREACHABLE, RESET, UNTRUSTED, DEADLINE for the way there; MALFORMED where
 * the answer is not what the API's would be; NO_MEMORY; INVALID for an argument, or a text that is not UTF-8. |why| may
 * be NULL. */
#ifndef DURESS_TOXIPROXY_CLIENT_H
#define DURESS_TOXIPROXY_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <duress/allocator.h>
#include <duress/error.h>
#include <duress/export.h>

#ifdef __cplusplus
extern "C" {
#endif

struct duress_toxiproxy; /* opaque */

#define DURESS_TOXIPROXY_URL_DEFAULT "http://localhost:8474"

struct duress_toxiproxy_options {
    const struct duress_allocator *allocator; /* borrowed, outlives the client; NULL for the default */
    const char *url; /* "http://host:port", "https://…", "host:port", or "unix:///path"; copied; NULL: the default */
    const char *user_agent; /* copied; NULL: "duress". What begins with "Mozilla/" is refused by daemons */
    const char *token;      /* sent as a bearer token; copied; NULL: none */
    uint64_t time_limit_ns; /* of a call; 0 = 30 s */
};

/* One number or text of a toxic. */
struct duress_toxiproxy_attribute {
    const char *name;
    const char *value; /* sent as a number where it reads as one */
};

struct duress_toxiproxy_toxic {
    const char *name; /* NULL when it is made: "<type>_<stream>" */
    const char *type;
    const char *stream; /* "upstream" or "downstream"; NULL when it is made: "downstream" */
    bool has_toxicity;  /* false when it is made: 1; when it is updated: as it is */
    double toxicity;
    const struct duress_toxiproxy_attribute *attributes; /* in the daemon's order; sent ones in any */
    size_t attribute_count;
};

struct duress_toxiproxy_proxy {
    const char *name;
    const char *listen; /* NULL when it is made: any address, any port */
    const char *upstream;
    bool is_disabled;
    const struct duress_toxiproxy_toxic *toxics; /* those of the upstream first; Toxiproxy ignores them in creation */
    size_t toxic_count;
};

/* Makes a client, without asking the daemon anything. |options| may be NULL. Returns in *client, free with
 * duress_toxiproxy_free(). INVALID, NO_MEMORY. */
DURESS_API DURESS_MUST_CHECK int duress_toxiproxy_new(const struct duress_toxiproxy_options *options,
                                                      struct duress_toxiproxy **client, struct duress_failure *why);

/* NULL is allowed. */
DURESS_API void duress_toxiproxy_free(struct duress_toxiproxy *client);

/* The status of the last answer, as HTTP counts; 0 where there was none. */
DURESS_API unsigned duress_toxiproxy_status(const struct duress_toxiproxy *client);

/* What the last call failed with, in full: "HTTP 404: proxy not found"; "" where it did not fail. Borrowed until the
 * next call. */
DURESS_API const char *duress_toxiproxy_message(const struct duress_toxiproxy *client);

/* The last answer's body as the daemon sent it, JSON as a rule; "" where there was none. Borrowed until the next call.
 */
DURESS_API const char *duress_toxiproxy_answer(const struct duress_toxiproxy *client);

/* The daemon's version: "2.12.0". */
DURESS_API int duress_toxiproxy_version(struct duress_toxiproxy *client, const char **version,
                                        struct duress_failure *why);

/* All proxies, by name. */
DURESS_API int duress_toxiproxy_proxies(struct duress_toxiproxy *client, const struct duress_toxiproxy_proxy **proxies,
                                        size_t *count, struct duress_failure *why);

DURESS_API int duress_toxiproxy_proxy_get(struct duress_toxiproxy *client, const char *name,
                                          const struct duress_toxiproxy_proxy **proxy, struct duress_failure *why);

/* Makes a proxy; *made (may be NULL) says where it listens. */
DURESS_API int duress_toxiproxy_proxy_create(struct duress_toxiproxy *client,
                                             const struct duress_toxiproxy_proxy *proxy,
                                             const struct duress_toxiproxy_proxy **made, struct duress_failure *why);

/* Gives a proxy another address or upstream (NULL: it keeps its own). Its connections are closed, its toxics stay. */
DURESS_API int duress_toxiproxy_proxy_move(struct duress_toxiproxy *client, const char *name, const char *listen,
                                           const char *upstream, const struct duress_toxiproxy_proxy **changed,
                                           struct duress_failure *why);

/* Takes a proxy down, with its connections, or up again. */
DURESS_API int duress_toxiproxy_proxy_enable(struct duress_toxiproxy *client, const char *name, bool enabled,
                                             const struct duress_toxiproxy_proxy **changed, struct duress_failure *why);

DURESS_API int duress_toxiproxy_proxy_delete(struct duress_toxiproxy *client, const char *name,
                                             struct duress_failure *why);

/* Puts a toxic on a proxy. */
DURESS_API int duress_toxiproxy_toxic_add(struct duress_toxiproxy *client, const char *proxy,
                                          const struct duress_toxiproxy_toxic *toxic,
                                          const struct duress_toxiproxy_toxic **made, struct duress_failure *why);

/* Gives the toxic of |toxic|->name other attributes or another toxicity: what is not given stays. Its type and stream
 * are not looked at. */
DURESS_API int duress_toxiproxy_toxic_update(struct duress_toxiproxy *client, const char *proxy,
                                             const struct duress_toxiproxy_toxic *toxic,
                                             const struct duress_toxiproxy_toxic **changed, struct duress_failure *why);

DURESS_API int duress_toxiproxy_toxic_remove(struct duress_toxiproxy *client, const char *proxy, const char *name,
                                             struct duress_failure *why);

/* Has all proxies listen, without a toxic. */
DURESS_API int duress_toxiproxy_reset(struct duress_toxiproxy *client, struct duress_failure *why);

#ifdef __cplusplus
}
#endif

#endif
