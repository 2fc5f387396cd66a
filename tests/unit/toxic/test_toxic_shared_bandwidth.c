/* SPDX-License-Identifier: Apache-2.0
 *
 * shared_bandwidth: one rate for many links, of one thread or of several. */
#include "link_rig.h"

#include <pthread.h>

#include <duress/toxic/bandwidth_pool.h>
#include <duress/toxic/toxic_list_private.h>

static struct duress_toxic sharing(struct duress_bandwidth_pool *pool, uint64_t rate_bytes_per_s)
{
    struct duress_toxic toxic = toxic_shared_bandwidth(1, rate_bytes_per_s);
    toxic.as.shared_bandwidth.pool = pool;
    return toxic;
}

static void one_link_has_the_whole_rate(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_shared_bandwidth(1, 10000);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 250);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "100@10 100@20 50@25"); /* pieces of 10 ms */
    rig_push(&rig, DURESS_DOWNSTREAM, 100);
    rig_run(&rig, 2 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "100@10 100@20 50@25 100@1010"); /* no credit */
    rig_close(&rig);
}

/* Ticks both rigs in the order of their instants, as one loop does. */
static void rigs_run(struct rig *rigs, size_t count, uint64_t until_ns)
{
    for (;;) {
        uint64_t next_ns = DURESS_TIME_NEVER;
        for (size_t i = 0; i < count; i++)
            next_ns = duress_time_min(next_ns, duress_link_next_ns(rigs[i].link));
        if (next_ns > until_ns)
            break;
        for (size_t i = 0; i < count; i++)
            rig_run(&rigs[i], next_ns);
    }
    for (size_t i = 0; i < count; i++)
        rig_run(&rigs[i], until_ns);
}

static void links_that_send_at_once_take_turns(void **unused)
{
    (void)unused;
    struct rig rigs[2];
    struct duress_bandwidth_pool *pool = duress_bandwidth_pool_new(NULL);
    struct duress_toxic toxic = sharing(pool, 10000);
    for (int i = 0; i < 2; i++)
        rig_open(&rigs[i], &toxic, 1);
    duress_bandwidth_pool_release(pool); /* The links hold it. */
    for (int i = 0; i < 2; i++)
        rig_push(&rigs[i], DURESS_DOWNSTREAM, 250);
    rigs_run(rigs, 2, DURESS_S);
    assert_string_equal(rig_writes(&rigs[0], DURESS_DOWNSTREAM), "100@10 100@30 50@45");
    assert_string_equal(rig_writes(&rigs[1], DURESS_DOWNSTREAM), "100@20 100@40 50@50");
    for (int i = 0; i < 2; i++)
        rig_close(&rigs[i]);
}

/* The whole of many links beside the plain sum: never ahead of the rate, and never idle while one has something. */
static void sum_of_all_links_is_the_rate(void **unused)
{
    (void)unused;
    enum { RIGS = 7, RATE = 7000 };
    static struct rig rigs[RIGS];
    struct duress_prng prng;
    for (uint64_t seed = 0; seed < 40; seed++) {
        struct duress_bandwidth_pool *pool = duress_bandwidth_pool_new(NULL);
        struct duress_toxic toxic = sharing(pool, RATE);
        uint64_t pushed = 0;
        duress_prng_init(&prng, seed, 0);
        for (int i = 0; i < RIGS; i++)
            rig_open(&rigs[i], &toxic, 1);
        for (int i = 0; i < RIGS; i++) {
            size_t bytes = 500 + (size_t)duress_prng_below(&prng, 3000);
            rig_push(&rigs[i], DURESS_DOWNSTREAM, bytes);
            pushed += bytes;
        }
        for (uint64_t now_ms = 0; now_ms < 4000; now_ms += 10) {
            rigs_run(rigs, RIGS, now_ms * DURESS_MS);
            uint64_t written = 0;
            for (int i = 0; i < RIGS; i++)
                written += rigs[i].written_bytes[DURESS_DOWNSTREAM];
            uint64_t due = now_ms * RATE / 1000;
            if (due > pushed)
                due = pushed;
            assert_true(written <= due);
            assert_true(written + RATE / 100 >= due);
        }
        for (int i = 0; i < RIGS; i++)
            rig_close(&rigs[i]);
        duress_bandwidth_pool_release(pool);
    }
}

