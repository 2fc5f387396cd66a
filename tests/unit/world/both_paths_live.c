/* SPDX-License-Identifier: Apache-2.0
 *
 * Paths in the live world: the kernel's own TCP over a TUN device, whose packets are lost and held back as a test says;
 * and what only a kernel does on such a path. */
#include "both_rig.h"

#include <stdlib.h>

#include <duress/world/live.h>

#include "tun_path.h"

enum { MUCH_BYTES = 8 * 1024 * 1024 };

/* --- the world --- */

struct live_path {
    struct tun_path *tun;
    enum both_path now;
};

static void path_open(struct both *both, bool is_apart, uint64_t hop_ns)
{
    struct live_path *path = calloc(1, sizeof *path);
    assert_non_null(path);
    assert_false(is_apart);
    struct duress_world *world = NULL;
    assert_int_equal(duress_world_live_new(NULL, &world, NULL), DURESS_OK);
    path->tun = tun_path_new(world, hop_ns);
    *both = (struct both){
        .name = "live",
        .client = world,
        .server = world,
        .address = tun_path_here(0),
        .private = path,
    };
}

static void path_close(struct both *both)
{
    struct live_path *path = both->private;
    tun_path_free(path->tun);
    duress_world_free(both->client);
    free(path);
}

/* That what a test ordered happened at all. */
static void path_prove(const struct live_path *path)
{
    struct tun_path_counts counts = tun_path_counts(path->tun);
    if (path->now == BOTH_PATH_OPEN)
        return;
    assert_true(counts.lost > 0);
    if (path->now != BOTH_PATH_ROUGH)
        return;
    assert_true(counts.doubled > 0);
    assert_true(counts.overtaken > 0);
}

/* A machine without power takes and sends nothing, which is all that the network sees of it. */
static void path_set(struct both *both, enum both_path wanted)
{
    static const enum tun_path_mode modes[] = {
        [BOTH_PATH_OPEN] = TUN_PATH_OPEN,
        [BOTH_PATH_CUT] = TUN_PATH_CUT,
        [BOTH_PATH_UNREACHABLE] = TUN_PATH_UNREACHABLE,
        [BOTH_PATH_ROUGH] = TUN_PATH_ROUGH,
        [BOTH_PATH_DEAD_END] = TUN_PATH_CUT,
    };
    struct live_path *path = both->private;
    tun_path_pump(path->tun);
    path_prove(path);
    tun_path_set(path->tun, modes[wanted]);
    path->now = wanted;
}

static struct duress_address path_reach(struct duress_address listening)
{
    return tun_path_there(listening.port);
}

const struct both_factory both_live_path = {"live", path_open, NULL, path_close, path_set, path_reach};

#define X(name)                                                                                                        \
    static void live_##name(void **state)                                                                              \
    {                                                                                                                  \
        (void)state;                                                                                                   \
        name(&both_live_path);                                                                                         \
    }
BOTH_PATH_SCENARIO_LIST(X)
#undef X

static struct tun_path_counts rig_counts(const struct rig *rig)
{
    return tun_path_counts(((const struct live_path *)rig->both.private)->tun);
}

/* --- pieces and buffers --- */

static bool server_has_heard_all(void *context)
{
    const struct rig *rig = context;
    return rig->server.received == 900;
}

static void small_writes_share_segments_and_large_ones_are_cut(void **state)
{
    (void)state;
    enum { WORDS = 300, SEGMENT_BYTES_MAX = 1460 };
    struct rig rig = {.factory = &both_live_path};
    path_open(&rig.both, false, 5 * DURESS_MS);
    rig_dial(&rig);
    for (int i = 0; i < WORDS; i++)
        peer_say(&rig.client, "abc");
    rig_until(&rig, server_has_heard_all);
    assert_in_range(rig_counts(&rig).data, 2, WORDS / 2);
    assert_true(rig_flood(&rig.client) > 10000);
    peer_close(&rig.client);
    rig_until(&rig, server_has_ended);
    assert_in_range(rig_counts(&rig).data_bytes_max, SEGMENT_BYTES_MAX / 2, SEGMENT_BYTES_MAX);
    rig_close(&rig);
}

/* How much a peer that reads nothing lets the client write. */
static size_t room(struct rig *rig)
{
    size_t total = 0;
    size_t taken;
    rig->server.is_manual = true;
    duress_stream_want(rig->server.stream, 0);
    do {
        taken = rig_flood(&rig->client);
        total += taken;
        rig_pass(rig, QUIET_NS);
    } while (taken > 0);
    rig->server.is_manual = false;
    duress_stream_want(rig->server.stream, DURESS_STREAM_READABLE);
    return total;
}

static void buffers_grow_with_use(void **state)
{
    (void)state;
    struct rig rig;
    rig_connect(&rig, &both_live_path, false, true);
    size_t first = room(&rig);
    while (rig.server.received < MUCH_BYTES) {
        (void)rig_flood(&rig.client);
        rig.client.seen &= ~(unsigned)DURESS_STREAM_WRITABLE;
        duress_stream_want(rig.client.stream, DURESS_STREAM_WRITABLE);
        rig_until(&rig, client_is_writable);
    }
    assert_true(room(&rig) > first);
    rig_close(&rig);
}

int main(void)
{
    const char *reason = tun_namespace_enter();
    if (reason != NULL) {
        print_message("skipped: %s\n", reason);
        return TUN_EXIT_SKIPPED;
    }
    const struct CMUnitTest tests[] = {
#define X(name) {#name, live_##name, NULL, NULL, NULL},
        BOTH_PATH_SCENARIO_LIST(X)
#undef X
            cmocka_unit_test(small_writes_share_segments_and_large_ones_are_cut),
        cmocka_unit_test(buffers_grow_with_use),
    };
    return cmocka_run_group_tests_name("both_paths_live", tests, NULL, NULL);
}
