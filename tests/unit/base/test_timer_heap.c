/* SPDX-License-Identifier: Apache-2.0
 *
 * The timer heap against an array that is searched from end to end, over random programs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <duress/base/timer_heap.h>
#include <duress/prng.h>

enum { NODES = 200, PROGRAMS = 300, STEPS = 2000 };

/* What the heap must be equal to. */
struct model {
    struct duress_timer_node nodes[NODES];
    bool is_in[NODES];
    uint64_t at_ns[NODES];
    uint64_t rank[NODES];
    uint64_t sequence[NODES];
    uint64_t sequence_next;
    size_t count;
};

static bool model_before(const struct model *model, size_t a, size_t b)
{
    if (model->at_ns[a] != model->at_ns[b])
        return model->at_ns[a] < model->at_ns[b];
    if (model->rank[a] != model->rank[b])
        return model->rank[a] < model->rank[b];
    return model->sequence[a] < model->sequence[b];
}

/* The first node's index; NODES where there is none. */
static size_t model_first(const struct model *model)
{
    size_t first = NODES;
    for (size_t i = 0; i < NODES; i++)
        if (model->is_in[i] && (first == NODES || model_before(model, i, first)))
            first = i;
    return first;
}

static void model_insert(struct model *model, struct duress_timer_heap *heap, size_t i, uint64_t at_ns, uint64_t rank)
{
    duress__timer_heap_insert(heap, &model->nodes[i], at_ns, rank);
    model->is_in[i] = true;
    model->at_ns[i] = at_ns;
    model->rank[i] = rank;
    model->sequence[i] = model->sequence_next++;
    model->count++;
}

static void model_remove(struct model *model, struct duress_timer_heap *heap, size_t i)
{
    duress__timer_heap_remove(heap, &model->nodes[i]);
    model->count -= model->is_in[i];
    model->is_in[i] = false;
    assert_null(model->nodes[i].previous);
}

static void assert_same(const struct model *model, const struct duress_timer_heap *heap)
{
    size_t first = model_first(model);
    assert_int_equal(heap->count, model->count);
    assert_ptr_equal(duress__timer_heap_first(heap), first == NODES ? NULL : &model->nodes[first]);
}

static void program_run(uint64_t seed)
{
    static struct model model;
    struct duress_timer_heap heap;
    struct duress_prng prng;
    duress__timer_heap_init(&heap);
    duress_prng_init(&prng, seed, 0);
    model = (struct model){.count = 0};
    uint64_t instants = 1 + duress_prng_below(&prng, 1000); /* few instants: many are equal */
    uint64_t ranks = 1 + duress_prng_below(&prng, 3);
    for (unsigned step = 0; step < STEPS; step++) {
        size_t i = duress_prng_below(&prng, NODES);
        uint64_t what = duress_prng_below(&prng, 10);
        if (what < 5 && !model.is_in[i]) {
            uint64_t at_ns = duress_prng_below(&prng, instants);
            model_insert(&model, &heap, i, at_ns, duress_prng_below(&prng, ranks));
        } else if (what < 8) {
            model_remove(&model, &heap, i); /* in the heap or not */
        } else if (model_first(&model) != NODES) {
            model_remove(&model, &heap, model_first(&model));
        }
        assert_same(&model, &heap);
    }
    while (model.count > 0) { /* all that is left comes in order */
        assert_same(&model, &heap);
        model_remove(&model, &heap, model_first(&model));
    }
    assert_null(duress__timer_heap_first(&heap));
}

static void heap_is_a_sorted_array_whatever_is_done(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < PROGRAMS; seed++)
        program_run(seed);
}

static void equal_instants_come_by_rank_then_by_arming(void **state)
{
    (void)state;
    struct duress_timer_heap heap;
    struct duress_timer_node nodes[4] = {{.at_ns = 0}};
    duress__timer_heap_init(&heap);
    duress__timer_heap_insert(&heap, &nodes[0], 5, 1);
    duress__timer_heap_insert(&heap, &nodes[1], 5, 0);
    duress__timer_heap_insert(&heap, &nodes[2], 5, 1);
    duress__timer_heap_insert(&heap, &nodes[3], 5, 0);
    static const size_t order[4] = {1, 3, 0, 2};
    for (size_t i = 0; i < 4; i++) {
        assert_ptr_equal(duress__timer_heap_first(&heap), &nodes[order[i]]);
        duress__timer_heap_remove(&heap, &nodes[order[i]]);
    }
}

/* The first removal meets a list of siblings as long as the heap: a recursive meld would run out of stack. */
static void a_very_wide_heap_is_no_deep_one(void **state)
{
    (void)state;
    enum { WIDE = 300000 };
    static struct duress_timer_node nodes[WIDE];
    struct duress_timer_heap heap;
    duress__timer_heap_init(&heap);
    for (size_t i = 0; i < WIDE; i++)
        duress__timer_heap_insert(&heap, &nodes[i], i, 0);
    for (size_t i = 0; i < WIDE; i++) {
        assert_ptr_equal(duress__timer_heap_first(&heap), &nodes[i]);
        duress__timer_heap_remove(&heap, &nodes[i]);
    }
    assert_int_equal(heap.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(heap_is_a_sorted_array_whatever_is_done),
        cmocka_unit_test(equal_instants_come_by_rank_then_by_arming),
        cmocka_unit_test(a_very_wide_heap_is_no_deep_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
