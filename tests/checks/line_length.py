"""Checks that no line of the given Python sources is longer than 140 characters, and that no
line ends in a space.

Usage: line_length.py FILE...      exit status 1 and one line per offence
"""

import sys

MAX_LINE = 140


def offences(path):
    with open(path, encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            line = line.rstrip("\n")
            if len(line) > MAX_LINE:
                yield f"{path}:{number}: {len(line)} characters; at most {MAX_LINE}"
            if line != line.rstrip():
                yield f"{path}:{number}: space at the end of the line"


if __name__ == "__main__":
    found = [offence for path in sys.argv[1:] for offence in offences(path)]
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    sys.exit(1 if found else 0)
