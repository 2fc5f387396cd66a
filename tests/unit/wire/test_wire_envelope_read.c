/* SPDX-License-Identifier: Apache-2.0
 *
 * What is read, and as what. */
#include "wire_test_support.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct duress_buffer scratch;
    struct duress_envelope envelope;
    struct duress_envelope_diagnostics diagnostics;
    char text[4096];
};

static int setup(void **state)
{
    static struct fixture fixture;
    duress_buffer_init(&fixture.scratch, 0, NULL);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    duress_buffer_close(&fixture->scratch);
    return 0;
}

static int decode(struct fixture *fixture, const char *text)
{
    return duress_envelope_decode(duress_slice_text(text), NULL, &fixture->scratch, &fixture->envelope,
                                  &fixture->diagnostics);
}

static void accept(struct fixture *fixture, const char *text)
{
    if (decode(fixture, text) != DURESS_OK)
        fail_msg("refused at %zu (%s): %s", fixture->diagnostics.offset, fixture->diagnostics.reason, text);
    assert_int_equal(fixture->diagnostics.defect, DURESS_DEFECT_NONE);
    assert_null(fixture->diagnostics.reason);
    test_envelope_assert_sound(&fixture->envelope);
}

static void refuse(struct fixture *fixture, const char *text, enum duress_envelope_defect defect)
{
    if (decode(fixture, text) != DURESS_E_MALFORMED)
        fail_msg("not refused: %s", text);
    if (fixture->diagnostics.defect != defect)
        fail_msg("refused as %d (%s): %s", (int)fixture->diagnostics.defect, fixture->diagnostics.reason, text);
    assert_non_null(fixture->diagnostics.reason);
    assert_int_equal(fixture->envelope.type, DURESS_ENVELOPE_NONE);
}

/* A response whose message is |message|. */
static const char *response(struct fixture *fixture, const char *message)
{
    snprintf(fixture->text, sizeof fixture->text,
             "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"r\",\"payload\":{\"message\":%s}}", message);
    return fixture->text;
}

/* A response whose content is |value|. */
static const char *content(struct fixture *fixture, const char *value)
{
    snprintf(fixture->text, sizeof fixture->text,
             "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"r\",\"payload\":{\"message\":"
             "{\"role\":\"agent\",\"content\":%s}}}",
             value);
    return fixture->text;
}

/* An error whose payload is |payload|. */
static const char *error_text(struct fixture *fixture, const char *payload)
{
    snprintf(fixture->text, sizeof fixture->text,
             "{\"version\":\"1.0\",\"type\":\"error\",\"id\":\"e\",\"payload\":%s}", payload);
    return fixture->text;
}

static void worked_request(void **state)
{
    struct fixture *fixture = *state;
    struct duress_envelope *envelope = &fixture->envelope;
    accept(fixture, EXAMPLE_REQUEST);
    assert_int_equal(envelope->type, DURESS_ENVELOPE_REQUEST);
    test_slice_assert(envelope->id, "0b7e3c52-9a41-4d0e-8f3a-2c9d51e6a7b0");
    test_slice_assert(envelope->method, "process");
    test_slice_assert(envelope->agent_name, "adder");
    test_slice_assert(envelope->role, "user");
    test_slice_assert(envelope->content, "2+2");
    test_slice_assert(envelope->metadata, "{}");
    assert_int_equal(envelope->timestamp_ns, EXAMPLE_S * UINT64_C(1000000000) + 250000000);
    assert_int_equal(envelope->message_timestamp_ns, EXAMPLE_S * UINT64_C(1000000000) + 250000000);
}

