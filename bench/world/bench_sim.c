/* SPDX-License-Identifier: Apache-2.0
 *
 * The simulated world's speed: timer events, and exchanges of 300 bytes and 300 back between two hosts, through the
 * link of their connection. One core, no sanitizer. */
#include <string.h>

#include <duress/world/sim.h>

#include "bench.h"

#define TIMER_COUNT 1000
#define MESSAGE_BYTES 300

/* --- timers --- */

struct ticker {
    struct duress_timer timer;
    struct wheel *wheel;
    uint64_t step_ns;
};

struct wheel {
    struct duress_world *world;
    struct ticker tickers[TIMER_COUNT];
    uint64_t fired;
    uint64_t wanted;
};

static void ticker_due(void *context)
{
    struct ticker *ticker = context;
    ticker->wheel->fired++;
    ticker->step_ns = ticker->step_ns * 25214903917 % 999983 + 1; /* changing steps, so that the order does too */
    duress_world_arm(ticker->wheel->world, &ticker->timer, duress_world_now_ns(ticker->wheel->world) + ticker->step_ns);
}

static bool wheel_is_done(void *context)
{
    const struct wheel *wheel = context;
    return wheel->fired >= wheel->wanted;
}

static struct duress_sim *sim_new(void)
{
    struct duress_sim *sim = NULL;
    struct duress_sim_options options = {.seed = 1, .events_max = UINT64_MAX};
    if (duress_sim_new(&options, &sim, NULL) != DURESS_OK)
        bench_fail("no universe");
    return sim;
}

static struct duress_sim_host *host_new(struct duress_sim *sim, const char *name)
{
    struct duress_sim_host *host = NULL;
    if (duress_sim_host_new(sim, name, &host) != DURESS_OK)
        bench_fail("no host");
    return host;
}

static void timers_fire(void *context, uint64_t iterations)
{
    struct wheel *wheel = context;
    wheel->wanted = wheel->fired + iterations;
    if (duress_world_run_until(wheel->world, wheel_is_done, wheel, DURESS_TIME_NEVER) != DURESS_OK)
        bench_fail("the timers stopped");
}

static void bench_timers(void)
{
    static struct wheel wheel;
    struct duress_sim *sim = sim_new();
    wheel.world = duress_sim_host_world(host_new(sim, "host"));
    for (uint64_t i = 0; i < TIMER_COUNT; i++) {
        struct ticker *ticker = &wheel.tickers[i];
        *ticker = (struct ticker){.wheel = &wheel, .step_ns = i * 7919};
        duress_timer_init(&ticker->timer, ticker_due, ticker);
        duress_world_arm(wheel.world, &ticker->timer, DURESS_S + i);
    }
    (void)bench_rate("sim timer events, 1000 armed", 2000000, timers_fire, &wheel);
    duress_sim_free(sim);
}

/* --- exchanges --- */

struct end {
    struct duress_stream *stream;
    size_t received;
};

struct exchange {
    struct duress_sim *sim;
    struct end client;
    struct end server;
    uint64_t done;
    uint64_t wanted;
};

static void message_send(struct duress_stream *stream)
{
    static const uint8_t bytes[MESSAGE_BYTES];
    struct duress_slice slice = {bytes, sizeof bytes};
    size_t count = 0;
    if (duress_stream_write(stream, &slice, 1, &count) != DURESS_OK || count != sizeof bytes)
        bench_fail("a write was refused");
}

/* True where a whole message is there. */
static bool message_take(struct end *end)
{
    uint8_t bytes[MESSAGE_BYTES];
    size_t count = 0;
    if (duress_stream_read(end->stream, bytes, sizeof bytes, &count) != DURESS_OK)
        bench_fail("a read failed");
    end->received += count;
    if (end->received < MESSAGE_BYTES)
        return false;
    end->received = 0;
    return true;
}

static void client_told(void *context, struct duress_stream *stream, unsigned events)
{
    struct exchange *exchange = context;
    if ((events & DURESS_STREAM_FAILED) != 0)
        bench_fail("the connect failed");
    if ((events & DURESS_STREAM_CONNECTED) != 0) {
        duress_stream_want(stream, DURESS_STREAM_READABLE);
        message_send(stream);
    }
    if ((events & DURESS_STREAM_READABLE) == 0 || !message_take(&exchange->client))
        return;
    exchange->done++;
    message_send(stream);
}

static void server_told(void *context, struct duress_stream *stream, unsigned events)
{
    struct exchange *exchange = context;
    if ((events & DURESS_STREAM_READABLE) != 0 && message_take(&exchange->server))
        message_send(stream);
}

static void server_accepted(void *context, struct duress_stream *stream)
{
    struct exchange *exchange = context;
    exchange->server.stream = stream;
    duress_stream_handle(stream, server_told, exchange);
    duress_stream_want(stream, DURESS_STREAM_READABLE);
}

static bool exchange_is_done(void *context)
{
    const struct exchange *exchange = context;
    return exchange->done >= exchange->wanted;
}

static void exchanges_run(void *context, uint64_t iterations)
{
    struct exchange *exchange = context;
    exchange->wanted = exchange->done + iterations;
    if (duress_sim_run_until(exchange->sim, exchange_is_done, exchange, DURESS_TIME_NEVER) != DURESS_OK)
        bench_fail("the exchanges stopped");
}

static void bench_exchanges(const char *name, bool is_through_relay)
{
    struct exchange exchange = {.sim = sim_new()};
    struct duress_sim_host *client = host_new(exchange.sim, "client");
    struct duress_sim_host *server = host_new(exchange.sim, "server");
    struct duress_sim_host *middle = host_new(exchange.sim, "middle");
    struct duress_address address = duress_sim_host_address(server, 80);
    struct duress_listen_options options = {.address = address};
    struct duress_listener *listener = NULL;
    if (duress_world_listen(duress_sim_host_world(server), &options, server_accepted, &exchange, &listener) !=
        DURESS_OK)
        bench_fail("cannot listen");
    struct duress_sim_relay *relay = NULL;
    if (is_through_relay) {
        if (duress_sim_relay_new(middle, 0, &address, &relay) != DURESS_OK)
            bench_fail("no relay");
        address = duress_sim_relay_address(relay);
    }
    if (duress_world_connect(duress_sim_host_world(client), &address, client_told, &exchange,
                             &exchange.client.stream) != DURESS_OK)
        bench_fail("cannot connect");
    (void)bench_rate(name, 300000, exchanges_run, &exchange);
    duress_sim_free(exchange.sim);
}

int main(void)
{
    bench_timers();
    bench_exchanges("sim exchanges of 300 bytes, two hosts", false);
    bench_exchanges("sim exchanges of 300 bytes, through a relay", true);
    return 0;
}
