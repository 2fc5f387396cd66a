/* SPDX-License-Identifier: Apache-2.0 */
#include "crowd.h"

static void call_ended(struct rig_answer *answer, void *context)
{
    struct crowd_call *call = context;
    struct crowd *crowd = call->crowd;
    crowd->ended++;
    crowd->succeeded += answer->error == DURESS_OK;
    crowd->cancelled += answer->error == DURESS_E_CANCELLED;
    duress_world_disarm(crowd->rig->client, &call->cancel);
    if (crowd->plan->on_end != NULL)
        crowd->plan->on_end(crowd, call);
}

static void call_begin(void *context)
{
    struct crowd_call *call = context;
    call->answer.then = call_ended;
    call->answer.then_context = call;
    assert_int_equal(rig_try_ask(call->crowd->agent, call->text, call->deadline_ns, call->idempotent, call->streaming,
                                 &call->answer),
                     DURESS_OK);
}

static void call_cancel(void *context)
{
    struct crowd_call *call = context;
    if (call->answer.call != NULL)
        duress_call_cancel(call->answer.call);
}

static void mood_draw(void *context, struct rig_service *service, struct duress_call *call)
{
    static const enum duress_error codes[] = {DURESS_E_REFUSED, DURESS_E_RESET, DURESS_E_OVERLOADED, DURESS_E_INVALID};
    struct crowd *crowd = context;
    const struct crowd_moods *moods = &crowd->plan->moods;
    (void)call;
    uint64_t mood = duress_prng_below(&crowd->prng, 100);
    service->at_once = mood < moods->at_once_below;
    service->fail_count = mood >= moods->at_once_below && mood < moods->fail_below;
    service->silent = moods->silent_from > 0 && mood >= moods->silent_from;
    service->delay_ns_max = mood < 15 ? 0 : moods->delay_ns_max;
    service->chunk_count = moods->streams ? (uint32_t)(mood % 4) : 0;
    duress_failure_set(&service->failure, moods->code != DURESS_OK ? moods->code : codes[mood % 4], DURESS_ORIGIN_AGENT,
                       "mood %u", (unsigned)mood);
}

void crowd_join_service(struct crowd *crowd, struct rig_service *service)
{
    service->on_call = mood_draw;
    service->context = crowd;
}

void crowd_init(struct crowd *crowd, const struct crowd_plan *plan, struct rig *rig, uint64_t seed)
{
    crowd->plan = plan;
    crowd->rig = rig;
    crowd->agent = NULL;
    crowd->ended = crowd->succeeded = crowd->cancelled = 0;
    duress_prng_init(&crowd->prng, seed, 99);
}

static void call_schedule(struct crowd *crowd, struct crowd_call *call, uint64_t now_ns, bool cancels)
{
    const struct crowd_plan *plan = crowd->plan;
    struct duress_world *world = crowd->rig->client;
    *call = (struct crowd_call){.crowd = crowd, .text = "x"};
    uint64_t begin_ns = now_ns + duress_prng_below(&crowd->prng, 500 * DURESS_MS);
    if (plan->text_count > 0)
        call->text[0] = (char)('a' + duress_prng_below(&crowd->prng, plan->text_count));
    call->idempotent = duress_prng_chance(&crowd->prng, plan->idempotent_ppm);
    call->streaming = duress_prng_chance(&crowd->prng, plan->streaming_ppm);
    call->deadline_ns = begin_ns + plan->deadline_ns_min + duress_prng_below(&crowd->prng, plan->deadline_ns_range);
    duress_timer_init(&call->begin, call_begin, call);
    duress_timer_init(&call->cancel, call_cancel, call);
    duress_world_arm(world, &call->begin, begin_ns);
    if (cancels)
        duress_world_arm(world, &call->cancel, begin_ns + duress_prng_below(&crowd->prng, 40 * DURESS_MS));
}

static bool crowd_is_done(void *context)
{
    return ((const struct crowd *)context)->ended == CROWD_CALL_COUNT;
}

void crowd_run(struct crowd *crowd, struct duress_agent *agent)
{
    uint64_t now_ns = rig_now_ns(crowd->rig);
    crowd->agent = agent;
    for (int i = 0; i < CROWD_CALL_COUNT; i++)
        call_schedule(crowd, &crowd->calls[i], now_ns, i % 3 == 0);
    assert_int_equal(duress_sim_run_until(crowd->rig->sim, crowd_is_done, crowd, now_ns + 60 * DURESS_S), DURESS_OK);
    for (int i = 0; i < CROWD_CALL_COUNT; i++)
        assert_int_equal(crowd->calls[i].answer.ended, 1);
    assert_int_equal(duress_agent_in_flight_count(agent), 0);
}

void crowd_assert_quiet(struct crowd *crowd)
{
    uint64_t ended_ns = rig_now_ns(crowd->rig);
    rig_run_dry(crowd->rig);
    assert_int_equal(rig_now_ns(crowd->rig), ended_ns);
}
