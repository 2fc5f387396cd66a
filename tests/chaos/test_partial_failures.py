# SPDX-License-Identifier: Apache-2.0
"""A part fails: rows P1 to P9 of the plan, and the layers and compositions that answer it."""
import duress_suite
import pytest


@pytest.mark.parametrize("case", duress_suite.cases("partial"), ids=" ".join)
def test_partial_failure(case):
    duress_suite.check(case)
