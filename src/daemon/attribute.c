/* SPDX-License-Identifier: Apache-2.0 */
#include "attribute.h"

#include <math.h>
#include <strings.h>

#include <duress/time.h>

#include "body.h"

#define KILOBYTE 1000 /* Toxiproxy's */

static const char *const names[DURESS_TOXIC_TYPE_COUNT][ATTRIBUTES_MAX] = {
    [DURESS_TOXIC_LATENCY] = {"latency", "jitter"}, [DURESS_TOXIC_BANDWIDTH] = {"rate"},
    [DURESS_TOXIC_SLOW_CLOSE] = {"delay"},          [DURESS_TOXIC_TIMEOUT] = {"timeout"},
    [DURESS_TOXIC_RESET_PEER] = {"timeout"},        [DURESS_TOXIC_SLICER] = {"average_size", "size_variation", "delay"},
    [DURESS_TOXIC_LIMIT_DATA] = {"bytes"},
};

bool duress__attribute_type(const char *name, enum duress_toxic_type *type)
{
    return duress_toxic_type_from_name(name, type) && *type != DURESS_TOXIC_CORRUPT && *type != DURESS_TOXIC_CUT;
}

/* --- reading --- */

static size_t attribute_index(enum duress_toxic_type type, const char *key)
{
    size_t index = 0;
    while (index < ATTRIBUTES_MAX && (names[type][index] == NULL || strcasecmp(names[type][index], key) != 0))
        index++;
    return index;
}

/* A whole number of 64 bits, however it is written. */
static bool integer_read(const json_t *value, int64_t *integer)
{
    if (json_is_integer(value)) {
        *integer = json_integer_value(value);
        return true;
    }
    double real = json_real_value(value);
    if (!json_is_real(value) || trunc(real) != real || real < -0x1p63 || real >= 0x1p63)
        return false;
    *integer = (int64_t)real;
    return true;
}

bool duress__attributes_merge(enum duress_toxic_type type, const json_t *given, struct attributes *attributes,
                              struct refusal *refusal)
{
    struct attributes merged = *attributes;
    const char *key = NULL;
    json_t *value = NULL;
    if (given == NULL || json_is_null(given) || (json_is_array(given) && json_array_size(given) == 0))
        return true;
    if (!json_is_object(given))
        return duress__body_kind_refuse(refusal, given, "attributes", "object");
    json_object_foreach((json_t *)given, key, value)
    {
        size_t index = attribute_index(type, key);
        if (index == ATTRIBUTES_MAX || json_is_null(value))
            continue;
        if (!integer_read(value, &merged.values[index]))
            return duress__body_kind_refuse(refusal, value, names[type][index], "int64");
    }
    *attributes = merged;
    return true;
}

/* --- meaning --- */

static uint64_t scaled(int64_t value, uint64_t unit)
{
    return value <= 0 ? 0 : duress_time_multiply((uint64_t)value, unit);
}

void duress__attributes_apply(const struct attributes *attributes, struct duress_toxic *toxic)
{
    const int64_t *values = attributes->values;
    switch (toxic->type) {
    case DURESS_TOXIC_LATENCY:
        toxic->as.latency.latency_ns = scaled(values[0], DURESS_MS);
        toxic->as.latency.jitter_ns = scaled(values[1], DURESS_MS);
        break;
    case DURESS_TOXIC_BANDWIDTH:
        toxic->as.bandwidth.rate_bytes_per_s = scaled(values[0], KILOBYTE);
        break;
    case DURESS_TOXIC_SLOW_CLOSE:
        toxic->as.slow_close.delay_ns = scaled(values[0], DURESS_MS);
        break;
    case DURESS_TOXIC_TIMEOUT:
        toxic->as.timeout.timeout_ns = scaled(values[0], DURESS_MS);
        break;
    case DURESS_TOXIC_RESET_PEER:
        toxic->as.reset_peer.timeout_ns = scaled(values[0], DURESS_MS);
        break;
    case DURESS_TOXIC_SLICER:
        toxic->as.slicer.average_bytes = scaled(values[0], 1);
        toxic->as.slicer.variation_bytes = scaled(values[1], 1);
        toxic->as.slicer.delay_ns = scaled(values[2], DURESS_US);
        break;
    case DURESS_TOXIC_LIMIT_DATA:
        toxic->as.limit_data.bytes_max = scaled(values[0], 1);
        break;
    default:
        break;
    }
}

/* --- writing --- */

void duress__attributes_write(enum duress_toxic_type type, const struct attributes *attributes, struct json_out *out)
{
    duress__json_raw(out, "{");
    for (size_t i = 0; i < ATTRIBUTES_MAX && names[type][i] != NULL; i++) {
        duress__json_raw(out, i > 0 ? ",\"" : "\"");
        duress__json_raw(out, names[type][i]);
        duress__json_raw(out, "\":");
        duress__json_integer(out, attributes->values[i]);
    }
    duress__json_raw(out, "}");
}
