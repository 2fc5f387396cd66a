/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/campaign/campaign.h>

#include <stdio.h>
#include <string.h>

struct seed_run {
    const struct duress_campaign_options *options;
    void *system;
    const char *broken; /* what the first failed check said */
    bool is_done;
};

static bool seed_is_over(void *context)
{
    struct seed_run *run = context;
    if (run->broken == NULL && run->options->broken != NULL)
        run->broken = run->options->broken(run->system);
    run->is_done = run->options->is_done != NULL && run->options->is_done(run->system);
    return run->broken != NULL || run->is_done;
}

static enum duress_campaign_verdict seed_judge(const struct seed_run *run, int error)
{
    if (run->broken != NULL)
        return DURESS_CAMPAIGN_BROKEN;
    if (error == DURESS_E_TOO_LARGE)
        return DURESS_CAMPAIGN_LIVELOCK;
    if (run->options->is_done != NULL && !run->is_done)
        return DURESS_CAMPAIGN_NOT_DONE;
    return DURESS_CAMPAIGN_CLEAN;
}

static int seed_run(const struct duress_campaign_options *options, uint64_t seed,
                    struct duress_campaign_finding *finding)
{
    struct duress_sim_options sim_options = options->sim;
    sim_options.seed = seed;
    struct duress_sim *sim = NULL;
    int error = duress_sim_new(&sim_options, &sim, NULL);
    if (error != DURESS_OK)
        return error;
    struct seed_run run = {.options = options};
    error = options->build(options->context, sim, &run.system);
    if (error != DURESS_OK) {
        duress_sim_free(sim);
        return error;
    }
    int ended =
        duress_sim_run_until(sim, seed_is_over, &run, duress_time_add(duress_sim_now_ns(sim), options->duration_ns));
    finding->verdict = seed_judge(&run, ended);
    finding->seed = seed;
    finding->at_ns = duress_sim_now_ns(sim);
    finding->event_count = duress_sim_event_count(sim);
    finding->trace_hash = duress_sim_trace_hash(sim);
    (void)snprintf(finding->what, sizeof finding->what, "%s", run.broken != NULL ? run.broken : "");
    options->take_down(run.system);
    duress_sim_free(sim);
    return DURESS_OK;
}

static int seed_repeat(const struct duress_campaign_options *options, struct duress_campaign_finding *finding)
{
    struct duress_campaign_finding again = *finding;
    int error = seed_run(options, finding->seed, &again);
    if (error != DURESS_OK)
        return error;
    if (again.trace_hash == finding->trace_hash && again.event_count == finding->event_count)
        return DURESS_OK;
    finding->verdict = DURESS_CAMPAIGN_NOT_REPEATED;
    (void)snprintf(finding->what, sizeof finding->what, "the seed's second run left another trace than its first");
    return DURESS_OK;
}

int duress_campaign_run(const struct duress_campaign_options *options, struct duress_campaign_finding *finding)
{
    if (options == NULL || finding == NULL || options->build == NULL || options->take_down == NULL)
        return DURESS_E_INVALID;
    if (options->seed_count == 0 || options->duration_ns == 0)
        return DURESS_E_INVALID;
    memset(finding, 0, sizeof *finding);
    for (uint64_t i = 0; i < options->seed_count; i++) {
        int error = seed_run(options, options->seed_first + i, finding);
        finding->seeds_run = i + 1;
        if (error == DURESS_OK && finding->verdict == DURESS_CAMPAIGN_CLEAN && options->repeat)
            error = seed_repeat(options, finding);
        if (error != DURESS_OK || finding->verdict != DURESS_CAMPAIGN_CLEAN)
            return error;
    }
    return DURESS_OK;
}

const char *duress_campaign_verdict_name(enum duress_campaign_verdict verdict)
{
    static const char *const names[] = {"clean", "broken", "not done", "livelock", "not repeated"};
    return (unsigned)verdict < sizeof names / sizeof names[0] ? names[verdict] : "unknown";
}
