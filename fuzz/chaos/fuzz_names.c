/* SPDX-License-Identifier: Apache-2.0
 *
 * The name server of live tests under any bytes: its answer fits the buffer, is marked as one, and answers the same
 * question. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "live/name_server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static struct name_server *server_begin(void)
{
    struct name_server *server = NULL;
    struct duress_address address = duress_address_loopback(80);
    require(chaos__name_server_new(NULL, &server) == DURESS_OK);
    require(chaos__name_server_set(server, "echo.test", CHAOS_NAME_OK, 0, &address) == DURESS_OK);
    require(chaos__name_server_set(server, "busy.test", CHAOS_NAME_TEMPORARY, 2, &address) == DURESS_OK);
    require(chaos__name_server_set(server, "dumb.test", CHAOS_NAME_SILENT, 0, &address) == DURESS_OK);
    return server;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct name_server *server;
    if (server == NULL)
        server = server_begin();
    uint8_t message[NAME_MESSAGE_BYTES_MAX];
    size_t length = size < sizeof message ? size : sizeof message;
    if (length > 0)
        memcpy(message, data, length);
    size_t answer = chaos__name_server_answer(server, message, length);
    require(answer <= sizeof message);
    if (answer == 0)
        return 0;
    require(answer >= 12 && (message[2] & 0x80) != 0);
    require(memcmp(message, data, 2) == 0);
    return 0;
}
