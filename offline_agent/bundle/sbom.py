"""What a bundle is made of, as a bill of materials: CycloneDX 1.6 (https://cyclonedx.org/docs/1.6/json/), in JSON.

It has no time and no random number in it, so that the same contents make the same bytes: its serial number is made of them.
"""

import json
import uuid
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression
from packaging.utils import canonicalize_name

from offline_agent.bundle.collect import INSTALLER, PROGRAM
from offline_agent.bundle.targets import Target
from offline_agent.bundle.wheels import Wheel
from offline_agent.models import Holding

_SPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://cyclonedx.org/schema/bom-1.6.schema.json")


def sbom(version: str, wheels: Sequence[Wheel], targets: Sequence[Target], models: Sequence[Holding]) -> bytes:
    """The bill of a bundle of that version of the program."""
    program = {
        "type": "application",
        "bom-ref": f"{PROGRAM}-bundle@{version}",
        "name": PROGRAM,
        "version": version,
        "licenses": [{"expression": "Apache-2.0"}],
    }
    parts = [*map(_of_wheel, wheels), *map(_of_model, models)]
    bill = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": program},
        "components": parts,
        "dependencies": [_depends(program, wheels, models), *_dependencies(wheels, targets)],
    }
    bill["serialNumber"] = f"urn:uuid:{uuid.uuid5(_SPACE, _text(bill))}"
    return (_text(bill) + "\n").encode()


def _of_wheel(wheel: Wheel) -> dict[str, Any]:
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": _reference(wheel),
        "name": wheel.name,
        "version": wheel.version,
        "purl": f"pkg:pypi/{wheel.name}@{quote(wheel.version, safe='')}",
        "hashes": [{"alg": "SHA-256", "content": wheel.sha256}],
    }
    licences = _licences(wheel)
    return component | ({"licenses": licences} if licences else {})


def _of_model(holding: Holding) -> dict[str, Any]:
    """A model of one file has its hash; of more, each file is a component of it."""
    component: dict[str, Any] = {"type": "machine-learning-model", "bom-ref": _model(holding), "name": holding.name}
    if holding.repository:
        component["version"] = holding.revision or "unknown"
        component["purl"] = f"pkg:huggingface/{holding.repository}" + (
            f"@{holding.revision}" if holding.revision else ""
        )
    if len(holding.files) == 1:
        component["hashes"] = [{"alg": "SHA-256", "content": holding.files[0].sha256}]
    else:
        component["components"] = [
            {"type": "file", "name": file.name, "hashes": [{"alg": "SHA-256", "content": file.sha256}]}
            for file in holding.files
        ]
    if holding.licence:
        component["licenses"] = [_licence(holding.licence)]
    component["properties"] = [
        {"name": "offline-agent:kind", "value": holding.kind},
        {"name": "offline-agent:origin", "value": holding.origin},
    ]
    return component


def _dependencies(wheels: Sequence[Wheel], targets: Sequence[Target]) -> list[dict[str, Any]]:
    """What needs what, on any of the machines that the bundle is for."""
    by_name: dict[str, set[str]] = {}
    for wheel in wheels:
        by_name.setdefault(wheel.name, set()).add(_reference(wheel))
    needs = {_reference(wheel): set[str]() for wheel in wheels}
    for target in targets:
        extras = _extras(wheels, target)
        for wheel in wheels:
            for requirement in wheel.needs(target, extras.get(wheel.name, ())):
                needs[_reference(wheel)] |= by_name.get(canonicalize_name(requirement.name), set())
    return [{"ref": reference, "dependsOn": sorted(needs[reference] - {reference})} for reference in sorted(needs)]


def _extras(wheels: Sequence[Wheel], target: Target) -> Mapping[str, set[str]]:
    """The extras that each project is asked for there, by name."""
    extras: dict[str, set[str]] = {}
    while True:
        before = sum(map(len, extras.values()))
        for wheel in wheels:
            for requirement in wheel.needs(target, extras.get(wheel.name, ())):
                extras.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
        if sum(map(len, extras.values())) == before:
            return extras


def _depends(program: Mapping[str, Any], wheels: Sequence[Wheel], models: Sequence[Holding]) -> dict[str, Any]:
    first = [_reference(wheel) for wheel in wheels if wheel.name in (PROGRAM, INSTALLER)]
    return {"ref": program["bom-ref"], "dependsOn": sorted([*first, *map(_model, models)])}


def _licences(wheel: Wheel) -> list[dict[str, Any]]:
    if wheel.licence:
        try:
            return [{"expression": canonicalize_license_expression(wheel.licence)}]
        except InvalidLicenseExpression:
            return [{"license": {"name": wheel.licence}}]
    return [_licence(text) for text in wheel.licences]


def _licence(text: str) -> dict[str, Any]:
    """By its SPDX identifier where that is what it is, else as it calls itself."""
    try:
        known = canonicalize_license_expression(text)
    except InvalidLicenseExpression:
        return {"license": {"name": text}}
    return {"license": {"name": text} if " " in known or known.startswith("LicenseRef-") else {"id": known}}


def _reference(wheel: Wheel) -> str:
    return f"wheels/{wheel.filename}"  # for several machines there are several of one name and version


def _model(holding: Holding) -> str:
    return f"models/{holding.name}"


def _text(bill: Mapping[str, Any]) -> str:
    return json.dumps(bill, indent=1, sort_keys=True, ensure_ascii=False)
