"""Check the prose of the project: ``uv run python tools/prose.py [PATH...]``, by default everything.

The rules are in docs/writing.md. Docstrings begin with a verb of the list. Error messages state the problem
and not "X expected, Y came". Words of the list below are not used. Sentences have at most 25 words. In
``src``, a public function
with more than one parameter has the numpydoc sections Parameters and Returns. A line with
``prose: ok`` is left alone.
"""

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAX_WORDS = 25
BAD_OPENINGS = ("Give", "Gives", "Tell", "Tells", "Say", "Says", "Let", "Lets", "Lay", "Know")
# What to write instead; docs/glossary.md defines the terms.
WORDS = {
    r"of it all": "of all of it",
    r"by the clock": "wall time",
    r"told by": "detected by",
    r"the road": "the pipeline",
    r"made patients?": "augmented patients",
    r"kinds of networks?": "architectures",
    r"openings? of DS2": "test-set access",
    r"one man": "the same patient",
    r"(?:is|are) learned from": "is used for training",
    r"\bkin\b": "similar beats",
    r"\bunsure\b": "low confidence",
    r"\bhurried\b|\bunhurried\b": "premature, non-premature",
    r"\blessons?\b": "training record",
    r"\breckon(?:ed|s)?\b": "compute",
    r"\bstretch(?:es)?\b": "interval",
    r"\bchapters?\b": "chunk",
    r"\bhither|thither|whither\b": "(plain words)",
    r"\bof use\b": "useful",
    r"\bborne?\b by\b": "(plain words)",
    r"\bto the letter\b": "exactly",
    r"\bsays? so\b": "reports it",
    r"\bin words\b": "(plain words)",
    r"\ball there is\b": "(plain words)",
    r"\bso long\b": "(plain words)",
    r"\bas it is\b": "unchanged",
    r"\bby hand\b(?= of)": "(plain words)",
}
ERROR = re.compile(r"expected\b.*\b(?:came|none there|not there)\b|\bnone there\b")
# What a reader module must offer is documented once, in ectopy.readers.Format.
DOCUMENTED_BY_THE_PROTOCOL = {"matches", "companion_files", "open_recording"}
# The changelog quotes old names. Commands write the other pages; their texts are checked in the code.
SKIPPED_DOCS = {
    *("CHANGELOG.md", "card.md", "model-card.md", "comparison.md", "benchmarks.md"),
    *("events.md", "databases.md"),
}


def problems(path: Path) -> Iterator[tuple[int, str]]:
    """Return the line and the message of each problem in a Python or Markdown file."""
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    found = [*python_problems(text)] if path.suffix == ".py" else [*markdown_problems(lines)]
    if path.suffix == ".py" and ROOT / "src" in path.parents and "cli" not in path.parts:
        found += section_problems(ast.parse(text))
    for line, message in found:
        if "prose: ok" not in lines[line - 1]:
            yield line, message


def python_problems(text: str) -> Iterator[tuple[int, str]]:
    """Return the problems of docstrings, comments and raised messages."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef | ast.Module):
            yield from docstring_problems(node)
        if isinstance(node, ast.Raise):
            texts = [part for part in ast.walk(node) if isinstance(part, ast.Constant)]
            for part in texts:
                if isinstance(part.value, str) and ERROR.search(part.value):
                    yield part.lineno, f"state the problem, then the remedy: {part.value.strip()!r}"
    for number, line in enumerate(text.splitlines(), 1):
        if match := re.search(r"(?:^|\s)# (.*)", line):
            yield from word_problems(number, match[1])


def docstring_problems(
    node: ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef | ast.Module,
) -> Iterator[tuple[int, str]]:
    """Return the problems of one docstring."""
    docstring = ast.get_docstring(node)
    if not docstring or not isinstance(node.body[0], ast.Expr):
        return
    line = node.body[0].lineno
    first = docstring.split(maxsplit=1)[0].rstrip(".,:")
    if not isinstance(node, ast.Module | ast.ClassDef) and first in BAD_OPENINGS:
        yield line, f"a docstring that starts with {first!r}: write Return, Compute, Find, Read or Write"
    prose = re.split(r"\n(?:Parameters|Returns|Examples|Raises|Yields|See Also|=)", docstring)[0]
    yield from text_problems(line, prose)


def section_problems(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Return the public functions whose parameters or result are not documented."""
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    for scope in [tree, *classes]:
        for node in scope.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                yield from missing_sections(node)


