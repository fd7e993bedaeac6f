"""Runs one of the tests on the joblib that scripts/joblib has fetched, or another one, instead of the installed one.

Usage: current_joblib.py FOLDER TEST.py      FOLDER has the package joblib
"""

import os
import pathlib
import sys

SKIPPED = 77  # ctest's word for it is in CMakeLists.txt


def main():
    folder, test = sys.argv[1:]
    if not pathlib.Path(folder, "joblib/__init__.py").exists():
        print(f"skipped: there is no joblib in `{folder}`; fetch one with scripts/joblib", file=sys.stderr)
        sys.exit(SKIPPED)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [folder, os.environ.get("PYTHONPATH")]))
    os.execv(sys.executable, [sys.executable, test])


if __name__ == "__main__":
    main()
