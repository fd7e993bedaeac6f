"""The rows of the table: what is measured, for which pools, and which figure decides."""

import dataclasses

ALL = ("serial", "threads", "mp.Pool", "futures", "joblib", "pyhost")
POOLS = ("mp.Pool", "futures", "joblib", "pyhost")
JOBLIB = ("joblib", "pyhost joblib")
MP = ("mp.Pool", "pyhost.Pool")
SUBMITTING = ("mp.Pool", "futures", "pyhost")

# scripts/examples/gallery: those whose pools pyhost takes over, then those it leaves alone.
GALLERY = ("pool_map", "process_pool", "joblib_chunks", "asyncio_executor",
           "process_queue", "manager_dict", "shared_value", "thread_pool", "threads")


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table. Scenarios `start`, `script`, `lines`, `cpp` and `io` are programs of their own."""

    name: str  # for --only; rows with the same name belong together
    title: str
    scenario: str
    pools: tuple
    metric: str  # the figure that decides
    more_is_better: bool = False
    workers: int = 2
    parameters: dict = dataclasses.field(default_factory=dict)
    runs: int = 0  # instead of --runs, where a run takes long or does not vary


ROWS = (
    Row("latency", "one call that does nothing", "latency", ("threads", *POOLS), "p50_us"),
    Row("asyncio", "one awaited call: run_in_executor, pyhost.aio.run", "awaited", ("threads", "futures", "pyhost"),
        "p50_us"),
    Row("single", "20,000 calls submitted one by one", "single", ("threads", *SUBMITTING), "per_second", True),
    Row("map", "map over 1,000,000 ints", "map", ("serial", *POOLS), "per_second", True),
    *(Row("dict", f"a nested dict of {label} there and back", "value", POOLS, "p50_ms", parameters={"size": size})
      for label, size in (("1 KB", 1000), ("100 KB", 100_000), ("10 MB", 10_000_000))),
    *(Row("json", f"JSON text of {label} to objects and back, in one process", "text", ("pyhost",), "times_faster",
          True, parameters={"size": size}) for label, size in (("1 KB", 1000), ("10 MB", 10_000_000))),
    Row("joblib", "joblib: one call that does nothing", "latency", JOBLIB, "p50_us"),
    Row("joblib", "joblib: 100,000 tiny calls", "map", JOBLIB, "per_second", True, parameters={"count": 100_000}),
    Row("joblib", "joblib: a nested dict of 100 KB there and back", "value", JOBLIB, "p50_ms",
        parameters={"size": 100_000}),
    Row("joblib", "joblib: 8 calls sum the same 256 MiB of float64", "array", JOBLIB, "again_ms"),
    Row("joblib", "joblib: start to first result, 2 workers", "start", JOBLIB, "ms", parameters={"numpy": 0}),
    Row("lines", "1,000,000 JSON lines through a function", "lines", ("serial", "pyhost"), "per_second", True),
    *(Row("start", f"start to first result, {workers} workers{text}", "start",
          ("serial", *POOLS), "ms", workers=workers, parameters={"numpy": numpy})
      for numpy, text in ((0, ""), (1, ", with numpy")) for workers in (2, 8)),
    Row("memory", "PSS of an idle worker with numpy, 8 workers", "memory", POOLS, "pss_mib_per_worker", workers=8,
        runs=1),
    Row("crash", "one of 20 tasks kills its worker", "crash", SUBMITTING, "others_lost"),
    Row("limit", "a task that never ends, limit 0.5 s: a loop in Python", "limit", ("pyhost",), "past_limit_ms",
        parameters={"hard": False}),
    Row("limit", "the same in C with the GIL held, beyond the grace period", "limit", ("pyhost",), "past_limit_ms",
        parameters={"hard": True}),
    Row("skew", "64 tasks of unequal length", "skew", POOLS, "over_ideal"),
    Row("stream", "5,000,000 items of a generator", "stream", ("serial", *SUBMITTING), "per_second", True, runs=1),
    *(Row("pool", f"the interface of multiprocessing.Pool: {what}", scenario, MP, "per_second", True)
      for what, scenario in (("20,000 apply_async", "single"), ("map over 1,000,000 ints", "map"),
                             ("imap over a generator", "stream"))),
    *(Row("flight", f"{count:,} tasks in flight", "in_flight", SUBMITTING if count <= 100_000 else ("pyhost",),
          "per_task_us", parameters={"count": count}, runs=1) for count in (1000, 10_000, 100_000, 1_000_000)),
    Row("flight", "a map of 1,000,000 items under way", "map_in_flight", ("pyhost",), "bytes_per_task",
        parameters={"count": 1_000_000}, runs=1),
    Row("compute", "pure Python on the CPU", "compute", ("serial", "pyhost"), "ms"),
    Row("cancel", "100,000 queued tasks cancelled", "cancel", ("futures", "pyhost"), "each_us", runs=1),
    Row("idle", "CPU time of an idle pool", "idle", SUBMITTING, "cpu_ms_per_second", runs=1),
    *(Row("gallery", f"unchanged script `{name}.py`, under python3 and under pyhost run", "script",
          ("python3", "pyhost"), "ms", parameters={"script": name}) for name in GALLERY),
    Row("io", "pages fetched over HTTP, 100 at once (scripts/examples/fetch_pages.py)", "io", (), "", runs=1),
    Row("cpp", "C++ API", "cpp", (), "", runs=1),
)
NAMES = tuple(dict.fromkeys(row.name for row in ROWS))
