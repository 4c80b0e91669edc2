"""Docstrings as Markdown: doctests outside of a section of their own become code, and ``::`` before code a colon."""

import re
from typing import Any

import griffe

DOCTEST = re.compile(r"^( *)>>> .*(?:\n(?! *$).*)*", re.MULTILINE)
UNDERLINED = re.compile(r"^ *Examples\n *-+$", re.MULTILINE)


def as_markdown(text: str) -> str:
    """Return a docstring whose doctests stand in fences; in a section of examples they are code anyway."""
    found = UNDERLINED.search(text)
    head, tail = (text[: found.start()], text[found.start() :]) if found else (text, "")
    head = DOCTEST.sub(lambda match: f"{match[1]}```pycon\n{match[0]}\n{match[1]}```", head)
    return re.sub(r" ?::$", ":", head, flags=re.MULTILINE) + tail


class Doctests(griffe.Extension):
    """Rewrites every docstring as it is found."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of a module, class, function or attribute."""
        if obj.docstring:
            obj.docstring.value = as_markdown(obj.docstring.value)
