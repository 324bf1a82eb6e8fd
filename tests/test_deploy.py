"""deploy/ and prefect.yaml: each name in them refers to something that exists, as checked without Docker."""

import importlib
import inspect
import re
import shlex
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.utilities.importtools import import_object

from ectopy.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
DEPLOY = ROOT / "deploy"
COMPOSE_TEXT = (DEPLOY / "compose.yaml").read_text()
COMPOSE: dict[str, Any] = yaml.safe_load(COMPOSE_TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
OURS = [name for name, service in SERVICES.items() if "build" in service]
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
SCRIPTS = sorted(DEPLOY.glob("*.sh"))
SECRET = re.compile("PASSWORD|SECRET|ACCESS_KEY|SALT|AUTH|TOKEN")


def variables(text: str) -> set[str]:
    """The variables that a text of the compose file takes from .env."""
    return set(re.findall(r"\$\{(\w+)", text))


def commands() -> list[tuple[str, ...]]:
    """Every call of Prefect and MLflow, in the compose file and in the scripts."""
    lines = [line for script in SCRIPTS for line in re.split(r"\n|\|\|", script.read_text())]
    words = [line.partition(">")[0].strip().removeprefix("exec ") for line in lines]
    scripted = [tuple(shlex.split(line)) for line in words if re.match("(prefect|mlflow) ", line)]
    direct = [tuple(service.get("command", ())) for service in SERVICES.values()]
    return [*scripted, *(command for command in direct if command and command[0] == "uvicorn")]


def port_of(name: str) -> str:
    """The port that a service of ours listens on, as its own command says."""
    command = SERVICES[name]["command"]
    if command[0] == "sh":
        command = shlex.split((ROOT / command[1]).read_text(), comments=True)
    if "--with-healthcheck" in command:
        from prefect.settings import PREFECT_WORKER_WEBSERVER_PORT

        return str(PREFECT_WORKER_WEBSERVER_PORT.value())
    return str(command[command.index("--port") + 1])


class TestServices:
    def test_what_a_service_waits_for_exists_and_can_become_healthy(self) -> None:
        for service in SERVICES.values():
            for other, condition in service.get("depends_on", {}).items():
                assert condition["condition"] == "service_healthy"
                assert "healthcheck" in SERVICES[other]

    def test_each_image_is_a_fixed_version_and_ours_is_this_one(self) -> None:
        for name, service in SERVICES.items():
            assert re.fullmatch(r"[a-z/]+:[\w.-]*\d[\w.-]*", service["image"])
            assert (service["image"] == f"ectopy:{version('ectopy')}") == (name in OURS)

    def test_our_images_are_built_from_files_that_exist(self) -> None:
        for name in OURS:
            build = SERVICES[name]["build"]
            assert (DEPLOY / build["context"]).resolve() == ROOT
            assert (ROOT / build["dockerfile"]).is_file()

    def test_our_commands_run_programs_or_scripts_that_the_image_has(self) -> None:
        copied = re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE)
        for name in OURS:
            program, first, *_ = SERVICES[name]["command"]
            if program == "sh":
                assert first in " ".join(copied).split()
            else:
                assert Path(sys.executable).with_name(program).is_file()

    @pytest.mark.parametrize("name", OURS)
    def test_a_health_check_runs_a_module_that_exists_on_the_port_of_the_service(self, name: str) -> None:
        kind, python, dash_m, module, port, path = SERVICES[name]["healthcheck"]["test"]
        assert (kind, python, dash_m) == ("CMD", "python", "-m")
        assert find_spec(module)
        assert inspect.getsource(importlib.import_module(module)).count("__main__") == 1
        assert port == port_of(name)
        assert path.startswith("/")

    @pytest.mark.parametrize("name", SERVICES)
    def test_a_published_port_is_the_one_that_the_service_listens_on_and_local_by_default(
        self, name: str
    ) -> None:
        for published in SERVICES[name].get("ports", []):
            host, _, inner = published.rpartition(":")
            assert inner == port_of(name)
            assert host.startswith("${ECTOPY_BIND:-127.0.0.1}:")

    def test_volumes_are_declared_or_files_of_this_folder(self) -> None:
        for service in SERVICES.values():
            for volume in service.get("volumes", []):
                source = re.sub(r"\$\{\w+:-(\w+)\}", r"\1", volume).partition(":")[0]
                assert source in COMPOSE["volumes"] or (DEPLOY / source).is_file()

    def test_addresses_of_other_services_name_their_port(self) -> None:
        ports = {"postgres": "5432", "storage": "9000"} | {name: port_of(name) for name in OURS}
        addressed = re.findall(rf"(?:@|//)({'|'.join(SERVICES)}):(\d+)", COMPOSE_TEXT)
        assert {name for name, _ in addressed} == {"postgres", "storage", "mlflow", "prefect"}
        assert all(ports[name] == port for name, port in addressed)


