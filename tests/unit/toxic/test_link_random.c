/* SPDX-License-Identifier: Apache-2.0
 *
 * Random programs: pushes, ends, resets, stalls, short writes and toxics that come, change and go, in both directions,
 * thousands of them, each from its seed. After every step the rig checks order, content and conservation; after every
 * program the toxics are removed and the sinks take everything, and then nothing may be left undone. */
#include "link_rig.h"

#include <inttypes.h>
#include <stdio.h>

enum { PROGRAM_SEEDS = 3000, PROGRAM_STEPS = 80, PROGRAM_TOXICS_MAX = 6 };

/* For the debugger, and printed where a program fails. */
static uint64_t seed_now;

struct program {
    struct rig rig;
    struct duress_prng prng;
    bool is_lossless; /* draws only what may lose nothing */
    bool is_ended[DURESS_DIRECTION_COUNT];
    struct duress_toxic toxics[PROGRAM_TOXICS_MAX];
    size_t toxic_count;
    uint64_t next_id;
};

static uint64_t below(struct program *program, uint64_t bound)
{
    return duress_prng_below(&program->prng, bound);
}

/* Small numbers mostly, hostile ones now and then. */
static uint64_t draw_ns(struct program *program)
{
    switch (below(program, 8)) {
    case 0:
        return 0;
    case 1:
        return UINT64_MAX - below(program, 2);
    default:
        return below(program, 300) * DURESS_MS + below(program, 3);
    }
}

/* A time to live and a schedule, now and then. */
static void window_draw(struct program *program, struct duress_toxic *toxic)
{
    toxic->since_ns = program->rig.now_ns;
    toxic->ttl_ns = below(program, 6) == 0 ? draw_ns(program) : 0;
    toxic->period_ns = below(program, 6) == 0 ? 10 * DURESS_MS + below(program, 300) * DURESS_MS : 0;
    toxic->on_ns = toxic->period_ns > 0 ? 1 + below(program, toxic->period_ns) : 0;
}

static void chances_draw(struct program *program, struct duress_toxic *toxic)
{
    toxic->as.packet_loss.loss_ppm = (uint32_t)below(program, 300000);
    toxic->as.packet_loss.correlation_ppm = (uint32_t)below(program, 300000);
    toxic->as.packet_loss.good_to_bad_ppm = (uint32_t)below(program, 300000);
    toxic->as.packet_loss.bad_to_good_ppm = (uint32_t)below(program, 300000);
    toxic->as.packet_loss.bad_loss_ppm = (uint32_t)below(program, DURESS_PPM + 1);
    toxic->as.packet_loss.segment_bytes_max = (uint32_t)below(program, 200);
}

/* Of the types that Toxiproxy does not have. */
static void own_settings_draw(struct program *program, struct duress_toxic *toxic)
{
    uint64_t a = draw_ns(program);
    uint64_t b = draw_ns(program);
    switch (toxic->type) {
    case DURESS_TOXIC_CUT:
        toxic->as.cut.after_bytes = below(program, 5000);
        toxic->as.cut.how = (enum duress_cut_how)below(program, 2);
        break;
    case DURESS_TOXIC_CORRUPT:
        toxic->as.corrupt.rate_ppm = (uint32_t)below(program, 1000);
        break;
    case DURESS_TOXIC_PACKET_LOSS:
        chances_draw(program, toxic);
        toxic->as.packet_loss.rto_ns = a;
        break;
    case DURESS_TOXIC_LIMIT_TIME:
        toxic->as.limit_time.time_ns = 10 * (a % DURESS_S);
        break;
    case DURESS_TOXIC_UNPLUG:
        toxic->as.unplug.after_ns = a;
        break;
    case DURESS_TOXIC_SLOW_OPEN:
        toxic->as.slow_open.delay_ns = a;
        break;
    case DURESS_TOXIC_FAIL_FIRST:
        toxic->as.fail_first.connections = below(program, 3);
        break;
    case DURESS_TOXIC_SHARED_BANDWIDTH:
        toxic->as.shared_bandwidth.rate_bytes_per_s = below(program, 5) == 0 ? a : below(program, 20) * 777;
        break;
    case DURESS_TOXIC_LATENCY_NORMAL:
        toxic->as.latency_normal.latency_ns = a;
        toxic->as.latency_normal.deviation_ns = b;
        break;
    case DURESS_TOXIC_LATENCY_PARETO:
        toxic->as.latency_pareto.latency_ns = a;
        toxic->as.latency_pareto.shape_hundredths = 1 + below(program, 400);
        toxic->as.latency_pareto.limit_ns = b;
        break;
    case DURESS_TOXIC_LATENCY_QUANTILES:
        toxic->as.latency_quantiles.quantiles_ns[0] = a / 2;
        toxic->as.latency_quantiles.quantiles_ns[3] = a;
        break;
    default:
        break;
    }
}

