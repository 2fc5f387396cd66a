/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/proxy/listen.h>

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include <duress/loop/loop.h>
#include <duress/time.h>

#include "lookup.h"

#define LIMIT_NS_DEFAULT (10 * DURESS_S)
#define PORT_MAX 65535

/* A text in its parts, cut off where they are too long to be anything. */
struct parts {
    char host[DURESS_LISTEN_TEXT_BYTES];
    char port[DURESS_LISTEN_TEXT_BYTES];
};

static void part_take(char part[DURESS_LISTEN_TEXT_BYTES], const char *first, size_t length)
{
    if (length >= DURESS_LISTEN_TEXT_BYTES)
        length = DURESS_LISTEN_TEXT_BYTES - 1;
    memcpy(part, first, length);
    part[length] = '\0';
}

/* --- the grammar of Go's net.SplitHostPort --- */

static enum duress_listen_problem bracketed_split(const char *text, const char *colon, const char **host,
                                                  size_t *host_bytes, const char **rest)
{
    const char *end = strchr(text, ']');
    if (end == NULL)
        return DURESS_LISTEN_MISSING_BRACKET;
    if (end + 1 != colon)
        return end[1] == ':' ? DURESS_LISTEN_TOO_MANY_COLONS : DURESS_LISTEN_MISSING_PORT;
    *host = text + 1;
    *host_bytes = (size_t)(end - text - 1);
    *rest = end + 1;
    return DURESS_LISTEN_FINE;
}

static enum duress_listen_problem text_split(const char *text, struct parts *parts, char *bracket)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;
    const char *rest = text;
    if (colon == NULL)
        return DURESS_LISTEN_MISSING_PORT;
    size_t host_bytes = (size_t)(colon - text);
    bool bracketed = *text == '[';
    if (bracketed) {
        enum duress_listen_problem problem = bracketed_split(text, colon, &host, &host_bytes, &rest);
        if (problem != DURESS_LISTEN_FINE)
            return problem;
    } else if (memchr(host, ':', host_bytes) != NULL) {
        return DURESS_LISTEN_TOO_MANY_COLONS;
    }
    *bracket = strchr(bracketed ? text + 1 : text, '[') != NULL ? '[' : strchr(rest, ']') != NULL ? ']' : '\0';
    if (*bracket != '\0')
        return DURESS_LISTEN_UNEXPECTED_BRACKET;
    part_take(parts->host, host, host_bytes);
    part_take(parts->port, colon + 1, strlen(colon + 1));
    return DURESS_LISTEN_FINE;
}

/* A number, as Go takes one: empty is 0, a sign is allowed. False: a service's name. */
static bool port_parse(const char *text, uint32_t *port, bool *in_range)
{
    bool negative = *text == '-';
    if (*text == '-' || *text == '+')
        text++;
    *port = 0;
    *in_range = true;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        *port = *port * 10 + (uint32_t)(*text - '0');
        if (*port > PORT_MAX)
            *in_range = false;
        if (*port > PORT_MAX * 10)
            *port = PORT_MAX + 1; /* enough is known */
    }
    *in_range = *in_range && !(negative && *port > 0);
    return true;
}

/* --- addresses --- */

static void address_set(struct duress_listen_address *address, const struct endpoint *endpoint)
{
    address->address = endpoint->address;
    address->address_bytes = endpoint->length;
    address->is_wildcard = duress__proxy_endpoint_is_wildcard(endpoint);
    if (address->is_wildcard) {
        struct sockaddr_in6 any = {.sin6_family = AF_INET6, .sin6_port = htons(duress__proxy_endpoint_port(endpoint))};
        memset(&address->address, 0, sizeof address->address);
        memcpy(&address->address, &any, sizeof any);
        address->address_bytes = sizeof any;
    }
    struct endpoint final = {.address = address->address, .length = address->address_bytes};
    duress__proxy_endpoint_text(&final, address->text, sizeof address->text);
}

static enum duress_listen_problem answer_problem(struct duress_listen_answer *answer,
                                                 enum duress_listen_problem problem, const char *detail)
{
    answer->problem = problem;
    part_take(answer->detail, detail, strlen(detail));
    return problem;
}

/* Understands what can be without asking. False: *parts are to be looked up. */
static bool text_understand(const char *text, struct parts *parts, struct duress_listen_answer *answer)
{
    char bracket[2] = "";
    uint32_t port = 0;
    bool in_range = true;
    memset(answer, 0, sizeof *answer);
    memset(parts, 0, sizeof *parts);
    answer->problem = *text != '\0' ? text_split(text, parts, bracket) : DURESS_LISTEN_FINE;
    if (answer->problem != DURESS_LISTEN_FINE) {
        part_take(answer->detail, bracket, strlen(bracket));
        return true;
    }
    if (!port_parse(parts->port, &port, &in_range))
        return false;
    if (!in_range) {
        (void)answer_problem(answer, DURESS_LISTEN_INVALID_PORT, parts->port);
        return true;
    }
    char numeric[DURESS_LISTEN_TEXT_BYTES + 16];
    struct endpoint endpoint;
    const char *host = *parts->host == '\0' ? "::" : strcmp(parts->host, "localhost") == 0 ? "127.0.0.1" : parts->host;
    bool six = strchr(host, ':') != NULL;
    (void)snprintf(numeric, sizeof numeric, "%s%s%s:%u", six ? "[" : "", host, six ? "]" : "", (unsigned)port);
    if (!duress__proxy_endpoint_parse(numeric, &endpoint))
        return false;
    address_set(&answer->address, &endpoint);
    return true;
}