static void worked_answers(void **state)
{
    struct fixture *fixture = *state;
    struct duress_envelope *envelope = &fixture->envelope;
    accept(fixture, EXAMPLE_RESPONSE);
    assert_int_equal(envelope->type, DURESS_ENVELOPE_RESPONSE);
    test_slice_assert(envelope->content, "4");
    test_slice_assert(envelope->metadata, "{\"unit\":\"none\"}");
    accept(fixture, EXAMPLE_STREAM_CHUNK);
    assert_int_equal(envelope->type, DURESS_ENVELOPE_STREAM_CHUNK);
    test_slice_assert(envelope->content, "four");
    accept(fixture, EXAMPLE_STREAM_END);
    assert_int_equal(envelope->type, DURESS_ENVELOPE_STREAM_END);
    assert_int_equal(envelope->timestamp_ns, (EXAMPLE_S + 1) * UINT64_C(1000000000) + 1000000);
}

static void worked_errors_in_both_shapes(void **state)
{
    struct fixture *fixture = *state;
    const char *const texts[] = {EXAMPLE_ERROR, EXAMPLE_ERROR_NESTED};
    for (int index = 0; index < 2; index++) {
        accept(fixture, texts[index]);
        assert_int_equal(fixture->envelope.type, DURESS_ENVELOPE_ERROR);
        test_slice_assert(fixture->envelope.id, "0b7e3c52-9a41-4d0e-8f3a-2c9d51e6a7b0");
        test_slice_assert(fixture->envelope.error_code, "EXECUTION_ERROR");
        test_slice_assert(fixture->envelope.error_message, "division by zero");
        test_slice_assert(fixture->envelope.error_details, "{}");
        assert_int_equal(fixture->envelope.timestamp_ns != 0, index == 0);
    }
}

static void error_is_flat_first_and_nested_where_flat_lacks(void **state)
{
    struct fixture *fixture = *state;
    struct duress_envelope *envelope = &fixture->envelope;
    accept(fixture, error_text(fixture, "{\"error\":{\"code\":\"N\",\"message\":\"n\"},\"error_code\":\"F\","
                                        "\"error_message\":\"f\",\"error_details\":{\"d\":1}}"));
    test_slice_assert(envelope->error_code, "F");
    test_slice_assert(envelope->error_message, "f");
    test_slice_assert(envelope->error_details, "{\"d\":1}");
    accept(fixture, error_text(fixture, "{\"error_code\":\"F\",\"error\":{\"code\":\"N\",\"message\":\"n\"}}"));
    test_slice_assert(envelope->error_code, "F");
    test_slice_assert(envelope->error_message, "n");
    test_slice_assert(envelope->error_details, "{}");
    accept(fixture, error_text(fixture, "{\"error_code\":null,\"error_message\":null,\"error_details\":null,"
                                        "\"error\":{\"message\":\"n\",\"x\":[],\"code\":\"N\"}}"));
    test_slice_assert(envelope->error_code, "N");
    test_slice_assert(envelope->error_message, "n");
    accept(fixture, error_text(fixture, "{\"error_code\":\"F\"}"));
    test_slice_assert(envelope->error_message, "");
    accept(fixture, error_text(fixture, "{\"error_code\":\"F\",\"error\":\"a text\"}"));
    test_slice_assert(envelope->error_code, "F");
}

static void error_without_a_code_is_refused(void **state)
{
    struct fixture *fixture = *state;
    refuse(fixture, error_text(fixture, "{}"), DURESS_DEFECT_FIELD);
    refuse(fixture, error_text(fixture, "{\"error_code\":\"\"}"), DURESS_DEFECT_FIELD);
    refuse(fixture, error_text(fixture, "{\"error_code\":7,\"error\":{\"code\":\"N\"}}"), DURESS_DEFECT_FIELD);
    refuse(fixture, error_text(fixture, "{\"error\":{\"message\":\"n\"}}"), DURESS_DEFECT_FIELD);
    refuse(fixture, error_text(fixture, "{\"error_code\":\"F\",\"error_message\":{}}"), DURESS_DEFECT_FIELD);
    refuse(fixture, error_text(fixture, "{\"error_code\":\"F\",\"error_details\":[]}"), DURESS_DEFECT_FIELD);
}

