/* SPDX-License-Identifier: Apache-2.0
 *
 * Goal: in every ordering of what two and three callers of a bulkhead do, slots never exceed the limit and never leak,
 * nobody waits in vain or beside a free slot, and no queue is woken for nothing. Method: as test_policy_explored.c. */
#include "policy_test.h"

#include <duress/policy/bulkhead.h>

#include "explore.h"

#define OWN(explore, type, index) ((const type *)(explore)->own[index])

/* What a caller of the bulkhead is about to do. Each that may wait sits at a queue of its own. */
enum guest_plan {
    GUEST_RUNS,      /* comes, runs or waits; runs to its end */
    GUEST_QUEUES,    /* comes in vain, and waits; runs on where it got a slot */
    GUEST_GIVES_UP,  /* comes; where it has to wait it gives up */
    GUEST_HOLDS,     /* has a slot from the beginning, and gives it back */
    GUEST_HOLDS_TWO, /* the same, twice */
    GUEST_RAISES,    /* raises the limit to 2 */
    GUEST_LOWERS,    /* lowers the limit to 1, and raises it to 2 again */
};

struct guest {
    enum guest_plan plan;
    uint32_t seat;
    bool running;
    bool waiting;
    bool owed;                                 /* gave up too late: a slot is on its way */
    uint32_t wakes_count[EXPLORE_CALLERS_MAX]; /* the callers that this one was told to wake */
};

/* Owners are one more than the number of the caller. */
static void *owner_of(int caller)
{
    return (void *)((uintptr_t)caller + 1);
}

static void guest_wakes(struct guest *guest, const void *owner)
{
    if (owner != NULL)
        guest->wakes_count[(uintptr_t)owner - 1]++;
}

static void guest_leaves(struct guest *guest, struct duress_bulkhead *bulkhead)
{
    guest->running = false;
    guest_wakes(guest, duress_bulkhead_release(bulkhead));
}

static void guest_sets_limit(struct guest *guest, struct duress_bulkhead *bulkhead)
{
    void *owner;
    if (guest->plan == GUEST_LOWERS)
        duress_bulkhead_set_limit(bulkhead, 1);
    duress_bulkhead_set_limit(bulkhead, 2);
    while (duress_bulkhead_offer(bulkhead, &owner))
        guest_wakes(guest, owner);
}

static void guest_run(void *shared, void *own)
{
    struct guest *guest = own;
    struct duress_bulkhead *bulkhead = shared;
    uint64_t ticket;
    void *owner;
    if (guest->plan == GUEST_RAISES || guest->plan == GUEST_LOWERS) {
        guest_sets_limit(guest, bulkhead);
        return;
    }
    if (guest->plan == GUEST_HOLDS_TWO)
        guest_wakes(guest, duress_bulkhead_release(bulkhead));
    if (guest->plan != GUEST_HOLDS && guest->plan != GUEST_HOLDS_TWO) {
        guest->running = guest->plan != GUEST_QUEUES && duress_bulkhead_acquire(bulkhead);
        if (!guest->running) {
            guest->running = duress_bulkhead_wait(bulkhead, guest->seat, &ticket, &owner);
            guest->waiting = !guest->running;
            guest_wakes(guest, owner);
        }
    }
    if (guest->running && guest->plan != GUEST_QUEUES)
        guest_leaves(guest, bulkhead);
    if (!guest->waiting || guest->plan != GUEST_GIVES_UP)
        return;
    guest->waiting = false;
    guest->owed = !duress_bulkhead_stop_waiting(bulkhead, guest->seat);
}

static uint32_t guests_running(const struct explore *explore)
{
    uint32_t running = 0;
    for (int i = 0; i < explore->caller_count; i++)
        running += OWN(explore, struct guest, i)->running;
    return running;
}

