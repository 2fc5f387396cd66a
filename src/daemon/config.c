/* SPDX-License-Identifier: Apache-2.0 */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <duress/error.h>

#define READ_BYTES 65536

static bool fail(char *why, const char *path, const char *text)
{
    (void)snprintf(why, CONFIG_WHY_BYTES_MAX, "%.300s: %.160s", path, text);
    return false;
}

static bool descriptor_read(int fd, const char *path, struct duress_buffer *content, char *why)
{
    for (;;) {
        uint8_t *room = NULL;
        int error = duress_buffer_reserve(content, READ_BYTES, &room);
        if (error != DURESS_OK)
            return fail(why, path, duress_strerror(error));
        ssize_t count = read(fd, room, READ_BYTES);
        if (count == 0)
            return true;
        if (count < 0 && errno != EINTR)
            return fail(why, path, strerror(errno));
        duress_buffer_commit(content, count > 0 ? (size_t)count : 0);
    }
}

static bool has_end(const char *path, const char *end)
{
    size_t length = strlen(path);
    size_t tail = strlen(end);
    return length >= tail && strcmp(path + length - tail, end) == 0;
}

/* A list of proxies in JSON begins with a bracket; YAML may too, and then means the same. */
static bool is_yaml(const char *path, struct duress_slice text)
{
    if (strcmp(path, "-") != 0)
        return has_end(path, ".yaml") || has_end(path, ".yml");
    size_t i = 0;
    while (i < text.length && memchr(" \t\r\n", text.data[i], 4) != NULL)
        i++;
    return i < text.length && text.data[i] != '[' && text.data[i] != 'n';
}

/* The content's YAML becomes JSON, in its place. */
static bool content_convert(const char *path, struct duress_buffer *content, char *why)
{
    char reason[CONFIG_WHY_BYTES_MAX];
    struct duress_buffer json;
    duress_buffer_init(&json, CONFIG_BYTES_MAX, content->allocator);
    bool converted = duress__config_yaml(duress_buffer_slice(content), &json, reason);
    duress_buffer_close(content);
    if (converted)
        *content = json;
    else
        duress_buffer_close(&json);
    return converted || fail(why, path, reason);
}

bool duress__file_read(const char *path, struct duress_buffer *content, char why[CONFIG_WHY_BYTES_MAX])
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(why, path, strerror(errno));
    bool read_whole = descriptor_read(fd, path, content, why);
    (void)close(fd);
    return read_whole;
}

bool duress__config_read(const char *path, struct duress_buffer *content, char why[CONFIG_WHY_BYTES_MAX])
{
    bool read_whole = strcmp(path, "-") == 0 ? descriptor_read(STDIN_FILENO, path, content, why)
                                             : duress__file_read(path, content, why);
    if (!read_whole || !is_yaml(path, duress_buffer_slice(content)))
        return read_whole;
    return content_convert(path, content, why);
}
