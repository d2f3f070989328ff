# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The molt authors
# What a call through a thunk costs; see results/call.md.

add_executable(molt-bench-call call.c ${CMAKE_SOURCE_DIR}/tests/support/interface_text.c)
target_include_directories(molt-bench-call PRIVATE ${CMAKE_SOURCE_DIR}/tests)
target_link_libraries(molt-bench-call PRIVATE molt_port ${CMAKE_DL_LIBS})
target_link_options(molt-bench-call PRIVATE -rdynamic)
