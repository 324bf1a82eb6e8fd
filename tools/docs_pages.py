"""Hook of MkDocs: the pages that are made from code, so that they cannot be out of date.

The commands, the settings, the features and the Python API are read from the package. The tutorials are the
notebooks with the outputs that are stored in them. CONTRIBUTING.md and CHANGELOG.md are shown as they are.
"""

import ast
import base64
import json
import pkgutil
import posixpath
import re
from collections.abc import Iterator, Mapping
from enum import Enum
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any, get_args, get_type_hints

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = ROOT / "notebooks"
PACKAGE_ORDER = (
    "readers",
    "signal",
    "beats",
    "features",
    "model",
    "rhythm",
    "live",
    "ec57",
    "report",
    "batch",
    "streaming",
    "parallel",
    "datasets",
    "evaluation",
    "ablation",
    "monitoring",
    "registry",
    "flows",
)
WITHOUT_API = {"cli", "__main__", "qrs"}  # the commands have a page of their own; qrs is an old address
VALUE_NAMES = {int: "N", float: "NUMBER", Path: "PATH"}
# Files of the repository that are pages of the site, or from which a page is made, with its address.
REPOSITORY_PAGES = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "deploy/README.md": "how-to/several-machines.md",
}
MADE_PAGES = {
    "src/ectopy/__init__.py": "reference/api/index.md",
    "src/ectopy/cli/__init__.py": "reference/cli.md",
    "src/ectopy/features/extraction.py": "reference/features.md",
    "src/ectopy/settings.py": "reference/settings.md",
}


TOP_LEVEL = """\
::: ectopy.{home}.{name}
    options:
      heading_level: 3
      show_root_full_path: false
"""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """List the pages of the API in the navigation, below "Python API"."""
    pages = [{name: f"reference/api/{name}.md"} for name in api_names()]
    for section in config.nav or ():
        for entry in section.get("Reference", ()):
            if "Python API" in entry:
                entry["Python API"] += pages
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the generated pages to the files of the site."""
    for address, content in generated_pages():
        files.append(File.generated(config, address, content=content))
    return files


def on_page_markdown(markdown: str, *, page: Page, **_: object) -> str:
    """Point the links of a page of ``docs`` to pages of the site.

    In ``docs`` a link to a page that the build makes names the file from which it is made. So it leads
    somewhere in a clone and on a code host too.
    """
    address = page.file.src_uri
    return markdown if page.file.generated_by else links_in_site(markdown, f"docs/{address}", address)


def generated_pages() -> Iterator[tuple[str, str | bytes]]:
    """Yield the address and the content of each generated page and image."""
    yield "reference/cli.md", cli_page()
    yield "reference/settings.md", settings_page()
    yield "reference/features.md", features_page()
    yield from api_pages()
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        yield from tutorial(path)
    for source, address in REPOSITORY_PAGES.items():
        yield address, links_in_site((ROOT / source).read_text(encoding="utf-8"), source, address)


def links_in_site(text: str, source: str, address: str) -> str:
    """Rewrite the links of a file of the repository, so that they hold at its address in the site.

    A link to a file that is not part of the site becomes its name.
    """

    def link(match: re.Match[str]) -> str:
        title, target, anchor = match.groups()
        if ":" in target or not target:
            return match[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if page := page_of(path):
            return f"[{title}]({posixpath.relpath(page, posixpath.dirname(address) or '.')}{anchor})"
        return f"`{path}`"

    return re.sub(r"\[([^\]]+)\]\(([^)\s#]*)((?:#[^)\s]*)?)\)", link, text)


def page_of(path: str) -> str | None:
    """Return the address of the page that a file of the repository is, or from which it is made."""
    parts = Path(path).with_suffix("").parts
    if parts[0] == "docs":
        return path.removeprefix("docs/")
    if parts[0] == "notebooks":
        return f"tutorials/{parts[-1]}.md"
    if address := (REPOSITORY_PAGES | MADE_PAGES).get(path):
        return address
    return f"reference/api/{parts[2]}.md" if parts[:2] == ("src", "ectopy") else None


def cli_page() -> str:
    """Return the page of all commands, read from the Typer app."""
    import typer.main

    from ectopy.cli import app

    root = typer.main.get_command(app)
    lines = [
        "# Commands",
        "",
        "This page is generated from the code. Each command prints the same text with `--help`.",
        "",
        "| command | purpose |",
        "|---|---|",
    ]
    commands = list(walk_commands(root, "ectopy"))
    for name, command in commands:
        anchor = name.replace(" ", "-")
        lines.append(f"| [`{name}`](#{anchor}) | {first_paragraph(command.help)} |")
    for name, command in commands:
        lines += ["", f"## {name}", "", (command.help or "").strip(), "", *usage(name, command)]
    return "\n".join(lines) + "\n"


def walk_commands(command: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Yield each command that is not hidden, with its full name."""
    if subcommands := getattr(command, "commands", None):
        for title, subcommand in subcommands.items():
            if not subcommand.hidden:
                yield from walk_commands(subcommand, f"{name} {title}")
    else:
        yield name, command


