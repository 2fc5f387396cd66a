/* SPDX-License-Identifier: Apache-2.0
 *
 * The list of toxics that a proxy and a simulated relay share: what is refused changes nothing, what is allowed comes
 * back as the change that each open link is to see. */
#include "link_rig.h"

#include <string.h>

#include <duress/toxic/toxic_list_private.h>

static const struct duress_toxic_moment moment = {.now_ns = 7 * DURESS_S, .connections = 42};

static struct duress_toxic latency(uint64_t id, uint64_t latency_ns)
{
    return (struct duress_toxic){
        .id = id,
        .type = DURESS_TOXIC_LATENCY,
        .direction = DURESS_DOWNSTREAM,
        .toxicity_ppm = DURESS_PPM,
        .as.latency.latency_ns = latency_ns,
    };
}

static void list_open(struct duress_toxic_list *list, uint64_t count)
{
    duress__toxic_list_init(list, duress_allocator_default());
    for (uint64_t id = 1; id <= count; id++) {
        struct duress_link_change change;
        struct duress_toxic toxic = latency(id, id * DURESS_MS);
        assert_int_equal(duress__toxic_list_add(list, &toxic, moment, &change, NULL), DURESS_OK);
    }
}

/* Asserts the ids, up to a 0. */
static void list_expect(const struct duress_toxic_list *list, const uint64_t *ids)
{
    size_t count = 0;
    for (; ids[count] != 0; count++) {
        assert_true(count < list->count);
        assert_int_equal(list->toxics[count].id, ids[count]);
    }
    assert_int_equal(list->count, count);
}

static void added_in_order_however_many(void **state)
{
    struct duress_toxic_list list;
    (void)state;
    list_open(&list, 100);
    assert_int_equal(list.count, 100);
    for (uint64_t i = 0; i < 100; i++) {
        assert_int_equal(list.toxics[i].id, i + 1);
        assert_int_equal(list.toxics[i].as.latency.latency_ns, (i + 1) * DURESS_MS);
    }
    duress__toxic_list_deinit(&list);
    assert_int_equal(list.count, 0);
}

