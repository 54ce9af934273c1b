"""What does attention cost, and what can it save?"""

from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd
import streamlit as st

from attnviz import figures
from attnviz.analysis import cost, variants
from attnviz.analysis.cost import Step
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.figures.cost import Line
from attnviz.formatting import memory_size, percent
from attnviz.web import cache, shell
from attnviz.web.components.dial import dial
from attnviz.web.jobs import slices
from attnviz.web.lesson import Lesson, Try
from attnviz.web.variants import text as words

shell.ensure()
CONTEXTS = tuple(2**i for i in range(10, 18))
LONGEST = cost.LENGTHS[3:]


@dataclass(frozen=True)
class Settings:
    """What the reader has set; layer, head and heads of keys are brought to what the model has."""

    layer: int = 3
    head: int = 1
    size: int = 2
    groups: int = 3
    longest: int = LONGEST[-1]
    context: int = 8192
    guess: str = ""
    guess_cache: str = ""

    def __post_init__(self) -> None:
        if min(self.layer, self.head, self.size) < 0 or self.size > 32 or self.groups < 1:
            raise InvalidParameterError(f"layer {self.layer}, head {self.head}, size {self.size}, groups {self.groups}")
        if self.longest not in LONGEST or self.context not in CONTEXTS:
            raise InvalidParameterError(f"{self.longest} or {self.context} tokens are not on offer")


lesson = Lesson("variants", Settings())
inputs = lesson.inputs()
try:
    trace = cache.trace(inputs.model, inputs.text)
except (InvalidParameterError, ModelError) as error:
    shell.refuse(str(error))
config, labels = trace.config, trace.encodings[0].labels
CAUSAL = trace.layers[0].attention.mask.causal
KEY_HEADS = [n for n in range(2, config.n_heads) if config.n_heads % n == 0] or [config.n_heads]


@st.cache_resource(max_entries=32, show_spinner=False)
def surveyed(name: str, text: str, layer: int, size: int, groups: int) -> variants.Survey:
    """`variants.survey` of a layer."""
    a = cache.trace(name, text).layers[layer].attention
    causal = a.mask.causal
    return variants.survey(a.q[0], a.k[0], a.v[0], size=size, groups=groups, scale=a.scale, causal=causal)


@st.fragment
def same_head() -> None:
    """The variants on one head's q, k and v: what each comes to, and how far it is off."""
    chosen = lesson.chosen()
    layer, head = min(chosen.layer, config.n_layers - 1), min(chosen.head, config.n_heads - 1)
    groups = max((n for n in KEY_HEADS if n <= chosen.groups), default=KEY_HEADS[0])
    lesson.choose(layer=layer, head=head, groups=groups)
    survey = surveyed(inputs.model, inputs.text, layer, chosen.size, groups)
    lesson.question("What does attention cost, and what can it save?")
    lesson.sentence(words.closest(survey, layer, head, labels))
    left, right = st.columns([1, 3], gap="medium")
    with left:
        st.selectbox("Layer", range(config.n_layers), key=lesson.key("layer"))
        st.selectbox("Head", range(config.n_heads), key=lesson.key("head"))
        dial("Window, tokens to each side", range(33), key=lesson.key("size"))
        dial("Heads of keys, grouped-query", KEY_HEADS, key=lesson.key("groups"))
        st.caption(
            f"Local computes {percent(survey.pairs['local'])} of the pairs; strided, which also sees every token "
            f"{survey.found['strided'].variant.stride} apart, {percent(survey.pairs['strided'])}. Multi-query has one "
            "head of keys. Off: length of the difference ÷ length of full attention’s output, over all tokens. "
            "The model was trained for none of them."
        )
    with right:
        draw_matrices(survey, layer, head)
        draw_errors(survey, layer, head)
    lesson.write_link(inputs)


