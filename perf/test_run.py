#!/usr/bin/env python3
"""perf/run, tiny: its JSON is complete and its report well formed."""

import html.parser
import json
import os
import subprocess
import sys
import tempfile

VOID = {"meta", "rect", "line", "i"}
KEYS = {"name", "workers", "value", "unit", "baseline", "ratio", "spread"}


class Balance(html.parser.HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.charts = [], 0

    def handle_starttag(self, tag, attributes):
        self.charts += tag == "svg"
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"


def check_document(document, cores):
    assert document["schema"] == "weir-perf-1"
    assert {"machine", "compiler", "commit", "date", "notes"} <= set(document)
    names = {(r["name"], r["workers"]) for r in document["results"]}
    for result in document["results"]:
        assert KEYS <= set(result), result
        assert result["value"] > 0, result
    wanted = {("nexmark/q0", 1), ("nexmark/q5", 1), ("memory/scan", 1)}
    if cores > 1:
        wanted |= {("nexmark/q5", 2), ("nexmark/q5+log", 2), ("nexmark/q5+checkpoint", 2),
                   ("exchange/channel/1", 2), ("latency/p50/all", 2)}
    assert wanted <= names, wanted - names


def check_page(page, cores):
    balance = Balance()
    balance.feed(page)
    assert balance.open == ["html"] or not balance.open, balance.open
    assert balance.charts == (6 if cores > 1 else 3), balance.charts
    assert "://" not in page, "the page fetches something"


def main():
    run, build = sys.argv[1:]
    cores = len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as directory:
        figures, page = os.path.join(directory, "a.json"), os.path.join(directory, "a.html")
        subprocess.run([sys.executable, run, "all", "--tiny", "--build", build, "--json", figures,
                        "--html", page], check=True)
        with open(figures) as file:
            check_document(json.load(file), cores)
        with open(page) as file:
            check_page(file.read(), cores)
        wrong = subprocess.run([sys.executable, run, "nexmark", "--build", directory],
                               capture_output=True, text=True)
        assert wrong.returncode == 2 and "scripts/setup" in wrong.stderr, wrong


if __name__ == "__main__":
    main()