/* All callers have returned: wakes the queues that were to be woken, until nothing more happens. */
static void guests_serve(const struct explore *explore, struct guest *after)
{
    struct duress_bulkhead *bulkhead = explore->shared;
    for (int i = 0; i < explore->caller_count; i++)
        after[i] = *OWN(explore, struct guest, i);
    for (int i = 0; i < explore->caller_count; i++)
        if (after[i].running)
            guest_leaves(&after[i], bulkhead);
    for (bool woken = true; woken;) {
        woken = false;
        for (int by = 0; by < explore->caller_count; by++) {
            for (int to = 0; to < explore->caller_count; to++) {
                if (after[by].wakes_count[to] == 0)
                    continue;
                woken = true;
                after[by].wakes_count[to]--;
                uint32_t slots = duress_bulkhead_take(bulkhead, after[to].seat);
                EXPLORE_CHECK(slots == 1); /* each queue has one caller, and is not woken for nothing */
                EXPLORE_CHECK(after[to].waiting != after[to].owed);
                after[to].waiting = after[to].owed = false;
                guest_leaves(&after[to], bulkhead);
            }
        }
    }
}

static uint32_t guests_limit; /* the highest that holds at any time */

static void slots_stay_within_the_limit(const struct explore *explore, bool ended)
{
    struct duress_bulkhead_snapshot seen;
    struct guest after[EXPLORE_CALLERS_MAX];
    duress_bulkhead_snapshot(explore->shared, &seen);
    EXPLORE_CHECK(guests_running(explore) <= guests_limit);
    EXPLORE_CHECK(guests_running(explore) <= seen.running);
    EXPLORE_CHECK(seen.running <= guests_limit);
    if (!ended)
        return;
    EXPLORE_CHECK(seen.running == seen.limit || seen.waiting == 0); /* nobody waits beside a free slot */
    guests_serve(explore, after);
    for (int i = 0; i < explore->caller_count; i++)
        EXPLORE_CHECK(!after[i].waiting && !after[i].owed); /* nobody waits in vain */
    duress_bulkhead_snapshot(explore->shared, &seen);
    EXPLORE_CHECK(seen.running == 0);
    EXPLORE_CHECK(seen.waiting == 0);
}

static void explore_bulkhead(const char *name, uint32_t limit, int count, const enum guest_plan *plans)
{
    struct duress_bulkhead bulkhead;
    struct duress_bulkhead_options options = {.limit = limit};
    struct guest guests[EXPLORE_CALLERS_MAX];
    assert_int_equal(duress_bulkhead_init(&bulkhead, &options, NULL), DURESS_OK);
    struct explore explore = {
        .name = name,
        .shared = &bulkhead,
        .shared_bytes = offsetof(struct duress_bulkhead, seats[EXPLORE_CALLERS_MAX]),
        .caller_count = count,
        .own_bytes = sizeof guests[0],
        .check = slots_stay_within_the_limit,
    };
    guests_limit = limit;
    for (int i = 0; i < count; i++) {
        bool holds = plans[i] == GUEST_HOLDS || plans[i] == GUEST_HOLDS_TWO;
        guests[i] = (struct guest){.plan = plans[i], .running = holds};
        if (plans[i] == GUEST_RUNS || plans[i] == GUEST_QUEUES || plans[i] == GUEST_GIVES_UP)
            assert_int_equal(duress_bulkhead_join(&bulkhead, owner_of(i), &guests[i].seat, NULL), DURESS_OK);
        if (holds)
            assert_true(duress_bulkhead_acquire(&bulkhead));
        if (plans[i] == GUEST_HOLDS_TWO)
            assert_true(duress_bulkhead_acquire(&bulkhead));
        if (plans[i] == GUEST_RAISES || plans[i] == GUEST_LOWERS)
            guests_limit = 2;
        explore.callers[i] = guest_run;
        explore.own[i] = &guests[i];
    }
    assert_true(explore_run(&explore).orderings > 100);
}

