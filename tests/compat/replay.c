/* SPDX-License-Identifier: Apache-2.0
 *
 * replay SCRIPT PROGRAM [ARGUMENT]...: starts a daemon on a port that the kernel picks, sends it the script's requests
 * one after the other, and compares what it answers, byte by byte, with what the script says. replay SCRIPT --url
 * HOST:PORT drives one that runs already. Ends with the number of differences, at most 1, as its status.
 *
 * A script is made of exchanges:
 *
 *     POST /proxies                    method and target, sent as they stand but for \xHH
 *     + Content-Type: text/plain       a header more; or one of the ways of sending: +chunked +expect +http10 +nohost
 *     = {"name":"a",                   the body, line by line, with no newline in between; \n and \xHH as in C
 *     = "upstream":"b:1"}
 *     201 json {"name":"a",…}          the answer: status, kind, body
 *
 * <web> in an answer stands for a number, kept under that name where it is met first; <web> in a request is that
 * number. Kinds: json (application/json), version, error (the rest is the text of {"error":…}, a newline behind),
 * prefix (as error, but only the text's begin), populate (an error in application/json without a newline), text (plain,
 * with an id, and a newline behind), page (plain, without an id), empty (204: no body, no type, no length), none
 * (empty, without an id), moved (empty, the rest is the Location). */
#include <ctype.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replay_wire.h"

#define NAMES_MAX 64

struct names {
    struct {
        char name[32];
        char value[8];
    } known[NAMES_MAX];
    size_t count;
};

struct exchange {
    int line;
    char method[32];
    struct text target;
    struct text headers;
    struct text body;
    bool has_body;
    bool chunked;
    bool expect;
    bool http10;
    bool nohost;
};

static const char *host = "127.0.0.1";
static int port;
static struct names names;
static int difference_count;
static int exchange_count;

/* --- names of ports --- */

static const char *name_value(const char *name, size_t length)
{
    for (size_t i = 0; i < names.count; i++)
        if (strlen(names.known[i].name) == length && strncmp(names.known[i].name, name, length) == 0)
            return names.known[i].value;
    return NULL;
}

/* Length of the name at |at|, which is "<name>"; 0 where it is none. */
static size_t name_length(const char *at)
{
    size_t length = 0;
    if (*at != '<')
        return 0;
    while (islower((unsigned char)at[1 + length]) || isdigit((unsigned char)at[1 + length]))
        length++;
    return at[1 + length] == '>' ? length : 0;
}

/* Appends |from| with its names replaced. */
static void text_expand(struct text *text, const char *from)
{
    while (*from != '\0') {
        size_t length = name_length(from);
        const char *value = length > 0 ? name_value(from + 1, length) : NULL;
        if (value == NULL) {
            text_append(text, from++, 1);
            continue;
        }
        text_add(text, value);
        from += length + 2;
    }
}

/* Whether |got| is what |wanted| says; learns names that are met first. */
static bool text_matches(const char *wanted, const char *got, bool whole)
{
    while (*wanted != '\0') {
        size_t length = name_length(wanted);
        if (length == 0) {
            if (*wanted++ != *got++)
                return false;
            continue;
        }
        size_t digits = strspn(got, "0123456789");
        const char *value = name_value(wanted + 1, length);
        if (digits == 0 || digits > 5)
            return false;
        if (value != NULL && (strlen(value) != digits || strncmp(value, got, digits) != 0))
            return false;
        if (value == NULL) {
            if (names.count == NAMES_MAX || length >= sizeof names.known[0].name)
                die("too many names");
            memcpy(names.known[names.count].name, wanted + 1, length);
            memcpy(names.known[names.count].value, got, digits);
            names.count++;
        }
        wanted += length + 2;
        got += digits;
    }
    return !whole || *got == '\0';
}

/* --- sending --- */

