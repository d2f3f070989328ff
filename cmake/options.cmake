# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The molt authors
# Compiler options of all targets, and the sanitizer and hostile switches.

include(CheckCCompilerFlag)

set(MOLT_SANITIZER "" CACHE STRING "address,undefined or thread")
option(MOLT_HOSTILE "Tiny tables and swaps at every chance" OFF)
option(MOLT_WERROR "Warnings are errors" OFF)

add_compile_options(
    -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wold-style-definition
    -Wundef -Wformat=2 -Wvla -Wwrite-strings -Wimplicit-fallthrough -Wcast-qual
    -fno-omit-frame-pointer)
check_c_compiler_flag(-fstack-clash-protection MOLT_HAS_STACK_CLASH_PROTECTION)
if(MOLT_HAS_STACK_CLASH_PROTECTION)
    add_compile_options(-fstack-clash-protection)
endif()
if(CMAKE_SYSTEM_PROCESSOR STREQUAL aarch64) # see src/port/aarch64/module_flags.c
    add_compile_options(-mbranch-protection=none)
endif()
add_compile_definitions(_GNU_SOURCE)
if(MOLT_WERROR)
    add_compile_options(-Werror)
endif()
if(MOLT_SANITIZER)
    add_compile_options(-fsanitize=${MOLT_SANITIZER} -fno-sanitize-recover=all)
    add_link_options(-fsanitize=${MOLT_SANITIZER})
endif()
# The path of a message leads through a dozen small functions of four layers.
# Inlined across files it takes a third less time.
if(CMAKE_BUILD_TYPE STREQUAL Release AND NOT MOLT_SANITIZER)
    include(CheckIPOSupported)
    check_ipo_supported(RESULT MOLT_HAS_IPO OUTPUT ignored LANGUAGES C)
    set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ${MOLT_HAS_IPO})
endif()
if(MOLT_HOSTILE)
    add_compile_definitions(MOLT_HOSTILE=1)
endif()
