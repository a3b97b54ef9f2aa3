# SPDX-License-Identifier: Apache-2.0
# Imported targets for Debian's packages, and the functions that declare our own targets.
include_guard()

set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bin)

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(TBB REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(CLI11 REQUIRED)
find_package(Boost 1.74 REQUIRED)
find_package(OpenSSL REQUIRED COMPONENTS Crypto)
find_package(ZLIB REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(RE2 REQUIRED re2)
add_library(oscsim_re2 INTERFACE) # without its compiler flags, which would be all of a library's that uses it
add_library(RE2::re2 ALIAS oscsim_re2)
target_link_libraries(oscsim_re2 INTERFACE ${RE2_LINK_LIBRARIES} Threads::Threads)

# Debian ships pkg-config files for SystemC, no CMake package. Its library was built as C++17 and refuses other
# language versions at link time unless it is told so.
pkg_check_modules(SYSTEMC REQUIRED IMPORTED_TARGET systemc)
add_library(oscsim_systemc INTERFACE)
add_library(SystemC::systemc ALIAS oscsim_systemc)
target_link_libraries(oscsim_systemc INTERFACE PkgConfig::SYSTEMC)
# libsystemc has a main() of its own that calls sc_main: ours stands in models/units/chip.cpp, whoever links it.
target_link_options(oscsim_systemc INTERFACE LINKER:--undefined=sc_main)
target_compile_definitions(oscsim_systemc INTERFACE SC_CPLUSPLUS=201703L SC_INCLUDE_DYNAMIC_PROCESSES)

# Flags of every target of ours. -ffp-contract=off: a * b + c keeps its two roundings whatever the instruction set, so
# that Debug, Release and every kernel give the same bits.
add_library(oscsim_flags INTERFACE)
target_compile_features(oscsim_flags INTERFACE cxx_std_20)
target_compile_options(oscsim_flags INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion
                                              -ffp-contract=off
                                              # GCC 12 sees overlaps in std::string's operator+ (GCC bug 105651)
                                              $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict> $<$<BOOL:${OSCSIM_WERROR}>:-Werror>)
target_include_directories(oscsim_flags INTERFACE ${PROJECT_SOURCE_DIR})
target_link_libraries(oscsim_flags INTERFACE fmt::fmt)
if(OSCSIM_SANITIZE)
  # Instrumented code makes GCC see uninitialised reads that are none (its manual warns of that).
  target_compile_options(oscsim_flags INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-maybe-uninitialized> -fsanitize=address,undefined -fno-omit-frame-pointer
                                                -fno-sanitize-recover=undefined)
  target_link_options(oscsim_flags INTERFACE -fsanitize=address,undefined)
endif()

# oscsim_library(<folder name> SOURCES ... [PUBLIC deps...] [PRIVATE deps...])
function(oscsim_library name)
  cmake_parse_arguments(ARG "" "" "SOURCES;PUBLIC;PRIVATE" ${ARGN})
  add_library(oscsim_${name} STATIC ${ARG_SOURCES})
  add_library(oscsim::${name} ALIAS oscsim_${name})
  target_link_libraries(oscsim_${name} PUBLIC oscsim_flags ${ARG_PUBLIC} PRIVATE ${ARG_PRIVATE})
  if(OSCSIM_SANITIZE AND name MATCHES "^(numerics|units|mapping|workload)$") # where its tests spend their time
    target_compile_options(oscsim_${name} PRIVATE -O1)
  endif()
endfunction()

# oscsim_test(<name> SOURCES ... LINK ...): one GoogleTest executable, each of its tests a ctest of its own. LABEL is the folder of tests/ it
# stands in, FILTER a GoogleTest filter. Tests run in the source tree's root and never write there.
function(oscsim_test name)
  cmake_parse_arguments(ARG "" "LABEL;FILTER" "SOURCES;LINK" ${ARGN})
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE oscsim_flags ${ARG_LINK} GTest::gmock GTest::gtest_main)
  target_compile_options(${name} PRIVATE $<$<CONFIG:Release>:-O1>)  # the tests' own code: a fifth less to compile
  gtest_discover_tests(${name} NO_PRETTY_VALUES TEST_FILTER "${ARG_FILTER}" WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} PROPERTIES LABELS "${ARG_LABEL}" TIMEOUT 300
                       DISCOVERY_TIMEOUT 60 DISCOVERY_MODE PRE_TEST)
endfunction()
