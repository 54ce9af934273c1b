"""A head's weights once more, from its Q, K and V by NumPy: as they are, and with one word hidden."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from attnviz.analysis.provenance.terms import Provenance, Scale
from attnviz.nn import reference

CLEAR = 0.01  # of a row: what two words must differ by in what they gain, to ask who gains more


def numpy_weights(provenance: Provenance, head: int, hidden: int | None = None) -> np.ndarray:
    """The head's weights (T, T) once more, from its Q, K and V by `attnviz.nn.reference`; with one word hidden."""
    columns = slice(head * provenance.width, (head + 1) * provenance.width)
    turned = "r" if "Qr" in provenance.matrices else ""
    q, k, v = (provenance[name].values[:, columns] for name in (f"Q{turned}", f"K{turned}", "V"))
    scaled, bias = provenance[f"scaled.{head}"].rule, provenance.matrices.get(f"bias.{head}")
    assert isinstance(scaled, Scale)
    keep = np.isfinite(provenance[f"mask.{head}"].values)
    if hidden is not None:
        keep[:, hidden] = False
    added = None if bias is None else bias.values
    _, weights = reference.attention(q, k, v, keep=keep, bias=added, scale=scaled.by)
    return weights


@dataclass(frozen=True, eq=False)
class Hiding:
    """One row of weights as it is, and with the word hidden that gets most of it."""

    row: int
    key: int  # the hidden word
    before: np.ndarray  # (T,)
    after: np.ndarray

    @property
    def others(self) -> np.ndarray:
        """Bool (T,): the words that get a share before and may after."""
        others: np.ndarray = self.before > 0
        others[self.key] = False
        return others


def hiding(provenance: Provenance, head: int, followed: int) -> Hiding | None:
    """What hiding a word does to the row that is followed, or to the last row with two others to share among.

    None where there is none, or where these two have the same share: then nobody could tell how it is divided.
    """
    weights = provenance[f"weights.{head}"].values
    for row in (followed, *reversed(range(len(weights)))):
        key = int(weights[row].argmax())
        after = numpy_weights(provenance, head, hidden=key)[row]
        hiding = Hiding(row, key, weights[row], after)
        gained = (after - weights[row])[hiding.others]
        if len(gained) > 1 and np.ptp(gained) > CLEAR:
            return hiding
    return None
