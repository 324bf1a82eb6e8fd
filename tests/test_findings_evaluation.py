"""Findings compared with handmade labels: what is found, what is false, and what is not judged."""

from pathlib import Path

import numpy as np
import pytest

from ectopy.annotations import Annotations
from ectopy.datasets.catalogue import FetchError, find_database
from ectopy.ec57 import compute_metrics, gross
from ectopy.evaluation.finding_comparison import Called, CalledEvent, called_of, compare_findings
from ectopy.evaluation.finding_jobs import FindingModel, finding_jobs
from ectopy.evaluation.finding_page import build_page, glance_table, rhythm_table
from ectopy.evaluation.finding_reference import (
    ALL_RHYTHMS,
    LABELS,
    RHYTHMS,
    Episode,
    FindingReference,
    LabelSource,
    Window,
    episodes_of,
    read_reference,
    read_windows,
    strip_reference,
)
from ectopy.evaluation.finding_summary import (
    FREE,
    QUIET,
    false_table,
    group_findings,
    headline_of,
    metrics_of,
    missed_table,
)
from ectopy.evaluation.record_findings import (
    FindingJob,
    RecordFindings,
    classifier_of,
    evaluate_record_findings,
)
from ectopy.model.calibration import Calibration
from ectopy.model.classifier import SHIPPED_MODEL
from ectopy.registry import model_versions, runs
from ectopy.registry.shipped_champion import REGISTERED_NAME, register_shipped
from ectopy.rhythm.kinds import KINDS, LEADING
from ectopy.rhythm.wording import Urgency
from tests.conftest import database
from tests.handmade import analysis_of, beats_of, recording_for
from tests.small import write_record

FS = 100.0
HOUR_S = 3600.0


def event(kind: str, start_s: float, stop_s: float, urgency: Urgency = Urgency.URGENT) -> CalledEvent:
    return CalledEvent(kind, start_s, stop_s, urgency)


def reference(*episodes: Episode, known=ALL_RHYTHMS, patient: str = "p", key: str = "vfdb/1", **more):
    return FindingReference(key, patient, 2 * HOUR_S, frozenset(known), episodes, **more)


def compare(episodes=(), events=(), **more):
    return compare_findings(reference(*episodes, **more), Called(tuple(events)))


def annotations(rows) -> Annotations:
    """Annotations of (seconds, symbol, text)."""
    time_s, symbol, aux = zip(*sorted(rows), strict=True)
    sample = np.round(np.array(time_s) * FS).astype(np.int64)
    return Annotations(sample, np.array(symbol, dtype="U1"), np.zeros(len(sample), np.int64), aux)


def beats(letters: str, rr_s: float = 0.5, start_s: float = 1.0):
    return [(start_s + k * rr_s, letter, "") for k, letter in enumerate(letters)]


def found_in(rows, *, marks=False, beats=False, duration_s=100.0):
    source = LabelSource(ALL_RHYTHMS, marks=marks, beats=beats)
    return episodes_of(annotations(rows), source, fs=FS, n_samples=round(duration_s * FS))


