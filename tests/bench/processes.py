"""Scenarios of processes: memory and CPU time of idle workers, Python code on the CPU."""

import os
import time

import calls
import work


def pss_kib(pid):
    with open(f"/proc/{pid}/smaps_rollup") as rollup:
        return next(int(line.split()[1]) for line in rollup if line.startswith("Pss:"))


def pids_of(pool, function, workers):
    """All workers, each of which ran the function."""
    pids = set()
    for _ in range(50):
        pids.update(calls.submit_all(pool, function, [0.02] * 4 * workers) if hasattr(pool, "submit")
                    else pool.map(function, [0.02] * 4 * workers))
        if len(pids) >= workers:
            return pids
    raise SystemExit(f"only {len(pids)} of {workers} workers ever ran something")


def memory(pool, workers=8):
    pids = pids_of(pool, work.use_numpy, workers)
    time.sleep(0.5)
    return {"pss_mib_per_worker": sum(map(pss_kib, pids)) / len(pids) / 1024}


def cpu_seconds(pid):
    with open(f"/proc/{pid}/stat") as stat:
        fields = stat.read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def idle(pool, workers=2, seconds=3.0):
    """CPU time of the pool, this process included, while nothing is to do."""
    pids = {os.getpid(), *pids_of(pool, work.pid_after, workers)}
    time.sleep(0.5)
    before = sum(map(cpu_seconds, pids))
    time.sleep(seconds)
    return {"cpu_ms_per_second": (sum(map(cpu_seconds, pids)) - before) / seconds * 1e3}


def compute(pool, rounds=3_000_000):
    """Seconds of a loop, the best of five."""
    return {"ms": min(pool.call(work.count_up, rounds) for _ in range(5)) * 1e3}


SCENARIOS = {"memory": memory, "idle": idle, "compute": compute}
