"""Extension of Griffe: docstrings as the site shows them.

Docstrings use roles of Sphinx, such as ``:func:``. They describe what a function returns and do not repeat
the type. Here the roles become links, and the type is taken from the signature.
"""

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:class|func|meth|mod|attr|data|exc|obj):`(~?)([\w.]+)`")
RETURNS = re.compile(r"^(Returns|Yields)\n-+\n(?P<body>.*?)(?=^\w[\w ]*\n-+\n|\Z)", re.DOTALL | re.MULTILINE)


class PlainDocstrings(griffe.Extension):
    """Rewrite each docstring once it is read."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is None:
            return
        text = obj.docstring.value
        if isinstance(obj, griffe.Function) and obj.returns is not None:
            annotation = str(obj.returns)
            text = RETURNS.sub(lambda match: with_type(match, annotation), text)
        module = obj.path if isinstance(obj, griffe.Module) else obj.module.path
        obj.docstring.value = ROLE.sub(lambda match: link(match, module), text)


def with_type(match: re.Match[str], annotation: str) -> str:
    """Return a section Returns that has the type on one line and the description below."""
    body = match["body"].rstrip()
    lines = body.splitlines()
    if any(line.startswith(" ") for line in lines):
        return match[0]  # it names types or several results already
    described = "\n".join(f"    {line}" if line else "" for line in lines)
    return f"{match[1]}\n{'-' * len(match[1])}\n{annotation}\n{described}\n\n"


def link(match: re.Match[str], module: str) -> str:
    """Return a role as a link, where the site has its target."""
    short, name = match.groups()
    target = name if name.startswith("ectopy") else f"{module}.{name}"
    shown = name.rpartition(".")[2] if short else name
    return f'<autoref identifier="{target}" optional><code>{shown}</code></autoref>'
