/* SPDX-License-Identifier: Apache-2.0
 *
 * The link beside a plain model of the rules, under random programs with a fast reader. The model knows no events: it
 * walks through time millisecond by millisecond and asks every toxic every time. After each millisecond both must have
 * let out the same number of bytes, and have ended the same way. */
#include "link_rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { MODEL_SEEDS = 1000, MODEL_MS = 2000, MODEL_OPS_MS = 1200, MODEL_CHUNKS_MAX = 1024, MODEL_STAGES_MAX = 4 };

struct model_chunk {
    uint64_t bytes;
    uint64_t stamp_ms;
    uint64_t entered_ms;
};

struct model_stage {
    struct duress_toxic toxic;
    struct model_chunk queue[MODEL_CHUNKS_MAX];
    size_t count;
    bool has_end; /* the end of the stream waits here */
    bool is_over;
    bool is_holding;      /* slow_close: since |since_ms| */
    uint64_t since_ms;    /* timeout: of the last sign of life */
    uint64_t leaves_ms;   /* bandwidth: when the piece in hand does; 0: none is */
    uint64_t count_bytes; /* limit_data: passed; timeout: dropped */
};

/* |stages|[0] is next to the source; what leaves the last one is out. */
struct model {
    struct model_stage stages[MODEL_STAGES_MAX];
    size_t stage_count;
    uint64_t out_bytes;
    bool has_ended; /* the source's end was given */
    bool is_tripped;
    const char *ending; /* "", "shutdown" or "close" */
};

static struct model model; /* Too large for a stack. */
static uint64_t seed_now;

static void model_put(size_t place, struct model_chunk chunk, uint64_t now_ms)
{
    if (place >= model.stage_count) {
        model.out_bytes += chunk.bytes;
        return;
    }
    struct model_stage *stage = &model.stages[place];
    assert_true(stage->count < MODEL_CHUNKS_MAX);
    chunk.entered_ms = now_ms;
    stage->queue[stage->count++] = chunk;
}

static void model_put_end(size_t place, const char *ending)
{
    if (place < model.stage_count)
        model.stages[place].has_end = true;
    else
        model.ending = model.is_tripped ? "close" : ending;
}

static void queue_shift(struct model_stage *stage)
{
    memmove(&stage->queue[0], &stage->queue[1], --stage->count * sizeof stage->queue[0]);
}

/* The stream ends behind |place|: what it has let pass is still delivered, unless the end had come by before. */
static void model_trip(size_t place)
{
    bool is_end_past = model.ending[0] != '\0';
    for (size_t i = place + 1; i < model.stage_count; i++)
        is_end_past = is_end_past || model.stages[i].has_end;
    for (size_t i = 0; i <= place; i++) {
        model.stages[i].count = 0;
        model.stages[i].has_end = false;
        model.stages[i].is_over = true;
    }
    model.is_tripped = true;
    model.has_ended = true;
    if (model.ending[0] != '\0')
        model.ending = "close";
    else if (!is_end_past)
        model_put_end(place + 1, "close");
}

static bool latency_step(size_t place, uint64_t now_ms)
{
    struct model_stage *stage = &model.stages[place];
    struct model_chunk chunk = stage->queue[0];
    uint64_t due_ms = chunk.stamp_ms + stage->toxic.as.latency.latency_ns / DURESS_MS;
    if (now_ms < due_ms)
        return false;
    if (due_ms > chunk.entered_ms)
        chunk.stamp_ms += due_ms - chunk.entered_ms;
    queue_shift(stage);
    model_put(place + 1, chunk, now_ms);
    return true;
}

/* At 1000 bytes a second a byte takes a millisecond, and 100 ms are 100 bytes. */
static bool bandwidth_step(size_t place, uint64_t now_ms)
{
    struct model_stage *stage = &model.stages[place];
    if (stage->toxic.as.bandwidth.rate_bytes_per_s == 0)
        return false;
    uint64_t bytes = stage->queue[0].bytes < 100 ? stage->queue[0].bytes : 100;
    if (stage->leaves_ms == 0)
        stage->leaves_ms = now_ms + bytes;
    if (now_ms < stage->leaves_ms)
        return false;
    stage->leaves_ms = 0;
    struct model_chunk piece = stage->queue[0];
    piece.bytes = bytes;
    stage->queue[0].bytes -= bytes;
    if (stage->queue[0].bytes == 0)
        queue_shift(stage);
    model_put(place + 1, piece, now_ms);
    return true;
}

