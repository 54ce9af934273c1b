"""The texts of the page "All models": names, numbers and sentences made from configs and parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attnviz.formatting import counted, file_size, listed, magnitude, percent
from attnviz.models.anatomy import Anatomy, Block, Part
from attnviz.models.hf_model import HFConfig
from attnviz.models.model import ModelInfo
from attnviz.nn.config import ModelConfig

COLUMNS = [  # a heading, and "number" where it stands at the right
    ["Model"],
    ["Family"],
    ["Parameters", "number"],
    ["Layers × heads", "number"],
    ["Width", "number"],
    ["Context", "number"],
    ["Weights"],
    ["Licence"],
    ["From"],
    ["In memory", "number"],
]
FIELDS = {
    "kind": "kind of stack",
    "vocab_size": "tokens known",
    "max_len": "context, tokens",
    "d_model": "width (d_model)",
    "n_heads": "heads",
    "n_layers": "layers",
    "d_ff": "feed-forward width (d_ff)",
    "norm_first": "pre-norm",
    "norm_eps": "ε of the norms",
    "final_norm": "norm after the last layer",
    "bias": "biases",
    "n_types": "segments",
    "embed_norm": "norm on the embeddings",
    "head": "head",
    "n_classes": "classes",
    "tied": "output is the embedding",
    "head_transform": "dense layer before the head",
    "image_size": "image, pixels",
    "patch_size": "patch, pixels",
    "channels": "colour channels",
    "distilled": "distillation token",
    "kv_heads": "key and value heads",
    "start_id": "first id of a target",
}
FOLDER = (
    "config.json, .safetensors and tokenizer.json (or preprocessor_config.json) of one model. It lives in this session "
    "only; nothing stays on the disk, and no code is ever run."
)
DOES = {
    "embedding": ": a row of numbers for each",
    "attention": ": each token takes from the others",
    "cross": ": each token takes from the encoder’s",
    "feed-forward": ": works on each token alone",
    "recurrence": ": mixes each token with what it remembers of those before",
    "norm": ": evens out each token’s numbers, then scales them",
    "head": ": scores, from each token’s numbers",
    "other": "",
}


def overview(infos: Sequence[ModelInfo], loaded: Mapping[str, int], budget: int) -> str:
    """The sentence under the question."""
    sizes = sorted(info.n_parameters for info in infos)
    trained = sum(info.trained for info in infos)
    memory = sum(loaded.values())
    kept = f"{len(loaded)} of those that all readers share are in memory, {file_size(memory)} of {file_size(budget)}"
    return (
        f"{len(infos)} models, {trained} of them trained, from {magnitude(sizes[0])} to {magnitude(sizes[-1])} "
        f"parameters; {kept if loaded else 'none is in memory yet'}."
    )


def not_here(title: str) -> str:
    """Why a model is not taken apart."""
    return f"{title} is not on this computer yet, and so nobody can take it apart."


def about(info: ModelInfo, config: ModelConfig, anatomy: Anatomy) -> str:
    """The sentence over the diagram: what most of the numbers are for."""
    groups = config.kv_heads if isinstance(config, HFConfig) else config.n_heads
    shared = f", {groups} for keys and values" if groups != config.n_heads else ""
    heads = f"{config.n_heads} heads{shared} of width {config.head_dim}"
    stacks = counted(config.n_layers, "layer")  # ALBERT runs one layer many times
    if len(anatomy.depths) == 2:
        stacks = f"{counted(anatomy.depths[0], 'layer')} of the encoder and {config.n_layers} of the decoder"
    note = " Its parts stand under the names and in the order of its own code." * isinstance(config, HFConfig)
    return f"{info.title} has {heads} in {stacks}. Of its {anatomy.n:,} parameters, {shares(anatomy)}.{note}"


def shares(anatomy: Anatomy) -> str:
    """What the parameters are for: "62 % are in the embeddings, …"."""
    by_kind: dict[str, int] = {}
    for column in anatomy.columns:
        for block in column.blocks:
            for part in block.parts:
                by_kind[part.kind] = by_kind.get(part.kind, 0) + block.times * part.n
    most, *others = [
        (percent(by_kind[kind] / anatomy.n), name)
        for kind, name in (
            ("embedding", "in the embeddings"),
            ("attention", "in self-attention"),
            ("cross", "in cross-attention"),
            ("recurrence", "in a recurrence"),
            ("feed-forward", "in the feed-forward layers"),
            ("head", "in the head"),
            ("norm", "in norms"),
            ("other", "in other parts"),
        )
        if by_kind.get(kind)
    ]
    return listed([f"{most[0]} are {most[1]}", *(f"{share} {name}" for share, name in others)])


def row(info: ModelInfo, n_bytes: int) -> list[list[str]]:
    """A line of the table; a cell is its text, and what stands small under it."""
    name = info.name if not info.name.startswith("session:") else "of this session"
    return [
        [info.title, name] if name != info.title else [name],
        [info.family],
        [magnitude(info.n_parameters)],
        [f"{info.n_layers} × {info.n_heads}"],
        [f"{info.d_model:,}"],
        [f"{info.max_len:,}"],
        ["trained" if info.trained else "random"],
        [info.licence or "–"],
        [info.source],
        [file_size(n_bytes) if n_bytes else "no"],
    ]


def diagram(info: ModelInfo, config: ModelConfig, anatomy: Anatomy) -> dict[str, Any]:
    """A model for the diagram: texts and shares, the browser works out nothing but places."""
    columns = [
        {
            "title": column.title,
            "reads": reads(column.reads, config, "T" if column is anatomy.columns[-1] else "S"),
            "blocks": [_block(block, anatomy.n) for block in column.blocks],
        }
        for column in anatomy.columns
    ]
    return {"title": info.title, "total": f"{anatomy.n:,}", "columns": columns}


def _block(block: Block, total: int) -> dict[str, Any]:
    times = f", {block.times} times the same" if block.times > 1 else ""
    return {
        "title": block.title + times,
        "count": f"{block.n:,}",
        "around": [list(pair) for pair in block.around],
        "layer": block.layers,
        "parts": [_part(part, block.times, total) for part in block.parts],
    }


def _part(part: Part, times: int, total: int) -> dict[str, Any]:
    share = times * part.n / total
    return {
        "title": part.title,
        "gives": shape(part.gives),
        "count": f"{part.n:,}",
        "all": f"{times * part.n:,}",
        "times": times,
        "share": share,
        "percent": percent(share) if part.n else "",
        "says": description(part, times, total),
        "weights": [[x.name, shape(x.shape), f"{x.n:,}"] for x in part.weights],
    }


def description(part: Part, times: int, total: int) -> str:
    """What a part is, in a sentence or two."""
    gives = f" It gives {shape(part.gives)}." if part.gives else ""
    first = f"{part.title}{DOES[part.kind]}.{gives}"
    if not part.n:
        return f"{first} It has no parameters that are not counted elsewhere."
    tensors = f"{len(part.weights)} tensors hold" if len(part.weights) > 1 else "1 tensor holds"
    often = f"; {times} layers have {times * part.n:,}" if times > 1 else ""
    return f"{first} {tensors} {part.n:,} numbers{often}, {percent(times * part.n / total)} of the model."


def reads(given: str, config: ModelConfig, tokens: str) -> str:
    """What goes into a stack; `tokens` is how many there are, T or S."""
    if config.channels:
        return f"an image: {config.channels} × {config.image_size} × {config.image_size}"
    return given if given != "token ids" else f"token ids: {tokens}"


def shape(sizes: Sequence[str | int]) -> str:
    """ "T × 384"."""
    return " × ".join(f"{size:,}" if isinstance(size, int) else size for size in sizes)


def field(name: str) -> str:
    """A config's field in words."""
    return FIELDS.get(name, name.replace("_", " "))


def value(given: Any) -> str:
    """A config's value in words."""
    if isinstance(given, bool):
        return "yes" if given else "no"
    if isinstance(given, int):
        return f"{given:,}"
    return "–" if given is None or given == "" else f"{given:g}" if isinstance(given, float) else str(given)


def limits(max_bytes: int) -> str:
    """What is downloaded, and what not."""
    return (
        f"Any architecture that shows its attention, up to {file_size(max_bytes)} of weights, on the disk and as "
        "float32 in memory: asked before anything is downloaded. Only data is read, never code."
    )
