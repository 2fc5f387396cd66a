/* SPDX-License-Identifier: Apache-2.0
 *
 * Links as proxies of a daemon: each relay is a client of its own. What the API has no word for skips the test, with
 * the reason; what it does not tell is left empty, and seen.c looks for it at the caller's end. */
#include "api.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <duress/toxic/attribute.h>
#include <duress/toxiproxy/client.h>

enum { PROXY_NAME_BYTES_MAX = 64, TOXIC_NAME_BYTES_MAX = 32, ATTRIBUTES_MAX = 8, NUMBER_BYTES_MAX = 24 };

struct api_relay {
    struct chaos *chaos;
    struct duress_toxiproxy *client;
    struct duress_address address;
    char name[PROXY_NAME_BYTES_MAX];
};

static struct api_relay *api_of(struct chaos_relay *relay)
{
    return (struct api_relay *)(void *)relay;
}

static const char *toxic_name(uint64_t id, char *text)
{
    (void)snprintf(text, TOXIC_NAME_BYTES_MAX, "toxic_%" PRIu64, id);
    return text;
}

/* The runner's process is the parent of each test's. */
static void proxy_name_prefix(pid_t runner, char *text)
{
    (void)snprintf(text, PROXY_NAME_BYTES_MAX, "duress-suite-%ld-", (long)runner);
}

static int client_new(const struct duress_allocator *allocator, const char *url, struct duress_toxiproxy **client,
                      struct duress_failure *why)
{
    struct duress_toxiproxy_options options = {.allocator = allocator, .url = url, .time_limit_ns = 10 * DURESS_S};
    return duress_toxiproxy_new(&options, client, why);
}

static int proxy_create(struct chaos_link *link, struct api_relay *relay, struct duress_failure *why)
{
    char upstream[DURESS_ADDRESS_TEXT_BYTES_MAX];
    char prefix[PROXY_NAME_BYTES_MAX];
    proxy_name_prefix(getppid(), prefix);
    (void)snprintf(relay->name, sizeof relay->name, "%.40s%ld-%u", prefix, (long)getpid(), (unsigned)link->number);
    struct duress_toxiproxy_proxy proxy = {
        .name = relay->name,
        .listen = "127.0.0.1:0",
        .upstream = duress_address_format(&link->service->address, upstream, sizeof upstream),
    };
    const struct duress_toxiproxy_proxy *made = NULL;
    int error = duress_toxiproxy_proxy_create(relay->client, &proxy, &made, why);
    if (error != DURESS_OK)
        return error;
    if (duress_address_parse(made->listen, &relay->address))
        return DURESS_OK;
    duress_failure_set(why, DURESS_E_MALFORMED, DURESS_ORIGIN_NONE, "the daemon listens at '%s'", made->listen);
    (void)duress_toxiproxy_proxy_delete(relay->client, relay->name, NULL);
    return DURESS_E_MALFORMED;
}

static int relay_open(struct chaos_link *link, struct duress_failure *why)
{
    const struct duress_allocator *allocator = &link->chaos->heap.allocator;
    struct api_relay *relay = chaos__allocate(link->chaos, sizeof *relay);
    relay->chaos = link->chaos;
    int error = client_new(allocator, link->chaos->driver->proxy_url, &relay->client, why);
    if (error == DURESS_OK)
        error = proxy_create(link, relay, why);
    if (error == DURESS_OK) {
        link->relay = (struct chaos_relay *)(void *)relay;
        return DURESS_OK;
    }
    duress_toxiproxy_free(relay->client);
    duress_release(allocator, relay);
    return error;
}

static void relay_free(struct chaos_relay *relay)
{
    struct api_relay *api = api_of(relay);
    (void)duress_toxiproxy_proxy_delete(api->client, api->name, NULL);
    duress_toxiproxy_free(api->client);
    duress_release(&api->chaos->heap.allocator, api);
}

static struct duress_address relay_address(struct chaos_relay *relay)
{
    return api_of(relay)->address;
}

/* --- toxics --- */

struct attribute_texts {
    struct duress_toxiproxy_attribute items[ATTRIBUTES_MAX];
    char numbers[ATTRIBUTES_MAX][NUMBER_BYTES_MAX];
    size_t count;
};

static bool bytes_are_equal(const void *a, const void *b, size_t bytes)
{
    const unsigned char *first = a;
    const unsigned char *second = b;
    size_t at = 0;
    while (at < bytes && first[at] == second[at])
        at++;
    return at == bytes;
}

/* Says the toxic in the API's whole units. False where it says less than |toxic| does: half a millisecond, say. */
static bool attributes_say(const struct duress_toxic *toxic, struct attribute_texts *texts)
{
    size_t count = 0;
    struct duress_toxic said;
    memcpy(&said, toxic, sizeof said); /* with its gaps, for the comparison */
    const struct duress_toxic_attribute *attributes = duress_toxic_type_attributes(toxic->type, &count);
    texts->count = 0;
    for (size_t i = 0; i < count && texts->count < ATTRIBUTES_MAX; i++) {
        int64_t value = duress_toxic_attribute_get(&attributes[i], toxic);
        if (duress_toxic_attribute_set(&attributes[i], &said, value, NULL) != DURESS_OK)
            continue; /* 0, for its default */
        char *number = texts->numbers[texts->count];
        (void)snprintf(number, NUMBER_BYTES_MAX, "%" PRId64, value);
        texts->items[texts->count++] = (struct duress_toxiproxy_attribute){attributes[i].name, number};
    }
    return bytes_are_equal(&said, toxic, sizeof said);
}

