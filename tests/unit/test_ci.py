"""The scripts of .ci and the workflow that calls them name the same parts."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = (ROOT / ".ci" / "run").read_text()
WORKFLOW = (ROOT / ".github" / "workflows" / "ci.yml").read_text()


def test_the_workflow_runs_every_part():
    (parts,) = re.findall(r"^ +((?:\w+ \| )+\w+)\) ;;$", RUN, re.M)
    (jobs,) = re.findall(r"^ +part: \[(.+)\]$", WORKFLOW, re.M)
    assert jobs.replace("--all ", "").split(", ") == parts.split(" | ")
    assert "bash .ci/run --all" in WORKFLOW and "node-version" in WORKFLOW


@pytest.mark.parametrize("script", ["run", "resolved"])
def test_an_unknown_argument_is_refused_before_anything_is_installed(script):
    result = subprocess.run(["bash", f".ci/{script}", "something"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2 and "something" in result.stderr


def test_the_lowest_torch_is_read_from_the_ranges():
    (pattern,) = re.findall(r"^floor=\$\(sed -nE 's/(.+?)/\\1/p'", (ROOT / ".ci" / "resolved").read_text(), re.M)
    assert len(re.findall(pattern, (ROOT / "pyproject.toml").read_text(), re.M)) == 1
