"""Settings for every test: one thread, reproducible randomness, no time limit per example on a busy machine."""

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

torch.set_num_threads(1)
# The same examples in every run; `pytest --hypothesis-profile=explore` draws new ones, and more of them.
shared = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("attnviz", max_examples=40, derandomize=True, **shared)
settings.register_profile("explore", max_examples=400, **shared)
settings.load_profile("attnviz")


@pytest.fixture(autouse=True)
def seed() -> None:
    """The same random numbers in every run of a test, in whatever order the tests run."""
    torch.manual_seed(0)
