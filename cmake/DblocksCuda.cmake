# Settles DBLOCKS_CUDA: AUTO builds the CUDA kernels where there is a compiler
# for them. Only the compiler is needed, no GPU.
if(DBLOCKS_CUDA STREQUAL "AUTO")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER AND TARGET dblocks::torch_cuda)
    set(DBLOCKS_CUDA ON)
  else()
    set(DBLOCKS_CUDA OFF)
  endif()
endif()
if(DBLOCKS_CUDA)
  # Every target names its own architectures; this only keeps CMake from asking
  # a GPU that may not be there.
  set(CMAKE_CUDA_ARCHITECTURES 90)
  enable_language(CUDA)
  # CMake 3.25 does not know that this compiler speaks C++20.
  if(NOT CMAKE_CUDA20_STANDARD_COMPILE_OPTION)
    set(CMAKE_CUDA20_STANDARD_COMPILE_OPTION "-std=c++20")
  endif()
endif()
