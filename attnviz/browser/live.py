"""The live page: our transformer itself in the browser, in one file, without a server.

`python -m attnviz live` writes it. The page holds its models as files: a frame (`browser.framing`) whose header is the
config and the tokenizer, and whose payload is a safetensors file of float16 weights. `frontend/live/` is the page,
`frontend/model/` the transformer.
"""

from __future__ import annotations

import json
from typing import Any

from attnviz.browser.framing import Payload, frame
from attnviz.errors import ModelError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.folders import half_weights
from attnviz.models.model import Model
from attnviz.nn.transformer import Transformer

FORMAT = "attnviz live 1"  # frontend/model/session.js reads it
READ = {"BPE", "WordPiece"}  # kinds of tokenizers that frontend/model/tokenizer.js reads


def model_file(model: Model) -> bytes:
    """A model as the page reads it, its weights rounded to float16.

    Errors: ModelError for one whose layers or tokenizer the page does not have.
    """
    from safetensors.torch import save

    title = model.info.title
    if type(model.transformer) is not Transformer:
        raise ModelError(f"{title} is not one of our own transformers: the live page has no layers of other libraries.")
    if not isinstance(model.preprocessor, Tokenizer):
        raise ModelError(f"{title} reads {model.reads}s: the live page runs models of text.")
    tokenizer: dict[str, Any] = json.loads(model.preprocessor.to_json())
    if (kind := tokenizer["model"]["type"]) not in READ:
        raise ModelError(f"The tokenizer of {title} is {kind}: the live page reads {' and '.join(sorted(READ))}.")
    header = {
        "format": FORMAT,
        "name": model.info.name,
        "title": title,
        "config": json.loads(model.transformer.config.to_json()),
        "tokenizer": tokenizer,
    }
    payload = Payload()
    payload.add(save(half_weights(model.transformer)))
    # what stands behind the weights would not be a whole safetensors file
    return frame(header, payload)[: -(payload.length - len(payload.parts[0])) or None]