static void add_refuses_what_is_present_or_bad(void **state)
{
    struct duress_toxic_list list;
    struct duress_link_change change;
    struct duress_failure why = {0};
    (void)state;
    list_open(&list, 2);
    struct duress_toxic again = latency(2, 0);
    assert_int_equal(duress__toxic_list_add(&list, &again, moment, &change, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "id: 2 given, an id that no other toxic has is allowed");
    struct duress_toxic bad = latency(3, 0);
    bad.type = DURESS_TOXIC_TYPE_COUNT;
    assert_int_equal(duress__toxic_list_add(&list, &bad, moment, &change, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "type"));
    assert_int_equal(duress__toxic_list_add(&list, NULL, moment, &change, &why), DURESS_E_INVALID);
    assert_int_equal(duress__toxic_list_add(&list, &again, moment, &change, NULL), DURESS_E_INVALID);
    list_expect(&list, (const uint64_t[]){1, 2, 0});
    assert_int_equal(list.toxics[1].as.latency.latency_ns, 2 * DURESS_MS);
    duress__toxic_list_deinit(&list);
}

static void update_keeps_direction_and_refuses_another_type(void **state)
{
    struct duress_toxic_list list;
    struct duress_link_change change;
    struct duress_failure why = {0};
    (void)state;
    list_open(&list, 3);
    struct duress_toxic toxic = latency(2, 70);
    toxic.direction = DURESS_UPSTREAM;
    assert_int_equal(duress__toxic_list_update(&list, &toxic, moment, &change, &why), DURESS_OK);
    assert_int_equal(change.type, DURESS_LINK_CHANGE_UPDATE);
    assert_int_equal(change.toxic.direction, DURESS_DOWNSTREAM);
    assert_int_equal(change.toxic.as.latency.latency_ns, 70);
    assert_int_equal(list.toxics[1].direction, DURESS_DOWNSTREAM);
    assert_int_equal(list.toxics[1].as.latency.latency_ns, 70);

    toxic.type = DURESS_TOXIC_NOOP;
    assert_int_equal(duress__toxic_list_update(&list, &toxic, moment, &change, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "id: 2 given, and its type cannot change");
    assert_int_equal(list.toxics[1].type, DURESS_TOXIC_LATENCY);
    toxic = latency(4, 0);
    assert_int_equal(duress__toxic_list_update(&list, &toxic, moment, &change, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "id: 4 given, the id of a toxic that was added is allowed");
    toxic.direction = DURESS_DIRECTION_COUNT;
    assert_int_equal(duress__toxic_list_update(&list, &toxic, moment, &change, NULL), DURESS_E_INVALID);
    list_expect(&list, (const uint64_t[]){1, 2, 3, 0});
    duress__toxic_list_deinit(&list);
}

static void remove_keeps_the_others_in_order(void **state)
{
    struct duress_toxic_list list;
    struct duress_link_change change;
    (void)state;
    list_open(&list, 4);
    assert_int_equal(duress__toxic_list_remove(&list, 2, moment.now_ns, &change), DURESS_OK);
    assert_int_equal(change.type, DURESS_LINK_CHANGE_REMOVE);
    assert_int_equal(change.toxic.id, 2);
    list_expect(&list, (const uint64_t[]){1, 3, 4, 0});
    assert_int_equal(duress__toxic_list_remove(&list, 2, moment.now_ns, &change), DURESS_E_INVALID);
    assert_int_equal(duress__toxic_list_remove(&list, 4, moment.now_ns, &change), DURESS_OK);
    assert_int_equal(duress__toxic_list_remove(&list, 1, moment.now_ns, &change), DURESS_OK);
    list_expect(&list, (const uint64_t[]){3, 0});
    duress__toxic_list_deinit(&list);
}

static void add_without_memory_changes_nothing(void **state)
{
    struct rig_heap heap;
    struct duress_toxic_list list;
    struct duress_link_change change;
    struct duress_failure why = {0};
    uint64_t id = 0;
    (void)state;
    rig_heap_init(&heap, 1, false); /* the second growth */
    duress__toxic_list_init(&list, &heap.base);
    for (int error = DURESS_OK; error == DURESS_OK && id < 1000;) {
        struct duress_toxic toxic = latency(++id, 0);
        error = duress__toxic_list_add(&list, &toxic, moment, &change, &why);
    }
    assert_int_equal(why.code, DURESS_E_NO_MEMORY);
    assert_int_equal(list.count, id - 1);
    struct duress_toxic toxic = latency(id, 0);
    assert_int_equal(duress__toxic_list_add(&list, &toxic, moment, &change, &why), DURESS_OK);
    assert_int_equal(list.toxics[0].id, 1);
    assert_int_equal(list.toxics[id - 1].id, id);
    duress__toxic_list_deinit(&list);
    assert_int_equal(heap.live_count, 0);
}

/* Each kind of change reaches the link it is made to. */
static void changes_reach_a_link(void **state)
{
    struct duress_toxic_list list;
    struct duress_link_change change;
    struct duress_link *link = NULL;
    (void)state;
    list_open(&list, 0);
    assert_int_equal(duress_link_new(&(struct duress_link_options){.seed = 1}, 0, &link, NULL), DURESS_OK);
    duress_link_dialed(link, DURESS_OK, 0);

    struct duress_toxic toxic = latency(1, 10 * DURESS_MS);
    assert_int_equal(duress__toxic_list_add(&list, &toxic, moment, &change, NULL), DURESS_OK);
    assert_int_equal(duress__link_change(link, &change, 0), DURESS_OK);
    assert_int_equal(duress__link_change(link, &change, 0), DURESS_E_INVALID); /* it has it */
    assert_int_equal(duress_link_push(link, DURESS_DOWNSTREAM, (struct duress_slice){(const uint8_t *)"x", 1}, 0),
                     DURESS_OK);
    assert_int_equal(duress_link_next_ns(link), 10 * DURESS_MS);

    toxic.as.latency.latency_ns = 30 * DURESS_MS;
    assert_int_equal(duress__toxic_list_update(&list, &toxic, moment, &change, NULL), DURESS_OK);
    assert_int_equal(duress__link_change(link, &change, 0), DURESS_OK);
    assert_int_equal(duress_link_pending(link, DURESS_DOWNSTREAM, 0).length, 1); /* the one in hand goes */
    duress_link_written(link, DURESS_DOWNSTREAM, 1, 0);
    assert_int_equal(duress_link_push(link, DURESS_DOWNSTREAM, (struct duress_slice){(const uint8_t *)"y", 1}, 0),
                     DURESS_OK);
    assert_int_equal(duress_link_next_ns(link), 30 * DURESS_MS);

    assert_int_equal(duress__toxic_list_remove(&list, 1, moment.now_ns, &change), DURESS_OK);
    assert_int_equal(duress__link_change(link, &change, 0), DURESS_OK);
    assert_int_equal(duress_link_pending(link, DURESS_DOWNSTREAM, 0).length, 1);
    assert_int_equal(duress__link_change(link, &change, 0), DURESS_E_INVALID); /* it has it not */
    duress_link_free(link);
    duress__toxic_list_deinit(&list);
}

/* What the owner of a list is to set is set, whatever was given, and stays where it must. */
static void moments_are_filled_in(void **state)
{
    (void)state;
    struct duress_toxic_list list;
    struct duress_link_change change;
    struct duress_toxic_moment later = {.now_ns = 9 * DURESS_S, .connections = 50};
    struct duress_toxic toxic = toxic_fail_first(1, 3);
    toxic.since_ns = 1;
    toxic.as.fail_first.after_connection = 1;
    duress__toxic_list_init(&list, duress_allocator_default());
    assert_int_equal(duress__toxic_list_add(&list, &toxic, moment, &change, NULL), DURESS_OK);
    assert_int_equal(change.toxic.since_ns, 7 * DURESS_S);
    assert_int_equal(change.toxic.as.fail_first.after_connection, 42);
    assert_int_equal(list.toxics[0].as.fail_first.after_connection, 42);
    toxic.as.fail_first.connections = 4;
    assert_int_equal(duress__toxic_list_update(&list, &toxic, later, &change, NULL), DURESS_OK);
    assert_int_equal(change.toxic.since_ns, 9 * DURESS_S);
    assert_int_equal(change.toxic.as.fail_first.after_connection, 42);
    assert_int_equal(change.toxic.as.fail_first.connections, 4);
    duress__toxic_list_deinit(&list);
}

static void id_of_an_expired_toxic_is_free(void **state)
{
    (void)state;
    struct duress_toxic_list list;
    struct duress_link_change change;
    struct duress_toxic toxic = latency(1, DURESS_MS);
    toxic.ttl_ns = DURESS_S;
    duress__toxic_list_init(&list, duress_allocator_default());
    assert_int_equal(duress__toxic_list_add(&list, &toxic, moment, &change, NULL), DURESS_OK);
    assert_int_equal(duress__toxic_list_add(&list, &toxic, moment, &change, NULL), DURESS_E_INVALID);
    struct duress_toxic_moment later = {.now_ns = 8 * DURESS_S};
    assert_int_equal(duress__toxic_list_add(&list, &toxic, later, &change, NULL), DURESS_OK);
    list_expect(&list, (const uint64_t[]){1, 0});
    duress__toxic_list_deinit(&list);
}

static void expired_toxics_are_forgotten(void **state)
{
    (void)state;
    struct duress_toxic_list list;
    struct duress_link_change change;
    struct duress_toxic toxic = latency(2, DURESS_MS);
    list_open(&list, 1);
    toxic.ttl_ns = DURESS_S;
    assert_int_equal(duress__toxic_list_add(&list, &toxic, moment, &change, NULL), DURESS_OK);
    toxic = latency(3, DURESS_MS);
    assert_int_equal(duress__toxic_list_add(&list, &toxic, moment, &change, NULL), DURESS_OK);
    duress__toxic_list_expire(&list, 8 * DURESS_S - 1);
    list_expect(&list, (const uint64_t[]){1, 2, 3, 0});
    struct duress_toxic_moment later = {.now_ns = 8 * DURESS_S};
    toxic = latency(2, 5 * DURESS_MS);
    assert_int_equal(duress__toxic_list_update(&list, &toxic, later, &change, NULL), DURESS_E_INVALID);
    list_expect(&list, (const uint64_t[]){1, 3, 0});
    assert_int_equal(duress__toxic_list_remove(&list, 2, later.now_ns, &change), DURESS_E_INVALID);
    assert_int_equal(duress__toxic_list_add(&list, &toxic, later, &change, NULL), DURESS_OK);
    list_expect(&list, (const uint64_t[]){1, 3, 2, 0});
    duress__toxic_list_deinit(&list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(added_in_order_however_many),
        cmocka_unit_test(add_refuses_what_is_present_or_bad),
        cmocka_unit_test(update_keeps_direction_and_refuses_another_type),
        cmocka_unit_test(remove_keeps_the_others_in_order),
        cmocka_unit_test(add_without_memory_changes_nothing),
        cmocka_unit_test(changes_reach_a_link),
        cmocka_unit_test(moments_are_filled_in),
        cmocka_unit_test(id_of_an_expired_toxic_is_free),
        cmocka_unit_test(expired_toxics_are_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