static void settings_draw(struct program *program, struct duress_toxic *toxic)
{
    window_draw(program, toxic);
    toxic->toxicity_ppm = below(program, 4) == 0 ? (uint32_t)below(program, 1000001) : DURESS_PPM;
    uint64_t a = draw_ns(program);
    uint64_t b = draw_ns(program);
    switch (toxic->type) {
    case DURESS_TOXIC_LATENCY:
        toxic->as.latency.latency_ns = a;
        toxic->as.latency.jitter_ns = below(program, 2) == 0 ? 0 : b;
        break;
    case DURESS_TOXIC_BANDWIDTH:
        toxic->as.bandwidth.rate_bytes_per_s = below(program, 5) == 0 ? a : below(program, 20) * 777;
        break;
    case DURESS_TOXIC_SLOW_CLOSE:
        toxic->as.slow_close.delay_ns = a;
        break;
    case DURESS_TOXIC_TIMEOUT:
        toxic->as.timeout.timeout_ns = a;
        break;
    case DURESS_TOXIC_RESET_PEER:
        toxic->as.reset_peer.timeout_ns = a;
        break;
    case DURESS_TOXIC_SLICER:
        toxic->as.slicer.average_bytes = below(program, 10) == 0 ? a : below(program, 50);
        toxic->as.slicer.variation_bytes = below(program, 10) == 0 ? b : below(program, 50);
        toxic->as.slicer.delay_ns = below(program, 3) == 0 ? 0 : below(program, 2000) * DURESS_US;
        break;
    case DURESS_TOXIC_LIMIT_DATA:
        toxic->as.limit_data.bytes_max = below(program, 5000);
        break;
    default:
        own_settings_draw(program, toxic);
        break;
    }
}

static void program_add(struct program *program)
{
    static const enum duress_toxic_type lossless[] = {
        DURESS_TOXIC_NOOP,           DURESS_TOXIC_LATENCY,        DURESS_TOXIC_BANDWIDTH,
        DURESS_TOXIC_SLOW_CLOSE,     DURESS_TOXIC_SLICER,         DURESS_TOXIC_PACKET_LOSS,
        DURESS_TOXIC_UNPLUG,         DURESS_TOXIC_SLOW_OPEN,      DURESS_TOXIC_SHARED_BANDWIDTH,
        DURESS_TOXIC_LATENCY_NORMAL, DURESS_TOXIC_LATENCY_PARETO, DURESS_TOXIC_LATENCY_QUANTILES,
    };
    if (program->toxic_count == PROGRAM_TOXICS_MAX)
        return;
    uint64_t type = below(program, DURESS_TOXIC_TYPE_COUNT);
    if (program->is_lossless)
        type = lossless[type % (sizeof lossless / sizeof lossless[0])];
    struct duress_toxic toxic = toxic_of(program->next_id++, (enum duress_toxic_type)type);
    toxic.direction = (enum duress_direction)below(program, 2);
    settings_draw(program, &toxic);
    if (toxic.type == DURESS_TOXIC_CORRUPT)
        program->rig.is_change_allowed[toxic.direction] = true;
    rig_add(&program->rig, toxic);
    program->toxics[program->toxic_count++] = toxic;
}

static void program_update(struct program *program)
{
    if (program->toxic_count == 0)
        return;
    struct duress_toxic *toxic = &program->toxics[below(program, program->toxic_count)];
    settings_draw(program, toxic);
    rig_update(&program->rig, *toxic);
}

static void program_remove(struct program *program)
{
    if (program->toxic_count == 0)
        return;
    size_t place = (size_t)below(program, program->toxic_count);
    rig_remove(&program->rig, program->toxics[place].id);
    program->toxics[place] = program->toxics[--program->toxic_count];
}

