/* SPDX-License-Identifier: Apache-2.0
 *
 * packet_loss, and a plain model of it: a list of segments, each with its own losses, released in order. */
#include "link_rig.h"

#include <string.h>

enum { MODEL_SEGMENTS_MAX = 16384 };

static struct duress_toxic toxic_loss(uint64_t id, uint32_t loss_ppm, uint32_t segment_bytes_max)
{
    struct duress_toxic toxic = toxic_of(id, DURESS_TOXIC_PACKET_LOSS);
    toxic.as.packet_loss.loss_ppm = loss_ppm;
    toxic.as.packet_loss.segment_bytes_max = segment_bytes_max;
    return toxic;
}

/* ---- the model ---- */

struct model {
    struct duress_toxic toxic;
    struct duress_prng prng;
    bool is_bad;
    bool was_lost;
    uint64_t lost;
    size_t count;
    size_t bytes[MODEL_SEGMENTS_MAX];
    uint64_t released_ns[MODEL_SEGMENTS_MAX];
};

static void model_open(struct model *model, const struct duress_toxic *toxic, uint64_t seed)
{
    memset(model, 0, sizeof *model);
    model->toxic = *toxic;
    duress_prng_init(&model->prng, seed, toxic->id);
    (void)duress_prng_below(&model->prng, DURESS_PPM); /* the draw of toxicity */
}

static bool model_loses(struct model *model)
{
    bool moves = duress_prng_chance(&model->prng, model->is_bad ? model->toxic.as.packet_loss.bad_to_good_ppm
                                                                : model->toxic.as.packet_loss.good_to_bad_ppm);
    model->is_bad = model->is_bad != moves;
    uint64_t chance_ppm =
        model->is_bad ? model->toxic.as.packet_loss.bad_loss_ppm : model->toxic.as.packet_loss.loss_ppm;
    if (model->was_lost)
        chance_ppm += model->toxic.as.packet_loss.correlation_ppm;
    model->was_lost = duress_prng_chance(&model->prng, (uint32_t)chance_ppm);
    model->lost += model->was_lost;
    return model->was_lost;
}

/* One segment, sent at |now_ns|: sent again after 1, 3, 7, … timeouts, and behind the one before it. */
static void model_send(struct model *model, size_t bytes, uint64_t now_ns)
{
    uint64_t at_ns = now_ns;
    uint64_t rto_ns = model->toxic.as.packet_loss.rto_ns;
    for (int tries = 0; tries < 15 && model_loses(model); tries++) {
        at_ns += rto_ns;
        rto_ns = rto_ns * 2 < 120 * DURESS_S ? rto_ns * 2 : 120 * DURESS_S;
    }
    uint64_t before_ns = model->count > 0 ? model->released_ns[model->count - 1] : 0;
    assert_true(model->count < MODEL_SEGMENTS_MAX);
    model->bytes[model->count] = bytes;
    model->released_ns[model->count++] = at_ns > before_ns ? at_ns : before_ns;
}

static void model_push(struct model *model, size_t bytes, uint64_t now_ns)
{
    size_t max = model->toxic.as.packet_loss.segment_bytes_max;
    for (; bytes > max; bytes -= max)
        model_send(model, max, now_ns);
    model_send(model, bytes, now_ns);
}

static uint64_t model_out(const struct model *model, uint64_t now_ns)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < model->count && model->released_ns[i] <= now_ns; i++)
        bytes += model->bytes[i];
    return bytes;
}

static void model_settings(struct duress_toxic *toxic, struct duress_prng *prng)
{
    toxic->as.packet_loss.segment_bytes_max = 1 + (uint32_t)duress_prng_below(prng, 100);
    toxic->as.packet_loss.loss_ppm = (uint32_t)duress_prng_below(prng, 400000);
    toxic->as.packet_loss.correlation_ppm = (uint32_t)duress_prng_below(prng, 400000);
    toxic->as.packet_loss.good_to_bad_ppm = (uint32_t)duress_prng_below(prng, 300000);
    toxic->as.packet_loss.bad_to_good_ppm = (uint32_t)duress_prng_below(prng, 300000);
    toxic->as.packet_loss.bad_loss_ppm = (uint32_t)duress_prng_below(prng, DURESS_PPM);
    toxic->as.packet_loss.rto_ns = (1 + duress_prng_below(prng, 50)) * DURESS_MS;
}

static void losses_are_those_of_the_plain_model(void **unused)
{
    (void)unused;
    static struct model model;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct rig rig;
        struct duress_prng prng;
        struct duress_toxic toxic = toxic_of(5, DURESS_TOXIC_PACKET_LOSS);
        duress_prng_init(&prng, seed, 1);
        model_settings(&toxic, &prng);
        model_open(&model, &toxic, seed);
        struct duress_link_options options = {.seed = seed, .toxics = &toxic, .toxic_count = 1};
        rig_open_dialing(&rig, &options);
        rig_dial(&rig);
        for (uint64_t now_ms = 0; now_ms < 2000; now_ms++) {
            rig_run(&rig, now_ms * DURESS_MS);
            assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], model_out(&model, now_ms * DURESS_MS));
            if (now_ms >= 600 || duress_prng_below(&prng, 30) != 0)
                continue;
            size_t bytes = 1 + (size_t)duress_prng_below(&prng, 500);
            model_push(&model, bytes, now_ms * DURESS_MS);
            rig_push(&rig, DURESS_DOWNSTREAM, bytes);
        }
        rig_remove(&rig, 5); /* And whatever is held still, nothing is missing: the rig compares each byte. */
        assert_int_equal(rig.written_bytes[DURESS_DOWNSTREAM], rig.pushed_bytes[DURESS_DOWNSTREAM]);
        rig_close(&rig);
    }
}

