# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The molt authors
# Tests of a build for another CPU, which run under an emulator.

# The command `molt`, as tests start it. A kernel can't run programs of another
# CPU, so then these are scripts that can.
set(MOLT_COMMAND $<TARGET_FILE:molt-cli>)
if(CMAKE_CROSSCOMPILING_EMULATOR)
    set(folder ${CMAKE_BINARY_DIR}/emulated)
    set(MOLT_COMMAND ${folder}/molt)
    foreach(target molt-cli molt-host)
        file(GENERATE OUTPUT ${folder}/$<TARGET_FILE_NAME:${target}> CONTENT "#!/bin/sh
MOLT_HOST='${folder}/molt-host' exec '${CMAKE_CROSSCOMPILING_EMULATOR}' '$<TARGET_FILE:${target}>' \"$@\"
"
             FILE_PERMISSIONS OWNER_READ OWNER_WRITE OWNER_EXECUTE)
    endforeach()
endif()

# molt_skip_test(name why): stands in the place of a test that can't be run.
function(molt_skip_test name why)
    add_test(NAME ${name} COMMAND ${CMAKE_COMMAND} -E echo "skipped: ${name}: ${why}")
    set_tests_properties(${name} PROPERTIES SKIP_REGULAR_EXPRESSION "^skipped: ")
endfunction()
