# dblocks_system_fmt(VAR FOLDER): the PyTorch wheel carries fmt headers of
# another version among its own. Makes FOLDER, which holds a link to the
# system's fmt alone, and sets VAR to it; searched before the wheel's folder, it
# keeps the system's in front. Needs fmt::fmt.
function(dblocks_system_fmt var folder)
  get_target_property(found fmt::fmt INTERFACE_INCLUDE_DIRECTORIES)
  if(NOT found)
    set(found /usr/include)
  endif()
  file(MAKE_DIRECTORY "${folder}")
  file(CREATE_LINK "${found}/fmt" "${folder}/fmt" SYMBOLIC)
  set(${var} "${folder}" PARENT_SCOPE)
endfunction()
