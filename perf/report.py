"""The report of perf/run: one HTML file with charts drawn as SVG, for any browser."""

import math
from html import escape

# Ratios that must be reached and that are aimed at, per name and workers.
BOUNDS = {
    ("nexmark/q0", 1): (0.85, 0.85),
    ("nexmark/q0", 2): (0.65, 0.8),
    ("nexmark/q5", 1): (0.6, 0.8),
    ("nexmark/q5", 2): (0.65, 0.8),
    ("nexmark/q5+log", 2): (0.98, 0.98),
    ("nexmark/q0_exchange+log", 2): (0.98, 0.98),
    ("nexmark/q5+checkpoint", 2): (0, 0.9),
}
FRAME_NS_MAX = 40
LATENCY_US_MAX = {"p50": 10, "p99.99": 50}
TRANSPORT_NS_MAX = 60
MEMIF_LEAST = 0.9  # of testpmd's frames

TITLES = {
    "nexmark/q0": "q0 pass through",
    "nexmark/q5": "q5 hottest auctions",
    "nexmark/q5+log": "q5, order log",
    "nexmark/q5+retention": "q5, and retention",
    "nexmark/q5+checkpoint": "q5, and checkpoints",
    "nexmark/q0_exchange+log": "q0, order log",
    "nexmark/q0_exchange+checkpoint": "q0, and checkpoints",
}
PLACES = {"": "rows in DRAM", "l3": "rows in the L3 cache", "large": "600,000 live keys",
          "recovery": "with recovery, beside without"}

WIDTH, LEFT, RIGHT = 760, 215, 150

STYLE = """
:root { color-scheme: light dark; --page: #fbfbf9; --ink: #1c1f24; --soft: #636a75;
  --line: #d9dbdf; --weir: #1f66d1; --base: #a9b0bb; --good: #17703f; --bad: #b3261e;
  --card: #ffffff; }
@media (prefers-color-scheme: dark) { :root { --page: #14171b; --ink: #e8eaed; --soft: #9aa3af;
  --line: #343a43; --weir: #6aa5ff; --base: #5b6470; --good: #6fd19b; --bad: #ff8f85;
  --card: #1b1f25; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 860px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 28px; margin: 0 0 4px; } h2 { font-size: 19px; margin: 40px 0 2px; }
p { margin: 4px 0 12px; } .soft { color: var(--soft); }
.cards { display: flex; flex-wrap: wrap; gap: 12px; margin: 20px 0; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: 8px;
  padding: 12px 16px; flex: 1 1 180px; }
.card b { display: block; font-size: 26px; line-height: 1.2; }
.note { border-left: 3px solid var(--bad); padding: 2px 12px; margin: 6px 0; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--ink); font: 13px system-ui, sans-serif; }
svg .soft { fill: var(--soft); } .weir { fill: var(--weir); } .base { fill: var(--base); }
.mark { stroke: var(--ink); stroke-width: 2; } .axis { stroke: var(--line); }
.good, svg .good { color: var(--good); fill: var(--good); }
.bad, svg .bad { color: var(--bad); fill: var(--bad); }
.key i { display: inline-block; width: 12px; height: 12px; margin: 0 6px 0 14px;
  vertical-align: -1px; } .key i.weir { background: var(--weir); margin-left: 0; }
.key i.base { background: var(--base); } .key i.mark { width: 2px; background: var(--ink); }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: 14px; width: 100%; }
th, td { text-align: right; padding: 4px 8px; border-bottom: 1px solid var(--line);
  font-variant-numeric: tabular-nums; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
td.note-cell { text-align: left; white-space: normal; min-width: 180px; color: var(--soft); border-left: 0; }
"""


def number(value):
    if abs(value) >= 1e6:
        return f"{value / 1e6:,.1f} M"
    if abs(value) >= 1e3:
        return f"{value / 1e3:,.1f} k"
    return f"{value:,.1f}"


def workers(count):
    return f"{count} worker" + ("s" if count != 1 else "")


def bar(x, y, width, css):
    return f'<rect x="{x}" y="{y}" width="{max(width, 1):.1f}" height="13" rx="2" class="{css}"/>'


def text(x, y, content, css="", anchor="start"):
    return f'<text x="{x:.1f}" y="{y}" class="{css}" text-anchor="{anchor}">{escape(content)}</text>'


def svg(height, label, parts):
    return (f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">'
            + "".join(parts) + "</svg>")


def verdict(result):
    bounds = BOUNDS.get((result["name"], result["workers"]))
    if bounds is None:
        return "", ""
    least, goal = bounds
    if result["ratio"] >= goal:
        return "good", "goal met"
    if result["ratio"] >= least:
        return "good", f"over {least:g}, goal {goal:g}"
    return "bad", f"below {least:g}"


