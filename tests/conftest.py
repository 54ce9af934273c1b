"""For every test: one thread, reproducible randomness, no time limit per example; one Chromium for all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import HealthCheck, settings

if TYPE_CHECKING:
    from playwright.sync_api import Browser

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

os.environ.setdefault("STREAMLIT_CLIENT_SHOW_ERROR_DETAILS", "full")  # no test passes over a page's traceback

torch.set_num_threads(1)
# The same examples in every run of the same tests: Hypothesis also draws numbers from the modules that
# are imported so far, so `-n 2` or `-k` may bring other ones. What only one of them shows goes into its test as an
# @example. `.ci/run --all` draws twice as many (nightly), and `pytest --hypothesis-profile=explore` new ones.
shared = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("attnviz", max_examples=20, derandomize=True, **shared)
settings.register_profile("nightly", max_examples=40, derandomize=True, **shared)
settings.register_profile("explore", max_examples=400, **shared)
settings.load_profile("attnviz")


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers in every run of a test, in whatever order the tests run."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium for all tests of a process: Playwright allows only one of its loops at a time."""
    from playwright.sync_api import sync_playwright

    from tests.support.chromium import launch

    with sync_playwright() as playwright:
        chromium = launch(playwright)
        yield chromium
        chromium.close()
