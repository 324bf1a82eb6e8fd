"""``ectopy export``: what it writes, and what goes wrong how."""

import pytest

from ectopy import cli
from ectopy.live.network import save_live_model
from tests.live import live_model


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "live"
    save_live_model(folder, live_model().specification, live_model().weights)
    return folder


def run(capsys, *arguments):
    """Run the command; return exit status, stdout and stderr."""
    with pytest.raises(SystemExit) as ended:
        cli.main(["export", *map(str, arguments)])
    printed = capsys.readouterr()
    return int(ended.value.code or 0), printed.out, printed.err


def test_c_sources_are_written_for_a_rate(tmp_path, model, capsys):
    status, out, _ = run(capsys, tmp_path / "c", "--to", "c", "--fs", 256, "--model", model)
    assert status == 0
    for name in ("CMakeLists.txt", "README.md", "ectopy.c", "ectopy.h", "ectopy_model.h", "main.c"):
        assert name in out
        assert (tmp_path / "c" / name).is_file()
    header = (tmp_path / "c" / "ectopy_model.h").read_text()
    assert "#define ECTOPY_NUMERATOR 256\n#define ECTOPY_DENOMINATOR 125\n" in header
    assert "typedef int8_t ectopy_weight;" in header


def test_weights_can_stay_floats(tmp_path, model, capsys):
    status, _, _ = run(capsys, tmp_path, "--to", "c", "--fs", 250, "--model", model, "--weights", "float")
    assert status == 0
    assert "typedef float ectopy_weight;" in (tmp_path / "ectopy_model.h").read_text()


def test_onnx_models_come_with_their_inputs_and_an_example(tmp_path, model, capsys):
    pytest.importorskip("onnx", reason="onnx is of the extra pipeline")
    status, out, _ = run(capsys, tmp_path, "--to", "onnx", "--model", model)
    assert status == 0
    assert out.endswith("example.py, step.json, step.onnx, step_int8.onnx\n")


@pytest.mark.parametrize(
    ("options", "remedy"),
    [
        (("--to", "c"), "Give --fs HZ"),
        (("--to", "c", "--fs", "50"), "--fs"),
        (("--to", "onnx", "--fs", "250"), "Leave it out"),
        (("--to", "rust"), "--to"),
    ],
)
def test_a_wrong_option_is_named(tmp_path, model, capsys, options, remedy):
    status, _, error = run(capsys, tmp_path, *options, "--model", model)
    assert status == 2
    assert remedy in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_without_a_model_is_named(tmp_path, capsys):
    status, _, error = run(capsys, tmp_path / "c", "--to", "c", "--fs", 250, "--model", tmp_path / "nothing")
    assert status == 1
    assert "nothing: not a complete streaming model" in error
