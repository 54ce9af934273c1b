"""attnviz: an interactive laboratory for transformer attention.

    model = attnviz.load("minilm")                    # or "hf:org/name", a folder, a model of transformers in memory
    trace = model.run("The cat sat on the mat.")      # all that the model computed, in one frozen object
    attnviz.generate(attnviz.load("austen"), "It is", 20)

Begin with `load`, `Trace` and `Intervention`; `MultiheadAttention` and the layers are drop-ins for torch.nn's. All of
it is imported when it is asked for, and the wings too: attnviz.analysis, browser, figures, generation, inputs, models,
nn, training.
"""

import importlib
import pkgutil
import sys
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from attnviz.errors import DTypeError, InvalidParameterError, ModelError, ShapeError


def on_demand(
    package: str, path: Iterable[str], homes: Mapping[str, str] | None = None
) -> tuple[Callable[[str], Any], Callable[[], list[str]]]:
    """`__getattr__` and `__dir__` of a package, from its `__name__` and `__path__`: PEP 562.

    Its attributes are its modules, and the names in `homes`, each with the module below the package that defines it.
    """
    names = frozenset(module.name for module in pkgutil.iter_modules(path) if not module.name.startswith("_"))
    homes = homes or {}

    def __getattr__(name: str) -> Any:
        if name in homes:
            value = getattr(importlib.import_module(f"{package}.{homes[name]}"), name)
            setattr(sys.modules[package], name, value)
            return value
        if name not in names:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return importlib.import_module(f"{package}.{name}")

    def __dir__() -> list[str]:
        return sorted({*vars(sys.modules[package]), *names, *homes})

    return __getattr__, __dir__


if TYPE_CHECKING:
    from attnviz import analysis, browser, figures, generation, inputs, models, nn, training
    from attnviz.generation.generate import generate
    from attnviz.models.catalogue import catalogue, load
    from attnviz.models.model import Model, ModelInfo
    from attnviz.nn.attention import AttentionTrace, attend
    from attnviz.nn.config import ModelConfig, preset
    from attnviz.nn.intervention import Intervention
    from attnviz.nn.layers import LayerTrace, TransformerDecoderLayer, TransformerEncoderLayer
    from attnviz.nn.masks import Mask
    from attnviz.nn.multihead import MultiheadAttention
    from attnviz.nn.stacks import TransformerDecoder, TransformerEncoder
    from attnviz.nn.trace import Trace
    from attnviz.nn.transformer import Transformer
else:  # late: the app draws its first picture before torch is there
    _HOMES = {
        "AttentionTrace": "nn.attention",
        "Intervention": "nn.intervention",
        "LayerTrace": "nn.layers",
        "Mask": "nn.masks",
        "Model": "models.model",
        "ModelConfig": "nn.config",
        "ModelInfo": "models.model",
        "MultiheadAttention": "nn.multihead",
        "Trace": "nn.trace",
        "Transformer": "nn.transformer",
        "TransformerDecoder": "nn.stacks",
        "TransformerDecoderLayer": "nn.layers",
        "TransformerEncoder": "nn.stacks",
        "TransformerEncoderLayer": "nn.layers",
        "attend": "nn.attention",
        "catalogue": "models.catalogue",
        "generate": "generation.generate",
        "load": "models.catalogue",
        "preset": "nn.config",
    }
    __getattr__, __dir__ = on_demand(__name__, __path__, _HOMES)

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
    "analysis",
    "attend",
    "browser",
    "catalogue",
    "figures",
    "generate",
    "generation",
    "inputs",
    "load",
    "models",
    "nn",
    "preset",
    "training",
]
