# The contract of Executor on every further interpreter of PYHOST_PYTHONS: the package's own tests and CPython's, as far
# as that interpreter has its test package, and how it imports the package.
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

# Not `arrays`, which needs numpy.
file(GLOB further_tests CONFIGURE_DEPENDS runtime/driver/*_test.py runtime/image/*_test.py runtime/python/*_test.py)
list(FILTER further_tests EXCLUDE REGEX "/arrays_test\\.py$")

set(further_tags ${PYHOST_CORE_TAGS})
list(POP_FRONT further_tags)
foreach(tag IN LISTS further_tags)
  set(python ${PYHOST_CORE_PYTHON_${tag}})
  foreach(file IN LISTS further_tests)
    cmake_path(GET file STEM name)
    string(REGEX REPLACE "_test$" "" name ${name})
    pyhost_python_test(${tag}.${name} ${file})
  endforeach()

  set(serial import)
  pyhost_python_test(${tag}.import ${CMAKE_CURRENT_SOURCE_DIR}/e2e/import_test.py 240)
  foreach(suite executor=test_concurrent_futures pool=_test_multiprocessing)
    string(REGEX MATCH "(.*)=(.*)" matched ${suite})
    set(name ${CMAKE_MATCH_1})
    execute_process(COMMAND ${python} -c "import test.${CMAKE_MATCH_2}" RESULT_VARIABLE absent OUTPUT_QUIET ERROR_QUIET)
    if(NOT absent)
      pyhost_python_test(${tag}.conformance.${name} ${CMAKE_CURRENT_SOURCE_DIR}/conformance/${name}_test.py 600)
      list(APPEND serial conformance.${name})
    endif()
  endforeach()
  list(TRANSFORM serial PREPEND ${tag}.)
  set_tests_properties(${serial} PROPERTIES RUN_SERIAL TRUE)
endforeach()
