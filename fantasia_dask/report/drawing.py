"""Figures as files, and as a part of a page that has colours and letters of its own."""

from __future__ import annotations

import io
import re
import warnings
from pathlib import Path
from typing import TYPE_CHECKING
from xml.etree import ElementTree

from .canvas import HEADING, HEADING_INCHES

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["inlined", "write_drawing"]

SVG = "{http://www.w3.org/2000/svg}"
DRAWN = {
    f"{SVG}{name}" for name in ("g", "path", "text", "tspan", "use", "defs", "clipPath", "rect", "pattern", "image")
}
HREF = "{http://www.w3.org/1999/xlink}href"
DOTS_PER_INCH = 200
POINTS_PER_INCH = 72


def write_drawing(figure: Figure, folder: Path, name: str, title: str) -> str:
    """Write a figure as ``<name>.svg``, which bears a title, and ``<name>.png``; return the SVG.

    Equal figures give equal bytes.
    """
    from ..run_folder import aside, write_aside

    with warnings.catch_warnings():
        # A name in a script that the font lacks shows as boxes in the PNG alone.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        text = io.StringIO()
        about = {"Title": title, "Date": None, "Creator": None}
        figure.savefig(text, format="svg", facecolor="white", metadata=about)
        pixels = io.BytesIO()
        figure.savefig(pixels, format="png", facecolor="white", dpi=DOTS_PER_INCH, metadata={"Software": None})
    write_aside(folder / f"{name}.svg", text.getvalue())
    with aside(folder / f"{name}.png") as partial:
        partial.write_bytes(pixels.getvalue())
    return text.getvalue()


def inlined(svg: str, name: str, title: str, colours: dict[str, str]) -> str:
    """Turn an SVG into a part of a page.

    Parameters
    ----------
    svg : str
        As matplotlib writes it.
    name : str
        Put before the ids, which must be distinct within the page.
    title : str
        What a screen reader says.
    colours : dict of str to str
        Colours to replace, by names of CSS for instance, so that they follow the page from light to dark.

    Returns
    -------
    str
        An ``svg`` element without style sheets and style attributes, which the page's content security policy
        forbids, without the white background, and without the heading that its files have (`canvas.headed`).
    """
    root = ElementTree.fromstring(svg.partition("<svg")[1] + svg.partition("<svg")[2])  # noqa: S314 (written by matplotlib just now)
    referenced = set(re.findall(r"#([\w-]+)", svg))
    for parent in list(root.iter()):
        for child in list(parent):
            if child.tag not in DRAWN or child.get("id", "").startswith(HEADING):
                parent.remove(child)
    background = root.find(f".//{SVG}g[@id='patch_1']")
    if background is not None:
        background.clear()
    for element in root.iter():
        element.attrib = _attributes(element.attrib, name, referenced, colours)
        element.tag = element.tag.removeprefix(SVG)
        element.tail = None
        if element.text is not None and not element.text.strip():
            element.text = None
    left, top, width, height = map(float, root.attrib["viewBox"].split())
    cut = POINTS_PER_INCH * HEADING_INCHES
    box = f"{left:g} {top + cut:g} {width:g} {height - cut:g}"
    root.attrib = {"viewBox": box, "role": "img", "aria-label": title, "class": "drawing"}
    return ElementTree.tostring(root, encoding="unicode")


def _attributes(given: dict[str, str], name: str, referenced: set[str], colours: dict[str, str]) -> dict[str, str]:
    """Return attributes with declarations of style among them, distinct ids, and the colours of the page."""
    attributes: dict[str, str] = {}
    for key, value in given.items():
        if key == "style":
            attributes |= _declarations(value)
        elif key == "id":
            if value in referenced:
                attributes["id"] = f"{name}-{value}"
        elif key == HREF:
            attributes["href"] = f"#{name}-{value[1:]}"
        else:
            attributes[key] = re.sub(r"url\(#([\w-]+)\)", rf"url(#{name}-\1)", value)
    for key in ("fill", "stroke"):
        value = attributes.get(key, "")
        attributes.update({key: colours[value]} if value in colours else {})
        if value.startswith("url(#") and not value.startswith(f"url(#{name}-"):
            attributes[key] = f"url(#{name}-{value[5:]}"
    return attributes


def _declarations(style: str) -> dict[str, str]:
    """Return the declarations of a style attribute; ``font`` is taken apart, and its family left to the page."""
    found: dict[str, str] = {}
    for declaration in style.split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key == "font":
            size = re.search(r"([\d.]+)px", value)
            found |= {"font-size": size[1]} if size else {}
        elif key and not key.startswith("font-family"):
            found[key] = value.removesuffix("px") if key == "font-size" else value
    return found