def usage(name: str, command: Any) -> list[str]:
    """Return the usage line of one command and the table of its arguments and options."""
    hints = get_type_hints(command.callback)
    parameters = [each for each in command.params if not getattr(each, "hidden", False)]
    arguments = [each for each in parameters if each.param_type_name == "argument"]
    options = [each for each in parameters if each.param_type_name == "option" and each.name != "help"]
    words = [name, *("[OPTIONS]" if options else "",), *(argument_name(each) for each in arguments)]
    lines = ["```text", " ".join(word for word in words if word), "```"]
    if parameters:
        lines += ["", "| parameter | description | default |", "|---|---|---|"]
    for each in (*arguments, *options):
        is_argument = each.param_type_name == "argument"
        title = argument_name(each) if is_argument else option_name(each, hints.get(each.name, str))
        text = (getattr(each, "help", "") or "").replace("|", "\\|")
        lines.append(f"| `{title}` | {text} | {default_of(each)} |")
    return lines


def argument_name(parameter: Any) -> str:
    """Return how the usage line names an argument."""
    return str(parameter.metavar or parameter.name.upper())


def option_name(parameter: Any, hint: Any) -> str:
    """Return an option with the kind of its value, from the type that its command declares."""
    types = [each for each in (get_args(hint) or (hint,)) if each is not type(None)]
    first = types[0] if types and isinstance(types[0], type) else str
    if first is bool:
        return str(parameter.opts[0])
    if parameter.metavar:
        value = str(parameter.metavar)
    elif issubclass(first, Enum):
        value = "/".join(str(choice.value) for choice in first)
    else:
        value = VALUE_NAMES.get(first, "TEXT")
    return f"{parameter.opts[0]} {value}"


def default_of(parameter: Any) -> str:
    """Return the default of a parameter for the table."""
    if parameter.required:
        return "required"
    default = getattr(parameter.default, "value", parameter.default)
    if default in {None, False, ""} or callable(default) or "Sentinel" in type(default).__name__:
        return ""
    return f"`{default}`"


def first_paragraph(text: str | None) -> str:
    """Return the first paragraph of a help text on one line."""
    return " ".join((text or "").strip().split("\n\n")[0].split())


