# What users get: the target that builds it, the symbols they see, and the rules to install it.
include(CMakePackageConfigHelpers)

# Templates of the standard library instantiated in ours would be exported too; only pyhost:: is.
set(map ${CMAKE_CURRENT_LIST_DIR}/pyhost.map)
target_link_options(pyhost_shared PRIVATE -Wl,--version-script=${map})
set_property(TARGET pyhost_shared APPEND PROPERTY LINK_DEPENDS ${map})

set(parts pyhost_shared pyhost_launcher)
foreach(tag IN LISTS PYHOST_CORE_TAGS)
  list(APPEND parts pyhost_core_${tag})
endforeach()
if(TARGET pyhost_command)
  list(APPEND parts pyhost_command)
endif()
add_custom_target(product DEPENDS ${parts})

set(runtime_dir ${CMAKE_INSTALL_LIBDIR}/pyhost)
install(TARGETS pyhost_shared EXPORT pyhost LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(TARGETS pyhost_launcher RUNTIME DESTINATION ${runtime_dir})
foreach(tag IN LISTS PYHOST_CORE_TAGS)
  install(TARGETS pyhost_core_${tag} LIBRARY DESTINATION ${runtime_dir})
endforeach()
if(TARGET pyhost_command)
  install(TARGETS pyhost_command RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/host/include/pyhost DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})
install(DIRECTORY ${PROJECT_SOURCE_DIR}/runtime/pyhost DESTINATION ${runtime_dir}/python
  PATTERN __pycache__ EXCLUDE)

set(config_dir ${CMAKE_INSTALL_LIBDIR}/cmake/pyhost)
install(EXPORT pyhost NAMESPACE pyhost:: FILE pyhostTargets.cmake DESTINATION ${config_dir})
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/pyhostConfig.cmake.in
  ${CMAKE_BINARY_DIR}/pyhostConfig.cmake INSTALL_DESTINATION ${config_dir})
write_basic_package_version_file(${CMAKE_BINARY_DIR}/pyhostConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${CMAKE_BINARY_DIR}/pyhostConfig.cmake ${CMAKE_BINARY_DIR}/pyhostConfigVersion.cmake
  DESTINATION ${config_dir})
configure_file(${CMAKE_CURRENT_LIST_DIR}/pyhost.pc.in ${CMAKE_BINARY_DIR}/pyhost.pc @ONLY)
install(FILES ${CMAKE_BINARY_DIR}/pyhost.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