def query_row(result, y, scale):
    value, baseline = result["value"], result["baseline"]
    css, words = verdict(result)
    name, _, rows = result["name"].removeprefix("nexmark/").partition("/")
    title = TITLES.get("nexmark/" + name, result["name"])
    where = f", {PLACES[rows]}" if "+" in name else ""
    parts = [text(0, y + 12, title), text(0, y + 28, workers(result["workers"]) + where, "soft"),
             bar(LEFT, y, value * scale, "weir"), bar(LEFT, y + 16, baseline * scale, "base"),
             text(LEFT + value * scale + 6, y + 11, number(value)),
             text(LEFT + baseline * scale + 6, y + 27, number(baseline), "soft"),
             text(WIDTH, y + 12, f"{result['ratio']:.2f} ×", css, "end"),
             text(WIDTH, y + 28, words, css, "end")]
    bounds = BOUNDS.get((result["name"], result["workers"]))
    if bounds is not None:
        x = LEFT + baseline * bounds[0] * scale
        parts.append(f'<line x1="{x:.1f}" y1="{y - 3}" x2="{x:.1f}" y2="{y + 32}" class="mark"/>')
    return parts


def query_chart(results):
    most = max(max(r["value"], r["baseline"]) for r in results)
    scale = (WIDTH - LEFT - RIGHT - 50) / most
    parts, y = [], 6
    for result in results:
        parts += query_row(result, y, scale)
        y += 50
    return svg(y, "records a second, the engine and the hand-written loop", parts)


def place_of(result):
    name, _, rows = result["name"].removeprefix("nexmark/").partition("/")
    return "recovery" if "+" in name else rows


def queries(results):
    found = [r for r in results if r["name"].startswith("nexmark/")]
    parts = []
    for place, title in PLACES.items():
        rows = [r for r in found if place_of(r) == place]
        if rows:
            parts.append(f"<h2>Records a second, {escape(title)}</h2>")
            parts.append(query_chart(rows))
    if not parts:
        return ""
    key = ('<p class="key soft"><i class="weir"></i>Weir<i class="base"></i>hand-written loop over '
           'the same rows (in the last chart: Weir without recovery)<i class="mark"></i>what '
           'must be reached</p>')
    return key + "".join(parts)


def over_bare(result):
    return result["value"] - result["baseline"]


def exchange(results):
    rows = [r for r in results if r["name"].startswith("exchange/") and r["ratio"] is not None]
    if not rows:
        return ""
    line = next((f" A cache line takes {r['value']:.0f} ns from core to core here." for r in results
                 if r["name"] == "exchange/line"), "")
    most = max(max(over_bare(r) for r in rows), FRAME_NS_MAX)
    scale = (WIDTH - LEFT - RIGHT) / most
    limit = LEFT + FRAME_NS_MAX * scale
    kinds = {"channel": "numbers, credits", "recovery": "+ running checksum",
             "crc": "+ CRC of every frame"}
    parts, y = [], 6
    for result in rows:
        _, kind, items = result["name"].split("/")
        over = over_bare(result)
        css = "good" if over <= FRAME_NS_MAX else "bad"
        parts += [text(0, y + 11, f"{items} item{'s' if items != '1' else ''} {kinds[kind]}"),
                  bar(LEFT, y, over * scale, "weir"),
                  text(WIDTH, y + 11, f"{over:.0f} ns on {result['baseline']:.0f}", css, "end")]
        y += 24
    parts.append(f'<line x1="{limit:.1f}" y1="0" x2="{limit:.1f}" y2="{y}" class="mark"/>')
    return ("<h2>Exchange: ns a frame over a bare ring</h2>"
            f"<p class='soft'>Two cores; the line is the bound of {FRAME_NS_MAX} ns. Right: the "
            f"cost on top of what the bare ring takes.{line}</p>"
            + svg(y, "nanoseconds a frame over a bare ring", parts))


def latency(results):
    rows = [r for r in results if r["name"].startswith("latency/")]
    if not rows:
        return ""
    # Microseconds to milliseconds: each power of ten takes the same length.
    least, most = 0.1, max(max(r["value"] for r in rows), 100)
    length = (WIDTH - LEFT - RIGHT) / math.log10(most / least)
    parts, y = [], 6
    for result in rows:
        limit = LATENCY_US_MAX.get(result["name"].split("/")[1])
        bounded = limit is not None and result["name"].count("/") == 1
        css = ("good" if result["value"] <= limit else "bad") if bounded else ""
        parts += [text(0, y + 11, result["name"][len("latency/"):]),
                  bar(LEFT, y, math.log10(max(result["value"], least) / least) * length, "weir"),
                  text(WIDTH, y + 11, f"{result['value']:,.1f} {result['unit']}"
                       + (f" of {limit}" if bounded else ""), css, "end")]
        y += 24
    note = next((r["note"] for r in rows if r.get("note")), "")
    return (f"<h2>Latency from scheduled creation to sink</h2><p class='soft'>{escape(note)}. "
            "Logarithmic scale.</p>"
            + svg(y, "latency", parts))


