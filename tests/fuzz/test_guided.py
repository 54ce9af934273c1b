"""The readers of archives, images and tokenizers under atheris, which looks for inputs that run new lines of them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 30

pytestmark = [
    pytest.mark.nightly,
    pytest.mark.skipif(
        importlib.util.find_spec("atheris") is None, reason="atheris is there for Linux on x86_64, Python 3.11 to 3.13"
    ),
]


@pytest.mark.parametrize("name", ["bytes_of_archives", "configs", "weights", "images", "image_settings", "tokenizers"])
def test_nothing_but_results_and_sentences(name: str, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.fuzz.guided", name, str(SECONDS)]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS * 10)
    assert ran.returncode == 0, ran.stderr[-3000:]
    done = re.search(r"^#(\d+)\s+DONE\s+cov: (\d+)", ran.stderr, re.MULTILINE)
    assert done is not None and int(done[1]) > 1, "examples"
    assert int(done[2]) > 1, "places in attnviz that they ran"
