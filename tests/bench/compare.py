"""Measures pyhost beside the other ways to run Python functions in several processes, in one run.

Usage: compare.py --build DIR [--runs N] [--json FILE] [--only ROW]... [--list]

Each figure is the median of N fresh processes (lowest to highest in brackets), taken in turns so
that a busy moment of the machine hits every pool alike. Ratios carry further than figures.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import time

import measure
import rows


def has_joblib():
    return subprocess.run([measure.PYTHON, "-c", "import joblib"], capture_output=True).returncode == 0


def machine():
    model = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    version = measure.run([measure.PYTHON, "-V"]).strip()
    return {"date": time.strftime("%Y-%m-%d"), "cpu": model[0] if model else platform.machine(),
            "cpus": len(os.sched_getaffinity(0)), "kernel": platform.release(), "python": version,
            "load": round(os.getloadavg()[0], 2)}


def collect(build, row, runs, pools):
    """({pool: [metrics of each run]}, [what failed])"""
    alone = {"cpp": measure.cpp, "io": measure.io}
    measured, failures = {}, []
    try:
        if row.scenario in alone:
            return {name: [metrics] for name, metrics in alone[row.scenario](build).items()}, []
    except measure.Failed as failure:
        return {}, [str(failure)]
    for _ in range(row.runs or runs):
        for pool in pools:
            try:
                measured.setdefault(pool, []).append(measure.measure(build, row, pool))
            except measure.Failed as failure:
                failures.append(f"{pool}: {failure}")
    return {pool: metrics for pool, metrics in measured.items() if metrics}, failures


def shown(values):
    median = statistics.median(values)
    digits = 0 if median >= 1000 else 1 if median >= 10 else 2
    text = f"{median:,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def median(runs, metric):
    values = [run[metric] for run in runs if metric in run]
    return statistics.median(values) if values else None


def ratio(row, measured):
    """How pyhost compares with doing without a pool and with the best of the others; empty: nothing to compare."""
    figures = {pool: median(runs, row.metric) for pool, runs in measured.items()}
    name = next((pool for pool in figures if pool.startswith("pyhost")), None)
    ours = figures.pop(name, None)
    figures = {pool: value for pool, value in figures.items() if value}
    if not figures or not ours:
        return ""
    others = [pool for pool in figures if pool != "serial"]
    compared = [pool for pool in figures if pool == "serial"]
    if others:
        compared.append((max if row.more_is_better else min)(others, key=figures.get))
    return f"{name}: " + ", ".join(
        f"{ours / figures[pool] if row.more_is_better else figures[pool] / ours:,.2f} x {pool}" for pool in compared)


def print_row(row, measured):
    print(f"\n{row.title}")
    for pool, runs in measured.items():
        names = dict.fromkeys(name for run in runs for name in run)
        cells = [f"{name} {shown([run[name] for run in runs if name in run])}" for name in names]
        print(f"  {pool:40} {'   '.join(cells)}")
    words = ratio(row, measured)
    print(f"  -> {words}" if words else "", end="\n" if words else "", flush=True)


def parse():
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--runs", type=int, default=3, help="of each figure; default 3")
    parser.add_argument("--json", metavar="FILE", help="write every run there, too")
    parser.add_argument("--only", metavar="ROW", choices=rows.NAMES, action="append", help="may be repeated")
    parser.add_argument("--list", action="store_true", help="print the names of the rows and end")
    return parser.parse_args()


def main():
    options = parse()
    if options.list:
        for name in rows.NAMES:
            print(f"{name:10} " + "; ".join(row.title for row in rows.ROWS if row.name == name))
        return 0
    about = machine()
    print(", ".join(str(value) for value in about.values()))
    absent = () if has_joblib() else ("joblib",)
    report, failed = [], False
    for row in rows.ROWS:
        if options.only and row.name not in options.only:
            continue
        measured, failures = collect(options.build.resolve(), row, options.runs,
                                     [pool for pool in row.pools if pool not in absent])
        if measured:
            print_row(row, measured)
        for failure in failures:
            failed = True
            print(f"  failed: {failure}", flush=True)
        report.append({"row": row.name, "title": row.title, "metric": row.metric, "runs": measured,
                       "failures": failures})
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"machine": about, "rows": report}, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
