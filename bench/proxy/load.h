/* SPDX-License-Identifier: Apache-2.0
 *
 * The loads that the contenders are put under, and the server behind them. All on loopback, all bounded. */
#ifndef DURESS_BENCH_LOAD_H
#define DURESS_BENCH_LOAD_H

#include <stddef.h>
#include <stdint.h>

/* Starts the server: threads that throw away what comes, or one that sends it back. Returns its port; it ends with the
 * process. */
uint16_t load_sink_begin(void);
uint16_t load_echo_begin(void);

/* Sends through |port| on |streams| connections for |duration_ns|; how many bytes the sink got in that time, and the
 * time in *took_ns. */
uint64_t load_bulk(uint16_t port, unsigned streams, uint64_t duration_ns, uint64_t *took_ns);

/* One byte to the echo server and back, on |connections| connections at once, again and again. */
struct load_messages {
    uint64_t count;
    double p50_us;
    double p99_us;
};
struct load_messages load_messages(uint16_t port, unsigned connections, uint64_t duration_ns);

/* Opens |count| connections one after another, one byte there and back on each, and closes it. How long it took. */
uint64_t load_connects(uint16_t port, unsigned count);

/* Opens |count| connections that do nothing after one byte there and back; load_idle_end() closes them. */
struct load_idle;
struct load_idle *load_idle_begin(uint16_t port, unsigned count);
void load_idle_end(struct load_idle *idle);

/* By how much a timerfd of |wait_ns| is late, at the median, with one epoll_wait around it. */
double load_timer_late_us(uint64_t wait_ns, unsigned count);

#endif
