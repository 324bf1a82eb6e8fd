"""Promotion and rollback: which version of the model is in use.

This module carries a promotion out. :mod:`ectopy.registry.promotion_gate` decides on it, or a person does
with ``ectopy models promote``. The version in use has the alias ``champion`` in MLflow. Scoring finds it in
the folder ``<data-dir>/models/champion``. The tags of the versions keep the history: when a version was
promoted, by whom and why, what the gate said of it, and which version it replaced.
"""

import getpass
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from ectopy.model.classifier import CARD_FILE, ModelError, load_classifier
from ectopy.model.manifest import write_manifest
from ectopy.registry import model_versions, runs
from ectopy.registry.evidence import DETECTED_METRICS
from ectopy.registry.model_versions import CHAMPION, ROLLED_BACK, Version
from ectopy.registry.promotion_gate import MinimumScores, PromotionDecision, decide, decide_between

PREVIOUS_CHAMPION = "champion before"
"""Tag with the numbers of the champions before a version, the latest first, separated by commas.

It is "" for the first champion. Stores of ectopy 0.2 have the number of the latest alone.
"""
AGAINST_GATE = "against the gate"
"""Tag of a version that a person made champion against the gate: why the gate had refused it."""
_FOLDER_PREFIX = ".champion-"
_NO_REASONS = {
    *("areason", "because", "default", "empty", "myreason", "na", "nan", "nil", "noreason", "none", "null"),
    *("placeholder", "reason", "tba", "tbd", "test", "text", "todo", "why", "xyz"),
}
"""Letters and digits of texts that say nothing of a version, in lower case."""
_PROMOTION = re.compile(r"^\*\*Promotion\.\*\* .*\n\n?", re.MULTILINE)


class PromotionError(ValueError):
    """A promotion or a rollback that is not possible."""


class Change(NamedTuple):
    """The version in use after a change, and the one before it."""

    current: Version
    previous: Version | None


def version_table(model: str) -> dict[str, list[object]]:
    """Return a table by column of a model's versions, the newest first; F1 is out of fold, in percent."""
    rows = [_row(version) for version in model_versions.list_versions(model)]
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _row(version: Version) -> dict[str, object]:
    tags = model_versions.tags_of(version)
    metrics = model_versions.metrics_of(version, prefix=DETECTED_METRICS)
    veb, sveb = (metrics.get(f"gross/{beat}_f1") for beat in ("veb", "sveb"))
    return {
        "version": version.number,
        "alias": ", ".join(model_versions.aliases_of(version)),
        "created, UTC": f"{model_versions.created_at(version):%Y-%m-%d %H:%M}",
        "trained on": tags.get("database"),
        "VEB F1": None if veb is None else round(100 * veb, 1),
        "SVEB F1": None if sveb is None else round(100 * sveb, 1),
        "gate": "overruled" if AGAINST_GATE in tags else _GATE.get(tags.get("promoted", "")),
        "run": version.run_id[:8],
        "last event": last_event(version),
    }


_GATE = {"True": "passed", "False": "refused"}


def last_event(version: Version) -> str:
    """Return what happened last to a version; a champion of which nobody wrote why is noticed here."""
    tags, events = model_versions.tags_of(version), model_versions.history(version)
    if CHAMPION in model_versions.aliases_of(version) and not _explained(version):
        return (
            "champion without an event: the alias was set outside ectopy. "
            f"`ectopy models promote {version.number} --reason TEXT` writes down why"
        )
    not_promoted = tags.get("promoted") == "False"
    return (
        events[-1] if events else f"not promoted: {tags['reason']}" if not_promoted else "not evaluated yet"
    )


def _explained(champion: Version) -> bool:
    """Return whether the last event of a champion is the one that made it champion."""
    events = model_versions.history(champion)
    return bool(events) and events[-1].partition(" ")[2].startswith(CHAMPION)


def promote(version: Version, *, data_dir: Path, decision: PromotionDecision) -> Change:
    """Make a version the champion, as the gate decided.

    Parameters
    ----------
    version
        The version to promote.
    data_dir
        The data directory, where the model is installed for scoring.
    decision
        The decision of the gate.

    Returns
    -------
    The new champion and the one before.

    Raises
    ------
    PromotionError
        If the gate refuses the version, or this version of ectopy cannot load the model.
    """
    if not decision.promoted:
        raise PromotionError(
            f"{version.uri}: the gate does not promote it: {decision.reason}. "
            "`ectopy models promote` promotes it by hand, for a reason."
        )
    return _replace(version, data_dir, "by the gate", decision.reason, {})


