"""Commands that contributors type often: ``uvx nox --list``, then ``uvx nox --session NAME``."""

import nox

nox.options.default_venv_backend = "uv"
nox.options.sessions = ["lint", "tests", "docs"]

PYTHONS = ["3.11", "3.12", "3.13", "3.14"]
TEST_TOOLS = (
    "pytest>=9.0.1",
    "pytest-xdist>=3.8",
    "hypothesis>=6.140",
    "edfio>=0.4.18,<0.5",
    "jsonschema>=4.25",
    "onnx>=1.19",  # the tests build small models with it
)
# Tests of reading, analysis, reports, scoring and EC57. They need no extra.
SCORING_TESTS = (
    "tests/test_annotations.py",
    "tests/test_api.py",
    "tests/test_ec57.py",
    "tests/test_ec57_docs.py",
    "tests/test_ec57_episodes.py",
    "tests/test_ec57_records.py",
    "tests/test_ec57_runs.py",
    "tests/test_ec57_step_by_step.py",
    "tests/test_ec57_summary.py",
    "tests/test_ecg.py",
    "tests/test_features.py",
    "tests/test_hrv.py",
    "tests/test_pipeline.py",
    "tests/test_readers.py",
    "tests/test_readers_bombs.py",
    "tests/test_readers_dicom.py",
    "tests/test_readers_edf.py",
    "tests/test_readers_formats.py",
    "tests/test_readers_ishne.py",
    "tests/test_readers_lead_names.py",
    "tests/test_readers_scp.py",
    "tests/test_readers_tables.py",
    "tests/test_readers_xml.py",
    "tests/test_report.py",
    "tests/test_report_files.py",
    "tests/test_report_page.py",
    "tests/test_rhythm.py",
    "tests/test_score.py",
    "tests/test_settings.py",
    "tests/test_summary_schema.py",
)


@nox.session(python=False)
def lint(session: nox.Session) -> None:
    """Run the linters, the type checker, and the checks of layers and prose."""
    session.run("uv", "run", "ruff", "check", external=True)
    session.run("uv", "run", "ruff", "format", "--check", external=True)
    session.run("uv", "run", "mypy", external=True)
    session.run("uv", "run", "lint-imports", external=True)
    session.run("uv", "run", "python", "tools/prose.py", external=True)


@nox.session(python=False)
def tests(session: nox.Session) -> None:
    """Run all tests, or those named after ``--``."""
    session.run("uv", "run", "pytest", *session.posargs, external=True)


@nox.session(python=False)
def docs(session: nox.Session) -> None:
    """Build the documentation site in ``site/``."""
    session.run("uv", "run", "--group", "docs", "mkdocs", "build", "--strict", external=True)


@nox.session(python=False)
def sbom(session: nox.Session) -> None:
    """Write the software bill of materials, CycloneDX, to ``sbom.json``."""
    session.run("uv", "run", "python", "tools/sbom.py", "sbom.json", external=True)


@nox.session(python=PYTHONS)
def scoring(session: nox.Session) -> None:
    """Install the base package and run the tests of scoring on one version of Python."""
    session.install("-e", ".", *TEST_TOOLS)
    session.run("pytest", *(session.posargs or SCORING_TESTS))


@nox.session(python="3.11")
def oldest(session: nox.Session) -> None:
    """Run the tests of scoring with the oldest versions that ``pyproject.toml`` allows."""
    session.install("--resolution", "lowest-direct", "-e", ".", *TEST_TOOLS)
    session.run("pytest", *(session.posargs or SCORING_TESTS))


@nox.session(python=False)
def mutate(session: nox.Session) -> None:
    """Measure how many small errors the tests of the modules named after ``--`` notice."""
    if not session.posargs:
        session.error("no module named. Write for example: nox --session mutate -- ec57/beats.py")
    session.run("uv", "run", "python", "tools/mutate.py", *session.posargs, external=True)


@nox.session(python=False)
def benchmarks(session: nox.Session) -> None:
    """Measure speed and memory: ``nox --session benchmarks -- scoring data/mitdb/1.0.0``.

    The first argument is the name of a script in ``benchmarks/``. It takes long and needs an idle machine.
    """
    if not session.posargs:
        session.error("no benchmark named. Write for example: nox --session benchmarks -- length")
    name, *arguments = session.posargs
    session.run("uv", "run", "python", f"benchmarks/{name}.py", *arguments, external=True)
