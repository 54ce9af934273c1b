"""What generation_config.json says holds for every answer: those of greedy and beam search are transformers'."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import attnviz
from attnviz import InvalidParameterError, Model, ModelError
from attnviz.generation import beam_search, sampling
from attnviz.generation.rules import ruled
from attnviz.generation.stop_strings import StopStrings
from attnviz.inputs.tokenizers import Tokenizer
from attnviz.models.decoding_rules import DecodingRules, rules_of
from tests.support.hf_architectures import BOTH, GROUPED

N = 8
TEXT = "the cat sat on the mat the cat"


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A decoder and an encoder-decoder with random weights, saved by transformers."""
    import transformers

    found = {}
    both = BOTH | {"vocab_size": 300, "encoder_layers": 1, "decoder_layers": 1}
    made = {
        "decoder": (transformers.LlamaForCausalLM, transformers.LlamaConfig(**GROUPED | {"vocab_size": 300})),
        "both": (transformers.BartForConditionalGeneration, transformers.BartConfig(**both)),
    }
    for name, (kind, config) in made.items():
        torch.manual_seed(3)
        model = kind._from_config(config, attn_implementation="eager").eval()
        with torch.no_grad():
            for p in model.parameters():
                p.add_(0.2 * torch.randn_like(p))
        found[name] = tmp_path_factory.mktemp("models") / name
        model.save_pretrained(found[name])
        VOCABULARY.save(found[name] / "tokenizer.json")
    return found


def loaded(folder: Path, **rules: Any) -> Model:
    (folder / "generation_config.json").write_text(json.dumps(rules | {"pad_token_id": 0, "decoder_start_token_id": 0}))
    return attnviz.load(str(folder))


def expected(folder: Path, model: Model, beams: int) -> list[int]:
    """The new tokens of transformers' generate on the same folder, without the end."""
    import transformers

    kinds = {"decoder": transformers.LlamaForCausalLM, "both": transformers.BartForConditionalGeneration}
    theirs = kinds[folder.name].from_pretrained(folder, attn_implementation="eager").eval()
    ids = torch.tensor([model.encode(TEXT).ids])
    given = {"attention_mask": torch.ones_like(ids), "max_new_tokens": N, "num_beams": beams, "do_sample": False}
    if theirs.generation_config.stop_strings:
        given["tokenizer"] = transformers.PreTrainedTokenizerFast(tokenizer_object=model.tokenizer.library)
    out = theirs.generate(ids, **given)[0].tolist()
    new = out[1:] if theirs.config.is_encoder_decoder else out[ids.shape[1] :]
    ends = theirs.generation_config.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    return new[: next((i for i, token in enumerate(new) if token in ends), len(new))]


def likeliest(model: Model) -> list[int]:
    return list(sampling.greedy(model, TEXT, N).ids)


VOCABULARY = Tokenizer.train_bpe(["the cat sat on the mat " * 20], 300, start=None, end=None)
TEXTS = VOCABULARY.decode_each(range(VOCABULARY.vocab_size))
WORDLESS = [i for i in range(300) if i >= len(TEXTS) or not TEXTS[i].isascii() or not TEXTS[i].isprintable()]


# Each is told the tokens that greedy decoding gives without it, so that it has something to change.
RULES: dict[str, Any] = {
    "nothing": lambda said: {},
    "several ends": lambda said: {"eos_token_id": [299, said[2]]},
    "forced first": lambda said: {"forced_bos_token_id": 17},
    "forced last": lambda said: {"forced_eos_token_id": 2},
    "no repeats": lambda said: {"no_repeat_ngram_size": 1},
    "no pairs twice": lambda said: {"no_repeat_ngram_size": 2},
    "suppressed": lambda said: {"suppress_tokens": [said[0], said[1]]},
    "not first": lambda said: {"begin_suppress_tokens": [said[0]]},
    "bad words": lambda said: {"bad_words_ids": [[said[1]], [said[2], said[3]]]},
    "penalty": lambda said: {"repetition_penalty": 1.8},
    "an end too early": lambda said: {"eos_token_id": said[1], "min_new_tokens": 4},
    "no copies": lambda said: {"encoder_no_repeat_ngram_size": 1},
    "no pairs copied": lambda said: {"encoder_no_repeat_ngram_size": 2},
    "biases": lambda said: {"sequence_bias": [[[said[0]], -9.5], [[said[1]], -3.0], [[17, 23], 30.0], [[17], 4.0]]},
    "what was read": lambda said: {"encoder_repetition_penalty": 3.5},
    "what was not read": lambda said: {"encoder_repetition_penalty": 0.4},
    "ends that gain": lambda said: {"exponential_decay_length_penalty": [2, 3.5]},
    "what is left": lambda said: {"renormalize_logits": True, "suppress_tokens": [said[0], said[2], *range(9, 60)]},
    "short answers": lambda said: {"length_penalty": -1.0, "eos_token_id": [said[1], said[3]]},
    "stops early": lambda said: {"early_stopping": True, "eos_token_id": [said[1], said[3], 5, 6, 7, 8]},
    "watermark": lambda said: {"watermarking_config": {"bias": 6.0, "context_width": 2}},
    "watermark of the token itself": lambda said: {
        "watermarking_config": {"bias": 4.0, "greenlist_ratio": 0.5, "seeding_scheme": "selfhash", "context_width": 3}
    },
    "watermark that beams add up": lambda said: {"watermarking_config": {"bias": 3.0}, "renormalize_logits": True},
    "never stops early": lambda said: {"early_stopping": "never", "eos_token_id": [said[1], said[3], 5, 6, 7, 8]},
}
ALL = ("decoder", "both")
QUICK = (("decoder", "several ends"), ("both", "forced first"), ("both", "no pairs twice"), ("both", "stops early"))
OF = {"forced first": ("both",)}  # of an encoder-decoder alone


