"""asyncio: calls and maps that are awaited, and cancelled."""

import asyncio
import concurrent.futures
import gc
import itertools
import pathlib
import tempfile
import textwrap
import time
import unittest
import weakref

from driver_case import DriverCase, WithExecutor, for_each_start, pyhost

aio = pyhost.aio


def echo(value):
    return value


def double(value):
    return 2 * value


def add(first, second):
    return first + second


def fail_at(value, bad, kind=LookupError):
    if value == bad:
        raise kind(value)
    return value


async def double_soon(value):
    await asyncio.sleep(0)
    return 2 * value


def run_until_stopped(begun, stopped):
    """Leaves a file when it starts, and another when it is asked to stop."""
    try:
        pathlib.Path(begun).touch()
        end = time.monotonic() + 60
        while time.monotonic() < end:
            time.sleep(0.01)
    except pyhost.TaskInterrupted:
        pathlib.Path(stopped).touch()
        raise


def hold(begun, gate):
    """Leaves a file, and returns once there is another."""
    begun.touch()
    end = time.monotonic() + 60
    while not gate.exists() and time.monotonic() < end:
        time.sleep(0.001)


async def there(path):
    end = time.monotonic() + 30
    while not path.exists():
        if time.monotonic() > end:
            raise AssertionError(f"{path} did not appear")
        await asyncio.sleep(0.01)


async def collect(results):
    return [value async for value in results]


async def numbers(count, until=None):
    for i in range(count):
        if until is not None:
            await until.wait()
        yield i


