#!/usr/bin/env python3
"""`weir` as a user types it: exit codes, reports, interrupts, what is left behind.

usage: test_command_line.py WEIR SOURCE-FOLDER
"""

import os
import resource
import signal
import subprocess
import time

from command_line import ENDLESS, TOP, WEIR, begin, main, read, report_of, test, weir, write


def example(name):
    return os.path.join(TOP, "examples", name)


@test
def the_examples_are_sound(folder):
    names = ["nexmark/q0.yaml", "nexmark/q5.yaml", "flights/delays.yaml"]
    result = weir(folder, "check", *map(example, names))
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(": ok\n") == 3, result.stdout


@test
def check_prints_types(folder):
    result = weir(folder, "check", "--types", example("nexmark/q5.yaml"))
    assert "  columns: window_end timestamp, auction int64, num int64\n" in result.stdout


@test
def every_worker_count_gives_the_same_q5(folder):
    outputs = set()
    for workers in ["1", "2", "3"]:
        result = weir(folder, "run", "--workers", workers, "--set", "source.events=100000",
                      "--set", "workers.wait=yield", "--report", "r.json",
                      example("nexmark/q5.yaml"))
        assert result.returncode == 0, result.stderr
        outputs.add("".join(sorted(read(folder, "q5.csv").splitlines(True))))
    assert len(outputs) == 1 and next(iter(outputs)).count("\n") > 5
    report = report_of(folder)
    assert report["schema"] == "weir-report-1" and report["state"] == "finished"
    assert report["total"]["records_in"] == 100000, report["total"]
    ids = [o["id"] for o in report["operators"]]
    assert ids == ["source", "counts", "hottest", "columns", "sink", "hottest.partial"], ids


@test
def q0_gives_every_bid(folder):
    result = weir(folder, "run", "--set", "source.events=1000", example("nexmark/q0.yaml"))
    assert result.returncode == 0, result.stderr
    assert read(folder, "q0.csv").count("\n") == 920
    assert "finished: 1000 records" in result.stderr, result.stderr


@test
def delays_counts_every_flight(folder):
    result = weir(TOP, "run", "--report", os.path.join(folder, "r.json"), "--set",
                  "sink.path=" + os.path.join(folder, "d.csv"), example("flights/delays.yaml"))
    assert result.returncode == 0, result.stderr
    rows = [line.split(",") for line in read(folder, "d.csv").splitlines()]
    assert sum(int(row[2]) for row in rows) == 12000
    assert all(len(row) == 5 and int(row[0]) % 3600000 == 0 for row in rows)
    assert report_of(folder)["total"]["late"] == 0


@test
def null_reports_count_and_hash(folder):
    write(folder, "j.yaml", "version: 1\njob: j\noperators:\n"
          "  - {id: source, kind: nexmark, events: 5000}\n"
          "  - {id: sink, kind: 'null', input: source.bid}\n")
    hashes = set()
    for workers in ["1", "2"]:
        result = weir(folder, "run", "-w", workers, "-r", "r.json", "-s", "workers.wait=yield",
                      "j.yaml")
        assert result.returncode == 0, result.stderr
        sink = next(o for o in report_of(folder)["operators"] if o["id"] == "sink")
        assert sink["count"] == 4600 and len(sink["hash"]) == 16, sink
        hashes.add(sink["hash"])
    assert len(hashes) == 1


BAD_ROWS = """time,value
2001-01-01T00:00:01Z,1
nonsense,2
2001-01-01T00:00:02Z,x
2001-01-01T00:00:00Z,4
"""

BAD_ROWS_JOB = """version: 1
job: bad
operators:
  - id: source
    kind: csv
    path: bad.csv
    schema: [time: timestamp, value: int64]
    event_time: {field: time, out_of_order: 0s}
    on_error: skip
  - {id: sink, kind: "null", input: source}
"""


@test
def rejected_rows_are_counted_by_reason(folder):
    write(folder, "bad.csv", BAD_ROWS)
    write(folder, "bad.yaml", BAD_ROWS_JOB)
    result = weir(folder, "run", "--workers", "1", "--report", "r.json", "bad.yaml")
    assert result.returncode == 0, result.stderr
    source = report_of(folder)["operators"][0]
    assert (source["records_in"], source["records_out"]) == (4, 1), source
    firsts = {key: source[key] for key in source if key.startswith("first_line_")}
    assert firsts == {"first_line_wrong_type": 3, "first_line_late": 5}, source
    assert "first_line_late 5" in result.stdout + result.stderr
    assert "" not in source


