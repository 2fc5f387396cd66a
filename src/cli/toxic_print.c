/* SPDX-License-Identifier: Apache-2.0
 *
 * Lists of proxies and toxics: in tabs for scripts, as Toxiproxy's program prints them, or for people. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "toxic_session.h"

#define ATTRIBUTES_MAX 64
#define NUMBER_BYTES_MAX 40
#define TAB_WIDTH 8

#define RED "\x1b[31m"
#define GREEN "\x1b[32m"
#define YELLOW "\x1b[33m"
#define BLUE "\x1b[34m"
#define PURPLE "\x1b[35m"
#define PLAIN "\x1b[0m"

static const char *state_of(const struct duress_toxiproxy_proxy *proxy)
{
    return proxy->is_disabled ? "disabled" : "enabled";
}

/* --- attributes --- */

/* Numbers as Go's %v has them: from 1e+21 in general, but here, where they are floats, from 1e+06 with an exponent. */
static const char *number_text(const char *value, char text[NUMBER_BYTES_MAX])
{
    char *end = NULL;
    double number = strtod(value, &end);
    if (*value == '\0' || *end != '\0' || fabs(number) < 1e6)
        return value;
    for (int precision = 0; precision <= 17; precision++) {
        (void)snprintf(text, NUMBER_BYTES_MAX, "%.*e", precision, number);
        if (strtod(text, NULL) == number)
            break;
    }
    return text;
}

static int by_name(const void *left, const void *right)
{
    const struct duress_toxiproxy_attribute *a = left;
    const struct duress_toxiproxy_attribute *b = right;
    return strcmp(a->name, b->name);
}

static void attributes_print(const struct duress_toxiproxy_toxic *toxic)
{
    struct duress_toxiproxy_attribute sorted[ATTRIBUTES_MAX];
    char number[NUMBER_BYTES_MAX];
    size_t count = toxic->attribute_count < ATTRIBUTES_MAX ? toxic->attribute_count : ATTRIBUTES_MAX;
    for (size_t i = 0; i < count; i++)
        sorted[i] = toxic->attributes[i];
    qsort(sorted, count, sizeof sorted[0], by_name);
    (void)printf("attributes=[");
    for (size_t i = 0; i < count; i++)
        (void)printf("\t%s=%s", sorted[i].name, number_text(sorted[i].value, number));
    (void)printf("\t]\n");
}

static void toxic_print(const struct toxic_session *session, const struct duress_toxiproxy_toxic *toxic)
{
    if (session->terminal)
        (void)printf(BLUE "%s:" PLAIN "\t", toxic->name);
    else
        (void)printf("%s\t", toxic->name);
    (void)printf("type=%s\tstream=%s\ttoxicity=%.2f\t", toxic->type, toxic->stream, toxic->toxicity);
    attributes_print(toxic);
}

/* --- one proxy --- */

static void direction_print(const struct toxic_session *session, const struct duress_toxiproxy_proxy *proxy,
                            const char *stream, const char *title)
{
    bool any = false;
    (void)printf(GREEN "%s toxics:\n" PLAIN, title);
    for (size_t i = 0; i < proxy->toxic_count; i++) {
        const char *own = proxy->toxics[i].stream;
        if ((own[0] | 0x20) != stream[0])
            continue;
        any = true;
        toxic_print(session, &proxy->toxics[i]);
    }
    if (!any)
        (void)printf(RED "Proxy has no %s toxics enabled.\n" PLAIN, title);
    (void)printf("\n");
}

void toxic_print_proxy(const struct toxic_session *session, const struct duress_toxiproxy_proxy *proxy)
{
    if (!session->terminal) {
        for (size_t i = 0; i < proxy->toxic_count; i++)
            toxic_print(session, &proxy->toxics[i]);
        return;
    }
    (void)printf(PURPLE "Name: " PLAIN "%s\t" BLUE "Listen: " PLAIN "%s\t" YELLOW "Upstream: " PLAIN "%s\n",
                 proxy->name, proxy->listen, proxy->upstream);
    (void)printf("======================================================================\n");
    direction_print(session, proxy, "upstream", "Upstream");
    direction_print(session, proxy, "downstream", "Downstream");
    (void)printf("Hint: add a toxic with `%s toxic add`\n", session->program);
}

void toxic_print_toggled(const struct toxic_session *session, const struct duress_toxiproxy_proxy *proxy)
{
    const char *color = session->terminal ? proxy->is_disabled ? RED : GREEN : "";
    const char *plain = session->terminal ? PLAIN : "";
    (void)printf("Proxy %s%s%s is now %s%s%s\n", color, proxy->name, plain, color, state_of(proxy), plain);
}

/* --- all proxies --- */

/* Tabs up to the column |columns| tab stops behind the text's begin; one at least. */
static void cell_print(const char *color, const char *text, size_t columns)
{
    size_t used = strlen(text) / TAB_WIDTH;
    (void)printf("%s%s" PLAIN, color, text);
    for (size_t i = used; i < columns || i == used; i++)
        (void)printf("\t");
}

static void row_print(const struct duress_toxiproxy_proxy *proxy)
{
    char count[32] = "None";
    if (proxy->toxic_count > 0)
        (void)snprintf(count, sizeof count, "%zu", proxy->toxic_count);
    cell_print(proxy->is_disabled ? RED : GREEN, proxy->name, 3);
    cell_print(BLUE, proxy->listen, 2);
    cell_print(YELLOW, proxy->upstream, 3);
    cell_print(PURPLE, state_of(proxy), 2);
    (void)printf(RED "%s" PLAIN "\n", count);
}

void toxic_print_list(const struct toxic_session *session, const struct duress_toxiproxy_proxy *proxies, size_t count)
{
    if (!session->terminal) {
        for (size_t i = 0; i < count; i++)
            (void)printf("%s\t%s\t%s\t%s\t%zu\n", proxies[i].name, proxies[i].listen, proxies[i].upstream,
                         state_of(&proxies[i]), proxies[i].toxic_count);
        return;
    }
    cell_print(GREEN, "Name", 3);
    cell_print(BLUE, "Listen", 2);
    cell_print(YELLOW, "Upstream", 3);
    cell_print(PURPLE, "Enabled", 2);
    (void)printf(RED "Toxics" PLAIN "\n");
    (void)printf("======================================================================================\n");
    for (size_t i = 0; i < count; i++)
        row_print(&proxies[i]);
    if (count == 0)
        (void)printf(RED "no proxies\n" PLAIN);
    if (count == 0)
        (void)printf("\nHint: create a proxy with `%s create`\n", session->program);
    else
        (void)printf("\nHint: inspect toxics with `%s inspect <proxyName>`\n", session->program);
}
