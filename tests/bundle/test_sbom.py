"""The bill of materials, as the validator of CycloneDX sees it."""

import json
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from offline_agent.bundle.sbom import sbom
from offline_agent.bundle.targets import target_of
from offline_agent.bundle.wheels import Wheel, read_wheel
from offline_agent.models import HeldFile, Holding

from .wheelhouse import program_wheel, wheel

LINUX = target_of("manylinux_2_28_x86_64", (3, 11))
CHAT = Holding(
    name="tiny",
    kind="chat",
    files=(HeldFile(name="tiny.gguf", size=4, sha256="0" * 64),),
    trust="hub",
    origin="hub",
    repository="ann/tiny",
    revision="abc123",
    licence="Apache-2.0",
)
EMBEDDER = Holding(
    name="vectors",
    kind="embedding",
    files=(
        HeldFile(name="config.json", size=2, sha256="1" * 64),
        HeldFile(name="model.safetensors", size=4, sha256="2" * 64),
    ),
    trust="first use",
    origin="vectors",
    licence="some licence of its own",
)


@pytest.fixture
def wheels(tmp_path: Path) -> list[Wheel]:
    made = [
        program_wheel(tmp_path, "1.0", ["web[fast]", "pip"]),
        wheel(
            tmp_path,
            "web",
            requires=["loop; extra == 'fast'", "absent"],
            metadata="License-Expression: mit or apache-2.0\n",
        ),
        wheel(tmp_path, "loop", requires=["web"], metadata="License: BSD-3-Clause\n"),
        wheel(tmp_path, "pip", "26.3", metadata="Classifier: License :: OSI Approved :: MIT License\n"),
        wheel(tmp_path, "torch", "2.13.0+cpu", metadata="License-Expression: no such licence\n"),
    ]
    return [read_wheel(path) for path in made]


def bill(wheels: list[Wheel], *models: Holding) -> dict[str, Any]:
    made: dict[str, Any] = json.loads(sbom("1.0", wheels, [LINUX], models))
    return made


def test_the_validator_takes_it(wheels: list[Wheel]) -> None:
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    for text in (
        sbom("1.0", wheels, [LINUX], [CHAT, EMBEDDER]),
        sbom("1.0", [], [], [CHAT]),
        sbom("1.0", wheels, [LINUX], []),
    ):
        assert validator.validate_str(text.decode()) is None


def test_the_validator_would_see_a_fault(wheels: list[Wheel]) -> None:
    made = bill(wheels) | {"serialNumber": "none"}
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(made)) is not None


def test_wheels_have_name_version_hash_and_licence(wheels: list[Wheel]) -> None:
    found = {part["name"]: part for part in bill(wheels)["components"]}
    assert found["torch"]["purl"] == "pkg:pypi/torch@2.13.0%2Bcpu"
    assert found["web"]["hashes"] == [{"alg": "SHA-256", "content": wheels[1].sha256}]
    licences = {name: part.get("licenses") for name, part in found.items()}
    assert licences == {
        "offline-agent": None,
        "web": [{"expression": "MIT OR Apache-2.0"}],
        "loop": [{"license": {"id": "BSD-3-Clause"}}],
        "pip": [{"license": {"name": "MIT License"}}],
        "torch": [{"license": {"name": "no such licence"}}],
    }


def test_what_needs_what_follows_extras(wheels: list[Wheel]) -> None:
    names = {part["bom-ref"]: part["name"] for part in bill(wheels, CHAT)["components"]}
    edges = {edge["ref"]: [names[each] for each in edge["dependsOn"]] for edge in bill(wheels, CHAT)["dependencies"]}
    assert {names.get(reference, "bundle"): needs for reference, needs in edges.items()} == {
        "bundle": ["tiny", "offline-agent", "pip"],
        "offline-agent": ["pip", "web"],
        "web": ["loop"],
        "loop": ["web"],
        "pip": [],
        "torch": [],
    }


def test_models_have_hash_licence_and_source() -> None:
    tiny, vectors = bill([], CHAT, EMBEDDER)["components"]
    assert (tiny["type"], tiny["purl"], tiny["version"]) == (
        "machine-learning-model",
        "pkg:huggingface/ann/tiny@abc123",
        "abc123",
    )
    assert tiny["hashes"] == [{"alg": "SHA-256", "content": "0" * 64}]
    assert tiny["licenses"] == [{"license": {"id": "Apache-2.0"}}]
    assert [file["name"] for file in vectors["components"]] == ["config.json", "model.safetensors"]
    assert vectors["licenses"] == [{"license": {"name": "some licence of its own"}}]


def test_the_same_contents_have_the_same_number_and_others_another(wheels: list[Wheel]) -> None:
    assert sbom("1.0", wheels, [LINUX], [CHAT]) == sbom("1.0", wheels, [LINUX], [CHAT])
    assert bill(wheels, CHAT)["serialNumber"] != bill(wheels)["serialNumber"]
