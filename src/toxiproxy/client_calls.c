/* SPDX-License-Identifier: Apache-2.0
 *
 * The calls: a body, a request, and the answer lent to the caller. */
#include "client_private.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- bodies; each returns a new tree, or NULL without memory or where a text is not UTF-8 --- */

static bool member_set(json_t *object, const char *name, json_t *value)
{
    return json_object_set_new(object, name, value) == 0;
}

/* NULL is left out. */
static bool text_set(json_t *object, const char *name, const char *text)
{
    return text == NULL || member_set(object, name, json_string(text));
}

/* A number where the text reads as one, and a whole one where it is; else a text. */
static json_t *value_make(const char *text)
{
    char *end = NULL;
    double number = strtod(text, &end);
    bool decimal = strspn(text, "+-.0123456789eE") == strlen(text);
    if (*text == '\0' || *end != '\0' || !decimal || !isfinite(number))
        return json_string(text);
    if (strcspn(text, ".eE") == strlen(text))
        return json_integer(strtoll(text, NULL, 10));
    if (trunc(number) == number && fabs(number) < 0x1p53)
        return json_integer((json_int_t)number);
    return json_real(number);
}

static bool attributes_set(json_t *object, const struct duress_toxiproxy_toxic *toxic)
{
    json_t *attributes = json_object();
    bool set = attributes != NULL;
    for (size_t i = 0; i < toxic->attribute_count && set; i++)
        set = member_set(attributes, toxic->attributes[i].name, value_make(toxic->attributes[i].value));
    return member_set(object, "attributes", attributes) && set;
}

static json_t *toxic_make(const struct duress_toxiproxy_toxic *toxic, bool is_update)
{
    json_t *object = json_object();
    bool set = object != NULL;
    if (!is_update) {
        set = set && text_set(object, "name", toxic->name) && text_set(object, "type", toxic->type) &&
              text_set(object, "stream", toxic->stream);
    }
    if (toxic->has_toxicity)
        set = set && member_set(object, "toxicity", json_real(toxic->toxicity));
    set = set && attributes_set(object, toxic);
    if (set)
        return object;
    json_decref(object);
    return NULL;
}

static bool toxics_set(json_t *object, const struct duress_toxiproxy_proxy *proxy)
{
    if (proxy->toxic_count == 0)
        return true;
    json_t *toxics = json_array();
    bool set = toxics != NULL;
    for (size_t i = 0; i < proxy->toxic_count && set; i++)
        set = json_array_append_new(toxics, toxic_make(&proxy->toxics[i], false)) == 0;
    return member_set(object, "toxics", toxics) && set;
}

static json_t *proxy_make(const struct duress_toxiproxy_proxy *proxy)
{
    json_t *object = json_object();
    bool set = object != NULL && text_set(object, "name", proxy->name) && text_set(object, "listen", proxy->listen) &&
               text_set(object, "upstream", proxy->upstream) &&
               member_set(object, "enabled", json_boolean(!proxy->is_disabled)) && toxics_set(object, proxy);
    if (set)
        return object;
    json_decref(object);
    return NULL;
}

/* --- requests --- */

/* Something that is needed is NULL. */
static int nothing_given(struct duress_failure *why, const char *field)
{
    if (why != NULL)
        duress_failure_set(why, DURESS_E_INVALID, DURESS_ORIGIN_CALLER, "%s: NULL given, a pointer is needed", field);
    return DURESS_E_INVALID;
}

/* Sends |body|, which it takes, to the path of a proxy or a toxic. */
static int ask_named(struct duress_toxiproxy *client, const char *method, char *path, json_t *body, bool has_body,
                     struct duress_failure *why)
{
    int error = DURESS_OK;
    if (path == NULL)
        error = duress__toxiproxy_fail(client, why, DURESS_E_NO_MEMORY, "%s", duress_strerror(DURESS_E_NO_MEMORY));
    else if (has_body && body == NULL)
        error = duress__toxiproxy_fail(client, why, DURESS_E_INVALID, "%s", "a text that is not UTF-8, or no memory");
    else
        error = duress__toxiproxy_ask(client, method, path, body, why);
    duress_release(client->allocator, path);
    json_decref(body);
    return error;
}

int duress_toxiproxy_version(struct duress_toxiproxy *client, const char **version, struct duress_failure *why)
{
    if (client == NULL)
        return nothing_given(why, "client");
    if (version == NULL)
        return nothing_given(why, "version");
    int error = duress__toxiproxy_ask(client, "GET", "/version", NULL, why);
    if (error != DURESS_OK)
        return error;
    /* Before 2.6 it was plain text. */
    const char *text = json_string_value(json_object_get(client->tree, "version"));
    *version = text != NULL ? text : client->answer != NULL ? client->answer : "";
    return DURESS_OK;
}

int duress_toxiproxy_proxies(struct duress_toxiproxy *client, const struct duress_toxiproxy_proxy **proxies,
                             size_t *count, struct duress_failure *why)
{
    if (client == NULL)
        return nothing_given(why, "client");
    if (proxies == NULL)
        return nothing_given(why, "proxies");
    if (count == NULL)
        return nothing_given(why, "count");
    int error = duress__toxiproxy_ask(client, "GET", "/proxies", NULL, why);
    return error != DURESS_OK ? error : duress__toxiproxy_lend_proxies(client, proxies, count, why);
}

