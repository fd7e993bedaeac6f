"""Takes a census of Python's own standard library: parses every .py file with `ast`, counts the
kinds of syntax nodes and finds the longest function.

    pyhost run scripts/examples/stdlib_census.py --workers 2
    pyhost map scripts/examples/stdlib_census.py:census paths.jsonl --workers 2

The second form takes one path per line, as a JSON string. Files that do not parse (the library
carries some on purpose, as test data) are counted, and are no failure.

Arguments: --no-check leaves out the serial run the totals are compared with; --top N.
"""

import argparse
import ast
import os
import sys
import sysconfig
import time
import warnings
from collections import Counter

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def census(path):
    """What one file holds: {"nodes": {kind: count}, "longest": [lines, name, line] or None, ...}."""
    with open(path, "rb") as file:
        source = file.read()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old files use escapes that are no longer valid
            tree = ast.parse(source, path)
    except (SyntaxError, ValueError) as error:
        return {"path": path, "bytes": len(source), "nodes": {}, "longest": None, "error": type(error).__name__}
    nodes, longest = Counter(), None
    for node in ast.walk(tree):
        nodes[type(node).__name__] += 1
        if isinstance(node, FUNCTIONS):
            lines = node.end_lineno - node.lineno + 1
            if longest is None or lines > longest[0]:
                longest = [lines, node.name, node.lineno]
    return {"path": path, "bytes": len(source), "nodes": dict(nodes), "longest": longest, "error": None}


def library_files():
    """Every .py file of this Python's standard library, installed packages left out."""
    found = []
    for folder, folders, names in os.walk(sysconfig.get_path("stdlib")):
        folders[:] = sorted(set(folders) - {"site-packages", "dist-packages", "__pycache__"})
        found += [os.path.join(folder, name) for name in sorted(names) if name.endswith(".py")]
    return found


def total(results):
    """One census out of many."""
    nodes, count, size, errors, longest = Counter(), 0, 0, Counter(), None
    for one in results:
        count += 1
        size += one["bytes"]
        nodes.update(one["nodes"])
        if one["error"]:
            errors[one["error"]] += 1
        if one["longest"] and (longest is None or one["longest"][0] > longest[0]):
            longest = (*one["longest"], one["path"])
    return {"files": count, "bytes": size, "nodes": nodes, "errors": errors, "longest": longest}


def show(sums, top):
    print(f"{sums['files']} files, {sums['bytes']:,} bytes, {sum(sums['nodes'].values()):,} nodes "
          f"of {len(sums['nodes'])} kinds")
    for kind, count in sums["nodes"].most_common(top):
        print(f"{count:12,}  {kind}")
    lines, name, line, path = sums["longest"]
    print(f"longest function: {name}, {lines:,} lines, {path}:{line}")
    for error, count in sums["errors"].items():
        print(f"{count} files do not parse: {error}")


def main():
    parser = argparse.ArgumentParser(description="census of the standard library")
    parser.add_argument("--no-check", action="store_true", help="do not compare with a serial run")
    parser.add_argument("--top", type=int, default=10, metavar="N", help="kinds of nodes to print")
    options = parser.parse_args()

    import pyhost  # here, so that `pyhost map` and plain Python can use `census` without it

    files = library_files()
    begin = time.perf_counter()
    pooled = total(pyhost.map(census, files))
    pooled_seconds = time.perf_counter() - begin
    show(pooled, options.top)
    if options.no_check:
        print(f"in {pooled_seconds:.2f} s")
        return 0
    begin = time.perf_counter()
    serial = total(map(census, files))
    serial_seconds = time.perf_counter() - begin
    print(f"in {pooled_seconds:.2f} s; serially in {serial_seconds:.2f} s")
    if pooled != serial:
        print("the serial run found something else", file=sys.stderr)
        return 1
    print("equal to the serial result")
    return 0


if __name__ == "__main__":
    sys.exit(main())
