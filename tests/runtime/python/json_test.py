"""JSON text to Python objects and back, with Python's json module as the judge."""

import collections
import enum
import gc
import json
import math
import random
import struct
import sys
import threading
import unittest

import core_module

core = core_module.load()
loads, dumps, MarshalError = core.json_loads, core.json_dumps, core.MarshalError

TEXTS = ["", "a", "plain", 'quote " backslash \\ slash /', "tab\tline\nreturn\rbell\x07\x1f\x7f", "é",
         "ÿ" * 9, "€uro", "日本語", "😀", "a😀b", "\u2028", "x" * 7, "x" * 8 + '"', "x" * 63, "x" * 65,
         "\ufffe\uffff", "\U0010ffff", "long " * 2000, "\\" * 5000, "\x00"]


def random_value(source, depth=0):
    kind = source.randrange(9 if depth < 5 else 7)
    if kind == 0:
        return source.choice([None, True, False])
    if kind == 1:
        return source.randint(-10, 10)
    if kind == 2:
        return source.randint(-10 ** source.randrange(1, 60), 10 ** source.randrange(1, 60))
    if kind == 3:
        return source.choice([0.0, -0.0, 1.0, 0.1, 1e16, 1e15, 123456789012345680.0, 1e-4, 1e-5, 5e-324,
                              sys.float_info.max, sys.float_info.min, source.random() * 10 ** source.randrange(-20, 20)])
    if kind == 4:
        bits = struct.pack("<Q", source.getrandbits(64))
        number = struct.unpack("<d", bits)[0]
        return number if math.isfinite(number) else 0.5
    if kind in (5, 6):
        return source.choice(TEXTS) + source.choice(TEXTS)
    size = source.choice([0, 1, 2, 3, 10])
    if kind == 7:
        return [random_value(source, depth + 1) for _ in range(size)]
    return {source.choice(TEXTS) + str(i): random_value(source, depth + 1) for i in range(size)}


def same(a, b):
    """Equal, and of the same types: 1.0 is not 1, and True is not 1."""
    if type(a) is not type(b):
        return False
    if isinstance(a, list):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    return repr(a) == repr(b) if isinstance(a, float) else a == b


