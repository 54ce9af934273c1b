"""The errors attnviz raises for input it cannot use; every message carries the numbers that disagree."""


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
