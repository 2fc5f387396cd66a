/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include <duress/world/address.h>

static void what_is_formatted_is_what_was_parsed(void **state)
{
    (void)state;
    static const char *const texts[] = {"127.0.0.1:80", "0.0.0.0:0",          "255.255.255.255:65535",
                                        "[::1]:443",    "[2001:db8::7]:8080", "unix:///run/a socket"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct duress_address address;
        struct duress_address again;
        char text[DURESS_ADDRESS_TEXT_BYTES_MAX];
        assert_true(duress_address_parse(texts[i], &address));
        assert_string_equal(duress_address_format(&address, text, sizeof text), texts[i]);
        assert_true(duress_address_parse(text, &again));
        assert_true(duress_address_equal(&address, &again));
    }
}

static void what_is_no_address_is_refused_and_nothing_written(void **state)
{
    (void)state;
    static const char *const texts[] = {"",
                                        "127.0.0.1",
                                        "127.0.0.1:",
                                        "127.0.0.1:65536",
                                        "127.0.0.1:-1",
                                        "127.0.0.1: 80",
                                        "127.0.0.1:080000",
                                        "localhost:80",
                                        "::1:80",
                                        "[::1]",
                                        "[::1]80",
                                        "[127.0.0.1]:80",
                                        "[::1:80",
                                        "unix://",
                                        "1.2.3:80",
                                        "127.0.0.1:8o"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct duress_address address = {.port = 7};
        assert_false(duress_address_parse(texts[i], &address));
        assert_int_equal(address.family, DURESS_FAMILY_NONE);
        assert_int_equal(address.port, 7);
    }
    assert_false(duress_address_parse(NULL, &(struct duress_address){.port = 0}));
}

static void a_unix_path_has_its_limit(void **state)
{
    (void)state;
    char path[DURESS_ADDRESS_PATH_BYTES_MAX + 1];
    memset(path, 'p', sizeof path);
    path[DURESS_ADDRESS_PATH_BYTES_MAX] = '\0';
    assert_int_equal(duress_address_unix(path).family, DURESS_FAMILY_NONE);
    path[DURESS_ADDRESS_PATH_BYTES_MAX - 1] = '\0';
    struct duress_address longest = duress_address_unix(path);
    assert_int_equal(longest.family, DURESS_FAMILY_UNIX);
    assert_string_equal(longest.path, path);
    char text[DURESS_ADDRESS_TEXT_BYTES_MAX];
    assert_int_equal(strlen(duress_address_format(&longest, text, sizeof text)), strlen(path) + strlen("unix://"));
    assert_int_equal(duress_address_unix(NULL).family, DURESS_FAMILY_NONE);
}

static void equal_is_by_what_counts(void **state)
{
    (void)state;
    struct duress_address a = duress_address_loopback(80);
    struct duress_address b = duress_address_loopback(80);
    b.bytes[9] = 1; /* not part of an IPv4 address */
    assert_true(duress_address_equal(&a, &b));
    b.port = 81;
    assert_false(duress_address_equal(&a, &b));
    b = a;
    b.bytes[3] = 2;
    assert_false(duress_address_equal(&a, &b));
    b.family = DURESS_FAMILY_IPV6;
    assert_false(duress_address_equal(&a, &b));
    struct duress_address c = b;
    assert_true(duress_address_equal(&b, &c));
    c.bytes[15] = 1;
    assert_false(duress_address_equal(&b, &c));
    a = duress_address_unix("/a");
    b = duress_address_unix("/b");
    assert_false(duress_address_equal(&a, &b));
    b = duress_address_unix("/a");
    assert_true(duress_address_equal(&a, &b));
}

static void text_is_cut_to_its_room(void **state)
{
    (void)state;
    struct duress_address address = duress_address_loopback(8080);
    char text[6] = "?????";
    assert_string_equal(duress_address_format(&address, text, sizeof text), "127.0");
    assert_ptr_equal(duress_address_format(&address, text, 0), text);
    assert_string_equal(text, "127.0");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_formatted_is_what_was_parsed),
        cmocka_unit_test(what_is_no_address_is_refused_and_nothing_written),
        cmocka_unit_test(a_unix_path_has_its_limit),
        cmocka_unit_test(equal_is_by_what_counts),
        cmocka_unit_test(text_is_cut_to_its_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