def promote_by_hand(version: Version, *, data_dir: Path, reason: str) -> Change:
    """Make a version the champion for a reason, and keep what the gate says of it at this moment.

    If it is the champion already, it is only installed again.

    Parameters
    ----------
    version
        The version to promote.
    data_dir
        The data directory, where the model is installed for scoring.
    reason
        Why this version is chosen, for its history.

    Returns
    -------
    The new champion and the one before.

    Raises
    ------
    PromotionError
        If there is no reason, or this version of ectopy cannot load the model.
    """
    reason = _require_reason(reason)
    opinion, tags = _opinion(decide(version, MinimumScores()))
    return _replace(version, data_dir, f"by hand of {_user()}", f"{reason} {opinion}", tags)


def rollback(model: str, *, data_dir: Path, reason: str) -> Change:
    """Make the previous champion the champion again.

    Each call goes further back in the history of champions, never to a version that was rolled back itself.

    Parameters
    ----------
    model
        Name of the registered model.
    data_dir
        The data directory, where the model is installed for scoring.
    reason
        Why the champion is replaced, for the history of both.

    Returns
    -------
    The new champion and the one that was rolled back.

    Raises
    ------
    PromotionError
        If there is no reason, no champion, or no champion before it that was not rolled back.
    """
    reason = _require_reason(reason)
    champion = model_versions.version_by_alias(model, CHAMPION)
    if champion is None:
        raise PromotionError(
            f"model {model}: no version is champion, so none can be rolled back. "
            "Promote one with `ectopy models promote`."
        )
    before = [one for one in _champions_before(champion) if ROLLED_BACK not in model_versions.tags_of(one)]
    if not before:
        raise PromotionError(
            f"{champion.uri}: there was no champion before it that was not rolled back. "
            "Choose a version with `ectopy models promote`."
        )
    previous, *earlier = before
    opinion, tags = _opinion(decide_between(previous, champion, MinimumScores()))
    event = f"champion again by hand of {_user()}, in place of {champion.number}: {reason} {opinion}"
    _activate(previous, data_dir, event, {PREVIOUS_CHAMPION: _numbers(earlier), **tags})
    event = f"rolled back to {previous.number} by hand of {_user()}: {reason}"
    model_versions.append_history(champion, event, {ROLLED_BACK: reason})
    return Change(previous, champion)


def _champions_before(version: Version) -> list[Version]:
    """Return the champions before a version, the latest first, each once and none that was deleted.

    The tag of a version ends early in stores of ectopy 0.2, so the tag of its last one goes on from there.
    """
    by_number = {one.number: one for one in model_versions.list_versions(version.model)}
    seen, last = [version], version
    while True:
        numbers = model_versions.tags_of(last).get(PREVIOUS_CHAMPION, "").split(",")
        found = [by_number[number] for number in numbers if number in by_number]
        new = [one for one in dict.fromkeys(found) if one not in seen]
        if not new:
            return seen[1:]
        seen += new
        last = seen[-1]


def _numbers(versions: Sequence[Version]) -> str:
    return ",".join(version.number for version in versions)


def _replace(version: Version, data_dir: Path, by: str, reason: str, tags: dict[str, str]) -> Change:
    previous = model_versions.version_by_alias(version.model, CHAMPION)
    if previous == version and _explained(version):
        _install(version, _fetch(version), data_dir)
        return Change(version, previous)
    if previous == version:
        place, before = "its alias had been set outside ectopy", {}
    else:
        place = f"in place of {previous.number}" if previous else "the first"
        earlier = [previous, *_champions_before(previous)] if previous else []
        before = {PREVIOUS_CHAMPION: _numbers([one for one in earlier if one != version])}
    _activate(version, data_dir, f"champion {by}, {place}: {reason}", before | tags)
    if previous and previous != version:
        model_versions.append_history(previous, f"replaced by {version.number}")
    return Change(version, previous)


