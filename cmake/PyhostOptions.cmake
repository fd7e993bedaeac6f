# Warnings, sanitizers and compiler caching, as one interface target.
add_library(pyhost_options INTERFACE)
target_compile_options(pyhost_options INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Wcast-align
  -Wno-missing-field-initializers)  # designated initializers leave members at their defaults on purpose

# Assertions stay on in the builds that tests use.
string(REPLACE "-DNDEBUG" "" CMAKE_CXX_FLAGS_RELWITHDEBINFO "${CMAKE_CXX_FLAGS_RELWITHDEBINFO}")

# GCC 12 finds overlaps of 2^63 bytes in operator+ of std::string when it optimizes (its bug 105651).
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
  target_compile_options(pyhost_options INTERFACE -Wno-restrict)
endif()

option(PYHOST_WERROR "Warnings are errors" OFF)
if(PYHOST_WERROR)
  target_compile_options(pyhost_options INTERFACE -Werror)
endif()

set(PYHOST_SANITIZE "" CACHE STRING "Sanitizers to build with, as in -fsanitize=")
if(PYHOST_SANITIZE)
  # -O1 with line tables only: half the time of -O2 -g to compile, and better stacks.
  add_compile_options(-O1 -g1 -fsanitize=${PYHOST_SANITIZE} -fno-omit-frame-pointer -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${PYHOST_SANITIZE})
endif()

find_program(PYHOST_CCACHE ccache)
if(PYHOST_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${PYHOST_CCACHE})
endif()

# pyhost_library(NAME [DEPENDS target...]): the static library of one folder under host/ or
# runtime/, with the namespaced alias that others link.
function(pyhost_library name)
  cmake_parse_arguments(ARG "" "" "DEPENDS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${name}/*.cc)
  list(FILTER sources EXCLUDE REGEX "/main\\.cc$")
  add_library(pyhost_${name} STATIC ${sources})
  add_library(pyhost::${name} ALIAS pyhost_${name})
  target_include_directories(pyhost_${name} PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
  target_link_libraries(pyhost_${name} PUBLIC ${ARG_DEPENDS} PRIVATE pyhost_options)
endfunction()
