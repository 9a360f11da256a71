"""How the cost of a request grows with clients and with providers."""

from dataclasses import dataclass, replace

import memory
from measure import Row, Spread, Table, polls

FEW_CLIENTS = 64
QUICK_CLIENTS = 1000

# Seconds until all have connected, and what that held up is done: they are not counted.
FEW_LEAD, MANY_LEAD = 1, 10

# Such runs are long, so there are few of them.
ROUNDS, SECONDS = 3, 3

PROVIDERS = 50


@dataclass(frozen=True)
class Growth:
    """CPU per request with little and with much of something, and the one by the other."""

    title: str
    little: Spread
    much: Spread
    ratio: Spread
    # Whether it is as much as the goal asks for.
    full: bool = True

    @staticmethod
    def of(table, title, full=True, little="few", much="many"):
        return Growth(title, table.spread(little, "cpu"), table.spread(much, "cpu"),
                      table.ratio(much, little, "cpu"), full)


def measure(at, results):
    clients(at, results)
    providers(at, results)


def clients(at, results):
    """nginx's own growth is what the machine itself makes of so many connections."""
    many = QUICK_CLIENTS if at.quick else memory.both_sides(at.files)
    rows = at.gateways.rows("nginx", "off", "hot")
    variants = (("few", FEW_CLIENTS, FEW_LEAD), ("many", many, MANY_LEAD))
    table = Table([
        replace(row, name=f"{row.name}_{name}", title=f"{row.title}, {count:,} clients", clients=count, lead=lead)
        for row in rows for name, count, lead in variants])
    # What is under way at the end of a run is not counted, and with so many clients that is much: so a window is.
    load = replace(at.load, clients=many, seconds=min(at.load.seconds, SECONDS))
    table.drive(load, min(at.rounds, ROUNDS), at.say)
    results.blame("growth", table)
    nginx = table.ratios("nginx_many", "nginx_few", "cpu")
    for row in rows:
        words = f"clients, {FEW_CLIENTS} to {many:,}: {row.title}"
        own = Growth.of(table, words, not at.quick, f"{row.name}_few", f"{row.name}_many")
        results.growth[f"clients_{row.name}"] = own
        if row.name != "nginx":
            mine = table.ratios(f"{row.name}_many", f"{row.name}_few", "cpu")
            relative = Spread.of(ours / theirs for ours, theirs in zip(mine, nginx))
            results.growth[f"clients_{row.name}_relative"] = replace(
                own, title=f"{words}, by nginx's growth", ratio=relative)


def providers(at, results):
    """The same load on one provider, and spread over fifty, in processes with so many."""
    part = "base_url: 'http://$http/v1', poll: {cache: false}"
    fifty = {f"p{number}": part for number in range(PROVIDERS)}
    with at.house.vidgate("one-provider", {"p0": part}) as few, at.house.vidgate("providers", fifty) as many:
        spread = f"video_{{n}}:p{{n:{PROVIDERS}}}"
        table = Table([
            Row("few", "vidgate, 1 provider", polls(few.port, "video_{n}:p0"), few.pid),
            Row("many", f"vidgate, {PROVIDERS} providers", polls(many.port, spread), many.pid),
        ]).drive(at.load, at.rounds, at.say)
    results.blame("growth", table)
    results.growth["providers"] = Growth.of(table, f"providers, 1 to {PROVIDERS}: vidgate, poll cache off")