bool duress_listen_parse(const char *text, struct duress_listen_answer *answer)
{
    struct parts parts;
    return text_understand(text, &parts, answer);
}

bool duress_listen_equal(const struct duress_listen_address *a, const struct duress_listen_address *b)
{
    struct endpoint left = {.address = a->address, .length = a->address_bytes};
    struct endpoint right = {.address = b->address, .length = b->address_bytes};
    if (duress__proxy_endpoint_port(&left) != duress__proxy_endpoint_port(&right) ||
        duress__proxy_endpoint_port(&left) == 0)
        return false;
    return (a->is_wildcard && b->is_wildcard) || duress__proxy_endpoint_equal(&left, &right);
}

/* --- looking up --- */

struct duress_listen_lookup {
    struct duress_loop *loop;
    const struct duress_allocator *allocator;
    duress_listen_fn fn;
    void *context;
    struct duress_later known; /* the answer needed nobody */
    struct lookup *lookup;
    struct duress_timer limit;
    struct parts parts;
    struct duress_listen_answer answer;
};

static void lookup_end(struct duress_listen_lookup *lookup)
{
    duress_listen_fn fn = lookup->fn;
    void *context = lookup->context;
    struct duress_listen_answer answer = lookup->answer;
    duress_listen_lookup_cancel(lookup);
    fn(context, &answer);
}

static void known_called(void *context)
{
    lookup_end(context);
}

static void limit_fired(void *context)
{
    struct duress_listen_lookup *lookup = context;
    (void)answer_problem(&lookup->answer, DURESS_LISTEN_NO_ANSWER, lookup->parts.host);
    lookup_end(lookup);
}

static void lookup_problem(struct duress_listen_lookup *lookup, int error)
{
    const char *host = lookup->parts.host;
    if (error == DURESS_E_INVALID)
        (void)answer_problem(&lookup->answer, DURESS_LISTEN_UNKNOWN_SERVICE, lookup->parts.port);
    else if (error == DURESS_E_NAME_NOT_FOUND)
        (void)answer_problem(&lookup->answer, DURESS_LISTEN_NO_SUCH_HOST, host);
    else if (error == DURESS_E_NO_MEMORY)
        (void)answer_problem(&lookup->answer, DURESS_LISTEN_NO_MEMORY, host);
    else
        (void)answer_problem(&lookup->answer, DURESS_LISTEN_NO_ANSWER, host);
}

/* The first IPv4 address, or else the first one. */
static void lookup_found(void *context, int error, struct address_list *list)
{
    struct duress_listen_lookup *lookup = context;
    lookup->lookup = NULL;
    if (error == DURESS_OK && list->count == 0)
        error = DURESS_E_NAME_NOT_FOUND;
    if (error == DURESS_OK) {
        size_t chosen = 0;
        while (chosen < list->count && list->addresses[chosen].address.ss_family != AF_INET)
            chosen++;
        address_set(&lookup->answer.address, &list->addresses[chosen < list->count ? chosen : 0]);
    } else {
        lookup_problem(lookup, error);
    }
    duress__address_list_release(list);
    lookup_end(lookup);
}

int duress_listen_lookup(struct duress_loop *loop, const char *text, uint64_t limit_ns, duress_listen_fn fn,
                         void *context, struct duress_listen_lookup **lookup)
{
    const struct duress_allocator *allocator = duress__loop_allocator(loop);
    struct duress_listen_lookup *made = duress_allocate_zeroed(allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->loop = loop;
    made->allocator = allocator;
    made->fn = fn;
    made->context = context;
    made->known = (struct duress_later){.fn = known_called, .context = made};
    duress_timer_init(&made->limit, limit_fired, made);
    *lookup = made;
    bool is_known = text_understand(text, &made->parts, &made->answer);
    int error = DURESS_OK;
    if (!is_known)
        error = duress__proxy_lookup_begin(loop, made->parts.host, made->parts.port, lookup_found, made, &made->lookup);
    if (error != DURESS_OK)
        lookup_problem(made, error);
    if (is_known || error != DURESS_OK) {
        duress__loop_defer(loop, &made->known);
        return DURESS_OK;
    }
    uint64_t now_ns = duress__loop_now_ns(loop);
    duress__loop_arm(loop, &made->limit, duress_time_add(now_ns, limit_ns > 0 ? limit_ns : LIMIT_NS_DEFAULT));
    return DURESS_OK;
}

void duress_listen_lookup_cancel(struct duress_listen_lookup *lookup)
{
    if (lookup == NULL)
        return;
    duress__loop_undefer(lookup->loop, &lookup->known);
    duress__loop_disarm(lookup->loop, &lookup->limit);
    duress__proxy_lookup_abandon(lookup->lookup);
    duress_release(lookup->allocator, lookup);
}
