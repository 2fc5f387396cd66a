/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/toxic/bandwidth_pool.h>

#include <stdatomic.h>
#include <stddef.h>

#include <duress/time.h>

struct duress_bandwidth_pool {
    const struct duress_allocator *allocator;
    atomic_size_t references;
    _Atomic uint64_t rate_bytes_per_s; /* of the reservations */
    _Atomic uint64_t free_ns;          /* the end of the last one */
};

struct duress_bandwidth_pool *duress_bandwidth_pool_new(const struct duress_allocator *allocator)
{
    struct duress_bandwidth_pool *pool = duress_allocate(allocator, sizeof *pool);
    if (pool == NULL)
        return NULL;
    pool->allocator = allocator;
    atomic_init(&pool->references, 1);
    atomic_init(&pool->rate_bytes_per_s, 0);
    atomic_init(&pool->free_ns, 0);
    return pool;
}

void duress_bandwidth_pool_retain(struct duress_bandwidth_pool *pool)
{
    if (pool != NULL)
        (void)atomic_fetch_add(&pool->references, 1);
}

void duress_bandwidth_pool_release(struct duress_bandwidth_pool *pool)
{
    if (pool != NULL && atomic_fetch_sub(&pool->references, 1) == 1)
        duress_release(pool->allocator, pool);
}

uint64_t duress_bandwidth_pool_reserve(struct duress_bandwidth_pool *pool, uint64_t rate_bytes_per_s, uint64_t now_ns,
                                       uint64_t cost_ns)
{
    /* Links that held a reservation at the old rate have let their pieces go. One of them comes here first. */
    if (atomic_load(&pool->rate_bytes_per_s) != rate_bytes_per_s &&
        atomic_exchange(&pool->rate_bytes_per_s, rate_bytes_per_s) != rate_bytes_per_s)
        atomic_store(&pool->free_ns, 0);
    uint64_t free_ns = atomic_load(&pool->free_ns);
    uint64_t due_ns;
    do
        due_ns = duress_time_add(now_ns > free_ns ? now_ns : free_ns, cost_ns);
    while (!atomic_compare_exchange_weak(&pool->free_ns, &free_ns, due_ns));
    return due_ns;
}
