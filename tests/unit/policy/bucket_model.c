/* SPDX-License-Identifier: Apache-2.0 */
#include "bucket_model.h"

#include <stdlib.h>

__extension__ typedef __int128 wide;

/* In parts of a token, of which a token has |per_ns| and a nanosecond brings |rate|. */
static wide model_level(const struct bucket_model *model, enum bucket_view view, uint64_t now_ns)
{
    wide full = (wide)model->options.burst * (wide)model->options.per_ns;
    wide level = full;
    uint64_t last_ns = 0;
    for (uint32_t i = 0; i <= model->count; i++) {
        uint64_t at_ns = i < model->count ? model->takes[i].at_ns : now_ns;
        level += (wide)(at_ns - last_ns) * model->options.rate;
        level = level > full ? full : level;
        last_ns = at_ns;
        if (i < model->count && (view == BUCKET_WITH_GIVEN_BACK || !model->takes[i].given_back))
            level -= (wide)model->takes[i].tokens * (wide)model->options.per_ns;
    }
    return level;
}

uint64_t bucket_model_ready_ns(const struct bucket_model *model, enum bucket_view view, uint64_t tokens,
                               uint64_t now_ns)
{
    wide missing = (wide)tokens * (wide)model->options.per_ns - model_level(model, view, now_ns);
    if (missing <= 0)
        return now_ns;
    wide at_ns = (wide)now_ns + (missing + model->options.rate - 1) / model->options.rate;
    return at_ns > (wide)UINT64_MAX ? UINT64_MAX : (uint64_t)at_ns;
}

void bucket_model_take(struct bucket_model *model, uint32_t tokens, uint64_t now_ns)
{
    if (model->count == BUCKET_MODEL_TAKES_MAX)
        abort();
    model->takes[model->count++] = (struct bucket_take){.at_ns = now_ns, .tokens = tokens};
}

struct bucket_take *bucket_model_newest(struct bucket_model *model)
{
    for (uint32_t i = model->count; i > 0; i--) {
        if (!model->takes[i - 1].given_back)
            return &model->takes[i - 1];
    }
    return NULL;
}

bool bucket_model_is_within_bound(const struct bucket_model *model)
{
    const struct duress_bucket_options *options = &model->options;
    for (uint32_t from = 0; from < model->count; from++) {
        wide taken = 0;
        for (uint32_t to = from; to < model->count; to++) {
            const struct bucket_take *take = &model->takes[to];
            taken += take->given_back ? 0 : (wide)take->tokens;
            wide stretch_ns = (wide)take->at_ns - (wide)model->takes[from].at_ns;
            if ((taken - (wide)options->burst) * (wide)options->per_ns > stretch_ns * (wide)options->rate)
                return false;
        }
    }
    return true;
}
