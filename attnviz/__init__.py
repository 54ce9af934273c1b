"""attnviz: an interactive laboratory for transformer attention."""

from attnviz.attention import AttentionTrace, attend
from attnviz.config import ModelConfig, preset
from attnviz.errors import DTypeError, InvalidParameterError, ModelError, ShapeError
from attnviz.intervention import Intervention
from attnviz.layers import (
    LayerTrace,
    TransformerDecoder,
    TransformerDecoderLayer,
    TransformerEncoder,
    TransformerEncoderLayer,
)
from attnviz.masks import Mask
from attnviz.models import Model, ModelInfo, catalogue, load
from attnviz.multihead import MultiheadAttention
from attnviz.transformer import Trace, Transformer

__version__ = "0.1.0"

__all__ = [
    "AttentionTrace",
    "DTypeError",
    "Intervention",
    "InvalidParameterError",
    "LayerTrace",
    "Mask",
    "Model",
    "ModelConfig",
    "ModelError",
    "ModelInfo",
    "MultiheadAttention",
    "ShapeError",
    "Trace",
    "Transformer",
    "TransformerDecoder",
    "TransformerDecoderLayer",
    "TransformerEncoder",
    "TransformerEncoderLayer",
    "attend",
    "catalogue",
    "load",
    "preset",
]