class TestReference:
    def test_a_mark_lasts_until_the_next_or_the_end_of_the_record(self):
        rows = [(0, "+", "(N"), (10, "+", "(VFL\0"), (20, "+", "(N"), (90, "+", "(ASYS")]
        assert found_in(rows, marks=True) == (Episode("vf", 10, 20), Episode("asystole", 90, 100))

    def test_high_grade_ectopy_is_uncertain_tachycardia(self):
        (episode,) = found_in([(5, "+", "(HGEA"), (9, "+", "(N")], marks=True)
        assert episode == Episode("vt", 5, 9, counts=False)

    def test_three_fast_ventricular_beats_are_tachycardia_and_two_are_not(self):
        assert found_in(beats("NNVVNVFVN"), beats=True) == (Episode("vt", 3.5, 4.5),)

    def test_a_slow_run_is_idioventricular_and_a_slow_supraventricular_one_is_nothing(self):
        assert found_in(beats("NVVVN", 0.8), beats=True) == (Episode("ivr", 1.8, 3.4),)
        assert found_in(beats("NSSSN", 0.8), beats=True) == ()

    def test_a_pause_ends_a_run(self):
        rows = [*beats("VV"), *beats("VVN", start_s=4.0)]
        assert found_in(rows, beats=True) == ()

    def test_a_long_interval_between_beats_is_a_pause_and_uncertain_with_an_artefact_in_it(self):
        rows = [*beats("NN"), *beats("NN", start_s=5.0), *beats("NN", start_s=10.0), (7.0, "~", "")]
        assert found_in(rows, beats=True) == (
            Episode("asystole", 1.5, 5.0),
            Episode("asystole", 5.5, 10.0, counts=False),
        )

    def test_flutter_waves_are_no_pause(self):
        rows = [*beats("NN"), (2.0, "[", ""), (3.0, "!", ""), (4.0, "]", ""), *beats("NN", start_s=5.0)]
        assert found_in(rows, beats=True) == ()

    def test_marks_and_beats_of_one_rhythm_are_one_episode(self):
        rows = [*beats("NVVVVN"), (1.2, "+", "(VT"), (2.2, "+", "(N")]
        assert found_in(rows, marks=True, beats=True) == (Episode("vt", 1.2, 3.0),)

    def test_the_rhythm_of_ludb_is_in_its_header(self, tmp_path: Path):
        for text, strip in (("Atrial flutter, typical.", "af"), ("Sinus bradycardia.", "normal")):
            (tmp_path / "1.hea").write_text(f"1 12 500 5000\n#<age>: 51\n#Rhythm: {text}\n")
            ludb = find_database("ludb")
            read = read_reference(ludb, tmp_path / "1", patient="ludb/1", fs=500, n_samples=5000)
            assert read.strip == strip
            assert read.has("af") == (strip == "af")

    def test_a_strip_of_the_challenge_needs_a_label(self, tmp_path: Path):
        (tmp_path / "REFERENCE.csv").write_text("A1,N\nA2,A\n")
        challenge = find_database("challenge-2017")
        read = read_reference(challenge, tmp_path / "A2", patient="", fs=300, n_samples=9000)
        assert read.strip == "af"
        assert read.known == {"af"}
        assert read.episodes == (Episode("af", 0, 30),)
        with pytest.raises(FetchError, match=r"REFERENCE\.csv: no label of A3"):
            read_reference(challenge, tmp_path / "A3", patient="", fs=300, n_samples=9000)

    def test_windows_are_those_of_the_record_and_a_missing_table_is_named(self, tmp_path: Path):
        path = tmp_path / "windows_5s.csv"
        with pytest.raises(FetchError, match=r"PhysioNet does not have them. Copy them from a mirror"):
            list(read_windows(path, "cu01"))
        path.write_text("record,start_s,end_s,shockable\ncu01,0,5,0\ncu01,5,10,1\ncu02,0,5,1\n")
        assert list(read_windows(path, "cu01")) == [Window(0, 5, False), Window(5, 10, True)]

    def test_every_kind_of_event_that_can_be_urgent_is_judged(self):
        judged = {kind for rhythm in RHYTHMS for kind in (*rhythm.kinds, *rhythm.also)}
        assert {kind.name for kind in LEADING if not kind.urgency.startswith("a note")} <= judged


