/* SPDX-License-Identifier: Apache-2.0
 *
 * Our own client against a daemon that speaks the API, whose port is in API_PORT: each call, and each way to fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <duress/time.h>
#include <duress/toxiproxy/client.h>

static struct duress_toxiproxy *client;

static int begin(void **state)
{
    char url[64];
    (void)state;
    const char *port = getenv("API_PORT");
    (void)snprintf(url, sizeof url, "127.0.0.1:%.8s", port != NULL ? port : "8474");
    struct duress_toxiproxy_options options = {.url = url, .time_limit_ns = 20 * DURESS_S};
    return duress_toxiproxy_new(&options, &client, NULL);
}

static int end(void **state)
{
    (void)state;
    duress_toxiproxy_free(client);
    return 0;
}

static void the_version_is_one_of_toxiproxys(void **state)
{
    const char *version = NULL;
    (void)state;
    assert_int_equal(duress_toxiproxy_version(client, &version, NULL), DURESS_OK);
    assert_string_equal(version, "2.12.0");
    assert_int_equal(duress_toxiproxy_status(client), 200);
}

static void proxies_are_made_moved_toggled_and_deleted(void **state)
{
    const struct duress_toxiproxy_proxy web = {.name = "w/e b", .listen = "localhost:0", .upstream = "a:1"};
    const struct duress_toxiproxy_proxy *proxy = NULL;
    size_t count = 1;
    (void)state;
    assert_int_equal(duress_toxiproxy_proxies(client, &proxy, &count, NULL), DURESS_OK);
    assert_int_equal(count, 0);
    const struct duress_toxiproxy_proxy second = {.name = "second", .upstream = "b:1", .is_disabled = true};
    assert_int_equal(duress_toxiproxy_proxy_create(client, &second, &proxy, NULL), DURESS_OK);
    assert_true(proxy->is_disabled);
    assert_string_equal(proxy->listen, "");
    assert_int_equal(duress_toxiproxy_proxy_move(client, "second", "127.0.0.1:0", NULL, &proxy, NULL), DURESS_OK);
    assert_string_equal(proxy->listen, "127.0.0.1:0");
    assert_string_equal(proxy->upstream, "b:1");
    assert_int_equal(duress_toxiproxy_proxy_enable(client, "second", true, &proxy, NULL), DURESS_OK);
    assert_false(proxy->is_disabled);
    assert_string_not_equal(proxy->listen, "127.0.0.1:0");
    assert_int_equal(duress_toxiproxy_proxy_move(client, "second", NULL, "c:1", NULL, NULL), DURESS_OK);
    struct duress_toxiproxy_proxy first = web;
    first.name = "a b%";
    assert_int_equal(duress_toxiproxy_proxy_create(client, &first, NULL, NULL), DURESS_OK);
    assert_int_equal(duress_toxiproxy_proxies(client, &proxy, &count, NULL), DURESS_OK);
    assert_int_equal(count, 2);
    assert_string_equal(proxy[0].name, "a b%");
    assert_string_equal(proxy[1].upstream, "c:1");
    assert_int_equal(duress_toxiproxy_proxy_delete(client, "a b%", NULL), DURESS_OK);
    assert_int_equal(duress_toxiproxy_status(client), 204);
    assert_int_equal(duress_toxiproxy_proxy_delete(client, "second", NULL), DURESS_OK);
}

static const char *attribute_of(const struct duress_toxiproxy_toxic *toxic, const char *name)
{
    for (size_t i = 0; i < toxic->attribute_count; i++)
        if (strcmp(toxic->attributes[i].name, name) == 0)
            return toxic->attributes[i].value;
    return NULL;
}

static void toxics_are_added_updated_and_removed(void **state)
{
    const struct duress_toxiproxy_proxy web = {.name = "web", .listen = "localhost:0", .upstream = "a:1"};
    const struct duress_toxiproxy_attribute slow[] = {{"latency", "1e2"}, {"jitter", "5"}};
    const struct duress_toxiproxy_toxic added = {.type = "latency", .attributes = slow, .attribute_count = 2};
    const struct duress_toxiproxy_toxic *toxic = NULL;
    const struct duress_toxiproxy_proxy *proxy = NULL;
    (void)state;
    assert_int_equal(duress_toxiproxy_proxy_create(client, &web, NULL, NULL), DURESS_OK);
    assert_int_equal(duress_toxiproxy_toxic_add(client, "web", &added, &toxic, NULL), DURESS_OK);
    assert_string_equal(toxic->name, "latency_downstream");
    assert_string_equal(toxic->stream, "downstream");
    assert_true(toxic->has_toxicity && toxic->toxicity == 1);
    assert_string_equal(attribute_of(toxic, "latency"), "100");
    const struct duress_toxiproxy_attribute slower[] = {{"latency", "250"}};
    const struct duress_toxiproxy_toxic changed = {.name = "latency_downstream",
                                                   .has_toxicity = true,
                                                   .toxicity = 0.25,
                                                   .attributes = slower,
                                                   .attribute_count = 1};
    assert_int_equal(duress_toxiproxy_toxic_update(client, "web", &changed, &toxic, NULL), DURESS_OK);
    assert_string_equal(attribute_of(toxic, "latency"), "250");
    assert_string_equal(attribute_of(toxic, "jitter"), "5");
    assert_true(toxic->toxicity == 0.25);
    const struct duress_toxiproxy_toxic up = {.name = "up", .type = "noop", .stream = "upstream"};
    assert_int_equal(duress_toxiproxy_toxic_add(client, "web", &up, NULL, NULL), DURESS_OK);
    assert_int_equal(duress_toxiproxy_proxy_get(client, "web", &proxy, NULL), DURESS_OK);
    assert_int_equal(proxy->toxic_count, 2);
    assert_string_equal(proxy->toxics[0].name, "up");
    assert_string_equal(attribute_of(&proxy->toxics[1], "latency"), "250");
    assert_int_equal(duress_toxiproxy_toxic_remove(client, "web", "up", NULL), DURESS_OK);
    assert_int_equal(duress_toxiproxy_reset(client, NULL), DURESS_OK);
    assert_int_equal(duress_toxiproxy_proxy_get(client, "web", &proxy, NULL), DURESS_OK);
    assert_int_equal(proxy->toxic_count, 0);
    assert_int_equal(duress_toxiproxy_proxy_delete(client, "web", NULL), DURESS_OK);
}

static void refusals_are_told_in_the_daemons_words(void **state)
{
    struct duress_failure why;
    const struct duress_toxiproxy_proxy nameless = {.upstream = "a:1"};
    (void)state;
    assert_int_equal(duress_toxiproxy_proxy_create(client, &nameless, NULL, &why), DURESS_E_REMOTE);
    assert_string_equal(why.detail, "HTTP 400: missing required field: name");
    assert_string_equal(duress_toxiproxy_message(client), why.detail);
    assert_int_equal(duress_toxiproxy_status(client), 400);
    assert_int_equal(why.origin, DURESS_ORIGIN_PEER);
    assert_int_equal(duress_toxiproxy_proxy_get(client, "nobody", NULL, &why), DURESS_E_REMOTE);
    assert_string_equal(why.detail, "HTTP 404: proxy not found");
    assert_int_equal(duress_toxiproxy_reset(client, NULL), DURESS_OK);
    assert_string_equal(duress_toxiproxy_message(client), "");
}

static void what_is_no_utf8_is_not_sent(void **state)
{
    struct duress_failure why;
    const struct duress_toxiproxy_proxy odd = {.name = "\xff", .upstream = "a:1"};
    (void)state;
    assert_int_equal(duress_toxiproxy_proxy_create(client, &odd, NULL, &why), DURESS_E_INVALID);
}

static void a_daemon_that_is_not_there_is_told(void **state)
{
    struct duress_toxiproxy *lost = NULL;
    struct duress_failure why;
    const char *version = NULL;
    (void)state;
    const struct {
        const char *url;
        int error;
    } ways[] = {
        {"127.0.0.1:1", DURESS_E_REFUSED},
        {"unix:///nowhere/socket", DURESS_E_REFUSED},
        {"http://no-such-host.invalid:1", DURESS_E_NAME_NOT_FOUND},
        {"http://127.0.0.1:99999", DURESS_E_INVALID},
    };
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        struct duress_toxiproxy_options options = {.url = ways[i].url, .time_limit_ns = 20 * DURESS_S};
        assert_int_equal(duress_toxiproxy_new(&options, &lost, NULL), DURESS_OK);
        assert_int_equal(duress_toxiproxy_version(lost, &version, &why), ways[i].error);
        assert_int_equal(why.code, ways[i].error);
        assert_int_equal(duress_toxiproxy_status(lost), 0);
        duress_toxiproxy_free(lost);
    }
    const struct duress_toxiproxy_options nothing = {.url = ""};
    assert_int_equal(duress_toxiproxy_new(&nothing, &lost, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "url: nothing given"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_version_is_one_of_toxiproxys),
        cmocka_unit_test(proxies_are_made_moved_toggled_and_deleted),
        cmocka_unit_test(toxics_are_added_updated_and_removed),
        cmocka_unit_test(refusals_are_told_in_the_daemons_words),
        cmocka_unit_test(what_is_no_utf8_is_not_sent),
        cmocka_unit_test(a_daemon_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
