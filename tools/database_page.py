"""Print the page of databases: ``uv run python tools/database_page.py > docs/reference/databases.md``."""

import textwrap
from collections import defaultdict
from collections.abc import Iterable, Iterator

from ectopy.datasets.catalogue import DATABASES, LEARNED_USES, Annotator, Database, patient_of

INTRODUCTION = f"""\
# Databases

The databases that `ectopy ingest` downloads, made from the catalogue `ectopy.datasets.catalogue`. What is
not known for certain is left empty. A record that is held out never trains, so that it can tell how a model
does on patients it has not seen. Training learns from {", ".join(LEARNED_USES)} today.

Cite the publication and the DOI of each database that you use, and PhysioNet itself: Goldberger AL, Amaral
LAN, Glass L, Hausdorff JM, Ivanov PCh, Mark RG, Mietus JE, Moody GB, Peng C-K, Stanley HE. PhysioBank,
PhysioToolkit, and PhysioNet: components of a new research resource for complex physiologic signals.
Circulation 101(23):e215-e220 (2000).

| database | title | records | Hz | use | licence |
|---|---|---|---|---|---|"""
LISTED = 120
"""A group of more records is counted, not listed."""


def main() -> None:
    """Print the page."""
    databases = [database for database in DATABASES.values() if database.records]
    print(INTRODUCTION)
    for database in databases:
        print(overview(database))
    for database in databases:
        print("\n".join(section(database)))


def overview(database: Database) -> str:
    """Return the row of one database."""
    return (
        f"| [`{database.name}`](#{database.name}) | {database.title} | {len(database.records)} "
        f"| {database.sampling_rate or ''} | {uses(database)} | {database.license} |"
    )


def uses(database: Database) -> str:
    """Return what a database may be used for."""
    return "; ".join(f"{label}: {use}" for label, use in database.uses.items())


def section(database: Database) -> Iterator[str]:
    """Yield the lines about one database."""
    yield f"\n## {database.name}\n"
    yield f"{database.title}, version {database.version}, {database.license}.\n"
    yield from paragraph("Cite", f"{database.citation} {doi(database)}")
    yield from paragraph("Leads", ", ".join(database.leads))
    yield from paragraph("Annotations", annotations(database))
    yield from paragraph("Use", uses(database))
    yield from paragraph("Patients", patients(database))
    yield from paragraph("Note", database.note)
    yield from records("Training", database.training, len(database.records))
    yield from records("Held out", database.held_out, LISTED)
    yield from records("Left out of both", database.left_out, LISTED)


def doi(database: Database) -> str:
    """Return the link to the DOI of a database, if it is known."""
    return f"DOI: [{database.doi}](https://doi.org/{database.doi})" if database.doi else ""


def paragraph(title: str, text: str) -> Iterator[str]:
    """Yield one point of the list, if there is anything to say."""
    if text:
        yield from textwrap.wrap(f"* {title}: {text}", 110, subsequent_indent="  ", break_on_hyphens=False)


def annotations(database: Database) -> str:
    """Return the kinds of annotations, with what each holds; kinds that hold the same are one."""
    suffixes = defaultdict(list)
    for annotator in database.annotators:
        suffixes[contents(annotator)].append(f"`.{annotator.suffix}`")
    kinds = [f"{' '.join(names)} ({holds})" for holds, names in suffixes.items()]
    return ", ".join([*kinds, *(f"`{file}`" for file in database.label_files)])


def contents(annotator: Annotator) -> str:
    """Return what the files of an annotator hold."""
    return annotator.holds + ("" if annotator.audited else ", automatic, not checked")


def patients(database: Database) -> str:
    """Return which records have one patient, also in other databases."""
    groups = defaultdict(list)
    for record in database.records:
        groups[patient_of(database, record)].append(record)
    elsewhere = sorted({patient.partition("/")[0] for patient in groups} - {database.name})
    shared = [", ".join(group) for group in groups.values() if 1 < len(group) < len(database.records)]
    text = "one group" if len(groups) == 1 else f"{len(groups)} groups that stay together"
    text += f", some with patients of {', '.join(elsewhere)}" if elsewhere else ""
    return text + (f"; one patient each: {'; '.join(shared)}" if 0 < len(shared) < 4 else "")


def records(title: str, names: Iterable[str], listed: int) -> Iterator[str]:
    """Yield the names of a group of records, or their number if they are more than ``listed``."""
    names = tuple(names)
    if names:
        text = f": {' '.join(names)}" if len(names) <= listed else ""
        yield from paragraph(title, f"{len(names)} records{text}")


if __name__ == "__main__":
    main()
