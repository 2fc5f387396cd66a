/* SPDX-License-Identifier: Apache-2.0
 *
 * The log: a line for each event on a descriptor, of JSON with the keys that Toxiproxy's lines have, or of text for
 * people: time, level, message and then key=value. A reader that stalls loses lines; it never stalls the daemon.
 * Private to daemon/. */
#ifndef DURESS_DAEMON_LOG_H
#define DURESS_DAEMON_LOG_H

#include <stdbool.h>
#include <stdint.h>

#include <duress/daemon/daemon.h>
#include <duress/wire/buffer.h>

#include "json_out.h"

struct proxy_entry;

struct log {
    int fd;
    enum duress_daemon_log_level level; /* and above are written */
    bool is_text;
    struct duress_buffer line;
    struct duress_buffer pairs; /* of text: they come behind the message, which is known last */
    uint64_t lost_count;        /* lines that the reader did not take */
    struct json_out out;        /* of the line at hand */
    enum duress_daemon_log_level line_level;
};

void duress__log_init(struct log *log, int fd, enum duress_daemon_log_level level, bool is_text,
                      const struct duress_allocator *allocator);
void duress__log_deinit(struct log *log);

/* Begins a line; false where none of |level| is written: then nothing else is called for it. */
bool duress__log_begin(struct log *log, enum duress_daemon_log_level level);
void duress__log_string(struct log *log, const char *key, const char *value);
void duress__log_integer(struct log *log, const char *key, int64_t value);
/* Ends it, with where in the source it arose, and writes it. */
void duress__log_end(struct log *log, const char *caller, const char *message);

#define LOG_TEXT_OF(x) #x
#define LOG_LINE_TEXT(x) LOG_TEXT_OF(x)
#define LOG_CALLER __FILE_NAME__ ":" LOG_LINE_TEXT(__LINE__)

/* A line of nothing but a message, or with an error. */
#define duress__log_message(log, level, message) duress__log_line((log), (level), NULL, LOG_CALLER, (message))
#define duress__log_error(log, level, error, message) duress__log_line((log), (level), (error), LOG_CALLER, (message))
void duress__log_line(struct log *log, enum duress_daemon_log_level level, const char *error, const char *caller,
                      const char *message);

/* A line about a proxy. */
#define duress__log_proxy(log, level, proxy, message) duress__log_about((log), (level), (proxy), LOG_CALLER, (message))
void duress__log_about(struct log *log, enum duress_daemon_log_level level, const struct proxy_entry *proxy,
                       const char *caller, const char *message);

#endif