@pytest.mark.parametrize(
    ("name", "which"),
    [
        pytest.param(name, which, marks=() if (name, which) in QUICK else pytest.mark.nightly)
        for which in RULES
        for name in OF.get(which, ALL)
    ],
)
def test_answers_are_those_of_transformers(name: str, which: str, folders) -> None:
    rules = {"eos_token_id": 2} | RULES[which](likeliest(loaded(folders[name], eos_token_id=2)))
    model = loaded(folders[name], **rules)
    greedy = sampling.greedy(model, TEXT, N)
    assert list(greedy.ids) == expected(folders[name], model, 1)
    best = beam_search.beam(model, TEXT, 3, N)[0]
    assert list(best.ids) == expected(folders[name], model, 3)


NUMBERS: list[dict[str, Any]] = [
    {"sequence_bias": [[[3], -2.5], [[4, 7], 1.5], [[9, 4, 7], 0.25], [[4], 9.0]]},
    {"encoder_repetition_penalty": 1.7},
    {"encoder_repetition_penalty": 0.6, "repetition_penalty": 1.3, "encoder_no_repeat_ngram_size": 2},
    {"exponential_decay_length_penalty": [1, 1.4], "min_new_tokens": 9, "eos_token_id": [5, 6]},
    {"exponential_decay_length_penalty": [1, 1.4], "eos_token_id": [5, 6], "suppress_tokens": [5, 8]},
    {"watermarking_config": {"bias": 1.5, "greenlist_ratio": 0.4, "hashing_key": 7}, "renormalize_logits": True},
    {"watermarking_config": {"context_width": 4, "seeding_scheme": "selfhash", "greenlist_ratio": 0.5}},
    {"renormalize_logits": True, "bad_words_ids": [[3], [4, 7]], "begin_suppress_tokens": [2]},
]


@pytest.mark.parametrize("rules", NUMBERS, ids=lambda rules: next(iter(rules)))
@pytest.mark.parametrize("n_new", [0, 2, 4])
def test_scores_are_those_of_transformers_number_by_number(rules: dict[str, Any], n_new: int, tmp_path: Path) -> None:
    import transformers

    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "generation_config.json").write_text(json.dumps({"eos_token_id": 5} | rules))
    ours = rules_of(tmp_path)
    asked = transformers.GenerationConfig(**{"eos_token_id": 5, "max_length": 40} | rules)
    inner = transformers.LlamaForCausalLM(transformers.LlamaConfig(**GROUPED | {"vocab_size": 50}))
    inner._prepare_special_tokens(asked)
    source, texts = [9, 4, 1, 4], torch.tensor([[2, 9, 4, 1, 9, 4], [2, 9, 4, 3, 4, 7]])[:, : 2 + n_new]
    given = {"input_ids_seq_length": 2, "encoder_input_ids": torch.tensor([source]), "device": "cpu"}
    processors = inner._get_logits_processor(asked, **given)
    scores = torch.randn(2, 50, generator=torch.Generator().manual_seed(n_new))
    expected = processors(texts, scores.clone())
    found = ruled(scores, texts.tolist(), ours, source=source, n_prompt=2, longest=40)
    assert torch.equal(found, expected)


