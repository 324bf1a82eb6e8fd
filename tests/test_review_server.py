"""The server of the review pages: what it tells, what it takes, and whom it refuses."""

import errno
import json
import os
import re
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from starlette.testclient import TestClient

from ectopy.batch.reviews import results_hash, review_folder
from ectopy.ecg import NotAnalysableError, recording_of
from ectopy.review import desk, guard, open_review, server
from ectopy.review.background import CLUSTERS_FILE, write_clusters
from ectopy.review.documents import REVIEWED
from ectopy.review.edits import Confirm, EditError, Entry, InsertBeat, LabelSimilar
from ectopy.review.log import EditConflictError, EditLog
from ectopy.review.server import create_app
from ectopy.review.signals import envelope
from tests.reviewed import MINUTES, write_results
from tests.small import Here

TOKEN, PORT = "a-token-of-the-tests", 8765
HOME = f"http://127.0.0.1:{PORT}"
MARKUP = "<img src=x onerror=alert(1)>"
PAGES = Path(server.__file__).parent / "pages"
_found_clusters: dict[str, bytes] = {}


def write_clusters_once(folder: Path, *, originals: Path | None = None) -> None:
    """Write the clusters of results as the server does, but find them only once for all tests."""
    base, path = results_hash(folder), review_folder(folder.parent, folder.name) / CLUSTERS_FILE
    if base not in _found_clusters:
        write_clusters(folder, originals=originals)
        _found_clusters[base] = path.read_bytes()
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(_found_clusters[base])


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(open_review, "WorkerPool", lambda _n: Here())
    monkeypatch.setattr(open_review, "write_clusters", write_clusters_once)
    return write_results(tmp_path / "results")[0]


@pytest.fixture
def name(out: Path) -> str:
    (summary,) = out.glob("*/summary.json")
    return summary.parent.name


@pytest.fixture
def connect(out: Path) -> Callable[..., TestClient]:
    """Make clients of one application; with ``token=""`` one that has not entered."""
    app = create_app(out, TOKEN, port=PORT, by="AB")

    def client(*, token: str = TOKEN, base_url: str = HOME) -> TestClient:
        made = TestClient(app, base_url=base_url, raise_server_exceptions=False)
        if token:
            made.get("/", params={"token": token})
        return made

    return client


@pytest.fixture
def client(connect: Callable[..., TestClient]) -> TestClient:
    return connect()


@pytest.fixture
def one(name: str) -> str:
    return f"/api/recordings/{name}"


def edit(client: TestClient, one: str, **values: Any) -> Any:
    """Send an edit as the pages do, after the last entry that there is."""
    last_id = values.pop("last_id", None)
    if last_id is None:
        last_id = client.get(one).json()["last_id"]
    return client.post(f"{one}/edits", json={"by": "AB", "last_id": last_id, **values})


def beats_of(client: TestClient, one: str) -> dict[str, np.ndarray]:
    """Read the beats as the pages do."""
    content = client.get(f"{one}/beats").content
    n = int(np.frombuffer(content, "<i4", 1)[0])
    return {
        "sample": np.frombuffer(content, "<i4", n, 4),
        "cluster": np.frombuffer(content, "<u2", n, 4 + 4 * n),
        "label": np.frombuffer(content, "S1", n, 4 + 6 * n).astype("U1"),
        "flags": np.frombuffer(content, "u1", n, 4 + 7 * n),
    }


def clusters_of(client: TestClient, one: str) -> dict[str, Any]:
    """Wait for the clusters."""
    for _ in range(1200):
        found: dict[str, Any] = client.get(f"{one}/clusters").json()
        if found["ready"] or found["failure"]:
            return found
        time.sleep(0.05)
    raise AssertionError("no clusters")


@contextmanager
def largest_file(n_bytes: int) -> Iterator[None]:
    """Have no file of this process grow beyond some bytes; bytecode of imports would be cut off too."""
    import resource

    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        sys.dont_write_bytecode = writes_bytecode