int duress_toxiproxy_proxy_get(struct duress_toxiproxy *client, const char *name,
                               const struct duress_toxiproxy_proxy **proxy, struct duress_failure *why)
{
    if (client == NULL)
        return nothing_given(why, "client");
    if (name == NULL)
        return nothing_given(why, "name");
    int error = ask_named(client, "GET", duress__toxiproxy_path(client, name, "", NULL), NULL, false, why);
    return error != DURESS_OK ? error : duress__toxiproxy_lend_proxy(client, proxy, why);
}

int duress_toxiproxy_proxy_create(struct duress_toxiproxy *client, const struct duress_toxiproxy_proxy *proxy,
                                  const struct duress_toxiproxy_proxy **made, struct duress_failure *why)
{
    if (client == NULL)
        return nothing_given(why, "client");
    if (proxy == NULL)
        return nothing_given(why, "proxy");
    json_t *body = proxy_make(proxy);
    if (body == NULL)
        return duress__toxiproxy_fail(client, why, DURESS_E_INVALID, "%s", "a text that is not UTF-8, or no memory");
    int error = duress__toxiproxy_ask(client, "POST", "/proxies", body, why);
    json_decref(body);
    return error != DURESS_OK ? error : duress__toxiproxy_lend_proxy(client, made, why);
}

/* POST and not PATCH: daemons before 2.6 know no other. */
static int proxy_change(struct duress_toxiproxy *client, const char *name, json_t *body,
                        const struct duress_toxiproxy_proxy **changed, struct duress_failure *why)
{
    int error = ask_named(client, "POST", duress__toxiproxy_path(client, name, "", NULL), body, true, why);
    return error != DURESS_OK ? error : duress__toxiproxy_lend_proxy(client, changed, why);
}

int duress_toxiproxy_proxy_move(struct duress_toxiproxy *client, const char *name, const char *listen,
                                const char *upstream, const struct duress_toxiproxy_proxy **changed,
                                struct duress_failure *why)
{
    if (client == NULL)
        return nothing_given(why, "client");
    if (name == NULL)
        return nothing_given(why, "name");
    json_t *body = json_object();
    if (body != NULL && (!text_set(body, "listen", listen) || !text_set(body, "upstream", upstream))) {
        json_decref(body);
        body = NULL;
    }
    return proxy_change(client, name, body, changed, why);
}

int duress_toxiproxy_proxy_enable(struct duress_toxiproxy *client, const char *name, bool enabled,
                                  const struct duress_toxiproxy_proxy **changed, struct duress_failure *why)
{
    if (client == NULL)
        return nothing_given(why, "client");
    if (name == NULL)
        return nothing_given(why, "name");
    json_t *body = json_object();
    if (body != NULL && !member_set(body, "enabled", json_boolean(enabled))) {
        json_decref(body);
        body = NULL;
    }
    return proxy_change(client, name, body, changed, why);
}

int duress_toxiproxy_proxy_delete(struct duress_toxiproxy *client, const char *name, struct duress_failure *why)
{
    if (client == NULL)
        return nothing_given(why, "client");
    if (name == NULL)
        return nothing_given(why, "name");
    return ask_named(client, "DELETE", duress__toxiproxy_path(client, name, "", NULL), NULL, false, why);
}

int duress_toxiproxy_toxic_add(struct duress_toxiproxy *client, const char *proxy,
                               const struct duress_toxiproxy_toxic *toxic, const struct duress_toxiproxy_toxic **made,
                               struct duress_failure *why)
{
    if (client == NULL)
        return nothing_given(why, "client");
    if (proxy == NULL)
        return nothing_given(why, "proxy");
    if (toxic == NULL)
        return nothing_given(why, "toxic");
    char *path = duress__toxiproxy_path(client, proxy, "/toxics", NULL);
    int error = ask_named(client, "POST", path, toxic_make(toxic, false), true, why);
    return error != DURESS_OK ? error : duress__toxiproxy_lend_toxic(client, made, why);
}

int duress_toxiproxy_toxic_update(struct duress_toxiproxy *client, const char *proxy,
                                  const struct duress_toxiproxy_toxic *toxic,
                                  const struct duress_toxiproxy_toxic **changed, struct duress_failure *why)
{
    if (client == NULL)
        return nothing_given(why, "client");
    if (proxy == NULL)
        return nothing_given(why, "proxy");
    if (toxic == NULL)
        return nothing_given(why, "toxic");
    if (toxic->name == NULL)
        return nothing_given(why, "toxic->name");
    char *path = duress__toxiproxy_path(client, proxy, "/toxics", toxic->name);
    int error = ask_named(client, "POST", path, toxic_make(toxic, true), true, why);
    return error != DURESS_OK ? error : duress__toxiproxy_lend_toxic(client, changed, why);
}

int duress_toxiproxy_toxic_remove(struct duress_toxiproxy *client, const char *proxy, const char *name,
                                  struct duress_failure *why)
{
    if (client == NULL)
        return nothing_given(why, "client");
    if (proxy == NULL)
        return nothing_given(why, "proxy");
    if (name == NULL)
        return nothing_given(why, "name");
    return ask_named(client, "DELETE", duress__toxiproxy_path(client, proxy, "/toxics", name), NULL, false, why);
}

int duress_toxiproxy_reset(struct duress_toxiproxy *client, struct duress_failure *why)
{
    if (client == NULL)
        return nothing_given(why, "client");
    return duress__toxiproxy_ask(client, "POST", "/reset", NULL, why);
}
