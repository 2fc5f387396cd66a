// SPDX-License-Identifier: Apache-2.0

package chaos

import "testing"

// Here the network fails: rows N1 to N9 of the plan, and the layers that answer it.
func TestNetworkFailures(t *testing.T) { checkAll(t, "network") }
