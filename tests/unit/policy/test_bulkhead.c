/* SPDX-License-Identifier: Apache-2.0
 *
 * The bulkhead by itself, beside a model that counts; its orderings between threads are in test_policy_explored.c. */
#include "policy_test.h"

#include <string.h>

#include <duress/policy/bulkhead.h>

static struct duress_bulkhead bulkhead_with(uint32_t limit)
{
    struct duress_bulkhead bulkhead;
    struct duress_bulkhead_options options = {.limit = limit};
    assert_int_equal(duress_bulkhead_init(&bulkhead, &options, NULL), DURESS_OK);
    return bulkhead;
}

static struct duress_bulkhead_snapshot snapshot_of(const struct duress_bulkhead *bulkhead)
{
    struct duress_bulkhead_snapshot snapshot;
    duress_bulkhead_snapshot(bulkhead, &snapshot);
    return snapshot;
}

static void slots_are_as_many_as_the_limit(void **state)
{
    (void)state;
    struct duress_bulkhead bulkhead;
    assert_int_equal(duress_bulkhead_init(&bulkhead, NULL, NULL), DURESS_OK);
    for (uint32_t i = 0; i < DURESS_BULKHEAD_LIMIT_DEFAULT; i++)
        assert_true(duress_bulkhead_acquire(&bulkhead));
    assert_false(duress_bulkhead_acquire(&bulkhead));
    assert_null(duress_bulkhead_release(&bulkhead));
    assert_int_equal(snapshot_of(&bulkhead).running, DURESS_BULKHEAD_LIMIT_DEFAULT - 1);
    assert_true(duress_bulkhead_acquire(&bulkhead));
    assert_false(duress_bulkhead_acquire(&bulkhead));
}

static void a_lowered_limit_stops_nobody_and_is_kept_from_then_on(void **state)
{
    (void)state;
    struct duress_bulkhead bulkhead = bulkhead_with(3);
    uint32_t seat;
    uint64_t ticket;
    void *wake;
    int owner;
    assert_int_equal(duress_bulkhead_join(&bulkhead, &owner, &seat, NULL), DURESS_OK);
    for (int i = 0; i < 3; i++)
        assert_true(duress_bulkhead_acquire(&bulkhead));
    duress_bulkhead_set_limit(&bulkhead, 1);
    assert_false(duress_bulkhead_wait(&bulkhead, seat, &ticket, &wake));
    assert_null(duress_bulkhead_release(&bulkhead)); /* 2 of 1: not handed on */
    assert_null(duress_bulkhead_release(&bulkhead)); /* 1 of 1 */
    assert_int_equal(snapshot_of(&bulkhead).running, 1);
    assert_int_equal(snapshot_of(&bulkhead).waiting, 1);
    assert_ptr_equal(duress_bulkhead_release(&bulkhead), &owner);
    assert_int_equal(duress_bulkhead_take(&bulkhead, seat), 1);
    assert_int_equal(snapshot_of(&bulkhead).running, 1);
    duress_bulkhead_set_limit(&bulkhead, 0);
    assert_int_equal(snapshot_of(&bulkhead).limit, 1);
    duress_bulkhead_set_limit(&bulkhead, UINT32_MAX);
    assert_int_equal(snapshot_of(&bulkhead).limit, DURESS_BULKHEAD_LIMIT_MAX);
}

static void a_raised_limit_is_offered_to_those_who_wait(void **state)
{
    (void)state;
    struct duress_bulkhead bulkhead = bulkhead_with(1);
    uint32_t seat;
    uint64_t ticket;
    void *wake;
    int owner;
    assert_int_equal(duress_bulkhead_join(&bulkhead, &owner, &seat, NULL), DURESS_OK);
    assert_true(duress_bulkhead_acquire(&bulkhead));
    for (int i = 0; i < 3; i++)
        assert_false(duress_bulkhead_wait(&bulkhead, seat, &ticket, &wake));
    assert_false(duress_bulkhead_offer(&bulkhead, &wake));
    duress_bulkhead_set_limit(&bulkhead, 3);
    assert_true(duress_bulkhead_offer(&bulkhead, &wake));
    assert_ptr_equal(wake, &owner);
    assert_true(duress_bulkhead_offer(&bulkhead, &wake));
    assert_null(wake); /* it is to be woken already */
    assert_false(duress_bulkhead_offer(&bulkhead, &wake));
    assert_int_equal(duress_bulkhead_take(&bulkhead, seat), 2);
    assert_true(duress_bulkhead_stop_waiting(&bulkhead, seat));
    assert_false(duress_bulkhead_stop_waiting(&bulkhead, seat));
}

