/* SPDX-License-Identifier: Apache-2.0
 *
 * Proxies and toxics as the answers show them. Private to daemon/. */
#ifndef DURESS_DAEMON_ENCODE_H
#define DURESS_DAEMON_ENCODE_H

#include "json_out.h"
#include "refusal.h"
#include "registry.h"

void duress__encode_toxic(struct json_out *out, const struct toxic_entry *toxic);

/* The array of a proxy's toxics: upstream first, then downstream, each in order of creation. */
void duress__encode_toxics(struct json_out *out, const struct proxy_entry *proxy);

void duress__encode_proxy(struct json_out *out, const struct proxy_entry *proxy);

/* The object of all proxies by name. */
void duress__encode_registry(struct json_out *out, const struct registry *registry);

/* {"error":…,"status":…}, open at its end where |open|. */
void duress__encode_refusal(struct json_out *out, const struct refusal *refusal, bool open);

#endif
