/* SPDX-License-Identifier: Apache-2.0
 *
 * Configuration in YAML, as JSON. */
#include "support.h"

#include "config.h"

static void expect_json(const char *yaml, const char *json)
{
    char why[CONFIG_WHY_BYTES_MAX] = "";
    struct duress_buffer buffer;
    duress_buffer_init(&buffer, 0, NULL);
    if (!duress__config_yaml(duress_slice_text(yaml), &buffer, why))
        fail_msg("%s", why);
    assert_string_equal(buffer_text(&buffer), json);
    duress_buffer_close(&buffer);
}

static void expect_refusal(const char *yaml, const char *wanted)
{
    char why[CONFIG_WHY_BYTES_MAX] = "";
    struct duress_buffer buffer;
    duress_buffer_init(&buffer, 0, NULL);
    assert_false(duress__config_yaml(duress_slice_text(yaml), &buffer, why));
    if (strncmp(why, wanted, strlen(wanted)) != 0)
        fail_msg("'%s' does not begin with '%s'", why, wanted);
    duress_buffer_close(&buffer);
}

static void proxies_with_their_toxics_are_read(void **state)
{
    (void)state;
    expect_json(
        "- name: web\n"
        "  listen: 127.0.0.1:0\n"
        "  upstream: \"db:5432\"\n"
        "  enabled: false\n"
        "  toxics:\n"
        "    - {type: latency, toxicity: 0.5, attributes: {latency: 100, jitter: 1e1}}\n",
        "[{\"name\":\"web\",\"listen\":\"127.0.0.1:0\",\"upstream\":\"db:5432\",\"enabled\":false,"
        "\"toxics\":[{\"type\":\"latency\",\"toxicity\":0.5,\"attributes\":{\"latency\":100,\"jitter\":1e1}}]}]");
}

static void scalars_are_of_the_core_schema(void **state)
{
    (void)state;
    expect_json(
        "[~, null, '', true, True, no, yes, '1', 1, -1.5, 0x10, 1., .5, 01, 1e5, 1e, nan]",
        "[null,null,\"\",true,true,\"no\",\"yes\",\"1\",1,-1.5,\"0x10\",\"1.\",\".5\",\"01\",1e5,\"1e\",\"nan\"]");
    expect_json("name: 5432", "{\"name\":5432}");
    expect_json("? a\n: b", "{\"a\":\"b\"}");
    expect_json("k:", "{\"k\":null}");
    expect_json("- |\n  two\n  lines\n", "[\"two\\nlines\\n\"]");
    expect_json("[12345678901234567890123456789012345678901234567890123456789012345]",
                "[\"12345678901234567890123456789012345678901234567890123456789012345\"]");
}

static void nothing_is_null_and_json_is_yaml(void **state)
{
    (void)state;
    expect_json("", "null");
    expect_json("# only a comment\n", "null");
    expect_json("[{\"name\": \"a\", \"enabled\": true}]", "[{\"name\":\"a\",\"enabled\":true}]");
}

static void what_is_broken_is_told_with_its_line(void **state)
{
    (void)state;
    expect_refusal("a: [1, 2", "line ");
    expect_refusal("- a\n- b: c: d\n", "line 2: ");
    expect_refusal("- &x a\n- *x\n", "line 1: anchors and aliases");
    expect_refusal("- a\n- *x\n", "line 2: anchors and aliases");
    expect_refusal("{? [a] : b}", "line 1: a key");
}

static void depth_has_an_end(void **state)
{
    char deep[201];
    (void)state;
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    deep[200] = '\0';
    expect_refusal(deep, "line 1: nested too deeply");
}

static void a_file_that_is_not_there_is_told(void **state)
{
    char why[CONFIG_WHY_BYTES_MAX];
    struct duress_buffer buffer;
    (void)state;
    duress_buffer_init(&buffer, 0, NULL);
    assert_false(duress__config_read("/nowhere/at/all.json", &buffer, why));
    assert_string_equal(why, "/nowhere/at/all.json: No such file or directory");
    duress_buffer_close(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proxies_with_their_toxics_are_read),
        cmocka_unit_test(scalars_are_of_the_core_schema),
        cmocka_unit_test(nothing_is_null_and_json_is_yaml),
        cmocka_unit_test(what_is_broken_is_told_with_its_line),
        cmocka_unit_test(depth_has_an_end),
        cmocka_unit_test(a_file_that_is_not_there_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