def test_a_drawn_token_obeys_too(folders) -> None:
    model = loaded(folders["both"], eos_token_id=2, forced_bos_token_id=17, suppress_tokens=list(range(20, 290)))
    said = [sampling.say(model, TEXT, N, sampling.Sampling(temperature=5.0), seed=seed).ids for seed in range(4)]
    assert len(set(said)) > 1
    for ids in said:
        assert ids[0] == 17 and not set(ids) & set(range(20, 290))


# ---- answers that are guided, marked and stopped ------------------------------------------------------


@pytest.mark.parametrize("scale", [1.6, 0.0, -0.5])
def test_guided_answers_are_those_of_transformers(scale: float, folders) -> None:
    model = loaded(folders["decoder"], eos_token_id=2, guidance_scale=scale)
    said = sampling.greedy(model, TEXT, N).ids
    assert list(said) == expected(folders["decoder"], model, 1)
    assert list(said) != likeliest(loaded(folders["decoder"], eos_token_id=2))
    begin = sampling.prompt(model, TEXT).within(N)  # going on from tokens that stand already is the same
    assert said[:3] + tuple(token.id for token in sampling.tokens(model, begin, answer=said[:3])) == said
    with pytest.raises(InvalidParameterError, match=rf"guides its answers \(guidance_scale={scale:g}\)"):
        beam_search.beam(model, TEXT, 3, N)


def test_draws_are_marked_after_temperature_and_top_p(folders) -> None:
    """The scores that transformers draws from, step by step: as probabilities, for ours are in float64."""
    import transformers

    rules = {"eos_token_id": 2, "watermarking_config": {"bias": 3.0}, "guidance_scale": 1.3}
    model = loaded(folders["decoder"], **rules)
    theirs = transformers.LlamaForCausalLM.from_pretrained(folders["decoder"], attn_implementation="eager").eval()
    ids = torch.tensor([model.encode(TEXT).ids])
    how = {"do_sample": True, "temperature": 0.7, "top_k": 40, "top_p": 0.8, "max_new_tokens": N}
    torch.manual_seed(0)
    out = theirs.generate(ids, return_dict_in_generate=True, output_scores=True, **how)
    answer = out.sequences[0, ids.shape[1] :].tolist()
    begin = sampling.prompt(model, TEXT).within(N)
    for n, scores in enumerate(out.scores):
        drawn = next(sampling.tokens(model, begin, sampling.Sampling(0.7, 40, 0.8), answer=answer[:n], seed=n))
        assert drawn.probability == pytest.approx(float(scores[0].double().softmax(-1)[drawn.id]), rel=1e-4)
        assert scores[0, drawn.id] > -torch.inf


@pytest.mark.parametrize("name", ALL)
def test_an_answer_ends_with_the_string_that_stops_it(name: str, folders) -> None:
    """The end of one token and the beginning of the next; beams end with it too."""
    rules = {"eos_token_id": 2, "suppress_tokens": WORDLESS, "no_repeat_ngram_size": 1}
    plain = likeliest(loaded(folders[name], **rules))
    stop = TEXTS[plain[2]][-1:] + TEXTS[plain[3]][:1]
    model = loaded(folders[name], **rules, stop_strings=stop)
    said = attnviz.generate(model, TEXT, N)
    assert said.ended and said.text.endswith(stop)
    assert list(said.ids) == plain[:4] == expected(folders[name], model, 1)
    assert [token.id for token in sampling.tokens(model, sampling.prompt(model, TEXT).within(N))] == plain[:4]
    model = loaded(folders[name], **rules, stop_strings=[stop, *"aeiot"])
    for beams in (1, 2, 5):
        best = beam_search.beam(model, TEXT, beams, N)[0]
        assert list(best.ids) == expected(folders[name], model, beams)


def tokenizers_of_three_kinds() -> dict[str, Any]:
    import tokenizers
    from tokenizers import decoders, models, pre_tokenizers

    letters = [chr(i) for i in range(97, 123)]
    bytes_of = [f"<0x{i:02X}>" for i in range(256)]
    more = ["ca", "at", "▁the", "▁cat", "th", "the", "a▁b", "▁"]
    vocabulary = {token: i for i, token in enumerate(["<unk>", *bytes_of, *letters, *more])}
    fallback = tokenizers.Tokenizer(models.BPE(vocabulary, [], unk_token="<unk>", byte_fallback=True))
    parts = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    fallback.decoder = decoders.Sequence(parts)
    pieces = ["[UNK]", *letters, *("##" + letter for letter in letters), "the", "cat", "##at", "##the", ".", "☃"]
    pieced = tokenizers.Tokenizer(models.WordPiece({p: i for i, p in enumerate(pieces)}, unk_token="[UNK]"))
    pieced.pre_tokenizer, pieced.decoder = pre_tokenizers.Whitespace(), decoders.WordPiece()
    trained = Tokenizer.train_bpe(["the cat sat on the mat ☃ café " * 20], 300).library
    return {"bytes": trained, "fallback": fallback, "pieces": pieced}


