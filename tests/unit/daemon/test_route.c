/* SPDX-License-Identifier: Apache-2.0
 *
 * Targets of requests, raw, and what is asked for by them. */
#include "support.h"

#include "route.h"

struct target {
    char text[256];
    struct route route;
    struct duress_buffer location;
};

static enum route_verdict target_read(struct target *target, const char *text)
{
    size_t length = strlen(text);
    assert_true(length < sizeof target->text);
    memcpy(target->text, text, length + 1);
    duress_buffer_init(&target->location, 0, NULL);
    return duress__route_read(target->text, &target->route, &target->location);
}

static void expect_route(const char *text, enum route_name name, const char *proxy, const char *toxic)
{
    struct target target;
    assert_int_equal(target_read(&target, text), ROUTE_FOUND);
    assert_int_equal(target.route.name, name);
    assert_int_equal(target.route.proxy == NULL, proxy == NULL);
    if (proxy != NULL)
        assert_string_equal(target.route.proxy, proxy);
    assert_int_equal(target.route.toxic == NULL, toxic == NULL);
    if (toxic != NULL)
        assert_string_equal(target.route.toxic, toxic);
    duress_buffer_close(&target.location);
}

static void expect_moved(const char *text, const char *location)
{
    struct target target;
    assert_int_equal(target_read(&target, text), ROUTE_MOVED);
    assert_string_equal(buffer_text(&target.location), location);
    duress_buffer_close(&target.location);
}

static void expect_verdict(const char *text, enum route_verdict verdict)
{
    struct target target;
    assert_int_equal(target_read(&target, text), verdict);
    assert_int_equal(target.route.name, ROUTE_NONE);
    duress_buffer_close(&target.location);
}

static void each_route_is_found_with_its_names(void **state)
{
    (void)state;
    expect_route("/proxies", ROUTE_PROXIES, NULL, NULL);
    expect_route("/populate", ROUTE_POPULATE, NULL, NULL);
    expect_route("/reset", ROUTE_RESET, NULL, NULL);
    expect_route("/version", ROUTE_VERSION, NULL, NULL);
    expect_route("/metrics", ROUTE_METRICS, NULL, NULL);
    expect_route("/connections", ROUTE_CONNECTIONS, NULL, NULL);
    expect_route("/proxies/web", ROUTE_PROXY, "web", NULL);
    expect_route("/proxies/web/toxics", ROUTE_TOXICS, "web", NULL);
    expect_route("/proxies/web/toxics/slow", ROUTE_TOXIC, "web", "slow");
    expect_route("/proxies/toxics/toxics/toxics", ROUTE_TOXIC, "toxics", "toxics");
}

static void names_are_decoded_segment_by_segment(void **state)
{
    (void)state;
    expect_route("/proxies/sp%20ace", ROUTE_PROXY, "sp ace", NULL);
    expect_route("/proxies/%41%6a%7A", ROUTE_PROXY, "Ajz", NULL);
    expect_route("/proxies/a+b", ROUTE_PROXY, "a+b", NULL);
    expect_route("/proxies/%2525", ROUTE_PROXY, "%25", NULL);
    expect_route("/proxies/%C3%A9/toxics/%FF", ROUTE_TOXIC, "\xc3\xa9", "\xff");
    expect_route("/proxies/...", ROUTE_PROXY, "...", NULL);
    expect_verdict("/proxies/a%2Fb", ROUTE_UNKNOWN);
    expect_verdict("/proxies%2Fweb", ROUTE_UNKNOWN);
    expect_verdict("/proxies/web%2Ftoxics", ROUTE_UNKNOWN);
}

static void queries_and_authorities_are_no_path(void **state)
{
    (void)state;
    expect_route("/proxies/web?x=/../%00", ROUTE_PROXY, "web", NULL);
    expect_route("/version?", ROUTE_VERSION, NULL, NULL);
    expect_route("http://localhost:8474/proxies/web", ROUTE_PROXY, "web", NULL);
    expect_verdict("http://localhost", ROUTE_BAD);
    expect_verdict("*", ROUTE_BAD);
    expect_verdict("", ROUTE_BAD);
    expect_verdict("proxies", ROUTE_BAD);
}

