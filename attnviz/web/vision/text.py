"""The sentences of the page "Vision", written from the numbers of its runs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from attnviz.formatting import listed, percent, special_words
from attnviz.inputs.images import Preprocessing
from attnviz.nn.config import ModelConfig
from attnviz.training.tasks import digits

if TYPE_CHECKING:
    from attnviz.web.components.patch_view import Look
    from attnviz.web.vision.state import Seen, Settings, Upload

MORE, SAME, LESS = "Over two thirds", "One third to two thirds", "Under one third"
GUESSES = (MORE, SAME, LESS)
MOST_BARS = 10  # classes
DARK_ON_WHITE = 0.5  # brightness at the edge of an upload from which it is taken for ink on paper
WORTH_SAYING = 0.01  # a second answer's probability


def token_name(token: int, config: ModelConfig) -> str:
    """A token in words."""
    if token < config.n_special:
        return special_words(config.special_names[token])
    row, column = divmod(token - config.n_special, config.image_size // config.patch_size)
    return f"the patch in row {row}, column {column}"


def class_name(seen: Seen, index: int) -> str:
    """What a class is called; of ImageNet's lists of synonyms the first."""
    names = seen.model.classes
    return names[index].split(",")[0] if index < len(names) else f"class {index}"


def answer(seen: Seen, settings: Settings, meant: int | None = None) -> str:
    """The sentence under the question: what the model says, and what the change did to it.

    `meant`: what the writer of the digit meant, if that is known.
    """
    now, before = seen.now, seen.before
    if now is None or before is None:
        return (
            "This model turns a picture into a vector and names no classes: its attention is shown, there is no answer."
        )
    order = now.argsort(descending=True, stable=True).tolist()
    first, second = order[0], order[min(1, len(order) - 1)]
    ranking = f"“{class_name(seen, first)}” with {percent(float(now[first]))}"
    if second != first and float(now[second]) >= WORTH_SAYING:
        ranking += f", ahead of “{class_name(seen, second)}” with {percent(float(now[second]))}"
    if not seen.changed:
        return f"The model’s answer is {ranking}.{truth(meant, first)}"
    top = int(before.argmax())
    was = f"“{class_name(seen, top)}” had {percent(float(before[top]))} before"
    if top != first:
        was += f" and has {percent(float(now[top]))} now"
    return f"With {what_changed(settings, seen.model.transformer.config)}, the answer is {ranking}; {was}."


def truth(meant: int | None, answered: int) -> str:
    """What the writer of a held-out digit meant; "" if nobody knows."""
    if meant is None:
        return ""
    judged = "right" if meant == answered else "wrong"
    return f" The writer meant a {meant}, so it is {judged}; the model never saw this picture in training."


def what_changed(settings: Settings, config: ModelConfig) -> str:
    """The reader's changes in words; "" for none."""
    off = [pair for pair in settings.heads_off if pair[0] < config.n_layers and pair[1] < config.n_heads]
    parts = []
    if len(off) > 3:
        parts.append(f"{len(off)} of {config.n_layers * config.n_heads} heads switched off")
    elif off:
        parts.append(f"{listed([f'layer {layer}, head {head}' for layer, head in off], '; ')} switched off")
    if settings.temperature != 1:
        parts.append(f"τ = {settings.temperature:g} in every attention row")
    return " and ".join(parts)


def view(row: Tensor, at: Look, config: ModelConfig) -> str:
    """The text alternative of the patches: who looks where, and the three places that get most of its `row` (T,)."""
    best = row.argsort(descending=True, stable=True)[:3].tolist()
    shares = listed([f"{token_name(i, config)} {percent(float(row[i]))}" for i in best])
    who = token_name(at.query, config)
    if at.head < 0:  # the rollout stands in the place of a head
        return f"Rollout from the input to layer {at.layer}: of {who}, most goes back to {shares}."
    return f"In layer {at.layer}, head {at.head}, {who} gives most of its attention to {shares}."