class RoundTrip(unittest.TestCase):
    def test_random_values_come_back_as_python_json_would_bring_them(self):
        source = random.Random(20240501)
        for _ in range(1500):
            value = random_value(source)
            text = dumps(value)
            self.assertTrue(same(json.loads(text), value), value)
            self.assertTrue(same(loads(text), value), value)
            for ascii_only in (True, False):
                self.assertTrue(same(loads(json.dumps(value, ensure_ascii=ascii_only, indent=source.choice([None, 1]))), value))

    def test_text_is_what_python_writes_without_spaces(self):
        source = random.Random(7)
        for _ in range(500):
            value = random_value(source)
            self.assertEqual(dumps(value).decode(), json.dumps(value, ensure_ascii=False, separators=(",", ":")))

    def test_a_text_never_contains_a_newline(self):
        self.assertNotIn(b"\n", dumps({"a\n": ["\r\n", {"b": "\n" * 100}]}))

    def test_integers_of_any_size_survive_whatever_the_limit_on_digits(self):
        for digits in (18, 19, 20, 36, 37, 511, 512, 513, 1024, 1025, 4301, 20_000):
            for sign in (1, -1):
                with self.subTest(digits=digits, sign=sign):
                    source = random.Random(digits)
                    text = str(source.randint(1, 9)) + "".join(source.choices("0123456789", k=digits - 1))
                    text = text if sign > 0 else "-" + text
                    value = loads(text)
                    self.assertEqual(dumps(value).decode(), text)
                    self.assertEqual(value % 1_000_003, _remainder(text, 1_000_003))

    def test_integers_of_zeros_and_powers_of_ten_are_exact(self):
        for exponent in (17, 18, 19, 35, 36, 512, 1024, 2048, 5000):
            for offset in (-1, 0, 1):
                value = 10 ** exponent + offset
                self.assertEqual(loads(dumps(value)), value)
                self.assertEqual(loads(dumps([-value])), [-value])

    def test_limits_of_64_bits_are_exact(self):
        for value in (2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 2**64, 0, -1):
            self.assertEqual(dumps(value).decode(), str(value))
            self.assertEqual(loads(str(value)), value)

    def test_a_float_stays_a_float_and_an_int_an_int(self):
        self.assertEqual(dumps([1.0, 1, -0.0, 1e16, 1e300]), b"[1.0,1,-0.0,1e+16,1e+300]")
        self.assertTrue(same(loads(b"[1.0,1,-0.0,1e2,1E+2,-0]"), [1.0, 1, -0.0, 100.0, 100.0, 0]))

    def test_floats_are_the_shortest_text_that_gives_them_back(self):
        source = random.Random(3)
        for _ in range(20_000):
            number = struct.unpack("<d", struct.pack("<Q", source.getrandbits(64)))[0]
            if math.isfinite(number):
                self.assertEqual(dumps(number).decode(), repr(number))
                self.assertEqual(loads(repr(number)), number)

    def test_a_number_below_the_smallest_float_is_zero(self):
        self.assertTrue(same(loads("[1e-999, -1e-999, 4e-324]"), [0.0, -0.0, 5e-324]))

    def test_duplicate_keys_keep_the_last_value(self):
        self.assertEqual(loads('{"a":1,"b":2,"a":3}'), {"a": 3, "b": 2})

    def test_escapes_and_surrogate_pairs_are_characters(self):
        self.assertEqual(loads(rb'"\u0041\u00e9\u20ac\ud83d\ude00\/\b\f\n\r\t\"\\ \u0000"'), 'Aé€😀/\b\f\n\r\t"\\ \x00')

    def test_white_space_may_stand_anywhere_between(self):
        self.assertEqual(loads(' \t\r\n{ "a" : [ 1 , 2 ] , "b" : { } , "c":[ ] } \n'), {"a": [1, 2], "b": {}, "c": []})

    def test_text_may_be_str_bytes_or_any_buffer(self):
        for text in ('["é"]', '["é"]'.encode(), bytearray('["é"]'.encode()), memoryview('["é"]'.encode())):
            self.assertEqual(loads(text), ["é"])

    def test_many_different_keys_are_told_apart(self):
        value = {f"key{i}": i for i in range(20_000)}
        for _ in range(2):
            self.assertEqual(loads(dumps(value)), value)


def _remainder(text, modulus):
    value = 0
    for digit in text.lstrip("-"):
        value = (value * 10 + int(digit)) % modulus
    return value if text[0] != "-" else -value % modulus


class WhatPythonCallsJson(unittest.TestCase):
    def test_subclasses_are_sent_as_what_they_hold(self):
        class Colour(enum.IntEnum):
            red = 3

        class Name(str):
            def __str__(self):
                return "other"

        class Ratio(float):
            def __repr__(self):
                return "other"

        class Big(int):
            def __repr__(self):
                return "other"

            __str__ = __abs__ = __int__ = __repr__

        point = collections.namedtuple("point", "x y")
        ordered = collections.OrderedDict(a=1, b=2)
        ordered.move_to_end("a")
        value = [Colour.red, Name("n"), Ratio(1.5), Big(7), point(1, 2), ordered, collections.Counter("aa")]
        self.assertEqual(dumps(value), b'[3,"n",1.5,7,[1,2],{"b":2,"a":1},{"a":2}]')
        self.assertEqual(dumps(Big(10**30)), b"1" + b"0" * 30)

    def test_keys_follow_python(self):
        value = {2: "a", 1.5: "b", True: "c", False: "d", None: "e", "s": "f", 10**30: "g"}
        self.assertEqual(dumps(value).decode(), json.dumps(value, separators=(",", ":")))

    def test_nan_and_infinity_only_when_allowed(self):
        self.assertEqual(dumps([math.nan, math.inf, -math.inf], True), b"[NaN,Infinity,-Infinity]")
        nan, positive, negative = loads("[NaN, Infinity, -Infinity]", True)
        self.assertTrue(math.isnan(nan))
        self.assertEqual([positive, negative, loads("1e999", True)], [math.inf, -math.inf, math.inf])
        for text in ("NaN", "[Infinity]", "-Infinity"):
            with self.assertRaisesRegex(MarshalError, "is not JSON"):
                loads(text)

    def test_what_was_sent_is_not_changed_or_kept(self):
        value = {"a": [10**20, "text", 1.5]}
        before = [sys.getrefcount(element) for element in value["a"]]
        dumps(value)
        self.assertEqual([sys.getrefcount(element) for element in value["a"]], before)


