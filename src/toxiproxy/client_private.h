/* SPDX-License-Identifier: Apache-2.0
 *
 * The inside of the client. Private to toxiproxy/. */
#ifndef DURESS_TOXIPROXY_CLIENT_PRIVATE_H
#define DURESS_TOXIPROXY_CLIENT_PRIVATE_H

#include <curl/curl.h>
#include <jansson.h>

#include <duress/toxiproxy/client.h>

#define TOXIPROXY_MESSAGE_BYTES_MAX 2048
#define TOXIPROXY_ANSWER_BYTES_MAX (64 * 1024 * 1024)

struct duress_toxiproxy {
    const struct duress_allocator *allocator;
    CURL *curl;
    struct curl_slist *headers; /* of a request with a body */
    char *url;                  /* what a path is put behind */
    char *socket_path;          /* NULL, or what is connected to */
    char *token;
    char *user_agent;
    long time_limit_ms;

    /* Of the last call. */
    unsigned status;
    char message[TOXIPROXY_MESSAGE_BYTES_MAX];
    char *answer; /* the body, with a NUL behind it */
    size_t answer_length;
    size_t answer_capacity;
    bool answer_failed; /* no memory for it */
    json_t *tree;       /* of the answer; what is lent out points into it */
    void *lent;         /* one block of proxies, toxics, attributes, and their texts */
};

/* --- client.c --- */

/* Sends |method| for |path|, with |body| (borrowed) unless it is NULL. DURESS_OK where the status is 2xx: the answer is
 * parsed into |tree| where there is one. */
int duress__toxiproxy_ask(struct duress_toxiproxy *client, const char *method, const char *path, const json_t *body,
                          struct duress_failure *why);

/* "/proxies/<proxy>" and, where it is not NULL, |rest| and "/<toxic>" behind it, encoded; freed by the caller with the
 * client's allocator. NULL without memory. */
char *duress__toxiproxy_path(struct duress_toxiproxy *client, const char *proxy, const char *toxics, const char *toxic);

/* Fills |why|, sets the client's message, and returns |code|. */
int duress__toxiproxy_fail(struct duress_toxiproxy *client, struct duress_failure *why, enum duress_error code,
                           const char *format, ...) DURESS_PRINTF(4, 5);

/* --- client_read.c --- */

/* Lends what |tree| holds. MALFORMED, NO_MEMORY. */
int duress__toxiproxy_lend_proxies(struct duress_toxiproxy *client, const struct duress_toxiproxy_proxy **proxies,
                                   size_t *count, struct duress_failure *why);
int duress__toxiproxy_lend_proxy(struct duress_toxiproxy *client, const struct duress_toxiproxy_proxy **proxy,
                                 struct duress_failure *why);
int duress__toxiproxy_lend_toxic(struct duress_toxiproxy *client, const struct duress_toxiproxy_toxic **toxic,
                                 struct duress_failure *why);

#endif
