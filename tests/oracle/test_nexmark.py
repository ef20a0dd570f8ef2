#!/usr/bin/env python3
"""The NEXMark example jobs give what SQLite computes from the CSV files of `weir nexmark`.

usage: test_nexmark.py WEIR SOURCE-FOLDER q0|q5
"""

import sys

from oracle import SETTINGS, Oracle, described

EVENTS, RATE = 60000, 1000  # a minute of event time
BID = [("auction", "int"), ("bidder", "int"), ("price", "int"), ("time", "int"),
       ("extra", "text")]

QUERIES = {
    "q0": "select auction, bidder, price, time, extra from bid",
    # A bid is in the five windows of 10 s that end behind it at a multiple of 2 s.
    "q5": """
        with recursive k(k) as (select 1 union all select k + 1 from k where k < 5),
        counts as (select (time / 2000 + k) * 2000 as window_end, auction, count(*) as num
                   from bid, k group by 1, 2),
        ranked as (select *, rank() over (partition by window_end order by num desc) as place
                   from counts)
        select window_end, auction, num from ranked where place = 1""",
}


def main():
    oracle, query = Oracle(sys.argv[1], sys.argv[2]), sys.argv[3]
    # Whatever the order within groups, the events are the same: the answer must be, too.
    oracle.command("nexmark", "--events", str(EVENTS), "--rate", str(RATE), "--group", "1",
                   "--out", oracle.path("events"))
    oracle.load("bid", oracle.path("events/bid.csv"), BID)
    for group in (1, 50, 1000):
        if group > 1:
            oracle.command("nexmark", "--events", str(EVENTS), "--rate", str(RATE), "--group",
                           str(group), "--out", oracle.path(f"events{group}"))
            oracle.load("bid", oracle.path(f"events{group}/bid.csv"), BID)
        want = oracle.ask(QUERIES[query])
        for setting in SETTINGS:
            got = oracle.run(oracle.example(f"nexmark/{query}.yaml"), setting,
                             f"source.events={EVENTS}", f"source.rate={RATE}/s",
                             f"source.group={group}")
            oracle.same(f"{query}, groups of {group}, {described(setting)}", got, want)
    oracle.finish()


if __name__ == "__main__":
    main()
