"""Maps over plain numbers, which travel without a pickle each: the same values and types come out as from `map`."""

import array
import math
import unittest

import driver_case


def square(x):
    return x * x


def type_name(x):
    return type(x).__name__


def same(x):
    return x


def odd_one_out(x):
    return {0: x, 1: x / 2, 2: str(x), 3: None, 4: x > 0, 5: x << 70}[x % 6]


def fails_at_seven(x):
    if x == 7:
        raise ValueError("seven")
    return x


@driver_case.for_each_start
class Numbers(driver_case.WithExecutor):
    def check(self, function, items):
        """Twice: the first time items go one by one, the second in batches of measured size."""
        expected = [(type(value), value) for value in map(function, items)]
        for _ in range(2):
            results = [(type(value), value) for value in self.executor.map(function, items)]
            self.assertEqual(results, expected)

    def test_ranges(self):
        for items in (range(5000), range(10, -5000, -7), range(0), range(3, 4), range(2**63 - 3, 2**63 + 3),
                      range(-2**63, -2**63 + 5)):
            self.check(same, items)

    def test_results_beyond_64_bits(self):
        self.check(square, range(2**40, 2**40 + 3000))

    def test_ints_and_floats(self):
        self.check(square, list(range(-2000, 2000)))
        self.check(square, [x / 7 for x in range(4000)])
        self.check(same, [math.inf, -math.inf, 5e-324, -0.0])
        self.assertTrue(math.isnan(next(self.executor.map(same, [math.nan]))))

    def test_arguments_keep_their_type(self):
        self.check(type_name, [1, 1.0, True, 2**70, None, "1"] * 300)
        self.check(same, [1, 2.5, True, 2**70, None, "x", (1, 2), -1] * 300)

    def test_one_odd_item_among_many(self):
        items = list(range(4000))
        items[2500] = "odd"
        self.check(same, items)

    def test_mixed_results(self):
        self.check(odd_one_out, range(3000))

    def test_arrays(self):
        self.check(square, array.array("d", [x / 3 for x in range(4000)]))
        self.check(square, array.array("q", range(-2000, 2000)))
        self.check(square, array.array("i", range(100)))
        self.check(same, array.array("d"))

    def test_an_array_may_grow_while_it_is_mapped(self):
        items = array.array("q", range(100))
        results = self.executor.map(same, items, buffersize=10)
        first = next(results)
        items.append(100)
        self.assertEqual([first, *results], list(range(101)))

    def test_an_exception_stands_in_its_place(self):
        results = self.executor.map(fails_at_seven, range(1000))
        self.assertEqual([next(results) for _ in range(7)], list(range(7)))
        with self.assertRaisesRegex(ValueError, "seven"):
            next(results)

    def test_unread_results_of_a_range_are_all_computed(self):
        self.executor.map(square, range(100_000))
        self.executor.shutdown()


@driver_case.for_each_start
class Starmap(driver_case.WithExecutor):
    def test_several_ranges_are_several_arguments(self):
        self.assertEqual(list(self.executor.map(pow, range(5), range(5))), [1, 1, 4, 27, 256])


if __name__ == "__main__":
    unittest.main()