static void head_make(const struct exchange *exchange, struct text *head)
{
    char line[256];
    text_clear(head);
    text_add(head, exchange->method);
    text_add(head, " ");
    text_append(head, exchange->target.bytes, exchange->target.length);
    text_add(head, exchange->http10 ? " HTTP/1.0\r\n" : " HTTP/1.1\r\n");
    if (!exchange->nohost && strstr(exchange->headers.bytes, "Host:") == NULL) {
        (void)snprintf(line, sizeof line, "Host: %s:%d\r\n", host, port);
        text_add(head, line);
    }
    text_add(head, exchange->headers.bytes);
    if (exchange->expect)
        text_add(head, "Expect: 100-continue\r\n");
    if (exchange->chunked) {
        text_add(head, "Transfer-Encoding: chunked\r\n");
    } else if (exchange->has_body) {
        (void)snprintf(line, sizeof line, "Content-Length: %zu\r\n", exchange->body.length);
        text_add(head, line);
    }
    text_add(head, "\r\n");
}

static void body_send(int fd, const struct exchange *exchange)
{
    if (!exchange->chunked) {
        bytes_send(fd, exchange->body.bytes, exchange->body.length);
        return;
    }
    for (size_t at = 0; at < exchange->body.length; at += 7) {
        char size[16];
        size_t count = exchange->body.length - at < 7 ? exchange->body.length - at : 7;
        bytes_send(fd, size, (size_t)snprintf(size, sizeof size, "%zx\r\n", count));
        bytes_send(fd, exchange->body.bytes + at, count);
        bytes_send(fd, "\r\n", 2);
    }
    bytes_send(fd, "0\r\n\r\n", 5);
}

static bool exchange_run(const struct exchange *exchange, struct reply *reply)
{
    static struct text head;
    int fd = connection_open(host, port);
    head_make(exchange, &head);
    bytes_send(fd, head.bytes, head.length);
    body_send(fd, exchange);
    bool answered = reply_read(fd, reply);
    (void)close(fd);
    return answered;
}

/* --- comparing --- */

static void differ(const struct exchange *exchange, const char *what, const char *wanted, const char *got)
{
    difference_count++;
    (void)printf("line %d: %s %s: %s\n    wanted: %s\n    got:    %s\n", exchange->line, exchange->method,
                 exchange->target.bytes, what, wanted, got != NULL ? got : "(nothing)");
}

static void header_check(const struct exchange *exchange, const struct reply *reply, const char *name,
                         const char *wanted)
{
    const char *got = header_value(reply, name);
    bool equal = wanted == NULL ? got == NULL : got != NULL && strcmp(got, wanted) == 0;
    if (!equal)
        differ(exchange, name, wanted != NULL ? wanted : "(nothing)", got);
}

static bool is_id(const char *id)
{
    return id != NULL && strlen(id) == 20 && strspn(id, "0123456789abcdefghijklmnopqrstuv") == 20;
}

static const struct kind {
    const char *name;
    const char *type;
    bool nosniff;
    bool id;
    bool whole;
    const char *before; /* the body around what the script says */
    const char *after;  /* with the status put in */
} kinds[] = {
    {"json", "application/json", false, true, true, "", ""},
    {"version", "application/json;charset=utf-8", false, true, true, "", "\n"},
    {"error", "text/plain; charset=utf-8", true, true, true, "{\"error\":\"", "\",\"status\":%d}\n"},
    {"prefix", "text/plain; charset=utf-8", true, true, false, "{\"error\":\"", ""},
    {"populate", "application/json", false, true, true, "", ""},
    {"populate-prefix", "application/json", false, true, false, "", ""},
    {"text", "text/plain; charset=utf-8", true, true, true, "", "\n"},
    {"page", "text/plain; charset=utf-8", true, false, true, "", "\n"},
    {"empty", NULL, false, true, true, "", ""},
    {"none", NULL, false, false, true, "", ""},
    {"moved", NULL, false, false, true, "", ""},
    {"bad", "text/plain; charset=utf-8", true, false, true, "", ""},
};

static const struct kind *kind_find(const char *name)
{
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (strcmp(kinds[i].name, name) == 0)
            return &kinds[i];
    die("an answer of unknown kind");
    return NULL;
}

