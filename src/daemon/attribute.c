/* SPDX-License-Identifier: Apache-2.0 */
#include "attribute.h"

#include <math.h>
#include <strings.h>

#include "body.h"

void duress__attributes_init(enum duress_toxic_type type, struct attributes *attributes)
{
    size_t count = 0;
    const struct duress_toxic_attribute *table = duress_toxic_type_attributes(type, &count);
    *attributes = (struct attributes){.values = {0}};
    DURESS_ASSERT(count <= ATTRIBUTES_MAX);
    for (size_t i = 0; i < count; i++)
        attributes->values[i] = table[i].value_default;
    table = duress_toxic_common_attributes(&count);
    DURESS_ASSERT(count <= COMMON_ATTRIBUTES_MAX);
    for (size_t i = 0; i < count; i++)
        attributes->common[i] = table[i].value_default;
}

/* --- reading --- */

/* A whole number of 64 bits, however it is written; a longer one has come as a real, and may have been rounded. */
static bool integer_read(const json_t *value, int64_t *integer)
{
    if (json_is_integer(value)) {
        *integer = json_integer_value(value);
        return true;
    }
    double real = json_real_value(value);
    if (!json_is_real(value) || trunc(real) != real || fabs(real) >= 0x1p63)
        return false;
    *integer = (int64_t)real;
    return true;
}

/* A share from 0 to 1, in parts per million. */
static bool fraction_read(const json_t *value, int64_t *integer)
{
    double share = json_number_value(value);
    if (!json_is_number(value) || share < 0 || share > 1)
        return false;
    *integer = (int64_t)(share * DURESS_PPM + 0.5);
    return true;
}

static bool value_read(const struct duress_toxic_attribute *attribute, const json_t *value, bool is_fraction,
                       int64_t *number, struct refusal *refusal)
{
    if (is_fraction && !fraction_read(value, number))
        return duress__body_kind_refuse(refusal, value, attribute->fraction_name, "number from 0 to 1");
    if (!is_fraction && !integer_read(value, number))
        return duress__body_kind_refuse(refusal, value, attribute->name, "int64");
    if (!attribute->is_clamped && (*number < attribute->value_min || *number > attribute->value_max))
        return duress__refuse(refusal, 400, "bad request body: %s: %lld given, %lld to %lld allowed", attribute->name,
                              (long long)*number, (long long)attribute->value_min, (long long)attribute->value_max);
    return true;
}

static bool own_merge(enum duress_toxic_type type, const json_t *given, struct attributes *merged,
                      struct refusal *refusal)
{
    size_t count = 0;
    const struct duress_toxic_attribute *table = duress_toxic_type_attributes(type, &count);
    const char *key = NULL;
    json_t *value = NULL;
    if (given == NULL || json_is_null(given) || (json_is_array(given) && json_array_size(given) == 0))
        return true;
    if (!json_is_object(given))
        return duress__body_kind_refuse(refusal, given, "attributes", "object");
    json_object_foreach((json_t *)given, key, value)
    {
        bool is_fraction = false;
        const struct duress_toxic_attribute *attribute = duress_toxic_attribute_find(type, key, &is_fraction);
        if (attribute == NULL || json_is_null(value))
            continue;
        if (!value_read(attribute, value, is_fraction, &merged->values[attribute - table], refusal))
            return false;
    }
    return true;
}

static bool common_merge(const json_t *toxic, struct attributes *merged, struct refusal *refusal)
{
    size_t count = 0;
    const struct duress_toxic_attribute *table = duress_toxic_common_attributes(&count);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)toxic, key, value)
    {
        for (size_t i = 0; i < count; i++) {
            if (strcasecmp(table[i].name, key) != 0 || json_is_null(value))
                continue;
            if (!value_read(&table[i], value, false, &merged->common[i], refusal))
                return false;
        }
    }
    return true;
}

bool duress__attributes_merge(enum duress_toxic_type type, const json_t *given, const json_t *toxic,
                              struct attributes *attributes, struct refusal *refusal)
{
    struct attributes merged = *attributes;
    if (!own_merge(type, given, &merged, refusal) || !common_merge(toxic, &merged, refusal))
        return false;
    *attributes = merged;
    return true;
}

/* --- meaning --- */

bool duress__attributes_apply(const struct attributes *attributes, struct duress_toxic *toxic, struct refusal *refusal)
{
    struct duress_failure why = {.detail = ""};
    size_t count = 0;
    const struct duress_toxic_attribute *table = duress_toxic_type_attributes(toxic->type, &count);
    int error = DURESS_OK;
    for (size_t i = 0; i < count && error == DURESS_OK; i++)
        error = duress_toxic_attribute_set(&table[i], toxic, attributes->values[i], &why);
    table = duress_toxic_common_attributes(&count);
    for (size_t i = 0; i < count && error == DURESS_OK; i++)
        error = duress_toxic_attribute_set(&table[i], toxic, attributes->common[i], &why);
    if (error == DURESS_OK)
        error = duress_toxic_check(toxic, &why);
    return error == DURESS_OK || duress__refuse(refusal, 400, "bad request body: %s", why.detail);
}

/* --- writing --- */

static void member_write(const struct duress_toxic_attribute *attribute, int64_t value, struct json_out *out)
{
    duress__json_raw(out, "\"");
    duress__json_raw(out, attribute->name);
    duress__json_raw(out, "\":");
    duress__json_integer(out, value);
}

void duress__attributes_write(enum duress_toxic_type type, const struct attributes *attributes, struct json_out *out)
{
    size_t count = 0;
    const struct duress_toxic_attribute *table = duress_toxic_type_attributes(type, &count);
    duress__json_raw(out, "{");
    for (size_t i = 0; i < count; i++) {
        duress__json_raw(out, i > 0 ? "," : "");
        member_write(&table[i], attributes->values[i], out);
    }
    duress__json_raw(out, "}");
}

void duress__attributes_write_common(const struct attributes *attributes, struct json_out *out)
{
    size_t count = 0;
    const struct duress_toxic_attribute *table = duress_toxic_common_attributes(&count);
    for (size_t i = 0; i < count; i++) {
        if (attributes->common[i] == table[i].value_default)
            continue;
        duress__json_raw(out, ",");
        member_write(&table[i], attributes->common[i], out);
    }
}
