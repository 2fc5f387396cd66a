/* SPDX-License-Identifier: Apache-2.0 */
#include "fixture.h"

#include <string.h>

#include "endpoint.h"

static void numeric_addresses_are_read(void **state)
{
    struct endpoint endpoint;
    (void)state;
    assert_true(duress__proxy_endpoint_parse("127.0.0.1:80", &endpoint));
    assert_int_equal(endpoint.address.ss_family, AF_INET);
    assert_int_equal(duress__proxy_endpoint_port(&endpoint), 80);
    assert_true(duress__proxy_endpoint_is_tcp(&endpoint));
    assert_true(duress__proxy_endpoint_parse("[::1]:65535", &endpoint));
    assert_int_equal(endpoint.address.ss_family, AF_INET6);
    assert_int_equal(duress__proxy_endpoint_port(&endpoint), 65535);
    assert_true(duress__proxy_endpoint_parse("unix:///tmp/a", &endpoint));
    assert_int_equal(endpoint.address.ss_family, AF_UNIX);
    assert_false(duress__proxy_endpoint_is_tcp(&endpoint));
    assert_int_equal(duress__proxy_endpoint_port(&endpoint), 0);
}

static void all_else_is_refused(void **state)
{
    static const char *const bad[] = {
        "",          "127.0.0.1",  "127.0.0.1:",      "127.0.0.1:65536", "127.0.0.1:-1",   "127.0.0.1:1x",
        "localhost", ":80",        "localhost:80",    "::1:80",          "[127.0.0.1]:80", "[::1]",
        "[]:80",     "[::1:80",    "127.0.0.1:99999", "unix://",         "1.2.3.4.5:6",    "127.0.0.1:000080",
        "[:80",      "0x7f.1:80 ",
    };
    struct endpoint endpoint;
    char long_path[200];
    char long_host[200];
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(duress__proxy_endpoint_parse(bad[i], &endpoint));
    memset(long_path, 'a', sizeof long_path);
    memcpy(long_path, "unix:///", 8);
    long_path[sizeof long_path - 1] = '\0';
    assert_false(duress__proxy_endpoint_parse(long_path, &endpoint));
    memset(long_host, '1', sizeof long_host);
    memcpy(long_host + sizeof long_host - 4, ":80", 4);
    assert_false(duress__proxy_endpoint_parse(long_host, &endpoint));
}

static void equality_knows_host_and_port(void **state)
{
    struct endpoint a;
    struct endpoint b;
    (void)state;
    assert_true(duress__proxy_endpoint_parse("127.0.0.1:80", &a));
    assert_true(duress__proxy_endpoint_parse("127.0.0.1:81", &b));
    assert_true(duress__proxy_endpoint_host_equal(&a, &b));
    assert_false(duress__proxy_endpoint_equal(&a, &b));
    duress__proxy_endpoint_port_set(&b, 80);
    assert_true(duress__proxy_endpoint_equal(&a, &b));
    assert_true(duress__proxy_endpoint_parse("127.0.0.2:80", &b));
    assert_false(duress__proxy_endpoint_equal(&a, &b));
    assert_true(duress__proxy_endpoint_parse("[::1]:80", &a));
    assert_false(duress__proxy_endpoint_host_equal(&a, &b));
    assert_true(duress__proxy_endpoint_parse("[::1]:0", &b));
    duress__proxy_endpoint_port_set(&b, 80);
    assert_true(duress__proxy_endpoint_equal(&a, &b));
}

static void wildcards_are_reached_by_loopback(void **state)
{
    struct endpoint wildcard;
    struct endpoint loopback;
    struct endpoint reached;
    (void)state;
    assert_true(duress__proxy_endpoint_parse("0.0.0.0:7", &wildcard));
    assert_true(duress__proxy_endpoint_parse("127.0.0.1:7", &loopback));
    reached = duress__proxy_endpoint_to_reach(&wildcard);
    assert_true(duress__proxy_endpoint_equal(&reached, &loopback));
    assert_true(duress__proxy_endpoint_parse("[::]:7", &wildcard));
    assert_true(duress__proxy_endpoint_parse("[::1]:7", &loopback));
    reached = duress__proxy_endpoint_to_reach(&wildcard);
    assert_true(duress__proxy_endpoint_equal(&reached, &loopback));
    assert_true(duress__proxy_endpoint_parse("127.0.0.9:7", &wildcard));
    reached = duress__proxy_endpoint_to_reach(&wildcard);
    assert_true(duress__proxy_endpoint_equal(&reached, &wildcard));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numeric_addresses_are_read),
        cmocka_unit_test(all_else_is_refused),
        cmocka_unit_test(equality_knows_host_and_port),
        cmocka_unit_test(wildcards_are_reached_by_loopback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
