# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The molt authors
# Toolchain for aarch64, in a folder that tools/cross-root made; tests run under
# qemu's user mode emulation.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(MOLT_CROSS_ROOT ${CMAKE_CURRENT_LIST_DIR}/../build/root-aarch64 CACHE PATH
    "What tools/cross-root made")
list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES MOLT_CROSS_ROOT)
get_filename_component(root ${MOLT_CROSS_ROOT} ABSOLUTE)

set(CMAKE_C_COMPILER ${root}/bin/gcc)
set(CMAKE_CROSSCOMPILING_EMULATOR ${root}/bin/emulate)
set(CMAKE_SYSROOT ${root}/sysroot)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH ${root}/sysroot)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

set(ENV{PKG_CONFIG_SYSROOT_DIR} ${root}/sysroot)
set(ENV{PKG_CONFIG_LIBDIR} ${root}/sysroot/usr/lib/aarch64-linux-gnu/pkgconfig)
