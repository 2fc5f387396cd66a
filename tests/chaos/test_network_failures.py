# SPDX-License-Identifier: Apache-2.0
"""The network fails: rows N1 to N9 of the plan, and the layers that answer it."""
import duress_suite
import pytest


@pytest.mark.parametrize("case", duress_suite.cases("network"), ids=" ".join)
def test_network_failure(case):
    duress_suite.check(case)
