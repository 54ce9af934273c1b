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


def _repr_html_(self: Trace) -> str:
    """The attention view in a notebook, without Streamlit."""
    from attnviz import report  # only notebooks need it

    return report.notebook(self)


Trace._repr_html_ = _repr_html_  # type: ignore[attr-defined]  # here, because report builds on Trace

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