static void rate_zero_stalls_and_resumes_without_loss(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_shared_bandwidth(1, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 10);
    rig_run(&rig, 3600 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "");
    rig_update(&rig, toxic_shared_bandwidth(1, 1000));
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "10@3600000");
    rig_close(&rig);
}

/* What was reserved at a slow rate does not keep a fast one waiting. */
static void raised_rate_is_felt_at_once(void **unused)
{
    (void)unused;
    struct rig rigs[2];
    struct duress_bandwidth_pool *pool = duress_bandwidth_pool_new(NULL);
    struct duress_toxic toxic = sharing(pool, 1);
    for (int i = 0; i < 2; i++) {
        rig_open(&rigs[i], &toxic, 1);
        rig_push(&rigs[i], DURESS_DOWNSTREAM, 5);
        rig_push(&rigs[i], DURESS_DOWNSTREAM, 10);
    }
    toxic.as.shared_bandwidth.rate_bytes_per_s = 10000;
    for (int i = 0; i < 2; i++)
        rig_update(&rigs[i], toxic);
    rigs_run(rigs, 2, DURESS_S);
    assert_string_equal(rig_writes(&rigs[0], DURESS_DOWNSTREAM), "5@0 10@1");
    assert_string_equal(rig_writes(&rigs[1], DURESS_DOWNSTREAM), "5@0 10@2");
    for (int i = 0; i < 2; i++)
        rig_close(&rigs[i]);
    duress_bandwidth_pool_release(pool);
}

/* An update that brings no pool (nobody but the owner of many links knows it) does not part the links. */
static void update_without_a_pool_goes_on_sharing(void **unused)
{
    (void)unused;
    struct rig rigs[2];
    struct duress_bandwidth_pool *pool = duress_bandwidth_pool_new(NULL);
    struct duress_toxic toxic = sharing(pool, 1);
    for (int i = 0; i < 2; i++)
        rig_open(&rigs[i], &toxic, 1);
    duress_bandwidth_pool_release(pool);
    for (int i = 0; i < 2; i++)
        rig_update(&rigs[i], toxic_shared_bandwidth(1, 10000));
    for (int i = 0; i < 2; i++)
        rig_push(&rigs[i], DURESS_DOWNSTREAM, 200);
    rigs_run(rigs, 2, DURESS_S);
    assert_string_equal(rig_writes(&rigs[0], DURESS_DOWNSTREAM), "100@10 100@30");
    assert_string_equal(rig_writes(&rigs[1], DURESS_DOWNSTREAM), "100@20 100@40");
    for (int i = 0; i < 2; i++)
        rig_close(&rigs[i]);
}

/* A third of a second is no whole number of nanoseconds, yet 300 bytes at 3 a second take 100 s. */
static void mean_is_exact_at_rates_that_do_not_divide(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_shared_bandwidth(1, 3);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 300);
    rig_run(&rig, 100 * DURESS_S - 1);
    assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], 299);
    rig_run(&rig, 100 * DURESS_S);
    assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], 300);
    rig_close(&rig);
}

/* ---- the list makes the pool ---- */

static void list_gives_all_links_one_pool_and_lets_it_go(void **unused)
{
    (void)unused;
    struct rig_heap heap;
    struct duress_toxic_list list;
    struct duress_link_change change;
    struct duress_toxic_moment moment = {0};
    struct duress_toxic toxic = toxic_shared_bandwidth(1, 1000);
    rig_heap_init(&heap, RIG_FAIL_NEVER, false);
    duress__toxic_list_init(&list, &heap.base);
    assert_int_equal(duress__toxic_list_add(&list, &toxic, moment, &change, NULL), DURESS_OK);
    struct duress_bandwidth_pool *pool = change.toxic.as.shared_bandwidth.pool;
    assert_non_null(pool);
    assert_ptr_equal(list.toxics[0].as.shared_bandwidth.pool, pool);
    toxic.as.shared_bandwidth.rate_bytes_per_s = 2000;
    assert_int_equal(duress__toxic_list_update(&list, &toxic, moment, &change, NULL), DURESS_OK);
    assert_ptr_equal(change.toxic.as.shared_bandwidth.pool, pool);

    struct rig rig;
    rig_open(&rig, list.toxics, list.count);
    assert_int_equal(duress__toxic_list_remove(&list, 1, 0, &change), DURESS_OK);
    duress__toxic_list_deinit(&list);
    assert_int_equal(heap.live_count, 1); /* The link has it still. */
    rig_close(&rig);
    assert_int_equal(heap.live_count, 0);
}

