/* SPDX-License-Identifier: Apache-2.0
 *
 * A user's program: what libduress-http says of a header. */
#include <stdio.h>

#include <duress/agent_http/retry_after.h>
#include <duress/time.h>

int main(void)
{
    uint64_t wait_ns = duress_http_retry_after_ns(duress_slice_text("120"), 0);
    printf("%s\n", wait_ns == 120 * DURESS_S ? "hello" : "what?");
    return 0;
}