@for_each_start
class Aio(WithExecutor):
    def files(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return pathlib.Path(folder.name, "begun"), pathlib.Path(folder.name, "stopped")

    def map(self, function, *iterables, **settings):
        return aio.map(function, *iterables, executor=self.executor, **settings)

    def collected(self, function, *iterables, **settings):
        async def main():
            return await collect(self.map(function, *iterables, **settings))
        return asyncio.run(main())

    def test_run_returns_what_the_function_returns_or_raises(self):
        async def main():
            self.assertEqual(await aio.run(add, 1, second=2, executor=self.executor), 3)
            self.assertEqual(await aio.run(double_soon, 4, executor=self.executor), 8)
            with self.assertRaises(LookupError):
                await aio.run(fail_at, 1, 1, executor=self.executor)

        asyncio.run(main())

    def test_many_calls_await_at_once(self):
        async def main():
            return await asyncio.gather(*(aio.run(double, i, executor=self.executor) for i in range(500)))

        self.assertEqual(asyncio.run(main()), [2 * i for i in range(500)])

    def test_one_event_loop_after_the_other_uses_the_pool(self):
        for i in range(3):
            self.assertEqual(asyncio.run(aio.run(echo, i, executor=self.executor)), i)

    def test_event_loops_that_end_with_calls_under_way_are_forgotten(self):
        loops = weakref.WeakSet()

        async def main():
            loops.add(asyncio.get_running_loop())
            for _ in range(30):
                asyncio.ensure_future(aio.run(time.sleep, 0.001, executor=self.executor))
            await asyncio.sleep(0.002)

        for _ in range(30):
            asyncio.run(main())

        end = time.monotonic() + 30
        while loops and time.monotonic() < end:
            gc.collect()
            time.sleep(0.01)
        self.assertEqual(len(loops), 0)

    def test_the_loop_goes_on_while_a_call_runs(self):
        async def main():
            call = asyncio.ensure_future(aio.run(time.sleep, 0.3, executor=self.executor))
            turns = 0
            while not call.done():
                await asyncio.sleep(0.005)
                turns += 1
            return turns

        self.assertGreater(asyncio.run(main()), 5)

    def test_cancelling_stops_a_call_that_runs(self):
        begun, stopped = self.files()

        async def main():
            call = asyncio.ensure_future(aio.run(run_until_stopped, begun, stopped, executor=self.executor))
            await there(begun)
            call.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await call
            await there(stopped)

        asyncio.run(main())

    def test_a_timeout_around_a_call_stops_it(self):
        begun, stopped = self.files()

        async def main():
            await aio.run(echo, 1, executor=self.executor)  # the workers are there
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(aio.run(run_until_stopped, begun, stopped, executor=self.executor), 0.5)
            if begun.exists():
                await there(stopped)

        asyncio.run(main())

    def test_futures_of_an_executor_can_be_awaited(self):
        async def main():
            self.assertEqual(await self.executor.submit(double, 4), 8)
            self.assertEqual(await asyncio.gather(*map(self.executor.submit, [double] * 3, range(3))), [0, 2, 4])
            with self.assertRaisesRegex(LookupError, "7"):
                await self.executor.submit(fail_at, 7, 7)

        asyncio.run(main())

    def test_a_timeout_around_a_future_that_is_awaited_stops_its_call(self):
        begun, stopped = self.files()

        async def main():
            future = self.executor.submit(run_until_stopped, begun, stopped)
            await there(begun)
            with self.assertRaises(asyncio.TimeoutError):
                await asyncio.wait_for(future, 0.1)
            await there(stopped)

        asyncio.run(main())

    def test_cancelling_takes_back_what_has_not_started(self):
        begun, stopped = self.files()

        async def main():
            held = [begun.with_name(f"held{i}") for i in range(self.workers)]
            gate = begun.with_name("gate")
            holders = [asyncio.ensure_future(aio.run(hold, path, gate, executor=self.executor)) for path in held]
            for path in held:
                await there(path)
            queued = asyncio.ensure_future(aio.run(run_until_stopped, begun, stopped, executor=self.executor))
            await asyncio.sleep(0)  # submits it
            queued.cancel()
            await asyncio.gather(queued, return_exceptions=True)
            gate.touch()
            await asyncio.gather(*holders)
            await asyncio.gather(*(aio.run(echo, 1, executor=self.executor) for _ in range(4)))

        asyncio.run(main())
        self.assertFalse(begun.exists())

    def test_cancelling_run_in_executor_stops_the_call(self):
        begun, stopped = self.files()

        async def main():
            loop = asyncio.get_running_loop()
            call = loop.run_in_executor(self.executor, run_until_stopped, begun, stopped)
            await there(begun)
            call.cancel()
            await there(stopped)

        asyncio.run(main())

    def test_cancelling_the_future_itself_leaves_what_runs_alone(self):
        begun, stopped = self.files()

        async def main():
            future = self.executor.submit(run_until_stopped, begun, stopped)
            wrapped = asyncio.wrap_future(future)
            await there(begun)
            self.assertFalse(future.cancel())
            self.assertFalse(stopped.exists())
            wrapped.cancel()
            await there(stopped)

        asyncio.run(main())

    def test_map_yields_in_order_from_either_kind_of_input(self):
        self.assertEqual(self.collected(double, range(3000)), [2 * i for i in range(3000)])
        self.assertEqual(self.collected(double, [1, 2.5, "a"]), [2, 5.0, "aa"])
        self.assertEqual(self.collected(double, numbers(3000)), [2 * i for i in range(3000)])
        self.assertEqual(self.collected(add, numbers(5), [10, 20, 30]), [10, 21, 32])
        self.assertEqual(self.collected(add, [1, 2], [10, 20], chunksize=2), [11, 22])
        self.assertEqual(self.collected(echo, [(1, 2)]), [(1, 2)])
        self.assertEqual(self.collected(echo, numbers(0)), [])

    def test_an_exception_of_an_item_ends_a_map_behind_the_results_before_it(self):
        async def main(items):
            found = []
            with self.assertRaises(LookupError):
                async for value in self.map(fail_at, items, [3] * 1000):
                    found.append(value)
            return found

        self.assertEqual(asyncio.run(main(range(1000))), [0, 1, 2])
        self.assertEqual(asyncio.run(main(numbers(1000))), [0, 1, 2])

    def test_a_stop_iteration_of_an_item_is_an_exception_and_no_end(self):
        async def main(items, kind):
            found = []
            with self.assertRaisesRegex(RuntimeError, f"raised {kind.__name__}") as caught:
                async for value in self.map(fail_at, items, [3] * 9, [kind] * 9):
                    found.append(value)
            self.assertIsInstance(caught.exception.__cause__, kind)
            return found

        for kind in (StopIteration, StopAsyncIteration):
            self.assertEqual(asyncio.run(main(range(9), kind)), [0, 1, 2])
            self.assertEqual(asyncio.run(main(numbers(9), kind)), [0, 1, 2])

    def test_an_exception_of_the_input_comes_behind_the_results_before_it(self):
        async def broken():
            yield 1
            yield 2
            raise KeyError("input")

        async def main():
            found = []
            with self.assertRaises(KeyError):
                async for value in self.map(echo, broken()):
                    found.append(value)
            return found

        self.assertEqual(asyncio.run(main()), [1, 2])

    def test_an_input_whose_own_awaiting_was_cancelled_ends_the_map_by_that(self):
        async def cancelled():
            yield 1
            waited = asyncio.get_running_loop().create_future()
            waited.cancel()
            await waited

        async def main():
            found = []
            with self.assertRaises(asyncio.CancelledError):
                async for value in self.map(echo, cancelled()):
                    found.append(value)
            return found

        self.assertEqual(asyncio.run(main()), [1])

    def test_an_endless_input_is_read_as_the_results_are(self):
        async def main():
            found = []
            async for value in self.map(double, itertools.count()):
                found.append(value)
                if value >= 1000:
                    return found

        self.assertEqual(asyncio.run(main()), list(range(0, 1001, 2)))

    def test_other_tasks_have_their_turns_while_results_are_used_without_waiting(self):
        async def main(items):
            turns, over = 0, False

            async def other():
                nonlocal turns
                while not over:
                    turns += 1
                    await asyncio.sleep(0)

            beside = asyncio.ensure_future(other())
            turns_at = []
            async for _ in self.map(echo, items, chunksize=50):  # all of them are there at once
                turns_at.append(turns)
                end = time.perf_counter() + 0.002
                while time.perf_counter() < end:
                    pass
            over = True
            await beside
            return len(set(turns_at))

        self.assertEqual(asyncio.run(main(range(50))), 50)
        self.assertEqual(asyncio.run(main(numbers(50))), 50)

    def test_an_input_is_read_ahead_no_further_than_told(self):
        pulled = []

        def items():
            for i in range(1000):
                pulled.append(i)
                yield i

        async def items_soon():
            for i in items():
                yield i

        async def main(source):
            pulled.clear()
            results = self.map(echo, source, buffersize=10)
            for i in range(20):
                self.assertEqual(await results.__anext__(), i)
                self.assertLessEqual(len(pulled), i + 12)
            await results.aclose()

        asyncio.run(main(items()))
        asyncio.run(main(items_soon()))

    def test_results_come_while_an_input_waits(self):
        async def main():
            go = asyncio.Event()

            async def source():
                yield 1
                await go.wait()
                yield 2

            found = []
            async for value in self.map(double, source()):
                found.append(value)
                go.set()
            return found

        self.assertEqual(asyncio.run(main()), [2, 4])

    def test_a_map_that_is_late_is_a_timeout(self):
        async def main(items):
            await aio.run(echo, 1, executor=self.executor)
            with self.assertRaises(asyncio.TimeoutError):
                await collect(self.map(time.sleep, items, timeout=0.3))

        asyncio.run(main([0, 1.5]))

        async def slow_source():
            yield 0
            await asyncio.sleep(60)

        asyncio.run(main(slow_source()))

    def check_that_cancelling_a_map_stops_what_runs(self, items):
        begun, stopped = self.files()

        async def main():
            reading = asyncio.ensure_future(collect(self.map(run_until_stopped, items(begun), [stopped])))
            await there(begun)
            reading.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await reading
            await there(stopped)

        asyncio.run(main())

    def test_cancelling_a_map_stops_what_runs(self):
        self.check_that_cancelling_a_map_stops_what_runs(lambda item: [item])

    def test_cancelling_a_map_over_an_asynchronous_input_stops_what_runs_too(self):
        async def soon(item):
            yield item

        self.check_that_cancelling_a_map_stops_what_runs(soon)

    def test_what_a_map_did_not_start_is_taken_back_when_it_is_closed(self):
        async def main():
            results = self.map(hold, paths, [open_gate, *[gate] * 200])
            await results.__anext__()
            await results.aclose()

        begun, gate = self.files()
        paths = [begun.with_name(f"held{i}") for i in range(201)]
        open_gate = begun.with_name("open")
        open_gate.touch()
        asyncio.run(main())
        gate.touch()
        self.executor.shutdown()
        self.assertLessEqual(sum(path.exists() for path in paths), 1 + self.workers)

    def test_limits_of_options_hold(self):
        async def main():
            with self.assertRaises(pyhost.TaskTimeout):
                await aio.run(time.sleep, 20, executor=self.executor.options(timeout=0.2))
            return await collect(aio.map(double, [1, 2], executor=self.executor.options(timeout=20)))

        self.assertEqual(asyncio.run(main()), [2, 4])

    def test_what_is_wrong_is_said_at_once(self):
        async def main():
            with concurrent.futures.ThreadPoolExecutor(1) as threads:
                with self.assertRaisesRegex(TypeError, "ThreadPoolExecutor.*run_in_executor"):
                    await aio.run(echo, 1, executor=threads)
            with self.assertRaisesRegex(ValueError, "buffersize must be None or > 0, and is 0"):
                self.map(echo, [1], buffersize=0)
            with self.assertRaisesRegex(TypeError, "buffersize .* is `'all'`"):
                self.map(echo, [1], buffersize="all")
            with self.assertRaisesRegex(ValueError, "chunksize must be >= 1, and is 0"):
                aio.map(echo, [1], chunksize=0)
            self.assertEqual(await collect(aio.map(echo)), [])
            with self.assertRaisesRegex(TypeError, "not callable"):
                self.map(7, [1])

        asyncio.run(main())


class DefaultPool(DriverCase):
    def test_a_script_awaits_calls_and_maps_without_an_executor(self):
        result = self.run_python(textwrap.dedent("""
            import asyncio, pyhost

            def double(x):
                return 2 * x

            async def main():
                print(await pyhost.aio.run(double, 4))
                print([y async for y in pyhost.aio.map(double, range(4))])

            asyncio.run(main())
        """))

        self.assertEqual((result.out, result.status), ("8\n[0, 2, 4, 6]\n", 0))
        self.assertEqual(result.err, "")


if __name__ == "__main__":
    unittest.main(verbosity=2)
