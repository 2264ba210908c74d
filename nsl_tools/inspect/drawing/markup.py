"""HTML and SVG as text, in which every text from outside is escaped unless it is `Markup`."""

from __future__ import annotations

from html import escape

from nsl_tools.errors import visible


class Markup(str):
    """Text that is markup already: it goes into an element as it is."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    r"""Return a text as markup that shows it.

    What cannot be seen, or turns the direction of what follows, is shown as Python writes it:
    `\x00`, `\u202e`.
    """
    return text if isinstance(text, Markup) else Markup(escape(visible(text)))


def element(name: str, *children: str, **attributes: str | float) -> Markup:
    """Return an element; it has an end tag, so that HTML and XML read it alike.

    Args:
        name: as it is written.
        children: texts, and elements made before.
        attributes: by their names, with `_` for `-`, and one more where Python takes the word
            (`class_`). Numbers are pixels, of which a tenth is enough.
    """
    written = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(_value(value))}"'
        for key, value in attributes.items()
    )
    return Markup(f"<{name}{written}>{joined(*children)}</{name}>")


def joined(*children: str) -> Markup:
    """Return texts and elements, one after the other."""
    return Markup("".join(map(escaped, children)))


def _value(value: str | float) -> str:
    return value if isinstance(value, str) else pixels(value)


def pixels(value: float) -> str:
    """Return a length or a place; never `-0`, which would depend on how it was found."""
    return f"{round(value, 1) + 0:.10g}"
