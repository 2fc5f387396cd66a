/* SPDX-License-Identifier: Apache-2.0 */
#include "sim_private.h"
void duress__sim_relays_free(struct duress_sim *sim)
{
    (void)sim;
}
void duress__sim_relay_count(struct duress_sim_host *host, uint16_t port, bool is_silenced)
{
    (void)host;
    (void)port;
    (void)is_silenced;
}
