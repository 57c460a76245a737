"""One HTML page that needs nothing but itself: pictures, styles and scripts lie in it, and no network is asked."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from matplotlib.figure import Figure

from ptychofold import __version__
from ptychofold.atomic import replacing

__all__ = ["Section", "facts_table", "figure_html", "page", "save_page"]

ASSETS = Path(__file__).parent / "assets"
FIGURE_DPI = 110
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'unsafe-inline'"
"""What a browser may load for the page: nothing from anywhere."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A part of the page."""

    title: str
    """Its heading, as text."""
    body: str
    """Its content, as HTML."""
    note: str = ""
    """How to read it, as text."""


def page(title: str, sections: Sequence[Section], *, subtitle: str = "") -> str:
    """Return the page.

    Parameters
    ----------
    title, subtitle
        Heading and the line below it, as text.
    sections
        In their order.

    Examples
    --------
    >>> page("scan", [Section(title="Facts", body="<p>none</p>")]).count("<section")
    1
    """
    links = "".join(f'<a href="#section-{i}">{escape(s.title)}</a>' for i, s in enumerate(sections))
    parts = "".join(
        f'<section id="section-{i}"><h2>{escape(s.title)}</h2>'
        + (f'<p class="note">{escape(s.note)}</p>' if s.note else "")
        + f"{s.body}</section>\n"
        for i, s in enumerate(sections)
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{_asset('report.css')}</style></head>\n<body>"
        f'<header><h1>{escape(title)}</h1><p class="note">{escape(subtitle)}</p><nav>{links}</nav></header>\n{parts}'
        f"<footer>made by ptychofold {escape(__version__)}</footer>"
        f"<script>{_asset('report.js')}</script></body></html>\n"
    )


def save_page(text: str, path: str | Path) -> Path:
    """Write the page, whole or not at all."""
    with replacing(path) as partial:
        partial.write_text(text, encoding="utf-8")
    return Path(path)


def figure_html(figure: Figure, *, caption: str) -> str:
    """Return a figure as an inline PNG with its caption."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=FIGURE_DPI)
    source = data_uri(buffer.getvalue(), "image/png")
    words = escape(caption, quote=True)
    return f'<figure><img src="{source}" alt="{words}"><figcaption>{words}</figcaption></figure>'


def facts_table(facts: Mapping[str, str]) -> str:
    """Return names and values as a table."""
    rows = "".join(f"<tr><th>{escape(name)}</th><td>{escape(value)}</td></tr>" for name, value in facts.items())
    return f"<table>{rows}</table>"


def data_uri(content: bytes, kind: str) -> str:
    """Return content as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")
