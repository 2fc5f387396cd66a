/* SPDX-License-Identifier: Apache-2.0
 *
 * What the HTTP server makes of a request, without a socket: a path, a method, three headers, each ending in a line
 * feed, and the body. It is refused with a status and words, or it is a whole request. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "server_request.h"

enum { LINE_BYTES_MAX = 256, HEADER_BYTES_MAX = 1024, BODY_BYTES_MAX = 4096 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(int condition)
{
    if (!condition)
        abort();
}

/* The next line of *input as text, cut to fit; NULL where it is empty. */
static const char *line_take(struct duress_slice *input, char line[LINE_BYTES_MAX])
{
    size_t length = 0;
    while (length < input->length && input->data[length] != '\n')
        length++;
    size_t kept = length < LINE_BYTES_MAX - 1 ? length : LINE_BYTES_MAX - 1;
    if (kept > 0)
        memcpy(line, input->data, kept);
    line[kept] = '\0';
    size_t taken = length < input->length ? length + 1 : length;
    *input = duress_slice_bytes(input->data + taken, input->length - taken);
    return line[0] != '\0' ? line : NULL;
}

static void require_refusal(const struct http_refusal *refusal)
{
    if (refusal->status == 204) {
        require(refusal->allow != NULL && refusal->code == NULL);
        return;
    }
    require(refusal->status >= 400 && refusal->status <= 501);
    require(refusal->code != NULL && refusal->message != NULL && refusal->message[0] != '\0');
    require((refusal->status == 405) == (refusal->allow != NULL));
}

static void body_try(struct duress_slice body)
{
    struct duress_envelope_limits limits = DURESS_ENVELOPE_LIMITS_DEFAULT;
    struct duress_buffer scratch;
    struct duress_envelope envelope;
    struct http_refusal refusal;
    limits.envelope_bytes_max = limits.string_bytes_max = BODY_BYTES_MAX;
    duress_buffer_init(&scratch, 0, NULL);
    require(duress__http_body_read(body, &limits, &scratch, &envelope, &refusal) == DURESS_OK);
    require(envelope.id.length <= HTTP_SERVER_ID_BYTES_MAX);
    if (refusal.status != 0) {
        require_refusal(&refusal);
        require(refusal.status == 400);
    } else {
        require(envelope.type == DURESS_ENVELOPE_REQUEST && envelope.id.length > 0 && envelope.role.length > 0);
        require(body.length <= BODY_BYTES_MAX);
    }
    duress_buffer_close(&scratch);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char lines[5][LINE_BYTES_MAX];
    struct duress_slice input = duress_slice_bytes(data, size);
    const char *path = line_take(&input, lines[0]);
    const char *method = line_take(&input, lines[1]);
    struct http_request_head head = {
        .content_type = line_take(&input, lines[2]),
        .content_length = line_take(&input, lines[3]),
        .transfer_encoding = line_take(&input, lines[4]),
        .bytes = size,
    };
    head.content_length_count = head.content_length != NULL ? 1 : 0;
    enum http_route route = duress__http_route(path != NULL ? path : "");
    struct http_refusal refusal =
        duress__http_head_check(route, method != NULL ? method : "", &head, HEADER_BYTES_MAX, BODY_BYTES_MAX);
    if (refusal.status != 0)
        require_refusal(&refusal);
    else
        require(route != HTTP_ROUTE_NONE && size <= HEADER_BYTES_MAX);
    body_try(input);
    return 0;
}
