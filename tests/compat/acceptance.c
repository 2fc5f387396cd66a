/* SPDX-License-Identifier: Apache-2.0
 *
 * What must hold of any daemon that calls itself compatible, with bytes on real connections: those points of the list
 * in which connections matter. The daemon's port is in API_PORT; both peers are this program. Lower bounds of time are
 * exact; upper bounds are as wide as a busy machine needs. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include <duress/time.h>
#include <duress/toxiproxy/client.h>

#define PATIENCE_MS 20000
#define LATE_MS 2000 /* that much later is a busy machine, more is a fault */

static struct duress_toxiproxy *client;

/* --- peers --- */

struct pair {
    int listener;
    uint16_t port; /* of the proxy */
    int client;
    int server;
};

static double now_ms(void)
{
    struct timespec now;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &now), 0);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void wait_ms(int duration_ms)
{
    (void)poll(NULL, 0, duration_ms);
}

static struct sockaddr_in loopback(uint16_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void socket_ready(int fd)
{
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int yes = 1;
    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes), 0);
}

static int connect_to(uint16_t port)
{
    struct sockaddr_in address = loopback(port);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socket_ready(fd);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    assert_int_equal(close(fd), 0);
    return -1;
}

/* A listener, and the proxy "web" before it. */
static void proxy_begin(struct pair *pair)
{
    struct sockaddr_in address = loopback(0);
    socklen_t length = sizeof address;
    char upstream[32];
    const struct duress_toxiproxy_proxy *made = NULL;
    pair->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    pair->client = pair->server = -1;
    assert_int_equal(bind(pair->listener, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(pair->listener, 16), 0);
    assert_int_equal(getsockname(pair->listener, (struct sockaddr *)&address, &length), 0);
    (void)snprintf(upstream, sizeof upstream, "127.0.0.1:%u", (unsigned)ntohs(address.sin_port));
    const struct duress_toxiproxy_proxy web = {.name = "web", .listen = "localhost:0", .upstream = upstream};
    assert_int_equal(duress_toxiproxy_proxy_create(client, &web, &made, NULL), DURESS_OK);
    pair->port = (uint16_t)strtoul(strrchr(made->listen, ':') + 1, NULL, 10);
}

static void pair_connect(struct pair *pair)
{
    pair->client = connect_to(pair->port);
    assert_true(pair->client >= 0);
    pair->server = accept(pair->listener, NULL, NULL);
    socket_ready(pair->server);
}

static void pair_close(struct pair *pair)
{
    if (pair->client >= 0)
        assert_int_equal(close(pair->client), 0);
    if (pair->server >= 0)
        assert_int_equal(close(pair->server), 0);
    pair->client = pair->server = -1;
}

static void proxy_end(struct pair *pair)
{
    pair_close(pair);
    assert_int_equal(close(pair->listener), 0);
    assert_int_equal(duress_toxiproxy_proxy_delete(client, "web", NULL), DURESS_OK);
}

static void say(int fd, const void *bytes, size_t length)
{
    assert_int_equal(send(fd, bytes, length, MSG_NOSIGNAL), length);
}

static void hear(int fd, void *bytes, size_t length)
{
    assert_int_equal(recv(fd, bytes, length, MSG_WAITALL), length);
}

static void expect_end(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static void expect_reset(int fd)
{
    char byte;
    assert_int_equal(recv(fd, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
}

static void expect_silence(int fd, int duration_ms)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    assert_int_equal(poll(&readable, 1, duration_ms), 0);
}

/* That |since_ms| lies |least_ms| back, and not much more. */
static void expect_passed(double since_ms, double least_ms)
{
    double passed_ms = now_ms() - since_ms;
    assert_true(passed_ms >= least_ms - 0.5); /* the client's own clock begins after the proxy's may have */
    assert_true(passed_ms < least_ms + LATE_MS);
}

/* --- toxics --- */

static void toxic(const char *name, const char *type, const char *stream, const char *attribute, const char *value)
{
    struct duress_failure why;
    const struct duress_toxiproxy_attribute attributes[] = {{attribute, value}};
    const struct duress_toxiproxy_toxic wanted = {.name = name,
                                                  .type = type,
                                                  .stream = stream,
                                                  .attributes = attributes,
                                                  .attribute_count = attribute != NULL ? 1 : 0};
    if (duress_toxiproxy_toxic_add(client, "web", &wanted, NULL, &why) != DURESS_OK)
        fail_msg("%s", why.detail);
}

static void toxic_change(const char *name, const char *attribute, const char *value)
{
    const struct duress_toxiproxy_attribute attributes[] = {{attribute, value}};
    const struct duress_toxiproxy_toxic wanted = {.name = name, .attributes = attributes, .attribute_count = 1};
    assert_int_equal(duress_toxiproxy_toxic_update(client, "web", &wanted, NULL, NULL), DURESS_OK);
}

static void toxic_gone(const char *name)
{
    assert_int_equal(duress_toxiproxy_toxic_remove(client, "web", name, NULL), DURESS_OK);
}

/* --- the list --- */

static void down_is_down_and_up_is_where_it_was(void **state)
{
    struct pair pair;
    const struct duress_toxiproxy_proxy *proxy = NULL;
    char word[4];
    (void)state;
    proxy_begin(&pair);
    toxic(NULL, "noop", "downstream", NULL, NULL);
    pair_connect(&pair);
    assert_int_equal(duress_toxiproxy_proxy_enable(client, "web", false, &proxy, NULL), DURESS_OK);
    expect_end(pair.client);
    assert_int_equal(connect_to(pair.port), -1);
    assert_int_equal(proxy->toxic_count, 1);
    pair_close(&pair);
    assert_int_equal(duress_toxiproxy_proxy_enable(client, "web", true, NULL, NULL), DURESS_OK);
    pair_connect(&pair);
    say(pair.client, "back", 4);
    hear(pair.server, word, 4);
    proxy_end(&pair);
}

static void latency_delays_each_chunk_and_adds_up(void **state)
{
    struct pair pair;
    char byte;
    (void)state;
    proxy_begin(&pair);
    toxic("one", "latency", "upstream", "latency", "200");
    pair_connect(&pair);
    double begun_ms = now_ms();
    for (int i = 0; i < 3; i++) {
        say(pair.client, "x", 1);
        wait_ms(50);
    }
    for (int i = 0; i < 3; i++) {
        hear(pair.server, &byte, 1);
        expect_passed(begun_ms, 200 + 50 * i);
    }
    toxic("two", "latency", "upstream", "latency", "150");
    begun_ms = now_ms();
    say(pair.client, "y", 1);
    hear(pair.server, &byte, 1);
    expect_passed(begun_ms, 350);
    proxy_end(&pair);
}

static void jitter_keeps_the_order(void **state)
{
    struct pair pair;
    (void)state;
    proxy_begin(&pair);
    toxic("t", "latency", "upstream", "jitter", "30");
    pair_connect(&pair);
    for (unsigned char i = 0; i < 40; i++) {
        say(pair.client, &i, 1);
        wait_ms(2);
    }
    for (unsigned char i = 0; i < 40; i++) {
        unsigned char got = 0;
        hear(pair.server, &got, 1);
        assert_int_equal(got, i);
    }
    proxy_end(&pair);
}

static void bandwidth_is_kept_and_zero_holds_without_loss(void **state)
{
    struct pair pair;
    char bytes[250];
    (void)state;
    memset(bytes, 'b', sizeof bytes);
    proxy_begin(&pair);
    toxic("t", "bandwidth", "downstream", "rate", "1");
    pair_connect(&pair);
    double begun_ms = now_ms();
    say(pair.server, bytes, sizeof bytes);
    hear(pair.client, bytes, 100);
    expect_passed(begun_ms, 100);
    hear(pair.client, bytes, 100);
    expect_passed(begun_ms, 200);
    hear(pair.client, bytes, 50);
    expect_passed(begun_ms, 250);
    toxic_change("t", "rate", "0");
    say(pair.server, "held", 4);
    expect_silence(pair.client, 150);
    toxic_change("t", "rate", "1000");
    hear(pair.client, bytes, 4);
    assert_memory_equal(bytes, "held", 4);
    proxy_end(&pair);
}

static void closes_come_late_or_in_time(void **state)
{
    struct pair pair;
    (void)state;
    proxy_begin(&pair);
    toxic("t", "slow_close", "downstream", "delay", "250");
    pair_connect(&pair);
    double begun_ms = now_ms();
    assert_int_equal(close(pair.server), 0);
    pair.server = -1;
    expect_end(pair.client);
    expect_passed(begun_ms, 250);
    pair_close(&pair);
    toxic_gone("t");

    /* Long beside the pauses below: a machine that stalls between two chunks must not be taken for silence. */
    toxic("t", "timeout", "upstream", "timeout", "700");
    begun_ms = now_ms();
    pair_connect(&pair); /* idle */
    expect_end(pair.server);
    expect_passed(begun_ms, 700);
    pair_close(&pair);
    pair_connect(&pair); /* chatty: each chunk begins the time anew */
    for (int i = 0; i < 16; i++) {
        begun_ms = now_ms();
        say(pair.client, "x", 1);
        wait_ms(50);
    }
    expect_end(pair.server);
    expect_passed(begun_ms, 700);
    proxy_end(&pair);
}

static void a_reset_reaches_both_ends(void **state)
{
    struct pair pair;
    (void)state;
    proxy_begin(&pair);
    toxic("t", "reset_peer", "upstream", "timeout", "50");
    pair_connect(&pair);
    expect_silence(pair.client, 150); /* an idle connection is never reset */
    say(pair.client, "x", 1);
    expect_reset(pair.server);
    expect_reset(pair.client);
    proxy_end(&pair);
}

static void data_is_limited_to_the_byte(void **state)
{
    struct pair pair;
    char bytes[32];
    (void)state;
    proxy_begin(&pair);
    toxic("t", "limit_data", "upstream", "bytes", "10");
    pair_connect(&pair);
    say(pair.client, "0123456789abcdef", 16);
    hear(pair.server, bytes, 10);
    assert_memory_equal(bytes, "0123456789", 10);
    expect_end(pair.server);
    pair_close(&pair);
    toxic_change("t", "bytes", "0");
    pair_connect(&pair);
    expect_silence(pair.server, 100);
    say(pair.client, "x", 1);
    expect_end(pair.server);
    pair_close(&pair);
    toxic_change("t", "bytes", "4");
    pair_connect(&pair);
    say(pair.client, "abc", 3);
    hear(pair.server, bytes, 3);
    toxic_change("t", "bytes", "6"); /* raised while it lives */
    say(pair.client, "defgh", 5);
    hear(pair.server, bytes, 3);
    assert_memory_equal(bytes, "def", 3);
    expect_end(pair.server);
    proxy_end(&pair);
}

/* |length| bytes of a stream of 32-bit counters, from |offset| on. */
static void counter_fill(unsigned char *bytes, size_t length, size_t offset)
{
    for (size_t i = 0; i < length; i++)
        bytes[i] = (unsigned char)((offset + i) / 4 >> 8 * ((offset + i) % 4));
}

static void a_stalled_reader_delays_no_change_and_loses_nothing(void **state)
{
    enum { BLOCK_BYTES = 65536, ROUNDS = 8 };
    static unsigned char said[BLOCK_BYTES];
    static unsigned char heard[BLOCK_BYTES];
    struct pair pair;
    size_t sent = 0;
    double slowest_ms = 0;
    (void)state;
    proxy_begin(&pair);
    pair_connect(&pair);
    /* Until nothing more goes in: everything between the two is full. */
    for (struct pollfd writable = {.fd = pair.server, .events = POLLOUT}; poll(&writable, 1, 300) == 1;) {
        counter_fill(said, 4096, sent);
        ssize_t count = send(pair.server, said, 4096, MSG_DONTWAIT | MSG_NOSIGNAL);
        assert_true(count > 0);
        sent += (size_t)count;
    }
    for (int i = 0; i < ROUNDS; i++) {
        double begun_ms = now_ms();
        toxic("t", i % 2 == 0 ? "latency" : "slicer", "downstream", i % 2 == 0 ? "latency" : "average_size", "500");
        toxic_change("t", i % 2 == 0 ? "latency" : "average_size", "400");
        toxic_gone("t");
        const struct duress_toxiproxy_proxy *proxies = NULL;
        size_t count = 0;
        assert_int_equal(duress_toxiproxy_proxies(client, &proxies, &count, NULL), DURESS_OK);
        double took_ms = now_ms() - begun_ms;
        slowest_ms = i == 0 || took_ms < slowest_ms ? took_ms : slowest_ms;
    }
    assert_true(slowest_ms < 100); /* the least of all rounds, as others use the machine too */
    assert_int_equal(shutdown(pair.server, SHUT_WR), 0);
    for (size_t offset = 0; offset < sent;) {
        size_t wanted = sent - offset < BLOCK_BYTES ? sent - offset : BLOCK_BYTES;
        hear(pair.client, heard, wanted);
        counter_fill(said, wanted, offset);
        assert_memory_equal(heard, said, wanted);
        offset += wanted;
    }
    expect_end(pair.client);
    proxy_end(&pair);
}

static void an_upstream_that_never_answers_holds_nobody_up(void **state)
{
    struct pair pair;
    char word[4];
    const struct duress_toxiproxy_proxy *made = NULL;
    const struct duress_toxiproxy_proxy hole = {.name = "hole", .listen = "localhost:0", .upstream = "192.0.2.1:9"};
    int clients[8];
    (void)state;
    proxy_begin(&pair);
    assert_int_equal(duress_toxiproxy_proxy_create(client, &hole, &made, NULL), DURESS_OK);
    uint16_t port = (uint16_t)strtoul(strrchr(made->listen, ':') + 1, NULL, 10);
    for (size_t i = 0; i < 8; i++)
        clients[i] = connect_to(port);
    double begun_ms = now_ms();
    pair_connect(&pair);
    say(pair.client, "good", 4);
    hear(pair.server, word, 4);
    assert_int_equal(duress_toxiproxy_proxy_enable(client, "hole", false, NULL, NULL), DURESS_OK);
    assert_int_equal(duress_toxiproxy_proxy_delete(client, "hole", NULL), DURESS_OK);
    assert_true(now_ms() - begun_ms < LATE_MS);
    for (size_t i = 0; i < 8; i++)
        if (clients[i] >= 0)
            assert_int_equal(close(clients[i]), 0);
    proxy_end(&pair);
}

static void half_closed_connections_get_their_answer(void **state)
{
    struct pair pair;
    char word[6];
    (void)state;
    proxy_begin(&pair);
    pair_connect(&pair);
    say(pair.client, "ask", 3);
    assert_int_equal(shutdown(pair.client, SHUT_WR), 0);
    hear(pair.server, word, 3);
    expect_end(pair.server);
    say(pair.server, "answer", 6);
    hear(pair.client, word, 6);
    proxy_end(&pair);
}

static void hostile_numbers_end_nothing(void **state)
{
    static const struct {
        const char *type;
        const char *attributes[3];
    } types[] = {
        {"latency", {"latency", "jitter"}},
        {"bandwidth", {"rate"}},
        {"slow_close", {"delay"}},
        {"timeout", {"timeout"}},
        {"reset_peer", {"timeout"}},
        {"limit_data", {"bytes"}},
        {"slicer", {"average_size", "size_variation", "delay"}},
    };
    static const char *const values[] = {"0", "-1", "1", "9223372036854775807", "-9223372036854775808"};
    struct pair pair;
    const char *version = NULL;
    (void)state;
    proxy_begin(&pair);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        for (size_t attribute = 0; attribute < 3 && types[i].attributes[attribute] != NULL; attribute++) {
            for (size_t value = 0; value < sizeof values / sizeof values[0]; value++) {
                toxic("t", types[i].type, "upstream", types[i].attributes[attribute], values[value]);
                pair_connect(&pair);
                (void)send(pair.client, "some bytes", 10, MSG_NOSIGNAL);
                toxic_change("t", types[i].attributes[attribute], values[(value + 1) % 5]);
                (void)send(pair.client, "more bytes", 10, MSG_NOSIGNAL);
                toxic_gone("t");
                pair_close(&pair);
            }
        }
    }
    assert_int_equal(duress_toxiproxy_version(client, &version, NULL), DURESS_OK);
    pair_connect(&pair);
    proxy_end(&pair);
}

static int begin(void **state)
{
    char url[64];
    (void)state;
    const char *port = getenv("API_PORT");
    (void)snprintf(url, sizeof url, "127.0.0.1:%.8s", port != NULL ? port : "8474");
    const struct duress_toxiproxy_options options = {.url = url};
    return duress_toxiproxy_new(&options, &client, NULL);
}

static int end(void **state)
{
    (void)state;
    duress_toxiproxy_free(client);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(down_is_down_and_up_is_where_it_was),
        cmocka_unit_test(latency_delays_each_chunk_and_adds_up),
        cmocka_unit_test(jitter_keeps_the_order),
        cmocka_unit_test(bandwidth_is_kept_and_zero_holds_without_loss),
        cmocka_unit_test(closes_come_late_or_in_time),
        cmocka_unit_test(a_reset_reaches_both_ends),
        cmocka_unit_test(data_is_limited_to_the_byte),
        cmocka_unit_test(a_stalled_reader_delays_no_change_and_loses_nothing),
        cmocka_unit_test(an_upstream_that_never_answers_holds_nobody_up),
        cmocka_unit_test(half_closed_connections_get_their_answer),
        cmocka_unit_test(hostile_numbers_end_nothing),
    };
    (void)alarm(180); /* a write that is never taken would wait for ever */
    return cmocka_run_group_tests(tests, begin, end);
}
