/* SPDX-License-Identifier: Apache-2.0 */
#include "tun_path.h"
#include "world_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <duress/loop/socket.h>
#include <duress/world/live_loop.h>

#define HERE 0x0a420001      /* 10.66.0.1 */
#define THERE 0x0a420002     /* 10.66.0.2 */
#define EMPTY_NET 0x0a430001 /* 10.67.0.1 */
#define NETMASK 0xffffff00
enum {
    PACKET_BYTES_MAX = 2048, /* the device's MTU is 1500 */
    UNDER_WAY_MAX = 4096,    /* packets; what comes on top of them is lost */
    ICMP_QUOTE_BYTES = 8,    /* of the TCP header: its ports and its sequence number */
    LOST_OF = 29,            /* one of so many segments that carry bytes */
    DOUBLED_OF = 7,
    OVERTAKEN_OF = 5,
};
/* A segment that waits for another to overtake it waits no longer than this. */
#define OVERTAKING_NS DURESS_MS

struct packet {
    uint64_t at_ns; /* when it arrives */
    size_t length;
    union {
        uint8_t bytes[PACKET_BYTES_MAX];
        struct iphdr ip;
    };
};

struct tun_path {
    struct duress_world *world;
    uint64_t hop_ns;
    enum tun_path_mode mode;
    struct tun_path_counts counts;
    int fd;
    struct duress_socket watch;
    struct duress_timer arrival;
    size_t first;
    size_t count;
    struct packet packets[UNDER_WAY_MAX]; /* a ring, in the order of arrival */
    struct duress_timer overtaking;
    struct packet waiting; /* for the next one to overtake it; length 0: none does */
};

/* --- the namespace --- */

static bool file_write(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    size_t length = strlen(text);
    bool written = write(fd, text, length) == (ssize_t)length;
    (void)close(fd);
    return written;
}

/* Without privilege it comes with a user namespace, in which the caller is root. */
static bool namespace_unshare(void)
{
    if (unshare(CLONE_NEWNET) == 0)
        return true;
    char user_map[64];
    char group_map[64];
    (void)snprintf(user_map, sizeof user_map, "0 %u 1", (unsigned)getuid());
    (void)snprintf(group_map, sizeof group_map, "0 %u 1", (unsigned)getgid());
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0)
        return false;
    (void)file_write("/proc/self/setgroups", "deny");
    return file_write("/proc/self/uid_map", user_map) && file_write("/proc/self/gid_map", group_map);
}

static bool device_up(int fd, struct ifreq *request)
{
    if (ioctl(fd, SIOCGIFFLAGS, request) != 0)
        return false;
    request->ifr_flags = (short)(request->ifr_flags | IFF_UP);
    return ioctl(fd, SIOCSIFFLAGS, request) == 0;
}

bool tun_namespace_set(const char *name, const char *value)
{
    char path[128];
    (void)snprintf(path, sizeof path, "/proc/sys/net/ipv4/%s", name);
    return file_write(path, value);
}

/* --- the device --- */

static struct sockaddr kernel_address(uint32_t address)
{
    struct sockaddr_in internet = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(address)};
    struct sockaddr plain;
    memcpy(&plain, &internet, sizeof plain);
    return plain;
}

static bool device_configure(struct ifreq *request, uint32_t address)
{
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return false;
    request->ifr_addr = kernel_address(address);
    bool done = ioctl(fd, SIOCSIFADDR, request) == 0;
    request->ifr_netmask = kernel_address(NETMASK);
    done = done && ioctl(fd, SIOCSIFNETMASK, request) == 0 && device_up(fd, request);
    (void)close(fd);
    return done;
}

/* |kind|: IFF_TUN or IFF_TAP. */
static const char *device_open(const char *name, int kind, uint32_t address, int *fd)
{
    struct ifreq request = {.ifr_flags = (short)(kind | IFF_NO_PI)};
    (void)snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    *fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
    if (*fd < 0)
        return errno == EACCES ? "/dev/net/tun may not be opened" : "no /dev/net/tun";
    if (ioctl(*fd, TUNSETIFF, &request) == 0 && device_configure(&request, address))
        return NULL;
    (void)close(*fd);
    *fd = -1;
    return "no TUN device can be made";
}

