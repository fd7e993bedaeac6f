"""Makes an installed pyhost importable, and prints the files it wrote. Run by `cmake --install`.

Interpreters that look for packages below the prefix get a `pyhost.pth` there, whose path is relative, so that a prefix
can be moved or packed. For others, virtual environments above all, there is a wheel that only says where pyhost is:
`pip install --no-index` takes it.
"""

import argparse
import os
import subprocess
import zipfile

# The folders a plain start of an interpreter takes packages from.
QUESTION = """
import os, site
folders = site.getsitepackages() if hasattr(site, "getsitepackages") else []
if site.ENABLE_USER_SITE:
    folders.append(site.getusersitepackages())
print("\\n".join(map(os.path.abspath, folders)))
"""

METADATA = """Metadata-Version: 2.1
Name: pyhost
Version: {version}
Summary: The pyhost in {packages}
"""

WHEEL = """Wheel-Version: 1.0
Generator: pyhost
Root-Is-Purelib: true
Tag: py3-none-any
"""


def folder_below(prefix, python):
    """Where this interpreter looks below the prefix, as the path from there; None: nowhere."""
    outcome = subprocess.run([python, "-c", QUESTION], stdout=subprocess.PIPE, universal_newlines=True, check=True)
    for folder in outcome.stdout.splitlines():
        path = os.path.relpath(folder, prefix)
        if path.startswith("lib"):  # not `local/lib` below /usr, which is another prefix
            return path
    return None


def write_links(stage, prefix, packages, pythons):
    for folder in dict.fromkeys(filter(None, (folder_below(prefix, python) for python in pythons))):
        path = os.path.join(stage, folder, "pyhost.pth")
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as file:
            file.write(os.path.relpath(packages, folder) + "\n")
        yield path


def write_wheel(folder, packages, version):
    """A wheel of one line, the folder of the package."""
    path = os.path.join(folder, f"pyhost-{version}-py3-none-any.whl")
    info = f"pyhost-{version}.dist-info"
    files = {"pyhost.pth": packages + "\n", f"{info}/METADATA": METADATA.format(version=version, packages=packages),
             f"{info}/WHEEL": WHEEL}
    with zipfile.ZipFile(path, "w") as wheel:
        for name, content in files.items():
            wheel.writestr(name, content)
        # Without hashes, which installers do not ask of a file that pip itself records again.
        wheel.writestr(f"{info}/RECORD", "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"]))
    return path


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--prefix", required=True, help="where pyhost will be")
    parser.add_argument("--destdir", default="", help="what stands before the prefix while it is installed")
    parser.add_argument("--runtime", required=True, help="lib/pyhost, as a path from the prefix")
    parser.add_argument("--version", required=True)
    parser.add_argument("pythons", nargs="*")
    options = parser.parse_args()
    stage = options.destdir + options.prefix
    packages = os.path.join(options.runtime, "python")
    for path in write_links(stage, options.prefix, packages, options.pythons):
        print(path)
    print(write_wheel(os.path.join(stage, options.runtime), os.path.join(options.prefix, packages), options.version))


if __name__ == "__main__":
    main()
