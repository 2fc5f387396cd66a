/* SPDX-License-Identifier: Apache-2.0
 *
 * What replay sends and reads: bytes on a socket, and an answer of HTTP. */
#ifndef DURESS_TEST_COMPAT_REPLAY_WIRE_H
#define DURESS_TEST_COMPAT_REPLAY_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#define TEXT_MAX (2 * 1024 * 1024)
#define PATIENCE_MS 20000

struct text {
    char bytes[TEXT_MAX];
    size_t length;
};

struct reply {
    int status;
    struct text head;
    struct text body;
};

/* Ends the program with status 2. */
void die(const char *what);

void text_append(struct text *text, const char *bytes, size_t length);
void text_add(struct text *text, const char *more);
void text_clear(struct text *text);

int connection_open(const char *host, int port);
void bytes_send(int fd, const char *bytes, size_t length);
bool bytes_wait(int fd);

/* The value of a header, or NULL. In a buffer of its own. */
const char *header_value(const struct reply *reply, const char *name);

/* The next answer, after those that only say "go on". False where there is none. */
bool reply_read(int fd, struct reply *reply);

#endif
