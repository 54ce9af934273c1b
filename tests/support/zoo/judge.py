"""One tiny model, loaded by attnviz from its folder, against transformers' eager attention on the same folder.

Everything is compared in numbers; where one of them differs the model is not exact, and the row says what differs.
"""

from __future__ import annotations

import gc
import inspect
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from PIL import Image
from torch import Tensor, nn

import attnviz
from attnviz.errors import InvalidParameterError, ModelError
from attnviz.generation import beam_search, sampling
from tests.support.zoo import folders, stream
from tests.support.zoo.agreement import attentions, same, same_all, same_each
from tests.support.zoo.eager import Change, changed

CHANGE = Change(temperature=0.6, reach=1, head=1, factor=0.0)
INTERVENTION = attnviz.Intervention(temperature=0.6, mask=("window", 1), head_scale={1: 0.0})
N_TOKENS, N_BEAMS = 6, 3
SECOND = ("seq_relationship_logits", "sop_logits")  # of a second head
CRASH = "no sentence, but "  # what a row says of a load that ended in another error


@dataclass(frozen=True)
class Row:
    """What was found of one architecture."""

    name: str  # of the class of transformers
    model_type: str
    reads: str  # text, image, sound
    verdict: str  # "exact", "part" or "refused"
    says: str = ""  # what is not exact, or the sentence of the refusal
    compared: tuple[str, ...] = ()  # what is equal

    def __str__(self) -> str:
        return f"{self.verdict:8}{self.name:45}{self.says}"


def judge(name: str) -> Row:
    """Makes the model, loads it and compares."""
    with TemporaryDirectory() as place, folders.quietly(), torch.inference_mode(False):
        folder = Path(place, name)
        try:
            made = folders.write(name, folder)
        except Exception as error:
            return Row(name, "", "", "unmade", f"{type(error).__name__}: {str(error)[:200]}")
        row = Row(name, made.config.model_type, folders.inputs(made), "refused")
        del made
        findings = _Findings()
        try:
            _judge(row, folder, findings)
        except ModelError as error:
            return _row(row, "refused", str(error))
        except Exception as error:  # a fault of the library, whatever it is
            return _row(row, "refused", f"{CRASH}{type(error).__name__}: {str(error)[:200]}")
        gc.collect()
    if findings.differences:
        return _row(row, "part", "; ".join(findings.differences), tuple(findings.equal))
    return _row(row, "exact", "", tuple(findings.equal))


def _judge(row: Row, folder: Path, findings: _Findings) -> None:
    """Compares a model, or its parts. Errors: those of `attnviz.load`."""
    import transformers

    kind = getattr(transformers, row.name)
    found: dict[str, Any] = {}
    try:
        found[""] = attnviz.load(str(folder))
    except ModelError as error:
        if "models in one" not in str(error):
            raise
        found |= {part: attnviz.load(f"{folder}#{part}") for part in re.findall(r"#(\w+)", str(error))}
    theirs = kind.from_pretrained(folder, attn_implementation="eager", dtype=torch.float32, local_files_only=True)
    theirs.eval()
    with torch.no_grad():
        for part, model in found.items():
            findings.part = part and f"#{part} "
            _compare(model, _part(theirs, part), part or row.reads, findings)


def _part(model: Any, part: str) -> Any:
    """transformers' own module of a part."""
    names = {"text": ["text_model"], "image": ["vision_model", "image_model"], "sound": ["audio_model"], "": []}[part]
    return next((getattr(model, name) for name in names if hasattr(model, name)), model)


def _row(row: Row, verdict: str, says: str, compared: tuple[str, ...] = ()) -> Row:
    return Row(row.name, row.model_type, row.reads, verdict, says, compared)


class _Findings:
    """What is equal and what is not."""

    def __init__(self) -> None:
        self.equal: list[str] = []
        self.differences: list[str] = []
        self.part = ""

    def check(self, what: str, compare: Callable[[], str]) -> None:
        """`compare` returns "" if all is equal, else what is not."""
        try:
            difference = compare()
        except (InvalidParameterError, ModelError) as error:
            difference = str(error)
        except Exception as error:  # whatever is raised here is a fault of the library
            difference = f"{type(error).__name__}: {str(error)[:300]}"
        if difference:
            self.differences.append(f"{self.part}{what}: {difference}")
        elif what not in self.equal:
            self.equal.append(what)


