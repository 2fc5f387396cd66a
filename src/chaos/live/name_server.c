/* SPDX-License-Identifier: Apache-2.0 */
#include "name_server.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <duress/loop/socket.h>

enum {
    DNS_HEADER_BYTES = 12,
    DNS_NAME_BYTES_MAX = 256,
    DNS_TYPE_A = 1,
    DNS_CLASS_IN = 1,
    DNS_TTL_S = 0,
    DNS_NO_ERROR = 0,
    DNS_SERVER_FAILURE = 2,
    DNS_NAME_ERROR = 3,
    DNS_ANSWER_BYTES = 16,
};

struct name_rule {
    struct name_rule *next;
    char host[DNS_NAME_BYTES_MAX];
    enum chaos_name_fault fault;
    bool counted; /* the fault ends after |fault_left| lookups */
    uint32_t fault_left;
    enum chaos_name_fault last; /* what the last A question was told; AAAA of the same lookup is told the same */
    uint8_t address[4];
    uint64_t questions;
};

struct name_server {
    const struct duress_allocator *allocator;
    int fd;
    uint16_t port;
    struct duress_socket watch;
    struct name_rule *rules;
};

struct dns_question {
    char host[DNS_NAME_BYTES_MAX];
    uint16_t type;
    size_t end; /* offset behind the question */
};

