/* SPDX-License-Identifier: Apache-2.0
 *
 * Two hosts in the simulated world, once for each of some seeds. */
#include "both_worlds.h"

#include <stdlib.h>

#include <duress/world/sim.h>

#define SEED_COUNT 25

static uint64_t seed;

static struct duress_sim_host *client_host; /* the server's is both->private */

static void sim_open(struct both *both, bool is_apart, uint64_t hop_ns)
{
    struct duress_sim *sim;
    struct duress_sim_host *client;
    struct duress_sim_host *server;
    struct duress_sim_options options = {.seed = seed, .delay_ns_min = hop_ns, .delay_ns_max = hop_ns};
    assert_int_equal(duress_sim_new(&options, &sim, NULL), DURESS_OK);
    assert_int_equal(duress_sim_host_new(sim, "client", &client), DURESS_OK);
    assert_int_equal(duress_sim_host_new(sim, "server", &server), DURESS_OK);
    *both = (struct both){
        .name = "sim",
        .client = duress_sim_host_world(client),
        .server = duress_sim_host_world(server),
        .address = duress_sim_host_address(server, 0),
        .unix_path = duress_address_unix("/run/both.sock"),
        .is_apart = is_apart,
        .private = server,
    };
    client_host = client;
    duress_sim_host_freeze(server, is_apart);
}

static void sim_thaw(struct both *both)
{
    duress_sim_host_freeze(both->private, false);
}

static void sim_close(struct both *both)
{
    duress_sim_free(duress_world_sim_of(both->client));
}

/* There is no rough path: what TCP makes of one is the drawn delay. */
static void sim_path(struct both *both, enum both_path path)
{
    struct duress_sim *sim = duress_world_sim_of(both->client);
    struct duress_sim_host *server = both->private;
    if (path == BOTH_PATH_CUT) {
        duress_sim_partition(sim, client_host, server);
        duress_sim_partition(sim, server, client_host);
    }
    if (path == BOTH_PATH_DEAD_END)
        duress_sim_host_crash(server);
    duress_sim_host_unreachable(server, path == BOTH_PATH_UNREACHABLE);
    if (path != BOTH_PATH_OPEN)
        return;
    duress_sim_heal(sim, client_host, server);
    duress_sim_heal(sim, server, client_host);
    duress_sim_host_restart(server);
}

const struct both_factory both_sim = {"sim", sim_open, sim_thaw, sim_close, sim_path, NULL};

#define X(name)                                                                                                        \
    static void sim_##name(void **state)                                                                               \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        for (seed = 0; seed < SEED_COUNT; seed++)                                                                      \
            name(&both_sim);                                                                                           \
    }
BOTH_SCENARIO_LIST(X)
BOTH_PATH_SCENARIO_LIST(X)
#undef X

int main(void)
{
    const struct CMUnitTest tests[] = {
#define X(name) {#name, sim_##name, NULL, NULL, NULL},
        BOTH_SCENARIO_LIST(X) BOTH_PATH_SCENARIO_LIST(X)
#undef X
    };
    return cmocka_run_group_tests_name("both_worlds_sim", tests, NULL, NULL);
}
