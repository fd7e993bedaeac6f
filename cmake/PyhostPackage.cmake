# What users get: the target that builds it, the symbols they see, and the rules to install it.
include(CMakePackageConfigHelpers)

# Templates of the standard library instantiated in ours would be exported too; only pyhost:: is.
set(map ${CMAKE_CURRENT_LIST_DIR}/pyhost.map)
target_link_options(pyhost_shared PRIVATE -Wl,--version-script=${map})
set_property(TARGET pyhost_shared APPEND PROPERTY LINK_DEPENDS ${map})

set(parts pyhost_shared pyhost_launcher pyhost_command)
foreach(tag IN LISTS PYHOST_CORE_TAGS)
  list(APPEND parts pyhost_core_${tag})
endforeach()
# Half the time to import the package is compiling it, where nobody may write what was compiled.
set(compile_package)
foreach(tag IN LISTS PYHOST_CORE_TAGS)
  list(APPEND compile_package COMMAND ${PYHOST_CORE_PYTHON_${tag}} -m compileall -q ${PROJECT_SOURCE_DIR}/runtime/pyhost)
endforeach()
add_custom_target(package_bytecode ALL ${compile_package} VERBATIM)
add_custom_target(product DEPENDS ${parts} package_bytecode)

set(runtime_dir ${CMAKE_INSTALL_LIBDIR}/pyhost)
install(TARGETS pyhost_shared EXPORT pyhost LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS pyhost_launcher RUNTIME DESTINATION ${runtime_dir})
foreach(tag IN LISTS PYHOST_CORE_TAGS)
  install(TARGETS pyhost_core_${tag} LIBRARY DESTINATION ${runtime_dir})
endforeach()
install(TARGETS pyhost_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/host/include/pyhost DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/pyhost DESTINATION ${runtime_dir}/python
  PATTERN __pycache__ EXCLUDE)
foreach(tag IN LISTS PYHOST_CORE_TAGS)
  install(CODE "execute_process(COMMAND ${PYHOST_CORE_PYTHON_${tag}} -m compileall -q -s \"\$ENV{DESTDIR}\" -p /
    \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${runtime_dir}/python\")")
endforeach()

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pyhost)
install(EXPORT pyhost NAMESPACE pyhost:: FILE pyhostTargets.cmake DESTINATION ${config_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/pyhostConfig.cmake.in
  ${CMAKE_BINARY_DIR}/pyhostConfig.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/pyhostConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/pyhostConfig.cmake ${CMAKE_BINARY_DIR}/pyhostConfigVersion.cmake
  DESTINATION ${config_dir})
configure_file(${CMAKE_CURRENT_LIST_DIR}/pyhost.pc.in ${CMAKE_BINARY_DIR}/pyhost.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/pyhost.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)

# `import pyhost` without `pyhost run`.
set(served)
foreach(tag IN LISTS PYHOST_CORE_TAGS)
  list(APPEND served ${PYHOST_CORE_PYTHON_${tag}})
endforeach()
list(GET served 0 python)
install(CODE "
  get_filename_component(prefix \"\${CMAKE_INSTALL_PREFIX}\" ABSOLUTE)
  execute_process(COMMAND ${python} ${CMAKE_CURRENT_LIST_DIR}/install_package.py --prefix \"\${prefix}\"
    \"--destdir=\$ENV{DESTDIR}\" --runtime ${runtime_dir} --version ${PROJECT_VERSION} ${served}
    OUTPUT_VARIABLE written OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)
  string(REPLACE \"\\n\" \";\" written \"\${written}\")
  foreach(file IN LISTS written)
    message(STATUS \"Installing: \${file}\")
    string(LENGTH \"\$ENV{DESTDIR}\" staged)
    string(SUBSTRING \"\${file}\" \${staged} -1 file)
    list(APPEND CMAKE_INSTALL_MANIFEST_FILES \"\${file}\")
  endforeach()")
