# The contract of Executor on every further interpreter of PYHOST_PYTHONS: the package's own tests of calls, futures,
# functions and bad input, and CPython's where that interpreter has its test package.
#
# They borrow cloudpickle, which is pure Python, from the interpreter that runs the other tests.
execute_process(COMMAND ${python} -c "import cloudpickle, os; print(os.path.dirname(cloudpickle.__file__), end='')"
  OUTPUT_VARIABLE cloudpickle ERROR_QUIET)
set(borrowed)
if(cloudpickle)
  set(folder ${CMAKE_CURRENT_BINARY_DIR}/borrowed)
  file(MAKE_DIRECTORY ${folder})
  file(CREATE_LINK ${cloudpickle} ${folder}/cloudpickle SYMBOLIC)
  set(borrowed ":${folder}")
endif()

set(further_tags ${PYHOST_CORE_TAGS})
list(POP_FRONT further_tags)
foreach(tag IN LISTS further_tags)
  set(python ${PYHOST_CORE_PYTHON_${tag}})
  foreach(name calls futures functions bad_input)
    pyhost_python_test(${tag}.${name} ${CMAKE_CURRENT_SOURCE_DIR}/runtime/driver/${name}_test.py)
  endforeach()
  execute_process(COMMAND ${python} -c "from test.test_concurrent_futures import ExecutorMixin" RESULT_VARIABLE absent
    OUTPUT_QUIET ERROR_QUIET)
  if(NOT absent AND EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/conformance/executor_test.py)
    pyhost_python_test(${tag}.conformance.executor ${CMAKE_CURRENT_SOURCE_DIR}/conformance/executor_test.py 600)
  endif()
endforeach()