def _compare(model: Any, reference: Any, reads: str, findings: _Findings) -> None:
    try:
        side = _Side(model, reference, reads)
    except (InvalidParameterError, ModelError) as error:
        findings.differences.append(f"{findings.part}a run: {error}")
        return
    except Exception as error:  # a fault of the library
        findings.differences.append(f"{findings.part}a run: {type(error).__name__}: {str(error)[:300]}")
        return
    findings.check("attention", lambda: same_all(side.trace, side.outputs, "attentions"))
    findings.check("hidden states", lambda: same_all(side.trace, side.outputs, "hidden"))
    if side.logits is not None:
        findings.check("logits", side.same_logits)
    findings.check("interventions", side.interventions)
    if stream.is_seen(side.model.transformer):
        findings.check("stream after attention", side.screened)
    if "text" in reads:
        findings.check("padding", side.padding)
    if reads == "text and image":
        findings.check("image in the text", side.illustrated)
    if side.generates and ("text" in reads or side.both):
        findings.check("greedy", side.greedy)
        findings.check("beams", side.beams)


class _Side:
    """A model of ours and transformers' own, side by side."""

    def __init__(self, model: Any, reference: Any, reads: str) -> None:
        self.model, self.reference, self.reads = model, reference, reads
        self.takes = inspect.signature(reference.forward).parameters
        self.both = bool(getattr(reference.config, "is_encoder_decoder", False)) and "decoder_input_ids" in self.takes
        questions = {"image": folders.image(), "sound": folders.sound()}
        self.question: Any = questions.get(reads, folders.TEXTS[0])
        self.trace = self.run(self.question)
        self.outputs = self.call(self.trace)

    @property
    def logits(self) -> Tensor | None:
        """transformers' logits; of the words, where a head of pre-training has others; of a span its two ends."""
        if (start := self.outputs.get("start_logits")) is not None:
            return torch.stack([start, self.outputs["end_logits"]], dim=-1)
        return next((x for name in ("logits", "prediction_logits") if (x := self.outputs.get(name)) is not None), None)

    def same_logits(self) -> str:
        """The numbers of the head, and of pre-training's second one."""
        second = next((x for name in SECOND if (x := self.outputs.get(name)) is not None), None)
        worst = same("", self.trace.logits, self.logits)
        return worst or ("" if second is None else same("the second head", self.trace.second_logits, second))

    @property
    def generates(self) -> bool:
        return bool(self.reference.can_generate()) and self.outputs.get("logits") is not None

    @property
    def change(self) -> Change:
        windows = getattr(self.reference.config, "attention_window", None)  # a number, or one for each layer
        return (
            replace(CHANGE, beside=(windows if isinstance(windows, int) else max(windows)) // 2) if windows else CHANGE
        )

    def run(self, given: Any, **more: Any) -> Any:
        target = folders.TARGET if self.both and not self.model.transformer.reads_itself else None
        return self.model.run(given, target, **more)

    def call(self, trace: Any) -> dict[str, Any]:
        """transformers' outputs on what the trace was run on."""
        given: dict[str, Any] = {"output_attentions": True, "output_hidden_states": True, "return_dict": True}
        given |= self.sources(trace)
        if trace.source is not None and not self.model.transformer.reads_itself:
            given |= _ids("decoder_", trace.encodings[0].ids)
        return dict(self.reference(**given, **({"use_cache": False} if "use_cache" in self.takes else {})))

    def sources(self, trace: Any) -> dict[str, Any]:
        """What transformers is given of what the trace was run on."""
        source, given = trace.source if trace.source is not None else trace, {}
        if self.reads == "image":
            given["pixel_values"] = self.model.preprocessor.batch(self.question)
        elif self.reads == "sound":
            given |= folders.extractor(self.reference.config)(
                self.question, sampling_rate=self.model.preprocessor.rate, return_tensors="pt"
            )
        else:
            given |= _ids("", source.encodings[0].ids)
            if type(self.reference).__name__.endswith("ForMultipleChoice"):  # one choice
                given = {name: x[None] for name, x in given.items()}
        return given

    def interventions(self) -> str:
        """One run with all of them, against a softmax that does the same."""
        change, intervention = self.change, INTERVENTION
        if self.model.transformer.reads_itself:  # both texts are as long: a window would take cross-attention for self
            change, intervention = replace(change, reach=None), replace(intervention, mask=None)
        ours = self.run(self.question, intervention=intervention)
        pools = [module for module in self.reference.modules() if isinstance(module, nn.MultiheadAttention)]
        with changed(change, outside=pools) as calls:  # SigLIP's pooling head, which is none of the layers
            theirs = self.call(ours)
        layers = sum(len(part) for part in attentions(self.trace).values())
        if len(calls) != layers:
            return f"the reference has {len(calls)} softmaxes, not {layers}"
        worst = same_all(ours, theirs, "hidden")
        if not worst and theirs.get("logits") is not None:
            worst = same("logits", ours.logits, theirs["logits"])
        plain = self.outputs
        moved = same_all(ours, plain, "hidden") or same_all(ours, plain, "attentions")
        return worst or ("" if moved else "nothing changed")

    def screened(self) -> str:
        """The reference's attention changed, and the stream after it put back to what we read: nothing else is left."""
        with stream.put_back(self.model.transformer, self.trace, self.reference), changed(self.change):
            theirs = self.call(self.trace)
        return same_all(self.trace, theirs, "hidden")

    def illustrated(self) -> str:
        """A text with an image in it, and no less under interventions."""
        if self.model.illustrated is None:
            return "its images are not read"
        processor = self.model.illustrated.processor
        text, image = f"{self.model.illustrated.image_token}{folders.TEXTS[1]}", folders.image()
        given = processor(text=[text], images=[Image.fromarray(image)], return_tensors="pt")
        asked = {"output_attentions": True, "output_hidden_states": True, "return_dict": True, "use_cache": False}
        given = {name: torch.as_tensor(x) for name, x in given.items() if name != "labels"} | asked
        ours = self.model.run(text, image=image)
        theirs = dict(self.reference(**given))
        for what in ("attentions", "hidden"):
            if worst := same_all(ours, theirs, what):
                return worst
        ours = self.model.run(text, image=image, intervention=INTERVENTION)
        with changed(CHANGE, outside=self._eyes):
            theirs = dict(self.reference(**given))
        return same_all(ours, theirs, "hidden") or same("logits", ours.logits, theirs["logits"])

    @property
    def _eyes(self) -> list[Any]:
        """The parts of the reference that read no text."""
        kind = type(self.reference.config.vision_config)
        return [module for module in self.reference.modules() if isinstance(getattr(module, "config", None), kind)]

    def padding(self) -> str:
        """A short text beside a longer one computes what it computes alone."""
        targets = [folders.TARGET] * 2 if self.both and not self.model.transformer.reads_itself else None
        batch = self.model.run(list(folders.TEXTS), targets)
        alone = self.model.run(folders.TEXTS[1], targets and targets[1])
        theirs = self.call(alone)
        for place, (ours, single) in {
            "": (batch.source or batch, alone.source or alone),
            "decoder": (batch, alone),
        }.items():
            n = len(single.encodings[0])
            pairs = zip(ours.attentions, single.attentions, strict=True)
            worst = same_each(f"{place} attentions", [(a[1:, :, :n, :n], b) for a, b in pairs])
            worst = worst or same(f"{place} states", ours.final[1:, :n], single.final)
            if worst:
                return worst + self._transformers_too()
        if theirs.get("logits") is None:
            return ""
        if batch.logits is None:
            return "logits is not there"
        return same("logits", batch.logits[1:, : theirs["logits"].shape[1]], theirs["logits"])

    def _transformers_too(self) -> str:
        """Whether transformers' own numbers of a text depend on the padding beside it: in words, or ""."""
        long, short = (list(self.model.encode(text).ids) for text in folders.TEXTS)
        pad = [*short, *[self.model.tokenizer.pad_id] * (len(long) - len(short))]
        real = torch.ones(2, len(long), dtype=torch.long)
        real[1, len(short) :] = 0
        asked = {"output_hidden_states": True, "return_dict": True}
        both = self.reference(input_ids=torch.tensor([long, pad]), attention_mask=real, **asked).hidden_states[-1]
        alone = self.reference(**_ids("", short), **asked).hidden_states[-1]
        return " (transformers' own does too)" * bool(same("", both[1:, : len(short)], alone))

    def greedy(self) -> str:
        return self._same_text(list(sampling.greedy(self.model, self.question, N_TOKENS).ids), num_beams=1)

    def beams(self) -> str:
        best = beam_search.beam(self.model, self.question, N_BEAMS, N_TOKENS)[0]
        return self._same_text(list(best.ids), num_beams=N_BEAMS)

    def _same_text(self, ours: list[int], **options: Any) -> str:
        begin = sampling.prompt(self.model, self.question)
        given = self.sources(self.trace) if begin.source is not None else _ids("", begin.start)
        said = self.reference.generate(**given, max_new_tokens=N_TOKENS, do_sample=False, **options)[0].tolist()
        start = list(begin.start)
        theirs = said[len(start) :] if said[: len(start)] == start else said  # Whisper's answer has none
        ends = self.reference.generation_config.eos_token_id
        if theirs and theirs[-1] in (ends if isinstance(ends, list) else [ends]):
            theirs = theirs[:-1]
        return "" if ours == theirs else f"says {ours}, transformers {theirs}"


def _ids(prefix: str, ids: Sequence[int]) -> dict[str, Tensor]:
    x = torch.tensor([list(ids)])
    return {f"{prefix}input_ids": x, f"{prefix}attention_mask": torch.ones_like(x)}