static bool limit_data_step(size_t place, uint64_t now_ms)
{
    struct model_stage *stage = &model.stages[place];
    struct model_chunk chunk = stage->queue[0];
    uint64_t max = stage->toxic.as.limit_data.bytes_max;
    uint64_t left = max > stage->count_bytes ? max - stage->count_bytes : 0;
    if (chunk.bytes > left)
        chunk.bytes = left;
    stage->count_bytes += chunk.bytes;
    queue_shift(stage);
    if (chunk.bytes > 0)
        model_put(place + 1, chunk, now_ms);
    if (chunk.bytes == left)
        model_trip(place);
    return true;
}

static bool chunk_step(size_t place, uint64_t now_ms)
{
    struct model_stage *stage = &model.stages[place];
    struct model_chunk chunk = stage->queue[0];
    switch (stage->toxic.type) {
    case DURESS_TOXIC_LATENCY:
        return latency_step(place, now_ms);
    case DURESS_TOXIC_BANDWIDTH:
        return bandwidth_step(place, now_ms);
    case DURESS_TOXIC_LIMIT_DATA:
        return limit_data_step(place, now_ms);
    case DURESS_TOXIC_TIMEOUT:
        stage->since_ms = now_ms;
        stage->count_bytes += chunk.bytes;
        queue_shift(stage);
        return true;
    default:
        queue_shift(stage);
        model_put(place + 1, chunk, now_ms);
        return true;
    }
}

static bool end_step(size_t place, uint64_t now_ms)
{
    struct model_stage *stage = &model.stages[place];
    if (stage->toxic.type == DURESS_TOXIC_SLOW_CLOSE) {
        if (!stage->is_holding)
            stage->since_ms = now_ms;
        stage->is_holding = true;
        if (now_ms < stage->since_ms + stage->toxic.as.slow_close.delay_ns / DURESS_MS)
            return false;
    }
    stage->has_end = false;
    stage->is_over = true;
    model_put_end(place + 1, "shutdown");
    return true;
}

static bool stage_step(size_t place, uint64_t now_ms)
{
    struct model_stage *stage = &model.stages[place];
    if (stage->count > 0)
        return chunk_step(place, now_ms);
    if (stage->has_end)
        return end_step(place, now_ms);
    bool is_timeout = stage->toxic.type == DURESS_TOXIC_TIMEOUT && stage->toxic.as.timeout.timeout_ns > 0;
    if (!is_timeout || stage->is_over || now_ms < stage->since_ms + stage->toxic.as.timeout.timeout_ns / DURESS_MS)
        return false;
    model_trip(place);
    return true;
}

static void model_step(uint64_t now_ms)
{
    for (size_t place = 0; place < model.stage_count; place++)
        while (stage_step(place, now_ms))
            ;
}

/* ---- the program ---- */

struct program {
    struct rig rig;
    struct duress_prng prng;
    uint64_t next_id;
    bool is_lossless; /* draws no toxic that ends the connection, so that the program is long */
};

static uint64_t below(struct program *program, uint64_t bound)
{
    return duress_prng_below(&program->prng, bound);
}

static void settings_draw(struct program *program, struct duress_toxic *toxic)
{
    uint64_t duration_ns = below(program, 300) * DURESS_MS;
    switch (toxic->type) {
    case DURESS_TOXIC_LATENCY:
        toxic->as.latency.latency_ns = duration_ns;
        break;
    case DURESS_TOXIC_BANDWIDTH:
        toxic->as.bandwidth.rate_bytes_per_s = below(program, 4) == 0 ? 0 : 1000;
        break;
    case DURESS_TOXIC_SLOW_CLOSE:
        toxic->as.slow_close.delay_ns = duration_ns;
        break;
    case DURESS_TOXIC_TIMEOUT:
        toxic->as.timeout.timeout_ns = 3 * duration_ns;
        break;
    default:
        toxic->as.limit_data.bytes_max = below(program, 2000);
        break;
    }
}

static void program_add(struct program *program, uint64_t now_ms)
{
    static const enum duress_toxic_type types[] = {
        DURESS_TOXIC_LATENCY, DURESS_TOXIC_LATENCY,    DURESS_TOXIC_BANDWIDTH,  DURESS_TOXIC_BANDWIDTH,
        DURESS_TOXIC_NOOP,    DURESS_TOXIC_SLOW_CLOSE, DURESS_TOXIC_LIMIT_DATA, DURESS_TOXIC_TIMEOUT,
    };
    if (model.stage_count == MODEL_STAGES_MAX)
        return;
    size_t type_count = sizeof types / sizeof types[0];
    if (program->is_lossless)
        type_count -= 2;
    struct duress_toxic toxic = toxic_of(program->next_id++, types[below(program, type_count)]);
    settings_draw(program, &toxic);
    model.stages[model.stage_count++] =
        (struct model_stage){.toxic = toxic, .since_ms = now_ms, .is_over = model.ending[0] != '\0'};
    rig_add(&program->rig, toxic);
}

