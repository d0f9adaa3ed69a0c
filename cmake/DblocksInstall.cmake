# What `cmake --install` puts where: the program, both libraries, the public
# headers and the package that find_package(dblocks) reads.
include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

# Headers for networks of one's own, and all that these include. The rest is
# how the program is made and may change without notice.
set(DBLOCKS_PUBLIC_HEADERS
    blocks/denoiser.h
    blocks/options.h
    blocks/regression.h
    blocks/split.h
    checkpoint/safetensors.h
    core/error.h
    core/fields.h
    core/file_descriptor.h
    core/file_system.h
    core/flat_state.h
    core/hash.h
    core/log.h
    core/mapped_file.h
    core/random.h
    core/state_format.h
    core/tensor_bytes.h
    memory/meter.h
    nn/block_network.h
    nn/layer_stack.h
    noise/euler.h
    noise/inference_schedule.h
    noise/noise_schedule.h
    noise/partition.h
    noise/precondition.h
    ops/gelu.h
    ops/residual.h
    optim/adamw.h
    optim/ema.h
    optim/gradient_norm.h
    optim/learning_rate.h
    optim/options.h
    optim/parallel_for.h
    sampling/euler.h
    train/update.h)

set(DBLOCKS_CMAKE_DIR "${CMAKE_INSTALL_LIBDIR}/cmake/dblocks")
set(_targets dblocks_plain)
set_target_properties(dblocks_plain PROPERTIES EXPORT_NAME plain)
if(DBLOCKS_TORCH)
  list(APPEND _targets dblocks)
endif()
install(TARGETS ${_targets} EXPORT dblocksTargets
        ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
install(EXPORT dblocksTargets NAMESPACE dblocks::
        DESTINATION "${DBLOCKS_CMAKE_DIR}")
foreach(header IN LISTS DBLOCKS_PUBLIC_HEADERS)
  cmake_path(GET header PARENT_PATH folder)
  install(FILES "${PROJECT_SOURCE_DIR}/dblocks/${header}"
          DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}/dblocks/${folder}")
endforeach()
if(TARGET dblocks_program)
  # LibTorch stays where it is; the installed program has to find it there.
  file(REAL_PATH "${TORCH_ROOT}/lib" _torch_lib)
  set_target_properties(dblocks_program PROPERTIES INSTALL_RPATH "${_torch_lib}")
  install(TARGETS dblocks_launcher
          RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
  # Where the launcher looks for it, from its own folder.
  install(TARGETS dblocks_program RUNTIME DESTINATION libexec/dblocks)
  install(FILES "${PROJECT_SOURCE_DIR}/docs/man/dblocks.1"
          DESTINATION "${CMAKE_INSTALL_MANDIR}/man1")
endif()

configure_package_config_file(
  "${PROJECT_SOURCE_DIR}/cmake/dblocksConfig.cmake.in"
  "${PROJECT_BINARY_DIR}/dblocksConfig.cmake"
  INSTALL_DESTINATION "${DBLOCKS_CMAKE_DIR}")
write_basic_package_version_file(
  "${PROJECT_BINARY_DIR}/dblocksConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/dblocksConfig.cmake"
              "${PROJECT_BINARY_DIR}/dblocksConfigVersion.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/FindTorch.cmake"
              "${PROJECT_SOURCE_DIR}/cmake/SystemFmt.cmake"
        DESTINATION "${DBLOCKS_CMAKE_DIR}")