@pytest.mark.parametrize("kind", ["bytes", "fallback", "pieces"])
def test_strings_stop_where_they_do_in_transformers(kind: str) -> None:
    """At every token of random texts, of tokens that are whole words, parts of them and parts of characters."""
    import transformers
    from transformers.generation.stopping_criteria import StopStringCriteria

    library = tokenizers_of_three_kinds()[kind]
    strings = ("the cat", "at", "☃", "é", "t t", "a", " b")[:: 2 if kind == "pieces" else 1]
    chance = torch.Generator().manual_seed(0)
    names = [library.id_to_token(i) or "" for i in range(library.get_vocab_size())]
    common = [i for i, name in enumerate(names) if set(name) & set("atheâĺĥÃ☃")]
    theirs = [
        StopStringCriteria(transformers.PreTrainedTokenizerFast(tokenizer_object=library), [one]) for one in strings
    ]
    ours = [StopStrings((one,), Tokenizer(library)) for one in strings]
    hits = 0
    for _ in range(60):
        ids = [common[int(i)] for i in torch.randint(0, len(common), (9,), generator=chance)]
        for one, other in zip(theirs, ours, strict=True):
            for n in range(1, len(ids) + 1):
                stops = bool(one(torch.tensor([ids[:n]]), None)[0])
                assert other.reached(ids[:n]) is stops, (other.strings, [library.id_to_token(i) for i in ids[:n]])
                hits += stops
    assert hits > 50


def test_tokens_are_forced_at_their_places(folders) -> None:
    """As of old: pairs of a place in the decoder's text and a token, such as a language's."""
    model = loaded(folders["both"], eos_token_id=2, forced_decoder_ids=[[1, 40], [3, 41]])
    ids = sampling.greedy(model, TEXT, N).ids
    assert (ids[0], ids[2]) == (40, 41)


def test_an_older_folder_says_it_in_its_config(folders) -> None:
    folder = folders["both"]
    (folder / "generation_config.json").unlink(missing_ok=True)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"forced_bos_token_id": 33, "eos_token_id": [2, 5]}))
    try:
        model = attnviz.load(str(folder))
        assert model.rules.first == 33 and model.rules.ends == (2, 5)
        assert sampling.greedy(model, TEXT, 2).ids[0] == 33
    finally:
        (folder / "config.json").write_text(json.dumps(config))


@pytest.mark.parametrize(
    "rules",
    [
        {"eos_token_id": "2"},
        {"no_repeat_ngram_size": -1},
        {"repetition_penalty": 0},
        {"bad_words_ids": [5]},
        {"sequence_bias": [[[], 1.0]]},
        {"sequence_bias": [[[3], float("nan")]]},
        {"sequence_bias": {"3": 1.0}},
        {"exponential_decay_length_penalty": [3]},
        {"renormalize_logits": "yes"},
        {"guidance_scale": "2"},
        {"stop_strings": ["a", 3]},
        {"stop_strings": "\ud800"},
        {"watermarking_config": {"bias": 2.0, "ngram_len": 5}},
        {"watermarking_config": {"greenlist_ratio": 1.0}},
        {"watermarking_config": {"seeding_scheme": "righthash"}},
        {"watermarking_config": {"hashing_key": 2**63}},
    ],
)
def test_a_rule_that_is_none_is_refused(rules: dict[str, Any], folders) -> None:
    if rules == {"bad_words_ids": [5]}:  # a single token
        assert loaded(folders["decoder"], **rules).rules.bad_words == ((5,),)
        return
    with pytest.raises(ModelError, match=r"generation_config.json of decoder says .* which is none\."):
        loaded(folders["decoder"], **rules)


def test_rules_that_transformers_refuses_are_no_fault_of_the_weights(folders) -> None:
    with pytest.raises(ModelError, match=r"^generation_config.json of decoder is none that transformers takes\.$"):
        loaded(folders["decoder"], num_return_sequences=3)


def test_without_rules_nothing_is_copied() -> None:
    scores = torch.randn(2, 5)
    assert ruled(scores, [[1], [2]], DecodingRules(ends=(3,)), source=(), n_prompt=1, longest=9) is scores