static void reply_check(const struct exchange *exchange, const struct reply *reply, int status, const struct kind *kind,
                        const char *text)
{
    static struct text wanted;
    char after[64];
    char number[2][16];
    (void)snprintf(number[0], sizeof number[0], "%d", status);
    (void)snprintf(number[1], sizeof number[1], "%d", reply->status);
    if (status != reply->status)
        differ(exchange, "status", number[0], number[1]);
    header_check(exchange, reply, "Content-Type", kind->type);
    header_check(exchange, reply, "X-Content-Type-Options", kind->nosniff ? "nosniff" : NULL);
    header_check(exchange, reply, "Access-Control-Allow-Origin", NULL);
    header_check(exchange, reply, "Allow", NULL);
    const char *id = header_value(reply, "X-Toxiproxy-Request-Id");
    if (kind->id != (id != NULL) || (kind->id && !is_id(id)))
        differ(exchange, "X-Toxiproxy-Request-Id", kind->id ? "20 digits of base 32" : "(nothing)", id);
    bool moved = strcmp(kind->name, "moved") == 0;
    if (strcmp(kind->name, "empty") == 0)
        header_check(exchange, reply, "Content-Length", NULL);
    header_check(exchange, reply, "Location", moved ? text : NULL);
    (void)snprintf(after, sizeof after, "%s", kind->after);
    if (strstr(kind->after, "%d") != NULL)
        (void)snprintf(after, sizeof after, "\",\"status\":%d}\n", status);
    text_clear(&wanted);
    text_add(&wanted, kind->before);
    text_add(&wanted, moved ? "" : text);
    text_add(&wanted, after);
    bool same = text_matches(wanted.bytes, reply->body.bytes, kind->whole);
    if (!same || strlen(reply->body.bytes) != reply->body.length)
        differ(exchange, "body", wanted.bytes, reply->body.bytes);
}

/* --- the script --- */

/* Appends a line of a body, with \n, \\ and \xHH as C has them in strings; other backslashes are JSON's. */
static void body_append(struct text *body, const char *line)
{
    static struct text expanded;
    text_clear(&expanded);
    text_expand(&expanded, line);
    for (const char *at = expanded.bytes; *at != '\0'; at++) {
        unsigned byte = 0;
        if (at[0] == '\\' && at[1] == 'x' && sscanf(at + 2, "%2x", &byte) == 1) {
            char raw = (char)byte;
            text_append(body, &raw, 1);
            at += 3;
        } else if (at[0] == '\\' && at[1] == 'n') {
            text_add(body, "\n");
            at++;
        } else {
            text_append(body, at, 1);
        }
    }
}

static void way_set(struct exchange *exchange, const char *line)
{
    if (strcmp(line, "+chunked") == 0)
        exchange->chunked = true;
    else if (strcmp(line, "+expect") == 0)
        exchange->expect = true;
    else if (strcmp(line, "+http10") == 0)
        exchange->http10 = true;
    else if (strcmp(line, "+nohost") == 0)
        exchange->nohost = true;
    else if (strcmp(line, "+long") == 0) { /* a header of 900,000 bytes */
        text_add(&exchange->headers, "X-Long: ");
        for (int i = 0; i < 90000; i++)
            text_add(&exchange->headers, "0123456789");
        text_add(&exchange->headers, "\r\n");
    } else if (strncmp(line, "+ ", 2) == 0) {
        text_add(&exchange->headers, line + 2);
        text_add(&exchange->headers, "\r\n");
    } else {
        die("an unknown way of sending");
    }
}

static void exchange_begin(struct exchange *exchange, int number, const char *line)
{
    size_t length = strcspn(line, " ");
    if (length >= sizeof exchange->method || line[length] != ' ')
        die("a line that begins no exchange");
    exchange->line = number;
    memcpy(exchange->method, line, length);
    exchange->method[length] = '\0';
    text_clear(&exchange->target);
    body_append(&exchange->target, line + length + 1);
    text_clear(&exchange->headers);
    text_clear(&exchange->body);
    exchange->has_body = false;
    exchange->chunked = exchange->expect = exchange->http10 = exchange->nohost = false;
}

