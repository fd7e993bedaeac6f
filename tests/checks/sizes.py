"""Checks the sizes of sources: files of at most 800 lines, functions of at most 60.

Usage: sizes.py ROOT      exit status 1 and one line per offence
"""

import ast
import pathlib
import re
import sys

MAX_FILE = 800
MAX_FUNCTION = 60
FOLDERS = ("host", "runtime", "tests", "scripts")

# Comments, strings and character constants, which may contain braces. Digit separators are not
# constants: a quote after a word character starts none.
OPAQUE = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"([^(\s]*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"'
    r"|(?<!\w)(?:u8|[uUL])?'(?:\\.|[^'\\\n])+'", re.DOTALL)
# What stands before the brace of something that holds functions instead of being one.
SCOPE = re.compile(r"\b(namespace|struct|class|union|enum)\b(?![^(]*\()|\bextern\s*\"\"")


def cpp_functions(text):
    """Yields (name, first line, number of lines) of each function of a C++ source."""
    def blank(match):
        return ("" if match.group().startswith("/") else '""') + "\n" * match.group().count("\n")

    plain = OPAQUE.sub(blank, text)
    plain = re.sub(r"^[ \t]*#.*$|\balignas\([^()]*\)|\b(public|private|protected):", "", plain, flags=re.MULTILINE)
    line, head, head_line, depth, function = 1, "", 1, 0, None
    scopes = []  # depths at which a namespace or class was opened
    for char in plain:
        if char == "{":
            if function is None and SCOPE.search(head):
                scopes.append(depth)
            elif function is None and "(" in head:
                function = (head, head_line, depth)
            depth, head = depth + 1, ""
        elif char == "}":
            depth, head = depth - 1, ""
            if scopes and scopes[-1] == depth:
                scopes.pop()
            if function and function[2] == depth:
                name = re.search(r"([\w:~]+|operator\S+)\s*\(", function[0])
                yield name.group(1) if name else "?", function[1], line - function[1] + 1
                function = None
        elif char == ";":
            head = ""
        else:
            if not head.strip():
                head_line = line
            head += char
        if char == "\n":
            line += 1


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def offences(root):
    root = pathlib.Path(root)
    for source in sorted(path for folder in FOLDERS for path in root.glob(f"{folder}/**/*")):
        if source.suffix not in (".h", ".cc", ".py") or "victims" in source.parts:
            continue
        path, text = source.relative_to(root).as_posix(), source.read_text()
        lines = text.count("\n")
        if lines > MAX_FILE:
            yield f"{path}: {lines} lines; at most {MAX_FILE}, split it"
        for name, line, size in (python_functions if source.suffix == ".py" else cpp_functions)(text):
            if size > MAX_FUNCTION:
                yield f"{path}:{line}: function `{name}` has {size} lines; at most {MAX_FUNCTION}, split it"


if __name__ == "__main__":
    found = list(offences(sys.argv[1]))
    print("\n".join(found), file=sys.stderr, end="\n" if found else "")
    sys.exit(1 if found else 0)