def _require_reason(reason: str) -> str:
    """Return a reason on one line; refuse one that says nothing."""
    line = " ".join(reason.split())
    said = re.sub(r"[\W_]+", "", line.casefold())
    if not re.search(r"[^\W\d]", said) or said in _NO_REASONS or len(set(said)) == 1:
        raise PromotionError(
            f"--reason {line!r}: it does not say why. It is kept on the version, for those who come later: "
            'name what was seen, as in --reason "false VEB at night, seen in 3 recordings".'
        )
    return line


def _opinion(decision: PromotionDecision) -> tuple[str, dict[str, str]]:
    """Return what the gate says of a decision by hand, for the history, and the tag if it is against it."""
    if decision.promoted:
        return "[the gate agrees]", {}
    return f"[{AGAINST_GATE}: {decision.reason}]", {AGAINST_GATE: decision.reason}


def _user() -> str:
    """Return the name of the account that runs this process."""
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # as in a container whose user has no entry
        return "an unnamed account"


def record_decision(challenger: Version, decision: PromotionDecision, card: str) -> None:
    """Write a decision and the model card on the version, and the decision on the MLflow run in progress.

    Parameters
    ----------
    challenger
        The version that was evaluated.
    decision
        Whether it is promoted, and why.
    card
        The model card, as Markdown.
    """
    runs.tag(verdict="promoted" if decision.promoted else "not promoted", reason=decision.reason)
    model_versions.set_description(challenger, _with_promotion(card, challenger))
    model_versions.tag_version(challenger, {"promoted": str(decision.promoted), "reason": decision.reason})
    model_versions.describe_logged_model(challenger, f"The gate: {decision}")


def install_champion(downloaded: Path, card: str, champion: Path) -> None:
    """Install a model directory as the champion, in one atomic step.

    ``champion`` is a symbolic link. Readers see either the old files or the new ones, never a mixture. The
    previous directory is kept for processes that have begun to read it; older ones are deleted.

    Parameters
    ----------
    downloaded
        The model directory.
    card
        The model card, as Markdown.
    champion
        The path of the link.
    """
    champion.parent.mkdir(parents=True, exist_ok=True)
    folder = champion.with_name(f"{_FOLDER_PREFIX}{token_hex(4)}")
    shutil.copytree(downloaded, folder, ignore=shutil.ignore_patterns("*.keras"))  # scoring does not need it
    (folder / CARD_FILE).write_text(card, encoding="utf-8")
    write_manifest(folder)  # the card is another one than that of the registry
    previous = champion.resolve()
    if previous == champion.absolute() and champion.is_dir():  # installed by a version that made no link
        previous = champion.rename(champion.with_name(f"{_FOLDER_PREFIX}before"))
    link = folder.with_suffix(".link")
    link.symlink_to(folder.name)
    link.replace(champion)
    for leftover in set(champion.parent.glob(f"{_FOLDER_PREFIX}*")) - {folder, previous}:
        leftover.unlink() if leftover.is_symlink() else shutil.rmtree(leftover, ignore_errors=True)


def _activate(version: Version, data_dir: Path, event: str, tags: dict[str, str]) -> None:
    """Make a version the champion in the registry and in the data directory; its card says why."""
    downloaded = _fetch(version)
    model_versions.set_champion(version, event, tags)
    model_versions.untag_version(version, ROLLED_BACK)
    if AGAINST_GATE not in tags:
        model_versions.untag_version(version, AGAINST_GATE)
    card = _with_promotion(model_versions.card_of(version), version)
    model_versions.set_description(version, card)
    _install(version, downloaded, data_dir)


def _fetch(version: Version) -> Path:
    downloaded = model_versions.fetch_model(version.uri)
    try:
        load_classifier(downloaded)
    except ModelError as error:
        raise PromotionError(
            f"{version.uri}: this version of ectopy cannot use the model: {str(error).rstrip('.')}. "
            "Choose another version, or train a new one with `ectopy train`."
        ) from error
    return downloaded


def _install(version: Version, downloaded: Path, data_dir: Path) -> None:
    install_champion(downloaded, model_versions.card_of(version), data_dir / "models" / "champion")


def _with_promotion(card: str, version: Version) -> str:
    """Return a model card with a paragraph below its title on how the version became champion, if it did."""
    title, _, rest = _PROMOTION.sub("", card).partition("\n")
    events = [event for event in model_versions.history(version) if f"Z {CHAMPION}" in event]
    return f"{title}\n\n**Promotion.** {events[-1]}\n{rest}" if events else card