/* Three queues; the one whose first caller came earliest is served first, whatever its seat. */
static void the_longest_wait_is_served_first(void **state)
{
    (void)state;
    struct duress_bulkhead bulkhead = bulkhead_with(1);
    uint32_t seats[3];
    uint64_t tickets[3][2];
    void *wake;
    int owners[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(duress_bulkhead_join(&bulkhead, &owners[i], &seats[i], NULL), DURESS_OK);
    assert_true(duress_bulkhead_acquire(&bulkhead));
    for (int round = 0; round < 2; round++)
        for (int i = 2; i >= 0; i--)
            assert_false(duress_bulkhead_wait(&bulkhead, seats[i], &tickets[i][round], &wake));
    for (int round = 0; round < 2; round++) {
        for (int i = 2; i >= 0; i--) {
            assert_ptr_equal(duress_bulkhead_release(&bulkhead), &owners[i]);
            assert_int_equal(duress_bulkhead_take(&bulkhead, seats[i]), 1);
            duress_bulkhead_set_first(&bulkhead, seats[i], tickets[i][1]);
        }
    }
    assert_null(duress_bulkhead_release(&bulkhead));
    assert_int_equal(snapshot_of(&bulkhead).running, 0);
}

static void seats_are_taken_and_left(void **state)
{
    (void)state;
    struct duress_bulkhead bulkhead = bulkhead_with(1);
    struct duress_failure why;
    uint32_t seat;
    int owner;
    for (uint32_t i = 0; i < DURESS_BULKHEAD_SEATS_MAX; i++) {
        assert_int_equal(duress_bulkhead_join(&bulkhead, &owner, &seat, NULL), DURESS_OK);
        assert_int_equal(seat, i);
    }
    assert_int_equal(duress_bulkhead_join(&bulkhead, &owner, &seat, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "bulkhead: 32 queues share it already, the most allowed");
    assert_int_equal(duress_bulkhead_join(&bulkhead, &owner, &seat, NULL), DURESS_E_INVALID);
    duress_bulkhead_leave(&bulkhead, 7);
    assert_int_equal(duress_bulkhead_join(&bulkhead, &owner, &seat, &why), DURESS_OK);
    assert_int_equal(seat, 7);
}

static void bad_arguments_are_named(void **state)
{
    (void)state;
    struct duress_bulkhead bulkhead = bulkhead_with(1);
    struct duress_bulkhead_options options = {.limit = DURESS_BULKHEAD_LIMIT_MAX + 1};
    struct duress_failure why;
    uint32_t seat;
    assert_int_equal(duress_bulkhead_init(NULL, NULL, &why), DURESS_E_INVALID);
    assert_int_equal(duress_bulkhead_init(&bulkhead, &options, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "bulkhead.limit: 1000001 given, allowed 1 to 1000000");
    assert_int_equal(duress_bulkhead_join(NULL, &why, &seat, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_bulkhead_join(&bulkhead, NULL, &seat, NULL), DURESS_E_INVALID);
    assert_int_equal(duress_bulkhead_join(&bulkhead, &why, NULL, NULL), DURESS_E_INVALID);
}

/* --- every story of eight events, beside a model --- */

enum event { COMES, LEAVES, GIVES_UP, LOWERS, RAISES, EVENT_COUNT };
enum { EVENTS = 8, LIMIT_LOW = 1, LIMIT_HIGH = 2 };

struct model {
    uint32_t limit;
    uint32_t running;
    uint32_t waiting;
};

static void model_settle(struct model *model)
{
    while (model->waiting > 0 && model->running < model->limit) {
        model->waiting--;
        model->running++;
    }
}

/* False where the event cannot happen now. */
static bool model_event(struct model *model, enum event event)
{
    if ((event == LEAVES && model->running == 0) || (event == GIVES_UP && model->waiting == 0))
        return false;
    model->waiting += event == COMES;
    model->waiting -= event == GIVES_UP;
    model->running -= event == LEAVES;
    if (event == LOWERS || event == RAISES)
        model->limit = event == LOWERS ? LIMIT_LOW : LIMIT_HIGH;
    model_settle(model);
    return true;
}

static void policy_event(struct duress_bulkhead *bulkhead, uint32_t seat, enum event event)
{
    uint64_t ticket;
    void *wake = NULL;
    switch (event) {
    case COMES:
        if (snapshot_of(bulkhead).waiting > 0 || !duress_bulkhead_acquire(bulkhead))
            assert_false(duress_bulkhead_wait(bulkhead, seat, &ticket, &wake));
        break;
    case LEAVES:
        wake = duress_bulkhead_release(bulkhead);
        break;
    case GIVES_UP:
        assert_true(duress_bulkhead_stop_waiting(bulkhead, seat));
        break;
    default:
        duress_bulkhead_set_limit(bulkhead, event == LOWERS ? LIMIT_LOW : LIMIT_HIGH);
        for (void *next; duress_bulkhead_offer(bulkhead, &next);)
            wake = wake != NULL ? wake : next;
    }
    assert_int_equal(duress_bulkhead_take(bulkhead, seat) > 0, wake != NULL);
}

static void every_story_agrees_with_the_model(void **state)
{
    (void)state;
    uint32_t stories = 1;
    for (int i = 0; i < EVENTS; i++)
        stories *= EVENT_COUNT;
    for (uint32_t story = 0; story < stories; story++) {
        struct duress_bulkhead bulkhead = bulkhead_with(LIMIT_HIGH);
        struct model model = {.limit = LIMIT_HIGH};
        uint32_t seat;
        assert_int_equal(duress_bulkhead_join(&bulkhead, &model, &seat, NULL), DURESS_OK);
        uint32_t left = story;
        for (int i = 0; i < EVENTS; i++, left /= EVENT_COUNT) {
            if (!model_event(&model, (enum event)(left % EVENT_COUNT)))
                break;
            policy_event(&bulkhead, seat, (enum event)(left % EVENT_COUNT));
            struct duress_bulkhead_snapshot seen = snapshot_of(&bulkhead);
            assert_int_equal(seen.limit, model.limit);
            assert_int_equal(seen.running, model.running);
            assert_int_equal(seen.waiting, model.waiting);
        }
    }
}

/* Until a queue has taken the slot that is on its way, its first caller is still the one whom it is for. */
static void a_queue_is_as_old_as_its_first_caller(void **state)
{
    (void)state;
    struct duress_bulkhead bulkhead = bulkhead_with(2);
    uint32_t seats[2];
    uint64_t tickets[3];
    void *wake;
    int owners[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(duress_bulkhead_join(&bulkhead, &owners[i], &seats[i], NULL), DURESS_OK);
        assert_true(duress_bulkhead_acquire(&bulkhead));
    }
    assert_false(duress_bulkhead_wait(&bulkhead, seats[0], &tickets[0], &wake));
    assert_ptr_equal(duress_bulkhead_release(&bulkhead), &owners[0]);
    assert_false(duress_bulkhead_wait(&bulkhead, seats[1], &tickets[1], &wake));
    assert_false(duress_bulkhead_wait(&bulkhead, seats[0], &tickets[2], &wake));
    assert_true(tickets[0] < tickets[1] && tickets[1] < tickets[2]);
    assert_int_equal(snapshot_of(&bulkhead).waiting, 2);
    assert_null(duress_bulkhead_release(&bulkhead)); /* one more for the first queue, which has been woken already */
    assert_int_equal(duress_bulkhead_take(&bulkhead, seats[0]), 2);
    assert_ptr_equal(duress_bulkhead_release(&bulkhead), &owners[1]);
    assert_int_equal(duress_bulkhead_take(&bulkhead, seats[1]), 1);
    for (int i = 0; i < 2; i++)
        assert_null(duress_bulkhead_release(&bulkhead));
    assert_int_equal(snapshot_of(&bulkhead).running, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_are_as_many_as_the_limit),
        cmocka_unit_test(a_lowered_limit_stops_nobody_and_is_kept_from_then_on),
        cmocka_unit_test(a_raised_limit_is_offered_to_those_who_wait),
        cmocka_unit_test(the_longest_wait_is_served_first),
        cmocka_unit_test(seats_are_taken_and_left),
        cmocka_unit_test(bad_arguments_are_named),
        cmocka_unit_test(every_story_agrees_with_the_model),
        cmocka_unit_test(a_queue_is_as_old_as_its_first_caller),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