class Numpy(unittest.TestCase):
    def setUp(self):
        try:
            import numpy
        except ImportError:
            self.skipTest("numpy is not installed")
        self.numpy = numpy

    def test_scalars_are_numbers_and_arrays_are_lists(self):
        np = self.numpy
        value = {"i": np.int64(3), "u": np.uint8(255), "f": np.float32(0.5), "d": np.float64(0.1), "b": np.bool_(True),
                 "s": np.str_("x"), "a": np.arange(6).reshape(2, 3), "z": np.array(1.5), "e": np.array([])}
        self.assertEqual(loads(dumps(value)), {"i": 3, "u": 255, "f": 0.5, "d": 0.1, "b": True, "s": "x",
                                               "a": [[0, 1, 2], [3, 4, 5]], "z": 1.5, "e": []})

    def test_an_array_of_a_subclass_is_a_list(self):
        masked = self.numpy.ma.masked_array([1, 2], mask=[False, True])
        self.assertEqual(dumps(masked), b"[1,null]")

    def test_what_has_no_json_form_names_its_place(self):
        np = self.numpy
        for value, name, place in ((np.array([1j]), "complex", r"\$\.v\[0\]"),
                                   (np.longdouble(1), r"numpy\.(longdouble|float128)", r"\$\.v"),
                                   (np.array([np.nan]), "NaN", r"\$\.v\[0\]"), (np.datetime64("2020-01-01"), "datetime.date", r"\$\.v"),
                                   (np.dtype("f8"), r"numpy\.dtype", r"\$\.v; return a list")):
            with self.assertRaisesRegex(MarshalError, f"cannot send `{name}.*{place}"):
                dumps({"v": value})


