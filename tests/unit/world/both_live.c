/* SPDX-License-Identifier: Apache-2.0
 *
 * The live world: real sockets on the loopback, and a name server that knows no name. */
#include "both_worlds.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <duress/world/live.h>

/* --- a name server --- */

struct name_server {
    int fd;
    uint16_t port;
    pthread_t thread;
};

/* Answers each question with "no such name", until a datagram of one byte comes. */
static void *name_server_run(void *context)
{
    struct name_server *server = context;
    for (;;) {
        uint8_t packet[512];
        struct sockaddr_in from;
        socklen_t from_bytes = sizeof from;
        ssize_t count = recvfrom(server->fd, packet, sizeof packet, 0, (struct sockaddr *)&from, &from_bytes);
        if (count < 12)
            return NULL;
        packet[2] = (uint8_t)(packet[2] | 0x80); /* a response */
        packet[3] = 0x83;                        /* recursion available, NXDOMAIN */
        (void)sendto(server->fd, packet, (size_t)count, 0, (struct sockaddr *)&from, from_bytes);
    }
}

static void name_server_open(struct name_server *server)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t address_bytes = sizeof address;
    server->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(server->fd >= 0);
    assert_int_equal(bind(server->fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(getsockname(server->fd, (struct sockaddr *)&address, &address_bytes), 0);
    server->port = ntohs(address.sin_port);
    assert_int_equal(pthread_create(&server->thread, NULL, name_server_run, server), 0);
}

static void name_server_close(struct name_server *server)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
        .sin_port = htons(server->port),
    };
    assert_int_equal(sendto(server->fd, "", 1, 0, (struct sockaddr *)&address, sizeof address), 1);
    assert_int_equal(pthread_join(server->thread, NULL), 0);
    assert_int_equal(close(server->fd), 0);
}

/* --- the worlds --- */

struct live_pair {
    struct name_server names;
    struct duress_world *apart; /* the server's own world; NULL where it shares the client's */
    char folder[64];
    char path[80];
};

static struct duress_world *world_new(const struct live_pair *pair)
{
    char servers[32];
    (void)snprintf(servers, sizeof servers, "127.0.0.1:%u", (unsigned)pair->names.port);
    struct duress_world_live_options options = {.name_servers = servers};
    struct duress_world *world = NULL;
    assert_int_equal(duress_world_live_new(&options, &world, NULL), DURESS_OK);
    return world;
}

static void live_open(struct both *both, bool is_apart, uint64_t hop_ns)
{
    assert_int_equal(hop_ns, 0);
    struct live_pair *pair = calloc(1, sizeof *pair);
    assert_non_null(pair);
    (void)snprintf(pair->folder, sizeof pair->folder, "/tmp/duress-both-XXXXXX");
    assert_non_null(mkdtemp(pair->folder));
    (void)snprintf(pair->path, sizeof pair->path, "%s/socket", pair->folder);
    name_server_open(&pair->names);
    struct duress_world *client = world_new(pair);
    if (is_apart)
        pair->apart = world_new(pair);
    *both = (struct both){
        .name = "live",
        .client = client,
        .server = is_apart ? pair->apart : client, /* one that nobody runs is a process that is stopped */
        .address = duress_address_loopback(0),
        .unix_path = duress_address_unix(pair->path),
        .is_apart = is_apart,
        .private = pair,
    };
}

static void live_thaw(struct both *both)
{
    struct live_pair *pair = both->private;
    uint64_t deadline_ns = duress_world_now_ns(pair->apart) + 20 * DURESS_MS;
    assert_int_equal(duress_world_run_until(pair->apart, NULL, NULL, deadline_ns), DURESS_E_DEADLINE);
}

static void live_close(struct both *both)
{
    struct live_pair *pair = both->private;
    duress_world_free(pair->apart);
    duress_world_free(both->client);
    name_server_close(&pair->names);
    (void)unlink(pair->path);
    assert_int_equal(rmdir(pair->folder), 0);
    free(pair);
}

const struct both_factory both_live = {"live", live_open, live_thaw, live_close, NULL, NULL};

#define X(name)                                                                                                        \
    static void live_##name(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        name(&both_live);                                                                                              \
    }
BOTH_SCENARIO_LIST(X)
#undef X

int main(void)
{
    const struct CMUnitTest tests[] = {
#define X(name) {#name, live_##name, NULL, NULL, NULL},
        BOTH_SCENARIO_LIST(X)
#undef X
    };
    return cmocka_run_group_tests_name("both_worlds_live", tests, NULL, NULL);
}
