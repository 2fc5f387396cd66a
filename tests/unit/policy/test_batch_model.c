/* SPDX-License-Identifier: Apache-2.0
 *
 * The batch against a plain and slow model of its header's promises: every sequence of a few steps, then long random
 * ones. After each step both must be due at the same instant and have the same items in the same order. */
#include "policy_test.h"

#include <string.h>

#include <duress/policy/batch.h>
#include <duress/prng.h>

enum { ITEM_MAX = 64 };

/* --- the model: an array of what waits --- */

struct model_item {
    int number;
    uint64_t bytes;
    uint64_t came_ns;
    uint64_t deadline_ns;
};

struct model {
    struct duress_batch_options options;
    struct model_item queue[ITEM_MAX];
    uint32_t count;
    uint32_t in_flight;
};

static bool model_is_full(const struct model *model)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < model->count; i++)
        bytes += model->queue[i].bytes;
    return model->count >= model->options.items_max || bytes >= model->options.bytes_max;
}

static uint64_t model_due_ns(const struct model *model)
{
    uint64_t due_ns = DURESS_TIME_NEVER;
    if (model->in_flight >= model->options.in_flight_max || model->count == 0)
        return DURESS_TIME_NEVER;
    if (model_is_full(model))
        return 0;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct model_item *item = &model->queue[i];
        uint64_t at_ns = item->came_ns + model->options.wait_ns;
        if (item->deadline_ns != DURESS_TIME_NEVER && item->deadline_ns < at_ns + model->options.margin_ns) {
            bool none = item->deadline_ns < item->came_ns + model->options.margin_ns;
            at_ns = none ? item->came_ns : item->deadline_ns - model->options.margin_ns;
        }
        due_ns = at_ns < due_ns ? at_ns : due_ns;
    }
    return due_ns;
}

static void model_remove(struct model *model, uint32_t index)
{
    model->count--;
    for (uint32_t i = index; i < model->count; i++)
        model->queue[i] = model->queue[i + 1];
}

static uint32_t model_take(const struct model *model, uint64_t now_ns)
{
    uint32_t count = 0;
    uint64_t bytes = 0;
    if (now_ns < model_due_ns(model))
        return 0;
    while (count < model->count && count < model->options.items_max &&
           bytes + model->queue[count].bytes <= model->options.bytes_max)
        bytes += model->queue[count++].bytes;
    return count;
}

/* --- both --- */

struct pair {
    struct duress_batch batch;
    struct model model;
    struct duress_batch_item items[ITEM_MAX];
    bool waits[ITEM_MAX];
    uint64_t now_ns;
};

static struct pair the_pair;

static void pair_open(struct pair *pair, const struct duress_batch_options *options)
{
    memset(pair, 0, sizeof *pair);
    assert_int_equal(duress_batch_options_init(&pair->model.options, options, NULL), DURESS_OK);
    duress_batch_init(&pair->batch, &pair->model.options);
    pair->now_ns = 1000;
}

static void pair_check(const struct pair *pair)
{
    const struct duress_batch_item *item = pair->batch.queue.next;
    for (uint32_t i = 0; i < pair->model.count; i++, item = item->next)
        assert_ptr_equal(item, &pair->items[pair->model.queue[i].number]);
    assert_ptr_equal(item, &pair->batch.queue);
    assert_int_equal(pair->batch.queued_count, pair->model.count);
    assert_int_equal(pair->batch.in_flight_count, pair->model.in_flight);
    assert_int_equal(duress_batch_due_ns(&pair->batch), model_due_ns(&pair->model));
}

static void step_add(struct pair *pair, uint64_t bytes, uint64_t left_ns)
{
    int number = 0;
    while (number < ITEM_MAX && pair->waits[number])
        number++;
    if (number == ITEM_MAX)
        return;
    struct model *model = &pair->model;
    uint64_t deadline_ns = duress_time_add(pair->now_ns, left_ns);
    enum duress_batch_verdict expected = DURESS_BATCH_QUEUED;
    if (bytes > model->options.bytes_max)
        expected = DURESS_BATCH_TOO_LARGE;
    else if (model->count >= model->options.queue_max)
        expected = DURESS_BATCH_FULL;
    enum duress_batch_verdict verdict =
        duress_batch_add(&pair->batch, &pair->items[number], bytes, deadline_ns, pair->now_ns);
    assert_string_equal(duress_batch_verdict_name(verdict), duress_batch_verdict_name(expected));
    if (verdict != DURESS_BATCH_QUEUED)
        return;
    pair->waits[number] = true;
    model->queue[model->count++] = (struct model_item){number, bytes, pair->now_ns, deadline_ns};
}

