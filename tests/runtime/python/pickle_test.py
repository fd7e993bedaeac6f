"""Pickle items: values between Python processes, large buffers beside the pickle."""

import decimal
import gc
import pickle
import random
import struct
import sys
import types
import unittest
import weakref

import core_module

core = core_module.load()
encode, decode, MarshalError = core.encode_item, core.decode_item, core.MarshalError

START = 8  # an item of a call follows its u64 length in the payload
LARGE = 64 * 1024


def parts(item):
    """What layout.md says is in an item: the pickle, and the buffers with their offsets."""
    count, reserved, pickle_bytes = struct.unpack_from("<IIQ", item)
    assert reserved == 0
    sizes = struct.unpack_from(f"<{count}Q", item, 16)
    at = 16 + 8 * count
    body, at = item[at:at + pickle_bytes], at + pickle_bytes
    buffers = []
    for size in sizes:
        at = -(-(START + at) // 64) * 64 - START
        buffers.append((at, item[at:at + size]))
        at += size
    assert at == len(item), (at, len(item))
    return body, buffers


class Holder:
    """Something with one large buffer, as numpy arrays are."""

    def __init__(self, content):
        self.content = content

    def __reduce_ex__(self, protocol):
        return Holder, (pickle.PickleBuffer(self.content),)

    def text(self):
        return bytes(self.content)


class Plain:
    def __init__(self, value):
        self.value = value

    def __eq__(self, other):
        return type(other) is Plain and other.value == self.value


class Scalars(unittest.TestCase):
    def test_come_back_with_their_type_and_value(self):
        source = random.Random(5)
        values = [None, True, False, 0, 1, 255, 256, -1, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63 - 1, -(2**63), 2**63,
                  2**100, 0.0, -0.0, 1.5, float("inf"), "", "a", "x" * 255, "x" * 256, "é", "😀" * 100, "\ud800", b"", b"abc"]
        values += [source.randint(-2**70, 2**70) >> source.randrange(70) for _ in range(2000)]
        for value in values:
            item = encode(value)
            back = decode(item)
            self.assertIs(type(back), type(value))
            self.assertEqual(repr(back), repr(value))
            self.assertEqual(repr(pickle.loads(parts(item)[0])), repr(value))

    def test_that_the_stdlib_pickled_are_read(self):
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            for value in (None, True, 7, -7, 2**40, 1.5, "text", "é"):
                body = pickle.dumps(value, protocol)
                self.assertEqual(decode(struct.pack("<IIQ", 0, 0, len(body)) + body), value)

    def test_subclasses_keep_their_class(self):
        class_ = types.SimpleNamespace
        for value in (decimal.Decimal("1.5"), class_(a=1), Plain([1, {2: 3}])):
            self.assertEqual(decode(encode(value)), value)


class Containers(unittest.TestCase):
    def test_come_back_equal(self):
        shared = [1, 2]
        value = {"a": [shared, shared, (1, {2, 3}, frozenset("x"))], 5: b"bytes" * 1000}
        back = decode(encode(value))
        self.assertEqual(back, value)
        self.assertIs(back["a"][0], back["a"][1])

    def test_cycles_are_kept(self):
        loop = []
        loop.append(loop)
        back = decode(encode(loop))
        self.assertIs(back[0], back)


class Buffers(unittest.TestCase):
    def test_large_ones_travel_beside_the_pickle_at_multiples_of_64(self):
        contents = [bytearray(random.Random(i).randbytes(LARGE + 13 * i)) for i in range(5)]
        item = encode([Holder(content) for content in contents])
        body, buffers = parts(item)
        self.assertLess(len(body), 1000)
        self.assertEqual([content for _, content in buffers], contents)
        self.assertEqual([(START + at) % 64 for at, _ in buffers], [0] * 5)

    def test_small_ones_travel_inside(self):
        item = encode(Holder(bytearray(b"small")))
        self.assertEqual(parts(item)[1], [])
        self.assertEqual(decode(item).text(), b"small")

    def test_copies_are_as_writable_as_the_original(self):
        for content in (bytearray(b"x" * LARGE), b"x" * LARGE):
            item = encode(Holder(content))
            back = memoryview(decode(item).content)
            self.assertEqual(back, content)
            self.assertEqual(back.readonly, isinstance(content, bytes))

    def test_shared_ones_are_read_only_views_that_keep_the_bytes_alive(self):
        item = encode(Holder(bytearray(b"y" * LARGE)))
        before = sys.getrefcount(item)
        view = memoryview(decode(item, True).content)
        self.assertTrue(view.readonly)
        self.assertGreater(sys.getrefcount(item), before)
        part = view[10:20]
        del view
        self.assertGreater(sys.getrefcount(item), before)
        self.assertEqual(part, b"y" * 10)
        del part
        self.assertEqual(sys.getrefcount(item), before)

    def test_the_object_may_go_before_what_was_encoded(self):
        content = bytearray(b"z" * LARGE)
        holder = Holder(content)
        gone = weakref.ref(holder)
        item = encode(holder)
        del holder
        self.assertIsNone(gone())
        content.extend(b"more")  # nothing holds an export of it any more
        self.assertEqual(decode(item).text(), b"z" * LARGE)

    def test_numpy_arrays_of_every_layout_come_back_equal(self):
        try:
            import numpy as np
        except ImportError:
            self.skipTest("numpy is not installed")
        base = np.arange(100_000, dtype="f8").reshape(100, 1000)
        for array in (base, base[::2], base[:, ::3], np.asfortranarray(base), base.T, base[:0], base[0, 0],
                      np.zeros(0), np.array([{"a": 1}], dtype=object), base.astype(">f4"), np.zeros(5000, dtype="i4,f8")):
            item = encode({"x": array, "y": [array[:1] if array.ndim else array]})
            for share in (False, True):
                back = decode(item, share)["x"]
                self.assertEqual((back.dtype, back.shape), (array.dtype, array.shape))
                self.assertTrue(np.array_equal(back, array))
                self.assertTrue(back.flags.writeable or share or not back.ndim)
        item = encode(base)
        self.assertEqual(len(parts(item)[1]), 1)
        self.assertFalse(decode(item, True).flags.writeable)


class Dumps(unittest.TestCase):
    def test_a_pickler_of_the_caller_is_used(self):
        seen = []

        def my_dumps(value, buffer_callback):
            seen.append(value)
            return pickle.dumps(value, 5, buffer_callback=buffer_callback)

        holder = Holder(bytearray(LARGE))
        item = encode(holder, my_dumps)
        self.assertEqual(seen, [holder])
        self.assertEqual(len(parts(item)[1]), 1)
        with self.assertRaisesRegex(MarshalError, "the pickler returned `str`; it must return bytes"):
            encode([], lambda value, buffer_callback: "text")

    def test_the_package_pickles_what_the_stdlib_refuses(self):
        package = types.ModuleType("pyhost")
        package.__path__ = []
        pickling = types.ModuleType("pyhost._pickling")
        pickling.dumps = lambda value, buffer_callback: pickle.dumps(("by value", value[0]()), 5)
        saved = {name: sys.modules.get(name) for name in ("pyhost", "pyhost._pickling")}
        sys.modules.update({"pyhost": package, "pyhost._pickling": pickling})
        try:
            self.assertEqual(decode(encode([lambda: 42])), ("by value", 42))
        finally:
            for name, module in saved.items():
                sys.modules.pop(name) if module is None else sys.modules.__setitem__(name, module)


class Refused(unittest.TestCase):
    def test_what_cannot_be_pickled_is_named_with_the_reason(self):
        class Raises:
            def __reduce__(self):
                raise KeyError("no")

        for value, message, reason in (((n for n in []), "cannot send `generator`: ", TypeError), (Raises(), "KeyError: 'no'", KeyError),
                                       ([sys.stdout], "cannot send `list`: ", TypeError)):
            with self.assertRaises(MarshalError) as raised:
                encode(value)
            self.assertIn(message, str(raised.exception))
            self.assertIsInstance(raised.exception.__cause__, reason)

    def test_interrupts_and_memory_errors_pass_through(self):
        for kind in (KeyboardInterrupt, SystemExit, MemoryError):
            class Raises:
                def __reduce__(self):
                    raise kind()

            with self.assertRaises(kind):
                encode(Raises())

    def test_what_cannot_be_rebuilt_says_why(self):
        body = b"cno_such_module\nname\n."
        with self.assertRaises(MarshalError) as raised:
            decode(struct.pack("<IIQ", 0, 0, len(body)) + body)
        self.assertIn("cannot rebuild a value that was sent: ModuleNotFoundError: No module named 'no_such_module'", str(raised.exception))
        self.assertIsInstance(raised.exception.__cause__, ModuleNotFoundError)

    def test_lengths_that_lie_are_rejected(self):
        good = encode([Holder(bytearray(b"a" * LARGE)), Holder(bytearray(b"b" * LARGE))])
        for offset, form in ((0, "<I"), (8, "<Q"), (16, "<Q"), (24, "<Q")):
            honest, = struct.unpack_from(form, good, offset)
            for lie in (2**31, 2**32 - 1, 2**63, 2**64 - 1, 2**64 - 64, len(good), len(good) + 1, honest + LARGE):
                if form == "<I" and lie >= 2**32:
                    continue
                item = bytearray(good)
                struct.pack_into(form, item, offset, lie)
                with self.subTest(offset=offset, lie=lie), self.assertRaisesRegex(MarshalError, "pickle item rejected"):
                    decode(bytes(item))

    def test_an_item_cut_anywhere_is_an_error(self):
        good = encode({"a": [1, "text", Plain(2)]})
        for size in range(len(good)):
            with self.assertRaises(MarshalError):
                decode(good[:size])
        large = encode(Holder(bytearray(LARGE)))
        for size in (len(large) - 1, len(large) - LARGE, 100, 24, 17, 15, 0):
            with self.assertRaises(MarshalError):
                decode(large[:size])


class Memory(unittest.TestCase):
    def test_nothing_is_left_behind(self):
        value = [Holder(bytearray(b"a" * LARGE)), Plain({"k": [1.5] * 100})]

        def round_trip():
            item = encode(value)
            decode(item, True)
            decode(item)
            try:
                encode([value, lambda: None])
            except MarshalError:
                pass
            try:
                decode(item[:-1])
            except MarshalError:
                pass

        self.assertLess(core_module.growth_kib(round_trip, 500), 2048)

    def test_the_collector_is_as_it_was_afterwards(self):
        decode(encode([Plain(1)]))
        self.assertTrue(gc.isenabled())


class Registry(unittest.TestCase):
    def test_the_same_function_has_the_same_number(self):
        def one():
            pass

        def two():
            pass

        first, second = core.register_function(one), core.register_function(two)
        self.assertNotEqual(first, second)
        self.assertEqual([core.register_function(one), core.register_function(two)], [first, second])


class Names(unittest.TestCase):
    """What of a module a pickle refers to."""

    def test_are_those_of_its_functions_and_classes(self):
        thing = [Holder, {"a": parts, 3: decimal.Decimal(2)}, Holder, types.SimpleNamespace(x=Holder), f"{__name__}.no"]

        names = core.names_in_pickle(pickle.dumps(thing, 5), __name__)

        self.assertEqual(set(names), {"Holder", "parts"})
        self.assertEqual(core.names_in_pickle(pickle.dumps(thing, 5), "decimal"), ["Decimal"])

    def test_are_found_between_frames_and_beyond_what_is_large(self):
        thing = [[b"x" * 200_000, "y" * 200_000, bytearray(70_000), -1 << 70, 1.5], list(range(100_000)),
                 [(str(i), parts if i % 2 else Holder) for i in range(30_000)], {1}, frozenset("a"), None]

        self.assertEqual(set(core.names_in_pickle(pickle.dumps(thing, 5), __name__)), {"parts", "Holder"})

    def test_of_what_is_no_such_pickle_are_not_told(self):
        for broken in (b"", b"\x80\x05", pickle.dumps(Holder, 5)[:-3], pickle.dumps(Holder, 0), b"h\x05.", b"\x93."):
            self.assertIsNone(core.names_in_pickle(broken, __name__))


if __name__ == "__main__":
    unittest.main()