def missing_sections(node: ast.FunctionDef) -> Iterator[tuple[int, str]]:
    """Return what the sections of one function lack."""
    arguments = node.args
    names = [a.arg for a in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]]
    names = [name for name in names if name not in {"self", "cls"} and not name.startswith("_")]
    if len(names) < 2 or node.name in DOCUMENTED_BY_THE_PROTOCOL:
        return
    docstring = ast.get_docstring(node) or ""
    sections = re.search(r"^Parameters\n-+\n(.*?)(?=^\w+\n-+\n|\Z)", docstring, re.DOTALL | re.MULTILINE)
    documented = re.findall(r"^(\w[\w, ]*?)(?: *:.*)?$", sections[1], re.MULTILINE) if sections else []
    listed = {name.strip() for group in documented for name in group.split(",")}
    if missing := [name for name in names if name not in listed]:
        yield node.lineno, f"{node.name}: no numpydoc entry for {', '.join(missing)}"
    nothing = isinstance(node.returns, ast.Constant) and node.returns.value is None
    returns = node.returns is not None and not nothing and ast.unparse(node.returns) != "NoReturn"
    if returns and not re.search(r"^(Returns|Yields)\n-+$", docstring, re.MULTILINE):
        yield node.lineno, f"{node.name}: no numpydoc section Returns or Yields"


def markdown_problems(lines: list[str]) -> Iterator[tuple[int, str]]:
    """Return the problems of the running text of a page; code and tables have no sentences."""
    paragraph: list[str] = []
    start, fenced = 1, False
    for number, line in enumerate([*lines, ""], 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        table = line.lstrip().startswith("|")
        breaks = line.lstrip().startswith(("```", "#", "<", "!", "* ", "- ", "|"))
        if fenced or breaks or not line.strip():
            yield from text_problems(start, without_code("\n".join(paragraph)))
            paragraph, start = [], number + 1
            if line.lstrip().startswith(("* ", "- ")):
                paragraph, start = [line.lstrip()[2:]], number
            elif table:
                yield from word_problems(number, without_code(line))
            continue
        if not paragraph:
            start = number
        paragraph.append(line)


def without_code(text: str) -> str:
    """Return a text with X for each piece of code: names of the code are not prose."""
    return re.sub(r"`[^`]*`", "X", text)


def text_problems(line: int, text: str) -> Iterator[tuple[int, str]]:
    """Return the long sentences and the words of the list in a running text."""
    yield from word_problems(line, text)
    plain = re.sub(r"``[^`]*``|`[^`]*`|\[([^\]]*)\]\([^)]*\)|:\w+:`[^`]*`", " X ", text)
    for sentence in re.split(r"(?<=[.!?:;])\s+|\n\s*\n", plain):
        n_words = len(re.findall(r"[A-Za-z][\w'-]*", sentence))
        if n_words > MAX_WORDS:
            yield line, f"a sentence of {n_words} words: {' '.join(sentence.split())[:70]}..."


def word_problems(line: int, text: str) -> Iterator[tuple[int, str]]:
    """Return the words of the list in a text."""
    for pattern, instead in WORDS.items():
        if match := re.search(pattern, text, re.IGNORECASE):
            yield line, f"{match[0]!r}: write {instead}"


def files(arguments: list[str]) -> Iterator[Path]:
    """Return the files to check."""
    for argument in arguments or ["src", "flows", "tools", "docs", "README.md", "CONTRIBUTING.md"]:
        path = ROOT / argument
        found = [path] if path.is_file() else [*sorted(path.rglob("*.py")), *sorted(path.rglob("*.md"))]
        yield from (file for file in found if file.name not in SKIPPED_DOCS)


def main() -> int:
    """Print the problems of the files; return 1 if there are any."""
    count = 0
    for path in files(sys.argv[1:]):
        for line, message in problems(path):
            print(f"{path.relative_to(ROOT)}:{line}: {message}")
            count += 1
    print(f"{count} problems")
    return int(bool(count))


if __name__ == "__main__":
    sys.exit(main())
