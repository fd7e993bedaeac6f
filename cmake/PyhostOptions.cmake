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

# pyhost_static_runtime(TARGET): libstdc++ and libgcc are linked in. To load them takes longer than all else that the
# command, or the core, does until it begins. The sanitizers want the shared ones.
function(pyhost_static_runtime target)
  if(NOT PYHOST_SANITIZE)
    target_link_options(${target} PRIVATE -static-libstdc++ -static-libgcc LINKER:--exclude-libs,ALL)
  endif()
endfunction()

find_program(PYHOST_CCACHE ccache)
if(PYHOST_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${PYHOST_CCACHE})
endif()

# Parsing the standard library's headers is half the time to compile a file of ours. Off by default, so that a release
# is compiled from what each file includes itself.
option(PYHOST_PRECOMPILE "Compile common headers once for all files" OFF)
if(PYHOST_PRECOMPILE AND PYHOST_CCACHE)
  # Else ccache takes no file that uses one for cacheable.
  set(CMAKE_CXX_COMPILER_LAUNCHER env CCACHE_SLOPPINESS=pch_defines,time_macros ${PYHOST_CCACHE})
endif()
set(PYHOST_COMMON_HEADERS <algorithm> <array> <atomic> <charconv> <chrono> <cstdint> <cstring> <deque> <functional>
  <map> <memory> <mutex> <optional> <span> <string> <string_view> <thread> <unordered_map> <utility> <vector>)

# pyhost_precompile(TARGET OWNER [HEADER...]): TARGET takes the common headers, and those given, precompiled by OWNER;
# all that share an owner are compiled with the same options. OWNER may be TARGET.
function(pyhost_precompile target owner)
  if(NOT PYHOST_PRECOMPILE)
    return()
  endif()
  if(target STREQUAL owner)
    target_precompile_headers(${target} PRIVATE ${PYHOST_COMMON_HEADERS} ${ARGN})
  else()
    target_precompile_headers(${target} REUSE_FROM ${owner})
  endif()
endfunction()

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
  pyhost_precompile(pyhost_${name} pyhost_base)
endfunction()
