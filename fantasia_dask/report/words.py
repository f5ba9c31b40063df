"""Words and numbers as a report shows them."""

from __future__ import annotations

__all__ = ["counted", "label", "percent", "printable", "shortened"]


def printable(text: str) -> str:
    r"""Replace what cannot be shown, such as control characters and halves of surrogate pairs.

    Examples
    --------
    >>> printable("Homo\tsapiens\x00")
    'Homo sapiens�'
    """
    return "".join(
        c if c.isprintable() else " " if c.isspace() else "\N{REPLACEMENT CHARACTER}"
        for c in text.replace("\u2028", " ")
    )


def shortened(text: str, most: int) -> str:
    """Cut a text that is longer than `most` characters, with an ellipsis in the place of the rest.

    Examples
    --------
    >>> shortened("Saccharomyces cerevisiae", 10)
    'Saccharom…'
    """
    text = printable(text)
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def counted(n: int, one: str, more: str = "") -> str:
    """Name how many there are of something.

    Examples
    --------
    >>> counted(1, "protein"), counted(2_000, "protein"), counted(0, "other species", "other species")
    ('1 protein', '2,000 proteins', '0 other species')
    """
    return f"{n:,} {one if n == 1 else more or one + 's'}"


def label(space: tuple[str, int]) -> str:
    """Name an embedding space."""
    model, layer = space
    return f"{shortened(model, 40)} layer {layer}"


def percent(part: int, whole: int) -> str:
    """Return a share in percent: never 0 or 100 for what is not.

    Examples
    --------
    >>> percent(1, 3), percent(99_999, 100_000), percent(1, 100_000), percent(5, 5), percent(0, 0)
    ('33.3%', '>99.9%', '<0.1%', '100%', '–')
    """
    if not whole:
        return "–"
    if part in (0, whole):
        return "0%" if part == 0 else "100%"
    share = 100 * part / whole
    return "<0.1%" if share < 0.05 else ">99.9%" if share >= 99.95 else f"{share:.1f}%"
