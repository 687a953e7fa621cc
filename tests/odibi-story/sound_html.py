"""HTML as a strict reader sees it, for tests."""

from __future__ import annotations

from html.parser import HTMLParser

import attrs

VOID = {"meta", "link", "input", "br"}


@attrs.define
class Element:
    tag: str
    given: dict[str, str]
    path: tuple[str, ...]
    parts: list[str] = attrs.field(factory=list)

    @property
    def text(self) -> str:
        return "".join(self.parts)


class Reader(HTMLParser):
    """Elements of a document with their text; refuses tags that are not closed in the order they were opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[Element] = []
        self._open: list[Element] = []
        self.feed(text)
        self.close()
        assert not self._open, [each.tag for each in self._open]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attributes}) == len(attributes), f"<{tag}> says an attribute twice"
        element = Element(
            tag, {name: value or "" for name, value in attributes}, tuple(each.tag for each in self._open)
        )
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open[-1].tag == tag, f"</{tag}> closes <{self._open[-1].tag}>"
        self._open.pop()
        if tag in ("dt", "dd", "li", "td", "th", "p", "summary"):
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for each in self._open:
            each.parts.append(data)

    def all(self, tag: str) -> list[Element]:
        return [each for each in self.elements if each.tag == tag]


def squeezed(text: str) -> str:
    return " ".join(text.split())
