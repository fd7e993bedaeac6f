"""joblib's `Parallel` on pyhost's workers: what it computes, what it costs, how it fails."""

import concurrent.futures.process
import contextlib
import gc
import math
import multiprocessing
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(os.environ["PYHOST_RUNTIME"]) / "python"))

import joblib  # noqa: E402
import numpy  # noqa: E402
from joblib import Parallel, delayed, parallel_backend  # noqa: E402

import pyhost  # noqa: E402
from pyhost import _joblib_pools  # noqa: E402

joblib_version = tuple(map(int, joblib.__version__.split(".")[:2]))
LARGE = 1 << 18  # float64: 2 MiB, more than joblib's max_nbytes


def setUpModule():
    pyhost.register_joblib()


def tearDownModule():
    _joblib_pools.close()


def where():
    return os.getpid(), pyhost.current_worker().id


def change(array):
    array += 1
    return array


def fill(out, place):
    out[place] = place * 10


def environment(name):
    return os.environ.get(name)


def set_variable(name, value):
    os.environ[name] = value


def touch(path):
    path.touch()
    return "touched"


def wait_for(path):
    deadline = time.monotonic() + 30
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return "found" if path.exists() else "nothing"


def nested(backend, n_jobs):
    return joblib.cpu_count(), Parallel(n_jobs, backend=backend)(delayed(os.getpid)() for _ in range(4)), os.getpid()


def mapped_copies(pid="self"):
    """How many large arrays that process has mapped."""
    with open(f"/proc/{pid}/maps") as maps:
        return sum("pyhost-joblib" in line for line in maps)


def open_copies():
    found = set()
    for name in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if "pyhost-joblib" in os.readlink(f"/proc/self/fd/{name}"):
                found.add(os.stat(int(name)).st_ino)
    return len(found)


_kept = []


def keep(array):
    _kept.append(array)


def kept():
    return float(_kept[0].max()) if _kept else None


def sum_and_maps(array):
    return float(array.sum()), mapped_copies()


def end(how):
    if how == "killed":
        os.kill(os.getpid(), 9)
    if how == "raises":
        raise LookupError(how)
    time.sleep(0 if how == "quick" else 60)
    return how


def mark(folder, number):
    pathlib.Path(folder, str(number)).touch()
    if number == 1:
        raise LookupError(number)
    time.sleep(0.05)


class JoblibCase(unittest.TestCase):
    """Each test within the backend."""

    def setUp(self):
        context = parallel_backend("pyhost", n_jobs=2)
        context.__enter__()
        self.addCleanup(context.__exit__, None, None, None)


