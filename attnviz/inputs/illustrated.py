"""A text with an image in it, as a vision-language model reads it: some of its tokens stand for parts of the image.

text, image ─ transformers' own processor of the model ─▶ ids, pixels, … ─▶ the model's forward pass
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from attnviz.errors import InvalidParameterError, check_installed
from attnviz.inputs import images
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.nn.encoding import Encoding

if TYPE_CHECKING:
    from PIL.Image import Image

AROUND = {"<|image_pad|>": ("<|vision_start|>", "<|vision_end|>")}  # what Qwen-VL has around an image


@dataclass(frozen=True, eq=False)
class Illustrated:
    """How a text and an image become a model's tensors."""

    processor: Any  # transformers' own, as the model's folder sets it
    image_id: int  # the token that stands for a part of the image
    image_token: str  # what stands in a text where the image is

    def tensors(self, text: str, given: Any) -> dict[str, Tensor]:
        """What a model's forward pass takes. The image stands where the text has its token, else before the text.

        `given`: a file's content or path, a picture of Pillow, or an array of bytes (height, width, 3).
        Errors: InvalidParameterError.
        """
        picture = _picture(given)
        if text.count(self.image_token) > 1:
            raise InvalidParameterError(f"the text names an image {text.count(self.image_token)} times; one is read")
        if self.image_token not in text:
            before, after = AROUND.get(self.image_token, ("", ""))
            text = f"{before}{self.image_token}{after}{text}"
        found = self.processor(text=[text], images=[picture], return_tensors="pt")
        return {name: torch.as_tensor(x) for name, x in found.items() if name != "labels"}  # a training's

    def encoding(self, ids: Sequence[int], tokenizer: Tokenizer) -> Encoding:
        """The tokens by name; those that stand for the image are numbered."""
        encoding = tokenizer.encoding(ids)
        labels = list(encoding.labels)
        places = [at for at, one in enumerate(ids) if one == self.image_id]
        for n, at in enumerate(places):
            labels[at] = f"[image {n}]"
        return replace(encoding, labels=tuple(labels))


def _picture(given: Any) -> Image:
    """Errors: InvalidParameterError."""
    check_installed("A text with an image", "PIL")
    from PIL import Image

    if isinstance(given, str):
        given = Path(given)
    if isinstance(given, bytes | Path):
        given = images.read(given)
    if isinstance(given, np.ndarray) and given.dtype == np.uint8 and given.ndim == 3 and given.shape[2] == 3:
        given = Image.fromarray(given)
    if not isinstance(given, Image.Image):
        raise InvalidParameterError(
            f"an image is a PNG or JPEG file, a picture of Pillow, or bytes (height, width, 3), not a "
            f"{type(given).__name__}"
        )
    images.check_size(given)
    return given.convert("RGB")