static void step_remove(struct pair *pair, uint32_t index)
{
    if (index >= pair->model.count)
        return;
    int number = pair->model.queue[index].number;
    duress_batch_remove(&pair->batch, &pair->items[number]);
    model_remove(&pair->model, index);
    pair->waits[number] = false;
}

static void step_take(struct pair *pair)
{
    uint32_t count = duress_batch_take(&pair->batch, pair->now_ns);
    assert_int_equal(count, model_take(&pair->model, pair->now_ns));
    pair->model.in_flight += count > 0;
    for (uint32_t i = 0; i < count; i++) {
        int number = pair->model.queue[0].number;
        assert_ptr_equal(duress_batch_pop(&pair->batch), &pair->items[number]);
        model_remove(&pair->model, 0);
        pair->waits[number] = false;
    }
}

static void step_end(struct pair *pair)
{
    if (pair->model.in_flight == 0)
        return;
    pair->model.in_flight--;
    duress_batch_end(&pair->batch);
}

enum { STEP_COUNT = 9, LENGTH = 6 };

static void short_step(struct pair *pair, unsigned step)
{
    switch (step) {
    case 0:
        step_add(pair, 1, DURESS_TIME_NEVER);
        break;
    case 1:
        step_add(pair, 60, DURESS_TIME_NEVER);
        break;
    case 2:
        step_add(pair, 1, 8); /* less time than the margin and the wait together */
        break;
    case 3:
        step_add(pair, 0, 3); /* less than the margin */
        break;
    case 4:
        step_remove(pair, 0);
        break;
    case 5:
        step_remove(pair, 1);
        break;
    case 6:
        step_take(pair);
        break;
    case 7:
        step_end(pair);
        break;
    default:
        pair->now_ns += 5;
        break;
    }
}

static void every_short_sequence_is_as_the_model_says(void **state)
{
    (void)state;
    struct duress_batch_options options = {
        .items_max = 3, .bytes_max = 100, .wait_ns = 10, .margin_ns = 4, .queue_max = 4, .in_flight_max = 1};
    uint32_t count = 1;
    for (int i = 0; i < LENGTH; i++)
        count *= STEP_COUNT;
    for (uint32_t sequence = 0; sequence < count; sequence++) {
        uint32_t rest = sequence;
        pair_open(&the_pair, &options);
        for (int i = 0; i < LENGTH; i++) {
            short_step(&the_pair, rest % STEP_COUNT);
            pair_check(&the_pair);
            rest /= STEP_COUNT;
        }
    }
}

static void random_step(struct pair *pair, struct duress_prng *prng)
{
    uint64_t kind = duress_prng_below(prng, 100);
    uint64_t bytes = duress_prng_below(prng, 60);
    uint64_t left_ns = kind % 3 == 0 ? duress_prng_below(prng, 80) : DURESS_TIME_NEVER;
    if (kind < 50)
        step_add(pair, bytes, left_ns);
    else if (kind < 60)
        step_remove(pair, (uint32_t)duress_prng_below(prng, 8));
    else if (kind < 80)
        step_take(pair);
    else if (kind < 88)
        step_end(pair);
    else
        pair->now_ns += duress_prng_below(prng, 30);
}

static void long_random_schedules_are_as_the_model_says(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 400; seed++) {
        struct duress_prng prng;
        duress_prng_init(&prng, seed, 1);
        struct duress_batch_options options = {.items_max = 1 + (uint32_t)duress_prng_below(&prng, 9)};
        options.bytes_max = 40 + duress_prng_below(&prng, 300);
        options.wait_ns = 1 + duress_prng_below(&prng, 40);
        options.margin_ns = 1 + duress_prng_below(&prng, 40);
        options.queue_max = options.items_max + (uint32_t)duress_prng_below(&prng, 20);
        options.in_flight_max = 1 + (uint32_t)duress_prng_below(&prng, 3);
        pair_open(&the_pair, &options);
        for (int i = 0; i < 2000; i++) {
            random_step(&the_pair, &prng);
            pair_check(&the_pair);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_short_sequence_is_as_the_model_says),
        cmocka_unit_test(long_random_schedules_are_as_the_model_says),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