class Refused(unittest.TestCase):
    def assert_refused(self, text, message):
        with self.assertRaises(MarshalError) as raised:
            loads(text)
        self.assertEqual(str(raised.exception), message)

    def test_broken_text_says_where_and_what_was_found(self):
        self.assert_refused('{"abc": 1, "def": 2x}', "invalid JSON at byte 19: expected `,` or `}` in an object, found `x`")
        self.assert_refused("[1 2]", "invalid JSON at byte 3: expected `,` or `]` in an array, found `2`")
        self.assert_refused("", "invalid JSON at byte 0: expected a value, found the end of the text")
        self.assert_refused('{"a"', "invalid JSON at byte 4: expected `:` after a key, found the end of the text")
        self.assert_refused("{a:1}", "invalid JSON at byte 1: expected a key in double quotes, found `a`")
        self.assert_refused('{"a":1,}', "invalid JSON at byte 7: expected a key in double quotes, found `}`")
        self.assert_refused("[1,]", "invalid JSON at byte 3: expected a value, found `]`")
        self.assert_refused("1 1", "invalid JSON at byte 2: expected the end of the text, found `1`")
        self.assert_refused("01", "invalid JSON at byte 0: a number must not start with `0`")
        self.assert_refused(b"\xff", "invalid JSON at byte 0: expected a value, found byte 0xff")
        self.assert_refused('"a\nb"', "invalid JSON at byte 2: control character in a string; write it as an escape")
        self.assert_refused('"abc', 'invalid JSON at byte 4: expected `"` at the end of a string, found the end of the text')
        self.assert_refused('["\\ud800"]', "invalid JSON at byte 2: `\\ud800` is half of a surrogate pair")
        self.assert_refused("1e999", "invalid JSON at byte 0: `1e999` is beyond the largest float; send it as a string")

    def test_what_python_json_refuses_is_refused(self):
        for text in ("tru", "nul", "nulL", "+1", ".5", "1.", "1.e3", "1e", "1e+", "-", "--1", "0x10", "1_0", "'a'", "[", "]", "{", "}",
                     ",", "[,1]", '{"a":}', '{"a" 1}', "{1:2}", '"\\x"', '"\\u12"', '"\\u12g4"', '"\\', '"\\u', "[1}", '{"a":1]',
                     '"a\tb"', "-01", "00", "1 ,", "\ufeff1", "// c\n1", '"\\udc00"', '"\\ud800\\u0041"', '"\\ud800\\"', "-Inf", "N"):
            with self.subTest(text=text), self.assertRaises(MarshalError):
                loads(text)

    def test_bytes_that_are_not_utf8_name_their_place(self):
        for bad in (b"\xff", b"\xc0\xaf", b"\xe0\x80\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xc3", b"\xe2\x82", b"\x80"):
            for before in (b"", b"abcdefgh", "é".encode(), b"\\n\\u00e9"):
                with self.subTest(bad=bad, before=before):
                    self.assert_refused(b'["' + before + bad + b'"]', f"invalid JSON at byte {2 + len(before)}: not UTF-8")
                    with self.assertRaises(MarshalError):
                        loads(b'{"' + before + bad + b'": 1}')

    def test_a_text_cut_anywhere_is_an_error_and_reads_nothing_behind_it(self):
        text = '{"key":[1.5e3,-12,true,null,"s\\u00e9\\ud83d\\ude00é",{"a":[]}],"long key of more than eight":false}'.encode()
        for size in range(len(text)):
            with self.subTest(size=size), self.assertRaises(MarshalError):
                loads(memoryview(text)[:size])

    def test_random_damage_is_judged_as_python_judges_it(self):
        source = random.Random(11)
        text = json.dumps({"a": [1, -2.5, "x\\\"y", None, True, {"b": "é€"}], "c": 1e5}, ensure_ascii=False).encode()
        for _ in range(20_000):
            damaged = bytearray(text)
            for _ in range(source.randrange(1, 3)):
                damaged[source.randrange(len(damaged))] = source.choice(b'{}[],:"\\0123456789.eE+-truefalsn \x00\x1f\x80\xc3\xff')
            try:
                expected = json.loads(damaged.decode("utf-8"), parse_constant=self._refuse)
            except (ValueError, RecursionError):
                expected = ValueError
            try:
                found = loads(bytes(damaged))
            except MarshalError:
                found = ValueError
            if expected is not ValueError and found is ValueError:
                self.assertTrue(_has_surrogate(expected) or _has_infinity(expected), damaged)
            else:
                self.assertEqual(found, expected, damaged)

    @staticmethod
    def _refuse(name):
        raise ValueError(name)

    def test_depth_is_limited_both_ways(self):
        deepest = loads("[" * 512 + "]" * 512)
        self.assertEqual(dumps(deepest), b"[" * 512 + b"]" * 512)
        for text in ("[" * 513, '{"a":' * 513, "[" * 1_000_000):
            with self.assertRaisesRegex(MarshalError, "nested deeper than the limit of 512 levels"):
                loads(text)
        with self.assertRaisesRegex(MarshalError, r"nested deeper than the limit of 512 levels as JSON at \$\[0\]"):
            dumps([deepest])

    def test_a_value_that_contains_itself_is_an_error(self):
        loop = []
        loop.append({"again": loop})
        with self.assertRaisesRegex(MarshalError, r"at \$\[0\]\.again\[0\].*break the cycle if it contains itself"):
            dumps(loop)

    def test_what_cannot_be_sent_names_its_place(self):
        for value, message in (
            ({"a": [0, 1, 2, {"b": {1}}]}, "cannot send `set` as JSON at $.a[3].b; return a list, dict, str, number, bool or None"),
            (b"x", "cannot send `bytes` as JSON at $; return a list, dict, str, number, bool or None"),
            ({"odd key": [collections.deque()]}, 'cannot send `collections.deque` as JSON at $["odd key"][0]; '
                                                "return a list, dict, str, number, bool or None"),
            ([math.nan], "cannot send `NaN` as JSON at $[0]; JSON has none, return None or a string"),
            ({"x": -math.inf}, "cannot send `-Infinity` as JSON at $.x; JSON has none, return None or a string"),
            ({"x": {(1, 2): 3}}, "cannot send a dict with a key of type `tuple` as JSON at $.x; "
                                 "use keys that are str, int, float, bool or None"),
            ({"x": ["\ud800"]}, 'cannot send a str with a lone surrogate as JSON at $.x[0]; '
                                'decode it with errors="replace", or send it as a list of numbers'),
            ({5: [object()]}, 'cannot send `object` as JSON at $["5"][0]; return a list, dict, str, number, bool or None'),
        ):
            with self.subTest(message=message):
                with self.assertRaises(MarshalError) as raised:
                    dumps(value)
                self.assertEqual(str(raised.exception), message)

    def test_a_str_with_a_lone_surrogate_is_not_text(self):
        with self.assertRaises(MarshalError):
            loads('"\ud800"')

    def test_marshal_error_is_a_value_error(self):
        self.assertTrue(issubclass(MarshalError, ValueError))
        self.assertEqual((MarshalError.__module__, MarshalError.__qualname__), ("pyhost", "MarshalError"))


