"""What a model says: greedy decoding, with decoders and with encoder-decoder models.

The model runs anew on everything said so far, once per token; nothing is kept between two runs.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch

from attnviz.checks import check_sizes
from attnviz.errors import InvalidParameterError
from attnviz.models import Model


@dataclass(frozen=True)
class Said:
    """What was decoded."""

    ids: tuple[int, ...]  # the new tokens, without the one that ends the text
    text: str
    ended: bool  # by the model's own end token, not by the number of tokens allowed


def greedy(model: Model, text: str, n_tokens: int = 64) -> Said:
    """The likeliest token after all before it, again and again, at most `n_tokens` or to the model's length.

    A decoder goes on with `text`; an encoder-decoder model reads it and answers, as it would translate.
    Errors: InvalidParameterError for a model that predicts no next token, or a text that leaves it no room.
    """
    check_sizes(n_tokens=n_tokens)
    config = model.transformer.config
    if config.kind == "encoder" or config.head != "lm":
        raise InvalidParameterError(f"{model.info.title} predicts no next token: it is no language model that decodes")
    source, said = _begin(model, text)
    first, ended = len(said), False
    with torch.inference_mode():
        while not ended and len(said) < min(first + n_tokens, config.max_len):
            ids = torch.tensor([said])
            logits = (model.transformer(ids) if source is None else model.transformer(source, ids)).logits
            assert logits is not None
            best = int(logits[0, -1].argmax())
            ended = best == model.tokenizer.eos_id
            said += [] if ended else [best]
    new = tuple(said[first:])
    return Said(new, model.tokenizer.decode(new), ended)


def _begin(model: Model, text: str) -> tuple[torch.Tensor | None, list[int]]:
    """What an encoder reads, if there is one, and what the decoder begins with."""
    tokenizer, config = model.tokenizer, model.transformer.config
    encoding = model.encode(text)
    ids = list(encoding.ids)
    if not ids:
        raise InvalidParameterError("The text is empty: it gives no token to begin with")
    if config.kind == "encoder-decoder":
        if tokenizer.bos_id is None:
            raise InvalidParameterError(f"{model.info.title} has no token that begins an answer")
        return torch.tensor([ids]), [tokenizer.bos_id]
    if ids[-1] == tokenizer.eos_id:  # it would end the text that is to go on
        del ids[-1]
    if encoding.cut or len(ids) >= config.max_len:
        raise InvalidParameterError(f"The text fills the model's {config.max_len} tokens; nothing can follow it")
    return None, ids
