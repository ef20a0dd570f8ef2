"""The report of perf/run failover: one HTML file whose first chart shows a node's death."""

import math
from html import escape

import report

WIDTH, LEFT, RIGHT, BAND, STEP = report.WIDTH, 112, 8, 72, 94

# What others published, in seconds: least, most.
OTHERS = (
    ("Clonos, until latency is normal", 4, 11, "4 to 11 s; Silvestre et al., SIGMOD 2021"),
    ("Flink in the same measurements", 64, 137, "64 to 137 s; Silvestre et al., SIGMOD 2021"),
    ("StreamShield, one task restarted", 5, 5, "5 s, records lost; Fang et al., arXiv 2602.03189"),
)

STYLE = """.gap { fill: var(--bad); opacity: 0.13; } .kill { stroke: var(--bad); stroke-width: 2; }
.free { fill: none; stroke: var(--soft); stroke-width: 1; } .theirs { fill: var(--base); }
.key i.theirs { background: var(--base); } .key i.kill { width: 2px; background: var(--bad); }"""


def ms(value):
    if value is None:
        return "–"
    return f"{value / 1000:.1f} s" if value >= 1000 else (
        f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms")


def band(counts, top, css):
    width = (WIDTH - LEFT - RIGHT) / len(counts)
    scale = BAND / max(*counts, 1)
    bars = "".join(
        f'<rect x="{LEFT + i * width:.2f}" y="{top + BAND - count * scale:.1f}" '
        f'width="{width * 0.9:.2f}" height="{count * scale:.1f}" class="{css}"/>'
        for i, count in enumerate(counts) if count)
    return bars + (f'<line x1="{LEFT}" y1="{top + BAND}" x2="{WIDTH - RIGHT}" y2="{top + BAND}" '
                   'class="axis"/>')


def silence(counts, first_ms):
    """(from, to) of the longest run of empty ms that ends after the kill, in ms from it."""
    best, start = (0, 0), None
    for index, count in enumerate([*counts, 1]):
        if count:
            if start is not None and index + first_ms > 0 and index - start > best[1] - best[0]:
                best = (start, index)
            start = None
        elif start is None:
            start = index
    return best[0] + first_ms, best[1] + first_ms


def death(chart):
    """Records by ms: of the part whose node died, and of the rest."""
    first, failed = chart["first_ms"], chart["failed"]
    width = (WIDTH - LEFT - RIGHT) / len(failed)
    bands = (("failed part", failed), ("lost its replica", chart["bereft"]),
             ("untouched", chart["untouched"]))

    def x(at_ms):
        return LEFT + (at_ms - first) * width

    height = 18 + len(bands) * STEP + 16
    from_ms, to_ms = silence(failed, first)
    parts = [f'<rect x="{x(from_ms):.1f}" y="18" width="{(to_ms - from_ms) * width:.1f}" '
             f'height="{BAND}" class="gap"/>']
    for top, (name, counts) in zip(range(18, height, STEP), bands):
        parts += [report.text(0, top + 36, name), report.text(0, top + 53, "records/ms", "soft"),
                  band(counts, top, "weir")]
    parts += [f'<line x1="{x(0):.1f}" y1="14" x2="{x(0):.1f}" y2="{height - 26}" class="kill"/>',
              report.text(x(0), 11, f"node {chart['victim']} is {chart['how']}", "bad", "middle")]
    for mark in range(first, first + len(failed) + 1, 50):
        parts.append(report.text(min(max(x(mark), LEFT), WIDTH - 24), height - 8, f"{mark} ms",
                                 "soft", "middle"))
    return report.svg(height, "records a millisecond around the death of a node", parts)


def compared(result):
    """Weir's figures and those that others published, each power of ten as long."""
    rows = [("Weir, silence, p50", result["gap_ms_p50"], None, ""),
            ("Weir, silence, longest", result["gap_ms_max"], None, "")]
    if result["normal_ms_p50"] is not None:
        rows.append(("Weir, until latency is normal, p50", max(result["normal_ms_p50"], 1), None, ""))
    rows += [(name, least * 1000, most * 1000, source) for name, least, most, source in OTHERS]
    left, span = 235, WIDTH - 235 - 290
    length = span / math.log10(200_000 / 0.1)
    parts, y = [], 6
    for name, least, most, source in rows:
        end = math.log10(max(most or least, 0.1) / 0.1) * length
        parts += [report.text(0, y + 11, name),
                  report.bar(left, y, end, "theirs" if source else "weir"),
                  report.text(left + end + 6, y + 11, source or ms(least), "soft" if source else "")]
        y += 24
    return report.svg(y, "time until output after a failure, logarithmic", parts)


def cards(result):
    shown = [("lost and doubled", f"{result['lost']:,} and {result['doubled']:,}",
              f"records in {result['kills']} deaths", not result["exact"]),
             ("the failed part is silent", ms(result["gap_ms_p50"]),
              f"p50; p99 {ms(result['gap_ms_p99'])}, longest {ms(result['gap_ms_max'])}", False),
             ("of that, the takeover", ms(result["takeover_ms_p50"]),
              f"p50; until the leader knew {ms(result['told_ms_p50'])}", False),
             ("the same part, no death", ms(result["gap_free_ms_p50"]),
              f"p50; longest {ms(result['gap_free_ms_max'])}: what this machine does", False),
             ("the rest is silent", ms(result["rest_gap_ms_p50"]),
              f"p50; without a death {ms(result['rest_gap_free_ms_p50'])}", False)]
    return '<div class="cards">' + "".join(
        f'<div class="card"><span class="soft">{escape(title)}</span>'
        f'<b class="{"bad" if bad else ""}">{escape(value)}</b>'
        f'<span class="soft">{escape(more)}</span></div>'
        for title, value, more, bad in shown) + "</div>"


def table(result):
    rows = [(f"failed part silent, {s['state_mib']} MiB of state a task, {s['kills']} deaths",
             s["gap_ms_p50"], s["gap_ms_p99"], s["gap_ms_max"]) for s in result["by_state"]]
    for key, title in (("gap_ms", "failed part silent"), ("gap_free_ms", "… without a death"),
                       ("bereft_gap_ms", "silent: tasks whose replica died"),
                       ("untouched_gap_ms", "silent: what has nothing to do with the node"),
                       ("untouched_gap_free_ms", "… without a death"),
                       ("rest_gap_ms", "rest silent"), ("rest_gap_free_ms", "… without a death"),
                       ("normal_ms", "until latency is normal"),
                       ("normal_free_ms", "… without a death"),
                       ("exit_ms", "until the kernel has ended the process"),
                       ("told_ms", "until the leader tells the others"),
                       ("takeover_ms", "silence less that: the takeover itself")):
        rows.append((title, *(result[f"{key}_{share}"] for share in ("p50", "p99", "max"))))
    cells = "".join(f"<tr><td>{escape(title)}</td>"
                    + "".join(f"<td>{ms(value)}</td>" for value in values) + "</tr>"
                    for title, *values in rows)
    return ("<h2>All figures</h2><div class='wide'><table><tr><th></th><th>p50</th><th>p99</th>"
            f"<th>max</th></tr>{cells}</table></div>"
            f"<p class='soft'>Windows of 10 ms in which the rest gave less than half of what was "
            f"due: {result['bad_windows']} with a death, {result['bad_windows_free']} without, in "
            f"a second each time. Frames of dead or woken processes refused: "
            f"{result['refused']}.</p>"
            + "".join(f'<p class="note">A job failed: {escape(failure)}</p>'
                      for failure in result["failures"]))


def html(document):
    result = document["failover"]
    chart = dict(result["chart"], how="stopped" if result["signal"] == "SIGSTOP" else "killed")
    return ('<!doctype html><html lang="en"><meta charset="utf-8">'
            '<meta name="viewport" content="width=device-width"><title>Weir: a node dies</title>'
            f"<style>{report.STYLE}{STYLE}</style><main>"
            + report.heading(document, "A node dies, and the output goes on") + cards(result)
            + "<h2>Output a millisecond around a death</h2><p class='soft'>The kill whose silence "
            f"is the middle one of {result['kills']}: {ms(chart['gap_ms'])}. "
            "Failed part: what the node's source made or its sink shows. Below it what passes a "
            "task whose replica was there, and waits until the leader has it written that nobody "
            "succeeds to it; then what has nothing to do with the node. Red: silence.</p>" + death(chart)
            + "<h2>Beside what others published</h2><p class='soft'>Their figures, of their "
            "machines and jobs, as their papers give them; ours of this machine. Logarithmic "
            "scale.</p>" + compared(result) + table(result) + "</main></html>\n")
