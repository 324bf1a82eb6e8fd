"""Promotion and rollback: which version of the model is in use.

This module carries a promotion out. :mod:`ectopy.registry.promotion_gate` decides on it, or a person does
with ``ectopy models promote``. The version in use has the alias ``champion`` in MLflow. Scoring finds it in
the folder ``<data-dir>/models/champion``. The tags of the versions keep the history: when a version was
promoted, why, and which version it replaced. They do not name the person.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from ectopy.model.classifier import CARD_FILE, ModelError, load_classifier
from ectopy.registry import model_versions, runs
from ectopy.registry.model_versions import CHAMPION, ROLLED_BACK, Version
from ectopy.registry.promotion_gate import PromotionDecision, out_of_fold_metrics

PREVIOUS_CHAMPION = "champion before"
"""Tag with the number of the version that this one replaced, "" for the first champion; rollback reads it."""
HISTORY = "history"
"""Tag with one line for each promotion, replacement and rollback of a version, the oldest first."""
_FOLDER_PREFIX = ".champion-"


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
    tags, metrics = model_versions.tags_of(version), out_of_fold_metrics(version)
    veb, sveb = (metrics.get(f"gross/{beat}_f1") for beat in ("veb", "sveb"))
    not_promoted = tags.get("promoted") == "False"
    status = f"not promoted: {tags['reason']}" if not_promoted else "not evaluated yet"
    return {
        "version": version.number,
        "alias": ", ".join(model_versions.aliases_of(version)),
        "created, UTC": f"{model_versions.created_at(version):%Y-%m-%d %H:%M}",
        "trained on": tags.get("database"),
        "VEB F1": None if veb is None else round(100 * veb, 1),
        "SVEB F1": None if sveb is None else round(100 * sveb, 1),
        "run": version.run_id[:8],
        "last event": tags.get(HISTORY, status).splitlines()[-1],
    }


def promote(version: Version, *, data_dir: Path, decided_by: str, reason: str) -> Change:
    """Make a version the champion; if it is the champion already, only install it again.

    Parameters
    ----------
    version
        The version to promote.
    data_dir
        The data directory, where the model is installed for scoring.
    decided_by
        ``the gate`` or ``hand``, for the history.
    reason
        The reason, for the history.

    Returns
    -------
    The new champion and the one before.

    Raises
    ------
    PromotionError
        If this version of ectopy cannot load the model.
    """
    previous = model_versions.version_by_alias(version.model, CHAMPION)
    _activate(version, data_dir)
    if previous == version:
        return Change(version, previous)
    place = f"in place of {previous.number}" if previous else "the first"
    tags = {PREVIOUS_CHAMPION: previous.number if previous else ""}
    append_history(version, f"champion by {decided_by}, {place}: {reason}", tags)
    model_versions.untag_version(version, ROLLED_BACK)
    if previous:
        append_history(previous, f"replaced by {version.number}")
    return Change(version, previous)


def rollback(model: str, *, data_dir: Path, reason: str) -> Change:
    """Make the previous champion the champion again; each call goes back by one version.

    Parameters
    ----------
    model
        Name of the registered model.
    data_dir
        The data directory, where the model is installed for scoring.
    reason
        The reason, for the history.

    Returns
    -------
    The new champion and the one that was rolled back.

    Raises
    ------
    PromotionError
        If there is no champion, or no champion before it.
    """
    champion = model_versions.version_by_alias(model, CHAMPION)
    if champion is None:
        raise PromotionError(
            f"{model}: no version is champion, so none can be rolled back. "
            "Promote one with `ectopy models promote`."
        )
    number = model_versions.tags_of(champion).get(PREVIOUS_CHAMPION, "")
    if not number:
        raise PromotionError(
            f"{champion.uri}: there was no champion before it. Choose a version with `ectopy models promote`."
        )
    previous = model_versions.version_by_number(model, number)
    _activate(previous, data_dir)
    append_history(previous, f"champion again, in place of {champion.number}: {reason}")
    append_history(champion, f"rolled back to {previous.number}: {reason}", {ROLLED_BACK: reason})
    return Change(previous, champion)


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
    model_versions.set_description(challenger, card)
    model_versions.tag_version(challenger, {"promoted": str(decision.promoted), "reason": decision.reason})


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
    previous = champion.resolve()
    if previous == champion.absolute() and champion.is_dir():  # installed by a version that made no link
        previous = champion.rename(champion.with_name(f"{_FOLDER_PREFIX}before"))
    link = folder.with_suffix(".link")
    link.symlink_to(folder.name)
    link.replace(champion)
    for leftover in set(champion.parent.glob(f"{_FOLDER_PREFIX}*")) - {folder, previous}:
        leftover.unlink() if leftover.is_symlink() else shutil.rmtree(leftover, ignore_errors=True)


def _activate(version: Version, data_dir: Path) -> None:
    downloaded = model_versions.fetch_model(version.uri)
    try:
        load_classifier(downloaded)
    except ModelError as error:
        raise PromotionError(
            f"{version.uri}: this version of ectopy cannot use the model: {str(error).rstrip('.')}. "
            "Choose another version, or train a new one with `ectopy train`."
        ) from error
    install_champion(downloaded, model_versions.card_of(version), data_dir / "models" / "champion")
    model_versions.set_alias(version, CHAMPION)


def append_history(version: Version, event: str, tags: dict[str, str] | None = None) -> None:
    """Append an event to the history of a version.

    Parameters
    ----------
    version
        The version.
    event
        The event; the time is added.
    tags
        Further tags to set in the same step.
    """
    earlier = model_versions.tags_of(version).get(HISTORY, "")
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {event}"
    model_versions.tag_version(version, {HISTORY: f"{earlier}\n{line}".strip(), **(tags or {})})
