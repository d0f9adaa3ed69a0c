# Finds LibTorch inside a PyTorch wheel and defines
#   dblocks::torch_cpu   libtorch_cpu + libc10, headers as SYSTEM
#   dblocks::torch_cuda  the CUDA half besides, where the wheel has it
# The wheel's own CMake package insists on a CUDA toolkit whenever the wheel is
# a CUDA build; a program that links the CPU half needs neither toolkit nor GPU.
#
# at::parallel_for is a plain loop in code that is compiled without OpenMP, so
# what links dblocks::torch_cpu is compiled with it, and linked with the OpenMP
# library of the wheel: a second one would have threads of its own.
# DBLOCKS_OPENMP=OFF leaves both out.
#
# Looks in TORCH_ROOT (the folder that holds lib/ and include/), then in the
# private virtual environment .venv of the source tree, then asks python3.
# Outputs Torch_FOUND, Torch_VERSION, TORCH_ROOT.

if(NOT TORCH_ROOT)
  file(GLOB _torch_candidates
       "${CMAKE_CURRENT_LIST_DIR}/../.venv/lib/python3*/site-packages/torch")
  foreach(_candidate IN LISTS _torch_candidates)
    if(EXISTS "${_candidate}/lib/libtorch_cpu.so")
      set(TORCH_ROOT "${_candidate}" CACHE PATH "Folder of LibTorch" FORCE)
    endif()
  endforeach()
endif()
if(NOT TORCH_ROOT)
  find_package(Python3 COMPONENTS Interpreter QUIET)
  if(Python3_FOUND)
    execute_process(
      COMMAND "${Python3_EXECUTABLE}" -c
              "import importlib.util as u, os; s = u.find_spec('torch'); print(os.path.dirname(s.origin) if s else '')"
      OUTPUT_VARIABLE _torch_from_python OUTPUT_STRIP_TRAILING_WHITESPACE
      ERROR_QUIET)
    if(_torch_from_python)
      set(TORCH_ROOT "${_torch_from_python}" CACHE PATH "Folder of LibTorch" FORCE)
    endif()
  endif()
endif()

set(_torch_header "${TORCH_ROOT}/include/torch/headeronly/version.h")
if(NOT EXISTS "${_torch_header}")
  set(_torch_header
      "${TORCH_ROOT}/include/torch/csrc/api/include/torch/version.h")
endif()
if(EXISTS "${_torch_header}")
  file(STRINGS "${_torch_header}" _torch_lines
       REGEX "#define TORCH_VERSION_(MAJOR|MINOR|PATCH) ")
  foreach(_part MAJOR MINOR PATCH)
    string(REGEX MATCH "TORCH_VERSION_${_part} ([0-9]+)" _ "${_torch_lines}")
    set(_torch_${_part} "${CMAKE_MATCH_1}")
  endforeach()
  set(Torch_VERSION "${_torch_MAJOR}.${_torch_MINOR}.${_torch_PATCH}")
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
  Torch
  REQUIRED_VARS TORCH_ROOT _torch_header
  VERSION_VAR Torch_VERSION
  REASON_FAILURE_MESSAGE
    "no PyTorch wheel found: run ./quickstart or pass -DTORCH_ROOT=<folder of torch>")

if(Torch_FOUND AND NOT TARGET dblocks::torch_cpu)
  # The C++ ABI that the wheel was built with; 1 is what compilers take anyway.
  file(STRINGS "${TORCH_ROOT}/share/cmake/Torch/TorchConfig.cmake" _torch_abi
       REGEX "_GLIBCXX_USE_CXX11_ABI=0" LIMIT_COUNT 1)
  if(_torch_abi)
    set(_torch_definitions _GLIBCXX_USE_CXX11_ABI=0)
  endif()
  # The wheel's libraries reach their CUDA runtime through an RPATH relative to
  # themselves, so only their own folder has to be named.
  add_library(dblocks::c10 SHARED IMPORTED GLOBAL)
  set_target_properties(
    dblocks::c10
    PROPERTIES IMPORTED_LOCATION "${TORCH_ROOT}/lib/libc10.so"
               INTERFACE_COMPILE_DEFINITIONS "${_torch_definitions}"
               INTERFACE_INCLUDE_DIRECTORIES
               "${TORCH_ROOT}/include;${TORCH_ROOT}/include/torch/csrc/api/include")
  add_library(dblocks::torch_cpu SHARED IMPORTED GLOBAL)
  set_target_properties(
    dblocks::torch_cpu
    PROPERTIES IMPORTED_LOCATION "${TORCH_ROOT}/lib/libtorch_cpu.so"
               INTERFACE_LINK_LIBRARIES "dblocks::c10"
               # libtorch_cpu names libcudart and libcupti, which are found at
               # run time through its own RPATH.
               INTERFACE_LINK_OPTIONS "LINKER:--allow-shlib-undefined")
  file(GLOB _torch_openmp "${TORCH_ROOT}/lib/libgomp*.so*")
  if(NOT DEFINED DBLOCKS_OPENMP OR DBLOCKS_OPENMP)
    set_property(TARGET dblocks::torch_cpu APPEND
                 PROPERTY INTERFACE_LINK_LIBRARIES
                          "${_torch_openmp}$<$<NOT:$<BOOL:${_torch_openmp}>>:gomp>")
    set_property(TARGET dblocks::torch_cpu
                 PROPERTY INTERFACE_COMPILE_OPTIONS
                          "$<$<COMPILE_LANGUAGE:CXX>:-fopenmp>")
  endif()
  # The CUDA half, where the wheel has one; only the kernels link it.
  if(EXISTS "${TORCH_ROOT}/lib/libtorch_cuda.so")
    add_library(dblocks::torch_cuda INTERFACE IMPORTED GLOBAL)
    set_target_properties(
      dblocks::torch_cuda
      PROPERTIES
        INTERFACE_LINK_LIBRARIES
        "${TORCH_ROOT}/lib/libtorch_cuda.so;${TORCH_ROOT}/lib/libc10_cuda.so;dblocks::torch_cpu"
        INTERFACE_LINK_OPTIONS "LINKER:--allow-shlib-undefined")
  endif()
endif()
