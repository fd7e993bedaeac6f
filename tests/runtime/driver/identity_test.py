"""Who a worker is to `multiprocessing`."""

import unittest

from driver_case import DriverCase

ASK = """
import os, sys
import pyhost
from pyhost import _settings
from pyhost._engine import Engine
{imports}
def who():
    import multiprocessing
    own, parent = multiprocessing.current_process(), multiprocessing.parent_process()
    return {{"name": own.name, "identity": own._identity, "pid": own.pid == os.getpid(), "daemon": own.daemon,
            "alive": own.is_alive(), "parent": (parent.name, parent.pid, parent.is_alive()),
            "children": multiprocessing.active_children(), "child": multiprocessing.Process().name}}
def imported():
    return sorted(name for name in sys.modules if name.startswith("multiprocessing"))
def start(count=1, **settings):
    engine = Engine(_settings.for_engine(count, "{start}", **settings))
    submitter = pyhost._core.core.Submitter()
    return engine, lambda function, *args: engine.submit(function, args, {{}}, None, submitter).result(30)
"""


class Identity(DriverCase):
    def ask(self, start, text, imports=""):
        outcome = self.run_python(ASK.format(imports=imports, start=start) + text)
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        return eval(outcome.out)

    def for_each(self, text, imports=""):
        for start in ("fork", "zygote", "spawn"):
            with self.subTest(start=start):
                yield self.ask(start, text, imports)

    def test_a_worker_is_a_process_of_the_driver(self):
        for imports in ("", "import multiprocessing"):
            for told in self.for_each("engine, call = start()\nprint({**call(who), 'driver': os.getpid()})\n"
                                      "engine.close()", imports):
                self.assertEqual(told["name"], "pyhost-worker-0")
                self.assertEqual(told["identity"], (1,))
                self.assertEqual((told["pid"], told["daemon"], told["alive"]), (True, False, True))
                self.assertEqual(told["parent"], ("MainProcess", told["driver"], True))
                self.assertEqual(told["children"], [])
                self.assertEqual(told["child"], "Process-1:1")

    def test_the_engine_says_what_its_workers_are_called(self):
        for told in self.for_each("engine, call = start(process_name='ForkPoolWorker', daemon=True)\n"
                                  "print(call(who))\nengine.close()", "import multiprocessing"):
            self.assertEqual((told["name"], told["daemon"]), ("ForkPoolWorker-1", True))

    def test_identities_are_unique_among_pools_and_processes(self):
        told = self.ask("fork", """
engine, call = start()
other, ask_other = start(2)
seen = [call(who)["identity"], ask_other(who)["identity"][0] in (2, 3), multiprocessing.Process().name]
print(seen)
engine.close(); other.close()
""", "import multiprocessing")
        self.assertEqual(told, [(1,), True, "Process-4"])

    def test_a_replacement_has_an_identity_of_its_own(self):
        told = self.ask("fork", """
engine, call = start(max_tasks_per_worker=1)
print([call(who)["identity"] for _ in range(3)])
engine.close()
""")
        self.assertEqual(len(set(told)), 3)

    def test_nothing_imports_multiprocessing_where_nobody_wants_it(self):
        for told in self.for_each("engine, call = start()\nprint(call(imported))\nengine.close()"):
            self.assertEqual(told, [])

    def test_what_is_registered_to_run_after_a_fork_runs_in_copies_of_the_driver(self):
        told = self.ask("fork", """
class Thing:
    ran_in = None
    def fork(self):
        self.ran_in = os.getpid()
thing = Thing()
util.register_after_fork(thing, Thing.fork)
def look():
    return thing.ran_in == os.getpid()
engine, call = start()
print([call(look), look(), thing.ran_in])
engine.close()
""", "from multiprocessing import util")
        self.assertEqual(told, [True, False, None])

    def test_what_finalizers_of_the_driver_hold_is_dropped_in_its_copies(self):
        told = self.ask("fork", """
class Thing: pass
held = Thing()
util.Finalize(None, print, args=(held,), exitpriority=1)
reference = weakref.ref(held)
del held
def look():
    return reference() is None
engine, call = start()
print([call(look), look()])
engine.close()
util._finalizer_registry.clear()  # it would print
""", "import weakref\nfrom multiprocessing import util")
        self.assertEqual(told, [True, False])

    def test_the_driver_stays_what_it_is(self):
        told = self.ask("fork", """
engine, call = start()
child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(100,))
child.start()
call(who)
print((multiprocessing.current_process().name, multiprocessing.parent_process(),
       [one.pid == child.pid for one in multiprocessing.active_children()], child.is_alive()))
child.kill(); child.join()
engine.close()
""", "import multiprocessing, time")
        self.assertEqual(told, ("MainProcess", None, [True], True))


if __name__ == "__main__":
    unittest.main()
