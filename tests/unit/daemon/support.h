/* SPDX-License-Identifier: Apache-2.0
 *
 * What the tests of daemon/ share. */
#ifndef DURESS_TEST_DAEMON_SUPPORT_H
#define DURESS_TEST_DAEMON_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <duress/wire/buffer.h>

/* The bytes of |buffer| as text, which are then dropped. In one buffer for all. */
static inline const char *buffer_text(struct duress_buffer *buffer)
{
    static char text[4096];
    struct duress_slice bytes = duress_buffer_slice(buffer);
    assert_true(bytes.length < sizeof text);
    if (bytes.length > 0)
        memcpy(text, bytes.data, bytes.length);
    text[bytes.length] = '\0';
    duress_buffer_clear(buffer);
    return text;
}

#endif
