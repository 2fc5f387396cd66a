/* SPDX-License-Identifier: Apache-2.0
 *
 * YAML as JSON: mappings, sequences, and scalars by YAML 1.2's core schema (null, true, false, numbers; all else is
 * text, and so is what stands in quotes). Anchors and aliases are refused: a file of a few lines could stand for
 * gigabytes. */
#include "config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <yaml.h>

#include <duress/error.h>

#include "json_out.h"

#define DEPTH_MAX 32
#define SCALAR_BYTES_MAX 64 /* a number that is longer is text */

struct conversion {
    yaml_parser_t parser;
    struct json_out out;
    char *why;
};

static bool node_convert(struct conversion *conversion, yaml_event_t *event, unsigned depth);

static bool refuse(struct conversion *conversion, size_t line, const char *text)
{
    (void)snprintf(conversion->why, CONFIG_WHY_BYTES_MAX, "line %zu: %s", line + 1, text);
    return false;
}

static bool event_next(struct conversion *conversion, yaml_event_t *event)
{
    const yaml_parser_t *parser = &conversion->parser;
    if (yaml_parser_parse(&conversion->parser, event) == 1)
        return true;
    return refuse(conversion, parser->problem_mark.line,
                  parser->problem != NULL ? parser->problem : duress_strerror(DURESS_E_NO_MEMORY));
}

/* --- scalars --- */

static bool is_one_of(const char *text, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0)
            return true;
    return false;
}

/* As JSON writes numbers, with a sign in front and nothing missing around the point. */
static bool is_number(const char *text)
{
    const char *at = *text == '-' ? text + 1 : text;
    size_t digits = strspn(at, "0123456789");
    if (digits == 0 || (digits > 1 && *at == '0') || strlen(text) >= SCALAR_BYTES_MAX)
        return false;
    at += digits;
    if (*at == '.') {
        digits = strspn(at + 1, "0123456789");
        if (digits == 0)
            return false;
        at += 1 + digits;
    }
    if (*at == 'e' || *at == 'E') {
        at += at[1] == '+' || at[1] == '-' ? 2 : 1;
        digits = strspn(at, "0123456789");
        if (digits == 0)
            return false;
        at += digits;
    }
    return *at == '\0';
}

static void scalar_convert(struct conversion *conversion, const yaml_event_t *event)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL"};
    static const char *const yes[] = {"true", "True", "TRUE"};
    static const char *const no[] = {"false", "False", "FALSE"};
    const char *text = (const char *)event->data.scalar.value;
    struct json_out *out = &conversion->out;
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && is_one_of(text, nulls, sizeof nulls / sizeof nulls[0]))
        duress__json_raw(out, "null");
    else if (plain && is_one_of(text, yes, sizeof yes / sizeof yes[0]))
        duress__json_raw(out, "true");
    else if (plain && is_one_of(text, no, sizeof no / sizeof no[0]))
        duress__json_raw(out, "false");
    else if (plain && is_number(text))
        duress__json_raw(out, text);
    else
        duress__json_string(out, text);
}

/* --- collections --- */

static bool sequence_convert(struct conversion *conversion, unsigned depth)
{
    const char *separator = "";
    duress__json_raw(&conversion->out, "[");
    for (;;) {
        yaml_event_t event;
        if (!event_next(conversion, &event))
            return false;
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            duress__json_raw(&conversion->out, "]");
            return true;
        }
        duress__json_raw(&conversion->out, separator);
        separator = ",";
        if (!node_convert(conversion, &event, depth))
            return false;
    }
}

static bool key_convert(struct conversion *conversion, yaml_event_t *event)
{
    bool scalar = event->type == YAML_SCALAR_EVENT && event->data.scalar.anchor == NULL;
    size_t line = event->start_mark.line;
    if (scalar) {
        duress__json_string(&conversion->out, (const char *)event->data.scalar.value);
        duress__json_raw(&conversion->out, ":");
    }
    yaml_event_delete(event);
    return scalar || refuse(conversion, line, "a key that is no plain text");
}

static bool mapping_convert(struct conversion *conversion, unsigned depth)
{
    const char *separator = "";
    duress__json_raw(&conversion->out, "{");
    for (;;) {
        yaml_event_t event;
        if (!event_next(conversion, &event))
            return false;
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            duress__json_raw(&conversion->out, "}");
            return true;
        }
        duress__json_raw(&conversion->out, separator);
        separator = ",";
        if (!key_convert(conversion, &event) || !event_next(conversion, &event) ||
            !node_convert(conversion, &event, depth))
            return false;
    }
}

static bool has_anchor(const yaml_event_t *event)
{
    switch (event->type) {
    case YAML_ALIAS_EVENT:
        return true;
    case YAML_SCALAR_EVENT:
        return event->data.scalar.anchor != NULL;
    case YAML_SEQUENCE_START_EVENT:
        return event->data.sequence_start.anchor != NULL;
    case YAML_MAPPING_START_EVENT:
        return event->data.mapping_start.anchor != NULL;
    default:
        return false;
    }
}

/* Takes |event|, the node's first. */
static bool node_convert(struct conversion *conversion, yaml_event_t *event, unsigned depth)
{
    yaml_event_type_t type = event->type;
    size_t line = event->start_mark.line;
    bool anchored = has_anchor(event);
    if (type == YAML_SCALAR_EVENT && !anchored)
        scalar_convert(conversion, event);
    yaml_event_delete(event);
    if (anchored)
        return refuse(conversion, line, "anchors and aliases are not taken");
    if (depth == 0)
        return refuse(conversion, line, "nested too deeply");
    if (type == YAML_SEQUENCE_START_EVENT)
        return sequence_convert(conversion, depth - 1);
    if (type == YAML_MAPPING_START_EVENT)
        return mapping_convert(conversion, depth - 1);
    return true;
}

/* The stream's one document; an empty one is null. */
static bool document_convert(struct conversion *conversion)
{
    yaml_event_t event;
    for (;;) {
        if (!event_next(conversion, &event))
            return false;
        yaml_event_type_t type = event.type;
        if (type != YAML_STREAM_START_EVENT && type != YAML_DOCUMENT_START_EVENT)
            break;
        yaml_event_delete(&event);
    }
    if (event.type != YAML_STREAM_END_EVENT)
        return node_convert(conversion, &event, DEPTH_MAX);
    yaml_event_delete(&event);
    duress__json_raw(&conversion->out, "null");
    return true;
}

bool duress__config_yaml(struct duress_slice yaml, struct duress_buffer *json, char why[CONFIG_WHY_BYTES_MAX])
{
    struct conversion conversion = {.out = {.buffer = json}, .why = why};
    if (yaml_parser_initialize(&conversion.parser) != 1)
        return refuse(&conversion, 0, duress_strerror(DURESS_E_NO_MEMORY));
    const unsigned char *text = yaml.length > 0 ? yaml.data : (const unsigned char *)"";
    yaml_parser_set_input_string(&conversion.parser, text, yaml.length);
    bool converted = document_convert(&conversion);
    if (converted && conversion.out.error != DURESS_OK)
        converted = refuse(&conversion, 0, duress_strerror(conversion.out.error));
    yaml_parser_delete(&conversion.parser);
    return converted;
}
