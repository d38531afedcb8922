#!/usr/bin/env python3
"""The ratchet over Valkey's own test suite: what passed once keeps passing.

  units.py SUITE SERVER [--whole-only MINUTES] [--jobs N]

SUITE is the runner (../shared/peers/suite), SERVER the binary. `whole` beside this script lists the units that pass whole, with the seconds
each took; `failing` lists, for the other units, every test that does not pass, with its reason: `unit <tab> test <tab> reason`; a line with
`*` for the test stands for whatever else fails there (the unit ends early). Runs all of them and compares; with --whole-only it runs the
whole units alone, as many as fit into so many minutes, shortest first, without those of several cluster nodes: they count seconds until
nodes are held to be dead, which a loaded machine makes too few. A whole unit that is not has a second run, alone, and both are told: some tests
of the suite look at a replica as soon as it has as many keys as its primary, though it may lack a field still. Exit status 1 if a unit that was whole is not, or if a test fails
that has no reason; a reason that has gone is printed, so that its line goes too.
"""
import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent


def rows(name):
    for line in (HERE / name).read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.split("\t")


def run(suite, server, units, jobs):
    with tempfile.NamedTemporaryFile(suffix=".json") as out:
        subprocess.run([suite, "--server", server, "--jobs", str(jobs), "--json", out.name, *units], check=False)
        return json.load(open(out.name))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("suite")
    parser.add_argument("server")
    parser.add_argument("--whole-only", type=float, metavar="MINUTES")
    parser.add_argument("--jobs", type=int, default=2)
    a = parser.parse_args()
    whole = {unit: int(seconds) for unit, seconds in rows("whole")}
    reasons = {}
    for unit, test, reason in rows("failing"):
        reasons.setdefault(unit, {})[test] = reason
    units = sorted(whole)
    if a.whole_only is not None:
        room, units = a.whole_only * 60 * a.jobs, []
        for unit in sorted((u for u in whole if not u.startswith("unit/cluster/")), key=whole.get):
            room -= whole[unit] + 2
            if room < 0:
                break
            units.append(unit)
    else:
        units += sorted(set(reasons) - set(whole))
    anchor = json.load(open(Path(a.suite).resolve().parent / "anchor.json"))
    bad = 0
    is_short = lambda r: r["failed"] or r["thrown"] or r["ok"] < anchor.get(r["unit"], 0)
    results = run(a.suite, a.server, units, a.jobs)
    again = [r for r in results if r["unit"] in whole and is_short(r)]
    if again:
        for r in again:
            print(f"not whole at first: {r['unit']}: {'; '.join(r['failed'])} {r['thrown']}", flush=True)
        second = {r["unit"]: r for r in run(a.suite, a.server, [r["unit"] for r in again], 1)}
        results = [second.get(r["unit"], r) for r in results]
    for r in results:
        unit, short = r["unit"], is_short(r)
        if unit in whole:
            if short:
                bad += 1
                print(f"no longer whole: {unit}: {r['ok']} of {anchor.get(unit)}; {'; '.join(r['failed'])} {r['thrown']}")
            continue
        known = reasons.get(unit, {})
        failed = {name.split(" in tests/")[0] for name in r["failed"]}
        for name in sorted(failed - known.keys()):
            if "*" not in known:
                bad += 1
                print(f"fails without a reason: {unit}: {name}")
        if r["thrown"] and "*" not in known:
            bad += 1
            print(f"ends early without a reason: {unit}: {r['thrown']}")
        for name in sorted(known.keys() - failed - {"*"}):
            if "*" not in known:
                print(f"passes now, its line in failing can go: {unit}: {name}")
        if not short:
            print(f"whole now, it can move to whole: {unit}")
    sys.exit(bad > 0)


main()
