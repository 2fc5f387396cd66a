/* SPDX-License-Identifier: Apache-2.0
 *
 * What goes wrong before a request leaves: names (asked of a name server of the test's own), connects, descriptors. */
#include "http_rig.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

/* --- a name server on the world's loop --- */

enum name_mood { NAME_IS_SILENT = 0, NAME_IS_ANSWERED, NAME_IS_NOT_FOUND = 3, NAME_IS_TEMPORARY = 2 };

struct name_server {
    uv_udp_t udp;
    enum name_mood mood;
    uint8_t addresses[4]; /* the last bytes of 127.0.0.x, in the order of the answer */
    size_t address_count;
    uint32_t asked;
    uint8_t room[1024];
    uint16_t port;
};

static void name_room(uv_handle_t *handle, size_t wanted, uv_buf_t *room)
{
    struct name_server *server = handle->data;
    (void)wanted;
    *room = uv_buf_init((char *)server->room, sizeof server->room);
}

/* Answers a question for A with the addresses, any other with none. */
static size_t name_answer(const struct name_server *server, const uint8_t *question, size_t length, uint8_t *answer)
{
    size_t end = 12; /* the name, then type and class */
    while (end < length && question[end] != 0)
        end += question[end] + 1U;
    end += 5;
    assert_true(end <= length);
    memcpy(answer, question, end);
    bool is_a = question[end - 3] == 1;
    size_t count = server->mood == NAME_IS_ANSWERED && is_a ? server->address_count : 0;
    answer[2] = 0x81;
    answer[3] = (uint8_t)(0x80 | (server->mood == NAME_IS_ANSWERED ? 0 : server->mood));
    answer[6] = 0;
    answer[7] = (uint8_t)count;
    memset(answer + 8, 0, 4);
    for (size_t i = 0; i < count; i++) {
        uint8_t record[] = {0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4, 127, 0, 0, server->addresses[i]};
        memcpy(answer + end, record, sizeof record);
        end += sizeof record;
    }
    return end;
}

static void name_asked(uv_udp_t *udp, ssize_t count, const uv_buf_t *room, const struct sockaddr *peer, unsigned flags)
{
    struct name_server *server = udp->data;
    uint8_t answer[1024];
    (void)flags;
    if (count <= 0 || peer == NULL)
        return;
    server->asked++;
    if (server->mood == NAME_IS_SILENT)
        return;
    size_t length = name_answer(server, (const uint8_t *)room->base, (size_t)count, answer);
    uv_buf_t bytes = uv_buf_init((char *)answer, (unsigned)length);
    assert_int_equal(uv_udp_try_send(udp, &bytes, 1, peer), length);
}

/* A rig whose world asks |server|. */
static void named_rig_open(struct http_rig *rig, struct name_server *server, uint64_t name_timeout_ns)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int length = sizeof address;
    char text[32];
    /* The port must be known before the world is made, and the loop is the world's. */
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *server = (struct name_server){.port = ntohs(address.sin_port)};
    (void)snprintf(text, sizeof text, "127.0.0.1:%u", server->port);
    struct duress_world_live_options options = {
        .name_servers = text, .name_timeout_ns = name_timeout_ns, .name_tries = 1};
    http_rig_open_with(rig, &options);
    uv_loop_t *loop = duress_world_live_uv_loop(rig->world);
    assert_int_equal(uv_udp_init(loop, &server->udp), 0);
    server->udp.data = server;
    assert_int_equal(uv_udp_open(&server->udp, fd), 0);
    assert_int_equal(uv_udp_recv_start(&server->udp, name_room, name_asked), 0);
    assert_int_equal(uv_udp_getsockname(&server->udp, (struct sockaddr *)&address, &length), 0);
}

static struct duress_agent *named_agent(struct http_rig *rig, struct duress_http_agent_options options)
{
    char url[64];
    (void)snprintf(url, sizeof url, "http://service.test:%u", rig->port);
    options.url = url;
    return http_rig_agent(rig, &options);
}

