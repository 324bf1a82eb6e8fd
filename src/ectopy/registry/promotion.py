"""Which version of the model is in use: promoted, laid where scoring finds it, rolled back.

The registry's alias says it to MLflow, the folder ``<data-dir>/models/champion`` to scoring, and the tags of
the versions say what happened: when, why, in place of which. Who did it is not kept.
"""

import shutil
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import NamedTuple

from ectopy.model.classifier import CARD_FILE, ModelError, load_classifier
from ectopy.registry import model_versions, runs
from ectopy.registry.model_versions import CHAMPION, Version
from ectopy.registry.promotion_gate import MinimumScores, PromotionDecision, decide_promotion

PREVIOUS_CHAMPION = "champion before"
"""Tag: number of the version whose place this one took, "" where there was none; rollback goes by it."""
HISTORY = "history"
"""Tag: a line for everything that became of a version, the oldest first."""
ROLLED_BACK = "rolled back"
"""Tag: why a version was taken out of use; the gate leaves it alone from then on."""
_LAID = ".champion-"


class PromotionError(ValueError):
    """A promotion or a rollback that cannot be."""


class Change(NamedTuple):
    """The version in use from now on, and the one before."""

    current: Version
    previous: Version | None


def version_table(model: str) -> dict[str, list[object]]:
    """Give a table by column of a model's versions, the newest first; F1 is out of fold, in percent."""
    rows = [_row(version) for version in model_versions.list_versions(model)]
    return {name: [row[name] for row in rows] for name in (rows[0] if rows else ())}


def _row(version: Version) -> dict[str, object]:
    tags, figures = (
        model_versions.tags_of(version),
        _out_of_fold_metrics(version),
    )
    veb, sveb = (figures.get(f"gross/{beat}_f1") for beat in ("veb", "sveb"))
    judged = f"not promoted: {tags['reason']}" if tags.get("promoted") == "False" else "not judged yet"
    return {
        "version": version.number,
        "alias": ", ".join(model_versions.aliases_of(version)),
        "made, UTC": f"{model_versions.created_at(version):%Y-%m-%d %H:%M}",
        "learned from": tags.get("database"),
        "VEB F1": None if veb is None else round(100 * veb, 1),
        "SVEB F1": None if sveb is None else round(100 * sveb, 1),
        "run": version.run_id[:8],
        "what became of it": tags.get(HISTORY, judged).splitlines()[-1],
    }


def promote(version: Version, *, data_dir: Path, decided_by: str, reason: str) -> Change:
    """Let a version be the champion; ``by`` is the gate or a hand. The champion itself is only laid anew."""
    before = model_versions.version_by_alias(version.model, CHAMPION)
    _activate(version, data_dir)
    if before == version:
        return Change(version, before)
    place = f"in place of {before.number}" if before else "the first"
    _append_history(version, f"champion by {decided_by}, {place}: {reason}", {PREVIOUS_CHAMPION: before.number if before else ""})
    model_versions.untag_version(version, ROLLED_BACK)
    if before:
        _append_history(before, f"replaced by {version.number}")
    return Change(version, before)


def rollback(model: str, *, data_dir: Path, reason: str) -> Change:
    """Let the version before the champion be champion again; called once more, the one before that."""
    champion = model_versions.version_by_alias(model, CHAMPION)
    if champion is None:
        raise PromotionError(f"{model}: a champion to roll back expected, none there")
    number = model_versions.tags_of(champion).get(PREVIOUS_CHAMPION, "")
    if not number:
        raise PromotionError(f"{champion.uri}: no champion before it; `ectopy models promote` chooses one")
    before = model_versions.version_by_number(model, number)
    _activate(before, data_dir)
    _append_history(before, f"champion again, in place of {champion.number}: {reason}")
    _append_history(champion, f"rolled back to {before.number}: {reason}", {ROLLED_BACK: reason})
    return Change(before, champion)


def decide(challenger: Version, minimum: MinimumScores) -> PromotionDecision:
    """Decide whether a challenger replaces the champion, by cross-validation on the same database.

    Parameters
    ----------
    challenger
        The version in question.
    minimum
        The scores that any champion must reach.

    Returns
    -------
    The decision and its reason.
    """
    if cause := model_versions.tags_of(challenger).get(ROLLED_BACK):
        reason = f"it was rolled back: {cause}; `ectopy models promote` promotes it all the same"
        return PromotionDecision(False, reason)
    champion = model_versions.version_by_alias(challenger.model, CHAMPION)
    if champion is None:
        return decide_promotion(_out_of_fold_metrics(challenger), None, minimum)
    data, champion_data = (
        model_versions.tags_of(version).get("database") for version in (challenger, champion)
    )
    if data != champion_data:
        reason = f"trained on {data}, the champion on {champion_data}: their metrics cannot be compared"
        return PromotionDecision(False, reason)
    return decide_promotion(_out_of_fold_metrics(challenger), _out_of_fold_metrics(champion), minimum)


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
    model_versions.tag_version(
        challenger, {"promoted": str(decision.promoted), "reason": decision.reason}
    )


def _out_of_fold_metrics(version: Version) -> dict[str, float]:
    return model_versions.metrics_of(version, prefix="out_of_fold/detected/")


def install_champion(downloaded: Path, card: str, champion: Path) -> None:
    """Make ``champion`` the address of a model directory, from one moment to the next.

    It is a link: whoever reads sees the old files or the new ones, never none and never some of each. The
    directory before stays, for those who have begun to read it.
    """
    champion.parent.mkdir(parents=True, exist_ok=True)
    fresh = champion.with_name(f"{_LAID}{token_hex(4)}")
    shutil.copytree(downloaded, fresh, ignore=shutil.ignore_patterns("*.keras"))  # scoring never reads it
    (fresh / CARD_FILE).write_text(card, encoding="utf-8")
    earlier = champion.resolve()
    if earlier == champion.absolute() and champion.is_dir():  # laid before this was a link
        earlier = champion.rename(champion.with_name(f"{_LAID}before"))
    link = fresh.with_suffix(".link")
    link.symlink_to(fresh.name)
    link.replace(champion)
    for leftover in set(champion.parent.glob(f"{_LAID}*")) - {fresh, earlier}:
        leftover.unlink() if leftover.is_symlink() else shutil.rmtree(leftover, ignore_errors=True)


def _activate(version: Version, data_dir: Path) -> None:
    downloaded = model_versions.fetch_model(version.uri)
    try:
        load_classifier(downloaded)
    except ModelError as error:
        raise PromotionError(f"{version.uri} cannot be used by this version of ectopy: {error}") from error
    install_champion(downloaded, model_versions.card_of(version), data_dir / "models" / "champion")
    model_versions.set_alias(version, CHAMPION)


def _append_history(version: Version, what: str, tags: dict[str, str] | None = None) -> None:
    earlier = model_versions.tags_of(version).get(HISTORY, "")
    line = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ} {what}"
    model_versions.tag_version(version, {HISTORY: f"{earlier}\n{line}".strip(), **(tags or {})})
