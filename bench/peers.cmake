# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The molt authors
# Benchmarks against other ways to the same end, and the demo.

# What they share. Agent and builder run inside the benchmark where only the
# host is measured.
add_library(molt_bench_tool STATIC tool/app.c tool/bench.c tool/child.c tool/dev.c tool/files.c tool/options.c tool/plot.c tool/result.c
            tool/source.c tool/stats.c tool/talk.c)
target_include_directories(molt_bench_tool PUBLIC ${CMAKE_CURRENT_SOURCE_DIR})
target_compile_definitions(molt_bench_tool PUBLIC MOLT_BENCH_SOURCE="${CMAKE_CURRENT_SOURCE_DIR}")
target_link_libraries(molt_bench_tool PUBLIC molt_control_agent molt_bench PkgConfig::JANSSON m)

add_executable(molt-plain-server swap/plain.c)
target_link_libraries(molt-plain-server PRIVATE molt_base)

add_executable(molt-bench-swap swap/main.c swap/measure.c swap/report.c swap/molt.c swap/rolling.c
               swap/erlang.c)
target_link_libraries(molt-bench-swap PRIVATE molt_bench_tool)
add_dependencies(molt-bench-swap molt-plain-server molt-host)

add_executable(molt-bench-runtime runtime/main.c runtime/figures.c runtime/limits.c runtime/report.c
               runtime/save.c runtime/subjects.c)
target_link_libraries(molt-bench-runtime PRIVATE molt_bench_tool)
add_dependencies(molt-bench-runtime molt-host)

add_executable(molt-bench-http http/main.c http/report.c http/servers.c)
target_link_libraries(molt-bench-http PRIVATE molt_bench_tool)
add_dependencies(molt-bench-http molt-plain-server molt-host)

add_executable(molt-realc realc/main.c)
target_link_libraries(molt-realc PRIVATE molt_bench_tool)

add_executable(molt-demo demo.c demo/edits.c demo/follow.c)
target_link_libraries(molt-demo PRIVATE molt_bench_tool)
add_dependencies(molt-demo molt-cli molt-host)

# The runtime's migration alone, inside the benchmark.
add_executable(molt-bench-migrate migrate.c)
target_link_libraries(molt-bench-migrate PRIVATE molt_bench_tool molt_runtime)

# What the project promises first, as one test: modules built by `molt dev` know
# nothing of the sanitizers of a host, so it runs in the other presets.
if(NOT MOLT_SANITIZER)
    add_test(NAME demo COMMAND molt-demo --once --port 0)
    set_tests_properties(demo PROPERTIES TIMEOUT 240 ENVIRONMENT "MOLT=${MOLT_COMMAND}")
endif()

foreach(name save idle retained stuck)
    add_executable(molt-bench-${name} ${name}.c)
    target_link_libraries(molt-bench-${name} PRIVATE molt_bench_tool)
    add_dependencies(molt-bench-${name} molt-cli molt-host)
endforeach()
