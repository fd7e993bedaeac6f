"""Runs clang-tidy over the sources of host/ and runtime/ that changed since it last found them clean.

Usage: tidy.py ROOT BUILD CACHE      BUILD holds compile_commands.json; exit status 1 on findings

A source is changed when it, a header of ours it includes (at any depth), its compile command or
.clang-tidy changed: one empty file per clean state is kept in CACHE.
"""

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


def reached(root, source, found):
    """Adds the source and every header of ours it includes to `found`."""
    if source in found:
        return
    found.add(source)
    for name in INCLUDE.findall(source.read_text()):
        for folder in (source.parent, root / "host", root / "host/include", root / "runtime"):
            if (folder / name).is_file():
                reached(root, (folder / name).resolve(), found)


def state(root, entry):
    """A name for all that clang-tidy's verdict on this source depends on."""
    digest = hashlib.sha256((root / ".clang-tidy").read_bytes())
    digest.update(entry["command"].encode())
    found = set()
    reached(root, pathlib.Path(entry["file"]), found)
    for path in sorted(found):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:32]


def examine(root, build, source):
    # The compile commands are GCC's; clang does not know all of its warnings.
    return subprocess.run(["clang-tidy", "--quiet", "--extra-arg=-Wno-unknown-warning-option", "-p", str(build), source],
                          cwd=root, capture_output=True, text=True)


def main(root, build, cache):
    root, cache = pathlib.Path(root).resolve(), pathlib.Path(cache)
    cache.mkdir(parents=True, exist_ok=True)
    entries = json.loads((pathlib.Path(build) / "compile_commands.json").read_text())
    # A source of the runtime is compiled once per interpreter; one of them is enough.
    ours = {entry["file"]: entry for entry in entries
            if re.match(r"(host|runtime)/", os.path.relpath(entry["file"], root))}
    pending = {file: state(root, entry) for file, entry in sorted(ours.items())}
    pending = {file: name for file, name in pending.items() if not (cache / name).exists()}
    failed = 0
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as executor:
        runs = {executor.submit(examine, root, build, file): file for file in pending}
        for run in concurrent.futures.as_completed(runs):
            result = run.result()
            if result.returncode:
                failed += 1
                print(result.stdout.strip() or result.stderr.strip(), file=sys.stderr, flush=True)
            else:
                (cache / pending[runs[run]]).touch()
    print(f"clang-tidy: {len(ours)} sources, {len(pending)} examined, {failed} with findings", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
