"""core/bridge.js and core/reports.js: a component from its first call to its removal, and what it reports."""

from tests.support.node import run_node

LIFE = """
const log = [], root = {toggleAttribute: (name, on) => log.push([name, on])};
const parent = {isConnected: true, querySelector: (selector) => (log.push(selector), root)};
const call = bridge.component(".view", {
  mount: (where, data, tell) => (log.push(["mount", where === root, data]), {tell}),
  update: (view, data) => log.push(["update", data, Boolean(view.tell)]),
  destroy: () => log.push("destroy"),
});
const told = (number) => ({
  setStateValue: (name, value) => log.push([number, "state", name, value]),
  setTriggerValue: (name, value) => log.push([number, "trigger", name, value]),
});
let view;
const early = call({data: 1, parentElement: parent, ...told(1)});
const last = call({data: 2, parentElement: parent, ...told(2)});
"""


def test_a_component_is_mounted_once_and_then_updated() -> None:
    assert run_node(LIFE + "give(log);") == [
        *(".view", ["mount", True, 1]),
        ["data-works", True],  # from now on what it offers is seen
        ["update", 2, True],
    ]


def test_it_is_destroyed_only_once_it_has_left_the_page() -> None:
    script = LIFE + "early(); const before = log.length; parent.isConnected = false; last(); give([before, log]);"
    before, log = run_node(script)
    assert "destroy" not in log[:before] and log[before:] == ["destroy"]


def test_reports_go_through_the_newest_call() -> None:
    script = """
    const log = [], parent = {isConnected: true, querySelector: () => ({toggleAttribute() {}})};
    let tell;
    const call = bridge.component(".view", {mount: (_, __, given) => (tell = given), update: () => {}});
    for (const n of [1, 2])
      call({data: n, parentElement: parent, setStateValue: (...said) => log.push([n, ...said]),
        setTriggerValue: (...said) => log.push([n, "once", ...said])});
    tell.state("view", {a: 1});
    tell.trigger("export", "npz");
    give(log);
    """
    assert run_node(script) == [[2, "view", {"a": 1}], [2, "once", "export", "npz"]]


def test_what_is_new_is_told_by_id_and_number() -> None:
    script = """
    const entry = {id: 7, number: 1, other: "kept"}, places = [[7, 1], [7, 2], [8, 2]];
    give([...places.map(([id, number]) => bridge.news(entry, {id, number})), entry]);
    """
    assert run_node(script) == [
        {"message": False, "state": False},
        {"message": False, "state": True},
        {"message": True, "state": False},
        {"id": 8, "number": 2, "other": "kept"},
    ]


def test_bytes_are_taken_as_they_are() -> None:
    script = """
    const bytes = new Uint8Array([1, 2]);
    give([bridge.bytesOf(bytes) === bytes, [...bridge.bytesOf(bytes.buffer)]]);
    """
    assert run_node(script) == [True, [1, 2]]


def test_a_movement_is_reported_at_once_and_at_its_end() -> None:
    script = """
    const sent = [], all = new reports.Reports((number) => sent.push(number), 20, 4);
    all.now(); all.now(); all.now();
    const first = [...sent], late = all.answered(5);
    await new Promise((go) => setTimeout(go, 60));
    const last = [...sent], answered = [all.answered(5), all.answered(6), all.answered(9), all.number];
    all.stop();
    give([first, late, last, answered]);
    """
    assert run_node(script) == [[5], False, [5, 6], [False, True, True, 9]]


def test_an_element_that_comes_back_to_the_page_reports_again() -> None:
    """Streamlit may take an element out and put it back: a stop in the pause must not be the end of all reports."""
    script = """
    const sent = [], all = new reports.Reports((number) => sent.push(number), 20, 0);
    all.now(); all.now(); all.stop(); all.now();
    give(sent);
    """
    assert run_node(script) == [1, 2]


def test_the_last_of_a_movement_is_reported_when_the_element_comes_back() -> None:
    """A rerun that arrives in the pause takes the element out for a moment: what waited then is not lost."""
    script = """
    const sent = [], all = new reports.Reports((number) => sent.push(number), 20, 0);
    all.now(); all.now(); all.stop();
    await new Promise((go) => setTimeout(go, 60));
    const away = [...sent], late = all.answered(1), back = [...sent], answered = all.answered(2);
    all.now(); all.now();
    const moving = [...sent], pause = all.answered(2), still = [...sent];
    all.stop();
    give([away, late, back, answered, moving, pause, still]);
    """
    assert run_node(script) == [[1], False, [1, 2], True, [1, 2], False, [1, 2]]


def test_a_view_that_leaves_the_page_tells_what_was_chosen_last() -> None:
    """Step by step waits a moment before it tells the page: a rerun that takes it away meanwhile loses nothing."""
    script = """
    const told = [], view = Object.create(provenance_view.ProvenanceView.prototype);
    const state = {step: "softmax", path: [["A", 1, 2]], head: 3, row: -1};
    Object.assign(view, {state, focus: {}, edits: new Map(), onState: (state) => told.push(state), sending: 0});
    Object.assign(view, {unwatch: () => {}, arrived: () => {}});
    Object.assign(view, {resize: {disconnect: () => {}}, height: {stop: () => {}}});
    view.send(false);
    const waits = told.length;
    view.destroy();
    await new Promise((go) => setTimeout(go, 300));
    const once = told.length;
    view.destroy();
    give([waits, once, told]);
    """
    last = {"step": "softmax", "path": "A:1:2", "head": 3, "row": -1, "edits": ""}
    assert run_node(script) == [0, 1, [last]]
