/* SPDX-License-Identifier: Apache-2.0 */
#include <duress/agent_tool/signals.h>

#include <signal.h>

#include <uv.h>

#include <duress/world/live.h>

enum { SIGNALS = 2 };
static const int numbers[SIGNALS] = {SIGINT, SIGTERM};

struct duress__signals {
    const struct duress_allocator *allocator;
    duress__signal_fn fn;
    void *context;
    int open_count;
    uv_signal_t handles[SIGNALS];
};

/* libuv gives a signal back to the system when nobody looks for it any more. */
static void signals_stop(struct duress__signals *signals)
{
    for (int i = 0; i < signals->open_count; i++)
        (void)uv_signal_stop(&signals->handles[i]);
}

static void signal_came(uv_signal_t *handle, int number)
{
    struct duress__signals *signals = handle->data;
    signals_stop(signals);
    signals->fn(signals->context, number);
}

static void signal_closed(uv_handle_t *handle)
{
    struct duress__signals *signals = handle->data;
    if (--signals->open_count == 0)
        duress_release(signals->allocator, signals);
}

static bool is_ignored(int number)
{
    struct sigaction now;
    return sigaction(number, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

static int signals_start(struct duress__signals *signals, uv_loop_t *loop)
{
    for (int i = 0; i < SIGNALS; i++) {
        if (uv_signal_init(loop, &signals->handles[i]) != 0)
            return DURESS_E_NO_DESCRIPTORS;
        signals->handles[i].data = signals;
        signals->open_count++;
        if (!is_ignored(numbers[i]) && uv_signal_start(&signals->handles[i], signal_came, numbers[i]) != 0)
            return DURESS_E_NO_DESCRIPTORS;
    }
    return DURESS_OK;
}

int duress__signals_new(struct duress_world *world, duress__signal_fn fn, void *context,
                        struct duress__signals **signals)
{
    uv_loop_t *loop = duress_world_live_uv_loop(world);
    if (loop == NULL)
        return DURESS_E_UNSUPPORTED;
    const struct duress_allocator *allocator = duress_world_allocator(world);
    struct duress__signals *made = duress_allocate_zeroed(allocator, 1, sizeof *made);
    if (made == NULL)
        return DURESS_E_NO_MEMORY;
    made->allocator = allocator;
    made->fn = fn;
    made->context = context;
    (void)signal(SIGPIPE, SIG_IGN);
    int error = signals_start(made, loop);
    if (error != DURESS_OK) {
        if (made->open_count == 0)
            duress_release(allocator, made);
        else
            duress__signals_free(made);
        return error;
    }
    *signals = made;
    return DURESS_OK;
}

void duress__signals_free(struct duress__signals *signals)
{
    if (signals == NULL)
        return;
    signals_stop(signals);
    for (int i = 0, count = signals->open_count; i < count; i++)
        uv_close((uv_handle_t *)&signals->handles[i], signal_closed);
}
