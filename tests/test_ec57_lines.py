"""The exact text of the reference tools' lines, of the table and of the JSON, from counts made up for it."""

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ectopy import ec57
from ectopy.ec57 import lines
from tests.ec57_marks import marks

# 49 different numbers: cell (row, column) is 10 * row + column + 1, rows and columns in the order N S V F Q O X.
COUNTS = 10 * np.arange(7)[:, None] + np.arange(7) + 1
BEATS = ec57.BeatComparison(COUNTS.astype(np.int64), rr_square_error_s2=0.0338, n_rr=200, shutdown_s=83.5)
EMPTY = ec57.BeatComparison(np.zeros((7, 7), dtype=np.int64))
EPISODES = ec57.EpisodeComparison(3, 1, 2, 6, 3723.0045, 1861.5, 59.9995, 29.9998)
NO_EPISODES = ec57.EpisodeComparison(0, 0, 0, 0, 0.0, 0.0, 0.0, 0.0)


def run_comparison() -> ec57.RunComparison:
    """Runs of 2, 3, 4 and 6 beats of the reference, of 2 and 5 of the test."""
    counts = np.zeros((2, 7, 7), dtype=np.int64)
    counts[0, 2, 2], counts[0, 2, 0] = 5, 3  # couplets, found and missed
    counts[0, 3, 4], counts[0, 4, 2] = 7, 2  # short runs, found and missed
    counts[0, 6, 6], counts[0, 6, 5] = 11, 1  # long runs, found and missed
    counts[1, 2, 2], counts[1, 1, 2] = 6, 4  # couplets of the test, confirmed and false
    counts[1, 3, 5], counts[1, 0, 5] = 8, 9  # short runs of the test, confirmed and false
    counts[1, 6, 6], counts[1, 3, 6] = 10, 13  # long runs of the test, confirmed and false
    return ec57.RunComparison(counts)


def test_bxb_with_sveb() -> None:
    # Columns are sums: Nn' = 1 + 4 + 5, Fn' = (31 + 34 + 35) + (41 + 44 + 45), On' is of rows O and X.
    # Q Se 575 / 840; V Se 23 / 168; V +P 23 / (3 + 13 + 23 + 53 + 63); S Se 12 / 98; S +P 12 / (all S but Q).
    # The RR error is sqrt(0.0338 / 200) s.
    assert lines.bxb_lines({"7": BEATS, "none": EMPTY}) == (
        "Record Nn' Sn' Vn' Fn' On'  Ns  Ss  Vs  Fs' Os' Nv  Sv   Vv  Fv' Ov' No' So' Vo' Fo'"
        "  Q Se   Q +P   V Se   V +P   S Se   S +P RR err\n"
        "   7    10  40  70 230 350   2  12  22  74 114   3  13   23  76 116  13  33  53 166"
        f" {100 * 575 / 840:6.2f} {100 * 575 / 1155:6.2f} {100 * 23 / 168:6.2f} {100 * 23 / 155:6.2f}"
        f" {100 * 12 / 98:6.2f} {100 * 12 / 182:6.2f}  13.00\n"
        "none     0   0   0   0   0   0   0   0   0   0   0   0    0   0   0   0   0   0   0"
        "      -      -      -      -      -      -     -\n"
    )


def test_bxb_without_sveb_counts_s_as_n() -> None:
    # Nn' = (1 + 4 + 5) + (11 + 14 + 15) + 2 + 12; FPR = (16 + 53 + 63) / (those + all called n s f q).
    called = COUNTS[[0, 1, 3, 4, 5, 6]][:, [0, 1, 3, 4]].sum()
    assert lines.bxb_lines({"7": BEATS}, sveb=False) == (
        "Record Nn' Vn' Fn' On'  Nv   Vv  Fv' Ov' No' Vo' Fo'  Q Se   Q +P   V Se   V +P  V FPR\n"
        "   7    64  92 304 464  16   23  76 116  46  53 166"
        f" {100 * 575 / 840:6.2f} {100 * 575 / 1155:6.2f} {100 * 23 / 168:6.2f} {100 * 23 / 155:6.2f}"
        f" {100 * 132 / (132 + called):6.3f}\n"
    )


