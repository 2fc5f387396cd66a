/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of all attributes. Order, units and defaults of Toxiproxy's types are Toxiproxy's. */
#include <duress/toxic/attribute.h>

#include <inttypes.h>
#include <string.h>

#include <duress/export.h>
#include <duress/prng.h>
#include <duress/time.h>

#define FIELD(member)                                                                                                  \
    .field_offset = offsetof(struct duress_toxic, member), .field_bytes = sizeof(((struct duress_toxic *)0)->member)

/* An attribute of Toxiproxy's own: any number is taken. */
#define CLAMPED(member, scale) FIELD(member), .field_scale = (scale), .value_max = INT64_MAX, .is_clamped = true

/* One of ours: what does not fit is refused. */
#define BOUNDED(member, scale, low, high) FIELD(member), .field_scale = (scale), .value_min = (low), .value_max = (high)

static const struct duress_toxic_attribute latency_attributes[] = {
    {.name = "latency", .unit = "ms", .summary = "delay of each chunk", CLAMPED(as.latency.latency_ns, DURESS_MS)},
    {.name = "jitter", .unit = "ms", .summary = "more or less, at random", CLAMPED(as.latency.jitter_ns, DURESS_MS)},
};
static const struct duress_toxic_attribute bandwidth_attributes[] = {
    {.name = "rate", .unit = "KB/s", .summary = "0 stalls", CLAMPED(as.bandwidth.rate_bytes_per_s, 1000)},
};
static const struct duress_toxic_attribute slow_close_attributes[] = {
    {.name = "delay", .unit = "ms", .summary = "of the end", CLAMPED(as.slow_close.delay_ns, DURESS_MS)},
};
static const struct duress_toxic_attribute timeout_attributes[] = {
    {.name = "timeout", .unit = "ms", .summary = "0 never closes", CLAMPED(as.timeout.timeout_ns, DURESS_MS)},
};
static const struct duress_toxic_attribute reset_peer_attributes[] = {
    {.name = "timeout", .unit = "ms", .summary = "from first data", CLAMPED(as.reset_peer.timeout_ns, DURESS_MS)},
};
static const struct duress_toxic_attribute slicer_attributes[] = {
    {.name = "average_size", .unit = "bytes", .summary = "0 does not slice", CLAMPED(as.slicer.average_bytes, 1)},
    {.name = "size_variation", .unit = "bytes", .summary = "more or less", CLAMPED(as.slicer.variation_bytes, 1)},
    {.name = "delay", .unit = "us", .summary = "after each piece", CLAMPED(as.slicer.delay_ns, DURESS_US)},
};
static const struct duress_toxic_attribute limit_data_attributes[] = {
    {.name = "bytes", .unit = "bytes", .summary = "let through", CLAMPED(as.limit_data.bytes_max, 1)},
};
static const struct duress_toxic_attribute corrupt_attributes[] = {
    {.name = "rate_ppm",
     .unit = "ppm",
     .summary = "chance of each byte to have a bit flipped",
     BOUNDED(as.corrupt.rate_ppm, 1, 0, DURESS_PPM)},
    {.name = "byte",
     .unit = "",
     .summary = "flip this byte of the stream, counted from 1; 0 for none",
     BOUNDED(as.corrupt.offsets[0], 1, 0, INT64_MAX),
     .is_ordinal = true},
};
static const struct duress_toxic_attribute cut_attributes[] = {
    {.name = "bytes", .unit = "bytes", .summary = "let through", BOUNDED(as.cut.after_bytes, 1, 0, INT64_MAX)},
    {.name = "fin", .unit = "", .summary = "1 ends with a FIN, 0 with an RST", BOUNDED(as.cut.how, 1, 0, 1)},
};

#define ATTRIBUTES(table) .attributes = (table), .attribute_count = sizeof(table) / sizeof(table)[0]

static const struct {
    const char *summary;
    const struct duress_toxic_attribute *attributes;
    uint8_t attribute_count;
    bool is_toxiproxys;
} types[DURESS_TOXIC_TYPE_COUNT] = {
    [DURESS_TOXIC_NOOP] = {"does nothing", .is_toxiproxys = true},
    [DURESS_TOXIC_LATENCY] = {"delays data, in order", ATTRIBUTES(latency_attributes), .is_toxiproxys = true},
    [DURESS_TOXIC_BANDWIDTH] = {"limits the rate", ATTRIBUTES(bandwidth_attributes), .is_toxiproxys = true},
    [DURESS_TOXIC_SLOW_CLOSE] = {"delays the close", ATTRIBUTES(slow_close_attributes), .is_toxiproxys = true},
    [DURESS_TOXIC_TIMEOUT] = {"drops data, then closes", ATTRIBUTES(timeout_attributes), .is_toxiproxys = true},
    [DURESS_TOXIC_RESET_PEER] = {"drops data, then resets", ATTRIBUTES(reset_peer_attributes), .is_toxiproxys = true},
    [DURESS_TOXIC_SLICER] = {"cuts data into pieces", ATTRIBUTES(slicer_attributes), .is_toxiproxys = true},
    [DURESS_TOXIC_LIMIT_DATA] = {"closes after some data", ATTRIBUTES(limit_data_attributes), .is_toxiproxys = true},
    [DURESS_TOXIC_BLACKHOLE] = {"drops data and ends, closes nothing"},
    [DURESS_TOXIC_CORRUPT] = {"flips bits", ATTRIBUTES(corrupt_attributes)},
    [DURESS_TOXIC_CUT] = {"resets after some data", ATTRIBUTES(cut_attributes)},
};

