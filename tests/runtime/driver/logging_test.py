"""Log records of workers come to the driver's handlers; its levels and warnings filters reach the workers."""

import base64
import logging
import os
import pickle
import textwrap
import unittest
import warnings

from driver_case import DriverCase, WithExecutor, for_each_start
from pyhost import _records

log = logging.getLogger("tests.logging")


class OnlyHere:
    def __repr__(self):
        return "<only here>"

    def __reduce__(self):
        raise TypeError("not this one")


def report(text, *args, level=logging.WARNING, **extra):
    logging.getLogger("tests.logging").log(level, text, *args, extra=extra)
    return os.getpid()


def report_many(count):
    for i in range(count):
        report("%d", i)


def report_failure():
    try:
        1 / 0
    except ZeroDivisionError:
        logging.getLogger("tests.logging").exception("it failed")


def report_and_die():
    report("the last words")
    os.kill(os.getpid(), 9)


def report_beside(path):
    """With a handler of the worker's own."""
    handler = logging.FileHandler(path)
    logging.getLogger("tests.logging").addHandler(handler)
    report("for both")
    logging.getLogger("tests.logging").removeHandler(handler)
    handler.close()


def enabled_levels():
    return [level for level in (logging.WARNING, logging.ERROR, logging.CRITICAL)
            if logging.getLogger("tests.logging").isEnabledFor(level)]


def root_level():
    return logging.getLogger().level, logging.getLogger("tests.quiet").isEnabledFor(logging.ERROR)


def warn():
    warnings.warn("take care", UserWarning)
    return True


