/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses as text: split, refused, echoed, compared. */
#include "support.h"

#include "address.h"

static void expect_parts(const char *text, const char *host, uint16_t port)
{
    char reason[ADDRESS_REASON_BYTES_MAX];
    struct address_parts parts;
    assert_true(duress__address_split(text, &parts, reason));
    assert_string_equal(parts.host, host);
    assert_int_equal(parts.port, port);
}

static void expect_reason(const char *text, const char *wanted)
{
    char reason[ADDRESS_REASON_BYTES_MAX];
    struct address_parts parts;
    assert_false(duress__address_split(text, &parts, reason));
    assert_string_equal(reason, wanted);
}

static void address_of(const char *text, struct address *address)
{
    char reason[ADDRESS_REASON_BYTES_MAX];
    struct address_parts parts;
    assert_true(duress__address_split(text, &parts, reason));
    assert_true(duress__address_numeric(&parts, address));
}

static void expect_echo(const char *text, const char *echo, const char *asked)
{
    char formatted[ADDRESS_TEXT_BYTES_MAX];
    struct address address;
    address_of(text, &address);
    assert_string_equal(duress__address_format(&address, formatted), echo);
    assert_string_equal(address.asked, asked);
}

static void host_and_port_are_split(void **state)
{
    (void)state;
    expect_parts("", "", 0);
    expect_parts(":0", "", 0);
    expect_parts(":80", "", 80);
    expect_parts("1.2.3.4:80", "1.2.3.4", 80);
    expect_parts("host:", "host", 0);
    expect_parts("[::1]:8080", "::1", 8080);
    expect_parts("[]:1", "", 1);
    expect_parts("localhost:http", "localhost", 80);
    expect_parts("localhost:HTTPS", "localhost", 443);
    expect_parts("localhost:00080", "localhost", 80);
    expect_parts("localhost:+80", "localhost", 80);
    expect_parts("localhost:-0", "localhost", 0);
    expect_parts("localhost:65535", "localhost", 65535);
}

static void what_is_no_address_is_told_why(void **state)
{
    (void)state;
    expect_reason("x", "address x: missing port in address");
    expect_reason("1:2:3", "address 1:2:3: too many colons in address");
    expect_reason("::1", "address ::1: too many colons in address");
    expect_reason("[::1]", "address [::1]: missing port in address");
    expect_reason("[::1", "address [::1: missing ']' in address");
    expect_reason("[::1]80:1", "address [::1]80:1: missing port in address");
    expect_reason("[::1]:80:1", "address [::1]:80:1: too many colons in address");
    expect_reason("[a[b]:1", "address [a[b]:1: unexpected '[' in address");
    expect_reason("a[b:1", "address a[b:1: unexpected '[' in address");
    expect_reason("ab]:1", "address ab]:1: unexpected ']' in address");
    expect_reason("a:65536", "address 65536: invalid port");
    expect_reason("a:100000", "address 100000: invalid port");
    expect_reason("a:-1", "address -1: invalid port");
    expect_reason("a:no-such-service", "lookup tcp/no-such-service: unknown port");
    expect_reason("a:80x", "lookup tcp/80x: unknown port");
    expect_reason("a:+", "lookup tcp/+: unknown port");
}

static void a_name_too_long_for_any_host_is_refused(void **state)
{
    char text[600];
    char reason[ADDRESS_REASON_BYTES_MAX];
    struct address_parts parts;
    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text + 500, ":80", 4);
    assert_false(duress__address_split(text, &parts, reason));
    assert_non_null(strstr(reason, "no such host"));
}

static void numeric_addresses_are_echoed_as_they_listen(void **state)
{
    (void)state;
    expect_echo("127.0.0.1:80", "127.0.0.1:80", "127.0.0.1:80");
    expect_echo("[::1]:80", "[::1]:80", "[::1]:80");
    expect_echo("[0:0:0:0:0:0:0:1]:80", "[::1]:80", "[::1]:80");
    expect_echo("0.0.0.0:80", "[::]:80", "0.0.0.0:80");
    expect_echo(":80", "[::]:80", ":80");
    expect_echo("[::]:80", "[::]:80", "0.0.0.0:80");
    expect_echo("", "[::]:0", ":0");
}

static void a_wildcard_has_an_ipv4_form(void **state)
{
    char text[ADDRESS_TEXT_BYTES_MAX];
    struct address address;
    (void)state;
    address_of(":7000", &address);
    assert_true(duress__address_to_ipv4(&address));
    assert_string_equal(duress__address_format(&address, text), "0.0.0.0:7000");
    address_of("[::1]:7000", &address);
    assert_false(duress__address_to_ipv4(&address));
}

static bool is_same(const char *stored, const char *text)
{
    struct address address;
    address_of(text, &address);
    return duress__address_is_same(stored, text, &address);
}

static void the_same_address_is_known_by_any_spelling(void **state)
{
    (void)state;
    assert_true(is_same("127.0.0.1:7000", "127.0.0.1:7000"));
    assert_true(is_same("[::]:7000", "0.0.0.0:7000"));
    assert_true(is_same("[::]:7000", ":7000"));
    assert_true(is_same("0.0.0.0:7000", "[::]:7000"));
    assert_true(is_same("[::1]:7000", "[0::1]:7000"));
    assert_false(is_same("127.0.0.1:7000", "127.0.0.1:7001"));
    assert_false(is_same("127.0.0.1:7000", "127.0.0.2:7000"));
    assert_false(is_same("[::]:7000", "127.0.0.1:7000"));
    assert_false(is_same("127.0.0.1:7000", "0.0.0.0:7000"));
    assert_false(is_same("127.0.0.1:7000", "127.0.0.1:0"));
    assert_false(is_same("[::]:7000", ":0"));
    assert_false(is_same("nonsense", ":7000"));
}

static void names_are_the_callers_to_look_up(void **state)
{
    char reason[ADDRESS_REASON_BYTES_MAX];
    struct address_parts parts;
    struct address address;
    (void)state;
    assert_true(duress__address_split("db.internal:5432", &parts, reason));
    assert_false(duress__address_numeric(&parts, &address));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_and_port_are_split),
        cmocka_unit_test(what_is_no_address_is_told_why),
        cmocka_unit_test(a_name_too_long_for_any_host_is_refused),
        cmocka_unit_test(numeric_addresses_are_echoed_as_they_listen),
        cmocka_unit_test(a_wildcard_has_an_ipv4_form),
        cmocka_unit_test(the_same_address_is_known_by_any_spelling),
        cmocka_unit_test(names_are_the_callers_to_look_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
