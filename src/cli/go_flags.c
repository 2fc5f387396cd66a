/* SPDX-License-Identifier: Apache-2.0 */
#include "go_flags.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *kind_word(enum go_flag_kind kind)
{
    switch (kind) {
    case GO_FLAG_SWITCH:
        return "";
    case GO_FLAG_INTEGER:
        return " int";
    case GO_FLAG_TEXT:
    case GO_FLAG_TEXTS:
        break;
    }
    return " string";
}

void go_flags_usage(const char *program, const struct go_flag *flags, size_t flag_count)
{
    (void)fprintf(stderr, "Usage of %s:\n", program);
    for (size_t i = 0; i < flag_count; i++)
        (void)fprintf(stderr, "  -%s%s\n    \t%s\n", flags[i].name, kind_word(flags[i].kind), flags[i].usage);
}

bool go_flag_given(const struct go_flag *flags, size_t flag_count, const void *value)
{
    for (size_t i = 0; i < flag_count; i++)
        if (flags[i].value == value && flags[i].given)
            return true;
    return false;
}

static struct go_flag *flag_find(struct go_flag *flags, size_t flag_count, const char *name, size_t length)
{
    for (size_t i = 0; i < flag_count; i++)
        if (strlen(flags[i].name) == length && strncmp(flags[i].name, name, length) == 0)
            return &flags[i];
    return NULL;
}

static bool switch_read(const char *text, bool *value)
{
    static const char *const yes[] = {"1", "t", "T", "true", "TRUE", "True"};
    static const char *const no[] = {"0", "f", "F", "false", "FALSE", "False"};
    for (size_t i = 0; i < sizeof yes / sizeof yes[0]; i++) {
        *value = strcmp(text, yes[i]) == 0;
        if (*value || strcmp(text, no[i]) == 0)
            return true;
    }
    return false;
}

static bool integer_read(const char *text, int64_t *value)
{
    char *end = NULL;
    const char *digits = *text == '-' || *text == '+' ? text + 1 : text;
    int base = 0;
    if (strncmp(digits, "0b", 2) == 0 || strncmp(digits, "0o", 2) == 0)
        return false;
    errno = 0;
    long long number = strtoll(text, &end, base);
    *value = number;
    return errno == 0 && *digits >= '0' && *digits <= '9' && *end == '\0';
}

static bool value_set(struct go_flag *flag, const char *text)
{
    flag->given = true;
    switch (flag->kind) {
    case GO_FLAG_SWITCH:
        return switch_read(text, flag->value);
    case GO_FLAG_INTEGER:
        return integer_read(text, flag->value);
    case GO_FLAG_TEXT:
        *(const char **)flag->value = text;
        return true;
    case GO_FLAG_TEXTS:
        break;
    }
    struct go_flag_texts *texts = flag->value;
    if (texts->count == GO_FLAG_TEXTS_MAX)
        return false;
    texts->texts[texts->count++] = text;
    return true;
}

/* The flag at |argv|[*at], with its value, which may be the next word. False with the message printed. */
static bool flag_take(struct go_flag *flags, size_t flag_count, int argc, char **argv, int *at)
{
    const char *word = argv[*at];
    const char *name = word[1] == '-' ? word + 2 : word + 1;
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    struct go_flag *flag = flag_find(flags, flag_count, name, length);
    if (length == 0 || *name == '-') {
        (void)fprintf(stderr, "bad flag syntax: %s\n", word);
        return false;
    }
    if (flag == NULL) {
        (void)fprintf(stderr, "flag provided but not defined: -%.*s\n", (int)length, name);
        return false;
    }
    if (value == NULL && flag->kind == GO_FLAG_SWITCH)
        value = "true";
    else if (value == NULL && *at + 1 < argc)
        value = argv[++*at];
    if (value == NULL)
        (void)fprintf(stderr, "flag needs an argument: -%s\n", flag->name);
    else if (!value_set(flag, value))
        (void)fprintf(stderr, "invalid value \"%s\" for flag -%s: parse error\n", value, flag->name);
    else
        return true;
    return false;
}

static bool is_help(const struct go_flag *flags, size_t flag_count, const char *word)
{
    const char *name = word[1] == '-' ? word + 2 : word + 1;
    bool help = strcmp(name, "h") == 0 || strcmp(name, "help") == 0;
    for (size_t i = 0; i < flag_count; i++)
        help = help && strcmp(flags[i].name, name) != 0;
    return help;
}

enum go_flags_result go_flags_read(struct go_flag *flags, size_t flag_count, int argc, char **argv, int *rest)
{
    int at = 1;
    for (; at < argc && argv[at][0] == '-' && argv[at][1] != '\0'; at++) {
        if (strcmp(argv[at], "--") == 0) {
            at++;
            break;
        }
        if (is_help(flags, flag_count, argv[at]))
            return GO_FLAGS_HELP;
        if (!flag_take(flags, flag_count, argc, argv, &at))
            return GO_FLAGS_BAD;
    }
    *rest = at;
    return GO_FLAGS_READ;
}