class TestWhoMayAsk:
    @pytest.mark.parametrize("path", ["/", "/api/recordings", "/static/app.js", "/nothing"])
    def test_nothing_is_told_without_the_token(self, connect, path):
        stranger = connect(token="")
        answer = stranger.get(path)
        assert answer.status_code == 403
        assert "token" in answer.text
        assert "ectopy review" not in answer.text

    @pytest.mark.parametrize("token", ["wrong", TOKEN[:-1], TOKEN + "x", "\N{GREEK SMALL LETTER ALPHA}"])
    def test_a_wrong_token_opens_nothing_and_leaves_no_cookie(self, connect, token):
        stranger = connect(token="")
        assert stranger.get("/", params={"token": token}).status_code == 403
        assert not stranger.cookies
        assert stranger.get("/api/recordings").status_code == 403

    def test_the_token_moves_from_the_address_to_a_cookie_that_scripts_and_other_sites_do_not_get(
        self, connect
    ):
        answer = connect(token="").get("/", params={"token": TOKEN}, follow_redirects=False)
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"].lower()
        assert f"ectopy-review-{PORT}=" in cookie
        assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/"))
        assert "domain" not in cookie

    def test_the_cookie_of_another_port_does_not_open_this_one(self, connect):
        stranger, cookie = connect(token=""), {"cookie": f"ectopy-review-9999={TOKEN}"}
        assert stranger.get("/api/recordings", headers=cookie).status_code == 403

    def test_the_token_opens_in_the_address_of_the_first_page_only(self, connect):
        assert connect(token="").get("/api/recordings", params={"token": TOKEN}).status_code == 403

    @pytest.mark.parametrize(
        "host", ["evil.example", "127.0.0.1", f"127.0.0.1:{PORT + 1}", "", f"evil.example:{PORT}"]
    )
    def test_another_host_is_refused_as_a_name_that_was_bent_to_this_machine_would_send(self, client, host):
        assert client.get("/api/recordings", headers={"host": host}).status_code == 421

    def test_localhost_is_this_machine_too(self, connect):
        assert connect(base_url=f"http://localhost:{PORT}").get("/api/recordings").status_code == 200

    @pytest.mark.parametrize(
        "origin",
        ["https://evil.example", "null", f"http://127.0.0.1:{PORT + 1}", f"https://127.0.0.1:{PORT}"],
    )
    def test_the_page_of_another_origin_can_neither_read_nor_write(self, client, one, origin):
        headers = {"origin": origin}
        assert client.get(one, headers=headers).status_code == 403
        body = {"action": "insert_beat", "sample": 9, "label": "N", "by": "AB", "last_id": 0}
        assert client.post(f"{one}/edits", json=body, headers=headers).status_code == 403
        assert client.get(one).json()["last_id"] == 0

    def test_a_form_of_another_page_can_send_no_edit(self, client, one):
        body = json.dumps({"action": "insert_beat", "sample": 9, "label": "N", "by": "AB", "last_id": 0})
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            answer = client.post(f"{one}/edits", content=body, headers={"content-type": kind})
            assert answer.status_code == 422
        assert client.get(one).json()["last_id"] == 0

    @pytest.mark.parametrize("path", ["/", "/api/recordings", "/static/app.js", "/nothing"])
    def test_every_answer_forbids_what_the_pages_do_not_need(self, connect, path):
        for asking in (connect(), connect(token="")):
            headers = asking.get(path).headers
            policy = headers["content-security-policy"]
            assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'")
            assert "unsafe" not in policy
            assert headers["x-content-type-options"] == "nosniff"
            assert headers["referrer-policy"] == "no-referrer"
            assert headers["cache-control"] == "no-store"
            assert "access-control-allow-origin" not in headers

    def test_a_huge_request_is_refused_before_it_is_read(self, client, one, monkeypatch):
        monkeypatch.setattr(guard, "MOST_BYTES", 1000)
        stated = client.post(
            f"{one}/edits", content=b"{" * 1001, headers={"content-type": "application/json"}
        )
        assert stated.status_code == 413
        pieces = (b"[" * 100 for _ in range(50))  # sent in chunks, without a length
        assert (
            client.post(
                f"{one}/edits", content=pieces, headers={"content-type": "application/json"}
            ).status_code
            == 413
        )
        assert client.get(one).json()["last_id"] == 0

    @pytest.mark.parametrize("length", ["-1", "many", "1e9"])
    def test_a_length_that_is_no_number_is_refused(self, client, one, length):
        assert (
            client.post(f"{one}/undo", content=b"{}", headers={"content-length": length}).status_code == 413
        )


class TestNames:
    @pytest.mark.parametrize(
        "path",
        ["..%2f..%2fetc%2fpasswd", "..", "%2e%2e%2f", "nobody", ".ectopy-tmp", MARKUP, "simulated.review"],
    )
    def test_a_name_that_is_no_recording_leads_nowhere(self, client, path):
        answer = client.get(f"/api/recordings/{path}")
        assert answer.status_code == 404 or answer.json()["recordings"]  # ".." is resolved by the client

    @pytest.mark.parametrize(
        "path",
        [
            "/static/../server.py",
            "/static/%2e%2e/index.html",
            "/static/..%2f..%2fserver.py",
            "/static//etc/passwd",
        ],
    )
    def test_no_file_outside_the_pages_is_served(self, client, path):
        answer = client.get(path)
        assert answer.status_code in {404, 405}
        assert "import" not in answer.text

    def test_markup_in_a_name_is_told_as_text(self, client, out, name):
        """A folder may have any name; the pages get it as JSON and show it as text."""
        shutil.copytree(out / name, out / MARKUP)
        summary = out / MARKUP / "summary.json"
        document = json.loads(summary.read_text())
        document["row"]["recording"] = MARKUP
        summary.write_text(json.dumps(document))
        listed = client.get("/api/recordings")
        assert listed.headers["content-type"] == "application/json"
        assert {row["name"] for row in listed.json()["recordings"]} == {name, MARKUP}
        answer = client.get("/api/recordings/%3Cimg%20src%3Dx%20onerror%3Dalert(1)%3E")
        assert answer.json()["name"] == MARKUP

    def test_the_modules_of_the_pages_never_read_text_as_markup(self):
        sources = [path.read_text() for path in PAGES.rglob("*.js") if path.parent.name != "uplot"]
        assert len(sources) > 10
        pattern = r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|DOMParser"
        assert [found for source in sources for found in re.findall(pattern, source)] == []

    def test_the_pages_name_no_other_server(self):
        page = (PAGES / "index.html").read_text()
        assert "http" not in page.replace("<!doctype html>", "").replace("html", "")
        assert not re.search(r"<script(?![^>]*src=)|<style|style=|\son\w+=", page)


