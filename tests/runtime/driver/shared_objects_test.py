"""Objects of `multiprocessing` as arguments of initializers and of tasks."""

import unittest

from driver_case import DriverCase

SCRIPT = """
import multiprocessing, os, socket, sys
import pyhost
from multiprocessing import shared_memory

kept = {{}}

def keep(**things):
    kept.update(things)

def set_up(things):
    kept.update(things)

def kept_now():
    import __main__
    return kept

def use(name, action, *args):
    return action(kept_now()[name], *args)

def main(context, start):
    manager = context.Manager()
    reader, writer = context.Pipe(duplex=False)
    ours, theirs = socket.socketpair()
    memory = shared_memory.SharedMemory(create=True, size=16)
    things = dict(queue=context.Queue(), simple=context.SimpleQueue(), pipe=writer, lock=context.Lock(),
                  rlock=context.RLock(), event=context.Event(), value=context.Value("i", 5), raw=context.RawArray("d", 3),
                  array=context.Array("i", [1, 2]), barrier=context.Barrier(1), semaphore=context.Semaphore(2),
                  condition=context.Condition(), list=manager.list(), dict=manager.dict(), socket=theirs, memory=memory)
    with pyhost.Executor(1, start=start, initializer=set_up, initargs=(things,), max_tasks_per_child=8) as executor:
        call = lambda name, action, *args: executor.submit(use, name, action, *args).result(30)
        for turn in range(2):  # the second turn runs in a replacement
            check(call, things, reader, ours, turn)
        memory.buf[0] = 9
        print(executor.submit(first_byte, memory).result(30), executor.submit(append, things["list"]).result(30),
              list(things["list"])[-1])
    memory.close(); memory.unlink(); manager.shutdown()
    for one in (reader, writer): one.close()
    ours.close(); theirs.close()
    things["queue"].close()

def first_byte(memory):
    return memory.buf[0]

def append(proxy):
    proxy.append("from a task")
    return os.getpid() != {driver}

def check(call, things, reader, ours, turn):
    call("queue", put, turn); assert things["queue"].get(timeout=30) == turn
    call("simple", put, turn); assert things["simple"].get() == turn
    call("pipe", send, turn); assert reader.recv() == turn
    assert things["lock"].acquire(); assert call("lock", try_lock) is False
    things["lock"].release(); assert call("lock", try_lock) is True
    assert call("rlock", try_lock) is True
    assert call("event", is_set) is (turn > 0); things["event"].set(); assert call("event", is_set) is True
    call("value", add_one); assert things["value"].value == 6 + turn
    call("raw", fill, turn); assert list(things["raw"]) == [turn] * 3
    call("array", fill, turn + 1); assert things["array"][:] == [turn + 1] * 2
    assert call("barrier", pass_barrier) == 0
    assert call("semaphore", try_lock) is True
    assert call("condition", notify) is None
    call("list", push, turn); assert list(things["list"]) == list(range(turn + 1))
    call("dict", fill_key, turn); assert dict(things["dict"]) == {{"key": turn}}
    call("socket", send_all, b"%d" % turn); assert ours.recv(1) == b"%d" % turn
    call("memory", fill_first, turn + 1); assert things["memory"].buf[0] == turn + 1

def put(queue, what): queue.put(what)
def send(connection, what): connection.send(what)
def try_lock(lock):
    got = lock.acquire(False)
    if got: lock.release()
    return got
def is_set(event): return event.is_set()
def add_one(value):
    with value.get_lock(): value.value += 1
def fill(array, what): array[:] = [what] * len(array)
def pass_barrier(barrier): return barrier.wait(30)
def notify(condition):
    with condition: condition.notify_all()
def push(proxy, what): proxy.append(what)
def fill_key(proxy, what): proxy["key"] = what
def send_all(socket, what): socket.sendall(what)
def fill_first(memory, what): memory.buf[0] = what
"""


class Initializers(DriverCase):
    def run_with(self, context, start, by_reference=True):
        # A module, so that workers share its globals with the initializer.
        folder = self.folder
        (folder / "things.py").write_text(SCRIPT.format(driver="0"))
        outcome = self.run_python(f"""
import sys
sys.path.insert(0, {str(folder)!r})
import multiprocessing, things
if __name__ == "__main__":
    things.main(multiprocessing.get_context("{context}"), "{start}")
""", timeout=100)
        self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "9 True from a task\n"))

    def test_all_kinds_reach_copies_of_the_driver(self):
        self.run_with("fork", "fork")

    def test_all_kinds_reach_workers_of_a_zygote(self):
        self.run_with("spawn", "zygote")

    def test_all_kinds_reach_interpreters_of_their_own(self):
        self.run_with("forkserver", "spawn")