class TestVariables:
    def test_every_variable_of_ectopy_is_a_setting(self) -> None:
        settings = {f"ECTOPY_{name.upper()}" for name in Settings.model_fields}
        given = {name for service in SERVICES.values() for name in service["environment"]}
        assert {name for name in given if name.startswith("ECTOPY_")} <= settings

    @pytest.mark.filterwarnings("ignore:.*Any type hint")  # MLflow's own
    def test_every_variable_of_prefect_and_mlflow_is_known_to_it(self) -> None:
        import mlflow.environment_variables
        from mlflow.cli import server
        from prefect.settings import Settings as PrefectSettings
        from prefect.settings.legacy import _get_settings_fields

        known = set(_get_settings_fields(PrefectSettings)) | set(vars(mlflow.environment_variables))
        known |= {str(option.envvar) for option in server.params}
        given = {name for service in SERVICES.values() for name in service["environment"]}
        assert {name for name in given if re.match("PREFECT_(?!DB_)|MLFLOW_(?!DB_)", name)} - known == set()

    def test_the_example_names_every_variable_and_has_no_secret(self) -> None:
        example = (DEPLOY / ".env.example").read_text()
        values = dict(re.findall(r"^#?([A-Z0-9_]+)=(.*)$", example, re.MULTILINE))
        assert values.keys() == variables(COMPOSE_TEXT)
        assert {values[name] for name in values if SECRET.search(name)} == {""}

    @pytest.mark.parametrize("name", SERVICES)
    def test_a_secret_comes_from_outside_and_has_no_default(self, name: str) -> None:
        for variable, value in SERVICES[name]["environment"].items():
            if SECRET.search(variable):
                assert re.fullmatch(r"(ectopy:)?\$\{\w+:\?\}", value)
        assert not re.search(r":\w+@", COMPOSE_TEXT)  # in an address

    def test_git_ignores_the_file_with_the_secrets(self) -> None:
        ignored = subprocess.run(["git", "check-ignore", "-q", "deploy/.env"], cwd=ROOT, check=False)
        assert ignored.returncode == 0

    def test_no_secret_is_on_a_command_line(self) -> None:
        for service in SERVICES.values():
            assert not variables(" ".join(map(str, service.get("command", []))))

    def test_the_scripts_read_only_variables_that_their_service_has(self) -> None:
        for name, script in (("postgres", "databases.sh"), ("mlflow", "mlflow.sh"), ("worker", "worker.sh")):
            text = (DEPLOY / script).read_text()
            read = set(re.findall(r"\$(\w+)|environ\[\"(\w+)\"\]", text))
            assert {first or second for first, second in read} <= SERVICES[name]["environment"].keys()