class TestRecordings:
    def test_the_work_list_has_what_score_found(self, client, name):
        told = client.get("/api/recordings").json()
        assert told["by"] == "AB"
        (row,) = told["recordings"]
        assert (row["name"], row["status"], row["n_decisions"], row["confirmed_by"]) == (
            name,
            "automatic",
            None,
            "",
        )
        assert row["urgency"] == row["findings"][0]["urgency"]
        assert row["hours"] == pytest.approx(MINUTES / 60)

    def test_a_recording_is_told_with_its_events_rhythms_and_figures(self, client, one, out, name):
        told = client.get(one).json()
        document = json.loads((out / name / "summary.json").read_text())
        assert told["leads"] == document["recording"]["leads"]
        assert told["signal"]
        assert (told["undo"], told["redo"], told["notes"], told["conflicts"]) == ("", "", [], [])
        figures = {figure["name"]: figure["value"] for figure in told["figures"]}
        assert figures["Beats"] == f"{document['figures']['n_beats']:,}"
        assert figures["Ventricular ectopy"] == f"{document['figures']['n_veb']:,}"
        report = (out / name / "report.html").read_text()
        assert f"<dt>Mean heart rate</dt><dd>{figures['Mean heart rate']} " in report
        assert told["intervals"][0]["start"] == 0
        assert told["intervals"][-1]["stop"] == told["n_samples"]
        assert {event["kind"] for event in told["events"]} <= set(told["kinds"])

    def test_the_beats_are_those_of_the_results(self, client, one, out, name):
        from pyarrow import parquet

        table = parquet.read_table(out / name / "beats.parquet")
        beats = beats_of(client, one)
        assert beats["sample"].tolist() == table["sample"].to_pylist()
        assert beats["label"].tolist() == table["label"].to_pylist()
        assert (beats["flags"] == ~table["confident"].to_numpy()).all()

    def test_no_path_of_this_machine_and_no_private_file_is_told(self, client, one, out):
        assert str(out) not in client.get(one).text
        assert str(out) not in client.get("/api/recordings").text

    def test_an_original_that_is_gone_is_said_and_the_rest_can_be_reviewed(self, client, one, out):
        for file in out.parent.glob("*.dat"):
            file.unlink()
        told = client.get(one).json()
        assert not told["signal"]
        assert "no signal is shown" in told["notes"][0]
        signal = client.get(f"{one}/signal", params={"start": 0, "stop": 1000, "step": 1})
        assert np.isnan(np.frombuffer(signal.content, "<f4")).all()
        assert "Without the signal" in client.get(f"{one}/clusters").json()["failure"]
        sample = int(beats_of(client, one)["sample"][3])
        assert edit(client, one, action="relabel_beats", samples=[sample], to="V").status_code == 200

    def test_an_original_that_has_changed_is_not_shown_for_long(self, client, one, out):
        """It is hashed in the background, as a day takes a second."""
        (signal,) = out.parent.glob("*.dat")
        content = bytearray(signal.read_bytes())
        content[1000] ^= 1
        signal.write_bytes(content)
        client.get(one)
        assert "Without the signal" in clusters_of(client, one)["failure"]
        assert not client.get(f"{one}/changes").json()["signal"]
        assert "it has changed since it was scored" in client.get(one).json()["notes"][0]

    def test_results_that_are_scored_again_are_read_again(self, client, one, out, name):
        n_before = len(beats_of(client, one)["sample"])
        fresh, _ = write_results(out.parent / "fresh", seed=5)
        other = fresh / next(
            iter(path.name for path in fresh.iterdir() if path.is_dir() and path.name[0] != ".")
        )
        shutil.rmtree(out / name)
        shutil.copytree(other, out / name)
        assert len(beats_of(client, one)["sample"]) != n_before

    def test_a_recording_is_put_away_when_others_are_opened(self, out, name, monkeypatch):
        monkeypatch.setattr(desk, "MOST_OPEN", 1)
        document = json.loads((out / name / "summary.json").read_text())
        shutil.copytree(out / name, out / "other")
        document["row"]["recording"] = "other"
        (out / "other" / "summary.json").write_text(json.dumps(document))
        on_it = desk.Desk(out)
        first = on_it.open(name)
        assert on_it.open(name) is first
        on_it.open("other")
        assert on_it.open(name) is not first


class TestSignal:
    def test_every_sample_is_told_lead_by_lead(self, client, one, out):
        from ectopy.readers import open_recording

        recording = open_recording(next(out.parent.glob("*.hea")))
        answer = client.get(f"{one}/signal", params={"start": 100, "stop": 700, "step": 1})
        told = np.frombuffer(answer.content, "<f4").reshape(2, 600)
        np.testing.assert_array_equal(told, recording.read(100, 700).T)

    def test_bins_have_their_extremes_and_no_missing_sample_hides_them(self):
        values = np.array([[1, 5], [3, np.nan], [2, 7], [np.nan, np.nan], [-1, np.nan]], dtype=np.float32)
        recording = recording_of(values, 250.0, leads=("I", "II"))
        bins = envelope(recording, (0, 1), 0, 99, 2)
        np.testing.assert_array_equal(bins[0], [[1, 3], [2, 2], [-1, -1]])
        np.testing.assert_array_equal(bins[1], [[5, 5], [7, 7], [np.nan, np.nan]])

    def test_a_long_recording_is_read_in_parts_and_gives_the_same_bins(self, monkeypatch):
        noise = np.random.default_rng(3).standard_normal((5000, 2)).astype(np.float32)
        recording = recording_of(noise, 250.0)
        whole = envelope(recording, (0, 1), 7, 5000, 16)
        monkeypatch.setattr("ectopy.review.signals.VALUES_AT_ONCE", 300)
        np.testing.assert_array_equal(envelope(recording, (0, 1), 7, 5000, 16), whole)
        assert whole.shape == (2, 313, 2)

    @pytest.mark.parametrize(
        "query",
        [
            {"start": 5, "stop": 5, "step": 1},
            {"start": 0, "stop": 10, "step": 0},
            {"start": -1, "stop": 10, "step": 1},
            {"start": 10**9, "stop": 10**9 + 5, "step": 1},
            {"start": 0, "stop": "many", "step": 1},
            {"start": 0, "stop": 10},
        ],
    )
    def test_an_interval_that_makes_no_sense_is_refused_in_words(self, client, one, query):
        answer = client.get(f"{one}/signal", params=query)
        assert answer.status_code == 422
        assert answer.json()["error"]

    def test_too_much_signal_at_once_is_refused(self, monkeypatch):
        monkeypatch.setattr("ectopy.review.signals.MOST_VALUES", 100)
        recording = recording_of(np.zeros((1000, 1)), 250.0)
        with pytest.raises(NotAnalysableError, match="too much signal at once"):
            envelope(recording, (0,), 0, 101, 10)


