/* SPDX-License-Identifier: Apache-2.0
 *
 * Names of the live world: questions, asked through one c-ares channel, whose descriptors the loop watches
 * (live_resolve_channel.c).
 *
 * c-ares cannot cancel one question. A cancelled one is marked and forgotten when c-ares is done with it; where no
 * other is left the whole channel is told to give up. */
#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "live_resolve.h"

enum {
    HOST_BYTES_MAX = 253, /* of a name in the DNS, without the final dot */
    ADDRESSES_MAX = 64,   /* those beyond are left out */
    LOCALHOST_BYTES = 9,  /* "localhost" */
};

/* --- questions --- */

static struct live_resolver *resolver_of(struct duress_world *world)
{
    return ((struct live_world *)world)->resolver;
}

static void question_answer(void *context);

static struct live_question *question_new(struct live_resolver *resolver, uint16_t port, duress_resolve_fn fn,
                                          void *context)
{
    struct duress_world *world = &resolver->world->base;
    struct live_question *question = duress_allocate_zeroed(world->allocator, 1, sizeof *question);
    if (question == NULL)
        return NULL;
    question->base = (struct duress_resolution){.world = world, .fn = fn, .context = context};
    question->answer = (struct duress_later){.fn = question_answer, .context = question};
    question->port = port;
    question->next = resolver->questions;
    question->link = &resolver->questions;
    if (question->next != NULL)
        question->next->link = &question->next;
    resolver->questions = question;
    return question;
}

static void question_free(struct live_question *question)
{
    const struct duress_allocator *allocator = question->base.world->allocator;
    *question->link = question->next;
    if (question->next != NULL)
        question->next->link = question->link;
    duress_release(allocator, question->addresses);
    duress_release(allocator, question);
}

static void question_answer(void *context)
{
    struct live_question *question = context;
    question->base.fn(question->base.context, question->error, question->addresses, question->address_count);
    question_free(question);
}

static void question_close(struct live_question *question, int error)
{
    question->error = error;
    duress__loop_defer(resolver_of(question->base.world)->world->loop, &question->answer);
}

/* Makes room for |count| addresses. */
static int question_reserve(struct live_question *question, size_t count)
{
    question->addresses = duress_allocate_zeroed(question->base.world->allocator, count, sizeof *question->addresses);
    return question->addresses == NULL ? DURESS_E_NO_MEMORY : DURESS_OK;
}

/* --- answers without asking --- */

/* "localhost" and all below it are this machine (RFC 6761), whatever a name server would say. */
static bool host_is_local(const char *host)
{
    size_t length = strlen(host);
    if (length > 0 && host[length - 1] == '.')
        length--;
    if (length < LOCALHOST_BYTES || strncasecmp(host + length - LOCALHOST_BYTES, "localhost", LOCALHOST_BYTES) != 0)
        return false;
    return length == LOCALHOST_BYTES || host[length - LOCALHOST_BYTES - 1] == '.';
}

/* Answers a numeric host or the machine's own name; false where somebody must be asked. */
static bool question_answer_at_once(struct live_question *question, const char *host)
{
    struct duress_address numeric;
    bool local = host_is_local(host);
    if (!local && !duress_address_from_host(host, question->port, &numeric))
        return false;
    int error = question_reserve(question, local ? 2 : 1);
    if (error == DURESS_OK && local) {
        bool read = duress_address_from_host("127.0.0.1", question->port, &question->addresses[0]) &&
                    duress_address_from_host("::1", question->port, &question->addresses[1]);
        DURESS_ASSERT(read);
        question->address_count = 2;
    } else if (error == DURESS_OK) {
        question->addresses[0] = numeric;
        question->address_count = 1;
    }
    question_close(question, error);
    return true;
}

/* --- answers of c-ares --- */

/* A name server whose port refuses has not answered any more than one that is silent: NAME_TEMPORARY is for those that
 * spoke, and said that they cannot say. */
static int error_from_ares(int status)
{
    switch (status) {
    case ARES_SUCCESS:
        return DURESS_OK;
    case ARES_ENODATA:
    case ARES_ENOTFOUND:
    case ARES_ENONAME:
    case ARES_EBADNAME:
        return DURESS_E_NAME_NOT_FOUND;
    case ARES_ETIMEOUT:
    case ARES_ECONNREFUSED:
        return DURESS_E_NAME_SILENT;
    case ARES_ENOMEM:
    case ARES_ECANCELLED: /* We cancel what is still wanted only where a descriptor could not be watched. */
        return DURESS_E_NO_MEMORY;
    default:
        return DURESS_E_NAME_TEMPORARY;
    }
}

/* Copies the addresses out of c-ares's list. */
static int question_fill(struct live_question *question, const struct ares_addrinfo *info)
{
    size_t count = 0;
    for (const struct ares_addrinfo_node *node = info->nodes; node != NULL && count < ADDRESSES_MAX;
         node = node->ai_next)
        count++;
    if (count == 0)
        return DURESS_E_NAME_NOT_FOUND;
    int error = question_reserve(question, count);
    if (error != DURESS_OK)
        return error;
    const struct ares_addrinfo_node *node = info->nodes;
    for (size_t i = 0; i < count; i++, node = node->ai_next) {
        struct duress_address address = duress__address_from_sockaddr(node->ai_addr, node->ai_addrlen);
        address.port = question->port;
        if (address.family != DURESS_FAMILY_NONE)
            question->addresses[question->address_count++] = address;
    }
    return question->address_count > 0 ? DURESS_OK : DURESS_E_NAME_NOT_FOUND;
}

static void ares_answered(void *context, int status, int timeouts, struct ares_addrinfo *info)
{
    (void)timeouts;
    struct live_question *question = context;
    struct live_resolver *resolver = resolver_of(question->base.world);
    question->asked = false;
    if (question->cancelled) {
        question_free(question);
    } else {
        resolver->wanted_count--;
        bool no_socket = status == ARES_ECONNREFUSED && resolver->out_of_descriptors;
        int error = no_socket ? DURESS_E_NO_DESCRIPTORS : error_from_ares(status);
        if (error == DURESS_OK)
            error = question_fill(question, info);
        question_close(question, error);
    }
    if (info != NULL)
        ares_freeaddrinfo(info);
}

int duress__live_resolve(struct duress_world *world, const char *host, uint16_t port, duress_resolve_fn fn,
                         void *context, struct duress_resolution **resolution)
{
    size_t length = strlen(host);
    if (length == 0 || length > HOST_BYTES_MAX + (host[length - 1] == '.' ? 1U : 0U))
        return DURESS_E_INVALID;
    struct live_resolver *resolver = resolver_of(world);
    struct live_question *question = question_new(resolver, port, fn, context);
    if (question == NULL)
        return DURESS_E_NO_MEMORY;
    *resolution = &question->base;
    if (question_answer_at_once(question, host))
        return DURESS_OK;
    struct ares_addrinfo_hints hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    question->asked = true;
    resolver->wanted_count++;
    ares_getaddrinfo(resolver->channel, host, NULL, &hints, ares_answered, question);
    duress__live_resolver_follow(resolver);
    return DURESS_OK;
}

void duress__live_resolution_cancel(struct duress_resolution *resolution)
{
    struct live_question *question = (struct live_question *)resolution;
    struct live_resolver *resolver = resolver_of(resolution->world);
    duress__loop_undefer(resolver->world->loop, &question->answer);
    if (!question->asked) {
        question_free(question);
        return;
    }
    question->cancelled = true;
    resolver->wanted_count--;
    if (resolver->wanted_count == 0)
        duress__loop_defer(resolver->world->loop, &resolver->give_up);
}