static void other_paths_lead_nowhere(void **state)
{
    (void)state;
    expect_verdict("/", ROUTE_UNKNOWN);
    expect_verdict("/proxies/", ROUTE_UNKNOWN);
    expect_verdict("/proxies/web/", ROUTE_UNKNOWN);
    expect_verdict("/proxies/web/toxics/", ROUTE_UNKNOWN);
    expect_verdict("/proxies/web/toxic", ROUTE_UNKNOWN);
    expect_verdict("/proxies/web/toxics/slow/more", ROUTE_UNKNOWN);
    expect_verdict("/PROXIES", ROUTE_UNKNOWN);
    expect_verdict("/proxiesx", ROUTE_UNKNOWN);
    expect_verdict("/version/web", ROUTE_UNKNOWN);
}

/* The name that a library cut off would be another proxy's. */
static void nul_and_broken_escapes_are_refused(void **state)
{
    (void)state;
    expect_verdict("/proxies/web%00x", ROUTE_BAD);
    expect_verdict("/proxies/%00", ROUTE_BAD);
    expect_verdict("/proxies/web%", ROUTE_BAD);
    expect_verdict("/proxies/web%4", ROUTE_BAD);
    expect_verdict("/proxies/web%4g", ROUTE_BAD);
    expect_verdict("/proxies/web%g4", ROUTE_BAD);
    expect_verdict("/proxies/w\teb", ROUTE_BAD);
    expect_verdict("/proxies/w\x7f", ROUTE_BAD);
    expect_verdict("/%00/../proxies", ROUTE_BAD);
}

static void unclean_paths_are_moved(void **state)
{
    (void)state;
    expect_moved("//", "/");
    expect_moved("//proxies", "/proxies");
    expect_moved("/proxies//web", "/proxies/web");
    expect_moved("/proxies//", "/proxies/");
    expect_moved("/proxies/.", "/proxies");
    expect_moved("/proxies/./", "/proxies/");
    expect_moved("/proxies/..", "/");
    expect_moved("/proxies/../../..", "/");
    expect_moved("/a/b/../c", "/a/c");
    expect_moved("/proxies/%2E%2e/version", "/version");
    expect_moved("//sp%20ace%2Fslash?a=b&c", "/sp%20ace%2Fslash?a=b&c");
    expect_moved("//a$&+,:;=@~-._", "/a$&+,:;=@~-._");
}

static void methods_choose_the_operation(void **state)
{
    (void)state;
    assert_int_equal(duress__route_operation(ROUTE_PROXIES, "GET"), OPERATION_PROXY_INDEX);
    assert_int_equal(duress__route_operation(ROUTE_PROXIES, "POST"), OPERATION_PROXY_CREATE);
    assert_int_equal(duress__route_operation(ROUTE_PROXY, "POST"), OPERATION_PROXY_UPDATE);
    assert_int_equal(duress__route_operation(ROUTE_PROXY, "PATCH"), OPERATION_PROXY_UPDATE);
    assert_int_equal(duress__route_operation(ROUTE_TOXIC, "DELETE"), OPERATION_TOXIC_DELETE);
    assert_int_equal(duress__route_operation(ROUTE_METRICS, "HEAD"), OPERATION_METRICS);
    static const char *const others[] = {"HEAD", "PUT", "OPTIONS", "get", "POSTS", ""};
    for (int name = ROUTE_PROXIES; name <= ROUTE_CONNECTIONS; name++) {
        for (size_t i = 0; i < sizeof others / sizeof others[0] && name != ROUTE_METRICS; i++)
            assert_int_equal(duress__route_operation((enum route_name)name, others[i]), OPERATION_NONE);
    }
    for (int operation = 0; operation < OPERATION_COUNT; operation++)
        assert_non_null(duress__operation_name((enum operation)operation));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_route_is_found_with_its_names),  cmocka_unit_test(names_are_decoded_segment_by_segment),
        cmocka_unit_test(queries_and_authorities_are_no_path), cmocka_unit_test(other_paths_lead_nowhere),
        cmocka_unit_test(nul_and_broken_escapes_are_refused),  cmocka_unit_test(unclean_paths_are_moved),
        cmocka_unit_test(methods_choose_the_operation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