class TestEdits:
    def test_a_relabelled_beat_is_in_the_log_with_its_label_before_and_in_the_figures(
        self, client, one, out, name
    ):
        beats = beats_of(client, one)
        at = int(np.flatnonzero(beats["label"] == "N")[5])
        answer = edit(client, one, action="relabel_beats", samples=[int(beats["sample"][at])], to="V")
        assert answer.status_code == 200
        assert answer.json()["recording"]["status"] == "in review"
        entry = json.loads((out / f"{name}.review" / "edits.jsonl").read_text())
        assert (entry["by"], entry["was"], entry["to"]) == ("AB", "N", "V")
        after = beats_of(client, one)
        assert after["label"][at] == "V"
        assert after["flags"][at] == 2

    def test_a_beat_that_is_called_artefact_stays_on_the_pages_and_can_be_called_back(self, client, one):
        before = beats_of(client, one)
        samples = before["sample"][10:13].tolist()
        edit(client, one, action="relabel_beats", samples=samples, to="A")
        after = beats_of(client, one)
        assert after["sample"].tolist() == before["sample"].tolist()
        assert after["label"][10:13].tolist() == ["A", "A", "A"]
        edit(client, one, action="relabel_beats", samples=samples, to="N")
        assert beats_of(client, one)["label"][10:13].tolist() == ["N", "N", "N"]

    def test_beats_in_paced_rhythm_are_p_on_the_pages_and_q_in_the_log(self, client, one, out, name):
        sample = beats_of(client, one)["sample"]
        edit(client, one, action="add_event", kind="paced", onset=int(sample[10]), offset=int(sample[40]))
        edit(client, one, action="relabel_beats", samples=sample[[20, 21]].tolist(), to="P")
        edit(client, one, action="relabel_beats", samples=sample[[60]].tolist(), to="Q")
        label = beats_of(client, one)["label"]
        assert label[[20, 21, 60]].tolist() == ["P", "P", "Q"]
        lines = (out / f"{name}.review" / "edits.jsonl").read_text().splitlines()
        assert [json.loads(line)["to"] for line in lines[1:]] == ["Q", "Q"]

    def test_beats_are_inserted_and_deleted_and_undo_and_redo_go_all_the_way(self, client, one):
        before = beats_of(client, one)["sample"].tolist()
        new = (before[4] + before[5]) // 2
        edit(client, one, action="insert_beat", sample=new, label="N")
        edit(client, one, action="delete_beats", samples=before[:2])
        assert beats_of(client, one)["sample"].tolist() == sorted([*before[2:], new])
        for where, expected in (
            ("undo", sorted([*before, new])),
            ("undo", before),
            ("redo", sorted([*before, new])),
        ):
            last_id = client.get(one).json()["last_id"]
            assert client.post(f"{one}/{where}", json={"by": "AB", "last_id": last_id}).status_code == 200
            assert beats_of(client, one)["sample"].tolist() == expected
        told = client.get(one).json()
        assert (told["undo"], told["redo"]) == ("insert beat", "delete beats")

    def test_an_event_is_accepted_moved_and_rejected(self, client, one):
        event = client.get(one).json()["events"][0]
        edit(client, one, action="accept_event", event=event["ref"])
        assert client.get(one).json()["events"][0]["status"] == "accepted"
        offset = event["offset"] + 50
        answer = edit(
            client, one, action="move_event", event=event["ref"], onset=event["onset"], offset=offset
        )
        moved = next(one for one in answer.json()["recording"]["events"] if one["status"] == "changed")
        assert (moved["onset"], moved["offset"]) == (event["onset"], offset)
        answer = edit(client, one, action="reject_event", event=moved["ref"])
        assert "rejected" in {one["status"] for one in answer.json()["recording"]["events"]}

    def test_nothing_to_undo_is_said(self, client, one):
        for where in ("undo", "redo"):
            answer = client.post(f"{one}/{where}", json={"by": "AB", "last_id": 0})
            assert (answer.status_code, where in answer.json()["error"]) == (422, True)

    def test_edits_of_two_windows_on_different_beats_are_both_kept(self, connect, one):
        first, second = connect(), connect()
        samples = beats_of(first, one)["sample"].tolist()
        edit(first, one, action="relabel_beats", samples=samples[:2], to="V", last_id=0)
        answer = edit(second, one, action="relabel_beats", samples=samples[5:7], to="S", last_id=0)
        assert answer.json()["said"].startswith("Another window changed this recording too")
        labels = beats_of(second, one)["label"]
        assert labels[[0, 1, 5, 6]].tolist() == ["V", "V", "S", "S"]
        assert first.get(f"{one}/changes").json()["last_id"] == 2

    def test_edits_of_two_windows_on_the_same_beats_conflict_and_the_second_is_told_why(self, connect, one):
        first, second = connect(), connect()
        samples = beats_of(first, one)["sample"].tolist()
        edit(first, one, action="relabel_beats", samples=samples[:2], to="V", last_id=0)
        answer = edit(second, one, action="relabel_beats", samples=samples[1:3], to="S", last_id=0)
        assert answer.status_code == 409
        assert "AB changed the same beats" in answer.json()["error"]
        assert beats_of(second, one)["label"][:2].tolist() == ["V", "V"]

    @pytest.mark.parametrize(
        ("body", "said"),
        [
            ({"action": "insert_beat", "sample": 5, "label": "N"}, "initials"),
            ({"by": "AB", "action": "insert_beat", "sample": 5, "label": "N"}, "last_id"),
            ({"by": MARKUP, "last_id": 0, "action": "insert_beat", "sample": 5, "label": "N"}, "initials"),
            ({"by": "AB", "last_id": 0, "action": "insert_beat", "sample": -5, "label": "N"}, "sample"),
            ({"by": "AB", "last_id": 0, "action": "insert_beat", "sample": 5, "label": "X"}, "label"),
            (
                {"by": "AB", "last_id": 0, "action": "relabel_beats", "samples": [1], "to": "V"},
                "no beat any more",
            ),
            ({"by": "AB", "last_id": 0, "action": "relabel_beats", "samples": 7, "to": "V"}, "samples"),
            ({"by": "AB", "last_id": 0, "action": "erase"}, "action"),
            (
                {"by": "AB", "last_id": 0, "action": "relabel_clusters", "clusters": "all", "to": "V"},
                "clusters",
            ),
            (
                {
                    "by": "AB",
                    "last_id": 0,
                    "action": "relabel_clusters",
                    "clusters": [[1, 2], [3]],
                    "to": "V",
                },
                "clusters",
            ),
            ({"by": "AB", "last_id": 0, "action": "confirm", "seconds": 1}, "no edit"),
            (
                {
                    "by": "AB",
                    "last_id": 0,
                    "action": "label_similar",
                    "samples": [1],
                    "labels": "V",
                    "was": "N",
                },
                "no edit",
            ),
            ([1, 2], "not a JSON object"),
        ],
    )
    def test_an_edit_that_makes_no_sense_is_refused_in_words(self, client, one, body, said):
        answer = client.post(f"{one}/edits", json=body)
        assert answer.status_code == 422
        assert said in answer.json()["error"]
        assert client.get(one).json()["last_id"] == 0

    @pytest.mark.parametrize(
        ("values", "said"),
        [
            (
                {"action": "add_event", "kind": "vt", "onset": 0, "offset": 1},
                "add_event.offset: {over} is beyond",
            ),
            (
                {"action": "add_event", "kind": "vt", "onset": 9, "offset": 5},
                "offset: give a sample after onset",
            ),
            (
                {"action": "add_event", "kind": "vt", "onset": 0, "offset": 0},
                "offset: give a sample after onset",
            ),
            ({"action": "add_event", "kind": "vt", "onset": -9, "offset": 5}, "onset: give a whole number"),
            ({"action": "add_event", "kind": "vt", "onset": 1.5, "offset": 5}, "onset: give a whole number"),
            (
                {"action": "mark_interval", "start": 0, "stop": 1, "rhythm": "af"},
                "mark_interval.stop: {over}",
            ),
            ({"action": "exclude_rates", "start": 0, "stop": 1}, "exclude_rates.stop: {over} is beyond"),
            ({"action": "insert_beat", "sample": 1, "label": "V"}, "insert_beat.sample: {over} is beyond"),
            ({"action": "choose_strip", "event": ..., "start": 1}, "choose_strip.start: {over} is beyond"),
            ({"action": "move_event", "event": ..., "onset": 5, "offset": 1}, "move_event.offset: {over}"),
            (
                {"action": "accept_event", "event": {"kind": "vt", "onset": 9, "offset": 5}},
                "accept_event.event.offset: give a sample from onset on",
            ),
            (
                {"action": "accept_event", "event": {"kind": "vt", "onset": 9, "offset": 1}},
                "accept_event.event.offset: {over} is beyond the end",
            ),
        ],
    )
    def test_what_begins_or_ends_outside_the_recording_is_refused_by_its_field(
        self, client, one, values, said
    ):
        """1 stands for a sample that is beyond the end, and ... for an event that is there."""
        told = client.get(one).json()
        over = told["n_samples"] + 1
        ref = told["events"][0]["ref"]

        def filled(given: Any) -> Any:
            if isinstance(given, dict):
                return {name: filled(value) for name, value in given.items()}
            return {1: over, ...: ref}.get(given, given)

        answer = edit(client, one, **filled(values))
        assert (answer.status_code, said.format(over=over) in answer.json()["error"]) == (422, True)
        assert client.get(one).json()["last_id"] == 0

    def test_an_event_may_last_until_the_end_and_a_beat_be_the_last_sample(self, client, one):
        n = client.get(one).json()["n_samples"]
        assert edit(client, one, action="add_event", kind="vt", onset=n - 500, offset=n).status_code == 200
        assert edit(client, one, action="insert_beat", sample=n - 1, label="N").status_code == 200
        assert edit(client, one, action="exclude_rates", start=n - 1, stop=n).status_code == 200

    @pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
    def test_a_number_that_is_not_finite_is_refused(self, client, one, number):
        body = f'{{"action": "insert_beat", "sample": {number}, "label": "V", "by": "AB", "last_id": 0}}'
        answer = client.post(f"{one}/edits", content=body, headers={"content-type": "application/json"})
        assert (answer.status_code, number in answer.json()["error"]) == (422, True)
        assert client.get(one).json()["last_id"] == 0

    @pytest.mark.parametrize(
        ("number", "said"),
        [
            (errno.ENOSPC, "the disk is full. Free some space and go on"),
            (errno.EDQUOT, "the disk is full. Free some space and go on"),
            (errno.EROFS, "the folder of results cannot be written to. Allow that and go on"),
            (errno.EACCES, "the folder of results cannot be written to. Allow that and go on"),
            (errno.EIO, "Input/output error"),
        ],
    )
    def test_why_nothing_was_saved_is_said_without_a_path(self, client, one, monkeypatch, number, said):
        def refused(*_: object, **__: object) -> None:
            raise OSError(number, os.strerror(number), "/a/path")

        sample = int(beats_of(client, one)["sample"][0])
        monkeypatch.setattr("ectopy.review.log.EditLog.append", refused)
        answer = edit(client, one, action="relabel_beats", samples=[sample], to="V")
        assert (answer.status_code, answer.json()["error"]) == (507, f"Nothing was saved: {said}.")


