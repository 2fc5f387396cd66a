/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/agent/peer_error_private.h>

#include <stdio.h>
#include <string.h>

#include <duress/time.h>
#include <duress/wire/utf8.h>

static const char retry_after_key[] = "\"retry_after_ms\"";

static bool is_space(uint8_t byte)
{
    return byte == ' ' || byte == '\t' || byte == '\n' || byte == '\r';
}

/* Position after the string that begins at |at|, in text that is known to be JSON. */
static size_t string_skip(struct duress_slice text, size_t at)
{
    for (at++; at < text.length && text.data[at] != '"'; at++)
        if (text.data[at] == '\\')
            at++;
    return at + 1;
}

static size_t spaces_skip(struct duress_slice text, size_t at)
{
    while (at < text.length && is_space(text.data[at]))
        at++;
    return at;
}

/* The digits at |at|; 0 where there is no plain number. */
static uint64_t number_at(struct duress_slice text, size_t at)
{
    uint64_t value = 0;
    for (; at < text.length && text.data[at] >= '0' && text.data[at] <= '9'; at++) {
        uint64_t tens = duress_time_multiply(value, 10);
        value = duress_time_add(tens, (uint64_t)(text.data[at] - '0'));
    }
    bool whole = at < text.length && (text.data[at] == ',' || text.data[at] == '}' || is_space(text.data[at]));
    return whole ? value : 0;
}

/* Whether the string from |begin| to |end| is the key that is looked for. */
static bool is_retry_after_key(struct duress_slice text, size_t begin, size_t end)
{
    size_t length = sizeof retry_after_key - 1;
    size_t colon = spaces_skip(text, end);
    return end - begin == length && colon < text.length && text.data[colon] == ':' &&
           memcmp(text.data + begin, retry_after_key, length) == 0;
}

/* The value of "retry_after_ms" in |details|, the text of a JSON object, at its top level. */
static uint64_t retry_after_ns(struct duress_slice details)
{
    uint32_t depth = 0;
    size_t at = 0;
    while (at < details.length) {
        uint8_t byte = details.data[at];
        if (byte == '"') {
            size_t end = string_skip(details, at);
            if (depth == 1 && is_retry_after_key(details, at, end)) {
                size_t value = spaces_skip(details, spaces_skip(details, end) + 1);
                return duress_time_multiply(number_at(details, value), DURESS_MS);
            }
            at = end;
            continue;
        }
        depth += byte == '{' || byte == '[';
        depth -= byte == '}' || byte == ']';
        at++;
    }
    return 0;
}

/* One line for people from a peer that may mean harm: no control characters, no half of a character at the end. */
static void detail_clean(char *detail)
{
    size_t length = strlen(detail);
    for (size_t i = 0; i < length; i++)
        if ((unsigned char)detail[i] < 0x20 || detail[i] == 0x7f)
            detail[i] = ' ';
    while (length > 0 && !duress_utf8_is_valid(duress_slice_bytes(detail, length)))
        detail[--length] = '\0';
}

/* What a peer says that did not begin to execute the request. */
static bool code_means_not_begun(struct duress_slice code)
{
    static const char *const codes[] = {"INVALID_MESSAGE",     "MALFORMED_PAYLOAD", "INVALID_REQUEST",
                                        "UNSUPPORTED_VERSION", "NOT_IMPLEMENTED",   "AGENT_NOT_FOUND",
                                        "AGENT_UNAVAILABLE"};
    for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++)
        if (duress_slice_is(code, codes[i]))
            return true;
    return false;
}

void duress__peer_error_read(const struct duress_envelope *envelope, struct duress_failure *failure)
{
    struct duress_slice code = envelope->error_code;
    struct duress_slice message = envelope->error_message;
    int code_length = code.length < 64 ? (int)code.length : 64;
    int message_length = message.length < DURESS_DETAIL_BYTES_MAX ? (int)message.length : DURESS_DETAIL_BYTES_MAX;
    bool overloaded = duress_slice_is(code, "OVERLOADED");
    duress_failure_set(failure, overloaded ? DURESS_E_OVERLOADED : DURESS_E_REMOTE, DURESS_ORIGIN_PEER, "%.*s: %.*s",
                       code_length, (const char *)code.data, message_length,
                       message.length > 0 ? (const char *)message.data : "");
    detail_clean(failure->detail);
    failure->ambiguous = !overloaded && !code_means_not_begun(code);
    if (overloaded)
        failure->retry_after_ns = retry_after_ns(envelope->error_details);
}

static const char *failure_wire_code(const struct duress_failure *failure)
{
    switch (failure->code) {
    case DURESS_E_OVERLOADED:
    case DURESS_E_RATE_LIMITED:
    case DURESS_E_BULKHEAD_FULL:
    case DURESS_E_CIRCUIT_OPEN:
    case DURESS_E_NO_MEMORY:
        return failure->ambiguous ? "EXECUTION_ERROR" : "OVERLOADED";
    case DURESS_E_INVALID:
        return failure->ambiguous ? "EXECUTION_ERROR" : "INVALID_REQUEST";
    case DURESS_E_DEADLINE:
        return "AGENT_TIMEOUT";
    case DURESS_E_CANCELLED:
        return "CANCELLED";
    case DURESS_E_UNSUPPORTED:
        return "NOT_IMPLEMENTED";
    default:
        return "EXECUTION_ERROR";
    }
}

void duress__peer_error_write(const struct duress_failure *failure, struct duress_envelope *envelope,
                              char details[PEER_ERROR_DETAILS_BYTES_MAX])
{
    envelope->type = DURESS_ENVELOPE_ERROR;
    envelope->error_code = duress_slice_text(failure_wire_code(failure));
    struct duress_slice detail = duress_slice_text(failure->detail);
    bool sendable = detail.length > 0 && duress_utf8_is_valid(detail);
    envelope->error_message = sendable ? detail : duress_slice_text(duress_strerror(failure->code));
    envelope->error_details = duress_slice_text("{}");
    if (failure->retry_after_ns == 0 || failure->retry_after_ns == DURESS_TIME_NEVER)
        return;
    uint64_t retry_after_ms = failure->retry_after_ns / DURESS_MS + (failure->retry_after_ns % DURESS_MS != 0);
    (void)snprintf(details, PEER_ERROR_DETAILS_BYTES_MAX, "{%s:%llu}", retry_after_key,
                   (unsigned long long)retry_after_ms);
    envelope->error_details = duress_slice_text(details);
}