/* ---- the table ---- */

static bool type_exists(enum duress_toxic_type type)
{
    return (unsigned)type < DURESS_TOXIC_TYPE_COUNT;
}

const struct duress_toxic_attribute *duress_toxic_type_attributes(enum duress_toxic_type type, size_t *count)
{
    *count = type_exists(type) ? types[type].attribute_count : 0;
    return type_exists(type) ? types[type].attributes : NULL;
}

const char *duress_toxic_type_summary(enum duress_toxic_type type)
{
    return type_exists(type) ? types[type].summary : NULL;
}

bool duress_toxic_type_is_toxiproxys(enum duress_toxic_type type)
{
    return type_exists(type) && types[type].is_toxiproxys;
}

static char letter_lower(char letter)
{
    return letter >= 'A' && letter <= 'Z' ? (char)(letter - 'A' + 'a') : letter;
}

static bool name_equals(const char *known, const char *given)
{
    if (known == NULL)
        return false;
    while (*known != '\0' && letter_lower(*given) == *known) {
        known++;
        given++;
    }
    return *known == *given;
}

static const struct duress_toxic_attribute *table_find(const struct duress_toxic_attribute *attributes, size_t count,
                                                       const char *name, bool *is_fraction)
{
    for (size_t i = 0; i < count; i++) {
        bool is_fraction_name = name_equals(attributes[i].fraction_name, name);
        if (!is_fraction_name && !name_equals(attributes[i].name, name))
            continue;
        if (is_fraction != NULL)
            *is_fraction = is_fraction_name;
        return &attributes[i];
    }
    return NULL;
}

const struct duress_toxic_attribute *duress_toxic_attribute_find(enum duress_toxic_type type, const char *name,
                                                                 bool *is_fraction)
{
    size_t count = 0;
    const struct duress_toxic_attribute *attributes = duress_toxic_type_attributes(type, &count);
    return name != NULL ? table_find(attributes, count, name, is_fraction) : NULL;
}

/* ---- fields ---- */

static void field_write(const struct duress_toxic_attribute *attribute, struct duress_toxic *toxic, uint64_t value)
{
    unsigned char *field = (unsigned char *)toxic + attribute->field_offset;
    uint32_t half = (uint32_t)value;
    if (attribute->field_bytes == sizeof half)
        memcpy(field, &half, sizeof half);
    else
        memcpy(field, &value, sizeof value);
}

static uint64_t field_read(const struct duress_toxic_attribute *attribute, const struct duress_toxic *toxic)
{
    const unsigned char *field = (const unsigned char *)toxic + attribute->field_offset;
    uint32_t half;
    uint64_t value;
    if (attribute->field_bytes == sizeof half) {
        memcpy(&half, field, sizeof half);
        return half;
    }
    memcpy(&value, field, sizeof value);
    return value;
}

int duress_toxic_attribute_set(const struct duress_toxic_attribute *attribute, struct duress_toxic *toxic,
                               int64_t value, struct duress_failure *why)
{
    if (!attribute->is_clamped && (value < attribute->value_min || value > attribute->value_max)) {
        if (why != NULL)
            duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER,
                               "%s is %" PRId64 ", allowed is %" PRId64 " to %" PRId64, attribute->name, value,
                               attribute->value_min, attribute->value_max);
        return DURESS_E_INVALID;
    }
    if (value < attribute->value_min)
        value = attribute->value_min;
    uint64_t given = (uint64_t)value;
    if (attribute->is_ordinal) {
        toxic->as.corrupt.offset_count = given > 0;
        given = given > 0 ? given - 1 : 0;
    }
    field_write(attribute, toxic, duress_time_multiply(given, attribute->field_scale));
    return DURESS_OK;
}

int64_t duress_toxic_attribute_get(const struct duress_toxic_attribute *attribute, const struct duress_toxic *toxic)
{
    uint64_t value = field_read(attribute, toxic) / attribute->field_scale;
    if (attribute->is_ordinal)
        value = toxic->as.corrupt.offset_count > 0 ? duress_time_add(value, 1) : 0;
    return value < INT64_MAX ? (int64_t)value : INT64_MAX;
}

void duress_toxic_init(struct duress_toxic *toxic, enum duress_toxic_type type)
{
    DURESS_ASSERT(type_exists(type));
    *toxic = (struct duress_toxic){.type = type, .direction = DURESS_DOWNSTREAM, .toxicity_ppm = DURESS_PPM};
    for (size_t i = 0; i < types[type].attribute_count; i++) {
        const struct duress_toxic_attribute *attribute = &types[type].attributes[i];
        field_write(attribute, toxic, (uint64_t)attribute->value_default * attribute->field_scale);
    }
}
