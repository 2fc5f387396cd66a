/* SPDX-License-Identifier: Apache-2.0 */
#include "encode.h"

void duress__encode_toxic(struct json_out *out, const struct toxic_entry *toxic)
{
    duress__json_raw(out, "{\"attributes\":");
    duress__attributes_write(toxic->toxic.type, &toxic->attributes, out);
    duress__json_raw(out, ",");
    duress__json_member(out, "name", toxic->name);
    duress__json_raw(out, ",");
    duress__json_member(out, "type", duress_toxic_type_name(toxic->toxic.type));
    duress__json_raw(out, ",");
    duress__json_member(out, "stream", toxic->stream);
    duress__json_raw(out, ",\"toxicity\":");
    duress__json_float(out, toxic->toxicity);
    duress__attributes_write_common(&toxic->attributes, out);
    duress__json_raw(out, "}");
}

void duress__encode_toxics(struct json_out *out, const struct proxy_entry *proxy)
{
    const char *separator = "";
    duress__json_raw(out, "[");
    for (int direction = DURESS_UPSTREAM; direction < DURESS_DIRECTION_COUNT; direction++) {
        for (size_t i = 0; i < proxy->toxic_count; i++) {
            if ((int)proxy->toxics[i]->toxic.direction != direction)
                continue;
            duress__json_raw(out, separator);
            duress__encode_toxic(out, proxy->toxics[i]);
            separator = ",";
        }
    }
    duress__json_raw(out, "]");
}

/* Written in as few pieces as it has: with a thousand proxies this is where the time of a list goes. */
void duress__encode_proxy(struct json_out *out, const struct proxy_entry *proxy)
{
    duress__json_raw(out, "{\"name\":");
    duress__json_string(out, proxy->name);
    duress__json_raw(out, ",\"listen\":");
    duress__json_string(out, proxy->listen);
    duress__json_raw(out, ",\"upstream\":");
    duress__json_string(out, proxy->upstream);
    /* "Logger" is an accident of Toxiproxy's that its newer clients have seen since 2.5. */
    duress__json_raw(out, proxy->enabled ? ",\"enabled\":true,\"Logger\":{},\"toxics\":"
                                         : ",\"enabled\":false,\"Logger\":{},\"toxics\":");
    if (proxy->toxic_count == 0)
        duress__json_raw(out, "[]");
    else
        duress__encode_toxics(out, proxy);
    duress__json_raw(out, "}");
}

void duress__encode_registry(struct json_out *out, const struct registry *registry)
{
    duress__json_raw(out, "{");
    for (size_t i = 0; i < registry->count; i++) {
        if (i > 0)
            duress__json_raw(out, ",");
        duress__json_string(out, registry->proxies[i]->name);
        duress__json_raw(out, ":");
        duress__encode_proxy(out, registry->proxies[i]);
    }
    duress__json_raw(out, "}");
}

void duress__encode_refusal(struct json_out *out, const struct refusal *refusal, bool open)
{
    duress__json_raw(out, "{");
    duress__json_member(out, "error", refusal->text);
    duress__json_raw(out, ",\"status\":");
    duress__json_unsigned(out, refusal->status);
    if (!open)
        duress__json_raw(out, "}");
}