def draw_matrices(survey: variants.Survey, layer: int, head: int) -> None:
    """The implied matrices side by side."""
    n, found = len(labels), survey.found
    second = {kind: f"{percent(off)} off" for kind, off in words.errors(survey, head).items()} | {"full": "every pair"}
    weights = np.stack([one.weights[head].numpy() for one in found.values()])  # (kinds, T, T)
    drawn = [(words.NAMES[kind], second[kind], one) for kind, one in zip(found, weights, strict=True)]
    i, j = np.mgrid[:n, :n]
    lesson.picture(
        figures.implied_matrices(drawn, labels, shell.palette()),
        title=f"The weights that each comes to in layer {layer}, head {head}; a row is one token looking",
        alt=". ".join(f"{name}: {text}" for name, text, _ in drawn),
        data=pd.DataFrame(
            {
                "variant": np.repeat([name for name, _, _ in drawn], n * n),
                "query": np.tile(i.ravel(), len(drawn)),
                "key": np.tile(j.ravel(), len(drawn)),
                "weight": weights.ravel(),
            }
        ),
        file="variants",
    )


def draw_errors(survey: variants.Survey, layer: int, head: int) -> None:
    """The error of every head of the layer."""
    errors = {words.NAMES[kind]: one.error.tolist() for kind, one in survey.found.items() if kind != "full"}
    largest = ", ".join(f"{name} {percent(max(values))}" for name, values in errors.items())
    lesson.picture(
        figures.error_dots(list(errors.items()), head, survey.even[head].item(), shell.palette()),
        title=words.across_heads(survey, layer),
        alt=f"Largest error of any head: {largest}.",
        data=pd.DataFrame({"head": range(config.n_heads), **errors}),
        file="variants-errors",
    )


@st.cache_resource(max_entries=16, show_spinner="Measuring on this machine …")
def first_look(head_dim: int, causal: bool) -> tuple[Step, ...]:
    """Short texts, measured once for everybody, so that there is something true to see before the first click."""
    return tuple(cost.measure(lengths=cost.LENGTHS[:4], head_dim=head_dim, causal=causal))


def start() -> None:
    lengths = [n for n in cost.LENGTHS if n <= lesson.chosen().longest]
    slices.start("cost", cost.measure(lengths=lengths, head_dim=config.head_dim, causal=CAUSAL))
    st.session_state["cost:of"] = (config.head_dim, CAUSAL)


def measured(timed: bool) -> None:
    """Time and memory on this machine. `timed`: this fragment runs again by itself, a slice of measuring each time."""
    lesson.chosen()
    running, own = slices.running("cost"), slices.done("cost")
    if timed != running:
        st.rerun()  # the whole page, for that is where a fragment's clock is set
    head_dim, causal = st.session_state.get("cost:of", (config.head_dim, CAUSAL))
    steps = own or first_look(head_dim, causal)
    lines = words.finished(steps)
    lesson.section("Does it take n² on this machine?")
    lesson.sentence(words.longest(lines), part="measured")
    doubled = words.doubled(lines)
    if doubled:
        lesson.predict("guess", "Twice the tokens: full attention takes …", list(words.TIMES), *doubled)
    left, right = st.columns([1, 3], gap="medium")
    with left:
        st.select_slider(
            "Up to, tokens", LONGEST, key=lesson.key("longest"), format_func=lambda n: f"{n:,}", disabled=running
        )
        if running:
            now = own[-1] if own else None
            doing = f"{words.NAMES[now.kind]}, {now.n_tokens:,} tokens" if now else "Starting …"
            st.progress(now.done / now.total if now else 0.0, doing)
            st.button("Cancel", on_click=slices.cancel, args=("cost",), key="variants-cancel")
        else:
            st.button("Measure on this machine", on_click=start, key="variants-measure")
        left_out = [f"{words.NAMES[s.kind]} at {s.n_tokens:,} tokens" for s in steps if s.seconds is None]
        if left_out:
            st.caption(f"Left out, as it would have taken too long: {', '.join(left_out)}.")
        st.caption(
            f"One {'causal ' if causal else ''}head of {head_dim} numbers, random q, k, v (seed 0), float32, torch on "
            f"{cache.THREADS} CPU thread{'s' if cache.THREADS > 1 else ''}; median of up to {cost.RUNS[1]:,} runs. "
            f"Local sees {cost.WINDOW} tokens to each side, strided about √n. Memory: all tensors alive at once, "
            "counted as torch makes them; what a fused kernel uses inside itself is not seen. Multi- and grouped-query "
            "attention do full attention’s products: what they save is the cache, below."
        )
    with right:
        for place, unit in zip(st.columns(2, gap="medium"), ("seconds", "bytes"), strict=True):
            with place:
                draw_cost(lines, unit)
    lesson.write_link(inputs)
    if running:  # last, so that Cancel is on screen before the first slice
        slices.advance("cost")
        if not slices.running("cost"):
            st.rerun()  # to show the end