static void keys_come_in_any_order_with_any_space(void **state)
{
    struct fixture *fixture = *state;
    accept(fixture, " \r\n\t{ \"payload\" : { \"message\" : { \"timestamp\" : \"2026-01-15T09:30:00Z\" , "
                    "\"metadata\" : { \"a\" : [ 1 , 2 ] } ,\n\"content\" : \"c\" , \"role\" : \"user\" } , "
                    "\"agent_name\" : \"a\" , \"method\" : \"stream\" } , \"timestamp\" : \"2026-01-15T09:30:01Z\" ,"
                    "\"id\" : \"i\" , \"type\" : \"request\" , \"version\" : \"1.0\" } \n");
    test_slice_assert(fixture->envelope.method, "stream");
    test_slice_assert(fixture->envelope.agent_name, "a");
    test_slice_assert(fixture->envelope.metadata, "{ \"a\" : [ 1 , 2 ] }");
    assert_int_equal(fixture->envelope.timestamp_ns, (EXAMPLE_S + 1) * UINT64_C(1000000000));
    assert_int_equal(fixture->envelope.message_timestamp_ns, EXAMPLE_S * UINT64_C(1000000000));
}

static void keys_may_be_escaped(void **state)
{
    struct fixture *fixture = *state;
    accept(fixture, "{\"\\u0076ersion\":\"1.\\u0030\",\"t\\u0079pe\":\"r\\u0065sponse\",\"\\u0069\\u0064\":\"\\u0069\","
                    "\"payload\":{\"\\u006d\\u0065\\u0073\\u0073\\u0061\\u0067\\u0065\":{\"rol\\u0065\":\"\\u0075\","
                    "\"content\":\"c\",\"\\\"\":1}}}");
    test_slice_assert(fixture->envelope.id, "i");
    test_slice_assert(fixture->envelope.role, "u");
    test_slice_assert(fixture->envelope.content, "c");
}

static void unknown_keys_are_dropped_but_checked(void **state)
{
    struct fixture *fixture = *state;
    char text[1024];
    const char *form = "{\"x\":%s,\"version\":\"1.0\",\"type\":\"stream_end\",\"id\":\"i\","
                       "\"a key that is much longer than any known one, and with an escape \\n in its middle, so that "
                       "it does not fit\":%s,\"payload\":{\"y\":%s}}";
    static const char *const good[] = {
        "1", "-0", "1.5e-7", "\"s\"", "null", "true", "[]", "{}", "[1,[2,{\"a\":3}]]", "{\"a\":{\"a\":{}}}"};
    static const char *const bad[] = {"NaN",     "Infinity", "-Infinity", "01",      "1.",   ".5",      "+1",
                                      "1e",      "--1",      "0x1",       "tru",     "True", "[1,]",    "[,1]",
                                      "{,}",     "{a:1}",    "'s'",       "{\"a\"}", "nul",  "[1 2]",   "{\"a\":1,}",
                                      "1e+",     "{1:2}",    "[1}",       "/**/1",   "-",    "\"\\x\"", "]",
                                      "\"\\q\"", "\"a\nb\"", "undefined"};
    for (size_t index = 0; index < sizeof good / sizeof good[0]; index++) {
        snprintf(text, sizeof text, form, good[index], good[index], good[index]);
        accept(fixture, text);
    }
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++) {
        for (int place = 0; place < 3; place++) {
            snprintf(text, sizeof text, form, place == 0 ? bad[index] : "1", place == 1 ? bad[index] : "1",
                     place == 2 ? bad[index] : "1");
            refuse(fixture, text, DURESS_DEFECT_SYNTAX);
        }
    }
}

