# What users get: libduress, libduress-http and libduress-chaos, each shared and static, from the objects of the rooms;
# the public headers; pkg-config files; a CMake package; the program.
#
#   duress::duress   duress::duress_static     policy, wire, toxic, world, agent, middleware, compose
#   duress::http     duress::http_static       agent_http: libcurl and libmicrohttpd; needs the first
#   duress::chaos    duress::chaos_static      chaos and campaign, for tests of one's own, and a client of Toxiproxy's
#                                              API: libcurl, jansson; needs the first
#
# The names are the same for find_package(), add_subdirectory() and FetchContent.
include(CMakePackageConfigHelpers)
include(CheckLinkerFlag)

# Relative relocations packed as DT_RELR: a twentieth of the room. The C library must know them, and the linker notes
# that it must: glibc 2.36 or musl 1.2.4. A linker that does not know them, or that only warns, is not asked.
set(CMAKE_REQUIRED_LINK_OPTIONS -Wl,--fatal-warnings)
check_linker_flag(C -Wl,-z,pack-relative-relocs DURESS_HAS_PACKED_RELOCATIONS)
unset(CMAKE_REQUIRED_LINK_OPTIONS)
option(DURESS_PACK_RELOCATIONS "Pack the shared libraries' relocations (they then need glibc 2.36 or musl 1.2.4)"
    ${DURESS_HAS_PACKED_RELOCATIONS})

option(DURESS_INSTALL "Generate install rules" ${PROJECT_IS_TOP_LEVEL})

# Rooms by library, and those whose headers users may include. proxy/ and loop/ have none: a proxy needs a loop, which
# is not public; <duress/chaos/chaos.h> is the door to both.
set(duress_library_rooms base policy wire toxic loop world agent middleware compose)
set(duress_library_public_rooms policy wire toxic world agent middleware compose)
set(duress_http_rooms agent_http)
set(duress_http_public_rooms agent_http)
set(duress_chaos_rooms proxy toxiproxy chaos campaign)
set(duress_chaos_public_rooms toxiproxy chaos campaign)

# Before 1.0 the soname moves with each minor version.
set(duress_soversion ${PROJECT_VERSION_MAJOR})
if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(duress_soversion 0.${PROJECT_VERSION_MINOR})
endif()

# duress_library(<target> SHARED|STATIC <output name> <export name> <rooms variable> <public rooms variable>)
function(duress_library target kind output_name export_name rooms public_rooms)
    set(objects "")
    foreach(room ${${rooms}})
        if(TARGET duress_${room})
            list(APPEND objects $<TARGET_OBJECTS:duress_${room}>)
        endif()
    endforeach()
    add_library(${target} ${kind} ${objects})
    add_library(duress::${export_name} ALIAS ${target})
    set_target_properties(${target} PROPERTIES
        OUTPUT_NAME ${output_name}
        EXPORT_NAME ${export_name}
        LINKER_LANGUAGE C
        VERSION ${PROJECT_VERSION}
        SOVERSION ${duress_soversion}
        ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}
        LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
    foreach(room ${${public_rooms}})
        target_include_directories(${target} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/src/${room}/include>)
    endforeach()
    target_include_directories(${target} INTERFACE
        $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include> $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    if(DURESS_SANITIZE)
        target_link_options(${target} PRIVATE -fsanitize=${DURESS_SANITIZE})
    elseif(kind STREQUAL SHARED)
        # Our own functions are called without a detour, and no page is spent on the gaps between segments.
        target_link_options(${target} PRIVATE
            -Wl,--no-undefined -Wl,-Bsymbolic-functions -Wl,-z,noseparate-code -Wl,--gc-sections
            $<$<BOOL:${DURESS_PACK_RELOCATIONS}>:-Wl,-z,pack-relative-relocs>)
    endif()
endfunction()

duress_library(duress_shared SHARED duress duress duress_library_rooms duress_library_public_rooms)
duress_library(duress_static STATIC duress duress_static duress_library_rooms duress_library_public_rooms)
foreach(library duress_shared duress_static)
    target_link_libraries(${library} PRIVATE PkgConfig::LIBUV PkgConfig::CARES)
endforeach()

duress_library(duress_http_shared SHARED duress-http http duress_http_rooms duress_http_public_rooms)
target_link_libraries(duress_http_shared
    PUBLIC duress_shared PRIVATE PkgConfig::LIBUV PkgConfig::CURL PkgConfig::MICROHTTPD)
set_target_properties(duress_http_shared PROPERTIES INSTALL_RPATH "$ORIGIN") # finds libduress.so beside itself
duress_library(duress_http_static STATIC duress-http http_static duress_http_rooms duress_http_public_rooms)
target_link_libraries(duress_http_static
    PUBLIC duress_static PRIVATE PkgConfig::LIBUV PkgConfig::CURL PkgConfig::MICROHTTPD)

if(TARGET duress_chaos)
    # The loop's functions are not exported by libduress.so, so libduress-chaos.so has its own copy, hidden as well.
    duress_library(duress_chaos_shared SHARED duress-chaos chaos duress_chaos_rooms duress_chaos_public_rooms)
    target_link_libraries(duress_chaos_shared
        PUBLIC duress_shared PRIVATE duress_loop PkgConfig::LIBUV PkgConfig::JANSSON PkgConfig::CURL m)
    target_link_options(duress_chaos_shared PRIVATE -Wl,--exclude-libs,ALL)
    set_target_properties(duress_chaos_shared PROPERTIES INSTALL_RPATH "$ORIGIN") # finds libduress.so beside itself
    duress_library(duress_chaos_static STATIC duress-chaos chaos_static duress_chaos_rooms duress_chaos_public_rooms)
    target_link_libraries(duress_chaos_static
        PUBLIC duress_static PRIVATE PkgConfig::LIBUV PkgConfig::JANSSON PkgConfig::CURL m)
endif()

# Only what a user links is built in a tree that is not ours; so is src/.
if(NOT PROJECT_IS_TOP_LEVEL)
    get_property(duress_targets DIRECTORY ${PROJECT_SOURCE_DIR} PROPERTY BUILDSYSTEM_TARGETS)
    set_target_properties(${duress_targets} PROPERTIES EXCLUDE_FROM_ALL ON)
endif()

if(NOT DURESS_INSTALL)
    return()
endif()

foreach(room ${duress_library_public_rooms} ${duress_http_public_rooms} ${duress_chaos_public_rooms})
    if(IS_DIRECTORY ${PROJECT_SOURCE_DIR}/src/${room}/include/duress)
        install(DIRECTORY ${PROJECT_SOURCE_DIR}/src/${room}/include/duress DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
            FILES_MATCHING PATTERN "*.h" PATTERN "*_loop.h" EXCLUDE PATTERN "*_private.h" EXCLUDE)
    endif()
endforeach()
install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/duress DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
    FILES_MATCHING PATTERN "*.h")

