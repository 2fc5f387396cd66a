/* SPDX-License-Identifier: Apache-2.0
 *
 * The input is a configuration in YAML: what is converted must be JSON, and what is refused must say why. */
#include <stdint.h>

#include <jansson.h>

#include <duress/export.h>

#include "config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t length)
{
    char why[CONFIG_WHY_BYTES_MAX] = "";
    struct duress_buffer json;
    duress_buffer_init(&json, CONFIG_BYTES_MAX, NULL);
    if (duress__config_yaml(duress_slice_bytes(data, length), &json, why)) {
        json_error_t error;
        struct duress_slice text = duress_buffer_slice(&json);
        json_t *tree = json_loadb((const char *)text.data, text.length, JSON_DECODE_ANY, &error);
        /* Numbers that no double holds are written as they stood, and refused by whoever reads them. */
        DURESS_ASSERT(tree != NULL || json_error_code(&error) == json_error_numeric_overflow);
        json_decref(tree);
    } else {
        DURESS_ASSERT(why[0] != '\0');
    }
    duress_buffer_close(&json);
    return 0;
}