static void of_a_key_given_twice_the_last_counts(void **state)
{
    struct fixture *fixture = *state;
    struct duress_envelope *envelope = &fixture->envelope;
    accept(fixture,
           "{\"version\":\"9\",\"version\":\"1.0\",\"type\":7,\"type\":\"response\",\"id\":\"a\\n\",\"id\":\"b\","
           "\"payload\":{\"message\":{\"role\":\"x\",\"content\":\"old\",\"metadata\":{\"m\":1}}},"
           "\"payload\":{\"message\":3,\"message\":{\"role\":\"old\",\"content\":\"1\",\"content\":\"new\","
           "\"role\":\"user\"}}}");
    test_slice_assert(envelope->id, "b");
    test_slice_assert(envelope->role, "user");
    test_slice_assert(envelope->content, "new");
    test_slice_assert(envelope->metadata, "{}"); /* the earlier message's went with it */
    accept(fixture, response(fixture, "{\"role\":\"a\",\"content\":\"a\",\"metadata\":{\"a\":1},"
                                      "\"timestamp\":\"2026-01-15T09:30:00Z\"},"
                                      "\"message\":{\"role\":\"b\",\"content\":\"b\"}"));
    test_slice_assert(envelope->role, "b");
    test_slice_assert(envelope->metadata, "{}");
    assert_int_equal(envelope->message_timestamp_ns, 0);
    refuse(fixture, response(fixture, "{\"role\":\"u\",\"content\":\"c\"},\"message\":null"), DURESS_DEFECT_FIELD);
    refuse(fixture, response(fixture, "{\"role\":\"u\",\"content\":\"c\"},\"message\":{\"role\":\"u\"}"),
           DURESS_DEFECT_FIELD);
    refuse(fixture, "{\"version\":\"1.0\",\"version\":\"2.0\",\"type\":\"heartbeat\",\"id\":\"i\",\"payload\":{}}",
           DURESS_DEFECT_VERSION);
    accept(fixture, error_text(fixture, "{\"error\":{\"code\":\"A\",\"message\":\"a\"},\"error\":{\"code\":\"B\"}}"));
    test_slice_assert(envelope->error_code, "B");
    test_slice_assert(envelope->error_message, "");
    refuse(fixture, error_text(fixture, "{\"error\":{\"code\":\"A\"}},\"payload\":{}"), DURESS_DEFECT_FIELD);
}

static void every_escape(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *json;
        const char *meaning;
    } cases[] = {
        {"\"\\\"\"", "\""},
        {"\"\\\\\"", "\\"},
        {"\"\\/\"", "/"},
        {"\"\\b\\f\\n\\r\\t\"", "\b\f\n\r\t"},
        {"\"a\\nb\\nc\"", "a\nb\nc"},
        {"\"\\u0041\\u005A\\u005a\"", "AZZ"},
        {"\"\\u001f\\u007f\"", "\x1f\x7f"},
        {"\"\\u0080\\u07ff\"", "\xc2\x80\xdf\xbf"},
        {"\"\\u0800\\uD7fF\\uE000\\uffff\"", "\xe0\xa0\x80\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf"},
        {"\"\\ud800\\udc00\\uDBFF\\uDFFF\"", "\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"},
        {"\"x\\uD83D\\uDE00y\"", "x\xf0\x9f\x98\x80y"},
        {"\"\xe2\x82\xac\\u20ac\"", "\xe2\x82\xac\xe2\x82\xac"},
        {"\"\x7f\"", "\x7f"},
        {"\"\"", ""},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        accept(fixture, content(fixture, cases[index].json));
        test_slice_assert(fixture->envelope.content, cases[index].meaning);
    }
    accept(fixture, content(fixture, "\"a\\u0000b\""));
    assert_true(duress_slice_equal(fixture->envelope.content, duress_slice_bytes("a\0b", 3)));
}

static void bad_strings_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {
        "\"\\a\"",
        "\"\\u12g4\"",
        "\"\\U0041\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800x\"",
        "\"\\ud800\\n\"",
        "\"\\ud800\\u0041\"",
        "\"\\ud800\\ud800\"",
        "\"\\udc00\\ud800\"",
        "\"\x01\"",
        "\"\t\"",
        "\"\xff\"",
        "\"\xc0\x80\"",
        "\"\xed\xa0\x80\"",
        "\"\xf4\x90\x80\x80\"",
        "\"\x80\"",
        "\"\xe2\x82\"",
        "\"\\u 041\"",
        "\"\\u-041\"",
        "\"12345678\x1f\"",
        "\"1234567\xe2\x28\xa1\"",
        "\"\\u004\"",
    };
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++)
        refuse(fixture, content(fixture, bad[index]), DURESS_DEFECT_SYNTAX);
    refuse(fixture, "{\"version\":\"1.0\",\"\\ud800\":1}", DURESS_DEFECT_SYNTAX);
    refuse(fixture, "{\"version\":\"1.0\",\"\xff\":1}", DURESS_DEFECT_SYNTAX);
}

