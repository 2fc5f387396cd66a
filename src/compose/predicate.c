/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/compose/predicate.h>

#include <string.h>

#include "metadata.h"

bool duress_content_contains(const void *context, const struct duress_message *request)
{
    struct duress_slice content = duress_message_content(request);
    struct duress_slice wanted = duress_slice_text(context);
    for (size_t at = 0; wanted.length <= content.length && at <= content.length - wanted.length; at++)
        if (wanted.length == 0 || memcmp(content.data + at, wanted.data, wanted.length) == 0)
            return true;
    return false;
}

bool duress_role_is(const void *context, const struct duress_message *request)
{
    return duress_slice_is(duress_message_role(request), context);
}

/* The last member |key|. */
static bool member_find(const struct duress_message *request, const char *key, struct duress_slice *value)
{
    struct duress_slice metadata = duress_message_metadata(request);
    struct metadata_member member;
    size_t at = 0;
    bool found = false;
    if (!duress__metadata_is_object(metadata))
        return false;
    while (duress__metadata_next(metadata, &at, &member) == METADATA_MEMBER) {
        if (!duress_slice_is(member.key, key))
            continue;
        found = true;
        *value = member.value;
    }
    return found;
}

bool duress_metadata_has(const void *context, const struct duress_message *request)
{
    struct duress_slice value;
    return member_find(request, context, &value);
}

bool duress_metadata_is(const void *context, const struct duress_message *request)
{
    const struct duress_metadata_value *wanted = context;
    struct duress_slice value;
    return member_find(request, wanted->key, &value) && duress_slice_is(value, wanted->json);
}

bool duress_all_of(const void *context, const struct duress_message *request)
{
    for (const struct duress_predicate *each = context; each->fn != NULL; each++)
        if (!each->fn(each->context, request))
            return false;
    return true;
}

bool duress_any_of(const void *context, const struct duress_message *request)
{
    for (const struct duress_predicate *each = context; each->fn != NULL; each++)
        if (each->fn(each->context, request))
            return true;
    return false;
}

bool duress_none_of(const void *context, const struct duress_message *request)
{
    return !duress_any_of(context, request);
}
