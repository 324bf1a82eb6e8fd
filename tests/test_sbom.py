"""The bill of materials names packages and licences, and nothing of the machine that wrote it."""

from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[1] / "tools" / "sbom.py"


@pytest.fixture(scope="module")
def sbom():
    """The module of the tool, which is no part of the package."""
    specification = spec_from_file_location("sbom", TOOL)
    assert specification is not None
    assert specification.loader is not None
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def exported() -> dict:
    """An export of uv, as from a registry of one's own."""
    reference = {"type": "distribution", "url": "https://registry.example.org/numpy-2.whl"}
    numpy = {"type": "library", "bom-ref": "numpy-1@2.3", "name": "numpy", "version": "2.3"}
    none = {"type": "library", "bom-ref": "none-2@1", "name": "no-such-package", "version": "1"}
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": "urn:uuid:1",
        "metadata": {"timestamp": "2026-11-30T06:23:40Z", "component": {"name": "ectopy"}},
        "components": [
            numpy
            | {
                "purl": "pkg:pypi/numpy@2.3?repository_url=https://registry.example.org",
                "externalReferences": [reference],
            },
            none | {"purl": "pkg:pypi/no-such-package@1"},
        ],
        "dependencies": [{"ref": "numpy-1@2.3"}],
    }


def test_no_address_and_no_time_remain(sbom) -> None:
    text = str(sbom.clean(exported()))
    assert "example.org" not in text
    assert "://" not in text
    assert "2026" not in text
    assert "urn:uuid" not in text


def test_packages_their_versions_and_dependencies_remain(sbom) -> None:
    bom = sbom.clean(exported())
    assert [(one["name"], one["version"], one["purl"]) for one in bom["components"]] == [
        ("numpy", "2.3", "pkg:pypi/numpy@2.3"),
        ("no-such-package", "1", "pkg:pypi/no-such-package@1"),
    ]
    assert bom["dependencies"] == [{"ref": "numpy-1@2.3"}]
    assert bom["metadata"] == {"component": {"name": "ectopy"}}


def test_an_installed_package_has_its_licence_and_another_none(sbom) -> None:
    numpy, none = sbom.clean(exported())["components"]
    assert "BSD-3-Clause" in str(numpy["licenses"])
    assert "licenses" not in none


@pytest.mark.parametrize(
    ("fields", "licence"),
    [
        ({"License-Expression": "MIT", "License": "old"}, {"expression": "MIT"}),
        ({"License": "BSD"}, {"license": {"name": "BSD"}}),
        (
            {
                "License": "Permission is hereby granted\n" * 20,
                "Classifier": "License :: OSI Approved :: ISC",
            },
            {"license": {"name": "ISC"}},
        ),
        ({"Classifier": "Topic :: Science"}, None),
    ],
)
def test_the_licence_is_a_name_and_never_a_text(sbom, monkeypatch, fields, licence) -> None:
    from email.message import Message

    facts = Message()
    for name, value in fields.items():
        facts[name] = value.replace("\n", " ") if name == "License" else value
    monkeypatch.setattr(sbom, "metadata", lambda name: facts)
    component = sbom.clean(exported())["components"][0]
    assert component.get("licenses") == ([licence] if licence else None)


def test_the_bill_is_written_by_one_command(sbom, monkeypatch, tmp_path, capsys) -> None:
    import json
    from subprocess import CompletedProcess

    monkeypatch.setattr(
        sbom.subprocess, "run", lambda command, **_: CompletedProcess(command, 0, json.dumps(exported()))
    )
    sbom.main(tmp_path / "sbom.json")
    assert json.loads((tmp_path / "sbom.json").read_text())["bomFormat"] == "CycloneDX"
    assert capsys.readouterr().out.endswith("2 packages\n")
