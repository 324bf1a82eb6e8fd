"""Tables by column and the card's sections on an examination, as Markdown that reads well unrendered."""

from collections.abc import Mapping, Sequence

from ectopy.failures import Failure

PICTURES = "where-it-fails"
"""Folder of the strips among the artifacts of a run."""

GLANCE = """Detected beats, escape beats as N; 5 min learning period, 150 ms; gross figures in percent,
with 95 % intervals by bootstrap over patients."""
EVERYONE = """In the columns of all records, those learned from are called by the fold network that has not
seen the patient, the others by the ensemble."""
SHARED = """202 is the patient of 201, from whom was learned, and is called by the ensemble all the same."""
PACED = """EC57 leaves records with paced beats out: {paced}. QRS figures have them in, figures by class have
not; runs and AF with them in are given as other tools print them."""
RUNS = """Runs as EC57 and `rxr` have them: couplet 2, short run 3 to 5, long run 6 or more. F extends a
ventricular run, and VF counts as a long one; AF and flutter count as long supraventricular runs, and N in
them as S. Found: at least as long in the test, within 150 ms; confirmed: at least as long in the other.
The last rows are the held-out records by the map of EC57 and `rxr`, escape beats (e, j, n) as S."""
AF = """Seconds after the learning period, as `epicmp` counts, but flutter apart: EC57 has no item for
flutter, so wherever the reference says flutter the test's rhythm is silenced, and time called AF there
is neither right nor wrong. `epicmp` itself would count it as false; the table at a glance has that too."""
CONFIDENCE = """Beats after the learning period that match an annotated N, S or V. Expected calibration
error, 0 to 1, over 15 bins of equal width: of the likeliest class, and of each class against the rest."""
RISK = """Share of wrong labels among the most confident beats. The own threshold is where the model
abstains, which never changes a label: the beat keeps it and is marked as not confident."""
SHUTDOWN = """Time in which no lead could be read, marked as EC57's shutdown; beats after the learning
period lost in it, by their class, count as missed in every figure."""
SEEDS = """The members of the ensemble differ in their seed alone. Mean, standard deviation and range are
over members that examine the same records, with the same beats found."""
FAILS = """Records with most errors of each kind, and a strip of each around a typical error: the middle
one, in time, of the commonest confusion."""


def markdown(table: Mapping[str, Sequence[object]]) -> str:
    """Lay a table by column out as Markdown, its columns aligned."""
    columns = [[name, *map(_cell, cells)] for name, cells in table.items()]
    widths = [max(map(len, column)) for column in columns]
    aligned = [
        [cell.ljust(width) if not k else cell.rjust(width) for cell in column]
        for k, (column, width) in enumerate(zip(columns, widths, strict=True))
    ]
    head, *rows = zip(*aligned, strict=True)
    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join(f"| {' | '.join(row)} |" for row in (head, rule, *rows))


def _cell(value: object) -> str:
    return "-" if value is None or value != value else str(value)  # noqa: PLR0124 - NaN is not itself


def section(title: str, *paragraphs: str) -> str:
    """Write a section of the card."""
    return "\n\n".join((f"\n## {title}", *paragraphs)) + "\n"


def failures(found: Sequence[Failure], pictures: str = "") -> str:
    """List where the model fails, with the pictures in a folder beside the card, if there is one."""
    if not found:
        return section("Where it fails", "No ectopic beat was missed or called falsely.")
    lines = [f"* {each.text}" + (f"\n  ![]({pictures}/{each.file})" if pictures else "") for each in found]
    where = (
        () if pictures else (f"The strips are artifacts of the run that examined the model: `{PICTURES}/`.",)
    )
    return section("Where it fails", FAILS, "\n".join(lines), *where)