static void program_push(struct program *program, enum duress_direction direction)
{
    size_t wanted = duress_link_wants(program->rig.link, direction);
    size_t bytes = 1 + (size_t)below(program, below(program, 10) == 0 ? 40000 : 400);
    if (wanted > 0)
        rig_push(&program->rig, direction, bytes < wanted ? bytes : wanted);
}

static void program_write_some(struct program *program, enum duress_direction direction)
{
    size_t bytes = duress_link_pending(program->rig.link, direction, program->rig.now_ns).length;
    if (bytes > 0)
        rig_write_some(&program->rig, direction, 1 + (size_t)below(program, bytes));
}

static void program_step(struct program *program)
{
    struct rig *rig = &program->rig;
    enum duress_direction direction = (enum duress_direction)below(program, 2);
    switch (below(program, 20)) {
    case 0:
    case 1:
        program_add(program);
        break;
    case 2:
    case 3:
        program_update(program);
        break;
    case 4:
        program_remove(program);
        break;
    case 5:
        rig->is_stalled[direction] = !rig->is_stalled[direction];
        rig_outputs(rig);
        break;
    case 6:
        program_write_some(program, direction);
        break;
    case 7:
        if (below(program, 10) == 0) {
            program->is_ended[direction] = true;
            rig_end(rig, direction);
        }
        break;
    case 8:
        if (!program->is_lossless && below(program, 20) == 0)
            rig_reset(rig, (enum duress_side)below(program, 2));
        break;
    case 9:
    case 10:
    case 11:
    case 12:
    case 13:
        rig_run(rig, rig->now_ns + below(program, 200) * DURESS_MS);
        break;
    default:
        program_push(program, direction);
        break;
    }
}

static void program_finish(struct program *program)
{
    struct rig *rig = &program->rig;
    while (program->toxic_count > 0)
        program_remove(program);
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++)
        rig_unstall(rig, (enum duress_direction)i);
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++)
        rig_end(rig, (enum duress_direction)i);
    assert_true(duress_link_is_done(rig->link)); /* At this very instant: nothing holds anything any more. */
    assert_int_equal(duress_link_next_ns(rig->link), DURESS_TIME_NEVER);
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++) {
        assert_int_equal(duress_link_buffered_bytes(rig->link, (enum duress_direction)i), 0);
        if (!program->is_lossless)
            continue;
        assert_int_equal(rig_stats(rig, (enum duress_direction)i)->bytes_dropped, 0);
        assert_int_equal(rig->written_bytes[i], rig->pushed_bytes[i]);
    }
}

static void program_run(uint64_t seed, bool is_lossless)
{
    struct program program = {.is_lossless = is_lossless, .next_id = 1};
    duress_prng_init(&program.prng, seed, is_lossless);
    struct duress_link_options options = {
        .seed = seed,
        .buffer_bytes_max = below(&program, 3) == 0 ? 1 + (size_t)below(&program, 3000) : 0,
    };
    rig_open_dialing(&program.rig, &options);
    for (int i = 0; i < DURESS_DIRECTION_COUNT; i++)
        program.rig.is_hole_allowed[i] = !is_lossless;
    uint64_t dial_step = below(&program, 4) == 0 ? below(&program, 10) : 0;
    for (uint64_t step = 0; step < PROGRAM_STEPS; step++) {
        if (step == dial_step)
            duress_link_dialed(program.rig.link, DURESS_OK, program.rig.now_ns);
        program_step(&program);
    }
    program_finish(&program);
    rig_close(&program.rig);
}

static void programs_run(bool is_lossless)
{
    for (seed_now = 0; seed_now < PROGRAM_SEEDS; seed_now++)
        program_run(seed_now, is_lossless);
}

static int seed_print(void **unused)
{
    (void)unused;
    if (seed_now < PROGRAM_SEEDS)
        (void)fprintf(stderr, "failed at seed %" PRIu64 "\n", seed_now);
    return 0;
}

static void random_programs_without_lossy_toxics_lose_nothing(void **unused)
{
    (void)unused;
    programs_run(true);
}

static void random_programs_keep_order_and_count_every_byte(void **unused)
{
    (void)unused;
    programs_run(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_teardown(random_programs_without_lossy_toxics_lose_nothing, seed_print),
        cmocka_unit_test_teardown(random_programs_keep_order_and_count_every_byte, seed_print),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
