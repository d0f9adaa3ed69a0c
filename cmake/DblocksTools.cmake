# Speeds builds up with what the machine has: ccache in front of the compiler,
# mold behind it. Both are optional.
find_program(DBLOCKS_CCACHE ccache)
if(DBLOCKS_CCACHE AND NOT CMAKE_CXX_COMPILER_LAUNCHER)
  # ccache may reuse objects built on a precompiled header only when it is told
  # that time stamps and the header's own macros do not matter.
  set(CMAKE_CXX_COMPILER_LAUNCHER
      ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${DBLOCKS_CCACHE})
endif()
find_program(DBLOCKS_MOLD mold)
if(DBLOCKS_MOLD)
  add_link_options(-fuse-ld=mold)
endif()

# dblocks_use_pch(TARGET): shares the library's precompiled header with an
# executable. Both must be compiled with the same -fPIC, where CMake would give
# an executable -fPIE.
function(dblocks_use_pch target)
  if(DBLOCKS_PCH)
    set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE OFF)
    target_compile_options(${target} PRIVATE -fPIC)
    target_precompile_headers(${target} REUSE_FROM dblocks)
  endif()
endfunction()
