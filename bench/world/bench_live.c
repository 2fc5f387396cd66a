/* SPDX-License-Identifier: Apache-2.0
 *
 * What the live world costs: timers, deferred calls, posts, and a byte there and back over the loopback. */
#include <string.h>

#include <duress/time.h>
#include <duress/world/live.h>

#include "bench.h"

enum { TIMERS = 1000, CONNECTIONS = 16 };

static void check(int error, const char *what)
{
    if (error != DURESS_OK)
        bench_fail("%s: %s", what, duress_strerror(error));
}

static bool is_zero(void *context)
{
    return *(uint64_t *)context == 0;
}

static void run(struct duress_world *world, uint64_t *left)
{
    uint64_t deadline_ns = duress_world_now_ns(world) + 120 * DURESS_S;
    check(duress_world_run_until(world, is_zero, left, deadline_ns), "run");
}

/* --- timers --- */

struct clockwork {
    struct duress_world *world;
    uint64_t left;
    struct wheel {
        struct duress_timer timer;
        struct clockwork *clockwork;
    } wheels[TIMERS];
};

static void wheel_turned(void *context)
{
    struct wheel *wheel = context;
    struct clockwork *clockwork = wheel->clockwork;
    if (clockwork->left == 0)
        return;
    clockwork->left--;
    uint64_t now_ns = duress_world_now_ns(clockwork->world);
    duress_world_arm(clockwork->world, &wheel->timer, now_ns + (clockwork->left * 7919) % (100 * DURESS_US));
}

/* A thousand timers, each armed again when it fires, up to 100 us ahead. */
static void timers_run(void *context, uint64_t iterations)
{
    struct clockwork *clockwork = context;
    clockwork->left = iterations;
    for (size_t i = 0; i < TIMERS; i++) {
        struct wheel *wheel = &clockwork->wheels[i];
        wheel->clockwork = clockwork;
        duress_timer_init(&wheel->timer, wheel_turned, wheel);
        duress_world_arm(clockwork->world, &wheel->timer, duress_world_now_ns(clockwork->world));
    }
    run(clockwork->world, &clockwork->left);
    for (size_t i = 0; i < TIMERS; i++)
        duress_world_disarm(clockwork->world, &clockwork->wheels[i].timer);
}

/* What a call with a deadline does that ends before it: the common case. */
static void timers_arm_and_disarm(void *context, uint64_t iterations)
{
    struct clockwork *clockwork = context;
    struct duress_timer *timer = &clockwork->wheels[0].timer;
    duress_timer_init(timer, wheel_turned, &clockwork->wheels[0]);
    uint64_t at_ns = duress_world_now_ns(clockwork->world) + 3600 * DURESS_S;
    for (uint64_t i = 0; i < iterations; i++) {
        duress_world_arm(clockwork->world, timer, at_ns + i);
        duress_world_disarm(clockwork->world, timer);
    }
}

/* --- deferred calls and posts --- */

struct relay_race {
    struct duress_world *world;
    struct duress_later later;
    struct duress_post post;
    uint64_t left;
};

static void race_deferred(void *context)
{
    struct relay_race *race = context;
    if (race->left > 0 && --race->left > 0)
        duress_world_defer(race->world, &race->later);
}

static void deferred_run(void *context, uint64_t iterations)
{
    struct relay_race *race = context;
    race->left = iterations;
    race->later = (struct duress_later){.fn = race_deferred, .context = race};
    duress_world_defer(race->world, &race->later);
    run(race->world, &race->left);
}

static void race_posted(void *context)
{
    struct relay_race *race = context;
    if (race->left > 0 && --race->left > 0)
        duress_world_post(race->world, &race->post);
}

/* Each post is a turn of the loop of its own. */
static void posts_run(void *context, uint64_t iterations)
{
    struct relay_race *race = context;
    race->left = iterations;
    race->post = (struct duress_post){.fn = race_posted, .context = race};
    duress_world_post(race->world, &race->post);
    run(race->world, &race->left);
}

/* --- ping-pong --- */