static void each_way_a_name_fails_has_its_code(void **state)
{
    static const struct {
        enum name_mood mood;
        int code;
    } rows[] = {{NAME_IS_NOT_FOUND, DURESS_E_NAME_NOT_FOUND},
                {NAME_IS_TEMPORARY, DURESS_E_NAME_TEMPORARY},
                {NAME_IS_SILENT, DURESS_E_NAME_SILENT}};
    struct http_rig rig;
    struct name_server server;
    struct http_answer answer = {.ended = 0};
    (void)state;
    named_rig_open(&rig, &server, 50 * DURESS_MS);
    struct duress_agent *agent = named_agent(&rig, (struct duress_http_agent_options){.url = NULL});
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        server.mood = rows[i].mood;
        assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), rows[i].code);
        assert_int_equal(answer.failure.origin, DURESS_ORIGIN_NAME);
        assert_false(answer.failure.ambiguous);
        assert_non_null(strstr(answer.failure.detail, "service.test: "));
    }
    assert_int_equal(rig.accepted, 0);
    server.mood = NAME_IS_ANSWERED; /* and a name that is found again is used again */
    server.addresses[0] = 1;
    server.address_count = 1;
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    assert_non_null(strstr(rig.conns->head, "\r\nHost: service.test:"));
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* The agent's own limit comes before the resolver's. */
static void a_lookup_counts_against_the_connect_timeout(void **state)
{
    struct http_rig rig;
    struct name_server server;
    struct http_answer answers[3] = {{.ended = 0}};
    (void)state;
    named_rig_open(&rig, &server, 10 * DURESS_S);
    struct duress_agent *agent =
        named_agent(&rig, (struct duress_http_agent_options){.connect_timeout_ns = 80 * DURESS_MS});
    uint64_t begun_ns = duress_world_now_ns(rig.world);
    for (size_t i = 0; i < 3; i++)
        http_ask(agent, "x", &answers[i]);
    for (size_t i = 0; i < 3; i++) {
        http_run_until_ended(&rig, &answers[i]);
        assert_int_equal(answers[i].error, DURESS_E_NAME_SILENT);
        assert_true(answers[i].ended_ns >= begun_ns + 80 * DURESS_MS);
        assert_true(answers[i].ended_ns < begun_ns + 8 * DURESS_S);
    }
    assert_int_equal(duress_http_agent_counts(agent).lookups_begun, 1);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

static bool was_asked(void *context)
{
    return ((struct name_server *)context)->asked > 0;
}

static void a_call_given_up_during_its_lookup_ends_at_once(void **state)
{
    struct http_rig rig;
    struct name_server server;
    struct http_answer answer = {.ended = 0};
    (void)state;
    named_rig_open(&rig, &server, 10 * DURESS_S);
    struct duress_agent *agent = named_agent(&rig, (struct duress_http_agent_options){.url = NULL});
    uint64_t deadline_ns = duress_world_now_ns(rig.world) + 60 * DURESS_MS;
    assert_int_equal(http_try_ask(agent, "x", deadline_ns, false, &answer), DURESS_OK);
    http_run_until(&rig, was_asked, &server);
    http_run_until_ended(&rig, &answer);
    assert_int_equal(answer.error, DURESS_E_DEADLINE);
    assert_false(answer.failure.ambiguous);
    assert_non_null(strstr(answer.failure.detail, "name"));
    duress_agent_unref(agent); /* with the lookup still under way */
    http_rig_close(&rig);
}

/* A listener on 127.0.0.|host| whose queue is full: it answers no SYN. */
static int stuffed_listener(uint8_t host, uint16_t *port, int *stuffing, size_t count)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(*port), .sin_addr.s_addr = htonl(0x7f000000u | host)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    for (size_t i = 0; i < count; i++) {
        stuffing[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_true(stuffing[i] >= 0);
        (void)connect(stuffing[i], (struct sockaddr *)&address, sizeof address);
    }
    return fd;
}

/* Nobody listens on the first two. */
static void every_address_of_a_name_is_tried(void **state)
{
    struct http_rig rig;
    struct name_server server;
    struct http_answer answer = {.ended = 0};
    (void)state;
    named_rig_open(&rig, &server, DURESS_S);
    server.mood = NAME_IS_ANSWERED;
    memcpy(server.addresses, (const uint8_t[]){3, 2, 1}, 3);
    server.address_count = 3;
    struct duress_agent *agent = named_agent(&rig, (struct duress_http_agent_options){.url = NULL});
    uint64_t begun_ns = duress_world_now_ns(rig.world);
    int error = http_ask_and_wait(&rig, agent, "x", &answer);
    if (error != DURESS_OK)
        fail_msg("%s", answer.failure.detail);
    assert_true(answer.ended_ns < begun_ns + 2 * DURESS_S); /* no refusal is sat out */
    assert_int_equal(rig.accepted, 1);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* The first one never answers: it gets its share of the time, and the next call does not try it any more. */
static void a_silent_address_does_not_eat_the_time_of_the_others(void **state)
{
    struct http_rig rig;
    struct name_server server;
    struct http_answer answer = {.ended = 0};
    int stuffing[4];
    (void)state;
    named_rig_open(&rig, &server, DURESS_S);
    int listener = stuffed_listener(2, &rig.port, stuffing, 4);
    server.mood = NAME_IS_ANSWERED;
    memcpy(server.addresses, (const uint8_t[]){2, 1}, 2);
    server.address_count = 2;
    struct duress_agent *agent =
        named_agent(&rig, (struct duress_http_agent_options){.connect_timeout_ns = 400 * DURESS_MS});
    uint64_t begun_ns = duress_world_now_ns(rig.world);
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    assert_true(answer.ended_ns >= begun_ns + 150 * DURESS_MS);
    assert_int_equal(duress_http_agent_counts(agent).connections_begun, 2);
    http_conn_fin(rig.conns);
    http_run_until_alone(&rig);
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    assert_int_equal(duress_http_agent_counts(agent).connections_begun, 3);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
    for (size_t i = 0; i < 4; i++)
        (void)close(stuffing[i]);
    (void)close(listener);
}

/* The service moves while its old place refuses: the next call asks anew. */
static void a_name_is_looked_up_again_after_a_connect_failed(void **state)
{
    struct http_rig rig;
    struct name_server server;
    struct http_answer answer = {.ended = 0};
    (void)state;
    named_rig_open(&rig, &server, DURESS_S);
    server.mood = NAME_IS_ANSWERED;
    server.addresses[0] = 2;
    server.address_count = 1;
    struct duress_agent *agent =
        named_agent(&rig, (struct duress_http_agent_options){.name_max_age_ns = 3600 * DURESS_S});
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_REFUSED);
    server.addresses[0] = 1;
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    assert_int_equal(duress_http_agent_counts(agent).lookups_begun, 2);
    server.mood = NAME_IS_NOT_FOUND; /* a kept connection needs no name */
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    assert_int_equal(duress_http_agent_counts(agent).lookups_begun, 2);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

/* --- connects --- */

static void a_closed_port_is_refused_at_once(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    duress_listener_close(rig.listener);
    rig.listener = NULL;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_REFUSED);
        assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CONNECT);
        assert_false(answer.failure.ambiguous);
        assert_int_equal(duress_http_agent_counts(agent).connections_open, 0);
    }
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