def test_beats_missed_in_shutdowns() -> None:
    # The share of all beats leaves S out, as bxb does: (7 + 27 + 37 + 47) / 840. 83.5 s are 84.
    shares = "".join(f" {100 * part / whole:6.2f}" for part, whole in ((118, 840), (7, 28), (17, 98)))
    assert lines.shutdown_lines({"7": BEATS}) == (
        "Record Nx   Sx   Vx   Fx   Qx  % beats  % N    % S    % V    % F   Total Shutdown\n"
        "                                missed missed missed missed missed      Time\n"
        f"   7    7   17   27   37   47  {shares} {100 * 27 / 168:6.2f} {100 * 37 / 238:6.2f}"
        "   84 seconds 28 98 168 238 308\n"
    )


def test_beats_missed_in_shutdowns_without_sveb() -> None:
    merged = f" {100 * 135 / 840:6.2f} {100 * 24 / 126:6.2f}"
    assert lines.shutdown_lines({"7": BEATS, "none": EMPTY}, sveb=False).splitlines()[2:] == [
        f"   7   24   27   37   47  {merged} {100 * 27 / 168:6.2f} {100 * 37 / 238:6.2f}   84 seconds 126 0 168 238 308",
        "none    0    0    0    0        -      -      -      -    0 seconds 0 0 0 0 0",
    ]


def test_rxr() -> None:
    # CSe 5 / 8 = 62.5 %, C+P 6 / 10, SSe 7 / 9, S+P 8 / 17, LSe 11 / 12, L+P 10 / 23; halves are rounded up.
    header = "Record CTs CFN CTp CFP STs SFN STp SFP LTs LFN LTp LFP  CSe C+P SSe S+P LSe L+P\n"
    line = "   7   5   3   6   4   7   2   8   9  11   1  10  13   63  60  78  47  92  43\n"
    assert lines.rxr_lines({"7": run_comparison()}, "ventricular") == header + line
    assert lines.rxr_lines({"7": run_comparison()}, "supraventricular") == (
        f"(SVE run detection)\n{header}{line}"
    )


def test_epicmp() -> None:
    # 3723.0045 s are 1:02:03.005: half a millisecond is rounded up. 59.9995 s are a minute.
    assert lines.epicmp_lines({"7": EPISODES, "none": NO_EPISODES}, "AF") == (
        "(AF detection)\n"
        "Record  TPs   FN  TPp   FP  ESe E+P DSe D+P  Ref duration  Test duration \n"
        "     7    3    1    2    6   75  25  50  50   1:02:03.005       1:00.000\n"
        "  none    0    0    0    0    -   -   -   -         0.000          0.000\n"
    )


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "    0:00.000"), (59_999, "    0:59.999"), (600_000, "   10:00.000"), (36_000_001, "10:00:00.001")],
)
def test_durations_are_written_as_by_mstimstr(ms: int, text: str) -> None:
    assert lines.clock(ms) == text


def test_a_tie_in_samples_is_one_in_milliseconds() -> None:
    # 1 sample of 2000 Hz is 0.5 ms. 4.0005 s as a float is less than that.
    assert [lines.to_ms(n / 2000) for n in (1, 8001, 8002)] == [1, 4001, 4001]


def record() -> ec57.RecordComparison:
    kinds: Any = {"ventricular": run_comparison(), "supraventricular": run_comparison() + run_comparison()}
    return ec57.RecordComparison(BEATS, kinds, {"AF": EPISODES, "VF": NO_EPISODES}, paced=False)


def plain_record() -> ec57.RecordComparison:
    """One beat of each class in a row, all found."""
    annotations = marks("N:100 V:200 S:300 F:400 Q:500")
    return ec57.compare_record(annotations, annotations, 100.0)


TABLE = """
record   beats  QRS Se  QRS +P  VEB      Se      +P      F1     FPR  SVEB      Se      +P      F1  RR ms  shut s
7          840   68.45   49.78  168   13.69   14.84   14.24  13.693    98   12.24    6.59    8.57  13.00      84
all          5  100.00  100.00    1  100.00  100.00  100.00   0.000     1  100.00  100.00  100.00   0.00       0
gross      845   68.64   50.00  169   14.20   15.38   14.77  13.636    99   13.13    7.10    9.22  12.87      84
average          84.23   74.89        56.85   57.42   57.12   6.846         56.12   53.30   54.29   6.50

                             reference   found  test  confirmed  gross Se     +P  average Se     +P
ventricular couplets                 8       5    10          6     62.50  60.00       62.50  60.00
ventricular short runs               9       7    17          8     77.78  47.06       77.78  47.06
ventricular long runs               12      11    23         10     91.67  43.48       91.67  43.48
supraventricular couplets           16      10    20         12     62.50  60.00       62.50  60.00
supraventricular short runs         18      14    34         16     77.78  47.06       77.78  47.06
supraventricular long runs          24      22    46         20     91.67  43.48       91.67  43.48
AF episodes                          4       3     8          2     75.00  25.00       75.00  25.00
AF seconds                      3723.0  1861.5  60.0       30.0     50.00  50.00       50.00  50.00
VF episodes                          0       0     0          0         -      -           -      -
VF seconds                         0.0     0.0   0.0        0.0         -      -           -      -

Se, +P, F1, FPR in %. Not scored: first 300 s. Window: 150 ms.
Escape beats e, j, n count as SVEB, as in EC57 and bxb.
SVEB +P counts F called S as false, as bxb does; sumstats leaves it out (--json has both).
"""


