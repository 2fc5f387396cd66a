# duress_room(<name> SOURCES <file>… [LINKS <room or target>…])
#
# One folder of src/ as one static library, duress_<name>. Its headers lie in src/<name>/include/duress/<name>/, and
# only a target that links the room sees them: an include that the architecture rules out does not build.
#
# duress_small(<file>…): files of the current room in which no call spends its time; small beats fast there.
function(duress_small)
    if(CMAKE_BUILD_TYPE MATCHES "Rel")
        set_source_files_properties(${ARGN} PROPERTIES COMPILE_OPTIONS -Os)
    endif()
endfunction()

function(duress_room name)
    cmake_parse_arguments(ROOM "" "" "SOURCES;LINKS" ${ARGN})
    add_library(duress_${name} STATIC ${ROOM_SOURCES})
    if(IS_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR}/include)
        target_include_directories(duress_${name} PUBLIC $<BUILD_INTERFACE:${CMAKE_CURRENT_SOURCE_DIR}/include>)
    endif()
    target_include_directories(duress_${name} PUBLIC $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>)
    target_include_directories(duress_${name} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR})
    target_link_libraries(duress_${name} PRIVATE duress_compiler)
    foreach(link ${ROOM_LINKS})
        if(TARGET duress_${link})
            target_link_libraries(duress_${name} PUBLIC duress_${link})
        else()
            target_link_libraries(duress_${name} PUBLIC ${link})
        endif()
    endforeach()
endfunction()

# duress_unit_test(<name> SOURCES <file>… LINKS <room>… [INCLUDES <dir>…])
#
# One cmocka program, one ctest entry labelled "unit"; labelled "threads" as well where it links Threads::Threads, and
# then the thread sanitizer sees it (make tsan).
function(duress_unit_test name)
    cmake_parse_arguments(TEST "" "" "SOURCES;LINKS;INCLUDES" ${ARGN})
    add_executable(${name} ${TEST_SOURCES})
    target_link_libraries(${name} PRIVATE duress_compiler PkgConfig::CMOCKA)
    foreach(link ${TEST_LINKS})
        if(TARGET duress_${link})
            target_link_libraries(${name} PRIVATE duress_${link})
        else()
            target_link_libraries(${name} PRIVATE ${link})
        endif()
    endforeach()
    target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR}/tests/support ${TEST_INCLUDES})
    add_test(NAME unit.${name} COMMAND ${name})
    set(labels unit)
    if("Threads::Threads" IN_LIST TEST_LINKS)
        list(APPEND labels threads)
    endif()
    set_tests_properties(unit.${name} PROPERTIES LABELS "${labels}" TIMEOUT 240)
endfunction()
