"""A figure is sent as plotly would write it, and is plotly's own as soon as somebody asks it for anything."""

import base64
import copy
import json
import pickle
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest

from attnviz import figures
from attnviz.figures.plain import as_json, figure, spec_of

ARRAYS = [
    np.arange(5),
    np.array([-1, 200]),
    np.array([2**40, -1]),
    np.array([7], dtype=np.uint64),
    np.array([[0.5, -1.5], [np.nan, np.inf]], dtype=np.float32),
    np.linspace(0, 1, 6).reshape(2, 3).T,
    np.array([]),
    np.array(["a", "b"]),
    np.array([True, False]),
]


def values(part: Any) -> Any:
    """What a browser reads of a figure's JSON: packed arrays by their numbers, whichever type holds them."""
    if isinstance(part, dict) and "bdata" in part:
        shape = [int(n) for n in part.get("shape", "-1").split(",")]
        flat = np.frombuffer(base64.b64decode(part["bdata"]), dtype=part["dtype"])
        return np.nan_to_num(flat.reshape(shape), nan=-9.0, posinf=-8.0).tolist()
    if isinstance(part, dict):
        return {name: values(one) for name, one in part.items()}
    return [values(one) for one in part] if isinstance(part, list) else part


@pytest.mark.parametrize("array", ARRAYS, ids=lambda array: f"{array.dtype}{array.shape}")
def test_an_array_is_written_as_plotly_writes_it(array: np.ndarray) -> None:
    spec = {"data": [{"type": "heatmap", "z": array, "customdata": array}], "layout": {"height": 100, "template": {}}}
    theirs = go.Figure(copy.deepcopy(spec), _validate=False).to_json(validate=False)
    assert values(json.loads(as_json(spec))) == values(json.loads(theirs))


def test_numbers_and_what_is_none_in_lists() -> None:
    spec = {
        "data": [{"type": "bar", "x": ["NaN", "Infinity", "<b>"], "y": [1.5, float("nan"), None], "base": (1, 2, 3)}],
        "layout": {"template": {}, "height": np.int64(100), "bargap": np.float32(0.25)},
    }
    written = json.loads(as_json(spec))
    assert written["data"][0]["x"] == ["NaN", "Infinity", "<b>"] and written["data"][0]["y"] == [1.5, None, None]
    assert written == json.loads(go.Figure(spec, _validate=False).to_json(validate=False))


def test_plotlys_classes_are_made_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    begin = go.Figure.__init__
    monkeypatch.setattr(go.Figure, "__init__", lambda self, *args, **more: made.append(1) or begin(self, *args, **more))
    drawn = figures.wave_lines({"a": np.arange(4.0)}, figures.LIGHT, x="position", y="value")
    sent = as_json(spec_of(drawn))
    assert made == []
    assert isinstance(drawn, go.Figure) and list(drawn.data[0].y) == [0, 1, 2, 3] and drawn.layout.height == 238
    assert made == [1]
    assert (
        values(json.loads(drawn.to_json())) == values(json.loads(sent)) == values(json.loads(as_json(spec_of(drawn))))
    )
    twin = copy.deepcopy(drawn)
    twin.update_layout(height=500)
    assert (twin.layout.height, drawn.layout.height) == (500, 238)
    assert json.loads(as_json(spec_of(twin)))["layout"]["height"] == 500
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        print(figure(spec_of(drawn)).nothing_of_the_kind)


def test_a_figure_can_be_pickled():
    """For another process, which has plotly's class and not ours."""
    there = pickle.loads(pickle.dumps(figure({"data": [{"type": "scatter", "y": [1, 2]}], "layout": {"height": 90}})))
    assert type(there) is go.Figure and there.layout.height == 90 and there.data[0].y == (1, 2)
