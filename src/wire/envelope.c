/* SPDX-License-Identifier: Apache-2.0 */
#include "envelope_private.h"

#include "json_scan.h"

static const struct duress_envelope_limits limits_default = DURESS_ENVELOPE_LIMITS_DEFAULT;

static const char *const type_names[DURESS_ENVELOPE_TYPE_END] = {
    [DURESS_ENVELOPE_NONE] = "none",
    [DURESS_ENVELOPE_REQUEST] = "request",
    [DURESS_ENVELOPE_RESPONSE] = "response",
    [DURESS_ENVELOPE_ERROR] = "error",
    [DURESS_ENVELOPE_HEARTBEAT] = "heartbeat",
    [DURESS_ENVELOPE_REGISTER] = "register",
    [DURESS_ENVELOPE_UNREGISTER] = "unregister",
    [DURESS_ENVELOPE_STREAM_CHUNK] = "stream_chunk",
    [DURESS_ENVELOPE_STREAM_END] = "stream_end",
};

const char *duress_envelope_type_name(enum duress_envelope_type type)
{
    unsigned index = (unsigned)type;
    return type_names[index < DURESS_ENVELOPE_TYPE_END ? index : DURESS_ENVELOPE_NONE];
}

enum duress_envelope_type duress__envelope_type_from_name(struct duress_slice name)
{
    for (int type = DURESS_ENVELOPE_REQUEST; type < DURESS_ENVELOPE_TYPE_END; type++) {
        if (duress_slice_is(name, type_names[type]))
            return (enum duress_envelope_type)type;
    }
    return DURESS_ENVELOPE_NONE;
}

const struct duress_envelope_limits *duress__envelope_limits(const struct duress_envelope_limits *limits)
{
    return limits == NULL ? &limits_default : limits;
}

void duress__envelope_diagnose(struct duress_envelope_diagnostics *diagnostics, enum duress_envelope_defect defect,
                               size_t offset, const char *reason)
{
    if (diagnostics != NULL)
        *diagnostics = (struct duress_envelope_diagnostics){defect, offset, reason};
}

static int limit_check(const char *field, size_t given, size_t low, size_t high, struct duress_failure *failure)
{
    if (given >= low && given <= high)
        return DURESS_OK;
    if (failure != NULL)
        duress_failure_set(failure, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s is %zu, allowed are %zu to %zu", field,
                           given, low, high);
    return DURESS_E_INVALID;
}

int duress_envelope_limits_check(const struct duress_envelope_limits *limits, struct duress_failure *failure)
{
    limits = duress__envelope_limits(limits);
    int code = limit_check("envelope_bytes_max", limits->envelope_bytes_max, 64, UINT32_MAX, failure);
    if (code == DURESS_OK)
        code = limit_check("string_bytes_max", limits->string_bytes_max, 64, SIZE_MAX, failure);
    if (code == DURESS_OK)
        code = limit_check("depth_max", limits->depth_max, ENVELOPE_METADATA_DEPTH + 1, DURESS_ENVELOPE_DEPTH_MAX_MAX,
                           failure);
    if (code == DURESS_OK)
        code = limit_check("values_max", limits->values_max, 64, UINT32_MAX, failure);
    return code;
}

static bool member_skip(struct json_scan *scan, void *context, struct duress_slice key)
{
    struct json_field dropped;
    (void)context;
    (void)key;
    return duress__json_scan_value(scan, &dropped);
}

int duress__envelope_object_check(struct duress_slice text, const struct duress_envelope_limits *limits, uint32_t depth,
                                  struct duress_envelope_diagnostics *diagnostics)
{
    struct json_scan scan;
    duress__envelope_diagnose(diagnostics, DURESS_DEFECT_NONE, 0, NULL);
    duress__json_scan_init(&scan, text, limits);
    scan.depth = depth;
    scan.values_left -= ENVELOPE_VALUES_AROUND;
    if (text.length > 0 && text.data[0] != '{') {
        duress__envelope_diagnose(diagnostics, DURESS_DEFECT_FIELD, 0, "no JSON object");
        return DURESS_E_MALFORMED;
    }
    if (!duress__json_scan_peek(&scan) || !duress__json_scan_object(&scan, member_skip, NULL) ||
        !duress__json_scan_finish(&scan)) {
        duress__envelope_diagnose(diagnostics, scan.defect, (size_t)(scan.place - scan.start), scan.reason);
        return scan.code;
    }
    if (text.data[text.length - 1] != '}') {
        duress__envelope_diagnose(diagnostics, DURESS_DEFECT_FIELD, text.length, "white space after the object");
        return DURESS_E_MALFORMED;
    }
    return DURESS_OK;
}

int duress_envelope_metadata_check(struct duress_slice text, const struct duress_envelope_limits *limits,
                                   struct duress_envelope_diagnostics *diagnostics)
{
    duress__envelope_diagnose(diagnostics, DURESS_DEFECT_NONE, 0, NULL);
    if (duress_envelope_limits_check(limits, NULL) != DURESS_OK)
        return DURESS_E_INVALID;
    return duress__envelope_object_check(text, duress__envelope_limits(limits), ENVELOPE_METADATA_DEPTH, diagnostics);
}
