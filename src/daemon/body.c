/* SPDX-License-Identifier: Apache-2.0 */
#include "body.h"

#include <float.h>
#include <math.h>
#include <string.h>
#include <strings.h>

#define DETAIL_BYTES_MAX 200

/* --- parsing --- */

static bool is_blank(struct duress_slice bytes)
{
    size_t i = 0;
    while (i < bytes.length && strchr(" \t\r\n", bytes.data[i]) != NULL && bytes.data[i] != '\0')
        i++;
    return i == bytes.length;
}

/* jansson names the place where it stopped, which lies in the middle of what the client sent: for people only. */
static const char *detail_of(const json_error_t *error, struct duress_slice bytes)
{
    if (is_blank(bytes))
        return "EOF";
    if (json_error_code(error) == json_error_premature_end_of_input)
        return "unexpected EOF";
    return error->text;
}

json_t *duress__body_parse(struct duress_slice bytes, struct refusal *refusal)
{
    const size_t flags = JSON_DISABLE_EOF_CHECK | JSON_DECODE_ANY;
    json_error_t error = {.text = ""};
    const char *text = bytes.length > 0 ? (const char *)bytes.data : "";
    json_t *value = json_loadb(text, bytes.length, flags, &error);
    /* A whole number beyond 64 bits is a number: a toxicity of 1e20 is written as one, and others are ignored. */
    if (value == NULL && json_error_code(&error) == json_error_numeric_overflow)
        value = json_loadb(text, bytes.length, flags | JSON_DECODE_INT_AS_REAL, &error);
    if (value == NULL)
        (void)duress__refuse(refusal, 400, "bad request body: %.*s", DETAIL_BYTES_MAX, detail_of(&error, bytes));
    return value;
}

static const char *kind_of(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "object";
    case JSON_ARRAY:
        return "array";
    case JSON_STRING:
        return "string";
    case JSON_TRUE:
    case JSON_FALSE:
        return "bool";
    case JSON_NULL:
        return "null";
    case JSON_INTEGER:
    case JSON_REAL:
        break;
    }
    return "number";
}

bool duress__body_kind_refuse(struct refusal *refusal, const json_t *value, const char *field, const char *wanted)
{
    return duress__refuse(refusal, 400, "bad request body: json: cannot unmarshal %s into field %s of type %s",
                          kind_of(value), field, wanted);
}

/* --- fields --- */

/* Each takes |value| for |field|; the caller has seen that it is not null. */
static bool text_read(const json_t *value, const char *field, const char **text, struct refusal *refusal)
{
    if (!json_is_string(value))
        return duress__body_kind_refuse(refusal, value, field, "string");
    *text = json_string_value(value);
    return true;
}

static bool bool_read(const json_t *value, const char *field, bool *is_true, struct refusal *refusal)
{
    if (!json_is_boolean(value))
        return duress__body_kind_refuse(refusal, value, field, "bool");
    *is_true = json_is_true(value);
    return true;
}

static bool float_read(const json_t *value, const char *field, float *number, struct refusal *refusal)
{
    if (!json_is_number(value) || fabs(json_number_value(value)) > (double)FLT_MAX)
        return duress__body_kind_refuse(refusal, value, field, "float32");
    *number = (float)json_number_value(value);
    return true;
}

bool duress__body_proxy(const json_t *value, struct proxy_body *body, struct refusal *refusal)
{
    const char *key = NULL;
    json_t *field = NULL;
    bool read = true;
    if (json_is_null(value))
        return true;
    if (!json_is_object(value))
        return duress__body_kind_refuse(refusal, value, "proxy", "object");
    json_object_foreach((json_t *)value, key, field)
    {
        if (json_is_null(field))
            continue;
        if (strcasecmp(key, "name") == 0)
            read = text_read(field, "name", &body->name, refusal);
        else if (strcasecmp(key, "listen") == 0)
            read = text_read(field, "listen", &body->listen, refusal);
        else if (strcasecmp(key, "upstream") == 0)
            read = text_read(field, "upstream", &body->upstream, refusal);
        else if (strcasecmp(key, "enabled") == 0)
            read = bool_read(field, "enabled", &body->enabled, refusal);
        else if (strcasecmp(key, "toxics") == 0)
            body->toxics = field;
        if (!read)
            return false;
    }
    return true;
}

bool duress__body_toxic(const json_t *value, struct toxic_body *body, struct refusal *refusal)
{
    const char *key = NULL;
    json_t *field = NULL;
    bool read = true;
    if (json_is_null(value))
        return true;
    if (!json_is_object(value))
        return duress__body_kind_refuse(refusal, value, "toxic", "object");
    json_object_foreach((json_t *)value, key, field)
    {
        if (json_is_null(field))
            continue;
        if (strcasecmp(key, "name") == 0)
            read = text_read(field, "name", &body->name, refusal);
        else if (strcasecmp(key, "type") == 0)
            read = text_read(field, "type", &body->type, refusal);
        else if (strcasecmp(key, "stream") == 0)
            read = text_read(field, "stream", &body->stream, refusal);
        else if (strcasecmp(key, "toxicity") == 0)
            read = float_read(field, "toxicity", &body->toxicity, refusal);
        else if (strcasecmp(key, "attributes") == 0)
            body->attributes = field;
        if (!read)
            return false;
    }
    return true;
}