def test_the_table_has_every_number_in_its_column() -> None:
    # 7: 575 / 840, 575 / 1155, 23 / 168, 23 / 155, 46 / 323, 132 / 964, 12 / 98, 12 / 182, 24 / 280. Gross has
    # one VEB and one SVEB more in each part: 24 / 169. The average of the RR errors 13 and 0 is 6.5, while the
    # gross error is sqrt(0.0338 / 204) s.
    assert ec57.table({"7": record(), "all": plain_record()}, beat_map="ec57") == TABLE.lstrip("\n")


def test_the_average_rr_error_is_of_the_records_that_have_one() -> None:
    none = replace(plain_record(), beats=EMPTY)
    table = ec57.table({"7": record(), "none": none}, beat_map="ec57")
    assert table.splitlines()[4].split()[-1] == "13.00"
    assert ec57.as_json({"none": none}, beat_map="ec57")["average"]["beats"]["rms_rr_error_ms"] is None


def test_the_json_has_every_count() -> None:
    written = json.loads(json.dumps(ec57.as_json({"7": record(), "all": plain_record()}, beat_map="ec57")))
    counts = written["records"]["7"]["beats"]["counts"]
    names = [row + column for row in "NSVFQ" for column in "nsvfqox"]
    names += [row + column for row in "OX" for column in "nsvfq"]  # a beat is missing on one side at most
    assert counts == {name: int(COUNTS["NSVFQOX".index(name[0]), "nsvfqox".index(name[1])]) for name in names}
    beats = written["records"]["7"]["beats"]
    assert (beats["n_rr"], beats["shutdown_s"], beats["rms_rr_error_ms"]) == (200, 83.5, pytest.approx(13.0))
    runs = written["records"]["7"]["runs"]["ventricular"]
    assert runs["reference_runs"] == run_comparison().counts[0].tolist()
    assert runs["test_runs"] == run_comparison().counts[1].tolist()
    assert runs["long_run"] == {"found": 11, "missed": 1, "confirmed": 10, "false": 13}
    assert written["gross"]["episodes"]["AF"]["reference_s"] == 3723.0045
    assert written["average"]["episodes"]["VF"]["duration_sensitivity"] is None
    assert written["average"]["runs"]["ventricular"]["couplet_sensitivity"] == 5 / 8


def test_paced_records_have_summaries_of_their_own() -> None:
    paced = replace(record(), paced=True)
    written = ec57.as_json({"paced": paced, "all": plain_record()}, beat_map="ec57")
    assert written["paced"] == ["paced"]
    assert (written["gross"]["beats"]["n_rr"], written["gross_unpaced"]["beats"]["n_rr"]) == (204, 4)
    assert written["average_unpaced"]["beats"]["qrs_sensitivity"] == 1.0
    assert "gross_unpaced" not in ec57.as_json({"paced": paced}, beat_map="ec57")
    assert "gross_unpaced" not in ec57.as_json({"all": plain_record()}, beat_map="ec57")


def test_a_sum_is_paced_if_one_of_the_records_is() -> None:
    paced = replace(record(), paced=True)
    assert [(a + b).paced for a, b in ((record(), record()), (paced, record()), (record(), paced))] == [
        *(False, True, True)
    ]


def test_a_record_is_paced_if_its_reference_has_paced_or_pacemaker_fusion_beats() -> None:
    plain = marks("N:100 V:200")
    for symbol, paced in (("/", True), ("f", True), ("F", False), ("Q", False)):
        assert ec57.compare_record(marks(f"N:100 {symbol}:200"), plain, 100.0).paced is paced
    assert not ec57.compare_record(plain, marks("N:100 /:200"), 100.0).paced
