/* SPDX-License-Identifier: Apache-2.0
 *
 * When the kernel gives up a path on which nobody answers, and what the live world says then. The simulated one never
 * gives up what is open: test_sim_network.c, test_sim_host.c. */
#include "tun_path.h"
#include "world_peer.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <duress/world/live.h>

#define PATIENCE_NS (10 * DURESS_S)
enum { DESCRIPTORS_MAX = 256 };

/* Three clients of a path that is cut: one has said something, one has nothing to say, and one dials. */
struct silence {
    struct duress_world *world;
    struct tun_path *path;
    struct door door;
    struct peer server;
    struct peer talking;
    struct peer idle;
    struct peer dialling;
    uint64_t cut_ns;
};

/* The descriptor of a peer's socket, by the port that it has. */
static int descriptor_of(const struct peer *peer)
{
    for (int fd = 3; fd < DESCRIPTORS_MAX; fd++) {
        struct sockaddr_in local = {0};
        socklen_t bytes = sizeof local;
        if (getsockname(fd, (struct sockaddr *)&local, &bytes) == 0 && local.sin_family == AF_INET &&
            ntohs(local.sin_port) == duress_stream_local(peer->stream).port)
            return fd;
    }
    fail_msg("the socket is not there");
    return -1;
}

static int option_of(int fd, int level, int name)
{
    int value = 0;
    socklen_t bytes = sizeof value;
    assert_int_equal(getsockopt(fd, level, name, &value, &bytes), 0);
    return value;
}

/* Seconds are the shortest that the kernel takes. */
static void keepalive_shorten(int fd)
{
    static const int names[] = {TCP_KEEPIDLE, TCP_KEEPINTVL, TCP_KEEPCNT};
    int one = 1;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(setsockopt(fd, IPPROTO_TCP, names[i], &one, sizeof one), 0);
}

static bool all_are_accepted(void *context)
{
    return ((struct silence *)context)->door.accepted == 2;
}

static int silence_begin(void **state)
{
    static struct silence silence;
    *state = &silence;
    assert_int_equal(duress_world_live_new(NULL, &silence.world, NULL), DURESS_OK);
    silence.path = tun_path_new(silence.world, 0);
    assert_int_equal(door_open(&silence.door, silence.world, tun_path_here(0), 0, &silence.server), DURESS_OK);
    struct duress_address there = tun_path_there(duress_listener_address(silence.door.listener).port);
    assert_int_equal(peer_connect(&silence.talking, silence.world, there), DURESS_OK);
    assert_int_equal(peer_connect(&silence.idle, silence.world, there), DURESS_OK);
    uint64_t deadline_ns = duress_world_now_ns(silence.world) + PATIENCE_NS;
    assert_int_equal(duress_world_run_until(silence.world, all_are_accepted, &silence, deadline_ns), DURESS_OK);
    tun_path_set(silence.path, TUN_PATH_CUT);
    silence.cut_ns = duress_world_now_ns(silence.world);
    peer_say(&silence.talking, "is there anybody");
    assert_int_equal(peer_connect(&silence.dialling, silence.world, there), DURESS_OK);
    return 0;
}

static int silence_end(void **state)
{
    struct silence *silence = *state;
    assert_true(tun_path_counts(silence->path).lost > 0);
    tun_path_free(silence->path);
    duress_world_free(silence->world);
    return 0;
}

static bool peer_is_over(void *context)
{
    const struct peer *peer = context;
    return peer->end != 0 || peer->error != 0;
}

static uint64_t silence_until_over(struct silence *silence, struct peer *peer)
{
    uint64_t deadline_ns = duress_world_now_ns(silence->world) + PATIENCE_NS;
    assert_int_equal(duress_world_run_until(silence->world, peer_is_over, peer, deadline_ns), DURESS_OK);
    return peer->at_ns - silence->cut_ns;
}

/* One repetition: after 0.2 s; given up after 0.4 s more. */
static void bytes_never_acknowledged_end_the_connection(void **state)
{
    struct silence *silence = *state;
    assert_int_equal(silence->idle.end, 0);
    assert_in_range(silence_until_over(silence, &silence->talking), 400 * DURESS_MS, 5 * DURESS_S);
    assert_int_equal(silence->talking.end, DURESS_E_RESET);
}

static void idle_connection_to_a_dead_machine_ends_by_keepalive(void **state)
{
    struct silence *silence = *state;
    int fd = descriptor_of(&silence->idle);
    assert_int_equal(option_of(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPIDLE), 30);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPINTVL), 5);
    assert_int_equal(option_of(fd, IPPROTO_TCP, TCP_KEEPCNT), 6);
    keepalive_shorten(fd);
    assert_in_range(silence_until_over(silence, &silence->idle), 1900 * DURESS_MS, 5 * DURESS_S);
    assert_int_equal(silence->idle.end, DURESS_E_RESET);
}

/* One repetition: after 1 s; given up after 2 s more. */
static void unanswered_connect_is_given_up_by_the_kernel(void **state)
{
    struct silence *silence = *state;
    assert_in_range(silence_until_over(silence, &silence->dialling), 3 * DURESS_S, 6 * DURESS_S);
    assert_int_equal(silence->dialling.seen, DURESS_STREAM_FAILED);
    assert_int_equal(silence->dialling.error, DURESS_E_CONNECT_TIMEOUT);
}

/* The kernel asks three times for the address of the device. */
static void neighbour_that_never_answers_is_unreachable(void **state)
{
    struct silence *silence = *state;
    struct peer peer = {0};
    int net = tun_empty_net_open();
    struct duress_address nobody = {.family = DURESS_FAMILY_IPV4, .bytes = {10, 67, 0, 9}, .port = 80};
    assert_int_equal(peer_connect(&peer, silence->world, nobody), DURESS_OK);
    assert_int_equal(peer.seen, 0);
    (void)silence_until_over(silence, &peer);
    assert_int_equal(peer.error, DURESS_E_UNREACHABLE);
    peer_close(&peer);
    assert_int_equal(close(net), 0);
}

int main(void)
{
    const char *reason = tun_namespace_enter();
    if (reason == NULL && (!tun_namespace_set("tcp_retries2", "1") || !tun_namespace_set("tcp_syn_retries", "1")))
        reason = "/proc/sys/net may not be written";
    if (reason != NULL) {
        print_message("skipped: %s\n", reason);
        return TUN_EXIT_SKIPPED;
    }
    (void)tun_namespace_set("tcp_syn_linear_timeouts", "0"); /* where the kernel has it */
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(neighbour_that_never_answers_is_unreachable),
        cmocka_unit_test(bytes_never_acknowledged_end_the_connection),
        cmocka_unit_test(idle_connection_to_a_dead_machine_ends_by_keepalive),
        cmocka_unit_test(unanswered_connect_is_given_up_by_the_kernel),
    };
    return cmocka_run_group_tests_name("silent_path", tests, silence_begin, silence_end);
}
