/* SPDX-License-Identifier: Apache-2.0
 *
 * A loop that waits for its own epoll set. */
#include "loop_private.h"

int duress__loop_run_direct(struct duress_loop *loop, duress_loop_done_fn done, void *context)
{
    if (loop->in_turn || loop->running || loop->uv != &loop->own)
        return DURESS_E_INVALID;
    loop->running = true;
    loop->direct = true;
    loop->done = done;
    loop->done_context = context;
    while (!duress__loop_is_done(loop)) {
        duress__sockets_harvest(loop, duress__loop_has_work(loop) ? 0 : -1);
        duress__loop_turn(loop);
    }
    loop->done = NULL;
    loop->stop = false;
    loop->direct = false;
    loop->running = false;
    duress__loop_settle(loop);
    return DURESS_OK;
}