/* Eight bytes are looked at together: whatever the byte and its place among them, it must be judged alike. */
static void every_byte_at_every_place_of_a_word(void **state)
{
    struct fixture *fixture = *state;
    for (int byte = 0; byte < 256; byte++) {
        for (int place = 0; place < 17; place++) {
            const char *text = content(fixture, "\"aaaaaaaaaaaaaaaaaaaaaaaaa\"");
            char *run = strstr(fixture->text, "aaaaaaaa");
            size_t length = strlen(text);
            run[place] = (char)byte;
            int code = duress_envelope_decode(duress_slice_bytes(text, length), NULL, &fixture->scratch,
                                              &fixture->envelope, &fixture->diagnostics);
            bool plain = byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\';
            if (code != (plain ? DURESS_OK : DURESS_E_MALFORMED))
                fail_msg("byte %02x at place %d gives %d", (unsigned)byte, place, code);
            if (plain)
                assert_true(duress_slice_equal(fixture->envelope.content, duress_slice_bytes(run, 25)));
        }
    }
}

static void every_byte_after_a_backslash(void **state)
{
    struct fixture *fixture = *state;
    for (int byte = 0; byte < 256; byte++) {
        const char *text = content(fixture, "\"\\?0041\"");
        size_t length = strlen(text);
        *strchr(fixture->text, '?') = (char)byte;
        int code = duress_envelope_decode(duress_slice_bytes(text, length), NULL, &fixture->scratch, &fixture->envelope,
                                          &fixture->diagnostics);
        bool known = byte != 0 && strchr("\"\\/bfnrtu", byte) != NULL;
        if (code != (known ? DURESS_OK : DURESS_E_MALFORMED))
            fail_msg("backslash and %02x give %d", (unsigned)byte, code);
    }
}

static void content_that_is_no_string_is_its_json_text(void **state)
{
    struct fixture *fixture = *state;
    static const char *const values[] = {"4",
                                         "-1.50e+02",
                                         "true",
                                         "false",
                                         "null",
                                         "[1, 2 ,{\"a\":\"\\n\"}]",
                                         "{ \"x\" : {} }",
                                         "12345678901234567890123",
                                         "[]"};
    for (size_t index = 0; index < sizeof values / sizeof values[0]; index++) {
        accept(fixture, content(fixture, values[index]));
        test_slice_assert(fixture->envelope.content, values[index]);
    }
}

static void optional_members_may_be_missing_or_null(void **state)
{
    struct fixture *fixture = *state;
    struct duress_envelope *envelope = &fixture->envelope;
    accept(fixture, "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"i\",\"timestamp\":null,\"payload\":{"
                    "\"method\":null,\"agent_name\":null,\"message\":{\"role\":\"u\",\"content\":\"\","
                    "\"metadata\":null,\"timestamp\":null}}}");
    assert_int_equal(envelope->timestamp_ns, 0);
    assert_int_equal(envelope->message_timestamp_ns, 0);
    assert_int_equal(envelope->method.length + envelope->agent_name.length + envelope->content.length, 0);
    test_slice_assert(envelope->metadata, "{}");
    accept(fixture, "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"i\",\"payload\":{"
                    "\"message\":{\"role\":\"u\",\"content\":\"\",\"timestamp\":\"\"}}}");
    assert_int_equal(envelope->message_timestamp_ns, 0);
    test_slice_assert(envelope->metadata, "{}");
}

