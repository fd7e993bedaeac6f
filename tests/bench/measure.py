"""How one row is measured for one pool: always in a fresh process."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
PYTHON = "/usr/bin/python3"
LINES = 1_000_000
SERIAL_LINES = ("import sys, json, work\n"
                "for line in sys.stdin: print(json.dumps(work.square(json.loads(line))))")
FETCH = ROOT / "scripts/examples/fetch_pages.py"
GALLERY = ROOT / "scripts/examples/gallery"


class Failed(Exception):
    """A run gave no figures; the others go on."""


def run(command, **options):
    command = [str(word) for word in command]
    try:
        result = subprocess.run(command, stdout=options.pop("stdout", subprocess.PIPE), text=True, timeout=300,
                                **options)
    except subprocess.TimeoutExpired:
        raise Failed(f"no end within 300 s: {' '.join(command)}") from None
    if result.returncode:
        raise Failed(f"status {result.returncode} from {' '.join(command)}")
    return result.stdout


def program(build, pool, script, workers):
    """How a script is started that uses this pool. joblib's own script runs on pyhost without a change."""
    if pool.startswith("pyhost"):
        return [build / "bin/pyhost", "run", HERE / script, "--workers", workers, "--python", PYTHON, "--"]
    return [PYTHON, HERE / script]


def scenario(build, row, pool):
    return json.loads(run([*program(build, pool, "one.py", row.workers), row.scenario, pool, row.workers,
                           json.dumps(row.parameters)]).splitlines()[-1])


def start(build, row, pool):
    """From the start of a program to its first result, in milliseconds; the best of five."""
    times = []
    for _ in range(5):
        begin = time.perf_counter()
        command = [*program(build, pool, "start.py", row.workers), pool, row.workers, row.parameters["numpy"]]
        with subprocess.Popen([str(word) for word in command], stdout=subprocess.PIPE) as process:
            line = process.stdout.readline()
            times.append((time.perf_counter() - begin) * 1e3)
        if line.strip() != b"1":
            raise Failed(f"no result from {' '.join(map(str, command))}")
    return {"ms": min(times)}


def lines(build, _, pool):
    if pool == "pyhost":
        command = [build / "bin/pyhost", "map", f"{HERE / 'work.py'}:square", "-j", "2", "--python", PYTHON]
    else:
        command = [PYTHON, "-c", SERIAL_LINES]
    with tempfile.TemporaryFile("w+") as text, tempfile.TemporaryFile() as out:
        text.writelines(f"{i}\n" for i in range(LINES))
        text.flush()
        text.seek(0)
        begin = time.perf_counter()
        run(command, stdin=text, stdout=out, env={**os.environ, "PYTHONPATH": str(HERE)})
        seconds = time.perf_counter() - begin
    return {"per_second": LINES / seconds}


def cpp(build):
    """{figure: metrics} of the C++ benchmarks."""
    found = {}
    for name in ("wire_bench", "pool_bench"):
        if not (build / "bin" / name).exists():
            continue
        report = json.loads(run([build / "bin" / name, "--benchmark_format=json"], stderr=subprocess.DEVNULL))
        for figure in report["benchmarks"]:
            metrics = {"p50_us": "p50_us", "p99_us": "p99_us", "items_per_second": "per_second"}
            values = {metric: figure[key] for key, metric in metrics.items() if key in figure}
            unit = {"ns": 1e-3, "us": 1, "ms": 1e3}[figure["time_unit"]]
            values.setdefault("mean_us", figure["real_time"] * unit)
            found[f"{name[:-6]} {figure['name'].replace('/real_time', '')}"] = values
    return found


def script(build, row, pool):
    """A whole script of the gallery as it stands, in milliseconds; the best of three."""
    path = GALLERY / f"{row.parameters['script']}.py"
    started = [build / "bin/pyhost", "run", "--python", PYTHON, "--workers", row.workers]
    command = [*(started if pool == "pyhost" else [PYTHON]), path]
    times = []
    for _ in range(3):
        begin = time.perf_counter()
        run(command)
        times.append((time.perf_counter() - begin) * 1e3)
    return {"ms": min(times)}


def io(build):
    """{way: metrics} from the table that the example prints."""
    if not FETCH.exists():
        return {}
    table = run([build / "bin/pyhost", "run", FETCH, "--python", PYTHON, "--", "--workers", "2"])
    found = re.findall(r"^(\S.*?) +([\d,]+) +[\d.]+$", table, re.MULTILINE)
    return {way: {"per_second": float(rate.replace(",", ""))} for way, rate in found}


def measure(build, row, pool):
    """{metric: value} of one run of one pool."""
    special = {"start": start, "lines": lines, "script": script}
    return special.get(row.scenario, scenario)(build, row, pool)