class Restarts(DriverCase):
    def test_workers_of_a_zygote_that_was_replaced_have_the_same_descriptors(self):
        outcome = self.run_python("""
import multiprocessing, os, signal, pyhost
def set_up(connection):
    import __main__
    __main__.kept = connection
def send(what):
    import __main__
    __main__.kept.send(what)
    return os.getppid()
if __name__ == "__main__":
    reader, writer = multiprocessing.Pipe(duplex=False)
    executor = pyhost.Executor(1, start="zygote", initializer=set_up, initargs=(writer,))
    os.kill(executor.submit(send, "first").result(30), signal.SIGKILL)
    while True:
        try:
            executor.submit(send, "second").result(30)
            break
        except pyhost.WorkerCrashed:
            pass
    writer.close()
    executor.shutdown()
    print(reader.recv(), reader.recv())
    try:
        reader.recv()
    except EOFError:
        print("nobody has the other end any more")
""")
        self.assertEqual((outcome.status, outcome.out),
                         (0, "first second\nnobody has the other end any more\n"))


class Refusals(DriverCase):
    def test_a_lock_for_forked_processes_is_refused_elsewhere(self):
        outcome = self.run_python("""
import multiprocessing, os, pyhost
executor = pyhost.Executor(1, start="zygote", initializer=print, initargs=(multiprocessing.get_context("fork").Lock(),))
try:
    executor.submit(os.getpid).result(30)
except RuntimeError as error:
    print(error)
""")
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        self.assert_says(outcome.out, "`Lock`", "`fork`", 'get_context("spawn")')

    def test_what_may_only_be_inherited_is_refused_as_an_argument(self):
        outcome = self.run_python("""
import multiprocessing, os, pyhost
with pyhost.Executor(1) as executor:
    for thing in (multiprocessing.Queue(), multiprocessing.Lock(), multiprocessing.Value("i")):
        error = executor.submit(id, thing).exception(30)
        print(type(error.__cause__).__name__, error)
""")
        self.assertEqual((outcome.status, outcome.err), (0, ""))
        self.assertEqual(outcome.out.count("RuntimeError"), 6)
        self.assertEqual(outcome.out.count("through inheritance"), 3)


class Arguments(DriverCase):
    def test_connections_and_sockets_travel_with_calls(self):
        for start in ("fork", "zygote"):
            outcome = self.run_python(f"""
import multiprocessing, socket, pyhost
from multiprocessing import resource_sharer
def send(connection):
    connection.send("by connection")
def send_bytes(socket):
    socket.sendall(b"by socket")
if __name__ == "__main__":
    reader, writer = multiprocessing.Pipe(duplex=False)
    ours, theirs = socket.socketpair()
    with pyhost.Executor(1, start="{start}") as executor:
        executor.submit(send, writer).result(30)
        executor.submit(send_bytes, theirs).result(30)
    print(reader.recv(), ours.recv(100).decode())
    resource_sharer.stop(10)
""")
            self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "by connection by socket\n"))

    def test_they_come_back_as_results(self):
        for start in ("fork", "zygote"):
            outcome = self.run_python(f"""
import multiprocessing, pyhost
def pipe():
    import multiprocessing
    reader, writer = multiprocessing.Pipe(duplex=False)
    writer.send("from a worker")
    return reader
def answer():
    import socket
    ours, theirs = socket.socketpair()
    theirs.sendall(b"by its socket")
    return ours
if __name__ == "__main__":
    with pyhost.Executor(1, start="{start}") as executor:
        print(executor.submit(pipe).result(30).recv(), executor.submit(answer).result(30).recv(100).decode())
""")
            self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "from a worker by its socket\n"))

    def test_proxies_of_a_manager_that_came_later_are_usable(self):
        for start in ("fork", "zygote"):
            for imports in ("False", "True"):  # whether a worker has imported multiprocessing before the driver does
                outcome = self.run_python(f"""
import os, sys, pyhost
def append(proxy):
    proxy.append("from a task")
def imported():
    return "multiprocessing" in sys.modules
if __name__ == "__main__":
    with pyhost.Executor(1, start="{start}") as executor:
        executor.submit(__import__, "multiprocessing.context" if {imports} else "os").exception(30)
        import multiprocessing
        print(executor.submit(imported).result(30), executor.submit(len, (imported,)).result(30))
        with multiprocessing.Manager() as manager:
            proxy = manager.list()
            executor.submit(append, proxy).result(30)
            print(list(proxy))
""")
                self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", f"{imports} 1\n['from a task']\n"))


