// interpreter.h: one interpreter at a known place, asked and judged.
#pragma once

#include <string>

#include <pyhost/result.h>

#include <process/probe.h>
#include <process/python.h>

namespace pyhost::process {

// Whether `path` is a file that may be executed.
bool is_program(const std::string& path);

// What the interpreter at `path` says about itself, asked now or remembered. Error `startup`.
Result<Answer> answer_of(const std::string& path);

// The Python behind an answer. Error `startup`: pyhost cannot work with it; names what it is.
Result<Python> accept(const Answer& answer);

}  // namespace pyhost::process
