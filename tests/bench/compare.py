"""Measures pyhost beside the other ways to run Python functions in several processes, in one run.

Usage: compare.py --build DIR [--runs N] [--json FILE] [--only SCENARIO]

Each figure is the median of N fresh processes (lowest to highest in brackets), taken in turns so
that a busy moment of the machine hits every peer alike. Ratios carry further than figures.
"""

import argparse
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
PYTHON = "/usr/bin/python3"
LINES = 1_000_000
PEERS = ("serial", "mp.Pool", "futures", "joblib", "pyhost")

# Scenario: (title, metric that is compared, whether more is better)
SCENARIOS = {
    "latency": ("one call that does nothing, us", "p50_us", False),
    "single": ("20,000 calls submitted one by one, calls/s", "per_second", True),
    "map": ("map over 1,000,000 ints, items/s", "per_second", True),
    "lines": ("1,000,000 JSON lines through a function, lines/s", "per_second", True),
    "cpp": ("C++ API", None, True),
}
SERIAL_LINES = ("import sys, json, work\n"
                "for line in sys.stdin: print(json.dumps(work.square(json.loads(line))))")


def peers(scenario):
    """Those that are installed; joblib has no way to submit a call on its own."""
    probe = subprocess.run([PYTHON, "-c", "import joblib"], capture_output=True)
    joblib = probe.returncode == 0 and scenario != "single"
    return [peer for peer in PEERS if peer != "joblib" or joblib]


def run(command, **options):
    result = subprocess.run([str(word) for word in command], stdout=options.pop("stdout", subprocess.PIPE),
                            text=True, timeout=300, **options)
    if result.returncode:
        sys.exit(f"bench: status {result.returncode} from {command}")
    return result.stdout


def measure_peer(build, scenario, peer):
    if peer == "pyhost":
        command = [build / "bin/pyhost", "run", HERE / "one.py", "--workers", "2", "--python", PYTHON, "--"]
    else:
        command = [PYTHON, HERE / "one.py"]
    return json.loads(run([*command, scenario, peer]))


def measure_lines(build, peer, path):
    if peer == "pyhost":
        command = [build / "bin/pyhost", "map", f"{HERE / 'work.py'}:square", "-j", "2", "--python", PYTHON]
    else:
        command = [PYTHON, "-c", SERIAL_LINES]
    with open(path) as lines, tempfile.TemporaryFile() as out:
        begin = time.perf_counter()
        run(command, stdin=lines, stdout=out, env={**os.environ, "PYTHONPATH": str(HERE)})
        seconds = time.perf_counter() - begin
    return {"per_second": LINES / seconds}


def measure_cpp(build):
    found = {}
    for program in ("wire_bench", "pool_bench"):
        if (build / "bin" / program).exists():
            report = json.loads(run([build / "bin" / program, "--benchmark_format=json"], stderr=subprocess.DEVNULL))
            for row in report["benchmarks"]:
                metrics = {"p50_us": "p50_us", "p99_us": "p99_us", "items_per_second": "per_second"}
                values = {name: row[key] for key, name in metrics.items() if key in row}
                unit = {"ns": 1e-3, "us": 1, "ms": 1e3}[row["time_unit"]]
                values.setdefault("mean_us", row["real_time"] * unit)
                found[f"{program[:-6]} {row['name'].replace('/real_time', '')}"] = values
    return found


def machine():
    model = [line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
    version = run([PYTHON, "-V"]).strip()
    return {"date": time.strftime("%Y-%m-%d"), "cpu": model[0] if model else platform.machine(),
            "cpus": len(os.sched_getaffinity(0)), "kernel": platform.release(), "python": version}


def collect(build, runs, only):
    """{scenario: {peer: [metrics of each run]}}"""
    rows = {}
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as lines:
        lines.writelines(f"{i}\n" for i in range(LINES))
        lines.flush()
        for scenario in [name for name in SCENARIOS if only in (None, name)]:
            rows[scenario] = {}
            for _ in range(1 if scenario == "cpp" else runs):
                if scenario == "cpp":
                    measured = measure_cpp(build)
                elif scenario == "lines":
                    measured = {peer: measure_lines(build, peer, lines.name) for peer in ("serial", "pyhost")}
                else:
                    measured = {peer: measure_peer(build, scenario, peer) for peer in peers(scenario)}
                for peer, metrics in measured.items():
                    rows[scenario].setdefault(peer, []).append(metrics)
    return rows


def shown(values):
    median = statistics.median(values)
    digits = 0 if median >= 1000 else 1 if median >= 10 else 2
    text = f"{median:,.{digits}f}"
    return text if len(values) == 1 else f"{text} ({min(values):,.{digits}f}-{max(values):,.{digits}f})"


def ratio(metric, more_is_better, runs, reference):
    """How many times better than the reference, from the medians."""
    mine, other = (statistics.median(one[metric] for one in each) for each in (runs, reference))
    return f"{mine / other if more_is_better else other / mine:,.2f} x"


def print_table(rows):
    for scenario, measured in rows.items():
        title, metric, more = SCENARIOS[scenario]
        reference = measured.get("mp.Pool") or measured.get("serial")
        name = "mp.Pool" if "mp.Pool" in measured else "serial"
        print(f"\n{title}" + (f"  (last column: times better than {name})" if metric else ""))
        for peer, runs in measured.items():
            cells = [f"{key} {shown([one[key] for one in runs])}" for key in runs[0]]
            last = ratio(metric, more, runs, reference) if metric else ""
            print(f"  {peer:24} {'   '.join(cells):62} {last}".rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, required=True)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--only", choices=SCENARIOS)
    options = parser.parse_args()
    about = machine()
    print(", ".join(str(value) for value in about.values()))
    rows = collect(options.build.resolve(), options.runs, options.only)
    print_table(rows)
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps({"machine": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