int tun_empty_net_open(void)
{
    int fd = -1;
    assert_null(device_open("empty", IFF_TAP, EMPTY_NET, &fd));
    assert_true(tun_namespace_set("neigh/empty/retrans_time_ms", "20"));
    return fd;
}

static bool loopback_up(void)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    bool up = fd >= 0 && device_up(fd, &request);
    (void)close(fd);
    return up;
}

const char *tun_namespace_enter(void)
{
    int fd = -1;
    if (!namespace_unshare())
        return "no network namespace for this user";
    if (!loopback_up())
        return "the network namespace has no loopback";
    const char *reason = device_open("path", IFF_TUN, HERE, &fd);
    (void)close(fd);
    (void)tun_namespace_set("tcp_congestion_control", "reno"); /* the default may pace its segments */
    return reason;
}

/* --- packets --- */

static struct tcphdr *segment_of(struct packet *packet)
{
    return (struct tcphdr *)(void *)(packet->bytes + packet->ip.ihl * 4U);
}

static bool packet_is_segment(const struct packet *packet)
{
    return packet->length >= sizeof(struct iphdr) + sizeof(struct tcphdr) && packet->ip.version == 4 &&
           packet->ip.protocol == IPPROTO_TCP;
}

static size_t data_bytes(struct packet *packet)
{
    return packet->length - packet->ip.ihl * 4U - segment_of(packet)->doff * 4U;
}

static void packet_deliver(struct tun_path *path, struct packet *packet)
{
    uint32_t source = packet->ip.saddr;
    packet->ip.saddr = packet->ip.daddr;
    packet->ip.daddr = source;
    if (write(path->fd, packet->bytes, packet->length) != (ssize_t)packet->length)
        path->counts.lost++;
}

static void packet_send(struct tun_path *path, const struct packet *packet)
{
    if (path->count == UNDER_WAY_MAX) {
        path->counts.lost++;
        return;
    }
    struct packet *last = &path->packets[(path->first + path->count++) % UNDER_WAY_MAX];
    *last = *packet;
    last->at_ns = duress_world_now_ns(path->world) + path->hop_ns;
    if (path->hop_ns > 0)
        duress_world_arm(path->world, &path->arrival, path->packets[path->first].at_ns);
}

static void packets_arrive(void *context)
{
    struct tun_path *path = context;
    uint64_t now_ns = duress_world_now_ns(path->world);
    while (path->count > 0 && path->packets[path->first].at_ns <= now_ns) {
        packet_deliver(path, &path->packets[path->first]);
        path->first = (path->first + 1) % UNDER_WAY_MAX;
        path->count--;
    }
    if (path->count > 0)
        duress_world_arm(path->world, &path->arrival, path->packets[path->first].at_ns);
}

/* --- what becomes of them --- */

static uint16_t checksum(const uint8_t *bytes, size_t length)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < length; i += 2)
        sum += (uint32_t)bytes[i] << 8 | bytes[i + 1];
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return htons((uint16_t)~sum);
}

/* As a router on the way says it that cannot go on: with the head of what it could not pass on. */
static void unreachable_tell(struct tun_path *path, const struct packet *lost)
{
    struct packet told = {0};
    size_t quoted = lost->ip.ihl * 4U + ICMP_QUOTE_BYTES;
    struct icmphdr icmp = {.type = ICMP_DEST_UNREACH, .code = ICMP_HOST_UNREACH};
    told.length = sizeof(struct iphdr) + sizeof icmp + quoted;
    told.ip = (struct iphdr){
        .version = 4,
        .ihl = sizeof(struct iphdr) / 4,
        .ttl = 64,
        .protocol = IPPROTO_ICMP,
        .tot_len = htons((uint16_t)told.length),
        .saddr = lost->ip.saddr, /* they are exchanged on arrival */
        .daddr = lost->ip.daddr,
    };
    told.ip.check = checksum(told.bytes, sizeof(struct iphdr));
    uint8_t *message = told.bytes + sizeof(struct iphdr);
    memcpy(message, &icmp, sizeof icmp);
    memcpy(message + sizeof icmp, lost->bytes, quoted);
    icmp.checksum = checksum(message, sizeof icmp + quoted);
    memcpy(message, &icmp, sizeof icmp);
    packet_send(path, &told);
}

