# What every object of ours is compiled with.
set(CMAKE_C_STANDARD 17)
set(CMAKE_C_STANDARD_REQUIRED ON)
set(CMAKE_C_EXTENSIONS OFF)
set(CMAKE_C_VISIBILITY_PRESET hidden)
set(CMAKE_POSITION_INDEPENDENT_CODE ON)
set(CMAKE_EXPORT_COMPILE_COMMANDS ON)
set(THREADS_PREFER_PTHREAD_FLAG ON)

if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "" FORCE)
endif()

# Assertions of ours do not depend on NDEBUG; C's own stay on as well.
foreach(type RELEASE RELWITHDEBINFO MINSIZEREL)
    string(REPLACE "-DNDEBUG" "" CMAKE_C_FLAGS_${type} "${CMAKE_C_FLAGS_${type}}")
endforeach()

# -O3 makes the library a tenth larger and no benchmark faster.
string(REPLACE "-O3" "-O2" CMAKE_C_FLAGS_RELEASE "${CMAKE_C_FLAGS_RELEASE}")

# Each function in a section of its own, so that the linker can leave out what nobody calls; and no bytes spent on
# alignment, a twentieth of the code, without which no benchmark is slower.
if(CMAKE_BUILD_TYPE MATCHES "Rel")
    add_compile_options(-ffunction-sections -fdata-sections)
    if(CMAKE_C_COMPILER_ID STREQUAL "GNU")
        add_compile_options(-fno-align-functions -fno-align-jumps -fno-align-loops -fno-align-labels)
    endif()
endif()

add_library(duress_compiler INTERFACE)
target_compile_options(duress_compiler INTERFACE
    -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wstrict-prototypes -Wmissing-prototypes -Wundef -Wvla)
target_compile_definitions(duress_compiler INTERFACE _GNU_SOURCE)
if(DURESS_WERROR)
    target_compile_options(duress_compiler INTERFACE -Werror)
endif()
if(DURESS_SANITIZE)
    target_compile_options(duress_compiler INTERFACE -fsanitize=${DURESS_SANITIZE} -fno-omit-frame-pointer
        -fno-sanitize-recover=all)
    target_link_options(duress_compiler INTERFACE -fsanitize=${DURESS_SANITIZE})
endif()
