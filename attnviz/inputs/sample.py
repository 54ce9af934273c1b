"""Three hundred short texts in ten languages, written for attnviz: what heads do on ordinary text is judged on them."""

from __future__ import annotations

import json
from functools import lru_cache

from attnviz.inputs.assets import ASSETS


@lru_cache(maxsize=1)
def sample() -> tuple[str, ...]:
    """The texts, in their order."""
    listed = json.loads((ASSETS / "examples" / "sample.json").read_text(encoding="utf-8"))
    return tuple(entry["text"] for entry in listed)
