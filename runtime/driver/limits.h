// limits.h: limits of calls as a Python object, made once for many calls.
#pragma once

#include <Python.h>
#include <base/clock.h>
#include <pyhost/options.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pyhost::driver {

// Adds the type Limits(timeout, cpu, retries, retry_on, grace): immutable; None is what the pool
// says. The package has checked the values (pyhost._limits).
bool add_limits_type(PyObject* module);

// What `object` holds: a Limits, or None for nothing. False with an exception set.
bool read_limits(PyObject* object, std::shared_ptr<const CallOptions>& out);

// Seconds, or None. False with an exception set.
bool read_duration(PyObject* object, std::optional<base::Duration>& out);

// A sequence of str. False with an exception set.
bool read_strings(PyObject* sequence, std::vector<std::string>& out);

}  // namespace pyhost::driver