def _has_surrogate(value):
    return "\\ud" in json.dumps(value)


def _has_infinity(value):
    return "Infinity" in json.dumps(value)


class Collector(unittest.TestCase):
    def test_is_as_it_was_afterwards(self):
        self.assertTrue(gc.isenabled())
        loads("[[]]")
        self.assertTrue(gc.isenabled())
        with self.assertRaises(MarshalError):
            loads("[[")
        self.assertTrue(gc.isenabled())
        gc.disable()
        try:
            loads("[[]]")
            self.assertFalse(gc.isenabled())
        finally:
            gc.enable()

    def test_does_not_run_while_a_value_is_decoded(self):
        runs = []
        gc.callbacks.append(lambda phase, info: runs.append(phase))
        try:
            text = json.dumps([{"a": []}] * 20_000)
            runs.clear()
            value = loads(text)
            self.assertLessEqual(len(runs), 2)  # one that was due before
        finally:
            gc.callbacks.pop()
        self.assertEqual(len(value), 20_000)


class Memory(unittest.TestCase):
    def assert_no_growth(self, action, rounds=1000):
        self.assertLess(core_module.growth_kib(action, rounds), 1024)

    def test_decoding_and_encoding_leave_nothing(self):
        text = json.dumps({"k" * 30: ["v" * 100, 1.5, 10**40, {"n": [None] * 50}], "é": "ü" * 100})
        self.assert_no_growth(lambda: dumps(loads(text)))

    def test_failures_leave_nothing(self):
        value = {"a": ["x" * 3000, {"b": object()}]}
        text = '{"a": ["' + "x" * 3000 + '", [1, 2, {"b": "\\u00e9' + "y" * 3000 + '", x'

        def fail():
            for action, argument in ((dumps, value), (loads, text)):
                with self.assertRaises(MarshalError):
                    action(argument)

        self.assert_no_growth(fail)

    def test_ever_new_keys_cost_no_memory(self):
        numbers = iter(range(10**9))
        self.assert_no_growth(lambda: loads("{%s}" % ",".join('"key number %d":1' % next(numbers) for _ in range(300))))


class Threads(unittest.TestCase):
    def test_may_decode_and_encode_at_the_same_time(self):
        value = [{f"key{i}": [i, str(i), i / 3]} for i in range(500)]
        text, wrong = dumps(value), []

        def work():
            for _ in range(20):
                if loads(text) != value or dumps(value) != text:
                    wrong.append(1)

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self.assertEqual(wrong, [])


if __name__ == "__main__":
    unittest.main()
