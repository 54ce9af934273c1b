"""Learning-rate schedules: a warm-up, then a decay. Pure functions of the step, for torch's LambdaLR.

Each gives the factor on the peak learning rate at a step counted from 0; the last step is `steps` − 1.
"""

from __future__ import annotations

import math
from collections.abc import Callable

FLOOR = 0.1  # of the peak, where cosine and exponential decay end


def warmed(step: int, warmup: int) -> float:
    """Rises from 1/warmup at step 0 to 1 at step warmup − 1."""
    return min(1.0, (step + 1) / warmup) if warmup else 1.0


def constant(step: int, steps: int, warmup: int) -> float:
    """1 after the warm-up."""
    return warmed(step, warmup)


def cosine(step: int, steps: int, warmup: int) -> float:
    """½(1 + cos πx) from 1 down to the floor. Loshchilov and Hutter 2017, equation 5, without restarts."""
    x = _progress(step, steps, warmup)
    return warmed(step, warmup) * (FLOOR + (1 - FLOOR) * (1 + math.cos(math.pi * x)) / 2)


def inverse_sqrt(step: int, steps: int, warmup: int) -> float:
    """min(√(w/n), n/w) with n = step + 1: the original transformer's. Vaswani et al. 2017, equation 3."""
    n, w = step + 1, max(1, warmup)
    return min(math.sqrt(w / n), n / w)


def exponential(step: int, steps: int, warmup: int) -> float:
    """Falls by the same factor each step, to the floor at the last one."""
    return warmed(step, warmup) * FLOOR ** _progress(step, steps, warmup)


def linear(step: int, steps: int, warmup: int) -> float:
    """Straight down from 1 where the warm-up ends to almost 0 at the last step. Bergsma et al. 2025."""
    return warmed(step, warmup) * min(1.0, (steps - step) / max(1, steps - warmup))


def _progress(step: int, steps: int, warmup: int) -> float:
    """0 when the warm-up is over, 1 at the last step."""
    return min(1.0, max(0.0, (step + 1 - warmup) / max(1, steps - warmup)))


SCHEDULES: dict[str, Callable[[int, int, int], float]] = {
    "constant": constant,
    "cosine": cosine,
    "inverse_sqrt": inverse_sqrt,
    "exponential": exponential,
    "linear": linear,
}
