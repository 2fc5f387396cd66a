// SPDX-License-Identifier: Apache-2.0

package chaos

import "testing"

// Here a part fails: rows P1 to P9 of the plan, and the layers and compositions that answer it.
func TestPartialFailures(t *testing.T) { checkAll(t, "partial") }
