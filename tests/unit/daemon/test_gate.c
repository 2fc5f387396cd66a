/* SPDX-License-Identifier: Apache-2.0
 *
 * Who is let in. */
#include "support.h"

#include "gate.h"

static const struct gate loopback = {.checks_host = true};

static enum gate_verdict verdict(const struct gate *gate, struct gate_request request)
{
    struct refusal refusal = {.status = 0};
    enum gate_verdict given = duress__gate_check(gate, &request, &refusal);
    assert_int_equal(given == GATE_OPEN, refusal.status == 0);
    return given;
}

static enum gate_verdict host_verdict(const char *host)
{
    return verdict(&loopback, (struct gate_request){.host = host});
}

static void browsers_are_refused_by_their_name(void **state)
{
    (void)state;
    assert_int_equal(verdict(&loopback, (struct gate_request){.user_agent = "Mozilla/5.0"}), GATE_BROWSER);
    assert_int_equal(verdict(&loopback, (struct gate_request){.user_agent = "Mozilla/"}), GATE_BROWSER);
    assert_int_equal(verdict(&loopback, (struct gate_request){.user_agent = "mozilla/5.0"}), GATE_OPEN);
    assert_int_equal(verdict(&loopback, (struct gate_request){.user_agent = "Mozilla"}), GATE_OPEN);
    assert_int_equal(verdict(&loopback, (struct gate_request){.user_agent = ""}), GATE_OPEN);
    assert_int_equal(verdict(&loopback, (struct gate_request){.user_agent = NULL}), GATE_OPEN);
}

static void hosts_that_public_names_cannot_be_are_let_in(void **state)
{
    static const char *const in[] = {"localhost",   "LOCALHOST:8474", "127.0.0.1",        "10.1.2.3:1",
                                     "[::1]:8474",  "[fe80::1]",      "toxiproxy:8474",   "a.localhost",
                                     "db.internal", "x.y.local.",     "router.home.arpa", ""};
    static const char *const out[] = {"evil.com",         "evil.com:8474",     "localhost.evil.com", "evil.com.",
                                      "127.0.0.1.nip.io", "xlocalhost.evil.x", "evil-local.com",     "1.2.3"};
    (void)state;
    for (size_t i = 0; i < sizeof in / sizeof in[0]; i++)
        assert_int_equal(host_verdict(in[i]), GATE_OPEN);
    for (size_t i = 0; i < sizeof out / sizeof out[0]; i++)
        assert_int_equal(host_verdict(out[i]), GATE_REFUSED);
    assert_int_equal(host_verdict(NULL), GATE_OPEN);
}

static void a_host_that_never_ends_is_refused(void **state)
{
    char host[1000];
    (void)state;
    memset(host, 'a', sizeof host);
    host[sizeof host - 1] = '\0';
    assert_int_equal(host_verdict(host), GATE_REFUSED);
}

static void hosts_are_checked_where_that_is_asked_for(void **state)
{
    static const char *const allowed[] = {"chaos.example.com"};
    static const char *const all[] = {"*"};
    const struct gate open = {.checks_host = false};
    const struct gate some = {.checks_host = true, .hosts = allowed, .host_count = 1};
    const struct gate any = {.checks_host = true, .hosts = all, .host_count = 1};
    (void)state;
    assert_int_equal(verdict(&open, (struct gate_request){.host = "evil.com"}), GATE_OPEN);
    assert_int_equal(verdict(&some, (struct gate_request){.host = "Chaos.Example.com:8474"}), GATE_OPEN);
    assert_int_equal(verdict(&some, (struct gate_request){.host = "other.example.com"}), GATE_REFUSED);
    assert_int_equal(verdict(&any, (struct gate_request){.host = "evil.com"}), GATE_OPEN);
}

static void pages_of_others_are_refused(void **state)
{
    (void)state;
    struct gate_request request = {.host = "localhost:8474", .origin = "http://localhost:8474"};
    assert_int_equal(verdict(&loopback, request), GATE_OPEN);
    static const char *const out[] = {"http://evil.com",       "null",           "",
                                      "http://localhost:3000", "localhost:8474", "http://localhost:8474.evil.com"};
    for (size_t i = 0; i < sizeof out / sizeof out[0]; i++) {
        request.origin = out[i];
        assert_int_equal(verdict(&loopback, request), GATE_REFUSED);
    }
}

static void the_token_opens(void **state)
{
    const struct gate gate = {.token = "secret"};
    struct refusal refusal = {.status = 0};
    struct gate_request request = {.authorization = "Bearer secret"};
    (void)state;
    assert_int_equal(verdict(&gate, request), GATE_OPEN);
    request.authorization = "bearer secret";
    assert_int_equal(verdict(&gate, request), GATE_OPEN);
    static const char *const out[] = {"Bearer secre", "Bearer secrets", "Bearer ",       "secret",
                                      "Basic secret", "Bearer Secret",  "Bearer xxxxxx", ""};
    for (size_t i = 0; i < sizeof out / sizeof out[0]; i++) {
        request.authorization = out[i];
        assert_int_equal(verdict(&gate, request), GATE_REFUSED);
    }
    request.authorization = NULL;
    assert_int_equal(duress__gate_check(&gate, &request, &refusal), GATE_REFUSED);
    assert_int_equal(refusal.status, 401);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(browsers_are_refused_by_their_name),
        cmocka_unit_test(hosts_that_public_names_cannot_be_are_let_in),
        cmocka_unit_test(a_host_that_never_ends_is_refused),
        cmocka_unit_test(hosts_are_checked_where_that_is_asked_for),
        cmocka_unit_test(pages_of_others_are_refused),
        cmocka_unit_test(the_token_opens),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
