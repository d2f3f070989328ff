# SPDX-License-Identifier: Apache-2.0
# SPDX-FileCopyrightText: The molt authors
# What `./dev install` puts below the prefix: bin/, lib/, include/molt/, the
# sources of shipped modules in share/molt/modules/, and man pages.

foreach(program molt molt-host)
    if(TARGET ${program})
        install(TARGETS ${program} RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
    endif()
endforeach()

foreach(library libmolt molt_shared molt_lib)
    if(TARGET ${library})
        install(TARGETS ${library}
                LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}
                ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    endif()
endforeach()

install(DIRECTORY ${CMAKE_SOURCE_DIR}/include/molt
        DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} FILES_MATCHING PATTERN "*.h")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/modules DESTINATION ${CMAKE_INSTALL_DATADIR}/molt
        FILES_MATCHING PATTERN "*.[ch]" PATTERN "*.conf" PATTERN "CMakeFiles" EXCLUDE)
install(FILES ${CMAKE_SOURCE_DIR}/LICENSE DESTINATION ${CMAKE_INSTALL_DOCDIR})

file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.1)
if(pages)
    install(FILES ${pages} DESTINATION ${CMAKE_INSTALL_MANDIR}/man1)
endif()
