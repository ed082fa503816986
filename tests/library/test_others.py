"""What other programs keep, laid out as they do."""

import json
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from offline_agent.errors import AgentError, ModelMissing, StorageError, UsageError
from offline_agent.library.found import Found
from offline_agent.library.others import find_others, found_at
from tests.library.shelves import gguf, sha256

MODEL = gguf(b"weights")
REVISION = "0123456789abcdef0123456789abcdef01234567"


def ollama(root: Path, name: str = "registry.ollama.ai/library/qwen2.5-coder/7b", content: bytes = MODEL) -> Path:
    """A store with one model, as ollama's manifest package writes it; returns its manifest."""
    media = "application/vnd.ollama.image."
    layers = [(media + "model", content), (media + "template", b"{{ .Prompt }}"), (media + "license", b"MIT")]
    (root / "blobs").mkdir(parents=True, exist_ok=True)
    for _, layer in layers:
        (root / "blobs" / f"sha256-{sha256(layer)}").write_bytes(layer)
    manifest = root / "manifests" / name
    manifest.parent.mkdir(parents=True, exist_ok=True)
    described = [{"mediaType": kind, "digest": f"sha256:{sha256(layer)}", "size": len(layer)} for kind, layer in layers]
    config = {"mediaType": "application/vnd.docker.container.image.v1+json", "digest": f"sha256:{'0' * 64}", "size": 9}
    manifest.write_text(json.dumps({"schemaVersion": 2, "mediaType": "x", "config": config, "layers": described}))
    return manifest


def hugging_face(cache: Path, repository: str, files: dict[str, bytes], revision: str = REVISION) -> Path:
    """A repository in the cache, as huggingface_hub writes it; returns its snapshot."""
    place = cache / f"models--{repository.replace('/', '--')}"
    snapshot = place / "snapshots" / revision
    for name, content in files.items():
        blob = place / "blobs" / sha256(content)
        link = snapshot / name
        for path in (blob, link):
            path.parent.mkdir(parents=True, exist_ok=True)
        blob.write_bytes(content)
        link.symlink_to(os.path.relpath(blob, link.parent))
    (place / "refs").mkdir(exist_ok=True)
    (place / "refs" / "main").write_text(revision)
    return snapshot