/* The chunk in hand goes on; the clocks start anew. */
static void program_update(struct program *program, uint64_t now_ms)
{
    if (model.stage_count == 0)
        return;
    size_t place = (size_t)below(program, model.stage_count);
    struct model_stage *stage = &model.stages[place];
    bool has_hand = stage->toxic.type == DURESS_TOXIC_LATENCY || stage->toxic.type == DURESS_TOXIC_BANDWIDTH;
    if (has_hand && stage->count > 0) {
        struct model_chunk chunk = stage->queue[0];
        queue_shift(stage);
        model_put(place + 1, chunk, now_ms);
    }
    settings_draw(program, &stage->toxic);
    stage->leaves_ms = 0;
    stage->since_ms = now_ms;
    rig_update(&program->rig, stage->toxic);
}

static void program_remove(struct program *program, uint64_t now_ms)
{
    if (model.stage_count == 0)
        return;
    size_t place = (size_t)below(program, model.stage_count);
    struct model_stage *stage = &model.stages[place];
    uint64_t id = stage->toxic.id;
    if (stage->toxic.type == DURESS_TOXIC_TIMEOUT && stage->count_bytes > 0)
        model_trip(place);
    for (size_t i = 0; i < stage->count; i++)
        model_put(place + 1, stage->queue[i], now_ms);
    if (stage->has_end)
        model_put_end(place + 1, "shutdown");
    memmove(stage, stage + 1, (--model.stage_count - place) * sizeof *stage);
    rig_remove(&program->rig, id);
}

static void program_step(struct program *program, uint64_t now_ms)
{
    struct rig *rig = &program->rig;
    switch (below(program, 12)) {
    case 0:
    case 1:
        program_add(program, now_ms);
        break;
    case 2:
        program_update(program, now_ms);
        break;
    case 3:
        program_remove(program, now_ms);
        break;
    case 4:
        if (below(program, 4) != 0 || model.has_ended)
            break;
        model.has_ended = true;
        model_put_end(0, "shutdown");
        rig_end(rig, DURESS_DOWNSTREAM);
        break;
    default:
        if (model.has_ended)
            break;
        uint64_t bytes = 1 + below(program, 250);
        model_put(0, (struct model_chunk){.bytes = bytes, .stamp_ms = now_ms}, now_ms);
        rig_push(rig, DURESS_DOWNSTREAM, (size_t)bytes);
        break;
    }
}

static void compare(const struct rig *rig)
{
    assert_int_equal(rig->written_bytes[DURESS_DOWNSTREAM], model.out_bytes);
    bool has_shut_down = strstr(rig_actions(rig), "shutdown-client") != NULL;
    bool has_closed = duress_link_is_done(rig->link);
    assert_int_equal(has_closed, strcmp(model.ending, "close") == 0);
    if (!has_closed)
        assert_int_equal(has_shut_down, strcmp(model.ending, "shutdown") == 0);
}

static void program_run(uint64_t seed)
{
    struct program program = {.next_id = 1, .is_lossless = seed % 2 == 1};
    model = (struct model){.ending = ""};
    duress_prng_init(&program.prng, seed, 0);
    rig_open(&program.rig, NULL, 0);
    program.rig.is_hole_allowed[DURESS_DOWNSTREAM] = true;
    for (uint64_t now_ms = 0; now_ms < MODEL_MS; now_ms++) {
        model_step(now_ms);
        rig_run(&program.rig, now_ms * DURESS_MS);
        compare(&program.rig);
        if (strcmp(model.ending, "close") == 0)
            break;
        if (now_ms >= MODEL_OPS_MS || below(&program, 25) != 0)
            continue;
        program_step(&program, now_ms);
        model_step(now_ms);
        compare(&program.rig);
    }
    rig_close(&program.rig);
}

static void link_does_what_the_plain_model_does(void **unused)
{
    (void)unused;
    for (seed_now = 0; seed_now < MODEL_SEEDS; seed_now++)
        program_run(seed_now);
}

static int seed_print(void **unused)
{
    (void)unused;
    if (seed_now < MODEL_SEEDS)
        (void)fprintf(stderr, "failed at seed %" PRIu64 "\n", seed_now);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(link_does_what_the_plain_model_does, seed_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
