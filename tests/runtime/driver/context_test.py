"""A copy of the caller's context variables is there in each call on a worker."""

import asyncio
import contextvars
import decimal
import gc
import textwrap
import threading
import unittest
import weakref

from driver_case import DriverCase, WithExecutor, for_each_start, pyhost

request = contextvars.ContextVar("request", default="none")
user = contextvars.ContextVar("user")


class Unpicklable:
    def __reduce__(self):
        raise TypeError("not this one")


def seen(_=None):
    return request.get()


def both(*_):
    return request.get(), user.get("nobody")


def set_user(name):
    user.set(name)


def change():
    request.set("of the worker")
    return request.get()


async def seen_later():
    before = request.get()
    await asyncio.sleep(0.01)
    return before, request.get()


def quotient():
    return str(decimal.Decimal(1) / 3)



def within(call, **values):
    """What `call` returns in a context of its own, in which those variables are set."""
    def run():
        for name, value in values.items():
            globals()[name].set(value)
        return call()
    return contextvars.copy_context().run(run)


@for_each_start
class Contexts(WithExecutor):
    def submitted(self, function=seen, *args):
        return lambda: self.call(function, *args)

    def test_a_call_sees_the_context_it_was_submitted_in(self):
        self.assertEqual(self.call(seen), "none")
        self.assertEqual(within(self.submitted(both), request="a"), ("a", "nobody"))
        self.assertEqual(within(self.submitted(both), request="b", user={"id": 7}), ("b", {"id": 7}))
        self.assertEqual(self.call(both), ("none", "nobody"))

    def test_the_first_call_of_a_pool_does_too(self):
        self.assertEqual(within(self.submitted(), request="first"), "first")

    def test_calls_under_way_at_once_see_their_own(self):
        futures = [within(lambda: self.executor.submit(seen), request=str(i)) for i in range(100)]

        self.assertEqual([future.result(timeout=30) for future in futures], [str(i) for i in range(100)])

    def test_what_a_call_sets_stays_in_its_copy(self):
        self.assertEqual(within(self.submitted(change), request="mine"), "of the worker")
        self.assertEqual({self.call(seen) for _ in range(8)}, {"none"})

    def test_a_map_takes_the_context_it_was_called_in(self):
        def start():
            return self.executor.map(seen, range(20)), self.executor.map(both, [1, 2], [3, 4])

        one, two = within(start, request="map")
        request_of_reader = within(lambda: (list(one), list(two)), request="reader")

        self.assertEqual(request_of_reader, (["map"] * 20, [("map", "nobody")] * 2))

    def test_limits_and_keywords_go_along(self):
        limited = self.executor.options(timeout=20)

        self.assertEqual(within(lambda: limited.submit(dict, a=1).result(timeout=30), request="x"), {"a": 1})
        self.assertEqual(within(lambda: limited.submit(seen).result(timeout=30), request="x"), "x")
        self.assertEqual(within(lambda: self.executor.broadcast(seen), request="all"), ["all"] * 2)

    def test_coroutines_and_lambdas_see_it_too(self):
        self.assertEqual(within(self.submitted(seen_later), request="later"), ("later", "later"))
        self.assertEqual(within(self.submitted(lambda: request.get()), request="lambda"), "lambda")
        self.assertEqual(within(self.submitted(lambda: both()), request="by value"), ("by value", "nobody"))

    def test_threads_have_contexts_of_their_own(self):
        results = []

        def work(name):
            request.set(name)
            results.append(self.call(seen) == name)

        threads = [threading.Thread(target=work, args=(f"thread {i}",)) for i in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

        self.assertEqual(results, [True] * 4)

    def test_asyncio_tasks_do_too(self):
        async def handle(name):
            request.set(name)
            loop = asyncio.get_running_loop()
            run = await pyhost.aio.run(seen, executor=self.executor)
            mapped = [value async for value in pyhost.aio.map(seen, range(3), executor=self.executor)]
            return {run, *mapped, await loop.run_in_executor(self.executor, seen)}

        async def main():
            return await asyncio.gather(*(handle(name) for name in "abc"))

        self.assertEqual(asyncio.run(main()), [{"a"}, {"b"}, {"c"}])

    def test_what_cannot_be_pickled_stays_behind(self):
        self.assertEqual(within(self.submitted(both), request="x", user=Unpicklable()), ("x", "nobody"))

    def test_variables_that_no_module_holds_stay_behind(self):
        hidden = [contextvars.ContextVar("hidden")]

        def call():
            hidden[0].set(1)
            return self.call(seen)

        self.assertEqual(within(call, request="x"), "x")

    def test_variables_made_for_each_call_are_not_kept(self):
        class Value:
            pass

        def call_with_one(i):
            value = Value()
            variable = contextvars.ContextVar(f"of call {i}", default=value)
            contextvars.copy_context().run(lambda: (variable.set(1), self.call(seen)))
            return weakref.ref(value)

        values = [call_with_one(i) for i in range(600)]
        gc.collect()

        self.assertLess(sum(value() is not None for value in values), 300)

    def test_the_content_of_a_value_is_that_of_the_moment(self):
        value = ["before"]
        future = within(lambda: self.executor.submit(seen), request=value)
        value.append("after")

        self.assertEqual(future.result(timeout=30), ["before"])

    def test_the_context_of_decimal_goes_along(self):
        def call():
            decimal.setcontext(decimal.Context(prec=5))
            return self.call(quotient)

        self.assertEqual(self.call(quotient), "0." + "3" * 28)
        self.assertEqual(contextvars.copy_context().run(call), "0.33333")
        self.assertEqual(self.call(quotient), "0." + "3" * 28)


@for_each_start
class Initialized:
    def test_what_the_initializer_set_is_there_where_the_caller_set_nothing(self):
        with pyhost.Executor(1, start=self.start_method, initializer=set_user, initargs=("worker",)) as executor:
            def call():
                return executor.submit(both).result(timeout=30)

            self.assertEqual(within(call, request="x"), ("x", "worker"))
            self.assertEqual(within(call, user="me"), ("none", "me"))
            self.assertEqual(call(), ("none", "worker"))


class SeveralAtOnce(DriverCase):
    def test_threads_and_coroutines_of_a_worker_see_their_own(self):
        with pyhost.Executor(1, start="fork", concurrency=4) as executor:
            for function, expected in ((seen, lambda name: name), (seen_later, lambda name: (name, name))):
                futures = [within(lambda: executor.submit(function), request=str(i)) for i in range(12)]
                futures.append(executor.submit(function))
                found = [future.result(timeout=30) for future in futures]
                self.assertEqual(found, [expected(str(i)) for i in range(12)] + [expected("none")])


class Elsewhere(DriverCase):
    def test_a_nested_pool_hands_it_on(self):
        result = self.run_python(textwrap.dedent("""
            import contextvars, pyhost
            request = contextvars.ContextVar("request", default="none")

            def leaf():
                return request.get()

            def tree():
                return pyhost.submit(leaf).result()

            request.set("outer")
            print(pyhost.submit(tree).result())
        """))

        self.assertEqual((result.out, result.err, result.status), ("outer\n", "", 0))

    def test_adopted_pools_leave_it_behind_as_the_standard_library_does(self):
        script = textwrap.dedent("""
            import concurrent.futures, contextvars
            request = contextvars.ContextVar("request", default="none")

            def seen():
                return request.get()

            if __name__ == "__main__":
                with concurrent.futures.ProcessPoolExecutor(1) as executor:
                    executor.submit(seen).result()
                    request.set("mine")
                    print(executor.submit(seen).result(), list(executor.map(repr, [1])))
        """)

        self.assertEqual(self.run_python(script).out, "none ['1']\n")
        self.assertEqual(self.pyhost("run", self.script(script)).out, "none ['1']\n")


if __name__ == "__main__":
    unittest.main(verbosity=2)