def prediction(seen: Seen) -> tuple[str, Sequence[str], str, str]:
    """Question, options, truth and reason: does the class token (or the first patch) look at the ink or contrast?"""
    config = seen.plain.config
    who = token_name(0, config)
    amounts, thing = content(seen.pixels, config)
    half, last = len(amounts) // 2, config.n_layers - 1
    order = amounts.argsort(descending=True, stable=True)
    row = seen.plain.layers[-1].attention.weights[0, :, 0, config.n_special :].mean(dim=0)  # over heads: (patches,)
    share = float(row[order[:half]].sum() / (row[order[:half]].sum() + row[order[-half:]].sum()))
    truth = LESS if share < 1 / 3 else MORE if share > 2 / 3 else SAME
    question = (
        f"In the last layer, how much of the attention that {who} gives to patches goes to the {half} with the most "
        f"{thing}?"
    )
    because = (
        f"How much a patch gets depends on how well its key matches the query of {who}, not on the {thing} in it: "
        f"a patch with little of it can match as well. On average over the heads of layer {last}, the {half} patches "
        f"with the most {thing} get {percent(share)}, the {half} with the least {percent(1 - share)}."
    )
    return question, GUESSES, truth, because


def content(pixels: Tensor, config: ModelConfig) -> tuple[Tensor, str]:
    """How much there is in each patch, and of what: ink of grey pictures, contrast of coloured ones. (patches,)."""
    size = config.patch_size
    cut = pixels.unfold(2, size, size).unfold(3, size, size)  # (1, channels, rows, columns, size, size)
    flat = cut[0].permute(1, 2, 0, 3, 4).flatten(0, 1).flatten(1)  # (patches, channels · size²)
    return (flat.mean(dim=1), "ink") if config.channels == 1 else (flat.std(dim=1), "contrast")


def bars(seen: Seen) -> list[tuple[str, float, float]]:
    """Classes with their probabilities as trained and now: all of them, or of many the likeliest in their order."""
    now, before = seen.now, seen.before
    if now is None or before is None:
        return []
    shown = list(range(len(now)))
    if len(now) > MOST_BARS:
        shown = now.argsort(descending=True, stable=True)[:MOST_BARS].tolist()
    return [(class_name(seen, i), float(before[i]), float(now[i])) for i in shown]


def about_upload(file: Upload, seen: Seen, inverted: bool) -> list[str]:
    """What the reader should know of the file, a sentence each."""
    preprocessor, notes = file.preprocessor, []
    if file.frames > 1:
        notes.append(f"The file is an animation of {file.frames} pictures; the first one is read.")
    if file.mode == "CMYK":
        notes.append("The file is in CMYK, the colours of print; it was turned into those of a screen.")
    grey = " in grey" if preprocessor.channels == 1 else ""
    size = f"{file.width:,} × {file.height:,}"
    notes.append(f"The model reads {size} pixels as {preprocessor.size} × {preprocessor.size}{grey}.")
    if preprocessor.channels == 1 and dark_on_white(seen.pixels, preprocessor):
        now, then = ("Inverted, the picture", "off") if inverted else ("The picture", "on")
        notes.append(f"{now} is dark on white, but the model knows bright ink on black: turn “Invert” {then}.")
    return notes


def dark_on_white(pixels: Tensor, preprocessor: Preprocessing) -> bool:
    """Whether what the model reads is bright at its edges, as paper is."""
    grey = torch.from_numpy(preprocessor.seen(pixels)).float().mean(dim=2) / 255
    edge = torch.cat([grey[0], grey[-1], grey[1:-1, 0], grey[1:-1, -1]])
    return float(edge.mean()) > DARK_ON_WHITE


def about_drawing(seen: Seen) -> str:
    """How the drawing reaches the model."""
    preprocessor, config = seen.preprocessor, seen.model.transformer.config
    side = config.image_size // config.patch_size
    cut = f"cut into {side} × {side} patches of {config.patch_size} × {config.patch_size}"
    if preprocessor.size == digits.SIDE:
        size = f"The digits it learned from fill the square: {digits.SIDE} × {digits.SIDE} pixels"
    else:
        size = f"Scaled to {preprocessor.size} × {preprocessor.size} pixels"
    return f"The model sees ink as bright and paper as black. {size}, {cut}."
