"""Who notices? A word is exchanged, or padding added, and every output compared: what is hidden must leave no trace.

A mask acts in one layer; a model has several, and what a token saw in one is passed on in the next. `reach` says
what can get through, from the mask alone; `exchange_token` measures what does, on a real model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from attnviz.analysis.measures import relative_change
from attnviz.errors import InvalidParameterError
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.inputs.words import readable
from attnviz.models.model import Model
from attnviz.nn.checks import check_index, check_sizes
from attnviz.nn.intervention import Intervention
from attnviz.nn.trace import Trace

TOLERANCE = 1e-6  # relative change up to which an output counts as unchanged: float32 rounds at 6e-8
ROUNDING = 1e-5  # the same for a text in a batch: longer rows are added up in another order
WORDS = ("banana", "green", "seven")  # a replacement that a person can read, where the vocabulary has it


@dataclass(frozen=True, eq=False)
class ExchangedToken:
    """What exchanging one token did to the outputs of all positions."""

    position: int
    old: str  # the token as a person reads it
    new: str
    change: Tensor  # (L, T) ‖x′ − x‖ / ‖x‖ of each position's vector after each layer

    @property
    def noticed(self) -> tuple[int, ...]:
        """The positions whose vector after the last layer changed by more than `TOLERANCE`."""
        return tuple((self.change[-1] > TOLERANCE).nonzero()[:, 0].tolist())


def exchange_token(
    model: Model,
    text: str,
    position: int,
    new_id: int | None = None,
    intervention: Intervention | None = None,
    *,
    source: str | None = None,
    before: Trace | None = None,
    after: Trace | None = None,
) -> ExchangedToken:
    """Exchanges the token at `position` for another and runs the model on both.

    Arguments
        position: counted from 0, special tokens included.
        new_id: of the vocabulary; None for `replacement`.
        intervention: acts in both runs, such as Intervention(mask="causal").
        source: the encoder's text of an encoder-decoder model, whose target `text` then is.
        before, after: the run of the text itself under the same intervention, and that with the other token, where
            they are at hand already.

    Errors: InvalidParameterError for a position or an id that does not exist.
    """
    encoding = model.encode(text)
    if check_index("position", position) >= len(encoding):
        raise InvalidParameterError(f"position {position} is outside 0…{len(encoding) - 1}")
    if new_id is None:
        new_id = replacement(model.tokenizer, encoding.ids[position])
    ids = torch.tensor([encoding.ids])
    other = ids.clone()
    other[0, position] = check_index("new_id", new_id)
    if before is None:
        before = _run(model, ids, intervention, source)
    if after is None:
        after = _run(model, other, intervention, source)
    change = relative_change(before, after)[:, 0]
    return ExchangedToken(position, encoding.labels[position], token_label(model.tokenizer, new_id), change)


def _run(model: Model, ids: Tensor, intervention: Intervention | None, source: str | None) -> Trace:
    with torch.inference_mode():
        if source is None:
            return model.transformer(ids, intervention=intervention)
        given = torch.tensor([model.encode(source).ids])
        return model.transformer(given, ids, intervention=intervention)


def replacement(tokenizer: Tokenizer, old_id: int) -> int:
    """A token to put in the place of `old_id`: one of `WORDS` if the vocabulary has it, else a whole word of it.

    Always the same for the same token. Errors: InvalidParameterError if the vocabulary has no other word.
    """
    for word in WORDS:
        new_id = word_id(tokenizer, word)
        if new_id is not None and new_id != old_id:
            return new_id
    for other in reversed(range(tokenizer.vocab_size)):
        if other != old_id and word_id(tokenizer, token_label(tokenizer, other)) == other:
            return other
    raise InvalidParameterError(f"the vocabulary of {tokenizer.vocab_size} has no other word")


def word_id(tokenizer: Tokenizer, word: str) -> int | None:
    """The id of a word that is one token of the vocabulary; None if it falls into pieces, or is not known."""
    encoding = tokenizer.encode(word)
    ids = [i for i, special in zip(encoding.ids, encoding.special, strict=True) if not special]
    return ids[0] if len(ids) == 1 and ids[0] != tokenizer.unk_id else None


def token_label(tokenizer: Tokenizer, token_id: int) -> str:
    """A token of the vocabulary as a person should read it."""
    return readable(tokenizer.decode([token_id], skip_special=False).strip()) or str(token_id)


def reach(keep: Tensor, n_layers: int) -> Tensor:
    """Bool (T, T): can query i hear of position j after n layers that all have this mask? keep is bool (T, T).

    A token carries itself along (the residual stream), so one layer reaches keep or itself, and each further layer
    what those had reached: (keep + I)ⁿ > 0. How stacked windows see far: Beltagy et al. 2020, section 3.1.
    """
    check_sizes(n_layers=n_layers)
    step = (keep | torch.eye(len(keep), dtype=torch.bool, device=keep.device)).float()
    reached = step
    for _ in range(n_layers - 1):
        reached = ((reached @ step) > 0).float()
    return reached > 0


def padded(model: Model, texts: Sequence[str], *, masked: bool = True, length: int = 0) -> Trace:
    """A batch of texts filled up with [PAD] to the longest, or to `length` tokens if that is more.

    `masked` False lets the model see the padding as words. Errors: as `Model.run`.
    """
    encodings = tuple(model.encode(text) for text in texts)
    longest = max([*map(len, encodings), length])
    pad = model.tokenizer.pad_id
    ids = torch.tensor([[*e.ids, *[pad] * (longest - len(e))] for e in encodings])
    lengths = [len(e) for e in encodings]
    with torch.inference_mode():
        trace = model.transformer(ids, lengths=lengths if masked else None)
    return replace(trace, encodings=encodings, title=model.info.title)


def against_alone(batch: Trace, row: int, alone: Trace) -> Tensor:
    """‖x′ − x‖ / ‖x‖ of one text's vectors after the last layer, in a padded batch against alone: (T of the text,)."""
    expected = alone.layers[-1].resid_post[0]
    batched = batch.layers[-1].resid_post[row, : len(expected)]
    return (batched - expected).norm(dim=-1) / expected.norm(dim=-1)


def final_change(before: Trace, after: Trace) -> Tensor:
    """‖x′ − x‖ / ‖x‖ of each vector after the last layer: (B, T); the last row of `analysis.relative_change`."""
    old, new = before.layers[-1].resid_post, after.layers[-1].resid_post
    return (new - old).norm(dim=-1) / old.norm(dim=-1)


def padding_share(batch: Trace, row: int) -> Tensor:
    """What [PAD] takes of the attention of one text's real tokens, on average: (L, H), shares of 1."""
    real = len(batch.encodings[row])
    taken = [layer.attention.weights[row, :, :real, real:].sum(dim=-1).mean(dim=-1) for layer in batch.layers]
    return torch.stack(taken)


def padded_head(share: Tensor) -> tuple[int, int]:
    """Layer and head in which [PAD] takes most, of a text's `padding_share`; (0, 0) if it takes nothing."""
    layer, head = divmod(int(share.argmax()), share.shape[1])
    return layer, head


def starved(keep: Tensor) -> tuple[int, ...]:
    """The queries that may attend to no key; keep is bool (T, S)."""
    return tuple((~keep.any(dim=-1)).nonzero()[:, 0].tolist())
