/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of attributes beside the contract's own list, and hostile numbers in every one of them: each is refused or
 * clamped, and a link bears it. */
#include "link_rig.h"

#include <stdio.h>
#include <string.h>

#include <duress/toxic/attribute.h>

/* "name/unit name/unit …" of a type, as the table has it. */
static const char *type_text(enum duress_toxic_type type)
{
    static char text[512];
    size_t count = 0;
    size_t length = 0;
    const struct duress_toxic_attribute *attributes = duress_toxic_type_attributes(type, &count);
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        length += (size_t)snprintf(text + length, sizeof text - length, "%s%s/%s", i > 0 ? " " : "", attributes[i].name,
                                   attributes[i].unit);
    return text;
}

static void toxiproxys_types_have_its_attributes_in_its_order_and_units(void **unused)
{
    (void)unused;
    assert_string_equal(type_text(DURESS_TOXIC_NOOP), "");
    assert_string_equal(type_text(DURESS_TOXIC_LATENCY), "latency/ms jitter/ms");
    assert_string_equal(type_text(DURESS_TOXIC_BANDWIDTH), "rate/KB/s");
    assert_string_equal(type_text(DURESS_TOXIC_SLOW_CLOSE), "delay/ms");
    assert_string_equal(type_text(DURESS_TOXIC_TIMEOUT), "timeout/ms");
    assert_string_equal(type_text(DURESS_TOXIC_RESET_PEER), "timeout/ms");
    assert_string_equal(type_text(DURESS_TOXIC_SLICER), "average_size/bytes size_variation/bytes delay/us");
    assert_string_equal(type_text(DURESS_TOXIC_LIMIT_DATA), "bytes/bytes");
}

static void set_one(struct duress_toxic *toxic, const char *name, int64_t value)
{
    const struct duress_toxic_attribute *attribute = duress_toxic_attribute_find(toxic->type, name, NULL);
    assert_non_null(attribute);
    assert_int_equal(duress_toxic_attribute_set(attribute, toxic, value, NULL), DURESS_OK);
}

static void units_are_those_of_the_contract(void **unused)
{
    (void)unused;
    struct duress_toxic toxic;
    duress_toxic_init(&toxic, DURESS_TOXIC_LATENCY);
    set_one(&toxic, "latency", 40);
    set_one(&toxic, "JITTER", 7);
    assert_int_equal(toxic.as.latency.latency_ns, 40 * DURESS_MS);
    assert_int_equal(toxic.as.latency.jitter_ns, 7 * DURESS_MS);
    duress_toxic_init(&toxic, DURESS_TOXIC_BANDWIDTH);
    set_one(&toxic, "rate", 3);
    assert_int_equal(toxic.as.bandwidth.rate_bytes_per_s, 3000);
    duress_toxic_init(&toxic, DURESS_TOXIC_SLICER);
    set_one(&toxic, "delay", 9);
    set_one(&toxic, "average_size", 10);
    set_one(&toxic, "size_variation", 2);
    assert_int_equal(toxic.as.slicer.delay_ns, 9 * DURESS_US);
    assert_int_equal(toxic.as.slicer.average_bytes, 10);
    assert_int_equal(toxic.as.slicer.variation_bytes, 2);
}

static void toxiproxys_types_take_every_number(void **unused)
{
    (void)unused;
    struct duress_toxic toxic;
    duress_toxic_init(&toxic, DURESS_TOXIC_LATENCY);
    set_one(&toxic, "latency", -1);
    set_one(&toxic, "jitter", INT64_MIN);
    assert_int_equal(toxic.as.latency.latency_ns, 0);
    assert_int_equal(toxic.as.latency.jitter_ns, 0);
    set_one(&toxic, "latency", INT64_MAX);
    assert_int_equal(toxic.as.latency.latency_ns, DURESS_TIME_NEVER);
}

