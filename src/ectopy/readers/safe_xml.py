"""Safe XML parser: limits on size, depth and elements, no entity declarations, nothing fetched."""

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
    """Tree builder that stops at a depth or a number of elements that no recording reaches."""

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
    """Return the local name of the first element; empty if the bytes are not XML."""
    text = head.decode(_WIDE.get(head[:2], "utf-8-sig"), errors="ignore").lstrip("\ufeff \t\r\n")
    position = 0
    while text.startswith(("<?", "<!"), position):
        end = _end(text, position)
        if end < 0:
            return ""
        position = end + len(text[end:]) - len(text[end:].lstrip())
    element = _FIRST_ELEMENT.match(text, position)
    return element[1] if element else ""


def _end(text: str, begin: int) -> int:
    """Find the end of a declaration, a comment or a document type; -1 if it has none."""
    mark = "-->" if text.startswith("<!--", begin) else ">"
    search_from = begin
    if text.startswith("<!DOCTYPE", begin) and 0 <= text.find("[", begin) < text.find(">", begin):
        search_from = max(text.find("]", begin), begin)
    position = text.find(mark, search_from)
    return position + len(mark) if position >= 0 else -1


def read_tree(path: Path) -> Element:
    """Read an XML file; entity declarations are refused, as they may be bombs or include other files."""
    content = read_whole(path, limit=_LARGEST)
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    try:
        parser = DefusedXMLParser(target=_Builder())
        parser.feed(content)
        root: Element = parser.close()
    except DefusedXmlException as error:
        raise UnreadableError(
            f"{path}: the XML declares entities, which is not allowed. Export the file without them."
        ) from error
    except (ParseError, LookupError, ValueError) as error:  # LookupError: an unknown encoding
        raise UnreadableError(
            f"{path}: not well-formed XML. The file may be damaged: copy or export it again."
        ) from error
    return root


def local(element: Element) -> str:
    """Return the name of an element without its namespace."""
    return str(element.tag).rpartition("}")[2]


def children(element: Element, *names: str) -> Iterator[Element]:
    """Yield the elements at the end of a path of local names: child, grandchild and so on."""
    if not names:
        yield element
        return
    for child in element:
        if local(child) == names[0]:
            yield from children(child, *names[1:])


def first(element: Element, *names: str) -> Element | None:
    """Return the first element that :func:`children` yields; None if there is none."""
    return next(children(element, *names), None)


def text_of(element: Element | None) -> str:
    """Return the text of an element, stripped; empty if there is none."""
    return (element.text or "").strip() if element is not None else ""


def finite(path: Path, text: str | None, what: str) -> float:
    """Return the number that a text stands for.

    Parameters
    ----------
    path
        File to name in the message.
    text
        The text, such as the value of an attribute.
    what
        What the number means, for the message.

    Returns
    -------
    A finite number.

    Raises
    ------
    UnreadableError
        The text is missing, not a number or not finite.
    """
    try:
        number = float(text or "")
    except ValueError:
        number = float("nan")
    if not abs(number) < 1e300:
        raise UnreadableError(
            f"{path}: the {what} is not a finite number. Correct it, or export the file again."
        )
    return number
