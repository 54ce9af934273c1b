"""t-SNE and Isomap as scikit-learn has them: asked in this process, or as a script in one of its own.

scikit-learn cannot be stopped between two of its steps, a process can; and what it takes of memory (about 200 MB) goes
with it. As a script this file knows nothing of attnviz. A request is a line of JSON and the points as float64, an
answer some lines of JSON: how far it is, then the places, or what went wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import sys
import warnings
from typing import IO, Any

import numpy as np

PERPLEXITY = 15.0  # how many neighbours t-SNE thinks of, where there are three times as many points
STEPS = 1000  # of t-SNE, the 250 of its early exaggeration counted
NEIGHBOURS = 8  # of each point in Isomap's graph


def tsne(x: np.ndarray, dims: int, seed: int, *, tells: bool = False) -> np.ndarray:
    """t-SNE of (N, D) in one run; it begins at random places. `tells`: it prints how far it is, every 50 steps."""
    from sklearn.manifold import TSNE

    options = {"init": "random", "random_state": seed, "max_iter": STEPS, "verbose": 2 if tells else 0}
    made = TSNE(dims, perplexity=min(PERPLEXITY, (len(x) - 1) / 3), **options)
    places: np.ndarray = made.fit_transform(x.astype(np.float32))
    return places


def isomap(x: np.ndarray, dims: int) -> np.ndarray:
    """Isomap of (N, D)."""
    from sklearn.manifold import Isomap

    made = Isomap(n_neighbors=min(NEIGHBOURS, len(x) - 1), n_components=dims, eigen_solver="dense")
    with warnings.catch_warnings():  # groups that no neighbour connects are joined by their shortest gap, as they say
        warnings.simplefilter("ignore")
        places: np.ndarray = made.fit_transform(x)
    return places


# ---- as a process of its own -----------------------------------------------------------------------------


class _Progress:
    """Stands for the standard output: of what scikit-learn prints it passes on the number of the step."""

    def __init__(self, out: IO[str]) -> None:
        self.out = out

    def write(self, text: str) -> int:
        """What is printed."""
        if (step := re.search(r"Iteration (\d+):", text)) is not None:
            say(self.out, done=int(step[1]))
        return len(text)

    def flush(self) -> None:
        """Nothing waits here."""


def say(out: IO[str], **fields: Any) -> None:
    """Writes a line of an answer."""
    out.write(json.dumps(fields) + "\n")
    out.flush()


def give_way() -> None:
    """A low priority, and the first to be killed where memory runs out."""
    with contextlib.suppress(OSError, AttributeError):  # not every system has each
        os.nice(10)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")


def main() -> None:
    """Answers one request after the other, until the other side ends. Argument: sys.path as JSON."""
    sys.path[:] = json.loads(sys.argv[1])
    give_way()
    out, sys.stdout = sys.stdout, _Progress(sys.stdout)
    for line in iter(sys.stdin.buffer.readline, b""):
        asked = json.loads(line)
        n, width = asked["shape"]
        x = np.frombuffer(sys.stdin.buffer.read(8 * n * width)).reshape(n, width)
        try:
            places = tsne(x, asked["dims"], asked["seed"], tells=True) if asked["how"] == "tsne" else None
            say(out, places=(isomap(x, asked["dims"]) if places is None else places).tolist())
        except Exception as error:  # what the library raises is a sentence on the page, and no end of this process
            say(out, error=f"{type(error).__name__}: {error}"[:300])


if __name__ == "__main__":
    main()