@test
def routed_rows_are_read_once(folder):
    write(folder, "bad.csv", BAD_ROWS)
    routed = BAD_ROWS_JOB.replace("skip", "route")
    routed += "  - {id: rejects, kind: 'null', input: source.rejects}\n"
    write(folder, "bad.yaml", routed)
    result = weir(folder, "run", "--workers", "1", "--report", "r.json", "bad.yaml")
    assert result.returncode == 0, result.stderr
    report = report_of(folder)
    assert report["operators"][0]["records_in"] == 4, report
    assert report["total"]["records_in"] == 4, report
    assert report["operators"][2]["count"] == 3, report


def sink_count(folder):
    return next(o for o in report_of(folder)["operators"] if o["id"] == "sink")["count"]


def dropped(folder, index):
    counts = report_of(folder)["operators"][index]["dropped"]
    return {reason: count for reason, count in counts.items() if count}


@test
def records_larger_than_a_frame_are_rejected_at_the_source(folder):
    write(folder, "a.csv", "1,a\n2," + "x" * 9000 + "\n3," + "y" * 70000 + "\n4,d\n")
    write(folder, "j.yaml", "version: 1\njob: j\noperators:\n"
          "  - {id: source, kind: csv, path: a.csv, schema: [a: int64, s: string]}\n"
          "  - {id: sink, kind: 'null', input: source}\n")
    for frame, line, remedy in (("8KiB", 2, "8128 that a frame holds; raise exchange.frame, or"),
                                ("16KiB", 3, "shorten it (60KiB is the most for exchange.frame)"),
                                ("60KiB", 3, "61376 that a frame holds; shorten it, or")):
        result = weir(folder, "run", "-s", "exchange.frame=" + frame, "j.yaml")
        assert result.returncode == 1, result
        assert f"a.csv:{line}: the record has" in result.stderr, result.stderr
        assert remedy in result.stderr, result.stderr
    for workers in ("1", "2"):
        result = weir(folder, "run", "-w", workers, "-s", "source.on_error=skip", "-s",
                      "workers.wait=yield", "-r", "r.json", "j.yaml")
        assert result.returncode == 0 and sink_count(folder) == 2, result.stderr
        assert dropped(folder, 0) == {"too_large": 2}
    routed = read(folder, "j.yaml").replace("input: source}", "input: source.rejects}")
    write(folder, "j.yaml", routed + "  - {id: twice, kind: 'null', input: source.rejects}\n")
    result = weir(folder, "run", "-s", "exchange.frame=512B", "-w", "2", "-r", "r.json", "j.yaml",
                  "-s", "workers.wait=yield", "-s", "source.on_error=route")
    assert result.returncode == 0 and sink_count(folder) == 2, result.stderr


MADE_LARGE = """version: 1
job: j
exchange: {frame: 8KiB}
operators:
  - {id: source, kind: csv, path: a.csv, schema: [t: timestamp, s: string]EVENT}
  - OPERATOR
  - {id: sink, kind: "null", input: it}
"""