int chaos__name_server_new(const struct duress_allocator *allocator, struct name_server **server)
{
    struct name_server *made = duress_allocate_zeroed(allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->allocator = allocator;
    made->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    if (made->fd < 0 || bind(made->fd, (struct sockaddr *)&address, sizeof address) != 0 ||
        getsockname(made->fd, (struct sockaddr *)&address, &length) != 0) {
        chaos__name_server_free(made);
        return DURESS_E_SYSTEM;
    }
    made->port = ntohs(address.sin_port);
    *server = made;
    return DURESS_OK;
}

uint16_t chaos__name_server_port(const struct name_server *server)
{
    return server->port;
}

void chaos__name_server_free(struct name_server *server)
{
    if (server == NULL)
        return;
    duress__socket_unwatch(&server->watch);
    if (server->fd >= 0)
        (void)close(server->fd);
    while (server->rules != NULL) {
        struct name_rule *rule = server->rules;
        server->rules = rule->next;
        duress_release(server->allocator, rule);
    }
    duress_release(server->allocator, server);
}

static struct name_rule *rule_find(const struct name_server *server, const char *host)
{
    for (struct name_rule *rule = server->rules; rule != NULL; rule = rule->next)
        if (strcasecmp(rule->host, host) == 0)
            return rule;
    return NULL;
}

int chaos__name_server_set(struct name_server *server, const char *host, enum chaos_name_fault fault,
                           uint32_t fault_count, const struct duress_address *address)
{
    struct name_rule *rule = rule_find(server, host);
    if (rule == NULL) {
        rule = duress_allocate_zeroed(server->allocator, 1, sizeof *rule);
        if (rule == NULL)
            return DURESS_E_NO_MEMORY;
        (void)snprintf(rule->host, sizeof rule->host, "%s", host);
        rule->next = server->rules;
        server->rules = rule;
    }
    rule->fault = fault;
    rule->counted = fault_count > 0;
    rule->fault_left = fault_count;
    rule->last = fault;
    memcpy(rule->address, address->bytes, sizeof rule->address);
    return DURESS_OK;
}

uint64_t chaos__name_server_questions(const struct name_server *server, const char *host)
{
    const struct name_rule *rule = rule_find(server, host);
    return rule != NULL ? rule->questions : 0;
}

/* Reads the one question of |message| into |question|: labels of a length byte and text, then type and class. */
static bool question_read(const uint8_t *message, size_t length, struct dns_question *question)
{
    if (length < DNS_HEADER_BYTES || (message[2] & 0x80) != 0 || message[4] != 0 || message[5] != 1)
        return false;
    size_t at = DNS_HEADER_BYTES;
    size_t text = 0;
    while (at < length && message[at] != 0) {
        size_t label = message[at++];
        if (label > 63 || at + label > length || text + label + 2 > sizeof question->host)
            return false;
        if (text > 0)
            question->host[text++] = '.';
        memcpy(question->host + text, message + at, label);
        text += label;
        at += label;
    }
    question->host[text] = '\0';
    if (at + 5 > length)
        return false;
    question->type = (uint16_t)(message[at + 1] << 8 | message[at + 2]);
    question->end = at + 5;
    return message[at + 3] == 0 && message[at + 4] == DNS_CLASS_IN;
}

static enum chaos_name_fault rule_decide(struct name_rule *rule, uint16_t type)
{
    if (type != DNS_TYPE_A)
        return rule->last;
    rule->questions++;
    rule->last = rule->fault;
    if (rule->counted && rule->fault_left-- == 0) {
        rule->fault = CHAOS_NAME_OK;
        rule->counted = false;
        rule->last = CHAOS_NAME_OK;
    }
    return rule->last;
}

static size_t answer_append(uint8_t *message, size_t at, const struct name_rule *rule)
{
    const uint8_t answer[DNS_ANSWER_BYTES] = {
        0xc0,
        DNS_HEADER_BYTES, /* the question's name */
        0,
        DNS_TYPE_A,
        0,
        DNS_CLASS_IN,
        0,
        0,
        0,
        DNS_TTL_S,
        0,
        4,
        rule->address[0],
        rule->address[1],
        rule->address[2],
        rule->address[3],
    };
    memcpy(message + at, answer, sizeof answer);
    message[7] = 1;
    return at + sizeof answer;
}

size_t chaos__name_server_answer(struct name_server *server, uint8_t *message, size_t length)
{
    struct dns_question question;
    if (!question_read(message, length, &question) || question.end + DNS_ANSWER_BYTES > NAME_MESSAGE_BYTES_MAX)
        return 0;
    struct name_rule *rule = rule_find(server, question.host);
    enum chaos_name_fault fault = rule != NULL ? rule_decide(rule, question.type) : CHAOS_NAME_NOT_FOUND;
    if (fault == CHAOS_NAME_SILENT)
        return 0;
    message[2] = (uint8_t)(0x84 | (message[2] & 0x01)); /* answer, authoritative, recursion as asked */
    message[3] = 0x80;
    memset(message + 6, 0, DNS_HEADER_BYTES - 6);
    if (fault == CHAOS_NAME_TEMPORARY)
        message[3] |= DNS_SERVER_FAILURE;
    if (fault == CHAOS_NAME_NOT_FOUND)
        message[3] |= DNS_NAME_ERROR;
    if (fault == CHAOS_NAME_OK && question.type == DNS_TYPE_A)
        return answer_append(message, question.end, rule);
    return question.end;
}

static void server_readable(void *context, unsigned events)
{
    (void)events;
    struct name_server *server = context;
    uint8_t message[NAME_MESSAGE_BYTES_MAX];
    struct sockaddr_in from;
    for (;;) {
        socklen_t from_length = sizeof from;
        ssize_t length =
            recvfrom(server->fd, message, sizeof message, MSG_DONTWAIT, (struct sockaddr *)&from, &from_length);
        if (length < 0)
            return;
        size_t answer = chaos__name_server_answer(server, message, (size_t)length);
        if (answer > 0) /* A lost answer is what the resolver's retry is for. */
            (void)sendto(server->fd, message, answer, MSG_DONTWAIT, (struct sockaddr *)&from, from_length);
    }
}

int chaos__name_server_serve(struct name_server *server, struct duress_loop *loop)
{
    int error = duress__socket_watch(loop, &server->watch, server->fd, server_readable, server);
    if (error == DURESS_OK)
        duress__socket_want(&server->watch, DURESS_SOCKET_READABLE);
    return error;
}
