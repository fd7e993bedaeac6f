"""Who may write to an array: the setting `own_arrays`."""

import unittest

from driver_case import for_each_start, pyhost
from pyhost import _settings
from pyhost._engine import Engine

try:
    import numpy
except ImportError:
    numpy = None

LARGE = 100_000  # elements: far beyond what travels inside a pickle


def is_writable(array):
    return bool(array.flags.writeable)


def negate(array):
    array *= -1
    return array


def make(count):
    return numpy.ones(count)


def echo(value):
    return value


@unittest.skipUnless(numpy, "needs numpy")
@for_each_start
class OwnArrays:
    def start(self, **settings):
        engine = Engine(_settings.for_engine(1, self.start_method, **settings))
        self.addCleanup(engine.close)
        return engine

    def call(self, engine, function, *args):
        submitter = pyhost._core.core.Submitter()
        return engine.submit(function, args, {}, None, submitter).result(30)

    def test_without_the_setting_arguments_and_results_are_read_only(self):
        engine = self.start()

        self.assertFalse(self.call(engine, is_writable, numpy.ones(LARGE)))
        self.assertFalse(is_writable(self.call(engine, make, LARGE)))

    def test_with_it_tasks_change_their_arguments_in_place(self):
        engine = self.start(own_arrays="1G")
        array = numpy.ones(LARGE)

        result = self.call(engine, negate, array)

        self.assertEqual((result.sum(), array.sum()), (-LARGE, LARGE))
        result += 1
        self.assertEqual(result.sum(), 0)

    def test_the_same_holds_for_the_items_of_a_map(self):
        engine = self.start(own_arrays="1G")

        results = list(engine.map(negate, [[numpy.ones(LARGE), numpy.ones(LARGE)]], None, 1, None, False))

        self.assertEqual([result.sum() for result in results], [-LARGE, -LARGE])
        self.assertTrue(all(map(is_writable, results)))

    def test_arrays_beyond_its_size_stay_read_only_in_tasks(self):
        engine = self.start(own_arrays=LARGE)

        self.assertTrue(self.call(engine, is_writable, numpy.ones(LARGE // 8)))
        self.assertFalse(self.call(engine, is_writable, numpy.ones(LARGE)))
        self.assertTrue(is_writable(self.call(engine, make, LARGE)))

    def test_an_array_that_was_read_only_stays_so(self):
        engine = self.start(own_arrays="1G")
        array = numpy.ones(LARGE)
        array.flags.writeable = False

        self.assertFalse(self.call(engine, is_writable, array))
        self.assertFalse(is_writable(self.call(engine, echo, array)))

    def test_those_of_a_multiprocessing_pool_can_be_written_to_on_either_side(self):
        array = numpy.ones(LARGE)
        with pyhost.Pool(1, start=self.start_method) as pool:
            for result in (pool.apply(negate, (array,)), *pool.map(negate, [array]), *pool.imap(negate, [array])):
                result += 1

                self.assertEqual((result.sum(), array.sum()), (0, LARGE))
        pool.join()


if __name__ == "__main__":
    unittest.main()