static void slots_never_exceed_the_limit_nor_leak(void **state)
{
    (void)state;
    static const enum guest_plan two[] = {GUEST_RUNS, GUEST_RUNS};
    static const enum guest_plan three[] = {GUEST_HOLDS, GUEST_HOLDS, GUEST_RUNS};
    static const enum guest_plan queues[] = {GUEST_HOLDS, GUEST_RUNS, GUEST_RUNS};
    explore_bulkhead("two callers, one slot", 1, 2, two);
    explore_bulkhead("three callers, two slots", 2, 3, three);
    explore_bulkhead("three callers, one slot", 1, 3, queues);
}

static void no_wake_up_is_lost_where_callers_give_up(void **state)
{
    (void)state;
    static const enum guest_plan one[] = {GUEST_HOLDS, GUEST_GIVES_UP};
    static const enum guest_plan both[] = {GUEST_GIVES_UP, GUEST_GIVES_UP};
    static const enum guest_plan some[] = {GUEST_HOLDS, GUEST_GIVES_UP, GUEST_RUNS};
    explore_bulkhead("a caller gives up", 1, 2, one);
    explore_bulkhead("two give up", 1, 2, both);
    explore_bulkhead("one gives up, one waits", 1, 3, some);
}

/* One of two slots is handed to the first, the other one is free: it takes that as well, and must give it on. */
static void a_slot_too_many_goes_to_the_next(void **state)
{
    (void)state;
    static const enum guest_plan plans[] = {GUEST_HOLDS_TWO, GUEST_QUEUES, GUEST_QUEUES};
    explore_bulkhead("two slots come back, two wait", 2, 3, plans);
}

static void one_queue_is_woken_once(const struct explore *explore, bool ended)
{
    if (!ended)
        return;
    uint32_t wakes = OWN(explore, struct guest, 0)->wakes_count[0] + OWN(explore, struct guest, 1)->wakes_count[0];
    EXPLORE_CHECK(wakes == 1);
    EXPLORE_CHECK(duress_bulkhead_take(explore->shared, 0) == 2);
}

static void a_queue_of_two_is_woken_once_for_both(void **state)
{
    (void)state;
    struct duress_bulkhead bulkhead;
    struct duress_bulkhead_options options = {.limit = 2};
    struct guest guests[2] = {{.plan = GUEST_HOLDS, .running = true}, {.plan = GUEST_HOLDS, .running = true}};
    uint32_t seat;
    assert_int_equal(duress_bulkhead_init(&bulkhead, &options, NULL), DURESS_OK);
    assert_int_equal(duress_bulkhead_join(&bulkhead, owner_of(0), &seat, NULL), DURESS_OK);
    for (int i = 0; i < 2; i++)
        assert_true(duress_bulkhead_acquire(&bulkhead));
    for (int i = 0; i < 2; i++) {
        uint64_t ticket;
        void *owner;
        assert_false(duress_bulkhead_wait(&bulkhead, seat, &ticket, &owner));
        assert_null(owner);
    }
    struct explore explore = {
        .name = "two slots come back to one queue",
        .shared = &bulkhead,
        .shared_bytes = offsetof(struct duress_bulkhead, seats[1]),
        .caller_count = 2,
        .callers = {guest_run, guest_run},
        .own = {&guests[0], &guests[1]},
        .own_bytes = sizeof guests[0],
        .check = one_queue_is_woken_once,
    };
    assert_true(explore_run(&explore).orderings > 100);
}

static void the_limit_may_change_meanwhile(void **state)
{
    (void)state;
    static const enum guest_plan lowers[] = {GUEST_LOWERS, GUEST_RUNS};
    static const enum guest_plan raises[] = {GUEST_RAISES, GUEST_HOLDS, GUEST_RUNS};
    explore_bulkhead("the limit is lowered and raised", 2, 2, lowers);
    explore_bulkhead("the limit is raised, a slot comes back", 1, 3, raises);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_never_exceed_the_limit_nor_leak),
        cmocka_unit_test(no_wake_up_is_lost_where_callers_give_up),
        cmocka_unit_test(a_slot_too_many_goes_to_the_next),
        cmocka_unit_test(a_queue_of_two_is_woken_once_for_both),
        cmocka_unit_test(the_limit_may_change_meanwhile),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
