"""Maps of scripts as people have them: with callables that have state, and objects that many items share."""

import harness
from adopt_test import Adopted

STATE = '''
import functools
import multiprocessing
import operator
import random
from concurrent.futures import ProcessPoolExecutor

class Dice:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def throw(self, _):
        return self.random.randrange(100)

def append(items, item):
    items.append(item)
    return len(items)

if __name__ == "__main__":
    with ProcessPoolExecutor(2) as executor:
        for _ in range(2):
            print(list(executor.map(Dice(1).throw, range(8))))
        print(list(executor.map(Dice(1).throw, range(8), chunksize=3)))
        print(list(executor.map(functools.partial(append, []), range(8), chunksize=3)))
        print(list(executor.map(functools.partial(append, []), range(8))))
        print(list(executor.map(operator.itemgetter(0), ["ab"] * 3)))
    with multiprocessing.Pool(2) as pool:
        print(pool.map(Dice(1).throw, range(20)))
        print(pool.map(functools.partial(append, []), range(20)))
        print(pool.map(functools.partial(append, []), range(20), 1))
        print(list(pool.imap(functools.partial(append, []), range(5))))
        print(pool.map_async(functools.partial(append, []), range(20)).get())
        print(pool.map_async(functools.partial(append, []), range(20), callback=print).get())
'''

SHARED = '''
import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor

class Table:
    sent = 0

    def __init__(self):
        self.rows = []

    def __getstate__(self):
        Table.sent += 1
        return self.__dict__

def add(table, row):
    table.rows.append(row)
    return len(table.rows)

def add_pair(pair):
    return add(*pair)

def add_one(table):
    return add(table, 1)

def few():
    sent, Table.sent = Table.sent, 0
    return sent <= 16  # twice for each of 8 chunks at most, where there are 80 items

if __name__ == "__main__":
    table = Table()
    pairs = [(table, row) for row in range(80)]
    with multiprocessing.Pool(2) as pool:
        print(pool.starmap(add, pairs), few())
        print(pool.map(add_pair, pairs), few())
        print(pool.map(add_one, [table] * 80), few())
        print(pool.starmap_async(add, pairs).get(), few())
        try:
            pool.starmap(divmod, [(range, 1)] * 16)
        except TypeError as error:
            print(error)
    with ProcessPoolExecutor(2) as executor:
        print(list(executor.map(add, [table] * 80, range(80), chunksize=10)), few())
        print(list(executor.map(add, itertools.repeat(table), range(80), chunksize=10)), few())
        results = executor.map(add, [table] * 8, [1] * 7 + [None], chunksize=4)
        print(next(results), list(results))
'''


class Unchanged(Adopted):
    def test_a_callable_with_state_starts_in_each_chunk_as_it_was(self):
        self.script(STATE)

        self.assert_as_under_python("script.py")

    def test_what_the_items_of_a_chunk_share_is_sent_once_and_is_one_object(self):
        self.script(SHARED)

        self.assert_as_under_python("script.py")


if __name__ == "__main__":
    harness.main()
