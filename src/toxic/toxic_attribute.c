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

#define CHANCE(member) .unit = "ppm", BOUNDED(member, 1, 0, DURESS_PPM)
#define DURATION(member) .unit = "ms", BOUNDED(member, DURESS_MS, 0, INT64_MAX / (int64_t)DURESS_MS)

static const struct duress_toxic_attribute packet_loss_attributes[] = {
    {.name = "loss_ppm",
     .summary = "chance of a segment to be lost",
     CHANCE(as.packet_loss.loss_ppm),
     .fraction_name = "loss_rate",
     .value_default = 100000},
    {.name = "correlation_ppm",
     .summary = "added to it after a loss",
     CHANCE(as.packet_loss.correlation_ppm),
     .fraction_name = "correlation"},
    {.name = "good_to_bad_ppm", .summary = "chance to become bad", CHANCE(as.packet_loss.good_to_bad_ppm)},
    {.name = "bad_to_good_ppm", .summary = "chance to become good", CHANCE(as.packet_loss.bad_to_good_ppm)},
    {.name = "bad_loss_ppm", .summary = "chance of loss while bad", CHANCE(as.packet_loss.bad_loss_ppm)},
    {.name = "rto",
     .summary = "first retransmission timeout",
     DURATION(as.packet_loss.rto_ns),
     .value_default = DURESS_PACKET_LOSS_RTO_NS_DEFAULT / DURESS_MS},
    {.name = "segment_size",
     .unit = "bytes",
     .summary = "of a segment, at the most",
     BOUNDED(as.packet_loss.segment_bytes_max, 1, 1, UINT32_MAX),
     .value_default = DURESS_PACKET_LOSS_SEGMENT_BYTES_DEFAULT},
};
static const struct duress_toxic_attribute limit_time_attributes[] = {
    {.name = "time", .summary = "0 closes at once", DURATION(as.limit_time.time_ns)},
};
static const struct duress_toxic_attribute unplug_attributes[] = {
    {.name = "after", .summary = "how long it works", DURATION(as.unplug.after_ns)},
};
static const struct duress_toxic_attribute slow_open_attributes[] = {
    {.name = "delay", .summary = "before the dial", DURATION(as.slow_open.delay_ns)},
};
static const struct duress_toxic_attribute fail_first_attributes[] = {
    {.name = "connections",
     .unit = "",
     .summary = "how many fail",
     BOUNDED(as.fail_first.connections, 1, 0, INT64_MAX),
     .value_default = 1},
};
static const struct duress_toxic_attribute shared_bandwidth_attributes[] = {
    {.name = "rate",
     .unit = "KB/s",
     .summary = "of all together; 0 stalls",
     BOUNDED(as.shared_bandwidth.rate_bytes_per_s, 1000, 0, INT64_MAX / 1000)},
};
static const struct duress_toxic_attribute latency_normal_attributes[] = {
    {.name = "latency", .summary = "the mean", DURATION(as.latency_normal.latency_ns)},
    {.name = "deviation", .summary = "the standard deviation", DURATION(as.latency_normal.deviation_ns)},
};
static const struct duress_toxic_attribute latency_pareto_attributes[] = {
    {.name = "latency", .summary = "the least", DURATION(as.latency_pareto.latency_ns)},
    {.name = "shape_hundredths",
     .unit = "",
     .summary = "the shape times 100; less is heavier",
     BOUNDED(as.latency_pareto.shape_hundredths, 1, 1, UINT32_MAX),
     .value_default = 200},
    {.name = "limit", .summary = "the greatest; 0: no limit", DURATION(as.latency_pareto.limit_ns)},
};

#define QUANTILE(index)                                                                                                \
    .unit = "us", BOUNDED(as.latency_quantiles.quantiles_ns[index], DURESS_US, 0, INT64_MAX / (int64_t)DURESS_US)

static const struct duress_toxic_attribute latency_quantiles_attributes[] = {
    {.name = "p0_us", .summary = "the least delay", QUANTILE(0)},
    {.name = "p50_us", .summary = "the median", QUANTILE(1)},
    {.name = "p90_us", .summary = "90 % are below", QUANTILE(2)},
    {.name = "p99_us", .summary = "99 % are below", QUANTILE(3)},
    {.name = "p999_us", .summary = "99.9 % are below", QUANTILE(4)},
    {.name = "p100_us", .summary = "the greatest", QUANTILE(5)},
};

static const struct duress_toxic_attribute common_attributes[] = {
    {.name = "ttl", .summary = "removes itself so much later; 0: stays", DURATION(ttl_ns)},
    {.name = "period", .summary = "of an on/off schedule; 0: always on", DURATION(period_ns)},
    {.name = "on", .summary = "how long it acts in each period", DURATION(on_ns)},
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
    [DURESS_TOXIC_BLACKHOLE] = {.summary = "drops data and ends, closes nothing"},
    [DURESS_TOXIC_CORRUPT] = {"flips bits", ATTRIBUTES(corrupt_attributes)},
    [DURESS_TOXIC_CUT] = {"resets after some data", ATTRIBUTES(cut_attributes)},
    [DURESS_TOXIC_PACKET_LOSS] = {"loses segments, which are sent again", ATTRIBUTES(packet_loss_attributes)},
    [DURESS_TOXIC_LIMIT_TIME] = {"closes after some time", ATTRIBUTES(limit_time_attributes)},
    [DURESS_TOXIC_UNPLUG] = {"holds everything after some time", ATTRIBUTES(unplug_attributes)},
    [DURESS_TOXIC_SLOW_OPEN] = {"delays the connect", ATTRIBUTES(slow_open_attributes)},
    [DURESS_TOXIC_REFUSE] = {.summary = "resets in place of a connect"},
    [DURESS_TOXIC_FAIL_FIRST] = {"refuses the first connections", ATTRIBUTES(fail_first_attributes)},
    [DURESS_TOXIC_SHARED_BANDWIDTH] = {"limits the rate of all", ATTRIBUTES(shared_bandwidth_attributes)},
    [DURESS_TOXIC_LATENCY_NORMAL] = {"delays, normally distributed", ATTRIBUTES(latency_normal_attributes)},
    [DURESS_TOXIC_LATENCY_PARETO] = {"delays, Pareto distributed", ATTRIBUTES(latency_pareto_attributes)},
    [DURESS_TOXIC_LATENCY_QUANTILES] = {"delays, as measured", ATTRIBUTES(latency_quantiles_attributes)},
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

const struct duress_toxic_attribute *duress_toxic_common_attributes(size_t *count)
{
    *count = sizeof common_attributes / sizeof common_attributes[0];
    return common_attributes;
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
    if (attribute == NULL || toxic == NULL)
        return DURESS_E_INVALID;
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