struct table {
    struct duress_world *world;
    struct duress_listener *listener;
    struct duress_stream *servers[CONNECTIONS];
    struct duress_stream *clients[CONNECTIONS];
    uint64_t accepted;
    uint64_t connected_left;
    uint64_t left;
};

static void ball_return(struct duress_stream *stream)
{
    char ball[64];
    size_t count = 0;
    int error = duress_stream_read(stream, ball, sizeof ball, &count);
    if (error == DURESS_E_AGAIN)
        return;
    check(error, "read");
    struct duress_slice slice = duress_slice_bytes(ball, count);
    check(duress_stream_write(stream, &slice, 1, &count), "write");
}

static void server_told(void *context, struct duress_stream *stream, unsigned events)
{
    (void)context;
    (void)events;
    ball_return(stream);
}

static void client_told(void *context, struct duress_stream *stream, unsigned events)
{
    struct table *table = context;
    if ((events & DURESS_STREAM_CONNECTED) != 0) {
        table->connected_left--;
        return;
    }
    if (table->left == 0)
        return;
    table->left--;
    ball_return(stream);
}

static void table_accepted(void *context, struct duress_stream *stream)
{
    struct table *table = context;
    table->servers[table->accepted++] = stream;
    duress_stream_handle(stream, server_told, table);
    duress_stream_want(stream, DURESS_STREAM_READABLE);
}

static void table_open(struct table *table, struct duress_world *world, uint64_t count)
{
    *table = (struct table){.world = world, .connected_left = count};
    struct duress_listen_options options = {.address = duress_address_loopback(0)};
    check(duress_world_listen(world, &options, table_accepted, table, &table->listener), "listen");
    struct duress_address address = duress_listener_address(table->listener);
    for (uint64_t i = 0; i < count; i++)
        check(duress_world_connect(world, &address, client_told, table, &table->clients[i]), "connect");
    run(world, &table->connected_left);
    for (uint64_t i = 0; i < count; i++) { /* one ball a connection; nobody counts yet, so it stays with the client */
        struct duress_slice ball = duress_slice_text("ping pong ping pong ping pong!!!");
        size_t put = 0;
        check(duress_stream_write(table->clients[i], &ball, 1, &put), "serve");
    }
}

static void table_close(struct table *table)
{
    for (size_t i = 0; i < CONNECTIONS; i++) {
        duress_stream_abort(table->clients[i]);
        duress_stream_abort(table->servers[i]);
    }
    duress_listener_close(table->listener);
}

static void balls_run(void *context, uint64_t iterations)
{
    struct table *table = context;
    table->left = iterations;
    for (size_t i = 0; i < CONNECTIONS && table->clients[i] != NULL; i++)
        duress_stream_want(table->clients[i], DURESS_STREAM_READABLE);
    run(table->world, &table->left);
    for (size_t i = 0; i < CONNECTIONS && table->clients[i] != NULL; i++)
        duress_stream_want(table->clients[i], 0);
}

int main(void)
{
    struct duress_world *world = NULL;
    check(duress_world_live_new(NULL, &world, NULL), "world");
    static struct clockwork clockwork;
    clockwork.world = world;
    (void)bench_rate("live timers armed and fired, 1000 at a time", 1000000, timers_run, &clockwork);
    (void)bench_time_each("live timer armed and disarmed", 2000000, timers_arm_and_disarm, &clockwork);
    struct relay_race race = {.world = world};
    (void)bench_time_each("live deferred call", 2000000, deferred_run, &race);
    (void)bench_time_each("live post and the turn that it takes", 300000, posts_run, &race);
    struct table table;
    table_open(&table, world, 1);
    (void)bench_rate("live ping-pong over TCP, one connection, both ends on one loop", 50000, balls_run, &table);
    table_close(&table);
    table_open(&table, world, CONNECTIONS);
    (void)bench_rate("live ping-pong over TCP, 16 connections, both ends on one loop", 100000, balls_run, &table);
    table_close(&table);
    duress_world_free(world);
    return 0;
}
