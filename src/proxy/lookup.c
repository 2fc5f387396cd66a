/* SPDX-License-Identifier: Apache-2.0 */
#include "lookup.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#include <duress/error.h>

#define LOOKUP_STACK_BYTES (512 * 1024)

/* --- lists of addresses --- */

struct address_list *duress__address_list_new(const struct duress_allocator *allocator)
{
    struct address_list *list = duress_allocate_zeroed(allocator, 1, sizeof *list);
    if (list == NULL)
        return NULL;
    list->allocator = allocator;
    list->references = 1;
    return list;
}

struct address_list *duress__address_list_keep(struct address_list *list)
{
    list->references++;
    return list;
}

void duress__address_list_release(struct address_list *list)
{
    if (list == NULL)
        return;
    list->references--;
    if (list->references == 0)
        duress_release(list->allocator, list);
}

/* --- one lookup --- */

/* Shared by the loop's thread and the lookup's until one of them finds that it is the last to need it. */
struct lookup {
    const struct duress_allocator *allocator;
    struct duress_loop *loop;
    struct duress_post post; /* of the answer */
    lookup_fn fn;            /* NULL once it was abandoned; the loop's thread's */
    void *context;
    const char *service;
    pthread_mutex_t lock; /* of the two below */
    bool is_answered;     /* posted */
    bool is_abandoned;
    int error;
    struct address_list *list;
    char host[]; /* and the service behind it */
};

static atomic_size_t lookup_count; /* of the process: the threads are what is scarce */

static void lookup_free(struct lookup *lookup)
{
    duress__address_list_release(lookup->list);
    (void)pthread_mutex_destroy(&lookup->lock);
    duress_release(lookup->allocator, lookup);
}

static void lookup_answered(void *context)
{
    struct lookup *lookup = context;
    struct address_list *list = lookup->list;
    /* Its thread may still be in the post: neither the loop nor the memory may go before it has let go of the lock. */
    (void)pthread_mutex_lock(&lookup->lock);
    (void)pthread_mutex_unlock(&lookup->lock);
    lookup->list = NULL;
    if (lookup->fn != NULL)
        lookup->fn(lookup->context, lookup->error, list);
    else
        duress__address_list_release(list);
    lookup_free(lookup);
}

static int error_from_resolver(int status)
{
    switch (status) {
    case 0:
        return DURESS_OK;
    case EAI_NONAME:
#ifdef EAI_NODATA
    case EAI_NODATA:
#endif
        return DURESS_E_NAME_NOT_FOUND;
    case EAI_AGAIN:
    case EAI_FAIL:
        return DURESS_E_NAME_TEMPORARY;
    case EAI_SERVICE:
        return DURESS_E_INVALID;
    case EAI_MEMORY:
        return DURESS_E_NO_MEMORY;
    default:
        return DURESS_E_SYSTEM;
    }
}

static void addresses_take(struct address_list *list, const struct addrinfo *found)
{
    for (; found != NULL && list->count < LOOKUP_ADDRESSES_MAX; found = found->ai_next) {
        struct endpoint *to = &list->addresses[list->count];
        if (found->ai_addrlen > sizeof to->address)
            continue;
        memcpy(&to->address, found->ai_addr, found->ai_addrlen);
        to->length = found->ai_addrlen;
        list->count++;
    }
}

static int addresses_find(const struct lookup *lookup, struct address_list **list)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE};
    struct addrinfo *found = NULL;
    int error =
        error_from_resolver(getaddrinfo(*lookup->host != '\0' ? lookup->host : NULL, lookup->service, &hints, &found));
    if (error != DURESS_OK)
        return error;
    *list = duress__address_list_new(lookup->allocator);
    if (*list != NULL)
        addresses_take(*list, found);
    freeaddrinfo(found);
    return *list != NULL ? DURESS_OK : DURESS_E_NO_MEMORY;
}

static void *lookup_run(void *context)
{
    struct lookup *lookup = context;
    struct address_list *list = NULL;
    int error = addresses_find(lookup, &list);
    atomic_fetch_sub(&lookup_count, 1);
    (void)pthread_mutex_lock(&lookup->lock);
    bool is_wanted = !lookup->is_abandoned;
    lookup->error = error;
    lookup->list = list;
    lookup->is_answered = true;
    if (is_wanted)
        duress__loop_post(lookup->loop, &lookup->post); /* Under the lock: the loop is there until it is abandoned. */
    (void)pthread_mutex_unlock(&lookup->lock);
    if (!is_wanted)
        lookup_free(lookup);
    return NULL;
}

static int thread_begin(struct lookup *lookup)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all;
    sigset_t before;
    int number = pthread_attr_init(&attributes);
    if (number != 0)
        return DURESS_E_NO_MEMORY;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, LOOKUP_STACK_BYTES);
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before); /* Signals are for the threads of the program. */
    number = pthread_create(&thread, &attributes, lookup_run, lookup);
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    (void)pthread_attr_destroy(&attributes);
    return number == 0 ? DURESS_OK : DURESS_E_NO_MEMORY;
}

int duress__proxy_lookup_begin(struct duress_loop *loop, const char *host, const char *service, lookup_fn fn,
                               void *context, struct lookup **lookup)
{
    const struct duress_allocator *allocator = duress__loop_allocator(loop);
    size_t host_bytes = strlen(host) + 1;
    size_t service_bytes = strlen(service) + 1;
    if (atomic_fetch_add(&lookup_count, 1) >= LOOKUPS_MAX) {
        atomic_fetch_sub(&lookup_count, 1);
        return DURESS_E_AGAIN;
    }
    struct lookup *made = duress_allocate_zeroed(allocator, 1, sizeof *made + host_bytes + service_bytes);
    if (made == NULL) {
        atomic_fetch_sub(&lookup_count, 1);
        return DURESS_E_NO_MEMORY;
    }
    made->allocator = allocator;
    made->loop = loop;
    made->post = (struct duress_post){.fn = lookup_answered, .context = made};
    made->fn = fn;
    made->context = context;
    memcpy(made->host, host, host_bytes);
    memcpy(made->host + host_bytes, service, service_bytes);
    made->service = made->host + host_bytes;
    (void)pthread_mutex_init(&made->lock, NULL);
    int error = thread_begin(made);
    if (error != DURESS_OK) {
        atomic_fetch_sub(&lookup_count, 1);
        lookup_free(made);
        return error;
    }
    *lookup = made;
    return DURESS_OK;
}

void duress__proxy_lookup_abandon(struct lookup *lookup)
{
    if (lookup == NULL)
        return;
    lookup->fn = NULL;
    (void)pthread_mutex_lock(&lookup->lock);
    lookup->is_abandoned = true; /* Where it is answered, the post frees it. */
    (void)pthread_mutex_unlock(&lookup->lock);
}