class Calls(JoblibCase):
    def test_results_are_in_order_and_come_from_workers(self):
        self.assertEqual(Parallel()(delayed(math.sqrt)(i ** 2) for i in range(1000)), list(range(1000)))
        for pid, worker in Parallel()(delayed(where)() for _ in range(4)):
            self.assertNotEqual(pid, os.getpid())
            self.assertIn(worker, (0, 1))

    def test_the_backend_can_be_named_by_the_call(self):
        with parallel_backend("threading"):
            pids = {pid for pid, _ in Parallel(n_jobs=2, backend="pyhost")(delayed(where)() for _ in range(4))}

        self.assertNotIn(os.getpid(), pids)

    def test_loky_stays_loky_where_it_is_named(self):
        self.assertEqual(type(Parallel(n_jobs=2, backend="loky")._backend).__name__, "LokyBackend")

    def test_functions_of_main_closures_and_wrapped_ones_go_by_value(self):
        factor = 3
        wrapped = joblib.wrap_non_picklable_objects(lambda x: x * factor)

        self.assertEqual(Parallel()(delayed(lambda x: x * factor)(i) for i in range(5)), [0, 3, 6, 9, 12])
        self.assertEqual(Parallel()(delayed(wrapped)(i) for i in range(5)), [0, 3, 6, 9, 12])

    def test_open_files_go_by_content_as_to_loky(self):
        with open(__file__) as file:
            first = file.readline()
            file.seek(0)
            read, returned = Parallel()([delayed(lambda: file.readline())(), delayed(lambda: open(__file__))()])

        self.assertEqual((read, returned.readline()), (first, first))

    def test_workers_are_kept_from_one_call_to_the_next(self):
        first = {pid for pid, _ in Parallel()(delayed(where)() for _ in range(20))}
        later = {pid for _ in range(3) for pid, _ in Parallel()(delayed(where)() for _ in range(20))}

        self.assertLessEqual(len(first | later), 2)

    def assert_they_end(self, pids):
        deadline = time.monotonic() + 30
        while any(os.path.exists(f"/proc/{pid}") for pid in pids):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.01)

    def test_those_of_two_numbers_of_jobs_are_kept_and_no_more(self):
        def pids(n_jobs):
            return {pid for pid, _ in Parallel(n_jobs)(delayed(where)() for _ in range(20))}

        self.addCleanup(gc.enable)
        gc.disable()  # they end without it
        first, second = pids(2), pids(3)
        first |= pids(2)
        self.assertLessEqual(len(first), 2)
        third = pids(4)  # ends those that had no call for longest

        self.assert_they_end(second)
        self.assertLessEqual(len(first | pids(2)), 2)
        self.assertLessEqual(len(third | pids(4)), 4)

    def test_idle_ones_end_after_the_time_that_was_asked_for(self):
        with parallel_backend("pyhost", n_jobs=2, idle_worker_timeout=0.1):
            self.assert_they_end({pid for pid, _ in Parallel()(delayed(where)() for _ in range(20))})
            self.assertEqual(Parallel()(delayed(abs)(i) for i in range(3)), [0, 1, 2])

    def test_modules_of_folders_that_came_into_the_path_later_are_found(self):
        Parallel()(delayed(abs)(i) for i in range(3))
        with tempfile.TemporaryDirectory() as folder:
            pathlib.Path(folder, "came_later.py").write_text("def triple(x):\n    return 3 * x\n")
            sys.path.append(folder)
            self.addCleanup(sys.modules.pop, "came_later")
            self.addCleanup(sys.path.remove, folder)
            from came_later import triple

            self.assertEqual(Parallel()(delayed(triple)(i) for i in range(3)), [0, 3, 6])

    def test_calls_from_several_threads_share_the_workers(self):
        results = {}

        def call(number):
            results[number] = Parallel(n_jobs=2, backend="pyhost")(delayed(where)() for _ in range(10))

        threads = [threading.Thread(target=call, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

        self.assertEqual(sorted(results), [0, 1, 2, 3])
        self.assertLessEqual(len({pid for pairs in results.values() for pid, _ in pairs}), 2)

    def test_tiny_tasks_travel_in_batches_and_long_ones_alone(self):
        with Parallel() as parallel:
            parallel(delayed(abs)(i) for i in range(3000))
            self.assertGreater(parallel._backend.compute_batch_size(), 20)
            parallel(delayed(time.sleep)(0.03) for _ in range(8))
            self.assertEqual(parallel._backend.compute_batch_size(), 1)

    def test_how_many_jobs_are_meant(self):
        cpus = joblib.cpu_count()
        self.assertEqual([joblib.effective_n_jobs(n) for n in (-1, 3, -1000, None)], [cpus, 3, 1, 2])
        self.assertEqual(joblib.parallel.BACKENDS["pyhost"]().default_n_jobs, -1)
        with self.assertRaisesRegex(ValueError, "n_jobs == 0"):
            Parallel(n_jobs=0)(delayed(abs)(i) for i in range(3))


class Arrays(JoblibCase):
    def test_small_ones_are_the_tasks_own_and_results_are_ours(self):
        results = Parallel()(delayed(change)(numpy.zeros(10_000)) for _ in range(3))

        for result in results:
            result += 1
            self.assertEqual(result.sum(), 20_000)

    def test_large_ones_are_shared_and_read_only(self):
        with self.assertRaisesRegex(ValueError, "read-only"):
            Parallel()(delayed(change)(numpy.zeros(LARGE)) for _ in range(3))
        self.assertEqual(Parallel(max_nbytes=None)(delayed(change)(numpy.zeros(LARGE)) for _ in range(2))[1][5], 1)
        self.assertEqual(Parallel(mmap_mode="c")(delayed(change)(numpy.zeros(LARGE)) for _ in range(2))[1][5], 1)

    def test_one_that_is_changed_in_place_is_never_stale(self):
        array = numpy.zeros(LARGE)
        sums = []
        with Parallel() as parallel:
            for value in range(3):
                array[-1] = value
                sums += parallel(delayed(numpy.sum)(array) for _ in range(3))

        self.assertEqual(sums, [0, 0, 0, 1, 1, 1, 2, 2, 2])

    def test_one_in_a_queue_has_what_it_had_when_it_was_submitted(self):
        array = numpy.zeros(LARGE)

        def tasks():
            for value in range(8):
                array[:] = value
                yield delayed(numpy.max)(array)

        found = Parallel(pre_dispatch=2, batch_size=1)(tasks())

        for value, result in enumerate(found):
            self.assertIn(result, (value, value + 1))  # joblib takes two tasks before it submits the first

    def test_one_that_many_tasks_take_is_copied_once_and_kept_for_the_next_call(self):
        gc.collect()
        Parallel()(delayed(abs)(i) for i in range(3))  # gives back what earlier tests left
        array = numpy.ones(LARGE)
        for _ in range(2):
            self.assertEqual(Parallel(batch_size=1)(delayed(sum_and_maps)(array) for _ in range(12)),
                             [(LARGE, 1)] * 12)
            self.assertEqual(open_copies(), 1)

    def test_memory_of_arrays_that_are_gone_is_given_back(self):
        found = Parallel(batch_size=1)(delayed(sum_and_maps)(numpy.full(LARGE, i)) for i in range(40))

        self.assertEqual([total for total, _ in found], [i * LARGE for i in range(40)])
        self.assertLess(max(maps for _, maps in found), 9)
        self.assertEqual(open_copies(), 0)
        self.assertEqual(Parallel(batch_size=1)(delayed(mapped_copies)() for _ in range(8)), [0] * 8)

    def test_idle_workers_give_it_back_without_another_call(self):
        pids = {pid for pid, _ in Parallel()(delayed(where)() for _ in range(20))}

        Parallel(batch_size=1)(delayed(numpy.sum)(numpy.full(LARGE, i)) for i in range(8))

        self.assertEqual([mapped_copies(pid) for pid in pids], [0] * len(pids))

    def test_what_a_task_keeps_of_an_array_stays_as_it_was(self):
        array = numpy.zeros(LARGE)
        Parallel(batch_size=1)(delayed(keep)(array) for _ in range(6))
        for value in range(1, 4):
            array[:] = value
            Parallel(batch_size=1)(delayed(numpy.max)(array) for _ in range(6))

        self.assertLessEqual(set(Parallel(batch_size=1)(delayed(kept)() for _ in range(6))), {0.0, None})

    def test_one_that_cannot_be_written_to_is_never_stale_either(self):
        array = numpy.zeros(LARGE)
        writable = array[:]
        found = []
        for value in range(1, 4):
            array.flags.writeable = True
            array[:] = value
            array.flags.writeable = False
            found += Parallel()(delayed(numpy.max)(array) for _ in range(2))
            writable[:] = -value
            found += Parallel()(delayed(numpy.max)(array) for _ in range(2))

        self.assertEqual(found, [1, 1, -1, -1, 2, 2, -2, -2, 3, 3, -3, -3])

    def test_all_orders_kinds_and_views_arrive_equal(self):
        base = numpy.arange(LARGE * 2.0).reshape(2, 4, -1)
        views = [base, base[:, ::2], base.T, numpy.asfortranarray(base[0]), base[::-1, :, ::-1], base[1, 2, 5:9],
                 numpy.array(["a", None], dtype=object), numpy.zeros((0, 3)), base.astype("f4").view("i4"),
                 numpy.rec.fromarrays([base[0, 0], base[1, 1]], names="x,y"), numpy.ma.masked_less(base[0], 5)]

        for view, (shape, copy) in zip(views, Parallel()(delayed(lambda a: (a.shape, a.copy()))(v) for v in views)):
            self.assertEqual((view.shape, view.dtype), (shape, copy.dtype))
            self.assertTrue((view == copy).all())

    def test_one_that_a_file_is_mapped_into_is_written_to_in_the_file(self):
        with tempfile.NamedTemporaryFile() as file:
            out = numpy.memmap(file.name, dtype="f8", mode="w+", shape=(4, 3), offset=16)
            Parallel()(delayed(fill)(out[:, 1], i) for i in range(4))
            Parallel()(delayed(fill)(out[::-1, 2], i) for i in range(4))

            self.assertEqual(out.tolist(), [[0, 0, 30], [0, 10, 20], [0, 20, 10], [0, 30, 0]])
            self.assertEqual(Parallel()(delayed(type)(out) for _ in range(2)), [numpy.memmap] * 2)

    def test_what_was_written_to_a_mapping_of_ones_own_is_seen(self):
        with tempfile.NamedTemporaryFile() as file:
            numpy.zeros(4).tofile(file.name)
            private = numpy.memmap(file.name, dtype="f8", mode="c")
            private[2] = 7
            self.assertEqual(Parallel()(delayed(numpy.sum)(private) for _ in range(2)), [7, 7])


class Failures(JoblibCase):
    def test_an_exception_is_the_tasks_own_with_its_traceback(self):
        with self.assertRaises(LookupError) as caught:
            Parallel()(delayed(end)("raises") for _ in range(3))
        self.assertIn("in end", str(caught.exception.__cause__))

    def test_the_first_failure_ends_the_call_at_once_and_what_is_queued_does_not_start(self):
        begin = time.monotonic()
        with self.assertRaises(LookupError):
            Parallel(pre_dispatch="all")(delayed(end)(how) for how in ("hangs", "raises"))
        with tempfile.TemporaryDirectory() as folder:
            with self.assertRaises(LookupError):
                Parallel(batch_size=1)(delayed(mark)(folder, number) for number in range(200))
            self.assertLess(len(os.listdir(folder)), 50)
        self.assertLess(time.monotonic() - begin, 30)

    def test_workers_are_there_for_the_next_call(self):
        with Parallel() as parallel:
            with self.assertRaises(LookupError):
                parallel(delayed(end)(how) for how in ("hangs", "raises"))
            self.assertEqual(parallel(delayed(abs)(i) for i in range(5)), list(range(5)))

    def test_a_timeout_stops_the_tasks(self):
        begin = time.monotonic()
        with self.assertRaises(multiprocessing.TimeoutError):
            Parallel(timeout=0.2)(delayed(end)("hangs") for _ in range(10))
        self.assertEqual(Parallel()(delayed(end)("quick") for _ in range(4)), ["quick"] * 4)
        self.assertLess(time.monotonic() - begin, 30)

    def test_a_dead_worker_is_what_pyhost_and_what_loky_calls_it(self):
        from joblib.externals.loky.process_executor import TerminatedWorkerError
        for cls in (pyhost.WorkerCrashed, TerminatedWorkerError):
            with self.assertRaisesRegex(cls, "SIGKILL"):
                Parallel()(delayed(end)(how) for how in ("quick", "killed"))
        self.assertEqual(Parallel()(delayed(end)("quick") for _ in range(4)), ["quick"] * 4)

    def test_what_cannot_be_sent_names_its_place(self):
        with self.assertRaisesRegex(pickle.PicklingError, r"the task to send.*lock.*\[1\]") as caught:
            Parallel()(delayed(len)([1, threading.Lock()]) for _ in range(3))
        self.assertIsInstance(caught.exception, pyhost.MarshalError)

    def test_what_the_iterator_raises_is_raised_also_while_tasks_run(self):
        def tasks():
            for number in range(100):
                if number == 30:
                    raise LookupError("of the iterator")
                yield delayed(time.sleep)(0.001)

        with self.assertRaisesRegex(LookupError, "of the iterator"):
            Parallel(batch_size=1)(tasks())


class Nested(JoblibCase):
    def test_tasks_share_the_cpus_with_the_other_workers(self):
        cpus = max(joblib.cpu_count() // 2, 1)

        for found, pids, own in Parallel()(delayed(nested)(None, -1) for _ in range(2)):
            self.assertEqual(found, cpus)
            self.assertEqual(set(pids), {own})  # threads, or one after the other

    def test_a_number_of_jobs_of_a_task_is_honoured(self):
        for _, pids, own in Parallel()(delayed(nested)("pyhost", 2) for _ in range(2)):
            self.assertNotIn(own, pids)

    def test_threads_of_libraries_in_each_worker(self):
        default = str(max(joblib.cpu_count() // 2, 1))
        self.assertEqual(Parallel()(delayed(environment)("OMP_NUM_THREADS") for _ in range(2)), [default] * 2)
        with parallel_backend("pyhost", inner_max_num_threads=3):
            self.assertEqual(Parallel(2)(delayed(environment)("OMP_NUM_THREADS") for _ in range(2)), ["3"] * 2)

    def test_options_of_the_workers(self):
        with parallel_backend("pyhost", memory="300M"):
            with self.assertRaises(MemoryError):
                Parallel(2)(delayed(bytearray)(1 << 29) for _ in range(2))
        with self.assertRaisesRegex(TypeError, "no option `colour`"):
            with parallel_backend("pyhost", colour="red"):
                Parallel(2)(delayed(abs)(i) for i in range(3))


@unittest.skipUnless(hasattr(joblib, "parallel_config"), "joblib has generators since 1.3")
class Generators(JoblibCase):
    def test_results_come_in_order_or_as_they_are_there(self):
        for kind, expected in (("generator", ["found", "touched"]), ("generator_unordered", ["touched", "found"])):
            with self.subTest(kind), tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder, "there")
                tasks = [delayed(wait_for)(path), delayed(touch)(path)]

                self.assertEqual(list(Parallel(return_as=kind, batch_size=1)(tasks)), expected)

    def test_the_first_is_there_while_others_run(self):
        results = Parallel(return_as="generator")(delayed(end)(how) for how in ("quick", "hangs", "hangs"))

        self.assertEqual(next(results), "quick")
        with self.assertWarnsRegex(UserWarning, "have been cancelled"):
            del results
        self.assertEqual(Parallel()(delayed(end)("quick") for _ in range(4)), ["quick"] * 4)

    def test_one_goes_on_while_calls_of_its_context_come_and_go(self):
        results = Parallel(return_as="generator")(delayed(abs)(i) for i in range(30))
        other = Parallel(return_as="generator")(delayed(end)(how) for how in ("quick", "hangs", "hangs"))
        with self.assertWarnsRegex(UserWarning, "have been cancelled"):
            del other

        for number, result in enumerate(results):
            self.assertEqual(result, number)
            self.assertEqual(Parallel()(delayed(abs)(i) for i in range(3)), [0, 1, 2])

    def test_exceptions_timeouts_and_dead_workers_end_one(self):
        for expected, how, options in ((LookupError, "raises", {}), (pyhost.WorkerCrashed, "killed", {}),
                                       (multiprocessing.TimeoutError, "hangs", {"timeout": 0.2})):
            for kind in ("generator", "generator_unordered"):
                if options and kind == "generator_unordered" and joblib_version < (1, 5):
                    continue  # which has timeouts for those in order only
                with self.subTest(how, kind=kind), self.assertRaises(expected):
                    list(Parallel(return_as=kind, **options)(delayed(end)(how) for how in ("quick", how, how)))


@unittest.skipUnless(hasattr(joblib, "parallel_config"), "joblib has parallel_config since 1.3")
class Configured(unittest.TestCase):
    def test_the_backend_and_what_else_calls_are_to_have(self):
        with joblib.parallel_config("pyhost", n_jobs=2, inner_max_num_threads=3, mmap_mode="c", max_nbytes=1000):
            self.assertEqual(Parallel()(delayed(environment)("OMP_NUM_THREADS") for _ in range(2)), ["3"] * 2)
            self.assertEqual(Parallel()(delayed(change)(numpy.zeros(LARGE)) for _ in range(2))[1][5], 1)

    def test_what_the_iterator_raises_does_not_wait_for_tasks(self):
        def tasks():
            yield delayed(end)("hangs")
            yield from (delayed(end)("quick") for _ in range(5))
            raise LookupError("of the iterator")

        begin = time.monotonic()
        with self.assertRaisesRegex(LookupError, "of the iterator"):
            Parallel(2, backend="pyhost", batch_size=1)(tasks())
        self.assertLess(time.monotonic() - begin, 30)


class Initializers(unittest.TestCase):
    def pids(self, **options):
        with parallel_backend("pyhost", n_jobs=2, **options):
            return {pid for pid, _ in Parallel()(delayed(where)() for _ in range(20))}

    def test_one_runs_in_each_worker_before_its_tasks(self):
        with parallel_backend("pyhost", n_jobs=2, initializer=set_variable, initargs=("PYHOST_JOBLIB_TEST", "7")):
            self.assertEqual(Parallel()(delayed(environment)("PYHOST_JOBLIB_TEST") for _ in range(8)), ["7"] * 8)
        self.assertNotIn("PYHOST_JOBLIB_TEST", os.environ)

    def test_workers_are_kept_for_an_equal_one_alone(self):
        first = self.pids(initializer=set_variable, initargs=("A", str(1)))
        again = self.pids(initializer=set_variable, initargs=("A", str(1)))
        other = self.pids(initializer=set_variable, initargs=("A", "2"))

        self.assertLessEqual(len(first | again), 2)
        self.assertFalse(other & (first | again))

    def test_one_that_fails_fails_the_call_and_no_later_one(self):
        with self.assertRaisesRegex(concurrent.futures.process.BrokenProcessPool, "raises"):
            self.pids(initializer=end, initargs=("raises",))
        self.assertTrue(self.pids())

    @unittest.skipIf(joblib_version < (1, 5), "Parallel takes options of backends since joblib 1.5")
    def test_options_of_one_call(self):
        found = Parallel(2, backend="pyhost", initializer=set_variable, initargs=("PYHOST_JOBLIB_TEST", "8"),
                         idle_worker_timeout=5)(delayed(environment)("PYHOST_JOBLIB_TEST") for _ in range(4))

        self.assertEqual(found, ["8"] * 4)
        with self.assertRaisesRegex(TypeError, "no option `colour`"):
            Parallel(2, backend="pyhost", colour="red")(delayed(abs)(i) for i in range(3))


class Programs(unittest.TestCase):
    def run_script(self, text):
        with tempfile.TemporaryDirectory() as folder:
            script = pathlib.Path(folder, "script.py")
            script.write_text(text)
            return subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=60, env={
                **os.environ, "PYTHONPATH": str(pathlib.Path(os.environ["PYHOST_RUNTIME"]) / "python")})

    def test_the_default_backend_needs_no_guard_and_no_number_of_jobs_means_one(self):
        result = self.run_script("import os, joblib, pyhost\n"
                                 "pyhost.register_joblib(make_default=True)\n"
                                 "class Point:\n"
                                 "    x = 3\n"
                                 "def own(p):\n"
                                 "    return os.getpid() == parent, p.x, pyhost.current_worker() is not None\n"
                                 "parent = os.getpid()\n"
                                 "print(joblib.Parallel(2)(joblib.delayed(own)(Point()) for _ in range(2)))\n"
                                 "print(joblib.Parallel()(joblib.delayed(own)(Point()) for _ in range(2)))\n"
                                 "print(joblib.Parallel(2, prefer='threads')(joblib.delayed(own)(Point()) for _ in '1'))\n")

        self.assertEqual((result.stdout, result.stderr),
                         ("[(False, 3, True), (False, 3, True)]\n[(True, 3, False), (True, 3, False)]\n"
                          "[(True, 3, False)]\n", ""))


if __name__ == "__main__":
    unittest.main()
