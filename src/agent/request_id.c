/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/agent/request_id_private.h>

static void hex_write(uint64_t value, char *text)
{
    static const char digits[] = "0123456789abcdef";
    for (int i = 15; i >= 0; i--) {
        text[i] = digits[value & 15];
        value >>= 4;
    }
}

void duress__request_id_write(uint64_t prefix, uint64_t number, char text[REQUEST_ID_BYTES])
{
    text[0] = 'd';
    text[1] = '-';
    hex_write(prefix, text + 2);
    text[18] = '-';
    hex_write(number, text + 19);
}

uint64_t duress__request_id_read(uint64_t prefix, struct duress_slice text)
{
    char expected[REQUEST_ID_BYTES];
    if (text.length != REQUEST_ID_BYTES)
        return 0;
    uint64_t number = 0;
    for (size_t i = 19; i < REQUEST_ID_BYTES; i++) {
        uint8_t byte = text.data[i];
        bool digit = byte >= '0' && byte <= '9';
        if (!digit && (byte < 'a' || byte > 'f'))
            return 0;
        number = number << 4 | (uint64_t)(digit ? byte - '0' : byte - 'a' + 10);
    }
    duress__request_id_write(prefix, number, expected);
    return memcmp(expected, text.data, sizeof expected) == 0 ? number : 0;
}
