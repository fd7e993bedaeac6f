"""Typed code of a user: what mypy knows of it. It is never run; tests/checks/types_test.py says more."""

import asyncio
from typing import Any, AsyncIterator, Callable, Iterator, List, Optional

from typing_extensions import assert_type

import pyhost
import pyhost.aio


def length(text: str, times: int = 1) -> int:
    return len(text) * times


async def fetch(url: str) -> bytes:
    return url.encode()


def futures(executor: pyhost.Executor) -> None:
    future = executor.submit(length, "four", times=2)
    assert_type(future, pyhost.Future[int])
    assert_type(future.result(timeout=5), int)
    assert_type(future.cancel(force=True), bool)
    assert_type(executor.submit(fetch, "http://a"), pyhost.Future[bytes])
    assert_type(pyhost.submit(length, "four"), pyhost.Future[int])
    assert_type(executor.options(timeout=2, retries=1).submit(length, "four").result(), int)
    assert_type(executor.options(capture=True).submit(length, "four").stdout, Optional[str])
    assert_type(future.stats, Optional[pyhost.Stats])
    for done in pyhost.as_completed([future]):
        assert_type(done, pyhost.Future[int])
    executor.submit(length, 4)  # error: Argument 2 to "submit" of "Submitter" has incompatible type "int"
    executor.submit(length, text="four", factor=2)  # error: Unexpected keyword argument "factor"
    future.result(timeout="5")  # error: Argument "timeout" to "result" of "Future" has incompatible type "str"


def maps(executor: pyhost.Executor) -> None:
    assert_type(executor.map(length, ["four"], [2], timeout=1.5, buffersize=10), Iterator[int])
    assert_type(pyhost.map(length, ["four"]), Iterator[int])
    assert_type(pyhost.starmap(length, [("four", 2)]), Iterator[int])
    assert_type(executor.starmap(length, [("four", 2)]), Iterator[int])
    assert_type(executor.broadcast(length, "four"), List[int])
    executor.map(length, 5)  # error: Argument 2 to "map" of "Executor" has incompatible type "int"


def pools() -> None:
    with pyhost.Pool(4, maxtasksperchild=10) as pool:
        assert_type(pool.map(length, ["four"]), List[int])
        assert_type(pool.apply(length, ("four",), {"times": 2}), int)
        assert_type(pool.apply_async(length, ("four",)).get(timeout=1), int)
        assert_type(pool.map_async(length, ["four"]).get(), List[int])
        assert_type(pool.imap(length, ["four"]).next(timeout=1), int)


def settings() -> None:
    pyhost.Executor(max_workers=(1, 4), memory="512M", initializer=print, initargs=("ready",), retry_on=OSError)
    pyhost.Executor(workers=4)  # error: Unexpected keyword argument "workers" for "Executor"
    pyhost.Executor(4, start=3)  # error: Argument "start" to "Executor" has incompatible type "int"


@pyhost.task
def score(record: str) -> float:
    return float(record)


@pyhost.task(timeout=2, retries=3)
def page(url: str) -> bytes:
    return url.encode()


def tasks() -> None:
    assert_type(score("1"), float)
    assert_type(score.submit("1"), pyhost.Future[float])
    assert_type(score.map(["1"]), Iterator[float])
    assert_type(page.options(timeout=1).submit("a").result(), bytes)
    score.submit(1)  # error: Argument 1 to "submit" of "Task" has incompatible type "int"


async def awaited() -> None:
    assert_type(await pyhost.aio.run(length, "four"), int)
    results = pyhost.aio.map(length, ["four"])
    assert_type(results, AsyncIterator[int])
    loop = asyncio.get_running_loop()
    assert_type(await loop.run_in_executor(pyhost.Executor(1), length, "four"), int)
    assert_type(await asyncio.wrap_future(pyhost.submit(length, "four")), int)


def errors(work: Callable[[], Any]) -> Optional[str]:
    try:
        work()
    except pyhost.WorkerCrashed as error:
        assert_type(error.signal, int)
        return error.likely_cause
    except (pyhost.TaskTimeout, pyhost.TaskMemoryError) as error:
        assert_type(error.seconds, float)
        return error.stack
    except pyhost.RemoteError as error:
        return error.type_name
    except pyhost.MarshalError as error:
        return str(error)
    worker = pyhost.current_worker()
    return None if worker is None else f"{worker.id} {worker.pid} {worker.cancelled()}"