static void init_gives_a_downstream_toxic_of_the_defaults(void **unused)
{
    (void)unused;
    for (unsigned type = 0; type < DURESS_TOXIC_TYPE_COUNT; type++) {
        struct duress_toxic toxic;
        memset(&toxic, 0xa5, sizeof toxic);
        duress_toxic_init(&toxic, (enum duress_toxic_type)type);
        assert_int_equal(toxic.id, 0);
        assert_int_equal(toxic.type, type);
        assert_int_equal(toxic.direction, DURESS_DOWNSTREAM);
        assert_int_equal(toxic.toxicity_ppm, DURESS_PPM);
        assert_int_equal(duress_toxic_check(&toxic, NULL), DURESS_OK);
        size_t count = 0;
        const struct duress_toxic_attribute *attributes = duress_toxic_type_attributes(toxic.type, &count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(duress_toxic_attribute_get(&attributes[i], &toxic), attributes[i].value_default);
            if (duress_toxic_type_is_toxiproxys(toxic.type))
                assert_int_equal(attributes[i].value_default, 0);
        }
    }
}

/* A number that no other attribute of the type is given. */
static int64_t own_value(const struct duress_toxic_attribute *attributes, size_t index)
{
    int64_t value = (int64_t)index + 3;
    return value <= attributes[index].value_max ? value : attributes[index].value_max;
}

/* Each attribute comes back as it was set, and moves no other. */
static void attributes_do_not_share_a_field(void **unused)
{
    (void)unused;
    for (unsigned type = 0; type < DURESS_TOXIC_TYPE_COUNT; type++) {
        struct duress_toxic toxic;
        size_t count = 0;
        const struct duress_toxic_attribute *attributes =
            duress_toxic_type_attributes((enum duress_toxic_type)type, &count);
        duress_toxic_init(&toxic, (enum duress_toxic_type)type);
        for (size_t i = 0; i < count; i++)
            set_one(&toxic, attributes[i].name, own_value(attributes, i));
        for (size_t i = 0; i < count; i++)
            assert_int_equal(duress_toxic_attribute_get(&attributes[i], &toxic), own_value(attributes, i));
    }
}

static void names_and_summaries_are_there_and_tell_apart(void **unused)
{
    (void)unused;
    for (unsigned type = 0; type < DURESS_TOXIC_TYPE_COUNT; type++) {
        size_t count = 0;
        const struct duress_toxic_attribute *attributes =
            duress_toxic_type_attributes((enum duress_toxic_type)type, &count);
        assert_true(strlen(duress_toxic_type_summary((enum duress_toxic_type)type)) > 0);
        for (size_t i = 0; i < count; i++) {
            bool is_fraction = true;
            assert_true(strlen(attributes[i].summary) > 0);
            assert_non_null(attributes[i].unit);
            assert_ptr_equal(
                duress_toxic_attribute_find((enum duress_toxic_type)type, attributes[i].name, &is_fraction),
                &attributes[i]);
            assert_false(is_fraction);
        }
    }
}

static void unknown_names_and_types_have_nothing(void **unused)
{
    (void)unused;
    size_t count = 7;
    assert_null(duress_toxic_type_attributes(DURESS_TOXIC_TYPE_COUNT, &count));
    assert_int_equal(count, 0);
    assert_null(duress_toxic_type_summary(DURESS_TOXIC_TYPE_COUNT));
    assert_false(duress_toxic_type_is_toxiproxys(DURESS_TOXIC_TYPE_COUNT));
    assert_false(duress_toxic_type_is_toxiproxys(DURESS_TOXIC_BLACKHOLE));
    assert_true(duress_toxic_type_is_toxiproxys(DURESS_TOXIC_LIMIT_DATA));
    assert_null(duress_toxic_attribute_find(DURESS_TOXIC_LATENCY, "latenc", NULL));
    assert_null(duress_toxic_attribute_find(DURESS_TOXIC_LATENCY, "latencyy", NULL));
    assert_null(duress_toxic_attribute_find(DURESS_TOXIC_LATENCY, "", NULL));
    assert_null(duress_toxic_attribute_find(DURESS_TOXIC_LATENCY, NULL, NULL));
}

static void corrupt_counts_its_byte_from_one(void **unused)
{
    (void)unused;
    struct duress_toxic toxic;
    duress_toxic_init(&toxic, DURESS_TOXIC_CORRUPT);
    set_one(&toxic, "byte", 1);
    assert_int_equal(toxic.as.corrupt.offset_count, 1);
    assert_int_equal(toxic.as.corrupt.offsets[0], 0);
    set_one(&toxic, "byte", 0);
    assert_int_equal(toxic.as.corrupt.offset_count, 0);
}