@pytest.mark.skipif(os.name != "posix", reason="limits of POSIX")
class TestADiskThatFails:
    """A limit on the size of files does to a write what a full disk does: a part is written, or nothing."""

    @pytest.fixture
    def log(self, out: Path, name: str) -> Path:
        return out / f"{name}.review" / "edits.jsonl"

    @pytest.mark.parametrize("room", [0, 1, 60])
    def test_a_full_disk_loses_no_edit_that_was_saved_and_the_review_goes_on(self, client, one, log, room):
        samples = beats_of(client, one)["sample"].tolist()
        assert edit(client, one, action="relabel_beats", samples=samples[:1], to="V").status_code == 200
        saved = log.read_bytes()
        with largest_file(len(saved) + room):
            refused = edit(client, one, action="relabel_beats", samples=samples[1:2], to="V")
            assert (refused.status_code, "disk is full" in refused.json()["error"]) == (507, True)
            assert log.read_bytes() == saved
            assert client.get(one).json()["last_id"] == 1
            assert beats_of(client, one)["label"][0] == "V"
        assert edit(client, one, action="relabel_beats", samples=samples[2:3], to="V").status_code == 200
        assert [entry["samples"] for entry in map(json.loads, log.read_text().splitlines())] == [
            samples[:1],
            samples[2:3],
        ]

    def test_the_first_edit_on_a_full_disk_leaves_an_empty_log(self, client, one, log):
        sample = int(beats_of(client, one)["sample"][0])
        with largest_file(30):
            assert edit(client, one, action="relabel_beats", samples=[sample], to="V").status_code == 507
        assert log.read_bytes() == b""
        assert client.get(one).json()["status"] == "automatic"
        assert edit(client, one, action="relabel_beats", samples=[sample], to="V").status_code == 200

    def test_an_answer_is_saved_where_there_is_no_room_for_the_similar_beats(self, client, one, log):
        clusters_of(client, one)
        before = beats_of(client, one)
        answered = before["sample"][np.flatnonzero(before["label"] == "V")[::2]].tolist()
        answer: dict[str, Any] = {"action": "relabel_beats", "samples": answered, "to": "F", "answer": True}
        edit(client, one, **answer)
        first, second = log.read_bytes().splitlines(keepends=True)
        assert b"label_similar" in second
        log.unlink()
        on = desk.Desk(log.parent.parent).open(one.rpartition("/")[2])
        while on.is_preparing:
            time.sleep(0.02)
        with largest_file(len(first) + 20):
            state = on.edit(answer, by="AB", last_id=0)
        assert state.last_id == 1
        assert len(log.read_bytes().splitlines()) == 1

    def test_an_answer_is_saved_where_another_process_leaves_no_time_for_the_similar_beats(
        self, client, one, log, monkeypatch
    ):
        samples = beats_of(client, one)["sample"][:2]
        similar = LabelSimilar(samples[1:].astype(np.int64), "V", "N")

        def confirm_elsewhere(_review: Any) -> LabelSimilar:
            EditLog(log).append(Confirm(), by="CD", base="")
            return similar

        monkeypatch.setattr(open_review.OpenReview, "_similar_beats", confirm_elsewhere)
        answer = edit(client, one, action="relabel_beats", samples=samples[:1].tolist(), to="V", answer=True)
        assert answer.status_code == 200
        shown = answer.json()["recording"]
        assert (shown["last_id"], shown["status"], shown["undo"]) == (2, "confirmed", "")
        assert beats_of(client, one)["label"][0] == "V"

    def test_an_edit_that_was_refused_shows_the_one_that_was_faster(self, one, log):
        """The other process appends between the look at the log and the edit."""
        on = desk.Desk(log.parent.parent).open(one.rpartition("/")[2])
        EditLog(log).append(InsertBeat(90, "V"), by="CD", base="")
        with pytest.raises(EditConflictError, match="CD changed the same beats"):
            on.edit({"action": "insert_beat", "sample": 90, "label": "N"}, by="AB", last_id=0)
        state = on.refresh()
        assert state.last_id == 1
        assert state.beats.label[state.beats.sample == 90].tolist() == ["V"]

    def test_a_confirmation_on_a_full_disk_confirms_nothing_and_leaves_nothing(self, client, one, log):
        sample = int(beats_of(client, one)["sample"][0])
        edit(client, one, action="relabel_beats", samples=[sample], to="V")
        with largest_file(20_000):
            refused = client.post(f"{one}/confirm", json={"by": "AB", "last_id": 1})
        assert (refused.status_code, "disk is full" in refused.json()["error"]) == (507, True)
        assert client.get(one).json()["status"] == "in review"
        assert not (log.parent / "confirmed").exists()
        assert client.post(f"{one}/confirm", json={"by": "AB", "last_id": 1}).status_code == 200

    @pytest.mark.skipif(os.name == "posix" and os.geteuid() == 0, reason="root may write everywhere")
    @pytest.mark.parametrize("of_review", [True, False])
    def test_a_folder_that_is_read_only_is_said_until_it_is_not(self, client, one, out, log, of_review):
        sample = int(beats_of(client, one)["sample"][0])
        if of_review:
            log.parent.mkdir(exist_ok=True)
        folder = log.parent if of_review else out
        folder.chmod(0o500)
        try:
            refused = edit(client, one, action="relabel_beats", samples=[sample], to="V")
        finally:
            folder.chmod(0o700)
        assert (refused.status_code, "cannot be written to" in refused.json()["error"]) == (507, True)
        assert client.get(one).json()["last_id"] == 0
        assert edit(client, one, action="relabel_beats", samples=[sample], to="V").status_code == 200


