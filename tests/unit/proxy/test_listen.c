/* SPDX-License-Identifier: Apache-2.0
 *
 * Addresses to listen at, as Go's net.Listen takes them. */
#include "fixture.h"

#include <string.h>

#include <duress/proxy/listen.h>

static void known_texts_give_one_address_each(void **state)
{
    static const struct {
        const char *text;
        const char *address;
        bool is_wildcard;
    } cases[] = {
        {"127.0.0.1:7000", "127.0.0.1:7000", false},
        {"localhost:7000", "127.0.0.1:7000", false},
        {"[::1]:7000", "[::1]:7000", false},
        {"127.0.0.1:0", "127.0.0.1:0", false},
        {"localhost:", "127.0.0.1:0", false},
        {"127.0.0.1:+80", "127.0.0.1:80", false},
        {":7000", "[::]:7000", true},
        {"0.0.0.0:7000", "[::]:7000", true},
        {"[::]:7000", "[::]:7000", true},
        {"", "[::]:0", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct duress_listen_answer answer;
        assert_true(duress_listen_parse(cases[i].text, &answer));
        assert_int_equal(answer.problem, DURESS_LISTEN_FINE);
        assert_string_equal(answer.address.text, cases[i].address);
        assert_int_equal(answer.address.is_wildcard, cases[i].is_wildcard);
    }
}

static void bad_texts_are_told_apart(void **state)
{
    static const struct {
        const char *text;
        enum duress_listen_problem problem;
        const char *detail;
    } cases[] = {
        {"localhost", DURESS_LISTEN_MISSING_PORT, ""},
        {"[::1]", DURESS_LISTEN_MISSING_PORT, ""},
        {"::1:80", DURESS_LISTEN_TOO_MANY_COLONS, ""},
        {"[::1]:80:90", DURESS_LISTEN_TOO_MANY_COLONS, ""},
        {"[::1:80", DURESS_LISTEN_MISSING_BRACKET, ""},
        {"a[b:80", DURESS_LISTEN_UNEXPECTED_BRACKET, "["},
        {"a]b:80", DURESS_LISTEN_UNEXPECTED_BRACKET, "]"},
        {"localhost:65536", DURESS_LISTEN_INVALID_PORT, "65536"},
        {"localhost:-1", DURESS_LISTEN_INVALID_PORT, "-1"},
        {"localhost:99999999999999999999", DURESS_LISTEN_INVALID_PORT, "99999999999999999999"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct duress_listen_answer answer;
        assert_true(duress_listen_parse(cases[i].text, &answer));
        assert_int_equal(answer.problem, cases[i].problem);
        assert_string_equal(answer.detail, cases[i].detail);
    }
}

static void wildcards_of_one_port_are_equal(void **state)
{
    struct duress_listen_answer a;
    struct duress_listen_answer b;
    (void)state;
    assert_true(duress_listen_parse(":7000", &a) && duress_listen_parse("0.0.0.0:7000", &b));
    assert_true(duress_listen_equal(&a.address, &b.address));
    assert_true(duress_listen_parse("127.0.0.1:7000", &b));
    assert_false(duress_listen_equal(&a.address, &b.address));
    assert_true(duress_listen_parse("localhost:7000", &a));
    assert_true(duress_listen_equal(&a.address, &b.address));
    assert_true(duress_listen_parse("localhost:0", &a) && duress_listen_parse("localhost:0", &b));
    assert_false(duress_listen_equal(&a.address, &b.address));
}

/* --- looking up --- */

struct heard {
    bool is_there;
    struct duress_listen_answer answer;
};

static void heard_it(void *context, const struct duress_listen_answer *answer)
{
    struct heard *heard = context;
    assert_false(heard->is_there);
    heard->is_there = true;
    heard->answer = *answer;
}

static bool is_heard(void *context)
{
    return ((struct heard *)context)->is_there;
}

static struct duress_listen_answer ask(struct fixture *fixture, const char *text)
{
    struct heard heard = {.is_there = false};
    struct duress_listen_lookup *lookup = NULL;
    assert_int_equal(duress_listen_lookup(fixture->loop, text, 0, heard_it, &heard, &lookup), DURESS_OK);
    assert_false(heard.is_there); /* never before the call returns */
    wait_until(fixture, is_heard, &heard, "the answer of a lookup");
    return heard.answer;
}

static void names_and_services_are_looked_up(void **state)
{
    struct fixture fixture;
    struct duress_listen_answer answer;
    (void)state;
    fixture_open(&fixture);
    assert_false(duress_listen_parse("127.1:7000", &answer));
    answer = ask(&fixture, "127.1:7000");
    assert_int_equal(answer.problem, DURESS_LISTEN_FINE);
    assert_string_equal(answer.address.text, "127.0.0.1:7000");
    answer = ask(&fixture, "localhost:7000");
    assert_string_equal(answer.address.text, "127.0.0.1:7000");
    answer = ask(&fixture, "localhost");
    assert_int_equal(answer.problem, DURESS_LISTEN_MISSING_PORT);
    answer = ask(&fixture, "127.0.0.1:no-such-service");
    assert_int_equal(answer.problem, DURESS_LISTEN_UNKNOWN_SERVICE);
    assert_string_equal(answer.detail, "no-such-service");
    fixture_stop(&fixture);
}

static void cancelled_lookup_says_nothing(void **state)
{
    struct fixture fixture;
    struct heard heard = {.is_there = false};
    struct duress_listen_lookup *lookup = NULL;
    (void)state;
    fixture_open(&fixture);
    assert_int_equal(duress_listen_lookup(fixture.loop, "127.1:1", 0, heard_it, &heard, &lookup), DURESS_OK);
    duress_listen_lookup_cancel(lookup);
    assert_int_equal(duress_listen_lookup(fixture.loop, ":1", 0, heard_it, &heard, &lookup), DURESS_OK);
    duress_listen_lookup_cancel(lookup);
    (void)ask(&fixture, "127.1:2"); /* behind which the other would have come */
    run_for(&fixture, 5 * DURESS_MS);
    assert_false(heard.is_there);
    fixture_stop(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_texts_give_one_address_each), cmocka_unit_test(bad_texts_are_told_apart),
        cmocka_unit_test(wildcards_of_one_port_are_equal),   cmocka_unit_test(names_and_services_are_looked_up),
        cmocka_unit_test(cancelled_lookup_says_nothing),
    };
    return cmocka_run_group_tests_name("addresses to listen at", tests, NULL, NULL);
}
