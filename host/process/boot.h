// boot.h: the one line of Python that loads the core into an interpreter executable.
#pragma once

namespace pyhost::process {

// `python -c kBoot CORE ARGS...`: imports the core and hands over to `_pyhost_core.boot`, which
// looks at sys.argv[2:]: `zygote FD`, or `run PACKAGES OPTIONS MODE TARGET ARGS...`.
// `_imp` directly, because `importlib.util` would cost milliseconds of every start.
inline constexpr const char* kBoot =
    "import _imp,sys;"
    "s=type(sys.__spec__)('_pyhost_core',None,origin=sys.argv[1]);"
    "m=_imp.create_dynamic(s);sys.modules['_pyhost_core']=m;_imp.exec_dynamic(m);m.boot()";

}  // namespace pyhost::process