static void answer_line(const struct exchange *exchange, const char *line)
{
    static struct reply reply;
    char kind[32];
    int status = 0;
    int used = 0;
    if (sscanf(line, "%d %31s%n", &status, kind, &used) != 2)
        die("a line that is no answer");
    const char *text = line[used] == ' ' ? line + used + 1 : "";
    exchange_count++;
    if (!exchange_run(exchange, &reply)) {
        differ(exchange, "no answer", line, NULL);
        return;
    }
    reply_check(exchange, &reply, status, kind_find(kind), text);
}

static void script_run(FILE *script)
{
    static struct exchange exchange;
    static char line[TEXT_MAX];
    for (int number = 1; fgets(line, sizeof line, script) != NULL; number++) {
        line[strcspn(line, "\n")] = '\0';
        if (line[0] == '#' || line[0] == '\0')
            continue;
        if (line[0] == '=') {
            exchange.has_body = true;
            body_append(&exchange.body, line[1] == ' ' ? line + 2 : line + 1);
        } else if (line[0] == '+') {
            way_set(&exchange, line);
        } else if (isdigit((unsigned char)line[0])) {
            answer_line(&exchange, line);
        } else {
            exchange_begin(&exchange, number, line);
        }
    }
}

/* --- the daemon --- */

/* Its log says where it listens. */
static void port_find(int log)
{
    static struct text lines;
    const char *mark = NULL;
    while (mark == NULL) {
        if (!bytes_wait(log))
            die("the daemon does not say where it listens");
        char block[4096];
        ssize_t count = read(log, block, sizeof block);
        if (count <= 0)
            die("the daemon ended before it listened");
        text_append(&lines, block, (size_t)count);
        mark = strstr(lines.bytes, "\"port\":\"");
        if (mark != NULL && strchr(mark, '}') == NULL)
            mark = NULL;
    }
    port = (int)strtol(mark + strlen("\"port\":\""), NULL, 10);
}

static pid_t daemon_start(char **argv, int *log)
{
    int ends[2];
    if (pipe(ends) != 0)
        die("no pipe");
    pid_t pid = fork();
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        (void)dup2(ends[1], STDOUT_FILENO);
        (void)close(ends[0]);
        (void)execv(argv[0], argv);
        _exit(127);
    }
    (void)close(ends[1]);
    *log = ends[0];
    port_find(*log);
    return pid;
}

static void daemon_stop(pid_t pid, int log)
{
    char block[65536];
    int status = 0;
    (void)kill(pid, SIGTERM);
    while (read(log, block, sizeof block) > 0) {
    }
    (void)waitpid(pid, &status, 0);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        difference_count++;
        (void)printf("the daemon did not end with status 0 (%#x)\n", (unsigned)status);
    }
}

static bool has_ipv6(void)
{
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    bool bound = fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof address) == 0;
    if (fd >= 0)
        (void)close(fd);
    return bound;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        die("usage: replay SCRIPT PROGRAM [ARGUMENT]... | replay SCRIPT --url HOST:PORT");
    if (!has_ipv6()) {
        (void)printf("skipped: this machine has no IPv6, and the answers name [::]\n");
        return 77;
    }
    FILE *script = fopen(argv[1], "r");
    pid_t pid = -1;
    int log = -1;
    if (script == NULL)
        die("no such script");
    if (strcmp(argv[2], "--url") == 0) {
        char *colon = argc > 3 ? strchr(argv[3], ':') : NULL;
        if (colon == NULL)
            die("--url needs HOST:PORT");
        *colon = '\0';
        host = argv[3];
        port = (int)strtol(colon + 1, NULL, 10);
    } else {
        (void)setenv("LOG_LEVEL", "info", 1);
        pid = daemon_start(argv + 2, &log);
    }
    script_run(script);
    (void)fclose(script);
    if (pid > 0)
        daemon_stop(pid, log);
    (void)printf("%d exchanges, %d differences\n", exchange_count, difference_count);
    return difference_count > 0;
}