static void our_own_types_refuse_what_is_out_of_range(void **unused)
{
    (void)unused;
    struct duress_toxic toxic;
    struct duress_failure why = {0};
    duress_toxic_init(&toxic, DURESS_TOXIC_CORRUPT);
    const struct duress_toxic_attribute *attribute = duress_toxic_attribute_find(toxic.type, "rate_ppm", NULL);
    assert_int_equal(duress_toxic_attribute_set(attribute, &toxic, 1000000, &why), DURESS_OK);
    assert_int_equal(duress_toxic_attribute_set(attribute, &toxic, 1000001, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "rate_ppm is 1000001, allowed is 0 to 1000000");
    assert_int_equal(duress_toxic_attribute_set(attribute, &toxic, -1, NULL), DURESS_E_INVALID);
    assert_int_equal(toxic.as.corrupt.rate_ppm, 1000000);
}

/* Newer Toxiproxys have packet_loss with fractions. */
static void fractions_have_names_of_their_own(void **unused)
{
    (void)unused;
    bool is_fraction = false;
    const struct duress_toxic_attribute *attribute =
        duress_toxic_attribute_find(DURESS_TOXIC_PACKET_LOSS, "Loss_Rate", &is_fraction);
    assert_true(is_fraction);
    assert_string_equal(attribute->name, "loss_ppm");
    assert_int_equal(attribute->value_default, 100000);
    assert_int_equal(attribute->value_max, DURESS_PPM);
    attribute = duress_toxic_attribute_find(DURESS_TOXIC_PACKET_LOSS, "correlation", &is_fraction);
    assert_true(is_fraction);
    assert_string_equal(attribute->name, "correlation_ppm");
    assert_non_null(duress_toxic_attribute_find(DURESS_TOXIC_PACKET_LOSS, "correlation_ppm", &is_fraction));
    assert_false(is_fraction);
}

static void common_attributes_are_in_milliseconds(void **unused)
{
    (void)unused;
    size_t count = 0;
    struct duress_toxic toxic;
    const struct duress_toxic_attribute *attributes = duress_toxic_common_attributes(&count);
    assert_int_equal(count, 3);
    duress_toxic_init(&toxic, DURESS_TOXIC_NOOP);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(attributes[i].unit, "ms");
        assert_string_equal(attributes[i].name, ((const char *[]){"ttl", "period", "on"})[i]);
        assert_int_equal(duress_toxic_attribute_get(&attributes[i], &toxic), 0);
        assert_int_equal(duress_toxic_attribute_set(&attributes[i], &toxic, 100 - (int64_t)i, NULL), DURESS_OK);
        assert_int_equal(duress_toxic_attribute_set(&attributes[i], &toxic, -1, NULL), DURESS_E_INVALID);
        assert_int_equal(duress_toxic_attribute_set(&attributes[i], &toxic, INT64_MAX, NULL), DURESS_E_INVALID);
    }
    assert_int_equal(toxic.ttl_ns, 100 * DURESS_MS);
    assert_int_equal(toxic.period_ns, 99 * DURESS_MS);
    assert_int_equal(toxic.on_ns, 98 * DURESS_MS);
    assert_int_equal(duress_toxic_check(&toxic, NULL), DURESS_OK);
}

/* docs/toxics.md has a section for each type, with a row for each attribute and nothing else that looks like one. */
static void page_of_toxics_tells_what_the_table_tells(void **unused)
{
    (void)unused;
    static char page[1 << 18];
    FILE *file = fopen(DURESS_TOXICS_PAGE, "r");
    assert_non_null(file);
    size_t length = fread(page, 1, sizeof page - 1, file);
    page[length] = '\0';
    assert_int_equal(fclose(file), 0);
    for (unsigned type = 0; type < DURESS_TOXIC_TYPE_COUNT; type++) {
        char text[256];
        (void)snprintf(text, sizeof text, "\n### %s\n", duress_toxic_type_name((enum duress_toxic_type)type));
        char *section = strstr(page, text);
        assert_non_null(section);
        char *end = strstr(section + 1, "\n### ");
        if (end != NULL)
            *end = '\0';
        size_t count = 0;
        const struct duress_toxic_attribute *attributes =
            duress_toxic_type_attributes((enum duress_toxic_type)type, &count);
        const char *place = section;
        for (size_t i = 0; i < count; i++) {
            (void)snprintf(text, sizeof text, "\n| `%s` | %s | %lld | %s |\n", attributes[i].name, attributes[i].unit,
                           (long long)attributes[i].value_default, attributes[i].summary);
            place = strstr(place, text);
            if (place == NULL)
                fail_msg("docs/toxics.md lacks, or has out of order:%s", text);
        }
        assert_null(strstr(place + 1, "\n| `"));
        if (end != NULL)
            *end = '\n';
    }
}