static bool toxic_is_sayable(struct chaos *chaos, const struct duress_toxic *toxic, struct attribute_texts *texts)
{
    const char *type = duress_toxic_type_name(toxic->type);
    if (toxic->ttl_ns != 0 || toxic->period_ns != 0) {
        chaos__skip(chaos, "a time to live or a schedule of a %s toxic cannot be ordered through an API", type);
        return false;
    }
    if (attributes_say(toxic, texts))
        return true;
    chaos__skip(chaos, "what the %s toxic is to do cannot be said in the API's whole units", type);
    return false;
}

/* 400 is the answer to a type, or a number, that the daemon does not know. */
static int relay_toxic_add(struct chaos_relay *relay, const struct duress_toxic *toxic, struct duress_failure *why)
{
    struct api_relay *api = api_of(relay);
    char name[TOXIC_NAME_BYTES_MAX];
    struct attribute_texts texts;
    if (!toxic_is_sayable(api->chaos, toxic, &texts))
        return DURESS_OK; /* The test has ended. */
    struct duress_toxiproxy_toxic added = {
        .name = toxic_name(toxic->id, name),
        .type = duress_toxic_type_name(toxic->type),
        .stream = toxic->direction == DURESS_UPSTREAM ? "upstream" : "downstream",
        .has_toxicity = true,
        .toxicity = (double)toxic->toxicity_ppm / DURESS_PPM,
        .attributes = texts.items,
        .attribute_count = texts.count,
    };
    int error = duress_toxiproxy_toxic_add(api->client, api->name, &added, NULL, why);
    if (error != DURESS_E_REMOTE || duress_toxiproxy_status(api->client) != 400)
        return error;
    chaos__skip(api->chaos, "the daemon does not take a %s toxic: %.120s", added.type,
                duress_toxiproxy_message(api->client));
    return DURESS_OK;
}

static int relay_toxic_remove(struct chaos_relay *relay, uint64_t id)
{
    char name[TOXIC_NAME_BYTES_MAX];
    return duress_toxiproxy_toxic_remove(api_of(relay)->client, api_of(relay)->name, toxic_name(id, name), NULL);
}

/* --- what an API can do, and what not --- */

static void relay_down(struct chaos_relay *relay)
{
    struct api_relay *api = api_of(relay);
    struct duress_failure why = {0};
    if (duress_toxiproxy_proxy_enable(api->client, api->name, false, NULL, &why) != DURESS_OK)
        chaos__broken(api->chaos, "take a link down", &why);
}

static int relay_up(struct chaos_relay *relay)
{
    return duress_toxiproxy_proxy_enable(api_of(relay)->client, api_of(relay)->name, true, NULL, NULL);
}

static void relay_cut(struct chaos_relay *relay)
{
    chaos__skip(api_of(relay)->chaos, "a cut of all connections cannot be ordered through an API");
}

static int relay_silence(struct chaos_relay *relay, bool silent)
{
    (void)silent;
    chaos__skip(api_of(relay)->chaos, "a silence or a partition cannot be ordered through an API");
    return DURESS_OK;
}

static void relay_visit(struct chaos_relay *relay, duress_link_visit_fn fn, void *context)
{
    (void)relay;
    (void)fn;
    (void)context;
}

static struct duress_relay_counts relay_counts(struct chaos_relay *relay)
{
    (void)relay;
    return (struct duress_relay_counts){0};
}

void chaos__live_through_api(struct chaos_driver *driver, const char *url)
{
    *driver = chaos__driver_live;
    driver->proxy_url = url;
    driver->relay_open = relay_open;
    driver->relay_free = relay_free;
    driver->relay_address = relay_address;
    driver->relay_toxic_add = relay_toxic_add;
    driver->relay_toxic_remove = relay_toxic_remove;
    driver->relay_cut = relay_cut;
    driver->relay_down = relay_down;
    driver->relay_up = relay_up;
    driver->relay_silence = relay_silence;
    driver->relay_visit = relay_visit;
    driver->relay_counts = relay_counts;
}

/* --- around all tests --- */

int chaos__live_api_reach(const char *url, struct duress_failure *why)
{
    struct duress_toxiproxy *client = NULL;
    const char *version = NULL;
    int error = client_new(NULL, url, &client, why);
    if (error == DURESS_OK)
        error = duress_toxiproxy_version(client, &version, why);
    duress_toxiproxy_free(client);
    return error;
}

static bool sweep_one(struct duress_toxiproxy *client, const char *prefix)
{
    const struct duress_toxiproxy_proxy *proxies = NULL;
    size_t count = 0;
    char name[PROXY_NAME_BYTES_MAX];
    if (duress_toxiproxy_proxies(client, &proxies, &count, NULL) != DURESS_OK)
        return false;
    for (size_t i = 0; i < count; i++)
        if (strncmp(proxies[i].name, prefix, strlen(prefix)) == 0) {
            (void)snprintf(name, sizeof name, "%s", proxies[i].name); /* lent until the next call */
            return duress_toxiproxy_proxy_delete(client, name, NULL) == DURESS_OK;
        }
    return false;
}

void chaos__live_api_sweep(const char *url)
{
    struct duress_toxiproxy *client = NULL;
    char prefix[PROXY_NAME_BYTES_MAX];
    proxy_name_prefix(getpid(), prefix);
    if (client_new(NULL, url, &client, NULL) != DURESS_OK)
        return;
    while (sweep_one(client, prefix))
        continue;
    duress_toxiproxy_free(client);
}
