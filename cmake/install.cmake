# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The molt authors
# What `./dev install` puts below the prefix: bin/, lib/, include/molt/, the
# sources of shipped modules in share/molt/modules/ (modules/CMakeLists.txt),
# and man pages.

# libmolt is target molt, the command `molt` is target molt-cli.
# `installed` builds them and nothing else.
add_custom_target(installed)
foreach(target molt-cli molt-host molt)
    if(TARGET ${target})
        add_dependencies(installed ${target})
        install(TARGETS ${target}
                RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR}
                LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
                ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    endif()
endforeach()

install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/molt
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.1)
if(pages)
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
