"""A model directory is refused if it is not as its manifest says."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from ectopy.features.extraction import FEATURE_NAMES
from ectopy.model import classifier, rhythm_classifier
from ectopy.model.classifier import SHIPPED_MODEL, ModelError, load_classifier
from ectopy.model.manifest import MANIFEST_FILE, ManifestError, check_manifest, write_manifest
from ectopy.model.rhythm_classifier import SHIPPED_RHYTHM_MODEL, load_rhythm_classifier
from tests.small import write_model


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model directory with a manifest."""
    folder = write_model(tmp_path / "model")
    write_manifest(folder)
    return folder


@pytest.mark.parametrize("folder", [SHIPPED_MODEL, SHIPPED_RHYTHM_MODEL])
def test_the_shipped_models_are_as_their_manifests_say(folder: Path) -> None:
    # After a change of a shipped model: uv run python tools/model_manifest.py
    check_manifest(folder, required=True)


def test_hashes_are_those_of_sha256sum(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    write_manifest(tmp_path)
    # The test vector of FIPS 180-2.
    digest = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert json.loads((tmp_path / MANIFEST_FILE).read_text()) == {"sha256": {"abc": digest}}


def test_an_unchanged_model_classifies(model: Path) -> None:
    probability, _ = load_classifier(model)(np.zeros((5, len(FEATURE_NAMES)), dtype=np.float32))
    assert probability.shape == (5, 4)


def test_one_changed_number_is_refused(model: Path) -> None:
    path = model / "model.json"
    path.write_text(path.read_text().replace('"temperature": 1.0', '"temperature": 1.1'))
    with pytest.raises(
        ModelError, match=r"model: not as its manifest\.json says: model\.json altered\. Rest"
    ):
        load_classifier(model)


def test_one_changed_bit_of_the_network_is_refused(model: Path) -> None:
    path = model / "model.onnx"
    network = bytearray(path.read_bytes())
    network[-1] ^= 1
    path.write_bytes(network)
    with pytest.raises(ModelError, match=r"model\.onnx altered"):
        load_classifier(model)


def test_a_missing_file_is_refused_though_scoring_could_do_without(model: Path) -> None:
    (model / "card.md").write_text("# Card\n")
    write_manifest(model)
    (model / "card.md").unlink()
    with pytest.raises(ModelError, match=r"says: card\.md missing"):
        load_classifier(model)


@pytest.mark.parametrize("name", ["reference.json", "deeper/notes.txt"])
def test_an_additional_file_is_refused(model: Path, name: str) -> None:
    (model / name).parent.mkdir(exist_ok=True)
    (model / name).write_text("{}")
    with pytest.raises(ModelError, match=f"says: {name} not in the manifest"):
        load_classifier(model)


def test_every_problem_is_named_at_once(model: Path) -> None:
    (model / "model.onnx").write_bytes(b"")
    (model / "model.json").rename(model / "old.json")
    with pytest.raises(ManifestError) as refused:
        check_manifest(model)
    assert "model.onnx altered; model.json missing; old.json not in the manifest." in str(refused.value)


def test_a_pipe_is_an_additional_file_and_is_not_opened(model: Path) -> None:
    os.mkfifo(model / "pipe")
    with pytest.raises(ManifestError, match="says: pipe not in the manifest"):
        check_manifest(model)


def test_a_link_to_a_folder_is_an_additional_file(model: Path, tmp_path: Path) -> None:
    (model / "more").symlink_to(tmp_path)
    with pytest.raises(ManifestError, match="says: more not in the manifest"):
        check_manifest(model)


def test_a_manifest_that_is_a_folder_or_a_dead_link_is_damaged(model: Path) -> None:
    path = model / MANIFEST_FILE
    path.unlink()
    path.symlink_to("nowhere")
    with pytest.raises(ModelError, match="not a manifest of a model"):
        load_classifier(model)
    path.unlink()
    path.mkdir()
    with pytest.raises(ModelError, match="not a manifest of a model"):
        load_classifier(model)


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"sha256": 3}', '{"sha256": [[1, 1], ["x", 2]]}', "[" * 100_000]
)
def test_a_damaged_manifest_is_refused(model: Path, content: str) -> None:
    (model / MANIFEST_FILE).write_text(content)
    with pytest.raises(ModelError, match=r"manifest\.json: not a manifest of a model\. Restore"):
        load_classifier(model)


def test_only_a_shipped_model_needs_one(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (model / MANIFEST_FILE).unlink()
    assert load_classifier(model).name  # as the champions of ectopy 0.2
    monkeypatch.setattr(classifier, "SHIPPED_MODEL", model)
    with pytest.raises(ModelError, match=r"model: manifest\.json is missing\. Restore"):
        load_classifier(model)


def test_an_altered_rhythm_network_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = shutil.copytree(SHIPPED_RHYTHM_MODEL, tmp_path / "rhythm")
    assert load_rhythm_classifier(folder).specification.name
    load_rhythm_classifier.cache_clear()
    with (folder / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(ModelError, match=r"model\.onnx altered"):
        load_rhythm_classifier(folder)
    (folder / MANIFEST_FILE).unlink()
    monkeypatch.setattr(rhythm_classifier, "SHIPPED_RHYTHM_MODEL", folder)
    with pytest.raises(ModelError, match="is missing"):
        load_rhythm_classifier(folder)


def test_writing_it_again_leaves_it_as_it_is(model: Path) -> None:
    before = (model / MANIFEST_FILE).read_bytes()
    write_manifest(model)
    assert (model / MANIFEST_FILE).read_bytes() == before
