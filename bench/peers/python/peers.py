# SPDX-License-Identifier: Apache-2.0
"""What libraries for Python need for what bench/peers/ours.c measures of duress: an empty function that succeeds,
behind a closed circuit breaker, and behind a retry of three attempts. Prints "name nanoseconds", a line a sample."""

import sys
import time

import pybreaker
import tenacity

CALLS = 20000


def work():
    return None


def measure(name, once, runs):
    for run in range(runs + 1):
        begun_ns = time.perf_counter_ns()
        for _ in range(CALLS):
            once()
        if run > 0:  # the first one warms up
            print(name, (time.perf_counter_ns() - begun_ns) / CALLS)


breaker = pybreaker.CircuitBreaker(fail_max=5, reset_timeout=60)
retrying = tenacity.Retrying(stop=tenacity.stop_after_attempt(3), wait=tenacity.wait_exponential(1, 30))
measure("breaker:pybreaker", lambda: breaker.call(work), int(sys.argv[1]))
measure("retry:tenacity", lambda: retrying(work), int(sys.argv[1]))
