/* SPDX-License-Identifier: Apache-2.0
 *
 * Commands of the user's as services: their options. */
#include "internal.h"

#include <stdio.h>
#include <string.h>

bool chaos__service_is_ours(struct chaos_service *service, const char *what)
{
    if (service->command.arguments == NULL)
        return true;
    chaos__fail(service->chaos, service->chaos->test->file, service->chaos->test->line,
                "expected: a service of the suite's own; seen: the command %s, which knows nothing of %s",
                service->name, what);
    return false;
}

/* |text| with |port| in place of "{port}". */
static char *text_copy(struct chaos *chaos, const char *text, const char *port)
{
    static const char mark[] = "{port}";
    const char *at = strstr(text, mark);
    size_t length = strlen(text) + strlen(port) + 1;
    char *copy = chaos__allocate(chaos, length);
    if (at == NULL)
        (void)snprintf(copy, length, "%s", text);
    else
        (void)snprintf(copy, length, "%.*s%s%s", (int)(at - text), text, port, at + sizeof mark - 1);
    return copy;
}

void chaos__command_take(struct chaos_service *service, const struct chaos_service_options *options)
{
    struct chaos *chaos = service->chaos;
    char port[8];
    size_t count = 0;
    while (options->command[count] != NULL)
        count++;
    service->address = duress_address_loopback(options->port != 0 ? options->port : chaos->driver->port_draw());
    (void)snprintf(port, sizeof port, "%u", (unsigned)service->address.port);
    service->command.arguments = chaos__allocate(chaos, (count + 1) * sizeof *service->command.arguments);
    for (size_t i = 0; i < count; i++)
        service->command.arguments[i] = text_copy(chaos, options->command[i], port);
    service->command.ready = options->ready;
    service->command.ready_text = text_copy(chaos, options->ready_text != NULL ? options->ready_text : "/", port);
}

void chaos__command_free(struct chaos_service *service)
{
    const struct duress_allocator *allocator = &service->chaos->heap.allocator;
    for (char **argument = service->command.arguments; argument != NULL && *argument != NULL; argument++)
        duress_release(allocator, *argument);
    duress_release(allocator, service->command.arguments);
    duress_release(allocator, service->command.ready_text);
}