# Doubled by a projection; longer by what a window adds to its key; beside both, what still fits.
@test
def records_made_larger_than_a_frame_are_rejected_where_they_are_made(folder):
    projected = "{id: it, kind: project, input: source, fields: [s: s, t: t, u: s]}"
    window = ("{id: it, kind: window_aggregate, input: source, key: [s], window: {tumbling: 1h}, "
              "aggregates: [n: count()]}")
    for operator, event, most in ((projected, "", (8128 - 40) // 2),
                                  (window, ", event_time: {field: t}", 8128 - 48)):
        write(folder, "a.csv", "".join(f"1980-01-01T00:00:00Z,{c * n}\n" for c, n in (
            ("a", 1), ("b", most), ("c", most + 1), ("d", most + 8))))
        write(folder, "j.yaml",
              MADE_LARGE.replace("OPERATOR", operator).replace("EVENT", event))
        for workers in ("1", "2"):
            arguments = ["run", "-w", workers, "-s", "workers.wait=yield", "-r", "r.json"]
            result = weir(folder, *arguments, "j.yaml")
            assert result.returncode == 1, result
            assert "it: a record with this one's texts is larger" in result.stderr, result.stderr
            for on_error in ("skip", "route"):
                result = weir(folder, *arguments, "-s", "source.on_error=" + on_error, "j.yaml")
                assert result.returncode == 0 and sink_count(folder) == 2, (operator, result)
                assert dropped(folder, 1) == {"too_large": 2}, report_of(folder)


@test
def records_that_no_frame_holds_are_mistakes_of_the_job(folder):
    fields = ", ".join(f"f{i}: a" for i in range(60))
    write(folder, "j.yaml", "version: 1\njob: j\nexchange: {frame: 512B}\noperators:\n"
          "  - {id: source, kind: csv, path: a.csv, schema: [a: int64]}\n"
          f"  - {{id: it, kind: project, input: source, fields: [{fields}]}}\n"
          "  - {id: sink, kind: 'null', input: it}\n")
    result = weir(folder, "check", "j.yaml")
    assert result.returncode == 2, result
    assert "j.yaml:6: it.fields: make a record of at least 496 bytes, more than the 448 that" in \
        result.stderr, result.stderr


@test
def the_source_says_what_becomes_of_records_rejected_behind_it(folder):
    write(folder, "a.csv", "1677-09-21T00:12:44Z,0\n1980-01-01T00:00:00Z,1\n"
          "1980-01-01T00:00:01Z,0\n2262-04-11T23:47:16Z,1\n")
    write(folder, "window.yaml", """version: 1
job: j
operators:
  - {id: source, kind: csv, path: a.csv, schema: [t: timestamp, a: int64], event_time: {field: t}}
  - id: hourly
    kind: window_aggregate
    input: source
    window: {tumbling: 1h}
    aggregates: [n: count()]
  - {id: sink, kind: "null", input: hourly}
""")
    write(folder, "divide.yaml", """version: 1
job: j
operators:
  - {id: source, kind: csv, path: a.csv, schema: [t: timestamp, a: int64], event_time: {field: t}}
  - {id: hourly, kind: project, input: source, fields: [b: "1 / a"]}
  - {id: sink, kind: "null", input: hourly}
""")
    for name, kept in (("window.yaml", 1), ("divide.yaml", 2)):
        result = weir(folder, "run", name)
        assert result.returncode == 1, result
        assert "hourly: " in result.stderr and "(out_of_range); " in result.stderr, result.stderr
        result = weir(folder, "run", "-s", "source.on_error=skip", "-r", "r.json", name)
        assert result.returncode == 0, result.stderr
        assert dropped(folder, 1) == {"out_of_range": 2}
        assert sink_count(folder) == kept, result.stderr


# Files of at most 64 KiB: then EAL gets none of the huge pages that are free.
@test
def huge_pages_that_are_gone_are_done_without(folder):
    arguments = ["run", "-w", "2", "-s", "workers.wait=yield", "-s", "source.events=1000", "-r",
                 "r.json", example("nexmark/q5.yaml")]
    result = subprocess.run(
        [WEIR, *arguments], cwd=folder, capture_output=True, text=True, timeout=120,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (65536, 65536)))
    assert result.returncode == 0, result.stderr
    words = [line for line in result.stderr.splitlines() if "huge pages" in line]
    assert len(words) <= 1 and "EAL" not in result.stderr, result.stderr
    assert sorted(os.listdir(folder)) == ["q5.csv", "r.json"], os.listdir(folder)


@test
def more_memory_than_there_is_is_refused(folder):
    result = weir(
        folder, "run", "--set", "workers.state_memory=900GiB", example("nexmark/q5.yaml")
    )
    assert result.returncode == 1, result
    assert "lower workers.count, workers.state_memory" in result.stderr, result.stderr


@test
def an_interrupt_publishes_what_is_done(folder):
    write(folder, "j.yaml", ENDLESS)
    process = begin(folder, "--report", "r.json", "j.yaml")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    report = report_of(folder)
    assert report["state"] == "interrupted" and "interrupted: " in errors, errors
    assert 0 < report["total"]["records_in"] < 1000000000
    assert os.path.exists(os.path.join(folder, "out.csv"))


@test
def a_second_interrupt_publishes_nothing(folder):
    write(folder, "j.yaml", ENDLESS)
    process = begin(folder, "j.yaml")
    os.kill(process.pid, signal.SIGSTOP)
    process.send_signal(signal.SIGINT)
    process.send_signal(signal.SIGTERM)  # two SIGINT would be one while it is stopped
    os.kill(process.pid, signal.SIGCONT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1, errors
    assert "nothing was published" in errors, errors
    assert os.listdir(folder) == ["j.yaml"], os.listdir(folder)


@test
def a_missing_input_fails_and_leaves_nothing(folder):
    result = weir(folder, "run", "-s", "source.path=none.csv", "-r", "r.json",
                  example("flights/delays.yaml"))
    assert result.returncode == 1, result.returncode
    assert "none.csv: there is no such file" in result.stderr, result.stderr
    assert os.listdir(folder) == ["r.json"], os.listdir(folder)
    assert report_of(folder)["state"] == "failed" and "none.csv" in report_of(folder)["error"]


# The limit stands in for a disk that fills up while the job runs.
@test
def a_full_disk_fails_and_leaves_nothing(folder):
    process = begin(folder, "-s", "source.pace=100000/s", "-s", "source.events=100000000",
                    example("nexmark/q0.yaml"))
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1000, 1000))
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 1 and "q0.csv" in errors, errors
    assert "File too large" in errors, errors
    assert not os.listdir(folder), os.listdir(folder)


