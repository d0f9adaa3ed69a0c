# Warnings and sanitizers for our own targets; linked PRIVATE, never exported.
add_library(dblocks_warnings INTERFACE)
# Designated initialisers leave fields at their defaults on purpose.
target_compile_options(
  dblocks_warnings INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor
                             -Wno-missing-field-initializers)
# GCC 12 sees overflows in std::string and std::vector that are not there.
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION
                                            VERSION_LESS 13)
  target_compile_options(
    dblocks_warnings INTERFACE -Wno-array-bounds -Wno-restrict
                               -Wno-stringop-overflow -Wno-stringop-overread)
endif()
if(DBLOCKS_WERROR)
  target_compile_options(dblocks_warnings INTERFACE -Werror)
endif()
if(DBLOCKS_SANITIZE)
  add_compile_options(-fsanitize=${DBLOCKS_SANITIZE} -fno-omit-frame-pointer
                      -fno-sanitize-recover=all)
  add_link_options(-fsanitize=${DBLOCKS_SANITIZE})
endif()
