// methods.h: the functions of this folder that Python sees, in the module `_pyhost_core`.
#pragma once

#include <Python.h>

namespace pyhost::python {

// `json_loads(text, allow_nan=False)`, `json_dumps(value, allow_nan=False) -> bytes`,
// `encode_item(value, dumps=None) -> bytes`, `decode_item(item, share=False)` (out-of-band buffers
// are copies, or with `share` read-only views that keep `item`, a bytes object, alive),
// `error_payload(exception, with_pickle=False) -> bytes`, `register_function(function) -> int`,
// `closest_name(wanted, names) -> str`. Ends with an empty entry; lives as long as the process.
PyMethodDef* methods();

}  // namespace pyhost::python
