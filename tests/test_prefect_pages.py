"""What Prefect shows without a click: the inbox as it is now, lineage, and one line for what is expected."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    ArtifactCollectionFilter,
    ArtifactCollectionFilterKey,
    ArtifactFilter,
    ArtifactFilterKey,
)

from ectopy.datasets.catalogue import UnknownDatabaseError
from ectopy.flows import assets
from ectopy.flows.expected import without_traceback
from ectopy.flows.inbox_page import build_page, failure_page, show_inbox
from ectopy.report.index import OpenFile

WAITING = OpenFile("in/b.hea", "2026-11-30 04:00 UTC", "it may be incomplete")
NOTES = OpenFile("in/notes.md", "2026-11-29 20:00 UTC", "not a recording", is_recording=False)


class TestPage:
    def test_it_counts_what_is_done_and_says_why_the_rest_is_not(self) -> None:
        page = build_page("in", Path("out"), {"scored": 12}, [WAITING, NOTES], {"c": "all samples missing"})
        lines = [" ".join(line.split()) for line in page.splitlines()]
        assert lines[0] == "# Inbox in"
        assert "| 12 | 1 | 1 | 1 |" in lines
        assert lines.index("## Waiting") < lines.index("## Failed, in quarantine")
        assert "* `in/b.hea` since 2026-11-30 04:00 UTC: it may be incomplete" in lines
        assert "* `c` all samples missing" in lines
        assert lines.index("## No recording") < next(
            number for number, line in enumerate(lines) if "in/notes.md" in line
        )

    def test_an_empty_inbox_has_no_empty_tables(self) -> None:
        assert "##" not in build_page("in", Path("out"), {}, [], {})

    def test_a_long_queue_is_cut_and_says_so(self) -> None:
        page = build_page("in", Path("out"), {}, [WAITING] * 60, {})
        assert page.count("it may be incomplete") == 50
        assert "and 10 more" in page

    def test_names_cannot_write_to_the_page(self) -> None:
        assert "\x1b" not in failure_page("in\x1b[31m", "gone\x1b")


@pytest.fixture
def no_inbox(prefect_harness: None) -> Iterator[None]:
    """Delete the artifact that another test has made."""
    yield
    wanted = ArtifactFilter(key=ArtifactFilterKey(any_=["inbox"]))
    with get_client(sync_client=True) as client:
        for artifact in client.read_artifacts(artifact_filter=wanted):
            client.delete_artifact(artifact.id)


@pytest.mark.usefixtures("no_inbox")
def test_two_runs_leave_one_page_as_of_the_last() -> None:
    @flow
    def run(text: str) -> None:
        show_inbox(text)

    run("one waits")
    run("none waits")
    wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=["inbox"]))
    with get_client(sync_client=True) as client:
        (latest,) = client.read_latest_artifacts(artifact_filter=wanted)
        versions = client.read_artifacts(
            artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=["inbox"]))
        )
    assert (latest.data, len(versions)) == ("none waits", 1)


@pytest.mark.usefixtures("prefect_harness")
class TestLineage:
    def test_an_asset_names_what_it_was_made_from(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sent: list[dict[str, Any]] = []
        monkeypatch.setattr(
            "prefect.events.emit_event", lambda event, **told: sent.append(told | {"event": event})
        )

        @flow
        def train() -> None:
            made_from = [assets.database_asset("mitdb"), assets.database_asset("svdb")]
            assets.record_asset(assets.model_asset("ectopy"), made_from, {"version": 3})

        train()
        made = [told for told in sent if told["event"] == "prefect.asset.materialization.succeeded"]
        assert [told["resource"]["prefect.resource.id"] for told in made] == ["ectopy://models/ectopy"]
        assert {related["prefect.resource.id"] for related in made[0]["related"]} == {
            "ectopy://databases/mitdb",
            "ectopy://databases/svdb",
        }
        assert made[0]["payload"] == {"version": "3"}

    @pytest.mark.parametrize("folder", ["/data/scored", "C:\\Daten\\Ergebnisse 1", "s3://bucket/über", "/"])
    def test_any_folder_can_be_an_asset(self, folder: str) -> None:
        assert assets.batch_asset(folder).key.startswith("ectopy://results/")


class TestModelOfABatch:
    def test_a_batch_of_the_shipped_model_is_not_one_of_the_registered_model(self) -> None:
        shipped = {"model": "ectopy 43f25c81", "model_from": "shipped"}
        asset = assets.scoring_model_asset(shipped)
        assert asset.key == "ectopy://models/shipped"
        assert asset.properties is not None
        assert asset.properties.name == "model that ships with ectopy: ectopy 43f25c81"

    @pytest.mark.parametrize("source", ["champion", "given"])
    def test_every_other_batch_leads_to_the_training_of_its_model(self, source: str) -> None:
        made = assets.scoring_model_asset({"model": "ward-7 d224d753", "model_from": source})
        assert made == assets.model_asset("ward-7")


@pytest.mark.usefixtures("prefect_harness")
class TestExpected:
    def test_what_a_user_can_correct_is_the_message_of_the_run(
        self, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
    ) -> None:
        @flow
        @without_traceback
        def ingest(name: str) -> str:
            raise UnknownDatabaseError(f"{name}: unknown database. Choose mitdb.")

        with caplog.at_level(logging.DEBUG):
            state = ingest("nodb", return_state=True)
        assert (state.is_failed(), state.message) == (True, "nodb: unknown database. Choose mitdb.")
        assert "Traceback" not in caplog.text + "".join(capfd.readouterr())
        with pytest.raises(UnknownDatabaseError, match="nodb: unknown database"):
            ingest("nodb")

    def test_a_bug_is_no_expected_condition(self) -> None:
        def broken() -> None:
            raise ValueError("a bug")

        with pytest.raises(ValueError, match="a bug"):
            without_traceback(broken)()


def test_automations_have_names_that_say_what_they_do() -> None:
    import yaml  # Prefect brings it

    deployments = yaml.safe_load(Path("prefect.yaml").read_text())["deployments"]
    names = [trigger["name"] for each in deployments for trigger in each.get("triggers", ())]
    assert names == ["Train again when recordings have drifted", "Evaluate each newly trained challenger"]
