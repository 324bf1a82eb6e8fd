"""Draft the conclusion of a report: the summary in sentences, for a physician to edit."""

from collections.abc import Iterator

from ectopy.ecg import Analysis
from ectopy.report.summary import Summary
from ectopy.rhythm.finders import ventricular
from ectopy.rhythm.kinds import ATRIAL
from ectopy.rhythm.limits import SHORT_S
from ectopy.rhythm.named_intervals import RHYTHM_NAMES
from ectopy.rhythm.wording import Urgency, count, duration

_MOSTLY = 0.5
"""Share of ventricular beats in a run below which its beats do not explain it."""
_ALL_PCT = 99.0
_ECTOPY = (("ventricular", "veb", "n_couplets"), ("supraventricular", "sveb", "n_sveb_couplets"))


def draft_conclusion(summary: Summary) -> tuple[str, ...]:
    """Draft the conclusion of a report.

    Parameters
    ----------
    summary
        The summary of a recording.

    Returns
    -------
    Its sentences. What was not found is stated only of a recording that is long enough to show it.
    """
    if summary.not_analysable:
        return (f"Not analysable: {summary.not_analysable}.",)
    return tuple(_sentences(summary))


def _sentences(summary: Summary) -> Iterator[str]:
    analysis, stats = summary.recording.analysis, summary.stats
    is_long = analysis.duration_s > SHORT_S
    share = 100 * analysis.analysable_s / analysis.duration_s
    analysed = f", {share:.1f} % of it analysed" if share < 99.95 else ""
    yield f"Recording of {duration(analysis.duration_s)}{analysed}, {count(len(analysis.beats), 'beat')}."
    named = summary.rhythm.lower()
    if named:
        yield f"{summary.rhythm}."
    urgent = [finding.text for finding in summary.findings if finding.urgency == Urgency.URGENT]
    if urgent:
        yield f"Urgent: {', and '.join(_in_sentence(text) for text in urgent)}."
    for origin, name, couplets in _ECTOPY:
        if stats[f"n_{name}"] or (is_long and not (name == "sveb" and _only_atrial(stats))):
            yield _ectopy(stats, origin, name, couplets)
        if name == "veb" and (note := _vt_of_waves(analysis)):
            yield note
    if stats["af_burden_pct"] and not any(RHYTHM_NAMES[kind].title.lower() in named for kind in ATRIAL):
        yield f"Atrial fibrillation or flutter for {stats['af_burden_pct']:.1f} % of the time analysed."
    elif not stats["af_burden_pct"] and is_long and analysis.criteria.detect_af:
        yield "No atrial fibrillation or flutter."
    yield from _pauses(summary, is_long=is_long)
    if summary.marks:
        n_with = sum(bool(moment.events) for moment in summary.marks)
        yield f"{count(len(summary.marks), 'patient mark')}, {n_with or 'none'} of them near an event."
    if not is_long:
        yield f"A recording of {duration(analysis.duration_s)} cannot exclude rare events."


def _ectopy(stats: dict[str, object], origin: str, name: str, couplets: str) -> str:
    number = int(str(stats[f"n_{name}"]))
    if not number:
        outside = " outside atrial fibrillation" if name == "sveb" and stats["n_af"] else ""
        return f"No {origin} ectopic beats{outside}."
    groups = [
        f"{count(int(str(stats[field])), noun)}{length}"
        for field, noun, length in (
            (couplets, "couplet", ""),
            (f"n_{name}_runs", "run", " of 3 or more beats"),
        )
        if stats[field]
    ]
    within = f", with {' and '.join(groups)}" if groups else ", no couplets or runs"
    beats = count(number, f"{origin} ectopic beat")
    return f"{beats} ({stats[f'{name}_burden_pct']:.1f} % of beats){within}."


def _only_atrial(stats: dict[str, object]) -> bool:
    """Check for atrial fibrillation or flutter throughout, in which no supraventricular beat is sought."""
    return float(str(stats["af_burden_pct"] or 0)) > _ALL_PCT


def _vt_of_waves(analysis: Analysis) -> str:
    """Explain a tachycardia whose beats are not counted as ventricular; "" where there is none."""
    ectopic = ventricular(analysis.beats)
    runs = [analysis.beats.between(run.onset_s, run.offset_s) for run in analysis.events_of("vt")]
    if any(ectopic[run].mean() < _MOSTLY for run in runs if ectopic[run].size):
        return "Ventricular tachycardia was named by its waves: few of its beats are classed as ventricular."
    return ""


def _pauses(summary: Summary, *, is_long: bool) -> Iterator[str]:
    number, longest_s = summary.stats["n_pauses"], summary.stats["longest_pause_s"]
    limit = f"longer than {summary.recording.analysis.criteria.pause_s:g} s"
    if number and longest_s is not None:
        yield f"{count(int(str(number)), 'pause')} {limit}, the longest {duration(float(str(longest_s)))}."
    elif is_long:
        yield f"No pause {limit}."


def _in_sentence(text: str) -> str:
    return text[0].lower() + text[1:]