class TestClusters:
    def test_every_beat_is_in_one_and_each_has_an_average_and_examples(self, client, one):
        found = clusters_of(client, one)
        beats = beats_of(client, one)
        assert set(beats["cluster"].tolist()) == {cluster["number"] for cluster in found["clusters"]}
        shapes = np.frombuffer(client.get(f"{one}/clusters/shapes").content, "<f4")
        n_drawn = sum(1 + cluster["n_examples"] for cluster in found["clusters"])
        assert len(shapes) == n_drawn * found["n_leads"] * found["length"]
        assert all(cluster["n_examples"] == len(cluster["samples"]) for cluster in found["clusters"])

    def test_a_cluster_is_relabelled_as_a_whole(self, client, one):
        clusters_of(client, one)
        before = beats_of(client, one)
        number = int(before["cluster"][20])
        members = before["cluster"] == number
        answer = edit(client, one, action="relabel_clusters", clusters=[number], to="F")
        assert answer.status_code == 200
        after = beats_of(client, one)
        assert (after["label"][members] == "F").all()
        assert (after["label"][~members] == before["label"][~members]).all()

    def test_a_template_that_another_window_has_changed_is_not_relabelled_unseen(self, client, one):
        """The window shows few ventricular beats; united with the others, all would be relabelled."""
        seen = clusters_of(client, one)["arrangement"]
        assert client.get(f"{one}/changes").json()["arrangement"] == seen
        assert client.post(f"{one}/clusters", json={"unite": [0], "to": 1}).status_code == 200
        answer = {"action": "relabel_clusters", "clusters": [1], "to": "F"}
        refused = edit(client, one, **answer, arrangement=seen)
        assert (refused.status_code, "rearranged" in refused.json()["error"]) == (422, True)
        now = client.get(f"{one}/changes").json()["arrangement"]
        assert now == clusters_of(client, one)["arrangement"] != seen
        assert edit(client, one, **answer, arrangement=now).status_code == 200

    def test_similar_beats_follow_an_answer_and_are_undone_with_it(self, client, one):
        """The simulated ventricular beats have one shape; half of them are answered."""
        clusters_of(client, one)
        before = beats_of(client, one)
        ventricular = np.flatnonzero(before["label"] == "V")
        answered = before["sample"][ventricular[::2]].tolist()
        answer = edit(client, one, action="relabel_beats", samples=answered, to="F", answer=True)
        assert re.fullmatch(r"\d+ similar beats? followed. Z undoes both.", answer.json()["said"])
        after = beats_of(client, one)["label"]
        assert (after[ventricular] == "F").mean() > 0.9
        assert (after[before["label"] == "N"] == "N").mean() > 0.9
        state = client.get(one).json()
        assert state["last_id"] == 2
        assert re.fullmatch(rf"{len(answered)} beats to F and \d+ similar beats?", state["undo"])
        undone = client.post(f"{one}/undo", json={"by": "AB", "last_id": 2}).json()["recording"]
        assert (undone["undo"], undone["redo"], undone["last_id"]) == ("", state["undo"], 3)
        assert (beats_of(client, one)["label"] == before["label"]).all()
        redone = client.post(f"{one}/redo", json={"by": "AB", "last_id": 3}).json()["recording"]
        assert (redone["undo"], redone["redo"], redone["last_id"]) == (state["undo"], "", 4)
        assert (beats_of(client, one)["label"] == after).all()

    def test_without_a_question_none_follows(self, client, one):
        clusters_of(client, one)
        before = beats_of(client, one)
        answered = before["sample"][np.flatnonzero(before["label"] == "V")[::2]].tolist()
        assert not edit(client, one, action="relabel_beats", samples=answered, to="F").json()["said"]
        assert (beats_of(client, one)["label"] != before["label"]).sum() == len(answered)

    def test_none_follows_a_reader_who_does_not_want_it(self, one, out):
        app = create_app(out, TOKEN, port=PORT, follows=False)
        client = TestClient(app, base_url=HOME)
        client.get("/", params={"token": TOKEN})
        clusters_of(client, one)
        before = beats_of(client, one)
        answered = before["sample"][np.flatnonzero(before["label"] == "V")[::2]].tolist()
        edit(client, one, action="relabel_beats", samples=answered, to="F", answer=True)
        assert (beats_of(client, one)["label"] != before["label"]).sum() == len(answered)

    def test_they_are_split_united_and_beats_are_moved_and_that_is_kept_and_no_edit(self, client, one, out):
        clusters_of(client, one)
        before = beats_of(client, one)["cluster"]
        assert client.post(f"{one}/clusters", json={"split": 0}).status_code == 200
        after = beats_of(client, one)["cluster"]
        new = [*range(before.max() + 1, after.max() + 1)]
        assert 0 < len(new) <= 3
        assert client.post(f"{one}/clusters", json={"unite": [0, *new], "to": 0}).status_code == 200
        assert (beats_of(client, one)["cluster"] == before).all()
        beats = beats_of(client, one)
        sample = int(beats["sample"][np.flatnonzero(before == 0)[0]])
        assert client.post(f"{one}/clusters", json={"samples": [sample], "to": 1}).status_code == 200
        at = int(np.searchsorted(beats["sample"], sample))
        assert beats_of(client, one)["cluster"][at] == 1
        assert client.get(one).json()["last_id"] == 0
        again = TestClient(create_app(out, TOKEN, port=PORT), base_url=HOME)
        again.get("/", params={"token": TOKEN})
        clusters_of(again, one)
        assert beats_of(again, one)["cluster"][at] == 1

    def test_a_part_of_a_template_is_split_and_its_parts_are_named(self, client, one):
        clusters_of(client, one)
        before = beats_of(client, one)
        members = before["sample"][before["cluster"] == 0][::2]
        answer = client.post(f"{one}/clusters", json={"split": 0, "members": members.tolist()})
        number, *new = answer.json()["numbers"]
        assert (number, new[0]) == (0, before["cluster"].max() + 1)
        after = beats_of(client, one)
        assert set(after["sample"][np.isin(after["cluster"], new)]) < set(members)
        assert {cluster["number"] for cluster in clusters_of(client, one)["clusters"]} >= {0, *new}
        elsewhere = before["sample"][before["cluster"] == 1].tolist()
        refused = client.post(f"{one}/clusters", json={"split": 0, "members": elsewhere})
        assert (refused.status_code, "none of these beats" in refused.json()["error"]) == (422, True)

    @pytest.mark.parametrize(
        "body",
        [
            {"split": 0, "members": "all"},
            {"split": 999},
            {"split": -1},
            {"split": "0"},
            {"unite": [0], "to": 999},
            {"samples": [5.5], "to": 0},
            {},
        ],
    )
    def test_what_makes_no_sense_is_refused(self, client, one, body):
        clusters_of(client, one)
        assert client.post(f"{one}/clusters", json=body).status_code == 422

    def test_an_inserted_beat_is_in_none(self, client, one):
        clusters_of(client, one)
        before = beats_of(client, one)["sample"].tolist()
        new = (before[4] + before[5]) // 2
        edit(client, one, action="insert_beat", sample=new, label="N")
        assert beats_of(client, one)["cluster"][5] == 2**16 - 1

    def test_the_work_list_counts_the_open_decisions_of_an_open_recording(self, client, one):
        clusters_of(client, one)
        n_open = len(client.get(f"{one}/decisions").json()["decisions"])
        (row,) = client.get("/api/recordings").json()["recordings"]
        assert row["n_decisions"] == n_open

    def test_the_beats_of_each_question_are_told_one_after_the_other(self, client, one):
        clusters_of(client, one)
        decisions = client.get(f"{one}/decisions").json()["decisions"]
        samples = np.frombuffer(client.get(f"{one}/decisions/beats").content, "<i4")
        starts = np.cumsum([0, *(decision["n_beats"] for decision in decisions)])
        assert starts[-1] == len(samples) > 0
        beats = beats_of(client, one)
        for decision, start, stop in zip(decisions, starts, starts[1:], strict=False):
            if decision["event"] is None:
                at = np.searchsorted(beats["sample"], samples[start:stop])
                assert samples[start] == decision["first"]
                assert (beats["sample"][at] == samples[start:stop]).all()
                assert set(beats["cluster"][at]) == {decision["cluster"]}
            else:
                assert start == stop

    def test_beats_called_artefact_are_told_in_their_place(self, client, one):
        before = beats_of(client, one)
        edit(client, one, action="relabel_beats", samples=before["sample"][[2, 7]].tolist(), to="A")
        after = beats_of(client, one)
        assert (after["sample"] == before["sample"]).all()
        assert np.flatnonzero(after["label"] == "A").tolist() == [2, 7]
        assert np.flatnonzero(after["flags"] == REVIEWED).tolist() == [2, 7]

    def test_an_answered_decision_is_not_asked_again(self, client, one):
        clusters_of(client, one)
        decisions = client.get(f"{one}/decisions").json()["decisions"]
        asked = next(decision for decision in decisions if decision["cluster"] is not None)
        edit(client, one, action="relabel_clusters", clusters=[asked["cluster"]], to=asked["proposal"])
        assert asked["id"] not in {
            decision["id"] for decision in client.get(f"{one}/decisions").json()["decisions"]
        }

    def test_a_failure_is_said(self, client, one, monkeypatch):
        def broken(_folder: Path, **_: object) -> None:
            raise OSError("the disk is gone")

        monkeypatch.setattr(open_review, "write_clusters", broken)
        assert clusters_of(client, one)["failure"] == "The beats cannot be compared: the disk is gone"