EMBEDDER = {
    "modules.json": json.dumps(
        [
            {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
            {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
            {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ]
    ).encode(),
    "config.json": b'{"architectures": ["BertModel"]}',
    "data_config.json": b"[1, 2]",
    "1_Pooling/config.json": b'{"word_embedding_dimension": 8}',
    "model.safetensors": b"weights",
    "tokenizer.json": b"{}",
    "vocab.txt": b"a\nb\n",
}


def written(root: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def others(home: Path, **environ: str) -> list[Found]:
    return find_others(home, environ, root=home / "system")


# --- other programs


def test_nothing_is_found_where_there_is_nothing(tmp_path: Path) -> None:
    assert others(tmp_path) == []


def test_ollamas_models_are_found_wherever_it_keeps_them(tmp_path: Path) -> None:
    ollama(tmp_path / ".ollama" / "models")
    ollama(tmp_path / "system" / "usr/share/ollama/.ollama/models", "registry.ollama.ai/someone/m/latest")
    ollama(tmp_path / "elsewhere", "hf.co/owner/m-GGUF/Q4_K_M")
    found = others(tmp_path, OLLAMA_MODELS=str(tmp_path / "elsewhere"))
    assert [one.name for one in found] == ["hf.co/owner/m-GGUF:Q4_K_M", "qwen2.5-coder:7b", "someone/m:latest"]
    assert {one.tool for one in found} == {"Ollama"}
    for one in found:
        (file,) = one.files
        assert (one.size, file.sha256, file.path.read_bytes()) == (len(MODEL), sha256(MODEL), MODEL)
        assert one.fault == ""
        assert found_at(one.path) == [one]  # what is listed is what can be named


def test_a_store_named_twice_is_listed_once(tmp_path: Path) -> None:
    ollama(tmp_path / ".ollama" / "models")
    (tmp_path / "link").symlink_to(tmp_path / ".ollama" / "models")
    assert len(others(tmp_path, OLLAMA_MODELS=str(tmp_path / "link"))) == 1
    assert found_at(tmp_path / ".ollama") == found_at(tmp_path / ".ollama" / "models") == others(tmp_path)


def test_a_model_whose_weights_ollama_has_lost_is_told(tmp_path: Path) -> None:
    manifest = ollama(tmp_path)
    (tmp_path / "blobs" / f"sha256-{sha256(MODEL)}").unlink()
    (found,) = found_at(manifest)
    assert "pull it again with Ollama" in found.fault


def test_a_model_with_an_adapter_is_more_than_its_weights(tmp_path: Path) -> None:
    manifest = ollama(tmp_path)
    described = json.loads(manifest.read_text())
    described["layers"][1]["mediaType"] = "application/vnd.ollama.image.adapter"
    manifest.write_text(json.dumps(described))
    (found,) = found_at(manifest)
    assert "adapter" in found.fault


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "[" * 5000,
        '{"layers": 1}',
        '{"layers": [{"mediaType": "application/vnd.ollama.image.model", "digest": "sha256:../../x", "size": 1}]}',
        '{"layers": [{"mediaType": "application/vnd.ollama.image.tensor", "digest": "sha256:'
        + "0" * 64
        + '", "size": 1}]}',
    ],
)
def test_a_manifest_that_is_none_is_passed_over(tmp_path: Path, text: str) -> None:
    ollama(tmp_path)
    (tmp_path / "manifests/registry.ollama.ai/library/bad/latest").parent.mkdir()
    (tmp_path / "manifests/registry.ollama.ai/library/bad/latest").write_text(text)
    os.mkfifo(tmp_path / "manifests/registry.ollama.ai/library/bad/pipe")
    assert [one.name for one in found_at(tmp_path)] == ["qwen2.5-coder:7b"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["layers", "mediaType", "digest", "size", "x"]), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=60)
@given(JSON)
def test_no_manifest_whatever_it_says_is_a_crash_or_leads_outside(value: object) -> None:
    with tempfile.TemporaryDirectory() as scratch:
        manifest = ollama(Path(scratch))
        manifest.write_text(json.dumps(value))
        for found in find_others(Path(scratch), {"OLLAMA_MODELS": scratch}, Path(scratch) / "system"):
            assert found.files[0].path.parent == Path(scratch) / "blobs"


def test_lm_studios_models_are_found_with_their_repository(tmp_path: Path) -> None:
    folder = tmp_path / ".lmstudio" / "models"
    written(folder, {"publisher/Repo-GGUF/m-Q4_K_M.gguf": MODEL, "publisher/Repo-GGUF/mmproj-m.gguf": MODEL})
    written(tmp_path / ".cache/lm-studio/models", {"old/repo/n.gguf": MODEL})
    found = others(tmp_path)
    assert [(one.name, one.repository, one.tool) for one in found] == [
        ("m-Q4_K_M", "publisher/Repo-GGUF", "LM Studio"),
        ("n", "old/repo", "LM Studio"),
    ]


def test_lm_studios_settings_say_where_its_models_are(tmp_path: Path) -> None:
    written(tmp_path / "disk", {"p/r/m.gguf": MODEL})
    written(tmp_path / "base", {"settings.json": json.dumps({"downloadsFolder": str(tmp_path / "disk")}).encode()})
    (tmp_path / ".lmstudio-home-pointer").write_text(f"{tmp_path / 'base'}\n")
    assert [one.repository for one in others(tmp_path)] == ["p/r"]
    for text in ("", "[]", '{"downloadsFolder": 1}', '{"downloadsFolder": "a\\u0000b"}'):
        (tmp_path / "base" / "settings.json").write_text(text)
        assert others(tmp_path) == []


def test_hugging_faces_models_are_found_with_repository_and_revision(tmp_path: Path) -> None:
    cache = tmp_path / ".cache" / "huggingface" / "hub"
    hugging_face(cache, "owner/m-GGUF", {"m-Q4_K_M.gguf": MODEL, "README.md": b"x"})
    hugging_face(cache, "org/embedder", EMBEDDER)
    hugging_face(cache, "gpt2", {"config.json": b"{}"})
    (cache / ".locks").mkdir()
    embedder, model = others(tmp_path)
    assert (embedder.kind, embedder.repository, embedder.revision) == ("embedding", "org/embedder", REVISION)
    assert (model.kind, model.repository, model.revision) == ("chat", "owner/m-GGUF", REVISION)
    assert model.files[0].sha256 == sha256(MODEL)
    assert found_at(model.path)[0].repository == "owner/m-GGUF"
    assert [one.name for one in found_at(embedder.path)] == ["org/embedder"]
    assert len(found_at(cache)) == 2
    assert len(found_at(cache / "models--org--embedder")) == 1


def test_the_environment_says_where_hugging_face_keeps_them(tmp_path: Path) -> None:
    for place in ("a", "b/hub", "c/huggingface/hub", "d"):
        hugging_face(tmp_path / place, f"owner/{place[0]}", {"m.gguf": MODEL})
    environ = {"XDG_CACHE_HOME": str(tmp_path / "c")}
    assert [one.repository for one in others(tmp_path, **environ)] == ["owner/c"]
    environ["HF_HOME"] = str(tmp_path / "b")
    assert [one.repository for one in others(tmp_path, **environ)] == ["owner/b"]
    environ["HUGGINGFACE_HUB_CACHE"] = "~/d"
    assert [one.repository for one in others(tmp_path, **environ)] == ["owner/d"]
    environ["HF_HUB_CACHE"] = str(tmp_path / "a")
    assert [one.repository for one in others(tmp_path, **environ)] == ["owner/a"]


def test_a_file_that_revisions_share_is_listed_once_and_the_current_one_first(tmp_path: Path) -> None:
    cache = tmp_path / "hub"
    hugging_face(cache, "o/n", {"m.gguf": MODEL}, revision="b" * 40)
    hugging_face(cache, "o/n", {"m.gguf": gguf(b"newer")}, revision="a" * 40)
    shared = cache / "models--o--n" / "snapshots" / ("c" * 40)
    shared.mkdir()
    (shared / "m.gguf").symlink_to(cache / "models--o--n" / "blobs" / sha256(MODEL))
    revisions = [one.revision for one in others(tmp_path, HF_HUB_CACHE=str(cache))]
    assert revisions[0] == "a" * 40
    assert len(revisions) == 2


# --- a path of the person's own


def test_links_that_lead_back_and_places_that_may_not_be_read_are_no_crash(tmp_path: Path) -> None:
    folder = tmp_path / ".lmstudio" / "models"
    written(folder, {"p/r/m.gguf": MODEL, "p/closed/n.gguf": MODEL})
    (folder / "p" / "loop").symlink_to(folder)
    (folder / "p" / "r" / "self.gguf").symlink_to("self.gguf")
    (folder / "p" / "gone.gguf").symlink_to("nowhere")
    (folder / "p" / "closed").chmod(0)
    os.mkfifo(folder / "p" / "r" / "pipe.gguf")
    (folder / "p" / "dir.gguf").mkdir()
    names = {one.name for one in others(tmp_path)}
    (folder / "p" / "closed").chmod(0o700)
    assert names - {"n"} == {"m"}  # root may read what is closed


def test_all_parts_of_a_model_are_one_model_whichever_is_named(tmp_path: Path) -> None:
    parts = {f"m-0000{number}-of-00003.gguf": MODEL for number in (1, 2, 3)}
    written(tmp_path, parts)
    (found,) = found_at(tmp_path)
    assert [file.name for file in found.files] == list(parts)
    assert found_at(tmp_path / "m-00002-of-00003.gguf") == [found]
    (tmp_path / "m-00003-of-00003.gguf").unlink()
    (found,) = found_at(tmp_path)
    assert "m-00003-of-00003.gguf is missing" in found.fault


def test_names_need_not_be_utf_8(tmp_path: Path) -> None:
    for name in (b"caf\xe9.gguf", b"d\xff/m.gguf", b"s\xff-00001-of-00002.gguf", b"s\xff-00002-of-00002.gguf"):
        path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/" + name))
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(MODEL)
    found = found_at(tmp_path)
    assert [bool(one.fault) for one in found] == [False, True, False]
    for one in found:
        (one.name + one.origin + one.fault).encode()


@pytest.mark.parametrize(
    ("make", "error"),
    [
        (lambda path: None, ModelMissing),
        (lambda path: path.mkdir(), UsageError),
        (lambda path: path.symlink_to(path), StorageError),
        (lambda path: os.mkfifo(path), StorageError),
        (lambda path: written(path, {"readme.md": b""}), UsageError),
    ],
)
def test_a_path_without_a_model_is_told(tmp_path: Path, make: object, error: type[AgentError]) -> None:
    assert callable(make)
    make(tmp_path / "x.gguf")
    with pytest.raises(error):
        found_at(tmp_path / "x.gguf")


# --- models for sentence-transformers


def test_an_embedders_files_are_those_that_are_data(tmp_path: Path) -> None:
    extra = {"README.md": b"", ".gitattributes": b"", "onnx/model.onnx": b"", "pytorch_model.bin": b"", "LICENSE": b""}
    (found,) = found_at(written(tmp_path / "m", {**EMBEDDER, **extra, "holding.json": b"{}"}))
    assert {file.name for file in found.files} == {*EMBEDDER, "LICENSE"}
    assert (found.kind, found.name, found.fault) == ("embedding", "m", "")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"modeling.py": b"import os"}, "is a program"),
        ({"1_Pooling/pooling.py": b"import os"}, "is a program"),
        ({"config.json": b'{"auto_map": {"AutoModel": "modeling.M"}}'}, "auto_map"),
        ({"tokenizer_config.json": b'{"auto_map": {}}'}, "auto_map"),
        ({"model.safetensors": None, "pytorch_model.bin": b"\x80"}, "is a pickle"),
        ({"1_Pooling/pytorch_model.BIN": b"\x80"}, "is a pickle"),
        ({"model.safetensors": None}, "no weights as safetensors"),
        ({"modules.json": b'[{"path": "", "type": "own.Module"}]'}, "not of sentence-transformers"),
        ({"modules.json": b'[{"path": "../..", "type": "sentence_transformers.models.X"}]'}, "not understood"),
        ({"modules.json": b"{}"}, "not understood"),
        ({"modules.json": b"[1]"}, "not understood"),
        ({"config.json": b"\xff"}, "no JSON"),
        ({"config.json": b"[" * 100_000}, "no JSON"),
        ({"modules.json": None, "config.json": b'{"architectures": ["Qwen2ForCausalLM"]}'}, "GGUF"),
    ],
)
def test_an_embedder_that_is_more_than_data_has_a_fault(
    tmp_path: Path, change: dict[str, bytes | None], told: str
) -> None:
    files = {name: content for name, content in {**EMBEDDER, **change}.items() if content is not None}
    (found,) = found_at(written(tmp_path / "m", files))
    assert told in found.fault
    assert found.fault.endswith(".")


def test_a_reranker_is_told_from_an_embedder(tmp_path: Path) -> None:
    files = {"config.json": b'{"architectures": ["BertForSequenceClassification"]}', "model.safetensors": b"w"}
    (found,) = found_at(written(tmp_path / "m", files))
    assert found.kind == "reranking"
