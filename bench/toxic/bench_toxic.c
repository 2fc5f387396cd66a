/* SPDX-License-Identifier: Apache-2.0
 *
 * What a chunk costs on its way through a link: push, pending, written, and the ticks that its toxics want. */
#include <duress/time.h>
#include <duress/toxic/link.h>

#include "bench.h"

struct fixture {
    struct duress_link *link;
    uint64_t now_ns;
    size_t chunk_bytes;
};

static struct duress_toxic toxic_of(uint64_t id, enum duress_toxic_type type)
{
    return (struct duress_toxic){.id = id, .type = type, .direction = DURESS_DOWNSTREAM, .toxicity_ppm = DURESS_PPM};
}

static void fixture_open(struct fixture *fixture, const struct duress_toxic *toxics, size_t toxic_count)
{
    struct duress_link_options options = {.seed = 1, .toxics = toxics, .toxic_count = toxic_count};
    if (duress_link_new(&options, 0, &fixture->link, NULL) != DURESS_OK)
        bench_fail("no link");
    duress_link_dialed(fixture->link, DURESS_OK, 0);
}

static uint64_t chunks_take(struct fixture *fixture)
{
    uint64_t taken_count = 0;
    for (;;) {
        struct duress_slice pending = duress_link_pending(fixture->link, DURESS_DOWNSTREAM, fixture->now_ns);
        if (pending.length == 0)
            return taken_count;
        bench_keep(pending.data[0]);
        duress_link_written(fixture->link, DURESS_DOWNSTREAM, pending.length, fixture->now_ns);
        taken_count++;
    }
}

/* A microsecond passes with each chunk, and the sink takes what is due. */
static void chunks_pass(void *context, uint64_t iterations)
{
    static const uint8_t bytes[DURESS_LINK_CHUNK_BYTES_MAX];
    struct fixture *fixture = context;
    for (uint64_t i = 0; i < iterations; i++) {
        struct duress_slice chunk = duress_slice_bytes(bytes, fixture->chunk_bytes);
        fixture->now_ns += DURESS_US;
        if (duress_link_push(fixture->link, DURESS_DOWNSTREAM, chunk, fixture->now_ns) != DURESS_OK)
            bench_fail("a push was refused");
        (void)chunks_take(fixture);
    }
    fixture->now_ns += DURESS_S;
    (void)chunks_take(fixture);
    if (duress_link_buffered_bytes(fixture->link, DURESS_DOWNSTREAM) != 0)
        bench_fail("bytes are left in the link");
}

static double chunks_measure(const char *name, const struct duress_toxic *toxics, size_t toxic_count,
                             size_t chunk_bytes)
{
    struct fixture fixture = {.chunk_bytes = chunk_bytes};
    fixture_open(&fixture, toxics, toxic_count);
    double each_ns = bench_time_each(name, chunk_bytes > 1000 ? 100000 : 1000000, chunks_pass, &fixture);
    duress_link_free(fixture.link);
    return each_ns;
}

static void rates_measure(void)
{
    struct fixture fixture = {.chunk_bytes = 270};
    struct duress_toxic latency = toxic_of(1, DURESS_TOXIC_LATENCY);
    latency.as.latency.latency_ns = DURESS_MS;
    fixture_open(&fixture, NULL, 0);
    (void)bench_rate("link: chunks of 270 bytes through an empty chain", 1000000, chunks_pass, &fixture);
    duress_link_free(fixture.link);
    fixture.now_ns = 0;
    fixture_open(&fixture, &latency, 1);
    (void)bench_rate("link: chunks of 270 bytes through latency, 1000 in flight", 1000000, chunks_pass, &fixture);
    duress_link_free(fixture.link);
}

int main(void)
{
    struct duress_toxic latency = toxic_of(1, DURESS_TOXIC_LATENCY);
    struct duress_toxic bandwidth = toxic_of(2, DURESS_TOXIC_BANDWIDTH);
    latency.as.latency.latency_ns = 100 * DURESS_US;
    latency.as.latency.jitter_ns = 10 * DURESS_US;
    bandwidth.as.bandwidth.rate_bytes_per_s = UINT64_C(1000000000);
    struct duress_toxic chain[] = {latency, bandwidth};
    (void)chunks_measure("link: a chunk of 270 bytes, empty chain", NULL, 0, 270);
    (void)chunks_measure("link: a chunk of 270 bytes, latency", &latency, 1, 270);
    (void)chunks_measure("link: a chunk of 270 bytes, latency and bandwidth", chain, 2, 270);
    (void)chunks_measure("link: a chunk of 32 KiB, empty chain", NULL, 0, DURESS_LINK_CHUNK_BYTES_MAX);
    rates_measure();
    return 0;
}
