/* SPDX-License-Identifier: Apache-2.0
 *
 * The c-ares channel of a live world: its options, its descriptors on the loop, its clock. */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "live_resolve.h"

#define NAME_TIMEOUT_NS_DEFAULT (2 * DURESS_S)
enum { NAME_TRIES_DEFAULT = 3 };

/* --- the clock --- */

void duress__live_resolver_follow(struct live_resolver *resolver)
{
    struct duress_loop *loop = resolver->world->loop;
    struct timeval wait;
    if (ares_timeout(resolver->channel, NULL, &wait) == NULL) {
        duress__loop_disarm(loop, &resolver->patience);
        return;
    }
    /* c-ares counts whole microseconds; one more, lest it finds that it is not yet time. */
    uint64_t wait_ns = (uint64_t)wait.tv_sec * DURESS_S + ((uint64_t)wait.tv_usec + 1) * DURESS_US;
    duress__loop_arm(loop, &resolver->patience, duress_time_add(duress__loop_now_ns(loop), wait_ns));
}

static void patience_ended(void *context)
{
    struct live_resolver *resolver = context;
    ares_process_fd(resolver->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    duress__live_resolver_follow(resolver);
}

static void resolver_give_up(void *context)
{
    struct live_resolver *resolver = context;
    if (resolver->wanted_count > 0 && !resolver->watch_failed)
        return; /* Somebody has asked since. */
    resolver->watch_failed = false;
    ares_cancel(resolver->channel);
    duress__live_resolver_follow(resolver);
}

/* --- the descriptors --- */

static void watch_spoke(void *context, unsigned events)
{
    struct live_watch *watch = context;
    struct live_resolver *resolver = watch->resolver;
    int fd = watch->socket.fd; /* c-ares may close it, and |watch| with it */
    ares_process_fd(resolver->channel, (events & DURESS_SOCKET_READABLE) != 0 ? fd : ARES_SOCKET_BAD,
                    (events & DURESS_SOCKET_WRITABLE) != 0 ? fd : ARES_SOCKET_BAD);
    duress__live_resolver_follow(resolver);
}

static struct live_watch *watch_new(struct live_resolver *resolver, int fd)
{
    const struct duress_allocator *allocator = resolver->world->base.allocator;
    struct live_watch *watch = duress_allocate_zeroed(allocator, 1, sizeof *watch);
    if (watch == NULL)
        return NULL;
    if (duress__socket_watch(resolver->world->loop, &watch->socket, fd, watch_spoke, watch) != DURESS_OK) {
        duress_release(allocator, watch);
        return NULL;
    }
    watch->resolver = resolver;
    watch->next = resolver->watches;
    resolver->watches = watch;
    return watch;
}

static void watch_free(struct live_watch **link)
{
    struct live_watch *watch = *link;
    *link = watch->next;
    duress__socket_unwatch(&watch->socket);
    duress_release(watch->resolver->world->base.allocator, watch);
}

/* c-ares says what it waits for on |fd|; nothing at all: it is about to close it. */
static void ares_wants(void *context, ares_socket_t fd, int readable, int writable)
{
    struct live_resolver *resolver = context;
    struct live_watch **link = &resolver->watches;
    while (*link != NULL && (*link)->socket.fd != fd)
        link = &(*link)->next;
    if (readable == 0 && writable == 0) {
        if (*link != NULL)
            watch_free(link);
        return;
    }
    struct live_watch *watch = *link != NULL ? *link : watch_new(resolver, fd);
    if (watch == NULL) {
        resolver->watch_failed = true;
        duress__loop_defer(resolver->world->loop, &resolver->give_up);
        return;
    }
    duress__socket_want(&watch->socket, (readable != 0 ? (unsigned)DURESS_SOCKET_READABLE : 0U) |
                                            (writable != 0 ? (unsigned)DURESS_SOCKET_WRITABLE : 0U));
}

/* --- system calls, our way: close-on-exec from the first instant, and no SIGPIPE --- */

static ares_socket_t call_socket(int family, int type, int protocol, void *context)
{
    struct live_resolver *resolver = context;
    int fd = socket(family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
    int on = 1;
    resolver->out_of_descriptors = fd < 0 && duress__error_from_errno(errno) == DURESS_E_NO_DESCRIPTORS;
    if (fd >= 0 && type == SOCK_STREAM)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

static int call_close(ares_socket_t fd, void *context)
{
    (void)context;
    return close(fd);
}

static int call_connect(ares_socket_t fd, const struct sockaddr *address, ares_socklen_t bytes, void *context)
{
    (void)context;
    return connect(fd, address, bytes);
}

static ares_ssize_t call_receive(ares_socket_t fd, void *bytes, size_t capacity, int flags, struct sockaddr *from,
                                 ares_socklen_t *from_bytes, void *context)
{
    (void)context;
    return recvfrom(fd, bytes, capacity, flags, from, from_bytes);
}

static ares_ssize_t call_send(ares_socket_t fd, const struct iovec *pieces, int count, void *context)
{
    (void)context;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)pieces, .msg_iovlen = (size_t)count};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static const struct ares_socket_functions ares_calls = {
    .asocket = call_socket,
    .aclose = call_close,
    .aconnect = call_connect,
    .arecvfrom = call_receive,
    .asendv = call_send,
};

/* --- making and freeing --- */

/* c-ares doubles its wait with each try, so the first one is the patience of all tries divided by 2^tries - 1. */
static int first_wait_ms(uint64_t timeout_ns, uint32_t tries)
{
    uint64_t patience_ns = timeout_ns * tries;
    uint64_t shares_ns = ((UINT64_C(1) << tries) - 1) * DURESS_MS;
    return (int)((patience_ns + shares_ns - 1) / shares_ns);
}

static int error_from_init(int status, int otherwise)
{
    if (status == ARES_SUCCESS)
        return DURESS_OK;
    return status == ARES_ENOMEM ? DURESS_E_NO_MEMORY : otherwise;
}

static int channel_init(struct live_resolver *resolver, const struct duress_world_live_options *options, int flags)
{
    uint64_t timeout_ns = options->name_timeout_ns == 0 ? NAME_TIMEOUT_NS_DEFAULT : options->name_timeout_ns;
    uint32_t tries = options->name_tries == 0 ? NAME_TRIES_DEFAULT : options->name_tries;
    static char lookups[] = "b"; /* the name servers alone, not the machine's hosts file; c-ares copies it */
    struct ares_options settings = {
        .flags = flags,
        .timeout = first_wait_ms(timeout_ns, tries),
        .tries = (int)tries,
        .sock_state_cb = ares_wants,
        .sock_state_cb_data = resolver,
    };
    int mask = ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB;
    if (options->name_servers != NULL) {
        settings.flags |= ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES;
        settings.lookups = lookups;
        mask |= ARES_OPT_LOOKUPS;
    }
    int error = error_from_init(ares_init_options(&resolver->channel, &settings, mask), DURESS_E_SYSTEM);
    if (error != DURESS_OK) {
        resolver->channel = NULL;
        return error;
    }
    ares_set_socket_functions(resolver->channel, &ares_calls, resolver);
    if (options->name_servers == NULL)
        return DURESS_OK;
    return error_from_init(ares_set_servers_ports_csv(resolver->channel, options->name_servers), DURESS_E_INVALID);
}

static bool channel_has_one_server(struct live_resolver *resolver)
{
    struct ares_addr_port_node *servers = NULL;
    if (ares_get_servers_ports(resolver->channel, &servers) != ARES_SUCCESS || servers == NULL)
        return false;
    bool one = servers->next == NULL;
    ares_free_data(servers);
    return one;
}

/* Where several name servers are known, c-ares asks the next one after a server failure, and forgets what it was when
 * none is left. Where there is only one, its failure is the answer, and is told as such: NAME_TEMPORARY, not
 * NAME_SILENT. */
static int channel_open(struct live_resolver *resolver, const struct duress_world_live_options *options)
{
    int error = channel_init(resolver, options, 0);
    if (error != DURESS_OK || !channel_has_one_server(resolver))
        return error;
    ares_destroy(resolver->channel);
    resolver->channel = NULL;
    return channel_init(resolver, options, ARES_FLAG_NOCHECKRESP);
}

int duress__live_resolver_new(struct live_world *world, const struct duress_world_live_options *options,
                              struct live_resolver **resolver)
{
    struct live_resolver *made = duress_allocate_zeroed(world->base.allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->world = world;
    made->give_up = (struct duress_later){.fn = resolver_give_up, .context = made};
    duress_timer_init(&made->patience, patience_ended, made);
    int error = channel_open(made, options);
    if (error != DURESS_OK) {
        duress__live_resolver_free(made);
        return error;
    }
    *resolver = made;
    return DURESS_OK;
}

void duress__live_resolver_free(struct live_resolver *resolver)
{
    if (resolver == NULL)
        return;
    /* Those that c-ares holds free themselves when the channel goes; the others here. */
    struct live_question *next;
    for (struct live_question *question = resolver->questions; question != NULL; question = next) {
        next = question->next;
        if (!question->cancelled)
            duress__live_resolution_cancel(&question->base);
    }
    if (resolver->channel != NULL)
        ares_destroy(resolver->channel);
    while (resolver->watches != NULL)
        watch_free(&resolver->watches);
    duress__loop_disarm(resolver->world->loop, &resolver->patience);
    duress__loop_undefer(resolver->world->loop, &resolver->give_up);
    duress_release(resolver->world->base.allocator, resolver);
}