static void packet_lose(struct tun_path *path, struct packet *packet)
{
    path->counts.lost++;
    path->counts.lost_rst += segment_of(packet)->rst;
}

/* The one that waited goes on. */
static void waiting_send(void *context)
{
    struct tun_path *path = context;
    duress_world_disarm(path->world, &path->overtaking);
    if (path->waiting.length > 0)
        packet_send(path, &path->waiting);
    path->waiting.length = 0;
}

static void packet_handle_roughly(struct tun_path *path, struct packet *packet)
{
    bool is_late = path->counts.data % OVERTAKEN_OF == 0 && path->waiting.length == 0;
    if (path->counts.data % LOST_OF == 0) {
        packet_lose(path, packet);
        return;
    }
    if (is_late) {
        path->waiting = *packet;
        duress_world_arm(path->world, &path->overtaking, duress_world_now_ns(path->world) + OVERTAKING_NS);
        return;
    }
    packet_send(path, packet);
    if (path->counts.data % DOUBLED_OF == 0) {
        packet_send(path, packet);
        path->counts.doubled++;
    }
    path->counts.overtaken += path->waiting.length > 0;
    waiting_send(path);
}

static void packet_handle(struct tun_path *path, struct packet *packet)
{
    if (!packet_is_segment(packet))
        return;
    size_t bytes = data_bytes(packet);
    path->counts.data += bytes > 0;
    if (bytes > path->counts.data_bytes_max)
        path->counts.data_bytes_max = bytes;
    switch (path->mode) {
    case TUN_PATH_CUT:
        packet_lose(path, packet);
        return;
    case TUN_PATH_UNREACHABLE:
        packet_lose(path, packet);
        unreachable_tell(path, packet);
        return;
    case TUN_PATH_ROUGH:
        if (bytes > 0) {
            packet_handle_roughly(path, packet);
            return;
        }
        break;
    case TUN_PATH_OPEN:
        break;
    }
    packet_send(path, packet);
}

void tun_path_pump(struct tun_path *path)
{
    struct packet packet;
    for (;;) {
        ssize_t length = read(path->fd, packet.bytes, sizeof packet.bytes);
        if (length <= 0)
            break;
        packet.length = (size_t)length;
        packet_handle(path, &packet);
    }
    packets_arrive(path);
}

static void path_readable(void *context, unsigned events)
{
    (void)events;
    tun_path_pump(context);
}

/* --- the path --- */

struct tun_path *tun_path_new(struct duress_world *world, uint64_t hop_ns)
{
    struct tun_path *path = calloc(1, sizeof *path);
    assert_non_null(path);
    path->world = world;
    path->hop_ns = hop_ns;
    duress_timer_init(&path->arrival, packets_arrive, path);
    duress_timer_init(&path->overtaking, waiting_send, path);
    assert_null(device_open("path", IFF_TUN, HERE, &path->fd));
    struct duress_loop *loop = duress__world_live_loop(world);
    assert_int_equal(duress__socket_watch(loop, &path->watch, path->fd, path_readable, path), DURESS_OK);
    duress__socket_want(&path->watch, DURESS_SOCKET_READABLE);
    return path;
}

void tun_path_free(struct tun_path *path)
{
    duress_world_disarm(path->world, &path->arrival);
    duress_world_disarm(path->world, &path->overtaking);
    duress__socket_unwatch(&path->watch);
    (void)close(path->fd);
    free(path);
}

struct duress_address tun_path_here(uint16_t port)
{
    return (struct duress_address){.family = DURESS_FAMILY_IPV4, .bytes = {10, 66, 0, 1}, .port = port};
}

struct duress_address tun_path_there(uint16_t port)
{
    return (struct duress_address){.family = DURESS_FAMILY_IPV4, .bytes = {10, 66, 0, 2}, .port = port};
}

void tun_path_set(struct tun_path *path, enum tun_path_mode mode)
{
    tun_path_pump(path);
    waiting_send(path);
    path->mode = mode;
    if (mode == TUN_PATH_OPEN)
        path->counts = (struct tun_path_counts){0};
}

struct tun_path_counts tun_path_counts(const struct tun_path *path)
{
    return path->counts;
}
