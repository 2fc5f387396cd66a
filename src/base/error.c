/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/error.h>

#include <assert.h>

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct error_row {
    const char *name;
    const char *text;
    bool retryable;
    bool counted;
    bool after_send;
};

static const struct error_row error_rows[DURESS_ERROR_NUMBER_END] = {[0] = {"OK", "no error", false, false, false},
#define X(number, name, text, retryable, counted, after_send) [number] = {#name, text, retryable, counted, after_send},
                                                                     DURESS_ERROR_LIST(X)
#undef X
};

#define X(number, name, text, retryable, counted, after_send)                                                          \
    static_assert((number) < DURESS_ERROR_NUMBER_END, "DURESS_ERROR_NUMBER_END is too small for " #name);
DURESS_ERROR_LIST(X)
#undef X

static const struct error_row *error_row_find(int code)
{
    static const struct error_row unknown = {"UNKNOWN", "unknown error", false, false, false};
    if (code > 0 || code <= -DURESS_ERROR_NUMBER_END)
        return &unknown;
    return &error_rows[-code];
}

const char *duress_strerror(int code)
{
    return error_row_find(code)->text;
}

const char *duress_error_name(int code)
{
    return error_row_find(code)->name;
}

enum duress_error duress_error_from_name(const char *name)
{
    if (name == NULL)
        return DURESS_OK;
    for (int number = 1; number < DURESS_ERROR_NUMBER_END; number++)
        if (strcmp(error_rows[number].name, name) == 0)
            return (enum duress_error) - number;
    return DURESS_OK;
}

bool duress_error_is_retryable(int code)
{
    return error_row_find(code)->retryable;
}

bool duress_error_is_counted(int code)
{
    return error_row_find(code)->counted;
}

bool duress_error_is_after_send(int code)
{
    return error_row_find(code)->after_send;
}

const char *duress_origin_name(enum duress_origin origin)
{
    switch (origin) {
    case DURESS_ORIGIN_NONE:
        return "none";
    case DURESS_ORIGIN_CALLER:
        return "caller";
    case DURESS_ORIGIN_NAME:
        return "name";
    case DURESS_ORIGIN_CONNECT:
        return "connect";
    case DURESS_ORIGIN_SEND:
        return "send";
    case DURESS_ORIGIN_RECEIVE:
        return "receive";
    case DURESS_ORIGIN_PEER:
        return "peer";
    case DURESS_ORIGIN_AGENT:
        return "agent";
    case DURESS_ORIGIN_TIMEOUT:
        return "timeout";
    case DURESS_ORIGIN_RETRY:
        return "retry";
    case DURESS_ORIGIN_BREAKER:
        return "breaker";
    case DURESS_ORIGIN_LIMITER:
        return "limiter";
    case DURESS_ORIGIN_BULKHEAD:
        return "bulkhead";
    case DURESS_ORIGIN_COMPOSITION:
        return "composition";
    case DURESS_ORIGIN_CACHE:
        return "cache";
    case DURESS_ORIGIN_BATCH:
        return "batch";
    }
    return "unknown";
}

void duress_failure_set(struct duress_failure *failure, enum duress_error code, enum duress_origin origin,
                        const char *format, ...)
{
    *failure = (struct duress_failure){
        .code = code,
        .origin = origin,
        .ambiguous = duress_error_is_after_send(code),
    };
    if (format == NULL)
        return;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(failure->detail, sizeof failure->detail, format, arguments);
    va_end(arguments);
}

void duress__assert_failed(const char *condition, const char *file, int line, const char *function)
{
    (void)fprintf(stderr, "%s:%d: %s: broken invariant: %s\n", file, line, function, condition);
    (void)fflush(stderr);
    abort();
}
