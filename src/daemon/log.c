/* SPDX-License-Identifier: Apache-2.0 */
#include "log.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>
#include <unistd.h>

#include "registry.h"

#define LEVEL_NUMBER_TRACE (-1)

static const char *const level_names[] = {"trace", "debug", "info", "warn", "error", "fatal", "panic", "disabled"};

bool duress_daemon_log_level(const char *text, enum duress_daemon_log_level *level)
{
    char *end = NULL;
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcasecmp(text, level_names[i]) != 0)
            continue;
        *level = (enum duress_daemon_log_level)i;
        return true;
    }
    long number = strtol(text, &end, 10);
    if (end == text || *end != '\0' || number > SCHAR_MAX || number < SCHAR_MIN)
        return false;
    number -= LEVEL_NUMBER_TRACE;
    if (number < DURESS_DAEMON_LOG_TRACE)
        number = DURESS_DAEMON_LOG_TRACE;
    *level = number > DURESS_DAEMON_LOG_DISABLED ? DURESS_DAEMON_LOG_DISABLED : (enum duress_daemon_log_level)number;
    return true;
}

void duress__log_init(struct log *log, int fd, enum duress_daemon_log_level level, bool is_text,
                      const struct duress_allocator *allocator)
{
    *log = (struct log){.fd = fd, .level = level, .is_text = is_text};
    /* What a pipe takes whole or not at all. */
    duress_buffer_init(&log->line, PIPE_BUF, allocator);
    duress_buffer_init(&log->pairs, PIPE_BUF, allocator);
}

void duress__log_deinit(struct log *log)
{
    duress_buffer_close(&log->line);
    duress_buffer_close(&log->pairs);
}

/* --- a line --- */

/* Whether all of it is ASCII that can stand without quotes, in one line. */
static bool is_bare(const char *text, const char *not_allowed)
{
    for (const char *at = text; *at != '\0'; at++) {
        unsigned char byte = (unsigned char)*at;
        if (byte < ' ' || byte > '~' || strchr(not_allowed, byte) != NULL)
            return false;
    }
    return true;
}

static void text_write(struct json_out *out, const char *text, const char *not_allowed)
{
    if (is_bare(text, not_allowed) && *text != '\0')
        duress__json_raw(out, text);
    else
        duress__json_string(out, text);
}

static void key_write(struct log *log, const char *key)
{
    const char *const parts[] = {log->is_text ? " " : ",\"", key, log->is_text ? "=" : "\":"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        duress__json_raw(&log->out, parts[i]);
}

bool duress__log_begin(struct log *log, enum duress_daemon_log_level level)
{
    if (level < log->level || level >= DURESS_DAEMON_LOG_DISABLED)
        return false;
    duress_buffer_clear(&log->line);
    duress_buffer_clear(&log->pairs);
    log->line_level = level;
    log->out = (struct json_out){.buffer = log->is_text ? &log->pairs : &log->line};
    if (log->is_text)
        return true;
    duress__json_raw(&log->out, "{");
    duress__json_member(&log->out, "level", level_names[level]);
    return true;
}

void duress__log_string(struct log *log, const char *key, const char *value)
{
    key_write(log, key);
    if (log->is_text)
        text_write(&log->out, value, " =\"");
    else
        duress__json_string(&log->out, value);
}

void duress__log_integer(struct log *log, const char *key, int64_t value)
{
    key_write(log, key);
    duress__json_integer(&log->out, value);
}

static void line_write(struct log *log)
{
    struct duress_slice line = duress_buffer_slice(&log->line);
    struct pollfd ready = {.fd = log->fd, .events = POLLOUT};
    ssize_t written = -1;
    /* A pipe that is ready takes PIPE_BUF bytes; a file always does. */
    if (poll(&ready, 1, 0) == 1 && (ready.revents & POLLOUT) != 0) {
        do {
            written = write(log->fd, line.data, line.length);
        } while (written < 0 && errno == EINTR);
    }
    if (written != (ssize_t)line.length)
        log->lost_count++;
}

static void text_end(struct log *log, const char *time, const char *message)
{
    log->out.buffer = &log->line;
    const char *const head[] = {time, " ", level_names[log->line_level], *message != '\0' ? " " : ""};
    for (size_t i = 0; i < sizeof head / sizeof head[0]; i++)
        duress__json_raw(&log->out, head[i]);
    if (*message != '\0')
        text_write(&log->out, message, "");
    if (log->out.error == DURESS_OK)
        log->out.error = duress_buffer_append(&log->line, duress_buffer_slice(&log->pairs));
    duress__json_raw(&log->out, "\n");
}

void duress__log_end(struct log *log, const char *caller, const char *message)
{
    char text[32] = "";
    struct timespec now;
    struct tm parts;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &parts) != NULL)
        (void)strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
    duress__log_string(log, "caller", caller);
    if (log->is_text) {
        text_end(log, text, message);
    } else {
        duress__log_string(log, "time", text);
        duress__log_string(log, "message", message);
        duress__json_raw(&log->out, "}\n");
    }
    if (log->out.error == DURESS_OK)
        line_write(log);
    else
        log->lost_count++;
}

void duress__log_line(struct log *log, enum duress_daemon_log_level level, const char *error, const char *caller,
                      const char *message)
{
    if (!duress__log_begin(log, level))
        return;
    if (error != NULL)
        duress__log_string(log, "error", error);
    duress__log_end(log, caller, message);
}

void duress__log_about(struct log *log, enum duress_daemon_log_level level, const struct proxy_entry *proxy,
                       const char *caller, const char *message)
{
    if (!duress__log_begin(log, level))
        return;
    duress__log_string(log, "name", proxy->name);
    duress__log_string(log, "listen", proxy->listen);
    duress__log_string(log, "upstream", proxy->upstream);
    duress__log_end(log, caller, message);
}
