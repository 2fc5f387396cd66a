// SPDX-License-Identifier: Apache-2.0

package chaos

import "testing"

// Here a service crashes, crawls or starves: rows S1 to S9 of the plan.
func TestServiceFailures(t *testing.T) { checkAll(t, "service") }
