"""The state of the inbox as one artifact in Prefect, which each run brings up to date."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from prefect.artifacts import create_markdown_artifact
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import ArtifactUpdate
from prefect.client.schemas.filters import ArtifactCollectionFilter, ArtifactCollectionFilterKey

from ectopy.evaluation.model_card import markdown
from ectopy.printable import printable
from ectopy.report.index import OpenFile

KEY = "inbox"
_LISTED = 50
"""Lines of each list; ``index.html`` has all."""


def show_inbox(page: str) -> None:
    """Write the page; there is one artifact, not one for each run."""
    wanted = ArtifactCollectionFilter(key=ArtifactCollectionFilterKey(any_=[KEY]))
    with get_client(sync_client=True) as client:
        earlier = client.read_latest_artifacts(artifact_filter=wanted)
        if earlier:
            client.update_artifact(earlier[0].latest_id, ArtifactUpdate(data=page))
            return
    create_markdown_artifact(page, key=KEY, description="What the inbox holds, as of the last run")


def build_page(
    inbox: str,
    out: Path,
    counts: Mapping[str, int],
    open_files: Sequence[OpenFile],
    failed: Mapping[str, str],
) -> str:
    """Return the state of the inbox as Markdown.

    Parameters
    ----------
    inbox
        Its folder or address.
    out
        The folder of results.
    counts
        Number of recordings by status, as in the ledger.
    open_files
        The recordings that wait, and the other files.
    failed
        Why each recording in quarantine failed, by name.

    Returns
    -------
    The page.
    """
    waiting = [file for file in open_files if file.is_recording]
    others = [file for file in open_files if not file.is_recording]
    overview: dict[str, list[object]] = {
        "done": [counts.get("scored", 0)],
        "waiting": [len(waiting)],
        "failed": [len(failed)],
        "no recording": [len(others)],
    }
    parts = [
        f"# Inbox {printable(inbox)}",
        f"As of {_now()}. Reports: `{printable(out / 'index.html')}`",
        markdown(overview),
        *_section("Waiting", waiting),
    ]
    if failed:
        lines = [_line(name, why) for name, why in [*failed.items()][-_LISTED:]]
        parts += ["## Failed, in quarantine", "\n".join(lines)]
    return "\n\n".join([*parts, *_section("No recording", others)])


def failure_page(inbox: str, reason: str) -> str:
    """Return the page after a run that failed.

    Parameters
    ----------
    inbox
        Its folder or address.
    reason
        Why the run failed.

    Returns
    -------
    The page.
    """
    return f"# Inbox {printable(inbox)}\n\nThe run of {_now()} failed: {printable(reason)}"


def _section(title: str, files: Sequence[OpenFile]) -> list[str]:
    if not files:
        return []
    lines = [_line(file.name, f"since {file.since}: {file.why}") for file in files[:_LISTED]]
    more = [f"and {len(files) - _LISTED} more"] if len(files) > _LISTED else []
    return [f"## {title}", "\n".join(lines), *more]


def _line(name: str, text: str) -> str:
    """Return an item of a list: Prefect would cut a table that is wider than its page."""
    quoted = printable(name).replace("`", "'")
    return f"* `{quoted}` {printable(text)}"


def _now() -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime())
