"""The frame of a report that people read: one HTML file that needs nothing from elsewhere.

Style and small pieces alone, for screens in light and dark, and for paper. What a report says is
``ml.drift_report`` and ``ml.performance_page``. No script, no font, no picture is fetched; what
data supplies is escaped by whoever puts it in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from html import escape
from typing import Final

STYLE: Final = """
:root{color-scheme:light dark;--ink:#1d2126;--soft:#5a626c;--line:#dde1e6;--paper:#fff;
--tint:#f5f6f8;--b0:#7d9cc0;--b1:#e08a4f;--bad:#b3261e;--bad-tint:#fdf1ef;--good:#1b6e3c;
--good-tint:#eef7f1;--open:#7a5c00;--open-tint:#fbf6e6}
@media screen and (prefers-color-scheme:dark){:root{--ink:#e4e7eb;--soft:#9aa3ad;--line:#353b43;
--paper:#15181c;--tint:#1d2126;--b0:#5c82b0;--b1:#d9803f;--bad:#ff8a80;--bad-tint:#2b1c1b;
--good:#7fcf9b;--good-tint:#18261e;--open:#e2c15c;--open-tint:#282313}}
*{box-sizing:border-box}
body{font:14px/1.45 system-ui,-apple-system,"Segoe UI",sans-serif;color:var(--ink);
background:var(--paper);max-width:66rem;margin:0 auto;padding:1.6rem 1.2rem 3rem}
h1{font-size:1.35rem;line-height:1.25;margin:0 0 .9rem}
h2{font-size:1.05rem;margin:2rem 0 .5rem;border-bottom:1px solid var(--line);padding-bottom:.25rem}
h3{font-size:.95rem;margin:0;display:inline}
a{color:inherit}p{margin:.3rem 0}ol,ul{margin:.3rem 0;padding-left:1.3rem}
.verdict{border-left:5px solid var(--open);background:var(--open-tint);padding:.7rem 1rem}
.verdict.bad{border-color:var(--bad);background:var(--bad-tint)}
.verdict.good{border-color:var(--good);background:var(--good-tint)}
.verdict p:first-child{font-size:1.05rem;font-weight:600;margin-top:0}
.w{font-weight:600;white-space:nowrap}.w.bad{color:var(--bad)}.w.good{color:var(--good)}
.w.open{color:var(--open)}
.soft,caption{color:var(--soft)}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem;margin:.6rem 0}
dt{color:var(--soft)}dd{margin:0;overflow-wrap:anywhere}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}
caption{text-align:left;padding:.2rem 0}
th,td{padding:.2rem .6rem .2rem 0;text-align:left;vertical-align:top;
border-bottom:1px solid var(--line)}
thead th{color:var(--soft);font-weight:500;white-space:nowrap}
tbody th{font-weight:500;overflow-wrap:break-word;min-width:7rem;max-width:22rem}
.n{text-align:right;white-space:nowrap}
section.c{border-top:1px solid var(--line);padding:.7rem 0 .9rem;break-inside:avoid}
h2+section.c,h2+p+section.c{border-top:0;padding-top:0}section.c tbody th{white-space:nowrap}
section.c .soft{font-size:.9em}h2+p{margin-bottom:.8rem}
section.c .two{display:grid;grid-template-columns:minmax(0,640px) minmax(17rem,1fr);gap:1.4rem;
align-items:start;margin-top:.45rem}
@media screen and (max-width:58rem){section.c .two{grid-template-columns:minmax(0,1fr)}}
figure{margin:0}figcaption{display:flex;color:var(--soft);font-size:.85em}
figcaption span{flex:1;white-space:nowrap}
.key{display:inline-block;width:.7em;height:.7em;margin-right:.35em}
.k0{background:var(--b0)}.k1{background:var(--b1)}
svg{display:block;width:100%;height:auto;max-width:640px;overflow:visible}
svg text{font:11px system-ui,sans-serif;fill:var(--soft)}svg .e{text-anchor:end}
svg .m{text-anchor:middle}svg .i{font-style:italic}
.b0{fill:var(--b0)}.b1{fill:var(--b1)}.l0{fill:none;stroke:var(--ink);stroke-width:1}
.ax{stroke:var(--line);fill:none}.lim{stroke:var(--bad);stroke-dasharray:4 3;fill:none}
.dot{fill:var(--ink)}.dot.bad{fill:var(--bad)}.iv{stroke:var(--ink);fill:none}
.meter{display:inline-block;width:4.5rem;height:.55em;background:var(--tint);
outline:1px solid var(--line);position:relative}
.meter i{position:absolute;inset:0 auto 0 0;background:var(--b0)}
.meter.bad i{background:var(--bad)}
@media print{@page{margin:14mm}body{max-width:none;padding:0;font-size:9pt}
h1{font-size:15pt}h2{font-size:11.5pt;margin-top:1.2rem}h3{font-size:10pt}
section.c{padding:.4rem 0}section.c table,figcaption,section.c .soft{font-size:8pt}
th,td{padding:.1rem .5rem .1rem 0}svg text{font-size:14px}
.scroll{overflow:visible}a{text-decoration:none}thead{display:table-header-group}
tr{break-inside:avoid}h2{break-after:avoid}
section.c .two{grid-template-columns:minmax(0,5fr) minmax(0,4fr);gap:1rem}
*{-webkit-print-color-adjust:exact;print-color-adjust:exact}}
"""


def page(title: str, body: Iterable[str]) -> str:
    """A whole document.

    Args:
        title: Its heading, not escaped yet.
        body: What comes below it, as HTML.
    """
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            (
                '<meta http-equiv="Content-Security-Policy" '
                "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
            ),
            f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main>",
            f"<h1>{escape(title)}</h1>",
            *body,
            "</main></body></html>",
            "",
        ]
    )


def facts_list(facts: Mapping[str, str]) -> str:
    """Names with their texts."""
    rows = "".join(f"<dt>{escape(key)}</dt><dd>{escape(text)}</dd>" for key, text in facts.items())
    return f"<dl>{rows}</dl>"


def table(caption: str, headings: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """A table; the first cell of a row is its heading.

    Args:
        caption: What it shows, not escaped yet; may be empty.
        headings: One per column; ``>`` in front of those that hold numbers.
        rows: Cells as HTML.
    """
    numbers = [heading.startswith(">") for heading in headings]
    yield '<div class="scroll"><table>'
    if caption:
        yield f"<caption>{escape(caption)}</caption>"
    yield "<thead><tr>"
    for heading in headings:
        mark = ' class="n"' if heading.startswith(">") else ""
        yield f'<th scope="col"{mark}>{escape(heading.removeprefix(">"))}</th>'
    yield "</tr></thead><tbody>"
    for row in rows:
        cells = [f'<th scope="row">{row[0]}</th>']
        for cell, number in zip(row[1:], numbers[1:], strict=True):
            cells.append(f'<td class="n">{cell}</td>' if number else f"<td>{cell}</td>")
        yield f"<tr>{''.join(cells)}</tr>"
    yield "</tbody></table></div>"


def probability(value: float) -> str:
    """A p-value; what is less than a double can say well is said to be less."""
    if value < 1e-6:  # noqa: PLR2004 - of interest to nobody how much
        return "&lt; 1e-6"
    return f"{value:.2g}" if value < 0.1 else f"{value:.2f}"  # noqa: PLR2004
