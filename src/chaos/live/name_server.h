/* SPDX-License-Identifier: Apache-2.0
 *
 * A small name server for live tests: answers A questions of names that the test set (RFC 1035), with an address or a
 * fault; every other name does not exist. */
#ifndef DURESS_CHAOS_NAME_SERVER_H
#define DURESS_CHAOS_NAME_SERVER_H

#include <duress/chaos/chaos.h>
#include <duress/loop/loop.h>

#define NAME_MESSAGE_BYTES_MAX 512 /* of a message over UDP, RFC 1035 */

struct name_server;

/* Binds a port of 127.0.0.1 before there is a loop, as the world's resolver must be told of it first. */
int chaos__name_server_new(const struct duress_allocator *allocator, struct name_server **server);
uint16_t chaos__name_server_port(const struct name_server *server);
/* Begins to answer, on |loop|. */
int chaos__name_server_serve(struct name_server *server, struct duress_loop *loop);
void chaos__name_server_free(struct name_server *server);

int chaos__name_server_set(struct name_server *server, const char *host, enum chaos_name_fault fault,
                           uint32_t fault_count, const struct duress_address *address);
/* Lookups (A questions) of |host| so far. */
uint64_t chaos__name_server_questions(const struct name_server *server, const char *host);

/* Turns the question of |length| bytes in |message|, a buffer of NAME_MESSAGE_BYTES_MAX, into its answer. Returns the
 * answer's length; 0: there is none. */
size_t chaos__name_server_answer(struct name_server *server, uint8_t *message, size_t length);

#endif