static void a_host_without_route_is_unreachable(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    struct duress_http_agent_options options = {.url = "http://224.0.0.1:80"}; /* no TCP to many at once */
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, &options);
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_UNREACHABLE);
    assert_false(answer.failure.ambiguous);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

static void a_host_that_never_answers_is_a_connect_timeout(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    int stuffing[4];
    uint16_t port = 0;
    char url[64];
    (void)state;
    int listener = stuffed_listener(1, &port, stuffing, 4);
    http_rig_open(&rig);
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u", port);
    struct duress_http_agent_options options = {.url = url, .connect_timeout_ns = 100 * DURESS_MS};
    struct duress_agent *agent = http_rig_agent(&rig, &options);
    uint64_t begun_ns = duress_world_now_ns(rig.world);
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_E_CONNECT_TIMEOUT);
    assert_true(answer.ended_ns >= begun_ns + 100 * DURESS_MS); /* never early */
    assert_true(answer.ended_ns < begun_ns + 900 * DURESS_MS);  /* and not libcurl's own limit */
    assert_int_equal(answer.failure.origin, DURESS_ORIGIN_CONNECT);
    assert_false(answer.failure.ambiguous);
    assert_int_equal(duress_http_agent_counts(agent).connections_open, 0);
    duress_agent_unref(agent);
    http_rig_close(&rig);
    for (size_t i = 0; i < 4; i++)
        (void)close(stuffing[i]);
    (void)close(listener);
}

static void without_descriptors_calls_say_so(void **state)
{
    struct http_rig rig;
    struct http_answer answer = {.ended = 0};
    struct rlimit before;
    (void)state;
    http_rig_open(&rig);
    struct duress_agent *agent = http_rig_agent(&rig, NULL);
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    http_conn_fin(rig.conns); /* so that the next one needs a new connection */
    http_run_until_alone(&rig);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    struct rlimit none = {.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int error = http_ask_and_wait(&rig, agent, "x", &answer);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(error, DURESS_E_NO_DESCRIPTORS);
    assert_false(answer.failure.ambiguous);
    assert_int_equal(http_ask_and_wait(&rig, agent, "x", &answer), DURESS_OK);
    http_answer_clear(&answer);
    duress_agent_unref(agent);
    http_rig_close(&rig);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_way_a_name_fails_has_its_code),
        cmocka_unit_test(a_lookup_counts_against_the_connect_timeout),
        cmocka_unit_test(a_call_given_up_during_its_lookup_ends_at_once),
        cmocka_unit_test(every_address_of_a_name_is_tried),
        cmocka_unit_test(a_silent_address_does_not_eat_the_time_of_the_others),
        cmocka_unit_test(a_name_is_looked_up_again_after_a_connect_failed),
        cmocka_unit_test(a_closed_port_is_refused_at_once),
        cmocka_unit_test(a_host_without_route_is_unreachable),
        cmocka_unit_test(a_host_that_never_answers_is_a_connect_timeout),
        cmocka_unit_test(without_descriptors_calls_say_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