def cluster_bound(result):
    """Whether a figure of the cluster is good, and what it is asked to be; None: nothing."""
    name = result["name"].removeprefix("cluster/")
    if name.startswith("own/"):
        return result["value"] <= TRANSPORT_NS_MAX, f"of {TRANSPORT_NS_MAX} ns"
    kind = name.split("/")
    if kind[:2] == ["memif", "all"] and len(kind) == 3 and result["ratio"] is not None:
        return result["ratio"] >= MEMIF_LEAST, f"of {MEMIF_LEAST}"
    return None


def cluster_row(result, y, most):
    name = result["name"].removeprefix("cluster/")
    bound = cluster_bound(result)
    css = "" if bound is None else "good" if bound[0] else "bad"
    shown = result["ratio"] if result["ratio"] is not None else result["value"]
    words = (f"{result['ratio']:.2f} ×" if result["ratio"] is not None
             else f"{number(result['value'])} {result['unit']}")
    parts = [text(0, y + 11, name), text(WIDTH, y + 11, words + (f" {bound[1]}" if bound else ""),
                                         css, "end")]
    if result["ratio"] is not None:
        parts.append(bar(LEFT, y, shown / most * (WIDTH - LEFT - RIGHT), "weir"))
    return parts


def cluster(results):
    rows = [r for r in results if r["name"].startswith("cluster/")]
    if not rows:
        return ""
    most = max([r["ratio"] for r in rows if r["ratio"] is not None] + [1])
    parts, y = [], 6
    for result in rows:
        parts += cluster_row(result, y, most)
        y += 22
    x = LEFT + (WIDTH - LEFT - RIGHT) / most
    parts.append(f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{y}" class="mark"/>')
    return ("<h2>Links and transport between processes</h2><p class='soft'>Bars: the ratio to what "
            "stands beside it in the same run (the line is as fast as that): testpmd for memif, "
            "kernel TCP for veth, no loss for loss, one node for NEXMark.</p>"
            + svg(y, "links and transport beside their yardsticks", parts))


def cards(results):
    parts = []
    for result in results:
        if result["name"] not in TITLES or result["ratio"] is None:
            continue
        css, _ = verdict(result)
        parts.append(f'<div class="card"><span class="soft">'
                     f'{escape(TITLES[result["name"]])}, {workers(result["workers"])}</span>'
                     f'<b class="{css}">{result["ratio"]:.0%}</b>'
                     f'<span class="soft">of the hand-written loop, '
                     f'{number(result["value"])} records/s</span></div>')
    return f'<div class="cards">{"".join(parts)}</div>' if parts else ""


def table(results):
    rows = []
    for r in results:
        baseline = number(r["baseline"]) if r["baseline"] is not None else ""
        ratio = f"{r['ratio']:.3f}" if r["ratio"] is not None else ""
        rows.append(f"<tr><td>{escape(r['name'])}</td><td>{r['workers']}</td>"
                    f"<td>{number(r['value'])}</td><td>{escape(r['unit'])}</td><td>{baseline}</td>"
                    f"<td>{ratio}</td><td>{r['spread']:.1%}</td>"
                    f"<td class='note-cell'>{escape(r.get('note', ''))}</td></tr>")
    return ("<h2>All figures</h2><p class='soft'>Medians of interleaved rounds. Ratio: the median "
            "of the rounds' ratios, over 1 is better than the baseline. Spread: the distance of "
            "the quartiles over the median, of the ratio where there is one.</p>"
            "<div class='wide'><table><tr><th>name</th><th>workers</th><th>value</th><th>unit</th>"
            "<th>baseline</th><th>ratio</th><th>spread</th><th></th></tr>"
            + "".join(rows) + "</table></div>")


def heading(document, title):
    machine = document["machine"]
    facts = [machine["cpu"], f"{machine['cores']} cores"
             + (" (virtual machine)" if machine["virtual"] else ""),
             f"last-level cache {machine['last_level_cache']}" if machine["last_level_cache"] else "",
             f"{machine['memory_gib']} GiB", f"Linux {machine['kernel']}", document["compiler"],
             f"commit {document['commit']}" if document["commit"] else "", document["date"],
             "" if document["extent"] == "full" else f"{document['extent']} run"]
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in document["notes"])
    return (f"<h1>{escape(title)}</h1><p class='soft'>"
            + escape(" · ".join(fact for fact in facts if fact)) + "</p>" + notes)


def html(document):
    results = document["results"]
    return ('<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width"><title>Weir: figures</title>'
            f"<style>{STYLE}</style><main>"
            + heading(document, "Weir beside the hand-written loop") + cards(results)
            + queries(results) + exchange(results) + latency(results) + cluster(results)
            + table(results)
            + "</main></html>\n")
