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
# Inlined across files it takes a third less time. That is done for targets with
# the property MOLT_WHOLE_PROGRAM alone, molt-host and libmolt: the objects of
# their layers are fat, with machine code beside the compiler's own form, so that
# all others link the same archives at once.
set(MOLT_LTO_COMPILE "")
if(CMAKE_BUILD_TYPE STREQUAL Release AND NOT MOLT_SANITIZER)
    set(CMAKE_REQUIRED_FLAGS -Werror)
    check_c_compiler_flag("-flto=auto -ffat-lto-objects" MOLT_HAS_FAT_LTO)
    unset(CMAKE_REQUIRED_FLAGS)
    if(MOLT_HAS_FAT_LTO)
        set(MOLT_LTO_COMPILE -flto=auto -ffat-lto-objects)
        # One or the other: gcc runs no LTO where both are given, and takes fat
        # objects for it where neither is.
        set(is_whole $<BOOL:$<TARGET_PROPERTY:MOLT_WHOLE_PROGRAM>>)
        add_link_options($<IF:${is_whole},-flto=auto,-fno-lto>)
    else() # a compiler without such objects: all of it, however long that takes
        include(CheckIPOSupported)
        check_ipo_supported(RESULT MOLT_HAS_IPO OUTPUT ignored LANGUAGES C)
        set(CMAKE_INTERPROCEDURAL_OPTIMIZATION ${MOLT_HAS_IPO})
    endif()
endif()
if(MOLT_HOSTILE)
    add_compile_definitions(MOLT_HOSTILE=1)
endif()