static const int64_t hostile_values[] = {INT64_MIN,
                                         INT64_MIN + 1,
                                         -1000000,
                                         -1,
                                         0,
                                         1,
                                         2,
                                         1000,
                                         INT32_MAX,
                                         (int64_t)UINT32_MAX + 1,
                                         INT64_MAX / 1000000,
                                         INT64_MAX / 1000000 + 1,
                                         INT64_MAX - 1,
                                         INT64_MAX};
enum { HOSTILE_COUNT = sizeof hostile_values / sizeof hostile_values[0] };

/* Data, an end, an update and a removal, around a day of time. The rig checks every invariant on the way. */
static void toxic_endure(const struct duress_toxic *toxic)
{
    struct rig rig;
    rig_open(&rig, toxic, 1);
    rig.is_hole_allowed[DURESS_DOWNSTREAM] = true;
    rig.is_change_allowed[DURESS_DOWNSTREAM] = true;
    size_t wanted = duress_link_wants(rig.link, DURESS_DOWNSTREAM);
    if (wanted > 0)
        rig_push(&rig, DURESS_DOWNSTREAM, 40);
    rig_run(&rig, 3 * DURESS_MS);
    rig_update(&rig, *toxic);
    if (duress_link_wants(rig.link, DURESS_DOWNSTREAM) > 0)
        rig_push(&rig, DURESS_DOWNSTREAM, 7);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, DURESS_S);
    rig_remove(&rig, toxic->id);
    rig_end(&rig, DURESS_UPSTREAM);
    assert_true(duress_link_is_done(rig.link));
    rig_close(&rig);
}

/* Contract 9 and acceptance 15: the reference ends its process on several of these. */
static void hostile_numbers_on_every_attribute_are_refused_or_borne(void **unused)
{
    (void)unused;
    for (unsigned type = 0; type < DURESS_TOXIC_TYPE_COUNT; type++) {
        size_t count = 0;
        const struct duress_toxic_attribute *attributes =
            duress_toxic_type_attributes((enum duress_toxic_type)type, &count);
        uint64_t program_count = 1;
        for (size_t i = 0; i < count && i < 3; i++)
            program_count *= HOSTILE_COUNT;
        for (uint64_t program = 0; program < program_count; program++) {
            struct duress_toxic toxic;
            duress_toxic_init(&toxic, (enum duress_toxic_type)type);
            toxic.id = 1;
            uint64_t digits = program;
            for (size_t i = 0; i < count; i++, digits /= HOSTILE_COUNT) {
                int64_t value = hostile_values[(digits + i / 3) % HOSTILE_COUNT];
                int error = duress_toxic_attribute_set(&attributes[i], &toxic, value, NULL);
                if (duress_toxic_type_is_toxiproxys(toxic.type))
                    assert_int_equal(error, DURESS_OK);
                if (value >= attributes[i].value_min && value <= attributes[i].value_max)
                    assert_int_equal(error, DURESS_OK);
            }
            if (duress_toxic_check(&toxic, NULL) == DURESS_OK)
                toxic_endure(&toxic);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(toxiproxys_types_have_its_attributes_in_its_order_and_units),
        cmocka_unit_test(units_are_those_of_the_contract),
        cmocka_unit_test(toxiproxys_types_take_every_number),
        cmocka_unit_test(init_gives_a_downstream_toxic_of_the_defaults),
        cmocka_unit_test(attributes_do_not_share_a_field),
        cmocka_unit_test(names_and_summaries_are_there_and_tell_apart),
        cmocka_unit_test(unknown_names_and_types_have_nothing),
        cmocka_unit_test(corrupt_counts_its_byte_from_one),
        cmocka_unit_test(our_own_types_refuse_what_is_out_of_range),
        cmocka_unit_test(fractions_have_names_of_their_own),
        cmocka_unit_test(common_attributes_are_in_milliseconds),
        cmocka_unit_test(page_of_toxics_tells_what_the_table_tells),
        cmocka_unit_test(hostile_numbers_on_every_attribute_are_refused_or_borne),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