static void segments_lost_are_counted(void **unused)
{
    (void)unused;
    static struct model model;
    struct rig rig;
    struct duress_toxic toxic = toxic_loss(5, 300000, 10);
    toxic.as.packet_loss.rto_ns = DURESS_MS;
    model_open(&model, &toxic, 7);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 1000);
    model_push(&model, 1000, 0);
    rig_run(&rig, DURESS_S);
    assert_true(model.lost > 20);
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->segments_lost, model.lost);
    rig_close(&rig);
}

static void without_a_chance_nothing_is_lost(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_loss(1, 0, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 32768);
    rig_push(&rig, DURESS_DOWNSTREAM, 7);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "32768@0 7@0"); /* in one piece, as it came */
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->segments_lost, 0);
    rig_close(&rig);
}

/* Linux's 15 retransmissions from 200 ms on, each timeout at most 120 s: 924.6 s less the last wait, which gives up. */
static void segment_that_is_always_lost_comes_with_the_last_try(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_loss(1, DURESS_PPM, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 7);
    rig_end(&rig, DURESS_DOWNSTREAM);
    rig_run(&rig, 3600 * DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "7@804600");
    assert_string_equal(rig_actions(&rig), "shutdown-client@804600");
    assert_int_equal(rig_stats(&rig, DURESS_DOWNSTREAM)->segments_lost, 15);
    rig_close(&rig);
}

static void lost_segment_holds_what_is_behind_it(void **unused)
{
    (void)unused;
    struct rig rig;
    struct duress_toxic toxic = toxic_loss(1, DURESS_PPM, 0);
    rig_open(&rig, &toxic, 1);
    rig_push(&rig, DURESS_DOWNSTREAM, 7);
    rig_run(&rig, 100 * DURESS_MS);
    rig_push(&rig, DURESS_DOWNSTREAM, 9);
    rig_run(&rig, DURESS_S);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "");
    rig_update(&rig, toxic); /* The one in hand goes at once; what was behind it is drawn anew. */
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "7@1000");
    toxic.as.packet_loss.loss_ppm = 0;
    rig_update(&rig, toxic);
    assert_string_equal(rig_writes(&rig, DURESS_DOWNSTREAM), "7@1000 9@1000");
    rig_close(&rig);
}

/* The share of transmissions that is lost, and the mean length of a run of losses, by simulation and by theory. */
struct channel {
    double loss;
    double burst;
};

static struct channel channel_measure(const struct duress_toxic *toxic)
{
    static struct model model;
    model_open(&model, toxic, 99);
    uint64_t losses = 0;
    uint64_t bursts = 0;
    bool was_lost = false;
    enum { TRANSMISSIONS = 400000 };
    for (int i = 0; i < TRANSMISSIONS; i++) {
        bool is_lost = model_loses(&model);
        losses += is_lost;
        bursts += is_lost && !was_lost;
        was_lost = is_lost;
    }
    return (struct channel){(double)losses / TRANSMISSIONS, (double)losses / (double)bursts};
}

static void assert_near(double value, double wanted)
{
    if (value < wanted * 0.97 || value > wanted * 1.03)
        fail_msg("%f, wanted is %f", value, wanted);
}

/* Toxiproxy's loss_rate 0.1 with correlation 0.5: after a loss the chance is 0.6, so a run has 1 / 0.4 losses, and the
 * share of losses is p / (1 − c) = 0.2. */
static void correlation_makes_bursts(void **unused)
{
    (void)unused;
    struct duress_toxic toxic = toxic_loss(1, 100000, 1);
    assert_near(channel_measure(&toxic).loss, 0.1);
    assert_near(channel_measure(&toxic).burst, 1 / 0.9);
    toxic.as.packet_loss.correlation_ppm = 500000;
    assert_near(channel_measure(&toxic).loss, 0.2);
    assert_near(channel_measure(&toxic).burst, 2.5);
}

/* Gilbert's channel: good to bad 1 %, back 20 %, all lost while bad: 1/21 is lost, in runs of 5. */
static void gilberts_channel_makes_bursts(void **unused)
{
    (void)unused;
    struct duress_toxic toxic = toxic_loss(1, 0, 1);
    toxic.as.packet_loss.good_to_bad_ppm = 10000;
    toxic.as.packet_loss.bad_to_good_ppm = 200000;
    toxic.as.packet_loss.bad_loss_ppm = DURESS_PPM;
    assert_near(channel_measure(&toxic).loss, 1.0 / 21);
    assert_near(channel_measure(&toxic).burst, 5);
}

static void chances_above_one_are_refused(void **unused)
{
    (void)unused;
    struct duress_failure why;
    struct duress_toxic toxic = toxic_loss(1, DURESS_PPM + 1, 0);
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_E_INVALID);
    assert_string_equal(why.detail, "packet_loss.loss_ppm is 1000001, allowed is 0 to 1000000");
    toxic = toxic_loss(1, 0, 0);
    toxic.as.packet_loss.bad_loss_ppm = UINT32_MAX;
    assert_int_equal(duress_toxic_check(&toxic, &why), DURESS_E_INVALID);
    assert_non_null(strstr(why.detail, "bad_loss_ppm"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(losses_are_those_of_the_plain_model),
        cmocka_unit_test(segments_lost_are_counted),
        cmocka_unit_test(without_a_chance_nothing_is_lost),
        cmocka_unit_test(segment_that_is_always_lost_comes_with_the_last_try),
        cmocka_unit_test(lost_segment_holds_what_is_behind_it),
        cmocka_unit_test(correlation_makes_bursts),
        cmocka_unit_test(gilberts_channel_makes_bursts),
        cmocka_unit_test(chances_above_one_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
