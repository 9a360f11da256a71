"""The results as Markdown, and the chart beside it."""

import chart
from goals import GOALS
from measure import Spread

LEFT_OUT = 30

HEADINGS = {
    "http1": ("HTTP/1.1", "wrk, {clients} keep-alive connections, as fast as they are answered."),
    "http2": ("HTTP/2", "h2load, 8 connections with 8 streams each; HTTP/1.1 to the upstream."),
    "tls": ("TLS to the upstream", "HTTP/1.1 from wrk with {clients} connections, HTTP/1.1 in TLS to the upstream, "
                                   "connections kept."),
    "half": ("Half the saturation load", "wrk, connections that ask independently of each other, about {rate} requests "
                                         "per second in all: half of what vidgate takes with the poll cache off."),
}


def markdown(results, facts, how, chart_file, when, took):
    """`how`: a Load and the number of rounds; `chart_file`: None where nothing was measured that it would show."""
    load, rounds = how
    parts = [
        f"# Load rig, {when:%Y-%m-%d}", "",
        f"Written by `make bench` at {when:%H:%M} UTC; it took {took / 60:.1f} min. Client, proxy and upstream shared "
        "the cores: compare figures within this page only. Access logs were off for all. "
        f"{rounds} rounds of {load.seconds:g} s, rows in turn; median [least–most]. "
        "[How it is measured](../README.md).", "",
        *table(["", ""], facts),
    ]
    if results.failures:
        parts += ["## Failures", "", "Requests failed, so these figures are not to be trusted:", "",
                  *(f"- {failure}" for failure in results.failures), ""]
    parts += ["## Goals", "", *table(["goal", "target", "measured", ""], verdicts(results))]
    if chart_file:
        parts += ["## CPU per request", "", f"![CPU time per request]({chart_file})", "",
                  f"What takes more than {LEFT_OUT} times the least is left out of the chart.", ""]
    for section, found in results.tables.items():
        heading, note = HEADINGS[section]
        rate = f"{results.rate:,.0f}" if results.rate else ""
        parts += [f"## {heading}", "", note.format(clients=load.clients, rate=rate), "", *costs(found)]
        if section == "half":
            parts += ["Added to a direct call, in microseconds:", "", *added(found)]
    if results.memory:
        parts += ["## Resident memory", "", *table(
            ["vidgate", "MB", "what"], [(m.title, f"{m.mb:,.0f}", m.detail) for m in results.memory.values()])]
    if results.growth:
        parts += ["## Growth", "", "CPU per request in microseconds with little and with much of something.", "",
                  *table(["", "little", "much", "growth"], [
                      (g.title, g.little.text(1), g.much.text(1), g.ratio.text()) for g in results.growth.values()])]
    return "\n".join(parts).rstrip() + "\n"


def table(head, rows):
    line = lambda cells: f"| {' | '.join(str(cell) for cell in cells)} |"
    return [line(head), line("---" for _ in head), *(line(row) for row in rows), ""]


def verdicts(results):
    return [(goal.text, goal.target(), *goal.judge(results)) for goal in GOALS]


def costs(found):
    """One row of the table for each row driven."""
    text = lambda spread, digits: spread.text(digits) if spread else ""
    middle = lambda spread: f"{spread.median:,.0f}" if spread else ""
    head = ["", "CPU µs/request", "by nginx", "by bare Pingora", "requests/s", "by bare Pingora", "p50 µs", "p99 µs",
            "p99.9 µs", "MB"]
    return table(head, [(
        row.title, text(found.spread(name, "cpu"), 1),
        text(found.ratio(name, "nginx", "cpu"), 2), text(found.ratio(name, "bare", "cpu"), 2),
        middle(found.spread(name, "per_second")), text(found.ratio(name, "bare", "per_second"), 2),
        *(middle(found.spread(name, what)) for what in ("p50", "p99", "p999", "memory")),
    ) for name, row in found.rows.items()])


def added(found):
    return table(["", "p50", "p99", "p99.9"], [
        (row.title, *(Spread.of(found.added(name, "direct", what)).text(0) for what in ("p50", "p99", "p999")))
        for name, row in found.rows.items() if name != "direct"])


def svg(results):
    """None if there is nothing to draw."""
    groups = []
    for section in ("http1", "http2", "tls"):
        found = results.tables.get(section)
        # Such a row would leave nothing of the other bars.
        rows = [(row.title.replace("`", ""), found.spread(name, "cpu"), row.title.startswith("vidgate"))
                for name, row in found.rows.items() if found.spread(name, "cpu")] if found else []
        least = min((spread.median for _, spread, _ in rows), default=0)
        rows = [row for row in rows if row[1].median <= LEFT_OUT * least]
        if rows:
            groups.append((f"{HEADINGS[section][0]}: CPU µs per request", rows))
    return chart.draw(groups) if groups else None