@for_each_start
class Records(WithExecutor):
    def test_a_record_is_handled_by_the_driver_before_the_result_is_there(self):
        with self.assertLogs(log, "INFO") as caught:
            pid = self.call(report, "%s of %d", "one", 2, request="r1")

        record, = caught.records
        self.assertEqual((record.getMessage(), record.levelname, record.name, record.funcName, record.request),
                         ("one of 2", "WARNING", "tests.logging", "report", "r1"))
        self.assertEqual(record.process, pid)
        self.assertNotEqual(pid, os.getpid())

    def test_many_records_arrive_in_order(self):
        with self.assertLogs(log, "INFO") as caught:
            list(self.executor.map(report_many, [200] * 5))

        by_process = {}
        for record in caught.records:
            by_process.setdefault(record.process, []).append(int(record.getMessage()))
        self.assertEqual(len(caught.records), 1000)
        for numbers in by_process.values():
            self.assertEqual(numbers, list(range(200)) * (len(numbers) // 200))

    def test_a_traceback_is_part_of_the_record(self):
        with self.assertLogs(log, "INFO") as caught:
            self.call(report_failure)

        self.assert_says(caught.records[0].exc_text, "Traceback", "in report_failure", "ZeroDivisionError")

    def test_what_was_logged_before_a_crash_is_not_lost(self):
        with self.assertLogs(log, "INFO") as caught:
            error = self.executor.submit(report_and_die).exception(timeout=30)

        self.assertEqual([record.getMessage() for record in caught.records], ["the last words"])
        self.assertNotIn("pyhost-record", str(error))

    def test_extras_that_cannot_be_pickled_arrive_as_text(self):
        with self.assertLogs(log, "INFO") as caught:
            self.call(lambda: report("here", thing=OnlyHere()) and None)

        self.assertEqual(caught.records[0].thing, "<only here>")

    def test_the_levels_and_filters_of_the_driver_decide(self):
        log.setLevel(logging.ERROR)
        self.addCleanup(log.setLevel, logging.NOTSET)
        handler = logging.NullHandler()
        found = []
        handler.handle = found.append
        handler.addFilter(lambda record: True)
        log.addHandler(handler)
        self.addCleanup(log.removeHandler, handler)

        self.call(report, "unimportant")
        self.call(report, "important", level=logging.ERROR)

        self.assertEqual([record.getMessage() for record in found], ["important"])

    def test_a_level_that_the_driver_set_while_workers_run_decides_too(self):
        self.call(report, "early", level=logging.DEBUG)
        with self.assertLogs(log, "INFO") as caught:
            log.setLevel(logging.ERROR)
            self.call(report, "unimportant")
            self.call(report, "important", level=logging.ERROR)

        self.assertEqual([record.getMessage() for record in caught.records], ["important"])

    def test_arguments_that_do_not_fit_their_format_are_said_to_and_fail_no_call(self):
        with self.assertLogs(log, "INFO") as caught:
            self.call(report, "%d of %d", "one")

        self.assert_says(caught.records[0].getMessage(), "'%d of %d' with arguments that do not fit: ")

    def test_handlers_that_a_worker_has_of_its_own_see_its_records_as_well(self):
        path = self.folder / "log"
        with self.assertLogs(log, "INFO") as caught:
            self.call(report_beside, str(path))

        self.assertEqual(path.read_text(), "for both\n")
        self.assertEqual([record.getMessage() for record in caught.records], ["for both"])

    def test_what_is_disabled_is_disabled_in_workers(self):
        logging.disable(logging.ERROR)
        self.addCleanup(logging.disable, logging.NOTSET)

        self.assertEqual(self.call(enabled_levels), [logging.CRITICAL])

    def test_levels_reach_workers(self):
        logging.getLogger("tests.quiet").setLevel(logging.CRITICAL)
        self.addCleanup(logging.getLogger("tests.quiet").setLevel, logging.NOTSET)
        before = logging.getLogger().level
        logging.getLogger().setLevel(logging.INFO)
        self.addCleanup(logging.getLogger().setLevel, before)

        self.assertEqual(self.call(root_level), (logging.INFO, False))

    def test_filters_of_warnings_reach_workers(self):
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="take c.re", category=UserWarning)
            error = self.executor.submit(warn).exception(timeout=30)

        self.assertIsInstance(error, UserWarning)


class Scripts(DriverCase):
    def output(self, text):
        outcome = self.run_python(textwrap.dedent(text))
        self.assertEqual(outcome.status, 0, outcome)
        return outcome

    def test_a_format_of_the_driver_shows_the_worker(self):
        outcome = self.output("""
            import logging, pyhost
            logging.basicConfig(format="%(levelname)s %(name)s %(process)d %(message)s", level="INFO")

            def work(x):
                logging.getLogger("work").info("got %s", x)
                return __import__("os").getpid()

            print(pyhost.submit(work, 1).result())
        """)

        self.assertEqual(outcome.err, f"INFO work {outcome.out.strip()} got 1\n")

    def test_without_handlers_warnings_go_to_stderr_as_ever(self):
        outcome = self.output("""
            import pyhost

            def work(x):
                import logging
                logging.warning("careful with %s", x)
                print("after", flush=True)

            pyhost.submit(work, 1).result()
        """)

        self.assertEqual((outcome.out, outcome.err.replace("WARNING:root:", "")), ("after\n", "careful with 1\n"))

    def test_what_a_task_prints_is_no_record(self):
        outcome = self.output("""
            import base64, logging, pickle, sys, pyhost

            class Payload:
                def __reduce__(self):
                    return print, ("unpickled",)

            text = base64.b64encode(pickle.dumps(Payload())).decode()

            def work(token):
                logging.getLogger()
                print(f"\\x1epyhost-record {token}{text}", file=sys.stderr)

            with pyhost.Executor(1) as executor:
                for token in ("", "0" * 32 + " "):
                    executor.submit(work, token).result()
        """)

        self.assertEqual((outcome.out, outcome.err.count("pyhost-record")), ("", 2))

    def test_long_records_and_lines_of_many_threads_arrive_whole(self):
        outcome = self.output("""
            import logging, sys, threading, pyhost
            logging.basicConfig(format="%(message)s", stream=sys.stdout)

            def report(number):
                for _ in range(20):
                    logging.warning("%s", str(number) * 100_000)
                    print("-" * 100_000, file=sys.stderr)

            def work():
                threads = [threading.Thread(target=report, args=(i,)) for i in range(4)]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()

            with pyhost.Executor(1) as executor:
                executor.submit(work).result()
        """)

        self.assertEqual(sorted(outcome.out.split()), sorted([str(i) * 100_000 for i in range(4)] * 20))
        self.assertEqual(outcome.err.count("-"), 80 * 100_000)

    def test_of_more_long_records_at_once_than_are_kept_the_others_are_counted(self):
        texts = {name: base64.b64encode(pickle.dumps({"name": "tests.logging", "levelno": 30, "msg": str(name)}))
                 for name in range(100)}
        parts = [b":%d %d %d %b" % (name, index, 2 - index, text[index * 40:][:None if index == 2 else 40])
                 for index in range(3) for name, text in texts.items()]

        with self.assertLogs(log) as caught, self.assertLogs("pyhost") as said:
            _records.handle(parts, 0)

        self.assertEqual(len(caught.records), 64)
        self.assertEqual([record.args for record in said.records], [(36,)])

    def test_a_long_record_that_was_dropped_counts_once(self):
        outcome = self.output("""
            import logging, threading, time, pyhost
            go_on, handled, dropped = threading.Event(), [], []

            class Handler(logging.Handler):
                def emit(self, record):
                    go_on.wait()
                    (dropped if record.name == "pyhost" else handled).append(record.args)

            logging.root.handlers = [Handler()]

            def work():
                for _ in range(400):
                    logging.warning("x" * 200_000)

            with pyhost.Executor(1) as executor:
                executor.submit(work).result()
                go_on.set()
            counted = lambda: len(handled) + sum(count for count, in dropped)
            deadline = time.monotonic() + 30
            while counted() < 400 and time.monotonic() < deadline:
                time.sleep(0.01)
            print(counted(), len(handled) < 400)
        """)

        self.assertEqual(outcome.out, "400 True\n")

    def test_records_arrive_wherever_stderr_leads(self):
        outcome = self.output("""
            import logging, os, sys, pyhost
            logging.basicConfig(format="%(message)s", stream=sys.stdout)

            def work():
                os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
                logging.warning("here")
                os.close(2)
                logging.warning("and here")

            with pyhost.Executor(1) as executor:
                executor.submit(work).result()
        """)

        self.assertEqual((outcome.out, outcome.err), ("here\nand here\n", ""))

    def test_another_process_that_writes_to_the_same_stderr_cuts_no_record(self):
        outcome = self.output("""
            import logging, os, subprocess, sys, threading, pyhost
            logging.basicConfig(format="%(message)s", stream=sys.stdout)
            WRITE = "import os" + chr(10) + "while os.write(2, b'-' * 99 + bytes([10])): os.write(1, b'.')"

            def work():
                reader, writer = os.pipe()
                other = subprocess.Popen([sys.executable, "-c", WRITE], stdout=writer)
                os.read(reader, 1)
                threading.Thread(target=lambda: [*iter(lambda: os.read(reader, 1000), b"")], daemon=True).start()
                try:
                    for number in range(5):
                        logging.warning("%s", str(number) * 100_000)
                finally:
                    other.kill()
                    other.wait()

            with pyhost.Executor(1) as executor:
                executor.submit(work).result()
        """)

        self.assertEqual(outcome.out.split(), [str(number) * 100_000 for number in range(5)])
        self.assertEqual({*outcome.err.split()}, {"-" * 99})

    def test_a_process_forked_while_a_thread_logs_can_log(self):
        self.output("""
            import logging, os, threading, pyhost
            logging.getLogger("thread").addHandler(logging.NullHandler())
            logging.getLogger("thread").propagate = False

            def work():
                done = threading.Event()

                def report():
                    while not done.is_set():
                        logging.getLogger("thread").warning("x" * 100_000)

                thread = threading.Thread(target=report)
                thread.start()
                for _ in range(20):
                    copy = os.fork()
                    if copy == 0:
                        logging.getLogger("copy").warning("copied")
                        os._exit(0)
                    os.waitpid(copy, 0)
                done.set()
                thread.join()

            with pyhost.Executor(1) as executor:
                executor.submit(work).result(timeout=60)
        """)

    def test_a_program_may_end_while_its_handlers_have_much_to_do(self):
        for batch in 3000, 1:  # records, and a handler that is as slow for all of them
            outcome = self.run_python(textwrap.dedent(f"""
                import logging, threading, time, pyhost
                begun = threading.Event()

                class Slow(logging.Handler):
                    def emit(self, record):
                        begun.set()
                        end = time.monotonic() + 6 / {batch}
                        while time.monotonic() < end:
                            time.sleep(0.001)

                def chatter():
                    for number in range({batch}):
                        logging.warning("at %d", number)

                logging.getLogger().addHandler(Slow())
                executor = pyhost.Executor(1)
                executor.submit(chatter)
                begun.wait()
            """))

            self.assertEqual((outcome.status, outcome.err), (0, ""))

    def test_a_warning_in_a_task_is_shown_once(self):
        outcome = self.output("""
            import warnings, pyhost

            def work(x):
                warnings.warn("odd", UserWarning)

            with pyhost.Executor(1) as executor:
                list(executor.map(work, range(5)))
        """)

        self.assertEqual(outcome.err.count("UserWarning: odd"), 1)

    def test_adopted_pools_log_as_the_standard_library_does(self):
        script = self.script(textwrap.dedent("""
            import concurrent.futures, logging, multiprocessing
            logging.basicConfig(format="%(message)s by %(processName)s")

            def work(x):
                logging.warning("got %s", x)

            if __name__ == "__main__":
                multiprocessing.set_start_method("fork")
                with concurrent.futures.ProcessPoolExecutor(1) as executor:
                    executor.submit(work, 1).result()
        """))

        outcome = self.pyhost("run", script)
        self.assert_says(outcome.err, "got 1 by ")
        self.assertNotIn("MainProcess", outcome.err)
        self.assertEqual(outcome.err.count("got 1"), 1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
