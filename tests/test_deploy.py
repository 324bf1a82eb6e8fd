"""deploy/: what the compose file promises is checked without Docker; each command's options are its program's."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OF_OURS = [name for name, service in SERVICES.items() if service["image"].startswith("ectopy:")]


def variables(text: str) -> set[str]:
    return set(re.findall(r"\$\{(\w+)", text))


class TestServices:
    def test_there_are_databases_storage_servers_and_workers(self) -> None:
        assert SERVICES.keys() == {"postgres", "storage", "mlflow", "prefect", "worker"}

    @pytest.mark.parametrize("name", SERVICES)
    def test_each_has_a_health_check_and_comes_again(self, name: str) -> None:
        assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
        assert SERVICES[name]["restart"] == "unless-stopped"

    @pytest.mark.parametrize("name", SERVICES)
    def test_each_image_is_one_and_the_same_next_year(self, name: str) -> None:
        assert re.fullmatch(r"[a-z/]+:[\w.-]*\d[\w.-]*", SERVICES[name]["image"])

    def test_the_image_of_ours_is_of_this_version(self) -> None:
        from importlib.metadata import version

        assert {SERVICES[name]["image"] for name in OF_OURS} == {f"ectopy:{version('ectopy')}"}
        assert OF_OURS == ["mlflow", "prefect", "worker"]

    @pytest.mark.parametrize("name", SERVICES)
    def test_nothing_is_published_beyond_this_machine_unless_asked_for(self, name: str) -> None:
        for published in SERVICES[name].get("ports", []):
            assert published.startswith("${ECTOPY_BIND:-127.0.0.1}:")

    def test_databases_storage_and_workers_are_not_published_at_all(self) -> None:
        assert [name for name, service in SERVICES.items() if "ports" in service] == ["mlflow", "prefect"]

    @pytest.mark.parametrize("name", SERVICES)
    def test_what_it_waits_for_is_healthy_first(self, name: str) -> None:
        for other, how in SERVICES[name].get("depends_on", {}).items():
            assert how["condition"] == "service_healthy"
            assert other in SERVICES

    @pytest.mark.parametrize("name", OF_OURS)
    def test_telemetry_is_off(self, name: str) -> None:
        environment = SERVICES[name]["environment"]
        assert environment["DO_NOT_TRACK"] == "1"
        assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
        assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


class TestSecrets:
    SECRET = re.compile("PASSWORD|SECRET|ACCESS_KEY|SALT|AUTH|TOKEN")

    @pytest.mark.parametrize("name", SERVICES)
    def test_each_comes_from_outside_and_has_no_default(self, name: str) -> None:
        for variable, value in SERVICES[name]["environment"].items():
            if self.SECRET.search(variable):
                assert re.fullmatch(r"\$\{\w+:\?\}", value)
        assert not re.search(r":\w+@", (DEPLOY / "compose.yaml").read_text())  # in an address

    def test_the_example_names_every_variable_and_gives_no_secret(self) -> None:
        example = (DEPLOY / ".env.example").read_text()
        told = dict(re.findall(r"^#?([A-Z0-9_]+)=(.*)$", example, re.MULTILINE))
        assert told.keys() == variables((DEPLOY / "compose.yaml").read_text())
        assert {told[name] for name in told if self.SECRET.search(name)} == {""}

    def test_git_takes_no_dotenv(self) -> None:
        ignored = subprocess.run(["git", "check-ignore", "-q", "deploy/.env"], cwd=ROOT, check=False)
        assert ignored.returncode == 0

    def test_no_secret_is_on_a_command_line(self) -> None:
        for service in SERVICES.values():
            assert not variables(" ".join(map(str, service.get("command", []))))


def commands() -> list[tuple[str, ...]]:
    """Give what Prefect and MLflow are called with, in the compose file and in the scripts."""
    lines = [(DEPLOY / name).read_text() for name in ("mlflow.sh", "worker.sh")]
    found = re.findall(
        r"^(?:exec )?((?:prefect|mlflow) [^|&>\n]*)|\|\| (prefect .*)$", "\n".join(lines), re.MULTILINE
    )
    scripts = [tuple((one or other).split()) for one, other in found]
    return [*scripts, *(tuple(SERVICES[name]["command"]) for name in ("prefect",))]


class TestCommands:
    def test_all_of_them_are_looked_at(self) -> None:
        assert sorted(" ".join(command[:3]) for command in commands()) == [
            "mlflow server --host",
            "prefect --no-prompt deploy",
            "prefect --no-prompt work-pool",
            "prefect server start",
            "prefect work-pool inspect",
            "prefect worker start",
        ]

    @pytest.mark.parametrize("command", commands(), ids=" ".join)
    def test_each_option_is_one_of_its_program(self, command: tuple[str, ...]) -> None:
        program = Path(sys.executable).with_name(command[0])
        words = [word for word in command[1:] if re.fullmatch("[a-z-]+", word) and not word.startswith("-")]
        name = words[: 1 if words[0] == "deploy" or command[0] == "mlflow" else 2]
        told = subprocess.run([program, *name, "--help"], capture_output=True, text=True, check=True).stdout
        for option in (word for word in command if word.startswith("--")):
            assert re.search(rf"{option}\b", told) or f"{option.replace('--no-', '--')}" in told

    @pytest.mark.parametrize("script", sorted(DEPLOY.glob("*.sh")), ids=lambda path: path.name)
    def test_each_script_is_one(self, script: Path) -> None:
        assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
        assert "\nset -eu\n" in script.read_text()

    @pytest.mark.parametrize("name", OF_OURS)
    def test_health_is_asked_where_the_service_listens(self, name: str) -> None:
        port = SERVICES[name]["healthcheck"]["test"][4]
        published = [line.rpartition(":")[2] for line in SERVICES[name].get("ports", [])]
        assert published == ([port] if name != "worker" else [])


class TestImage:
    TEXT = (DEPLOY / "Dockerfile").read_text()

    def test_it_is_built_on_a_version_of_its_own_and_run_by_nobody_special(self) -> None:
        (base,) = re.findall(r"^FROM (\S+)$", self.TEXT, re.MULTILINE)
        assert re.fullmatch(r"python:3\.11\.\d+-slim-\w+", base)
        assert self.TEXT.rstrip().endswith("USER ectopy")

    def test_all_that_it_copies_is_there(self) -> None:
        for line in re.findall(r"^COPY (.*) \S+$", self.TEXT, re.MULTILINE):
            assert all((ROOT / path).exists() for path in line.split())

    def test_it_has_what_postgresql_and_s3_need_in_tried_versions(self) -> None:
        assert 'pip install -c constraints.txt ".[pipeline,server]"' in self.TEXT
        constraints = (ROOT / "constraints.txt").read_text()
        assert re.search(r"^boto3==", constraints, re.MULTILINE)
        assert re.search(r"^psycopg2-binary==", constraints, re.MULTILINE)