class TestComparison:
    def test_an_episode_is_found_by_an_event_that_names_it(self):
        result = compare([Episode("vt", 10, 20), Episode("vt", 50, 60)], [event("vt", 19, 22)])
        assert result.counts["vt/reference"] == 2
        assert result.counts["vt/found"] == 1
        assert result.missed == (Episode("vt", 50, 60),)
        assert result.false == ()

    def test_an_event_is_false_beyond_the_tolerance(self):
        near, far = event("vt", 21, 23), event("vt", 23, 25)
        assert compare([Episode("vt", 10, 20)], [near, far]).false == (far,)

    def test_fibrillation_called_tachycardia_is_malignant_but_not_the_right_name(self):
        counts = compare([Episode("vf", 10, 20)], [event("vt", 11, 15)]).counts
        assert (counts["malignant/named"], counts["malignant/right"]) == (1, 0)
        assert (counts["vf/found"], counts["vt/false"], counts["malignant/false"]) == (0, 0, 0)

    def test_a_long_pause_finds_asystole_but_does_not_name_fibrillation(self):
        asystole = compare([Episode("asystole", 10, 20)], [event("pause", 10, 20)]).counts
        assert (asystole["malignant/named"], asystole["malignant/right"]) == (1, 1)
        fibrillation = compare([Episode("vf", 10, 20)], [event("pause", 10, 20)]).counts
        assert (fibrillation["malignant/named"], fibrillation["malignant/false"]) == (0, 0)

    def test_a_pause_of_less_than_3_s_is_no_finding(self):
        counts = compare([], [event("pause", 10, 12.9), event("pause", 20, 23)]).counts
        assert (counts["asystole/called"], counts["asystole/false"]) == (1, 1)

    def test_in_noise_nothing_is_judged_and_its_time_does_not_count(self):
        counts = compare([Episode("noise", 0, HOUR_S)], [event("vt", 10, 20)]).counts
        assert (counts["vt/called"], counts["malignant/false"], counts["malignant/false_in_noise"]) == (
            0,
            0,
            1,
        )
        assert counts["vt/days"] == counts["malignant/days"] == pytest.approx(1 / 24)

    def test_an_event_that_reaches_into_noise_is_judged_by_2_s_or_more_outside(self):
        noise = [Episode("noise", 10, 20), Episode("noise", 15, 30)]
        into, out, within = event("vt", 8, 12), event("vt", 29, 31.9), event("vt", 12, 29)
        result = compare(noise, [into, out, within])
        assert result.false == (event("vt", 8, 10),)
        assert result.counts["malignant/false_in_noise"] == 2
        assert compare([*noise, Episode("vt", 2, 9)], [into]).false == ()

    def test_time_that_episodes_share_is_left_out_once(self):
        shared = [Episode("noise", 0, 100), Episode("vt", 50, 200), Episode("vf", 150, 300)]
        counts = compare(shared).counts
        assert counts["malignant/days"] == pytest.approx((2 * HOUR_S - 300) / 86_400)
        assert counts["vt/days"] == pytest.approx((2 * HOUR_S - 100) / 86_400)

    def test_an_uncertain_episode_need_not_be_found_and_excuses_what_is_found_in_it(self):
        counts = compare([Episode("vt", 10, 20, counts=False)], [event("vt", 12, 14)]).counts
        assert (counts["vt/reference"], counts["vt/false"]) == (0, 0)

    def test_what_the_database_does_not_state_is_not_judged(self):
        counts = compare([], [event("af", 10, 100)], known={"vt"}).counts
        assert (counts["af/days"], counts["af/false"], counts["findings/false_urgent"]) == (0, 0, 0)

    def test_atrial_fibrillation_counts_from_30_s_on(self):
        counts = compare([Episode("af", 0, 29), Episode("af", 100, 131)]).counts
        assert counts["af/reference"] == 1

    def test_false_findings_are_counted_by_urgency_and_per_day(self):
        events = [
            event("vt", 10, 20),
            event("sv_run", 30, 31, Urgency.NOTE),
            event("af", 50, 99, Urgency.IMPORTANT),
        ]
        metrics = compute_metrics(compare([], events).counts)
        assert metrics["findings/false_urgent_per_24h"] == pytest.approx(12)
        assert metrics["findings/false_important_per_24h"] == pytest.approx(12)
        assert metrics["svt/false_per_24h"] == pytest.approx(12)

    def test_time_and_burden_of_atrial_fibrillation(self):
        result = compare([Episode("af", 0, 1200)], [event("af", 600, 1500)], timed=True)
        metrics = compute_metrics(result.counts)
        assert metrics["af_time/sensitivity"] == pytest.approx(0.5)
        assert metrics["af_time/positive_predictivity"] == pytest.approx(2 / 3)
        assert metrics["af_time/error_h_per_day"] == pytest.approx(24 * 300 / 7200)

    def test_windows_are_named_by_tachycardia_or_fibrillation_alone(self):
        windows = (Window(0, 5, True), Window(5, 10, True), Window(10, 15, False), Window(15, 20, False))
        events = [event("vf", 4, 5), event("pause", 5, 10), event("vt", 14, 14.5)]
        metrics = compute_metrics(compare([], events, known=(), windows=windows).counts)
        assert metrics["windows/shockable_named_share"] == 0.5
        assert metrics["windows/other_not_named_share"] == 0.5

    def test_f1_of_strips_in_fibrillation_against_all_others(self):
        af, none = (Called(events, True, True) for events in ((event("af", 0, 30),), ()))
        strips = [("af", af), ("af", none), ("normal", af), ("noise", none), ("other", none)]
        counts = gross(
            compare_findings(strip_reference("c/1", "p", 30.0, strip), called).counts
            for strip, called in strips
        )
        metrics = compute_metrics(counts)
        assert metrics["strips/af_f1"] == pytest.approx(0.5)  # one true, one missed, one false
        assert metrics["strips/noise/with_loud_finding_share"] == 1

    def test_the_urgency_of_an_event_is_that_of_its_own_finding(self):
        drawn = beats_of("N" * 10 + "V" * 3 + "N" * 10 + "V" * 8 + "N" * 10, 0.4)
        called = called_of(analysis_of(recording_for(drawn, 3600), drawn))
        assert [each.urgency for each in called.events if each.kind == "vt"] == [
            Urgency.IMPORTANT,
            Urgency.URGENT,
        ]
        assert called.has_veb
        assert called.has_loud_finding


