# SPDX-License-Identifier: Apache-2.0
"""The chaos suite as cases for pytest: a case for each test and world.

DURESS_SUITE is the command that runs the suite (build/release/duress suite), or one's own suite; DURESS_WORLD is live,
sim or both (the default), DURESS_SEEDS how many schedules a simulated test gets (200). Groups run when the first of
their cases is asked for, all their tests at once.
"""
import functools
import json
import os
import pathlib
import shlex
import subprocess
import tempfile

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = shlex.split(os.environ.get("DURESS_SUITE", f"{shlex.quote(str(ROOT))}/build/release/duress suite"))
WORLD = os.environ.get("DURESS_WORLD", "both")
SEEDS = os.environ.get("DURESS_SEEDS", "200")

# Every other group is about partial failures: of one agent among many, one item of a batch, one chunk of a stream.
KINDS = {"breaker": "network", "network": "network", "retry": "network", "server": "network", "timeout": "network",
         "service": "service"}


def cases(kind):
    """(test, world) of each test about |kind| of failures: network, service or partial."""
    try:
        listing = subprocess.run([*COMMAND, "--world", WORLD, "--list"], check=True, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no chaos suite: {error}; make chaos builds it", allow_module_level=True)
    listed = [line.split("\t") for line in listing.stdout.splitlines()]
    return [(test, world) for test, world, *_ in listed if KINDS.get(test.partition(".")[0], "partial") == kind]


@functools.lru_cache(maxsize=None)
def group_runs(group, world):
    """All runs of a group: what was printed, and the report."""
    with tempfile.TemporaryDirectory() as folder:
        report = pathlib.Path(folder, "report.json")
        options = ["--world", world, "--filter", f"{group}.*", "--seeds", SEEDS, "--json", str(report)]
        # A timeline shows what a service got, which may be no text.
        run = subprocess.run([*COMMAND, *options], capture_output=True, text=True, errors="replace", check=False)
        if run.returncode not in (0, 1):
            pytest.fail(f"{shlex.join(run.args)} ended with {run.returncode}:\n{run.stderr}", pytrace=False)
        return run.stdout, json.loads(report.read_text())["runs"]


def check(case):
    """Passes, skips or fails as the suite's runs of |case| did."""
    test, world = case
    printed, runs = group_runs(test.partition(".")[0], world)
    mine = [run for run in runs if (run["test"], run["world"]) == case]
    failed = [run for run in mine if run["result"] not in ("passed", "skipped", "not_run")]
    if failed:
        blocks = [block for block in printed.split("\n\n") if f": {test} ({world})\n" in block]
        pytest.fail("\n".join(blocks) or f"{failed[0]['result']}: {failed[0].get('message', '')}", pytrace=False)
    skipped = [run for run in mine if run["result"] == "skipped"]
    if skipped:
        pytest.skip(skipped[0].get("message", "no reason given"))
    if not any(run["result"] == "passed" for run in mine):
        pytest.fail("it did not run", pytrace=False)