@test
def a_reader_that_leaves_is_an_error(folder):
    job = ENDLESS.replace("csv, input: counts, path: out.csv", "stdout, input: counts")
    write(folder, "j.yaml", job)
    process = subprocess.Popen([WEIR, "run", "-s", "workers.wait=sleep", "j.yaml"], cwd=folder,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    process.stdout.close()
    errors = process.stderr.read()
    assert process.wait(timeout=60) == 1 and "Broken pipe" in errors, errors


@test
def a_report_that_cannot_be_written_is_said_before_the_run(folder):
    result = weir(folder, "run", "-r", "no/r.json", example("nexmark/q0.yaml"))
    assert result.returncode == 2 and "--report no/r.json: " in result.stderr, result.stderr
    assert not os.listdir(folder)


@test
def a_report_that_is_no_file_is_said(folder):
    os.mkfifo(os.path.join(folder, "fifo"))
    result = weir(folder, "run", "-r", "fifo", example("nexmark/q0.yaml"))
    assert result.returncode == 2 and "no regular file; name a file" in result.stderr, result.stderr


# DPDK would end with a stack dump, or print how it is called.
@test
def a_machine_without_proc_or_sys_is_said(folder):
    for hidden in ("/proc", "/sys"):
        script = f'umount -l {hidden} && exec "$0" "$@"'
        result = subprocess.run(
            ["unshare", "-m", "sh", "-c", script, WEIR, "run", example("nexmark/q0.yaml")],
            cwd=folder, capture_output=True, text=True, timeout=120)
        if "unshare" in result.stderr or "umount" in result.stderr:
            return  # it takes root to hide them
        assert result.returncode == 1 and not result.stdout, result
        lines = [line for line in result.stderr.splitlines()
                 if not line.startswith("==")  # a sanitizer's, which misses /proc itself
                 and "another weir polls" not in line]
        assert lines == ["weir: DPDK reads /proc and /sys, and one of them is not there; "
                         "mount it"], result.stderr


@test
def a_report_does_not_replace_a_sinks_file(folder):
    result = weir(folder, "run", "-r", "./q0.csv", example("nexmark/q0.yaml"))
    assert result.returncode == 2 and "the file of sink" in result.stderr, result.stderr
    assert not os.listdir(folder)


# Whether it has blocked SIGINT, to take it when it is ready.
def holds_signals(pid):
    for line in read("/proc", f"{pid}/status").splitlines():
        if line.startswith("SigBlk:"):
            return int(line.split()[1], 16) >> (signal.SIGINT - 1) & 1
    return False


@test
def a_killed_job_leaves_nothing(folder):
    write(folder, "j.yaml", ENDLESS)
    process = begin(folder, "-r", "r.json", "j.yaml")
    process.kill()
    process.communicate(timeout=60)
    assert os.listdir(folder) == ["j.yaml"], os.listdir(folder)


@test
def an_interrupt_at_the_start_leaves_nothing(folder):
    write(folder, "j.yaml", ENDLESS)
    process = subprocess.Popen([WEIR, "run", "-r", "r.json", "j.yaml"], cwd=folder,
                               stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not holds_signals(process.pid):
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0, (process.returncode, errors)
    assert sorted(os.listdir(folder)) == ["j.yaml", "out.csv", "r.json"], os.listdir(folder)


@test
def a_terminal_that_goes_is_an_interrupt(folder):
    write(folder, "j.yaml", ENDLESS)
    process = begin(folder, "j.yaml")
    process.send_signal(signal.SIGHUP)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 0 and "interrupted: " in errors, (process.returncode, errors)
    assert sorted(os.listdir(folder)) == ["j.yaml", "out.csv"], os.listdir(folder)


@test
def under_nohup_a_terminal_that_goes_stops_nothing(folder):
    write(folder, "j.yaml", ENDLESS)
    process = begin(folder, "-r", "r.json", "j.yaml", hangup=signal.SIG_IGN)
    process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    going_on = process.poll() is None
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert going_on and process.returncode == 0, (process.returncode, errors)
    assert report_of(folder)["state"] == "interrupted", errors


@test
def too_few_files_are_said(folder):
    result = subprocess.run(
        [WEIR, "run", example("nexmark/q0.yaml")], cwd=folder, capture_output=True, text=True,
        timeout=60, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (9, 9)))
    assert result.returncode == 1 and "ulimit -n" in result.stderr, result
    assert not os.listdir(folder)


@test
def what_cannot_be_printed_is_a_failure(folder):
    for arguments in [["--help"], ["kinds"], ["check", "--types", example("nexmark/q0.yaml")]]:
        with open("/dev/full", "w", encoding="utf-8") as full:
            result = subprocess.run([WEIR, *arguments], stdout=full, stderr=subprocess.PIPE,
                                    text=True, timeout=60)
        assert result.returncode == 1 and "cannot be written" in result.stderr, arguments


@test
def mistakes_on_the_command_line_are_said(folder):
    job = example("nexmark/q0.yaml")
    for arguments, text in [
        (["rnu", job], "weir: there is no command rnu; did you mean run?"),
        (["run"], "weir run: name a job file"),
        (["run", job, job], "weir run: name one job file"),
        (["run", "-w", "0", job], "--workers 0: write a whole number from 1"),
        (["run", "-w", "two", job], "--workers two: write a whole number from 1"),
        (["run", "-s", "source.evnts=3", job], "--set source.evnts=3: source.evnts: is not a"),
        (["run", "none.yaml"], "none.yaml: cannot be read: No such file or directory"),
        (["check"], "weir check: name at least one job file"),
        (["kinds", "tpo"], "weir kinds: tpo is not a kind of operator; did you mean top?"),
        ([], "Usage: weir COMMAND"),
    ]:
        result = weir(folder, *arguments)
        assert result.returncode == 2 and text in result.stderr, (arguments, result)
        assert not result.stdout and not os.listdir(folder), (arguments, result)


@test
def help_and_version_are_on_stdout(folder):
    for arguments in [["--help"], ["run", "--help"], ["check", "--help"], ["kinds", "--help"]]:
        result = weir(folder, *arguments)
        assert result.returncode == 0 and "weir run" in weir(folder, "--help").stdout
        assert "weir " in result.stdout and not result.stderr, arguments
    assert weir(folder, "--version").stdout.startswith("weir ")


# A PU that is nowhere: hwloc alone would draw stars around its own account of it.
@test
def what_hwloc_finds_odd_is_left_to_us_to_say(folder):
    bits = "0x00004000,,,0x0"
    host = read(os.path.join(TOP, "tests/data"), "host-2x64-smt-nic.xml")
    odd = host.replace(f'"110" cpuset="{bits}" complete_cpuset="{bits}"',
                       '"110" cpuset="0x0" complete_cpuset="0x0"')
    assert odd != host
    write(folder, "host.xml", odd)
    result = weir(folder, "topo", "--xml", "host.xml")
    assert (result.returncode, result.stderr) == (0, ""), result.stderr


@test
def one_process_has_no_replicas(folder):
    write(folder, "j.yaml", "version: 1\njob: j\nrecovery: {}\noperators:\n"
          "  - {id: source, kind: nexmark, events: 1000}\n"
          "  - {id: sink, kind: csv, input: source.bid, path: out.csv}\n")
    result = weir(folder, "run", "-w", "1", "j.yaml")
    assert result.returncode == 0, result.stderr
    said = "j.yaml:3: recovery: this is one process on one host, and nothing survives the host;"
    assert result.stderr.count(said) == 1, result.stderr
    write(folder, "s.yaml", read(folder, "j.yaml").replace("csv, ", "stdout, ").replace(
        ", path: out.csv", ""))
    at_once = weir(folder, "check", "s.yaml")
    assert at_once.returncode == 2, at_once.stderr
    assert "s.yaml:6: sink.kind: stdout acts outside at once" in at_once.stderr, at_once.stderr


@test
def a_terminal_sees_the_event_time(folder):
    write(folder, "j.yaml", ENDLESS)
    ours, its = os.openpty()
    process = subprocess.Popen([WEIR, "run", "-w", "1", "-s", "workers.wait=sleep", "j.yaml"],
                               cwd=folder, stderr=its)
    os.close(its)
    text = b""
    while b"event time " not in text:
        text += os.read(ours, 4096)  # fails when the job ends without
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 0
    os.close(ours)
    assert b"event time 2015-07-15T00:0" in text, text


@test
def kinds_lists_parameters(folder):
    everything = weir(folder, "kinds").stdout
    assert "nexmark (source): " in everything and "window_aggregate (transform): " in everything
    assert "tumbling" in weir(folder, "kinds", "window_aggregate").stdout


main()
