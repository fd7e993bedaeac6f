# Which CPythons get a core. PYHOST_PYTHONS is a list of interpreters; each must have its headers. The presets take it
# from the environment.
set(PYHOST_PYTHONS "" CACHE STRING "Interpreters to build cores for; empty: python3 of the system, else of PATH")

set(pythons ${PYHOST_PYTHONS})
if(NOT pythons)
  find_program(PYHOST_DEFAULT_PYTHON python3 PATHS /usr/bin NO_DEFAULT_PATH)
  find_program(PYHOST_DEFAULT_PYTHON python3 REQUIRED)
  set(pythons ${PYHOST_DEFAULT_PYTHON})
endif()

set(PYHOST_CORE_TAGS)
foreach(python IN LISTS pythons)
  execute_process(
    COMMAND ${python} -c "import sys, sysconfig; print('cp%d%d%s' % (*sys.version_info[:2], getattr(sys, 'abiflags', '')), sysconfig.get_path('include'), sys.version.split()[0], sep=';')"
    OUTPUT_VARIABLE answer OUTPUT_STRIP_TRAILING_WHITESPACE RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "PYHOST_PYTHONS: `${python}` does not run")
  endif()
  list(GET answer 0 tag)
  list(GET answer 1 include)
  list(GET answer 2 version)
  if(NOT EXISTS ${include}/Python.h)
    message(FATAL_ERROR "PYHOST_PYTHONS: no Python.h for `${python}` in ${include}; install its development headers")
  endif()
  if(tag IN_LIST PYHOST_CORE_TAGS)
    continue()
  endif()
  list(APPEND PYHOST_CORE_TAGS ${tag})
  set(PYHOST_CORE_INCLUDE_${tag} ${include})
  set(PYHOST_CORE_PYTHON_${tag} ${python})
  message(STATUS "pyhost core ${tag}: ${python} (${version}), headers in ${include}")
endforeach()