static void members_of_other_types_are_not_judged(void **state)
{
    struct fixture *fixture = *state;
    accept(fixture,
           "{\"version\":\"1.0\",\"type\":\"response\",\"id\":\"r\",\"payload\":{\"error_code\":7,\"method\":[],"
           "\"error\":3,\"agent_name\":1,\"message\":{\"role\":\"u\",\"content\":\"c\"}}}");
    assert_int_equal(fixture->envelope.method.length, 0);
    for (int type = DURESS_ENVELOPE_HEARTBEAT; type <= DURESS_ENVELOPE_UNREGISTER; type++) {
        snprintf(fixture->text, sizeof fixture->text,
                 "{\"version\":\"1.0\",\"type\":\"%s\",\"id\":\"r\",\"payload\":{\"message\":\"m\",\"x\":[1]}}",
                 duress_envelope_type_name((enum duress_envelope_type)type));
        accept(fixture, fixture->text);
        assert_int_equal(fixture->envelope.type, type);
    }
}

static void missing_or_wrong_members_are_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {
        "{}",
        "{\"type\":\"heartbeat\",\"id\":\"i\",\"payload\":{}}",
        "{\"version\":1.0,\"type\":\"heartbeat\",\"id\":\"i\",\"payload\":{}}",
        "{\"version\":\"1.0\",\"id\":\"i\",\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"\",\"id\":\"i\",\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"none\",\"id\":\"i\",\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"Request\",\"id\":\"i\",\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"execute\",\"id\":\"i\",\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"\",\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":7,\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":null,\"payload\":{}}",
        "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"i\"}",
        "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"i\",\"payload\":null}",
        "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"i\",\"payload\":[]}",
        "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"i\",\"payload\":\"{}\"}",
        "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"i\",\"payload\":{},\"timestamp\":0}",
        "{\"version\":\"1.0\",\"type\":\"heartbeat\",\"id\":\"i\",\"payload\":{},\"timestamp\":\"yesterday\"}",
        "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"i\",\"payload\":{\"method\":\"process\"}}",
        "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"i\",\"payload\":{\"method\":7,\"message\":{\"role\":\"u\","
        "\"content\":\"\"}}}",
        "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"i\",\"payload\":{\"agent_name\":{},\"message\":{\"role\":"
        "\"u\",\"content\":\"\"}}}",
    };
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++)
        refuse(fixture, bad[index], DURESS_DEFECT_FIELD);
    static const char *const messages[] = {
        "[]",
        "null",
        "\"m\"",
        "{}",
        "{\"role\":\"u\"}",
        "{\"content\":\"c\"}",
        "{\"role\":\"\",\"content\":\"c\"}",
        "{\"role\":5,\"content\":\"c\"}",
        "{\"role\":\"u\",\"content\":\"c\",\"metadata\":[]}",
        "{\"role\":\"u\",\"content\":\"c\",\"metadata\":\"{}\"}",
        "{\"role\":\"u\",\"content\":\"c\",\"timestamp\":5}",
        "{\"role\":\"u\",\"content\":\"c\",\"timestamp\":\"2026-01-15T09:30:00\"}",
    };
    for (size_t index = 0; index < sizeof messages / sizeof messages[0]; index++)
        refuse(fixture, response(fixture, messages[index]), DURESS_DEFECT_FIELD);
}

static void what_is_no_object_is_refused(void **state)
{
    struct fixture *fixture = *state;
    static const char *const bad[] = {"[]", "null", "7", "\"s\"", "}", "\xef\xbb\xbf{}", "{}{}", "{},", "{} x", "{}]"};
    for (size_t index = 0; index < sizeof bad / sizeof bad[0]; index++)
        refuse(fixture, bad[index], DURESS_DEFECT_SYNTAX);
}

