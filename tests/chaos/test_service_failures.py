# SPDX-License-Identifier: Apache-2.0
"""A service crashes, crawls or starves: rows S1 to S9 of the plan."""
import duress_suite
import pytest


@pytest.mark.parametrize("case", duress_suite.cases("service"), ids=" ".join)
def test_service_failure(case):
    duress_suite.check(case)
