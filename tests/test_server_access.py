"""The file with the password: who can read it, when it changes, and who uses it."""

import json
import os
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from ectopy.flows import local_stack, server_access
from ectopy.flows.local_stack import Ports, run_pages
from ectopy.flows.server_access import (
    ServerAccess,
    access_file,
    make_access,
    read_access,
    use_own_home,
    use_running_server,
)
from ectopy.flows.supervisor import Service, ServiceError
from ectopy.private_files import deny_others, take_from_others
from ectopy.settings import Settings

URL = "http://127.0.0.1:4200/api"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("PREFECT_API_URL", "PREFECT_API_AUTH_STRING", "ECTOPY_SERVER_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "environ", dict(os.environ))  # what the functions set is forgotten
    os.environ["PREFECT_HOME"] = str(tmp_path / "home")
    return tmp_path / "home"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


class TestFile:
    def test_only_its_owner_can_read_it_whatever_the_umask(self) -> None:
        before = os.umask(0)
        try:
            make_access(Settings(), URL)
        finally:
            os.umask(before)
        assert mode(access_file()) == 0o600

    def test_one_that_others_could_read_is_replaced_and_not_written_into(self, home: Path) -> None:
        home.mkdir()
        access_file().write_text("{}")
        access_file().chmod(0o644)
        with access_file().open() as opened_by_another:
            access = make_access(Settings(), URL)
            assert access.password not in opened_by_another.read()
        assert mode(access_file()) == 0o600

    def test_a_password_is_long_kept_and_of_each_home_alone(self, tmp_path: Path) -> None:
        first = make_access(Settings(), URL)
        assert len(first.password) == 32
        assert make_access(Settings(), "http://127.0.0.1:4300/api").password == first.password
        os.environ["PREFECT_HOME"] = str(tmp_path / "other")
        assert make_access(Settings(), URL).password != first.password

    def test_a_password_of_the_settings_goes_before(self) -> None:
        make_access(Settings(), URL)
        os.environ["ECTOPY_SERVER_PASSWORD"] = "chosen-by-the-user"
        assert make_access(Settings(), URL).password == "chosen-by-the-user"
        assert read_access() == ServerAccess(URL, "chosen-by-the-user")

    @pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"password": "x"}', "null"])
    def test_a_damaged_one_is_as_none(self, home: Path, content: str) -> None:
        home.mkdir()
        access_file().write_text(content)
        assert read_access() is None
        make_access(Settings(), URL)
        assert json.loads(access_file().read_text())["prefect_api_url"] == URL

    def test_a_password_is_not_in_what_is_logged(self) -> None:
        access = make_access(Settings(), URL)
        assert access.password not in repr(access)


