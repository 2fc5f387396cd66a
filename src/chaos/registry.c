/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include <string.h>

static struct chaos_test *registry_first;

static bool test_before(const struct chaos_test *a, const struct chaos_test *b)
{
    int order = strcmp(a->file, b->file);
    return order != 0 ? order < 0 : a->line < b->line;
}

/* Constructors run in an order of the linker's choosing; the list is kept in that of the sources. */
void chaos_test_register(struct chaos_test *test)
{
    struct chaos_test **at = &registry_first;
    while (*at != NULL && test_before(*at, test))
        at = &(*at)->next;
    test->next = *at;
    *at = test;
}

struct chaos_test *chaos__tests(void)
{
    return registry_first;
}
