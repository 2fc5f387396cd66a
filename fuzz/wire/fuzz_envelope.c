/* SPDX-License-Identifier: Apache-2.0
 *
 * What decodes must encode, and decode again to the same values; what does not must say why. The first byte of the
 * input picks the limits, so that those are reached by short inputs as well. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <duress/error.h>
#include <duress/wire/envelope.h>
#include <duress/wire/utf8.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

static void require_equal(const struct duress_envelope *a, const struct duress_envelope *b)
{
    require(a->type == b->type);
    require(a->timestamp_ns / 1000 == b->timestamp_ns / 1000);
    require(a->message_timestamp_ns / 1000 == b->message_timestamp_ns / 1000);
    require(duress_slice_equal(a->id, b->id));
    require(duress_slice_equal(a->method, b->method));
    require(duress_slice_equal(a->agent_name, b->agent_name));
    require(duress_slice_equal(a->role, b->role));
    require(duress_slice_equal(a->content, b->content));
    require(duress_slice_equal(a->metadata, b->metadata));
    require(duress_slice_equal(a->error_code, b->error_code));
    require(duress_slice_equal(a->error_message, b->error_message));
    require(duress_slice_equal(a->error_details, b->error_details));
}

static void require_sound(const struct duress_envelope *envelope)
{
    require(envelope->id.length > 0);
    require(duress_utf8_is_valid(envelope->id));
    require(duress_utf8_is_valid(envelope->method));
    require(duress_utf8_is_valid(envelope->agent_name));
    require(duress_utf8_is_valid(envelope->role));
    require(duress_utf8_is_valid(envelope->content));
    require(duress_utf8_is_valid(envelope->error_code));
    require(duress_utf8_is_valid(envelope->error_message));
}

/* Encodes with the default limits, which are wider than the decoder's here, and decodes that. */
static void round_trip(const struct duress_envelope *envelope)
{
    struct duress_buffer text;
    struct duress_buffer scratch;
    struct duress_envelope again;
    duress_buffer_init(&text, 0, NULL);
    duress_buffer_init(&scratch, 0, NULL);
    require(duress_envelope_encode(envelope, NULL, &text, NULL) == DURESS_OK);
    require(duress_envelope_decode(duress_buffer_slice(&text), NULL, &scratch, &again, NULL) == DURESS_OK);
    require_equal(envelope, &again);
    duress_buffer_close(&text);
    duress_buffer_close(&scratch);
}

static void require_refusal(int code, const struct duress_envelope *envelope,
                            const struct duress_envelope_diagnostics *diagnostics, size_t length)
{
    require(code == DURESS_E_MALFORMED || code == DURESS_E_TRUNCATED);
    require(diagnostics->defect != DURESS_DEFECT_NONE && diagnostics->reason != NULL);
    require(diagnostics->offset <= length);
    require(envelope->type == DURESS_ENVELOPE_NONE && envelope->content.length == 0);
    require(duress_utf8_is_valid(envelope->id));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct duress_envelope_limits limits = DURESS_ENVELOPE_LIMITS_DEFAULT;
    struct duress_envelope_diagnostics diagnostics;
    struct duress_envelope envelope;
    struct duress_buffer scratch;
    if (size == 0)
        return 0;
    if (data[0] & 1)
        limits.depth_max = 4;
    if (data[0] & 2)
        limits.values_max = 64;
    if (data[0] & 4)
        limits.string_bytes_max = 64;
    if (data[0] & 8)
        limits.envelope_bytes_max = 256;
    size_t length = size - 1;
    uint8_t *text = malloc(length == 0 ? 1 : length); /* its own memory: the sanitizer sees every look beyond it */
    require(text != NULL);
    if (length > 0)
        memcpy(text, data + 1, length);
    duress_buffer_init(&scratch, length, NULL);
    int code = duress_envelope_decode(duress_slice_bytes(text, length), &limits, &scratch, &envelope, &diagnostics);
    if (code == DURESS_OK) {
        require_sound(&envelope);
        round_trip(&envelope);
    } else {
        require_refusal(code, &envelope, &diagnostics, length);
    }
    duress_buffer_close(&scratch);
    free(text);
    return 0;
}