static void list_takes_the_pool_that_it_is_given(void **unused)
{
    (void)unused;
    struct rig_heap heap;
    struct duress_toxic_list list;
    struct duress_link_change change;
    rig_heap_init(&heap, RIG_FAIL_NEVER, false);
    struct duress_bandwidth_pool *pool = duress_bandwidth_pool_new(&heap.base);
    struct duress_toxic toxic = sharing(pool, 1000);
    duress__toxic_list_init(&list, duress_allocator_default());
    assert_int_equal(duress__toxic_list_add(&list, &toxic, (struct duress_toxic_moment){0}, &change, NULL), DURESS_OK);
    assert_ptr_equal(change.toxic.as.shared_bandwidth.pool, pool);
    duress_bandwidth_pool_release(pool);
    assert_int_equal(heap.live_count, 1); /* The list has it still. */
    duress__toxic_list_deinit(&list);
    assert_int_equal(heap.live_count, 0);
}

static void list_without_memory_for_the_pool_adds_nothing(void **unused)
{
    (void)unused;
    struct rig_heap heap;
    struct duress_toxic_list list;
    struct duress_link_change change;
    struct duress_toxic toxic = toxic_shared_bandwidth(1, 1000);
    rig_heap_init(&heap, 1, false); /* the first is the list's own */
    duress__toxic_list_init(&list, &heap.base);
    assert_int_equal(duress__toxic_list_add(&list, &toxic, (struct duress_toxic_moment){0}, &change, NULL),
                     DURESS_E_NO_MEMORY);
    assert_int_equal(list.count, 0);
    duress__toxic_list_deinit(&list);
    assert_int_equal(heap.live_count, 0);
}

/* ---- threads ---- */

enum { THREADS = 4, RESERVATIONS = 500000 }; /* many times what one turn of a thread on a processor lasts */

static void *reserve_many(void *argument)
{
    struct duress_bandwidth_pool *pool = argument;
    uint64_t before_ns = 0;
    for (int i = 0; i < RESERVATIONS; i++) {
        uint64_t due_ns = duress_bandwidth_pool_reserve(pool, 1000, 5, 3);
        if (due_ns <= before_ns)
            return pool; /* Its own reservations do not follow each other. */
        before_ns = due_ns;
    }
    duress_bandwidth_pool_release(pool);
    return NULL;
}

static void threads_share_a_pool_without_losing_a_reservation(void **unused)
{
    (void)unused;
    pthread_t threads[THREADS];
    struct duress_bandwidth_pool *pool = duress_bandwidth_pool_new(NULL);
    for (int i = 0; i < THREADS; i++) {
        duress_bandwidth_pool_retain(pool);
        assert_int_equal(pthread_create(&threads[i], NULL, reserve_many, pool), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        void *failed = NULL;
        assert_int_equal(pthread_join(threads[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(duress_bandwidth_pool_reserve(pool, 1000, 5, 3), 5 + 3 * (THREADS * RESERVATIONS + 1));
    duress_bandwidth_pool_release(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_link_has_the_whole_rate),
        cmocka_unit_test(links_that_send_at_once_take_turns),
        cmocka_unit_test(sum_of_all_links_is_the_rate),
        cmocka_unit_test(rate_zero_stalls_and_resumes_without_loss),
        cmocka_unit_test(raised_rate_is_felt_at_once),
        cmocka_unit_test(list_gives_all_links_one_pool_and_lets_it_go),
        cmocka_unit_test(update_without_a_pool_goes_on_sharing),
        cmocka_unit_test(mean_is_exact_at_rates_that_do_not_divide),
        cmocka_unit_test(list_takes_the_pool_that_it_is_given),
        cmocka_unit_test(list_without_memory_for_the_pool_adds_nothing),
        cmocka_unit_test(threads_share_a_pool_without_losing_a_reservation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