# Two sets: who links the shared libraries needs none of their dependencies' packages.
install(TARGETS duress_shared duress_http_shared EXPORT duress-shared)
install(TARGETS duress_static duress_http_static EXPORT duress-static)
if(TARGET duress_chaos)
    install(TARGETS duress_chaos_shared EXPORT duress-shared)
    install(TARGETS duress_chaos_static EXPORT duress-static)
endif()
if(TARGET duress_program)
    install(TARGETS duress_program)
    install(FILES ${PROJECT_BINARY_DIR}/toxiproxy-server ${PROJECT_BINARY_DIR}/toxiproxy-cli TYPE BIN)
    install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/man/ DESTINATION ${CMAKE_INSTALL_MANDIR}/man1
        FILES_MATCHING PATTERN "*.1")
    # Completions are found by the name of the command that is typed.
    foreach(name duress toxiproxy-server toxiproxy-cli)
        install(FILES ${PROJECT_SOURCE_DIR}/src/cli/completion/duress.bash RENAME ${name}
            DESTINATION ${CMAKE_INSTALL_DATAROOTDIR}/bash-completion/completions)
    endforeach()
endif()

set(duress_package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/duress)
foreach(kind shared static)
    install(EXPORT duress-${kind} NAMESPACE duress:: DESTINATION ${duress_package_dir})
endforeach()
configure_package_config_file(${CMAKE_CURRENT_LIST_DIR}/duress-config.cmake.in ${PROJECT_BINARY_DIR}/duress-config.cmake
    INSTALL_DESTINATION ${duress_package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/duress-config-version.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/duress-config.cmake ${PROJECT_BINARY_DIR}/duress-config-version.cmake
    DESTINATION ${duress_package_dir})

# The files find their prefix from where they lie, so that an installed tree may be moved.
set(duress_pkgconfig_dir ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
file(RELATIVE_PATH duress_prefix_from_pkgconfig
    ${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig ${CMAKE_INSTALL_PREFIX})
set(duress_packages duress duress-http)
if(TARGET duress_chaos)
    list(APPEND duress_packages duress-chaos)
endif()
foreach(package ${duress_packages})
    configure_file(${CMAKE_CURRENT_LIST_DIR}/${package}.pc.in ${PROJECT_BINARY_DIR}/${package}.pc @ONLY)
    install(FILES ${PROJECT_BINARY_DIR}/${package}.pc DESTINATION ${duress_pkgconfig_dir})
endforeach()