static void version_is_told_apart(void **state)
{
    struct fixture *fixture = *state;
    static const char *const versions[] = {"2.0", "1", "1.1", "1.00", "v1.0", " 1.0"};
    for (size_t index = 0; index < sizeof versions / sizeof versions[0]; index++) {
        snprintf(fixture->text, sizeof fixture->text,
                 "{\"version\":\"%s\",\"type\":\"novelty\",\"id\":\"named\",\"payload\":{}}", versions[index]);
        refuse(fixture, fixture->text, DURESS_DEFECT_VERSION);
        assert_int_equal(fixture->diagnostics.offset, 12);
        assert_string_equal(fixture->diagnostics.reason, "unsupported version");
        test_slice_assert(fixture->envelope.id, "named");
    }
}

/* An answer to an envelope that is JSON but no good can still name it. */
static void refused_envelope_keeps_its_id_only(void **state)
{
    struct fixture *fixture = *state;
    refuse(fixture, "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"a\\u0062c\",\"payload\":{\"method\":\"m\"}}",
           DURESS_DEFECT_FIELD);
    test_slice_assert(fixture->envelope.id, "abc");
    assert_int_equal(fixture->envelope.method.length, 0);
    refuse(fixture, "{\"version\":\"1.0\",\"type\":\"request\",\"id\":\"abc\",\"payload\":{\"method\":\"m\"}} x",
           DURESS_DEFECT_SYNTAX);
    assert_int_equal(fixture->envelope.id.length, 0);
}

static void place_of_the_defect_is_told(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        const char *text;
        size_t offset;
        const char *reason;
    } cases[] = {
        {"  x", 2, "no JSON object"},
        {"{\"a\":tru}", 5, "no JSON value"},
        {"{\"a\":1.x}", 7, "bad number"},
        {"{\"a\":\"\\q\"}", 6, "unknown escape"},
        {"{\"a\":\"\\u00x0\"}", 10, "bad hexadecimal digit in an escape"},
        {"{\"a\":\"b\xff\"}", 7, "no UTF-8"},
        {"{\"a\":\"b\x01\"}", 7, "control character in a string"},
        {"{\"a\" 1}", 5, "no colon after a key"},
        {"{\"a\":1 \"b\":2}", 7, "no comma or brace after a member"},
        {"{\"a\":[1 2]}", 8, "no comma or bracket after an element"},
        {"{\"a\":1,}", 7, "no key"},
        {"{\"a\":\"\\udc00\"}", 6, "half of a surrogate pair"},
        {"{} {", 3, "bytes after the end"},
        {"{\"id\":5}", 6, "id is missing, empty or no string"},
        {"{ }", 3, "id is missing, empty or no string"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        assert_int_equal(decode(fixture, cases[index].text), DURESS_E_MALFORMED);
        assert_string_equal(fixture->diagnostics.reason, cases[index].reason);
        assert_int_equal(fixture->diagnostics.offset, cases[index].offset);
    }
    assert_int_equal(decode(fixture, "{\"id\":\"x"), DURESS_E_TRUNCATED);
    assert_int_equal(fixture->diagnostics.offset, 8);
    assert_string_equal(fixture->diagnostics.reason, "ends too early");
}

int main(void)
{
#define TEST(function) cmocka_unit_test_setup_teardown(function, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(worked_request),
        TEST(worked_answers),
        TEST(worked_errors_in_both_shapes),
        TEST(error_is_flat_first_and_nested_where_flat_lacks),
        TEST(error_without_a_code_is_refused),
        TEST(keys_come_in_any_order_with_any_space),
        TEST(keys_may_be_escaped),
        TEST(unknown_keys_are_dropped_but_checked),
        TEST(of_a_key_given_twice_the_last_counts),
        TEST(every_escape),
        TEST(bad_strings_are_refused),
        TEST(every_byte_at_every_place_of_a_word),
        TEST(every_byte_after_a_backslash),
        TEST(content_that_is_no_string_is_its_json_text),
        TEST(optional_members_may_be_missing_or_null),
        TEST(members_of_other_types_are_not_judged),
        TEST(missing_or_wrong_members_are_refused),
        TEST(what_is_no_object_is_refused),
        TEST(version_is_told_apart),
        TEST(refused_envelope_keeps_its_id_only),
        TEST(place_of_the_defect_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
