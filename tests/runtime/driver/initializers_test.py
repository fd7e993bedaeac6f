"""What the initializer of a pool gets, under each start method."""

import os
import tempfile
import threading
import unittest
import weakref

from driver_case import DriverCase, pyhost

given = None


def keep(*args):
    global given
    given = args


def call_given():
    return given[0]()


def write_to_given(data):
    os.write(given[0].fileno(), data)


def types_given():
    return [type(thing).__name__ for thing in given]


def mark_given():
    return os.getpid(), given[0]


class InheritedArguments(DriverCase):
    def start(self, *initargs, initializer=keep, **settings):
        executor = pyhost.Executor(1, start="fork", initializer=initializer, initargs=initargs, **settings)
        self.addCleanup(executor.shutdown)
        return executor

    def test_what_cannot_be_pickled_reaches_forked_workers(self):
        executor = self.start(lambda: "called", threading.Lock())

        self.assertEqual(executor.submit(call_given).result(30), "called")
        self.assertEqual(executor.submit(types_given).result(30), ["function", "lock"])

    def test_an_open_file_is_the_drivers_own(self):
        with tempfile.TemporaryFile() as file:
            executor = self.start(file)

            executor.submit(write_to_given, b"from a worker").result(30)

            file.seek(0)
            self.assertEqual(file.read(), b"from a worker")

    def test_an_initializer_may_be_a_closure_over_such_things(self):
        lock = threading.Lock()

        executor = self.start(initializer=lambda: keep(lock))

        self.assertEqual(executor.submit(types_given).result(30), ["lock"])

    def test_replaced_workers_have_them_too(self):
        executor = self.start("mark", threading.Lock(), max_tasks_per_child=1)

        seen = {executor.submit(mark_given).result(30) for _ in range(3)}

        self.assertEqual(len(seen), 3)
        self.assertEqual({mark for _, mark in seen}, {"mark"})

    def test_they_are_dropped_with_the_executor(self):
        class Held:
            pass

        held = Held()
        gone = []
        reference = weakref.ref(held, lambda _: gone.append(True))
        executor = self.start(held)
        executor.submit(os.getpid).result(30)
        del held
        self.assertIsNotNone(reference())

        executor.shutdown()
        self.doCleanups()
        del executor

        self.assertEqual(gone, [True])

    def test_one_that_raises_is_named(self):
        def refuse(value):
            raise LookupError(f"no {value}")

        executor = self.start("model", initializer=refuse)

        with self.assertRaises(pyhost.StartupError) as caught:
            executor.submit(os.getpid).result(30)
        self.assert_says(str(caught.exception), "refuse", "LookupError: no model")


if __name__ == "__main__":
    unittest.main()