MAKE_AND_READ = """
def make(size):
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(create=True, size=size)
    memory.buf[:5] = b"hello"
    memory.close()
    return memory.name

def make_inside():
    import pyhost
    return pyhost.submit(make, 10).result(30)

def read(name):
    from multiprocessing import shared_memory
    memory = shared_memory.SharedMemory(name)
    content = bytes(memory.buf[:5])
    memory.close()
    memory.unlink()
    return content
"""


class Trackers(DriverCase):
    def test_memory_made_in_a_worker_outlives_it(self):
        for start in ("fork", "zygote", "spawn"):
            with self.subTest(start=start):
                outcome = self.run_python(f"""
import os
import pyhost
from multiprocessing import shared_memory
def make(size):
    memory = shared_memory.SharedMemory(create=True, size=size)
    memory.buf[:5] = b"hello"
    memory.close()
    return os.getpid(), memory.name
if __name__ == "__main__":
    with pyhost.Executor(1, start="{start}", max_tasks_per_child=1) as executor:
        pid, name = executor.submit(make, 100).result(30)
        other = executor.submit(os.getpid).result(30)
    memory = shared_memory.SharedMemory(name)
    print(bytes(memory.buf[:5]), pid != other)
    memory.close()
    memory.unlink()
""")
                self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "b'hello' True\n"))

    def test_memory_that_a_worker_makes_first_is_the_drivers_too(self):
        for start in ("fork", "zygote", "spawn"):
            with self.subTest(start=start):
                outcome = self.run_python(MAKE_AND_READ + f"""
import pyhost
if __name__ == "__main__":
    with pyhost.Executor(2, start="{start}") as executor:
        names = [executor.submit(make, 10).result(30), pyhost.submit(make_inside).result(30)]
    print(read(names[0]), read(names[1]))
""")
                self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "b'hello' b'hello'\n"))

    def test_so_is_that_of_workers_of_adopted_pools(self):
        for method in ("fork", "forkserver", "spawn"):
            with self.subTest(method=method):
                outcome = self.pyhost("run", self.script(MAKE_AND_READ + f"""
import multiprocessing
if __name__ == "__main__":
    with multiprocessing.get_context("{method}").Pool(2) as pool:
        name = pool.apply(make, (10,))
        pool.close()
        pool.join()
    print(read(name))
"""))
                self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "b'hello'\n"))

    def test_a_program_whose_workers_need_no_tracker_starts_none(self):
        outcome = self.run_python("""
import pyhost
from multiprocessing import resource_tracker, shared_memory
if __name__ == "__main__":
    with pyhost.Executor(1, start="zygote") as executor:
        executor.submit(abs, 1).result(30)
    print(resource_tracker._resource_tracker._fd)
""")
        self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "None\n"))

    def test_so_is_that_of_a_worker_whose_stderr_leads_elsewhere(self):
        for elsewhere in ("os.dup2(file, 2)", "os.close(2); os.dup(file)"):
            with self.subTest(elsewhere):
                outcome = self.run_python(MAKE_AND_READ + f"""
import os, sys, pyhost
def make_elsewhere(path):
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    {elsewhere}
    os.write(2, b"only this")
    return make(10)
if __name__ == "__main__":
    with pyhost.Executor(1, start="zygote") as executor:
        name = executor.submit(make_elsewhere, sys.argv[1]).result(30)
    print(read(name))
    with open(sys.argv[1]) as file:
        print(file.read())
""", self.folder / "elsewhere")
                self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "b'hello'\nonly this\n"))

    def test_a_worker_that_cannot_ask_has_a_tracker_of_its_own_at_once(self):
        outcome = self.run_python("""
import os, pyhost
def own():
    from pyhost import _tracker
    _tracker._PATIENCE = 1000
    err = os.fstat(2)
    for fd in map(int, os.listdir("/proc/self/fd")):
        try:
            if os.path.samestat(os.fstat(fd), err):
                os.dup2(os.open(os.devnull, os.O_WRONLY), fd)
        except OSError:  # that of the folder
            pass
    from multiprocessing import resource_tracker
    resource_tracker.ensure_running()
    return resource_tracker._resource_tracker._pid is not None
if __name__ == "__main__":
    with pyhost.Executor(1, start="zygote") as executor:
        print(executor.submit(own).result(30))
""")
        self.assertEqual((outcome.status, outcome.err, outcome.out), (0, "", "True\n"))


if __name__ == "__main__":
    unittest.main()
