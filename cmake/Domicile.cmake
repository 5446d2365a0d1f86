# The build's own vocabulary: one library per folder, one test binary per folder, one way to say both.
set(CMAKE_CXX_STANDARD 23)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_RUNTIME_OUTPUT_DIRECTORY ${CMAKE_BINARY_DIR})

# Lines are what a backtrace and a profile need; full debug data costs a quarter of the build's time.
foreach(language C CXX)
  set(CMAKE_${language}_FLAGS_RELWITHDEBINFO "-O2 -g1 -DNDEBUG")
endforeach()

option(DOMICILE_FUZZ "build the libFuzzer targets" OFF)
set(DOMICILE_SANITIZE "" CACHE STRING "sanitizers for every target, e.g. address,undefined")

find_program(CCACHE ccache)
if(CCACHE)
  # base_dir and no hash_dir: two checkouts share one cache.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1 ${CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${CMAKE_CXX_COMPILER_LAUNCHER})
endif()
find_program(MOLD mold)
if(MOLD AND CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND NOT DOMICILE_SANITIZE)
  add_link_options(-fuse-ld=mold)
endif()

find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(CURL REQUIRED)
find_package(PostgreSQL REQUIRED)
find_package(prometheus-cpp REQUIRED)
if(NOT DOMICILE_FUZZ)
  find_package(GTest REQUIRED)
  find_package(benchmark REQUIRED)
  find_package(rapidcheck REQUIRED)
  include(GoogleTest)
endif()

add_library(domicile_flags INTERFACE)
target_include_directories(domicile_flags INTERFACE ${CMAKE_SOURCE_DIR}/src)
# A struct that is filled from its front takes its defaults for the rest on purpose.
target_compile_options(domicile_flags INTERFACE -Wall -Wextra -Wpedantic -Werror -Wno-missing-field-initializers)
# g++ 12 takes a std::variant of strings for uninitialised when it inlines; ASan and valgrind look for the real thing.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  target_compile_options(domicile_flags INTERFACE -Wno-maybe-uninitialized)
endif()
# Release builds keep frame pointers: a profile of the gateway or the agent must be readable on a customer's machine.
target_compile_options(domicile_flags INTERFACE -fno-omit-frame-pointer)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # Result's TRY is a statement expression behind __extension__, which clang still reports inside macros.
  target_compile_options(domicile_flags INTERFACE -Wno-gnu-statement-expression)
endif()
if(DOMICILE_SANITIZE)
  add_compile_options(-fsanitize=${DOMICILE_SANITIZE} -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${DOMICILE_SANITIZE})
elseif(DOMICILE_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address)
  add_link_options(-fsanitize=address)
endif()

# domicile_library(NAME [DEPS lib...] [LIBS external...] [TIMEOUT of its test]): every *.cpp of this folder that is no test becomes the static
# library domicile_NAME; every *_test.cpp the test binary NAME_test. DEPS are our own folders: what is not named here does
# not link, and so the direction base <- core <- engines <- agent <- lab, cli is kept by the build.
function(domicile_library name)
  cmake_parse_arguments(ARG "" "TIMEOUT" "DEPS;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cpp)
  set(tests ${sources})
  list(FILTER sources EXCLUDE REGEX "_test\\.cpp$")
  list(FILTER tests INCLUDE REGEX "_test\\.cpp$")
  list(TRANSFORM ARG_DEPS PREPEND domicile_)
  add_library(domicile_${name} STATIC ${sources})
  set_target_properties(domicile_${name} PROPERTIES LINKER_LANGUAGE CXX)
  target_link_libraries(domicile_${name} PUBLIC domicile_flags ${ARG_DEPS} ${ARG_LIBS})
  if(tests AND NOT DOMICILE_FUZZ)
    domicile_test(${name}_test LABEL unit SOURCES ${tests} DEPS ${name} TIMEOUT ${ARG_TIMEOUT})
  endif()
endfunction()

# domicile_test(NAME LABEL unit|system [BESIDE] SOURCES ... DEPS our folders... [LIBS external...]): a GoogleTest binary,
# each of its cases one ctest. System tests run one at a time, since they are about times; BESIDE: those that are about
# one database or two, which may run beside each other. SUITES: the cases of each named suite are one ctest together,
# because what they share takes long to bring up. TIMEOUT: seconds, for what ./test long lets run longer.
function(domicile_test name)
  cmake_parse_arguments(ARG "BESIDE" "LABEL;TIMEOUT" "SOURCES;DEPS;LIBS;SUITES" ${ARGN})
  list(TRANSFORM ARG_DEPS PREPEND domicile_)
  add_executable(${name} ${ARG_SOURCES})
  target_link_libraries(${name} PRIVATE ${ARG_DEPS} ${ARG_LIBS} GTest::gtest_main GTest::gmock rapidcheck)
  # What is tried is optimised; optimising the tests themselves would only take as long as building the rest.
  target_compile_options(${name} PRIVATE $<$<CONFIG:RelWithDebInfo>:-O0>)
  set(properties LABELS ${ARG_LABEL})
  if(ARG_LABEL STREQUAL "system")
    if(NOT ARG_BESIDE)  # leases and holds are times: another test beside it would be a busy machine
      list(APPEND properties RUN_SERIAL TRUE)
    endif()
    set(timeout 300)
  else()
    set(timeout 60)
  endif()
  if(ARG_TIMEOUT)
    set(timeout ${ARG_TIMEOUT})
  endif()
  list(APPEND properties TIMEOUT ${timeout})
  if(NOT ARG_SUITES)
    gtest_discover_tests(${name} DISCOVERY_MODE PRE_TEST PROPERTIES ${properties})
  endif()
  foreach(suite ${ARG_SUITES})
    add_test(NAME ${suite} COMMAND ${name} --gtest_filter=${suite}.*)
    set_tests_properties(${suite} PROPERTIES ${properties})
  endforeach()
endfunction()

# domicile_fuzzer(NAME SOURCE DEPS...): a libFuzzer binary fuzz_NAME; its seeds lie in tests/fuzz/corpus/NAME.
function(domicile_fuzzer name source)
  cmake_parse_arguments(ARG "" "" "DEPS" ${ARGN})
  list(TRANSFORM ARG_DEPS PREPEND domicile_)
  add_executable(fuzz_${name} ${source})
  target_link_options(fuzz_${name} PRIVATE -fsanitize=fuzzer,address)
  target_link_libraries(fuzz_${name} PRIVATE ${ARG_DEPS})
  if(NOT TARGET fuzzers)
    add_custom_target(fuzzers)
  endif()
  add_dependencies(fuzzers fuzz_${name})
endfunction()

# domicile_bench(NAME SOURCES ... DEPS ... [LIBS ...]): the optimised program bench_NAME that bench/run starts.
function(domicile_bench name)
  cmake_parse_arguments(ARG "" "" "SOURCES;DEPS;LIBS" ${ARGN})
  list(TRANSFORM ARG_DEPS PREPEND domicile_)
  add_executable(bench_${name} EXCLUDE_FROM_ALL ${ARG_SOURCES})
  target_link_libraries(bench_${name} PRIVATE ${ARG_DEPS} ${ARG_LIBS})
endfunction()
