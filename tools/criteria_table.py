"""Print the page of criteria: ``uv run python tools/criteria_table.py > docs/reference/criteria.md``."""

from ectopy.criteria import CRITERIA, bounds, meaning, toml_value

INTRODUCTION = """\
# Criteria

The rules that a reader can change, made from `ectopy.criteria`. [Change the criteria](../how-to/criteria.md)
says how. Rules that are no choice of a reader are in `ectopy.rhythm.limits`.

| criterion | default | values | what it decides |
|---|---|---|---|"""


def main() -> None:
    """Print the table."""
    print(INTRODUCTION)
    for name, criterion in CRITERIA.items():
        print(f"| `{name}` | {toml_value(criterion.default)} | {bounds(name)} | {meaning(name)} |")


if __name__ == "__main__":
    main()
