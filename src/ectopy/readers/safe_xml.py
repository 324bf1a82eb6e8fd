"""XML, safely: bounded in size, in depth and in elements, no entity but XML's own, nothing fetched."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError, TreeBuilder

from ectopy.ecg import UnreadableError
from ectopy.readers.validation import read_whole

_LARGEST = 2**27
_DEEPEST, _MOST_ELEMENTS = 200, 2_000_000
_WIDE = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"<\0": "utf-16-le", b"\0<": "utf-16-be"}
_FIRST_ELEMENT = re.compile(r"<(?:[\w.\-]{1,100}:)?([\w.\-]{1,100})")


class _Builder(TreeBuilder):
    """Builds a tree as long as it is no deeper and no larger than a recording's."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = self.n_elements = 0

    def start(self, tag: Any, attrs: Any, /) -> Element:
        self.depth += 1
        self.n_elements += 1
        if self.depth > _DEEPEST or self.n_elements > _MOST_ELEMENTS:
            raise ParseError(f"deeper than {_DEEPEST} or more than {_MOST_ELEMENTS} elements")
        return super().start(tag, attrs)

    def end(self, tag: Any, /) -> Element:
        self.depth -= 1
        return super().end(tag)


def root_name(head: bytes) -> str:
    """Give the local name of the first element of what may be XML; empty where it is none."""
    text = head.decode(_WIDE.get(head[:2], "utf-8-sig"), errors="ignore").lstrip("\ufeff \t\r\n")
    at = 0
    while text.startswith(("<?", "<!"), at):
        end = _end(text, at)
        if end < 0:
            return ""
        at = end + len(text[end:]) - len(text[end:].lstrip())
    found = _FIRST_ELEMENT.match(text, at)
    return found[1] if found else ""


def _end(text: str, at: int) -> int:
    """Find the end of a declaration, a comment or a document type; -1 where it has none."""
    mark = "-->" if text.startswith("<!--", at) else ">"
    begin = at
    if text.startswith("<!DOCTYPE", at) and 0 <= text.find("[", at) < text.find(">", at):
        begin = max(text.find("]", at), at)
    found = text.find(mark, begin)
    return found + len(mark) if found >= 0 else -1


def read_tree(path: Path) -> Element:
    """Parse a file of XML; refuse entities of its own (bombs, files from elsewhere) and what is no XML."""
    content = read_whole(path, limit=_LARGEST)
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    try:
        parser = DefusedXMLParser(target=_Builder())
        parser.feed(content)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise UnreadableError(f"{path}: XML without entities of its own expected, one came") from error
    except (ParseError, LookupError, ValueError) as error:  # LookupError: an encoding nobody knows
        raise UnreadableError(f"{path}: well-formed XML expected, something else came") from error
    return root


def local(element: Element) -> str:
    """Give the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def children(element: Element, *names: str) -> Iterator[Element]:
    """Walk down by local names: every child of the first name, of those every child of the second ..."""
    if not names:
        yield element
        return
    for child in element:
        if local(child) == names[0]:
            yield from children(child, *names[1:])


def first(element: Element, *names: str) -> Element | None:
    """Give the first that :func:`children` finds; None where there is none."""
    return next(children(element, *names), None)


def text_of(element: Element | None) -> str:
    """Give the text of an element without its ends; empty where there is none."""
    return (element.text or "").strip() if element is not None else ""


def finite(path: Path, text: str | None, what: str) -> float:
    """Read a number; refuse what is none, or beyond all bounds."""
    try:
        number = float(text or "")
    except ValueError:
        number = float("nan")
    if not abs(number) < 1e300:
        raise UnreadableError(f"{path}: a number expected as {what}, something else came")
    return number