class TestConfirm:
    def test_the_report_is_written_and_shown_and_the_automatic_files_stay(self, client, one, out, name):
        automatic = {path.name: path.read_bytes() for path in (out / name).iterdir()}
        clusters_of(client, one)
        sample = int(beats_of(client, one)["sample"][3])
        edit(client, one, action="relabel_beats", samples=[sample], to="V")
        answer = client.post(f"{one}/confirm", json={"by": "CD", "last_id": 1, "seconds": 65})
        told = answer.json()["recording"]
        assert (told["status"], told["confirmed_by"]) == ("confirmed", "CD")
        report = client.get(f"{one}/report")
        assert report.content == (out / f"{name}.review" / "confirmed" / "report.html").read_bytes()
        assert "script-src" not in report.headers["content-security-policy"]
        assert "sandbox" in report.headers["content-security-policy"]
        assert {path.name: path.read_bytes() for path in (out / name).iterdir()} == automatic
        (row,) = client.get("/api/recordings").json()["recordings"]
        assert (row["status"], row["confirmed_by"], row["n_decisions"]) == ("confirmed", "CD", 0)

    def test_confirmed_results_are_edited_only_after_they_are_reopened(self, client, one):
        sample = int(beats_of(client, one)["sample"][3])
        assert client.post(f"{one}/confirm", json={"by": "AB", "last_id": 0}).status_code == 200
        refused = edit(client, one, action="relabel_beats", samples=[sample], to="V")
        assert (refused.status_code, "Reopen" in refused.json()["error"]) == (422, True)
        assert (
            client.post(f"{one}/reopen", json={"by": "AB", "last_id": 1}).json()["recording"]["status"]
            == "in review"
        )
        assert edit(client, one, action="relabel_beats", samples=[sample], to="V").status_code == 200

    def test_before_that_the_automatic_report_is_shown(self, client, one, out, name):
        assert client.get(f"{one}/report").content == (out / name / "report.html").read_bytes()