def draw_cost(lines: words.Lines, unit: str) -> None:
    """Seconds or bytes against the length."""
    costs = {words.NAMES[kind]: words.amounts(line, unit) for kind, line in lines.items()}
    title = words.share(lines, unit)
    lesson.picture(
        figures.cost_lines(
            [Line(name, tuple(c), tuple(c.values())) for name, c in costs.items()], unit, shell.palette()
        ),
        title=title,
        alt=f"{title}. Both axes are logarithmic, with lines of growth by n and by n².",
        data=pd.DataFrame(
            [(name, n, one) for name, c in costs.items() for n, one in c.items()], columns=["variant", "tokens", unit]
        ),
        file=f"variants-{unit}",
    )


@st.fragment
def kept() -> None:
    """The key-value cache of published models."""
    context = lesson.chosen().context
    caches = words.caches(context)
    lesson.section("Why do large models share keys?")
    lesson.sentence(words.kept(context), part="cache")
    lesson.predict(
        "guess_cache",
        "Llama-2-70B has ten times the parameters of Llama-2-7B. Its cache is …",
        list(words.CACHES),
        *words.larger_model(context),
    )
    left, right = st.columns([1, 3], gap="medium")
    with left:
        dial("Context, tokens", CONTEXTS, key=lesson.key("context"), format_func=lambda n: f"{n:,}")
        st.caption(
            "Two bytes a number (float16), one text. Pale: more tokens than the model was released for. Mistral-7B "
            "keeps its window of 4,096 tokens and no more. Sizes from the papers and configurations named in the data."
        )
    with right:
        lesson.picture(
            figures.cache_dots([(m.name, *caches[m.name], context <= m.context) for m in cost.MODELS], shell.palette()),
            title=f"Cache at {context:,} tokens: filled as published, hollow if no heads shared keys",
            alt=". ".join(
                f"{name}: {memory_size(own)}, hollow {memory_size(many)}" for name, (own, many) in caches.items()
            ),
            data=pd.DataFrame(
                [(*asdict(model).values(), *caches[model.name]) for model in cost.MODELS],
                columns=[*asdict(cost.MODELS[0]), "bytes", "bytes_if_unshared"],
            ),
            file="variants-cache",
        )
    lesson.write_link(inputs)


@st.fragment
def behind() -> None:
    lesson.behind(
        r"\begin{array}{l}\displaystyle "
        r"z_i=\frac{\varphi(q_i)\sum_j\varphi(k_j)^{\top}v_j}{\varphi(q_i)\cdot\sum_j\varphi(k_j)}"
        r"\\[1em] \mathrm{bytes}=2\,L\,H_{kv}\,D\,T\cdot 2\end{array}",
        "Linear attention: Katharopoulos et al. 2020, equation 5, φ(x) = elu(x) + 1. Local: Beltagy et al. 2020. "
        "Strided: Child et al. 2019. Multi-query: Shazeer 2019. Grouped-query, mean-pooled: Ainslie et al. 2023. "
        "Bytes of the cache: key and value (2), L layers, H_kv heads of keys, D numbers each, T tokens, 2 bytes each.",
        variants.linear,
        variants.local,
        variants.strided,
        variants.pooled,
        cost.measure,
        cost.cache_bytes,
    )


same_head()
lesson.tries(
    Try("A head that needs its neighbours only", {"layer": 0, "head": 2, "size": 2}, model="minilm"),
    Try("A head that rests on one far token", {"layer": 4, "head": 5, "size": 2}, model="minilm"),
)
st.fragment(measured, run_every=0.1 if slices.running("cost") else None)(slices.running("cost"))
kept()
lesson.tries(Try("A book’s length: 131,072 tokens", {"context": 131_072}), first=2)
behind()
