/* SPDX-License-Identifier: Apache-2.0 */
#include "link_rig.h"

#include <duress/toxic/link_history_private.h>

struct seen {
    uint64_t numbers[2 * DURESS_LINK_HISTORY_ENDED_COUNT_MAX];
    bool ended[2 * DURESS_LINK_HISTORY_ENDED_COUNT_MAX];
    size_t count;
};

static void see(void *context, uint64_t number, const struct duress_link_stats *stats, bool ended)
{
    struct seen *seen = context;
    assert_int_equal(stats->started_ns, number * 10);
    seen->numbers[seen->count] = number;
    seen->ended[seen->count++] = ended;
}

static struct duress_link *link_make(uint64_t started_ns)
{
    struct duress_link *link = NULL;
    struct duress_link_options options = {.seed = 1};
    assert_int_equal(duress_link_new(&options, started_ns, &link, NULL), DURESS_OK);
    return link;
}

/* The oldest ended ones are forgotten, the open ones never. */
static void only_the_oldest_ended_are_forgotten(void **state)
{
    enum { OPEN = 10, ENDED = DURESS_LINK_HISTORY_ENDED_COUNT_MAX + 500 };
    static struct seen seen;
    struct duress_link_history history;
    struct duress_link *open[OPEN];
    (void)state;
    duress__link_history_init(&history, duress_allocator_default());
    for (uint64_t number = 1; number <= OPEN; number++) {
        open[number - 1] = link_make(number * 10);
        assert_non_null(duress__link_history_add(&history, number, open[number - 1]));
    }
    for (uint64_t number = OPEN + 1; number <= OPEN + ENDED; number++) {
        struct duress_link *link = link_make(number * 10);
        struct duress_link_history_entry *entry = duress__link_history_add(&history, number, link);
        assert_non_null(entry);
        duress__link_history_end(&history, entry);
        duress_link_free(link);
    }
    duress__link_history_visit(&history, see, &seen);
    assert_int_equal(seen.count, OPEN + DURESS_LINK_HISTORY_ENDED_COUNT_MAX);
    for (size_t i = 0; i < OPEN; i++) {
        assert_int_equal(seen.numbers[i], i + 1);
        assert_false(seen.ended[i]);
    }
    for (size_t i = OPEN; i < seen.count; i++) {
        assert_int_equal(seen.numbers[i], i + 1 + 500);
        assert_true(seen.ended[i]);
    }
    duress__link_history_deinit(&history);
    for (size_t i = 0; i < OPEN; i++)
        duress_link_free(open[i]);
}

/* What ends first is forgotten first, wherever it stands: here the last, the middle and the first of the list. */
static void any_place_in_the_list_can_be_forgotten(void **state)
{
    static struct seen seen;
    struct duress_link_history history;
    struct duress_link_history_entry *entries[3];
    struct duress_link *link = link_make(0);
    (void)state;
    duress__link_history_init(&history, duress_allocator_default());
    for (uint64_t i = 0; i < 3; i++) {
        entries[i] = duress__link_history_add(&history, 0, link);
        assert_non_null(entries[i]);
    }
    duress__link_history_end(&history, entries[2]);
    duress__link_history_end(&history, entries[1]);
    duress__link_history_end(&history, entries[0]);
    for (uint64_t i = 0; i < DURESS_LINK_HISTORY_ENDED_COUNT_MAX; i++) {
        struct duress_link_history_entry *entry = duress__link_history_add(&history, 0, link);
        assert_non_null(entry);
        duress__link_history_end(&history, entry);
        assert_true(history.ended_count <= DURESS_LINK_HISTORY_ENDED_COUNT_MAX);
    }
    duress__link_history_visit(&history, see, &seen);
    assert_int_equal(seen.count, DURESS_LINK_HISTORY_ENDED_COUNT_MAX);
    duress__link_history_deinit(&history);
    assert_null(history.first);
    duress_link_free(link);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_oldest_ended_are_forgotten),
        cmocka_unit_test(any_place_in_the_list_can_be_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