class TestOddOrders:
    @pytest.mark.parametrize("action", [["undo"], {"a": 1}, None, 7])
    def test_an_action_that_is_no_text_is_refused(self, client: TestClient, one: str, action: object) -> None:
        answer = client.post(f"{one}/edits", json={"action": action, "by": "AB", "last_id": 0})
        assert answer.status_code == 422

    @pytest.mark.parametrize(
        "body",
        [
            {"split": None},
            {"unite": 5, "to": 0},
            {"unite": [0], "to": None},
            {"samples": 5, "to": 0},
            {"samples": [10**40], "to": 0},
            {},
        ],
    )
    def test_templates_are_numbers(self, client: TestClient, one: str, body: dict[str, Any]) -> None:
        answer = client.post(f"{one}/clusters", json=body)
        assert answer.status_code == 422
        assert answer.json()["error"] == "clusters: give whole numbers."

    def test_a_bin_longer_than_the_signal_is_one_bin(self, client: TestClient, one: str) -> None:
        wide = client.get(f"{one}/signal", params={"start": 0, "stop": 1000, "step": 10**11})
        assert wide.content == client.get(f"{one}/signal?start=0&stop=1000&step=1000").content

    def test_a_window_that_knows_edits_which_the_log_lacks_is_told(
        self, client: TestClient, one: str
    ) -> None:
        edit = {"action": "insert_beat", "sample": 100, "label": "V", "by": "AB", "last_id": 10**9}
        answer = client.post(f"{one}/edits", json=edit)
        assert (answer.status_code, "Load the page again" in answer.json()["error"]) == (422, True)

    def test_one_damaged_log_does_not_hide_the_other_recordings(
        self, client: TestClient, out: Path, name: str
    ) -> None:
        log = out / f"{name}.review" / "edits.jsonl"
        log.parent.mkdir()
        log.write_text('{"id":1\n' + _entry_line(2), encoding="utf-8")
        (listed,) = client.get("/api/recordings").json()["recordings"]
        assert (listed["name"], listed["status"]) == (name, "in review")
        opened = client.get(f"/api/recordings/{name}")
        assert (opened.status_code, "Restore it from a backup" in opened.json()["error"]) == (409, True)

    @pytest.mark.parametrize("at", ["soon", "2026-11-01T10:00:00", ""])
    def test_an_entry_without_a_time_is_none(self, at: str) -> None:
        assert Entry.from_line(_entry_line(1).encode()).id == 1
        with pytest.raises(EditError, match="no time with its zone"):
            Entry.from_line(_entry_line(1, at).encode())


def _entry_line(number: int, at: str = "2026-11-01T10:00:00.000+00:00") -> str:
    head = {"id": number, "at": at, "by": "AB", "base": "", "action": "insert_beat"}
    return json.dumps(head | {"sample": 100, "label": "V"}) + "\n"
