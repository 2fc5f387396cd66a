/* SPDX-License-Identifier: Apache-2.0 */
#include "replay_wire.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

void die(const char *what)
{
    (void)fprintf(stderr, "replay: %s\n", what);
    exit(2);
}

void text_append(struct text *text, const char *bytes, size_t length)
{
    if (text->length + length >= sizeof text->bytes)
        die("a text is too long");
    memcpy(text->bytes + text->length, bytes, length);
    text->length += length;
    text->bytes[text->length] = '\0';
}

void text_add(struct text *text, const char *more)
{
    text_append(text, more, strlen(more));
}

void text_clear(struct text *text)
{
    text->length = 0;
    text->bytes[0] = '\0';
}

int connection_open(const char *host, int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || fd < 0 ||
        connect(fd, (const struct sockaddr *)&address, sizeof address) != 0)
        die("cannot connect to the daemon");
    return fd;
}

void bytes_send(int fd, const char *bytes, size_t length)
{
    while (length > 0) {
        ssize_t count = send(fd, bytes, length, MSG_NOSIGNAL);
        if (count < 0)
            return; /* it has answered already, and closed */
        bytes += count;
        length -= (size_t)count;
    }
}

bool bytes_wait(int fd)
{
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    return poll(&readable, 1, PATIENCE_MS) == 1;
}

/* Reads until |text| holds |end|, or the peer closes. */
static bool read_until(int fd, struct text *text, const char *end)
{
    while (strstr(text->bytes, end) == NULL) {
        char byte;
        if (!bytes_wait(fd) || recv(fd, &byte, 1, 0) != 1)
            return false;
        text_append(text, &byte, 1);
    }
    return true;
}

static bool read_count(int fd, struct text *text, size_t count)
{
    char block[65536];
    while (count > 0) {
        size_t wanted = count < sizeof block ? count : sizeof block;
        ssize_t got = bytes_wait(fd) ? recv(fd, block, wanted, 0) : -1;
        if (got <= 0)
            return false;
        text_append(text, block, (size_t)got);
        count -= (size_t)got;
    }
    return true;
}

const char *header_value(const struct reply *reply, const char *name)
{
    static char value[4096];
    const char *at = reply->head.bytes;
    while ((at = strstr(at, "\r\n")) != NULL && at[2] != '\r') {
        at += 2;
        size_t length = strlen(name);
        if (strncasecmp(at, name, length) != 0 || at[length] != ':')
            continue;
        at += length + 1;
        at += strspn(at, " ");
        size_t bytes = strcspn(at, "\r");
        if (bytes >= sizeof value)
            die("a header is too long");
        memcpy(value, at, bytes);
        value[bytes] = '\0';
        return value;
    }
    return NULL;
}

static bool chunks_read(int fd, struct text *body)
{
    for (;;) {
        static struct text size;
        text_clear(&size);
        if (!read_until(fd, &size, "\r\n"))
            return false;
        size_t count = strtoul(size.bytes, NULL, 16);
        if (!read_count(fd, body, count))
            return false;
        text_clear(&size);
        if (!read_until(fd, &size, "\r\n"))
            return false;
        if (count == 0)
            return true;
    }
}

bool reply_read(int fd, struct reply *reply)
{
    do {
        text_clear(&reply->head);
        if (!read_until(fd, &reply->head, "\r\n\r\n"))
            return false;
        if (sscanf(reply->head.bytes, "HTTP/1.%*d %d", &reply->status) != 1)
            return false;
    } while (reply->status == 100);
    text_clear(&reply->body);
    const char *length = header_value(reply, "Content-Length");
    if (length != NULL)
        return read_count(fd, &reply->body, strtoul(length, NULL, 10));
    const char *encoding = header_value(reply, "Transfer-Encoding");
    return encoding == NULL || chunks_read(fd, &reply->body);
}
