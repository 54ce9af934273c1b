"""The texts of the page "All models": names, numbers and sentences made from configs and parts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from attnviz.formatting import counted, file_size, listed, magnitude, percent
from attnviz.models.anatomy import Anatomy, Block, Part
from attnviz.models.hf_config import HFConfig
from attnviz.models.hf_heads import NEXT, ORDER, SECOND_CLASSES
from attnviz.models.model import ModelInfo
from attnviz.nn.config import ModelConfig
from attnviz.nn.positions import SCHEMES, described

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
    "second_head": "second head",
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
IN = {  # where the parameters of a kind of part are
    "embedding": "in the embeddings",
    "attention": "in self-attention",
    "cross": "in cross-attention",
    "recurrence": "in a recurrence",
    "feed-forward": "in the feed-forward layers",
    "head": "in the head",
    "norm": "in norms",
    "other": "in other parts",
}
MOST_UNUSED = 4  # tensors that are named
DOES = {  # what a part of a kind does, or one by its title
    "embedding": "A learned vector for each.",
    "attention": "Each token’s vector takes in something of the others.",
    "cross": "Each token’s vector takes in something of the encoder’s output.",
    "feed-forward": "It works on each token’s vector alone.",
    "recurrence": "It mixes each token’s vector with a memory of those before it.",
    "norm": "It brings each token’s vector to one size, then scales every dimension.",
    "head": "It turns vectors into scores.",
    "other": "",
    "seq_relationship": f"It scores whether the second of two texts follows the first: {listed(SECOND_CLASSES[NEXT])}.",
    "sop_classifier": f"It scores whether two texts stand in their order: {listed(SECOND_CLASSES[ORDER])}.",
    "Tokens": "A learned vector for each token of the vocabulary.",
    "Patches": "The pixels of each patch become a vector.",
    "Positions, added": "A learned vector for each position.",
    **dict.fromkeys(
        (f"Positions, added: {described(name).label}" for name in SCHEMES),
        "A fixed vector for each position, worked out by a formula.",
    ),
    "Dense and LayerNorm": "A further layer on each token’s vector, before the scores.",
}


def overview(infos: Sequence[ModelInfo], loaded: Mapping[str, int], budget: int) -> str:
    """The sentence under the question."""
    sizes = sorted(info.n_parameters for info in infos)
    trained = sum(info.trained for info in infos)
    memory = "No model that all readers share is loaded yet"
    if loaded:
        memory = f"{counted(len(loaded), 'shared model')} {'is' if len(loaded) == 1 else 'are'} loaded"
        memory += f": {file_size(sum(loaded.values()))} of {file_size(budget)}"
    return (
        f"{len(infos)} models, {trained} of them trained, from {magnitude(sizes[0])} to {magnitude(sizes[-1])} "
        f"parameters. {memory}."
    )


def not_here(title: str) -> str:
    """Why a model is not taken apart."""
    return f"{title} is not on this computer yet, so its parts cannot be shown."


def about(info: ModelInfo, config: ModelConfig, anatomy: Anatomy, unused: Mapping[str, int]) -> str:
    """The sentence over the diagram: what most of the parameters are for, and which of the file's are left out."""
    groups = config.kv_heads if isinstance(config, HFConfig) else config.n_heads
    shared = f" ({groups} for keys and values)" if groups != config.n_heads else ""
    stacks = counted(config.n_layers, "layer")  # ALBERT runs one layer many times
    each = "with" if config.n_layers == 1 else "each with"
    if len(anatomy.depths) == 2:
        stacks = f"{counted(anatomy.depths[0], 'layer')} in the encoder and {config.n_layers} in the decoder"
        each = "each with"
    heads = f"{stacks}, {each} {config.n_heads} heads{shared} of width {config.head_dim}"
    note = " The parts have the names and the order of its own code." * isinstance(config, HFConfig)
    left_out = f" {not_used(anatomy.n, unused)}" if unused else ""
    return f"{info.title} has {heads}. Of its {anatomy.n:,} parameters, {shares(anatomy)}.{left_out}{note}"


def not_used(n: int, unused: Mapping[str, int]) -> str:
    """What a model's file holds besides its `n` parameters, by name, and how many: 0 where that is not known."""
    names, more = list(unused)[:MOST_UNUSED], sum(unused.values())
    rest = [f"{len(unused) - len(names)} more"] if len(unused) > len(names) else []
    pooler = " (a pooler, which makes one vector of [CLS])" if all("pooler" in name for name in unused) else ""
    number = f": {more:,} parameters, {n + more:,} with them" if more else ""
    return f"Its file also holds {listed([*names, *rest])}{pooler}, which nothing here uses{number}."


def shares(anatomy: Anatomy) -> str:
    """What the parameters are for, the most first: "52 % are in the embeddings, …"; these are all."""
    by_kind: dict[str, int] = {}
    for column in anatomy.columns:
        for block in column.blocks:
            for part in block.parts:
                by_kind[part.kind] = by_kind.get(part.kind, 0) + block.times * part.n
    kinds = sorted((kind for kind in by_kind if by_kind[kind]), key=lambda kind: -by_kind[kind])
    most, *others = [(percent(by_kind[kind] / anatomy.n), IN[kind]) for kind in kinds]
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
    n = times * part.n
    share = n / total
    return {
        "title": part.title,
        "gives": shape(part.gives),
        "once": f"{part.n:,}" if times > 1 and part.n else "",
        "all": f"{n:,}" if part.n else "–",
        "share": share,
        "percent": percent(share) if part.n else "",
        "says": description(part, times, total),
        "weights": [[x.name, shape(x.shape), f"{x.n:,}"] for x in part.weights],
    }


def description(part: Part, times: int, total: int) -> str:
    """What a part is, in a sentence or two."""
    does = DOES.get(part.title, DOES[part.kind])
    sentences = [does] if does else []
    if part.gives:
        sentences.append(f"It gives {shape(part.gives)} numbers.")
    tensors, n = counted(len(part.weights), "tensor"), times * part.n
    share = percent(n / total)
    if not part.n:
        sentences.append("It has no parameters that are not counted elsewhere.")
    elif times == 1:
        sentences.append(f"{n:,} parameters in {tensors}: {share} of the model.")
    else:
        sentences.append(
            f"{times} layers with {part.n:,} parameters each, in {tensors}: {n:,} in all, {share} of the model."
        )
    return " ".join(sentences)


def no_page(config: ModelConfig) -> str:
    """What to do with a model that no page runs."""
    return f"No page gives a model a {config.reads} like this one; from Python, attnviz.load(name).run(…) does."


def reads(given: str, config: ModelConfig, tokens: str) -> str:
    """What goes into a stack; `tokens` is how many there are, T or S."""
    if given == "an image" and config.channels:
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
        f"Any architecture whose attention can be read, with weights of up to {file_size(max_bytes)}, on the disk and "
        "as float32 in memory: both are checked before the download. Only data is read, never code."
    )
