"""The mathematics: attention, layers and the transformer, and what a run of them leaves behind.

Begin with `attention.attend` (the equation), then `multihead`, `layers` and `stacks` (drop-in for torch.nn),
`transformer` (the whole model of a `config`, from `embeddings` and `positions` on) and `trace` (all that one run
computed, which `recording` brings out of modules that are called as modules). `masks`, `mask_patterns` and
`torch_masks` say who may look at whom, `encoding` is a text as tokens. `intervention` says what a run does
differently; `reference` is the same in NumPy, written to be read. Imports nothing of ours but errors and checks.
"""

from typing import TYPE_CHECKING

from attnviz import on_demand

if TYPE_CHECKING:
    from attnviz.nn.attention import AttentionTrace, attend
    from attnviz.nn.config import ModelConfig, preset
    from attnviz.nn.encoding import Encoding
    from attnviz.nn.intervention import Intervention
    from attnviz.nn.layers import LayerTrace, TransformerDecoderLayer, TransformerEncoderLayer
    from attnviz.nn.masks import Mask
    from attnviz.nn.multihead import MultiheadAttention
    from attnviz.nn.stacks import TransformerDecoder, TransformerEncoder
    from attnviz.nn.trace import Trace
    from attnviz.nn.transformer import Transformer
else:
    _HOMES = {
        "AttentionTrace": "attention",
        "Encoding": "encoding",
        "Intervention": "intervention",
        "LayerTrace": "layers",
        "Mask": "masks",
        "ModelConfig": "config",
        "MultiheadAttention": "multihead",
        "Trace": "trace",
        "Transformer": "transformer",
        "TransformerDecoder": "stacks",
        "TransformerDecoderLayer": "layers",
        "TransformerEncoder": "stacks",
        "TransformerEncoderLayer": "layers",
        "attend": "attention",
        "preset": "config",
    }
    __getattr__, __dir__ = on_demand(__name__, __path__, _HOMES)

__all__ = [
    "AttentionTrace",
    "Encoding",
    "Intervention",
    "LayerTrace",
    "Mask",
    "ModelConfig",
    "MultiheadAttention",
    "Trace",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "attend",
    "preset",
]