def result(key: str, patient: str, *episodes: Episode, events=()) -> RecordFindings:
    known = reference(*episodes, key=key, patient=patient)
    return RecordFindings(known, compare_findings(known, Called(tuple(events))), None)


class TestSummary:
    RESULTS = (
        result("mitdb/1", "a", events=[event("vt", 10, 20)]),
        result("mitdb/2", "b", Episode("vf", 10, 20)),
        result("vfdb/3", "c", Episode("vf", 10, 20), events=[event("vt", 12, 15)]),
    )

    def test_groups_are_by_database_without_rhythms_and_without_fibrillation(self):
        groups = group_findings(self.RESULTS)
        keys = {name: [r.reference.key for r in group.results] for name, group in groups.items()}
        assert keys == {
            "mitdb": ["mitdb/1", "mitdb/2"],
            f"mitdb{FREE}": ["mitdb/1"],
            "vfdb": ["vfdb/3"],
            QUIET: ["mitdb/1"],
        }

    def test_metrics_have_bounds_and_where_none_is_false_the_rule_of_three(self):
        others = [result(f"mitdb/{k}", f"{k}") for k in range(3, 6)]
        metrics = metrics_of(group_findings([*self.RESULTS, *others]))
        assert metrics["mitdb/vt/false_per_24h"] == pytest.approx(2.4)
        assert metrics["mitdb/vt/false_per_24h_low"] == 0
        assert metrics["mitdb/vt/false_per_24h_high"] == pytest.approx(7.2)
        assert metrics["mitdb/ivr/false_per_24h_high"] == pytest.approx(3 * 24 / 10)
        assert metrics["vfdb/malignant/named_share"] == 1
        assert "vfdb/malignant/named_share_low" not in metrics  # a single patient

    def test_tables_name_false_findings_and_missed_episodes(self):
        assert false_table(self.RESULTS)["record"] == ["mitdb/1"]
        assert missed_table(self.RESULTS)["record"] == ["mitdb/2", "vfdb/3"]

    def test_the_page_has_the_command_and_the_figures(self):
        groups = group_findings(self.RESULTS)
        page = build_page(
            self.RESULTS,
            groups,
            model="m",
            commands=["ectopy ingest vfdb", "ectopy evaluate-findings"],
            held_out=False,
        )
        assert "ectopy ingest vfdb\nectopy evaluate-findings\n" in page
        assert "1 in 2.0 h" in glance_table(groups)
        assert "no held-out record was opened" in page
        assert "(n = 2)" in page
        assert "The exception" not in page

    def test_a_rhythm_without_an_event_has_no_figures(self, monkeypatch: pytest.MonkeyPatch):
        kinds = {name: kind for name, kind in KINDS.items() if name != "vf"}
        monkeypatch.setattr("ectopy.evaluation.finding_reference.KINDS", kinds)
        assert [rhythm.name for rhythm in RHYTHMS if not rhythm.has_event] == ["vf"]
        groups = group_findings(self.RESULTS)
        for table in (glance_table(groups), rhythm_table(groups)):
            (*rows,) = (
                line for line in table.splitlines() if "VF find" in line or "or fibrillation " in line
            )
            assert rows
            assert all("- (ectopy has no such event)" in row and "%" not in row for row in rows)
        assert not [
            name for name in metrics_of(groups) if "/vf/false_per" in name or "/vf/found_share" in name
        ]
        page = build_page(self.RESULTS, groups, model="m", commands=[], held_out=False)
        assert "ectopy has no event that names Ventricular flutter or fibrillation." in page

    def test_the_page_names_databases_whose_patients_may_have_been_seen(self):
        results = [result("afpdb/n01", "afpdb/n01"), result("cudb/cu01", "cudb/cu01")]
        page = build_page(results, group_findings(results), model="m", commands=[], held_out=False)
        assert "The exception is `afpdb`." in page
        assert "PhysioNet does not have this file" in page


def write_headers(data: Path, name: str, *records: str) -> None:
    folder = data / name / "1.0.0"
    folder.mkdir(parents=True)
    (folder / "RECORDS").write_text("\n".join(records))
    for record in records:
        (folder / f"{record}.hea").write_text("")