def settings_page() -> str:
    """Return the page of all settings, read from :class:`ectopy.settings.Settings`."""
    from ectopy.settings import Settings

    notes = attribute_docstrings(ROOT / "src/ectopy/settings.py", "Settings")
    lines = [
        "# Settings",
        "",
        "This page is generated from `ectopy.settings`. Settings are environment variables. Flows and",
        "commands read them; the Python API does not. A misspelt `ECTOPY_...` variable is an error.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        variable = f"ECTOPY_{name.upper()}"
        aliases = getattr(field.validation_alias, "choices", ())
        others = [f"`{alias}`" for alias in aliases if alias != variable]
        default = "number of cores" if field.default_factory else field.default
        shown = "" if default is None else f"`{default}`" if not field.default_factory else default
        meaning = " ".join((field.description or notes.get(name, "")).split())
        also = f" {', '.join(others)} is accepted too." if others else ""
        lines.append(f"| `{variable}` | {shown} | {meaning}{also} |")
    return "\n".join(
        [
            *lines,
            "",
            "Prefect has settings of its own, such as `PREFECT_API_URL`. [Operations](../operations.md)",
            "describes how the settings of the inbox work together.",
            "",
        ]
    )


def attribute_docstrings(path: Path, class_name: str) -> dict[str, str]:
    """Return the string below each attribute of a class."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == class_name)
    notes = {}
    for before, node in pairwise(body):
        is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if is_text and isinstance(before, ast.AnnAssign) and isinstance(before.target, ast.Name):
            notes[before.target.id] = str(node.value.value)
    return notes


def features_page() -> str:
    """Return the page of all features, read from :mod:`ectopy.features.extraction`."""
    from ectopy.features import extraction

    names: tuple[str, ...] = extraction.FEATURE_NAMES
    descriptions: Mapping[str, str] = getattr(extraction, "FEATURES", dict.fromkeys(names, ""))
    lines = [
        "# Features",
        "",
        "This page is generated from `ectopy.features.extraction`. The network reads",
        f"{len(descriptions)} numbers per beat, in this order. All of them are relative to the patient.",
        "A feature of a lead is 0 where that lead cannot be read.",
        "",
        "| # | feature | meaning |",
        "|---|---|---|",
    ]
    for number, (name, text) in enumerate(descriptions.items(), 1):
        lines.append(f"| {number} | `{name}` | {' '.join(text.split())} |")
    return "\n".join(lines) + "\n"


def api_pages() -> Iterator[tuple[str, str]]:
    """Yield a page for the top level of the package, and one for each package and module in it."""
    rows = []
    for name in api_names():
        if module := api_module(f"ectopy.{name}"):
            yield f"reference/api/{name}.md", "\n".join(module)
            rows.append(f"| [`ectopy.{name}`]({name}.md) | {summary_of(f'ectopy.{name}')} |")
    yield (
        "reference/api/index.md",
        "\n".join(
            [
                "# Python API",
                "",
                "The names that can be imported from `ectopy` itself are the public interface. The packages",
                "below are documented for contributors. They may change between minor versions.",
                "",
                "| package | content |",
                "|---|---|",
                *rows,
                "",
                "## ectopy",
                "",
                *(TOP_LEVEL.format(home=home, name=name) for home, name in top_level_names()),
            ]
        ),
    )


def api_names() -> list[str]:
    """Return the packages and modules of ectopy in the order of the pipeline, then of the alphabet."""
    names = {module.name for module in pkgutil.iter_modules([str(ROOT / "src/ectopy")])} - WITHOUT_API
    return [*(name for name in PACKAGE_ORDER if name in names), *sorted(names - {*PACKAGE_ORDER})]


def top_level_names() -> list[tuple[str, str]]:
    """Return the module and the name of each object that ``ectopy`` exports."""
    import ectopy

    objects = dict.fromkeys(getattr(ectopy, name) for name in ectopy.__all__)  # an alias counts once
    functions_first = sorted(objects, key=lambda each: isinstance(each, type))
    return [
        (each.__module__.removeprefix("ectopy."), each.__name__)
        for each in functions_first
        if not isinstance(each, ModuleType)
    ]


def api_module(name: str) -> list[str]:
    """Return the lines of the page of one package or module."""
    modules = [name, *submodules(name)]
    lines = []
    exported: dict[str, list[str]] = {}
    for home, each in top_level_names():
        exported.setdefault(f"ectopy.{home}", []).append(each)
    for module in modules:
        lines += [f"::: {module}", "    options:", f"      heading_level: {1 if module == name else 2}"]
        if shown_above := exported.get(module):
            lines.append(f'      filters: ["!^_", "!^({"|".join(shown_above)})$"]')
            listed = ", ".join(f"[`{each}`][{module}.{each}]" for each in sorted(shown_above))
            lines += ["", f"{listed}: see [`ectopy`](index.md#ectopy)."]
        lines.append("")
    return lines


def submodules(name: str) -> Iterator[str]:
    """Yield the public modules inside a package, at any depth; files that it only ships are none."""
    folder = ROOT / "src" / Path(*name.split("."))
    for path in sorted(folder.rglob("*.py")) if folder.is_dir() else ():
        if not (path.parent / "__init__.py").exists():
            continue
        inside = path.relative_to(ROOT / "src").with_suffix("")
        parts = inside.parts[:-1] if inside.name == "__init__" else inside.parts
        if len(parts) > name.count(".") + 1 and not any(part.startswith("_") for part in parts):
            yield ".".join(parts)


def summary_of(name: str) -> str:
    """Return the first sentence of the docstring of a module, without importing what it imports."""
    path = ROOT / "src" / Path(*name.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    docstring = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return first_paragraph(docstring).replace("``", "`")


def tutorial(path: Path) -> Iterator[tuple[str, str | bytes]]:
    """Yield a notebook as a page, with its stored outputs, and the images on it."""
    notebook = json.loads(path.read_text(encoding="utf-8"))
    lines = []
    for number, cell in enumerate(notebook["cells"]):
        source = "".join(cell["source"]).strip()
        if cell["cell_type"] == "markdown":
            lines += [source, ""]
            continue
        if source:
            lines += ["```python", source, "```", ""]
        for position, output in enumerate(cell.get("outputs", [])):
            data = output.get("data", {})
            if "image/png" in data:
                image = f"{path.stem}-{number}-{position}.png"
                yield f"tutorials/{image}", base64.b64decode("".join(data["image/png"]))
                lines += [f"![Output of the code above]({image})", ""]
            elif text := "".join(output.get("text", data.get("text/plain", ""))).strip("\n"):
                lines += ["```{ .text .output }", text, "```", ""]
    note = f"This page is the executed notebook `notebooks/{path.name}`. Run it with Jupyter to change it."
    lines.insert(1, f"\n{note}\n")
    yield f"tutorials/{path.stem}.md", with_title_first("\n".join(lines), note)


def with_title_first(text: str, note: str) -> str:
    """Return a page with the note below its title."""
    text = text.replace(f"\n{note}\n", "", 1)
    title, _, rest = text.partition("\n")
    return f"{title}\n\n{note}\n{rest}"