class TestCommands:
    def test_every_server_and_the_worker_are_among_them(self) -> None:
        started = {" ".join(command[:2]) for command in commands()}
        assert {"mlflow server", "uvicorn --factory", "prefect worker"} <= started

    def test_both_servers_are_behind_the_guard_and_ask_for_the_password(self) -> None:
        (prefect,) = [command for command in commands() if command[0] == "uvicorn"]
        (mlflow,) = [command for command in commands() if command[:2] == ("mlflow", "server")]
        assert import_object(prefect[2]).__module__ == "ectopy.flows.prefect_server"
        (found,) = entry_points(group="mlflow.app", name=mlflow[mlflow.index("--app-name") + 1])
        assert found.load().__module__ == "ectopy.registry.pages"
        for name in ("prefect", "mlflow"):
            assert "ECTOPY_SERVER_PASSWORD:?" in str(SERVICES[name]["environment"])
        assert "PREFECT_SERVER_API_AUTH_STRING" in SERVICES["prefect"]["environment"]

    @pytest.mark.filterwarnings("ignore::UserWarning")  # those of MLflow about itself
    @pytest.mark.parametrize("command", commands(), ids=" ".join)
    def test_each_option_is_one_of_its_program(
        self,
        command: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        """The program is called in this process: to start Prefect or MLflow takes seconds."""
        (program,) = set(entry_points(group="console_scripts", name=command[0]))
        words = [word for word in command[1:] if re.fullmatch("[a-z-]+", word) and not word.startswith("-")]
        name = words[: 1 if command[0] == "mlflow" or "deploy" in words else 2]
        monkeypatch.setattr(sys, "argv", [command[0], *name, "--help"])
        with pytest.raises(SystemExit, match=r"^0$"):
            program.load()()
        shown = capsys.readouterr().out
        for option in (word for word in command if word.startswith("--")):
            assert re.search(rf"{option}\b", shown) or f"{option.replace('--no-', '--')}" in shown

    @pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.name)
    def test_each_script_is_valid_and_stops_at_the_first_error(self, script: Path) -> None:
        assert subprocess.run(["sh", "-n", script], check=False).returncode == 0
        assert "\nset -eu\n" in script.read_text()


class TestImage:
    def test_its_python_is_one_that_the_package_supports(self) -> None:
        (minor,) = re.findall(r"^FROM python:3\.(\d+)\.\d+-slim-\w+$", DOCKERFILE, re.MULTILINE)
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        assert int(minor) >= int(project["requires-python"].partition("3.")[2])

    def test_it_does_not_run_as_root(self) -> None:
        assert re.findall(r"^USER (\w+)$", DOCKERFILE, re.MULTILINE)[-1] != "root"

    def test_all_that_it_copies_exists(self) -> None:
        for line in re.findall(r"^COPY (?!--from)(.*) \S+$", DOCKERFILE, re.MULTILINE):
            assert all((ROOT / path).exists() for path in line.split())

    def test_its_extras_exist_and_bring_the_drivers_of_postgresql_and_s3(self) -> None:
        (extras,) = re.findall(r'pip install -c constraints\.txt "\.\[([\w,]+)\]"', DOCKERFILE)
        optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
        brought = {
            re.split(r"[\[<>=~! ]", line)[0] for extra in extras.split(",") for line in optional[extra]
        }
        pinned = re.findall(r"^([\w.-]+)==", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
        assert {"boto3", "psycopg2-binary", "asyncpg"} <= brought | set(pinned)


class TestDeployments:
    DEPLOYMENTS: list[dict[str, Any]] = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]

    @pytest.mark.parametrize("deployment", DEPLOYMENTS, ids=lambda deployment: str(deployment["name"]))
    def test_its_entry_point_is_a_flow_that_takes_its_parameters(self, deployment: dict[str, Any]) -> None:
        flow = import_object(f"{ROOT}/{deployment['entrypoint']}")
        flow.validate_parameters(deployment.get("parameters", {}))

    def test_the_worker_serves_their_pool(self) -> None:
        pools = {deployment["work_pool"]["name"] for deployment in self.DEPLOYMENTS}
        (worker,) = [command for command in commands() if command[:3] == ("prefect", "worker", "start")]
        assert pools == {worker[worker.index("--pool") + 1]}

    def test_what_starts_another_deployment_is_the_name_of_one(self) -> None:
        names = {deployment["name"] for deployment in self.DEPLOYMENTS}
        triggers = [each for deployment in self.DEPLOYMENTS for each in deployment.get("triggers", [])]
        started_by = {
            trigger["match_related"]["prefect.resource.name"]
            for trigger in triggers
            if "match_related" in trigger
        }
        assert started_by == {"train"}
        assert started_by <= names
