"""Handwritten digits of 8 × 8 pixels: what a vision transformer looks at, patch by patch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from attnviz.errors import check_installed
from attnviz.inputs.images import Preprocessing
from attnviz.nn.trace import Trace
from attnviz.nn.transformer import Transformer
from attnviz.training.tasks.batch import Batch, Task

SIDE, PATCH, N_CLASSES = 8, 2, 10
INK = 16  # the darkest value of the data: the pixels of a square of 4 × 4 that were covered
SPLIT_SEED = 0
SHARES = {"val": 0.1, "test": 0.2}  # of the 1,797 images; the rest is trained on
EVAL_BATCH = 180
SHIFT = 1  # pixels, at most, that a training image is moved by in each direction
BOX = 4  # Pillow's number of the filter that averages, which is how the data were made


class Digits(Task):
    """Which digit is it? Trained on images moved by up to a pixel; what is held out stands as it is.

    Data: scikit-learn's copy of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak 1998), split once and
    for all. `length` has no say: an image is always [CLS] and 16 patches.
    """

    name = "digits"
    title = "Handwritten digits"
    explains = (
        "Name a handwritten digit (UCI’s, as scikit-learn has them) from its 16 patches: see which of them the class "
        "token looks at."
    )
    kind = "encoder"
    metric = "accuracy"
    labels = "images"
    defaults: ClassVar[dict[str, Any]] = {
        "positions": "learned",
        "length": 17,
        "batch": 64,
        "steps": 1500,
        "learning_rate": 2e-3,
        "d_ff": 256,
    }

    def __init__(self, length: int = 17) -> None:
        self.splits = splits()
        self.max_len = 1 + (SIDE // PATCH) ** 2
        self.fingerprint = f"{self.name} {SPLIT_SEED} {SHARES}"

    @property
    def preprocessor(self) -> Preprocessing:
        """White ink on black; a larger picture is averaged down, as the data were."""
        return Preprocessing(SIDE, 1, SIDE, resample=BOX)

    @property
    def model_fields(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "vocab_size": 0,
            "max_len": self.max_len,
            "head": "classification",
            "n_classes": N_CLASSES,
            "image_size": SIDE,
            "patch_size": PATCH,
            "channels": 1,
        }

    def batch(self, size: int, generator: torch.Generator) -> Batch:
        images, labels = self.splits["train"]
        rows = torch.randint(len(images), (size,), generator=generator)
        by = torch.randint(-SHIFT, SHIFT + 1, (2, size), generator=generator)
        return self._batch(shifted(images[rows], *by), labels[rows])

    def held_out(self, split: str) -> Iterable[Batch]:
        for images, labels in zip(*(part.split(EVAL_BATCH) for part in self.splits[split]), strict=True):
            yield self._batch(images, labels)

    def _batch(self, images: Tensor, labels: Tensor) -> Batch:
        return Batch(images, labels, (self.max_len,) * len(images))

    def evaluate(self, model: Transformer, split: str) -> dict[str, float]:
        """ "loss" (nats per image) and "accuracy"."""
        metrics = super().evaluate(model, split)
        del metrics["exact"]
        return metrics

    def probe(self, model: Transformer) -> Trace:
        """The model's run on the first image of the test split."""
        return replace(model(self.splits["test"][0][:1]), title=self.title)


@cache
def splits() -> dict[str, tuple[Tensor, Tensor]]:
    """Pixels (N, 1, 8, 8) from −1, no ink, to 1, and digits (N,), of "train", "val" and "test"."""
    table = torch.from_numpy(np.loadtxt(_file(), delimiter=",", dtype=np.float32))  # (N, 65): pixels, digit
    images = table[:, :-1].view(-1, 1, SIDE, SIDE) / (INK / 2) - 1
    labels = table[:, -1].long()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(SPLIT_SEED))
    sizes = {name: round(share * len(images)) for name, share in SHARES.items()}
    parts = order.split([*sizes.values(), len(order) - sum(sizes.values())])
    return {name: (images[part], labels[part]) for name, part in zip([*sizes, "train"], parts, strict=True)}


def _file() -> Path:
    """The images in scikit-learn's package, which takes seconds to import and is not needed to read them."""
    check_installed("The set of handwritten digits", "sklearn")
    spec = importlib.util.find_spec("sklearn")
    assert spec and spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")


def shifted(images: Tensor, down: Tensor, right: Tensor) -> Tensor:
    """Each image (N, 1, 8, 8) moved by so many pixels (N,), −1 to 1; what comes in from the edge has no ink."""
    padded = F.pad(images, (SHIFT,) * 4, value=-1.0)[:, 0]
    places = torch.arange(SIDE) + SHIFT
    rows, columns = places - down[:, None], places - right[:, None]  # (N, 8)
    return padded[torch.arange(len(images))[:, None, None], rows[:, :, None], columns[:, None, :]][:, None]