class TestJobs:
    def test_each_record_has_a_model_that_has_not_seen_its_patient(self, tmp_path: Path):
        write_headers(tmp_path, "mitdb", "100", "101", "106")
        write_headers(tmp_path, "nstdb", "118e00", "119e00")
        write_headers(tmp_path, "vfdb", "418", "419")
        fold = tmp_path / "fold"
        model = FindingModel("m", tmp_path, ("mitdb",), {"mitdb/101": fold, "mitdb/118": fold})
        jobs = {job.key: job.model for job in finding_jobs(model, (), tmp_path)}
        assert jobs == {"mitdb/101": fold, "nstdb/118e00": fold, "vfdb/418": tmp_path}
        calibrated = FindingModel("m", tmp_path, ("mitdb",), model.folds, Calibration(2.0, 0.7))
        calibrations = {job.key: job.calibration for job in finding_jobs(calibrated, (), tmp_path)}
        own = Calibration(2.0, 0.7)
        assert calibrations == {"mitdb/101": own, "nstdb/118e00": own, "vfdb/418": None}
        held_out = {job.key for job in finding_jobs(model, ("mitdb", "vfdb"), tmp_path, held_out=True)}
        assert held_out == {"mitdb/100", "vfdb/419"}


def test_a_network_of_a_fold_takes_over_the_calibration_of_the_model(tmp_path: Path):
    job = FindingJob("vfdb", tmp_path, "p", SHIPPED_MODEL, Calibration(2.0, 0.7))
    specification = classifier_of(job).specification
    assert (specification.temperature, specification.confidence_threshold) == (2.0, 0.7)
    assert specification.name == classifier_of(FindingJob("vfdb", tmp_path, "p", SHIPPED_MODEL)).name


@pytest.mark.real
def test_a_true_record_with_ventricular_tachycardia_is_compared_with_its_marks():
    folder = database("vfdb")
    found = evaluate_record_findings(FindingJob("vfdb", folder / "421", "vfdb/421", SHIPPED_MODEL))
    assert found.reference.known == LABELS["vfdb"].known
    assert found.reference.has("vt", "vf", "asystole")
    counts = found.comparison.counts
    assert counts["malignant/reference"] >= counts["malignant/named"] >= counts["malignant/right"]
    assert found.reference.duration_s == pytest.approx(2100, abs=1)


@pytest.mark.usefixtures("prefect_harness")
def test_the_flow_writes_the_page_and_a_broken_record_stops_no_other(
    tmp_path: Path, tracking_uri: str, monkeypatch: pytest.MonkeyPatch
):
    import mlflow

    from ectopy.flows.evaluate_findings import evaluate_findings

    monkeypatch.setenv("ECTOPY_WORKERS", "1")
    folder = tmp_path / "ludb" / "1.0.1"
    header = write_record(folder / "data", "1")
    header.write_text(header.read_text() + "#Rhythm: Sinus rhythm.\n")
    (folder / "data" / "3.hea").write_text("not a header\n")
    (folder / "RECORDS").write_text("data/1\ndata/3\n")
    page, summary, path, run_id = evaluate_findings(
        ["ludb"], tmp_path, out=tmp_path / "out", tracking_uri=tracking_uri
    )
    assert path == str(tmp_path / "out" / "findings-evaluation.md")
    assert Path(path).read_text() == page
    assert [line.split()[0] for line in summary.splitlines()] == ["database", "ludb"]
    assert " nan" not in summary  # a database without malignant episodes
    assert "ectopy evaluate-findings ludb --model shipped --out DIR" in page
    told = mlflow.search_runs(experiment_names=["ectopy-findings"], output_format="list")
    (run,) = (run for run in told if run.info.run_name.startswith("findings of "))
    assert run.info.run_id == run_id
    assert runs.all_metrics(run.info.run_id)["ludb/strips/normal/n"] == 1
    assert "Could not be evaluated: ludb/3." in page
    assert run.inputs is not None
    (used,) = run.inputs.dataset_inputs
    assert used.dataset.name == "ludb 1.0.1, training records"
    version = register_shipped(REGISTERED_NAME)  # which the flow has registered
    assert version is not None
    model_id = model_versions.model_id_of(version)
    assert model_id is not None
    of_data = {metric.key: metric for metric in mlflow.get_logged_model(model_id).metrics or ()}
    shown = of_data["ludb/findings/false_urgent_per_24h"]
    assert (shown.dataset_name, shown.dataset_digest) == (used.dataset.name, used.dataset.digest)
    assert shown.value == run.data.metrics["ludb/findings/false_urgent_per_24h"]


def test_the_run_of_all_databases_has_at_most_twenty_metrics():
    with_malignant = [name for name, source in LABELS.items() if {"vt", "vf", "asystole"} & source.known]
    names = [f"{name}/findings/false_urgent_per_24h" for name in LABELS]
    names += [f"{name}/malignant/named_share" for name in with_malignant]
    more = [f"{name}{FREE.replace(' ', '_')}/findings/false_urgent_per_24h" for name in LABELS]
    assert sorted(headline_of([*names, *more, "vfdb/vt/found_share"])) == sorted(names)
    assert len(names) == 20
