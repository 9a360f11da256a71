"""CPU per request as bars, one group for each section, drawn as SVG: readable in light and dark, without a script."""

from html import escape

WIDTH, LEFT, RIGHT = 900, 250, 180
BAR, GAP, HEAD = 18, 8, 34

STYLE = """
    text { font: 13px system-ui, sans-serif; fill: #1f2328; }
    .head { font-weight: 600; }
    .bar { fill: #8c959f; } .vidgate { fill: #2f6fdb; }
    .whisker { stroke: #1f2328; stroke-width: 1.5; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .bar { fill: #6e7681; } .vidgate { fill: #5b9bff; }
      .whisker { stroke: #e6edf3; }
    }
"""


def draw(groups):
    """`groups`: a heading, then rows of label, Spread and whether it is vidgate's. Each has a scale of its own."""
    parts, y = [], 10
    for heading, rows in groups:
        y += HEAD
        parts.append(f'<text class="head" x="10" y="{y - 10}">{escape(heading)}</text>')
        scale = (WIDTH - LEFT - RIGHT) / max(spread.high for _, spread, _ in rows)
        for label, spread, ours in rows:
            parts += bar(y, label, spread, ours, scale)
            y += BAR + GAP
    title = "CPU time per request in microseconds: median, least and most of the rounds. Less is better."
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y + 10}" width="{WIDTH}" role="img">\n'
            f"  <title>{title}</title>\n  <style>{STYLE}  </style>\n  " + "\n  ".join(parts) + "\n</svg>\n")


def bar(y, label, spread, ours, scale):
    middle, text_y = y + BAR / 2, y + BAR - 5
    low, high = LEFT + spread.low * scale, LEFT + spread.high * scale
    yield f'<text x="{LEFT - 8}" y="{text_y}" text-anchor="end">{escape(label)}</text>'
    yield (f'<rect class="{"vidgate" if ours else "bar"}" x="{LEFT}" y="{y}" width="{spread.median * scale:.1f}" '
           f'height="{BAR}" rx="2"/>')
    if low < high:
        ends = "".join(f"M{at:.1f} {middle - 4}v8" for at in (low, high))
        yield f'<path class="whisker" d="M{low:.1f} {middle}H{high:.1f}{ends}"/>'
    yield f'<text x="{high + 8:.1f}" y="{text_y}">{spread.text(1)}</text>'