class TestCommands:
    def test_the_server_that_answers_is_used_with_its_password(self, monkeypatch: pytest.MonkeyPatch) -> None:
        access = make_access(Settings(), URL)
        expected = (4200, "/api/admin/version", access.authorization)
        monkeypatch.setattr(server_access, "answers", lambda *request: request == expected)
        use_running_server()
        assert os.environ["PREFECT_API_URL"] == URL
        assert os.environ["PREFECT_API_AUTH_STRING"] == f"ectopy:{access.password}"

    def test_without_an_answer_each_command_has_its_own(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make_access(Settings(), URL)
        monkeypatch.setattr(server_access, "answers", lambda *_: False)
        use_running_server()
        assert "PREFECT_API_URL" not in os.environ

    def test_another_server_that_the_user_has_chosen_stays(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make_access(Settings(), URL)
        monkeypatch.setattr(server_access, "answers", lambda *_: True)
        os.environ["PREFECT_API_URL"] = "http://prefect.example/api"
        use_running_server()
        assert os.environ["PREFECT_API_URL"] == "http://prefect.example/api"
        assert "PREFECT_API_AUTH_STRING" not in os.environ

    def test_a_demo_knows_no_server_of_anybody(self, tmp_path: Path) -> None:
        os.environ |= ServerAccess(URL, "x").client_environment()
        home = tmp_path / "ectopy-demo" / "prefect"  # as in a fresh clone: Prefect makes one level only
        use_own_home(home)
        assert os.environ["PREFECT_HOME"] == str(home)
        assert home.is_dir()
        assert not [name for name in os.environ if name.startswith("PREFECT_API_")]


class TestFilesOfPatients:
    def test_what_the_command_writes_is_for_owner_and_group(self, tmp_path: Path) -> None:
        code = "import os, pathlib; os.umask(0o022); from ectopy.cli import main; main()"  # the usual umask
        command = [
            sys.executable,
            "-c",
            code,
            "simulate",
            "--out",
            str(tmp_path / "out"),
            "--recordings",
            "1",
        ]
        subprocess.run([*command, "--minutes", "0.1"], check=True, capture_output=True)
        written = [tmp_path / "out", *(tmp_path / "out").rglob("*")]
        assert len(written) > 3
        assert {mode(path) for path in written} == {0o750, 0o640}

    def test_a_stricter_umask_stays(self) -> None:
        before = os.umask(0o077)
        try:
            deny_others()
        finally:
            after = os.umask(before)
        assert after == 0o077

    def test_a_folder_that_others_could_read_is_closed_to_them(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        caplog.set_level("INFO")
        tmp_path.chmod(0o2775)
        take_from_others(tmp_path)
        assert mode(tmp_path) == 0o2770
        take_from_others(tmp_path)
        assert len(caplog.messages) == 1

    def test_a_folder_that_all_share_such_as_tmp_is_named_and_stays_open(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        os.chmod(tmp_path, 0o1777)  # noqa: PTH101
        take_from_others(tmp_path)
        assert mode(tmp_path) == 0o1777
        assert "Choose a folder of your own." in caplog.text

    def test_a_folder_of_somebody_else_is_named(
        self, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError

        monkeypatch.setattr(Path, "chmod", refuse)
        os.chmod(tmp_path, 0o755)  # noqa: PTH101
        take_from_others(tmp_path)
        assert "every account can read it" in caplog.text


class TestPages:
    """`ectopy ui`: MLflow's pages alone."""

    @pytest.fixture
    def started(self, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Service, Mapping[str, str]]]:
        """What would be started; Ctrl-C comes as soon as it is ready."""
        services: list[tuple[Service, Mapping[str, str]]] = []

        def start(_: object, wanted: list[Service], environment: Mapping[str, str]) -> None:
            services.extend((service, environment) for service in wanted)

        def interrupt(_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(local_stack, "start", start)
        monkeypatch.setattr(local_stack, "watch", interrupt)
        return services

    @pytest.fixture
    def store(self, tmp_path: Path) -> Settings:
        (tmp_path / "mlflow.db").touch()
        return Settings().model_copy(update={"tracking_uri": f"sqlite:///{tmp_path}/mlflow.db"})

    def test_they_are_behind_the_guard_and_the_link_logs_in(
        self,
        started: list[tuple[Service, Mapping[str, str]]],
        store: Settings,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        run_pages(store, Ports(mlflow=5001))
        ((service, environment),) = started
        access = read_access()
        assert access is not None
        assert {"--app-name", "ectopy", "--host", "127.0.0.1"} <= set(service.command)
        assert environment["ECTOPY_SERVER_PASSWORD"] == access.password
        assert capsys.readouterr().out.splitlines()[0] == f"http://127.0.0.1:5001/enter#{access.password}"

    @pytest.mark.usefixtures("started")
    def test_commands_link_to_them_and_still_find_prefect(self, store: Settings) -> None:
        assert server_access.mlflow_address() == "http://127.0.0.1:5000"
        make_access(Settings(), URL)
        run_pages(store, Ports(mlflow=5001))
        access = read_access()
        assert access is not None
        assert (access.prefect_api_url, server_access.mlflow_address()) == (URL, "http://127.0.0.1:5001")

    def test_a_server_needs_no_pages_of_ours(self) -> None:
        elsewhere = Settings().model_copy(update={"tracking_uri": "https://mlflow.example.org"})
        with pytest.raises(ServiceError, match=r"https://mlflow\.example\.org: it is a server already"):
            run_pages(elsewhere, Ports())
