"""What is typed and longer than what is read: one sentence with the numbers says so, and nothing typed is lost."""

import io
import re
import tempfile
import zipfile
from pathlib import Path

import pytest

from attnviz.browser.bundle import FOLDER
from attnviz.errors import ModelError
from attnviz.models import hf_download
from attnviz.models.catalogue import BUNDLED
from attnviz.web import cache, server, shell
from tests.pages.driver import ROOT, header, opened, views
from tests.support.models import loaded

LONG = "m" * 300


def test_a_word_to_exchange():
    app = opened("masks")
    before, link = app.prose, app.link
    app.choose(word="w" * 5_000)
    sentence = "What you typed has 5,000 characters; a word of at most 40 is read. “banana” stands in its place."
    assert sentence in app.sentences and sentence not in before
    assert app.session_state["masks.word"] == "w" * 5_000 and app.link == link


def test_a_source_to_translate():
    app = opened("translate")
    link = app.link
    app.choose(source="4 May " * 100)
    assert app.notices == [
        "The source has 600 characters; at most 400 are read. What you typed stays for you to shorten."
    ]
    assert app.session_state["translate.source"] == "4 May " * 100 and app.link == link


def test_a_name_on_the_hub(monkeypatch):
    monkeypatch.setattr(hf_download, "fetch", lambda *given: pytest.fail("asked for"))
    app = opened("models")
    (field,) = (one for one in app.text_input if one.label == "From the Hugging Face hub")
    field.set_value(f"org/{LONG}").run()
    app.press("Load")
    assert app.notices == [
        "What you typed has 304 characters; a model’s name of at most 200 is read. It stays for you to shorten."
    ]
    assert app.session_state["models-typed"] == f"org/{LONG}"


@pytest.mark.parametrize(("page", "field"), [("", "model"), ("translate", "translator"), ("vision", "vit")])
def test_a_models_name(page, field):
    app = opened(page, **{field: f"hf:org/{LONG}"})
    assert app.notices == [
        "What you typed has 307 characters; a model’s name of at most 200 is read. It stays for you to shorten."
    ]
    assert app.session_state[f"{page}.{field}" if page else field] == f"hf:org/{LONG}"


def test_a_text_to_train_on_is_not_cut_and_is_said_to_be_in_no_link():
    app = opened("train", task="language")
    assert shell.NOT_IN_LINK not in [caption.value for caption in app.caption]
    (field,) = (one for one in app.text_area if one.label == "Your text")
    assert not field.proto.max_chars
    field.set_value("a rose " * 20_000).run()
    assert not app.notices and app.session_state["train.corpus"] == "a rose " * 20_000
    assert shell.NOT_IN_LINK in [caption.value for caption in app.caption]
    assert "corpus" not in app.link


def test_more_than_a_message_may_hold():
    app = opened("glossary")
    app.session_state[server.UNHEARD] = 5_200_000
    assert app.run().notices == [
        "What you sent has 5,200,000 bytes; at most 4,000,000 are read at a time, so none of it was. "
        "It stays in its field for you to shorten."
    ]
    assert not app.run().notices


def test_no_field_cuts_what_is_pasted():
    files = [*(ROOT / "pages").rglob("*.py"), *(ROOT / "attnviz" / "web").rglob("*.py"), *FOLDER.rglob("*.js")]
    assert len(files) > 100
    assert not [file.name for file in files if re.search("max_chars|maxlength", file.read_text("utf-8"), re.I)]


def test_a_name_is_checked_before_anybody_is_asked():
    with pytest.raises(ModelError, match="201 characters"):
        cache.check_length("m" * 201)
    cache.check_length("m" * 200)


LARGE = 70_000  # rows of a table of positions, where a text of 100,000 characters has 50,000 tokens


@pytest.fixture(scope="module")
def large_table() -> bytes:
    """The archive of a GPT-2 that could read very long texts."""
    from transformers import GPT2Config, GPT2LMHeadModel

    tokenizer = (BUNDLED / "austen" / "tokenizer.json").read_bytes()
    sizes = {
        "n_positions": LARGE,
        "n_embd": 8,
        "n_layer": 1,
        "n_head": 2,
        "vocab_size": loaded("austen").tokenizer.vocab_size,
    }
    out = io.BytesIO()
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(out, "w") as archive:
        GPT2LMHeadModel(GPT2Config(**sizes)).save_pretrained(folder)
        for name in ("config.json", "model.safetensors"):
            archive.write(Path(folder) / name, name)
        archive.writestr("tokenizer.json", tokenizer)
    return out.getvalue()


def test_a_text_that_the_model_could_read_is_cut_where_the_server_reads_no_more(large_table: bytes) -> None:
    app = opened("models")
    app.get("file_uploader")[0].upload("large.zip", large_table, "application/zip")
    app.run()
    while "models:upload" in app.session_state:
        app.session_state["models:upload"].wait(60)
        app.run()
    app.press("Use it on every page")
    app.session_state["text"] = "a b " * 24_000
    app.switch_page("pages/explore.py").run()
    n_tokens = len(loaded("austen").tokenizer.encode("a b " * 24_000))
    assert n_tokens > 40_000
    assert (
        f"The text has {n_tokens:,} tokens; this server reads 2,048 of them, though the model could read {LARGE:,}. "
        f"The last {n_tokens - 2_048:,} were left out; the sidebar keeps your whole text."
    ) in app.sentences
    ((_, message),) = views(app)
    assert len(header(message)["tokens"]["labels"]) == 2_048
    for page in ("heads", "compare", "generate", "softmax"):
        app.switch_page(f"pages/{page}.py").run()
        assert not app.exception and any("left out" in one.value for one in app.caption), page


def test_ordinary_models_read_as_much_as_they_can() -> None:
    for name in ("minilm", "austen", "scratch:gpt"):
        model = cache.model(name)
        assert model.longest == model.transformer.config.max_len
