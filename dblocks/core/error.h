// SPDX-License-Identifier: Apache-2.0
// Typed errors. Wrong input from outside throws one of the types below through
// DBLOCKS_CHECK; a broken invariant of ours throws InternalError through
// DBLOCKS_ASSERT. Only cli/main.cpp catches them for good.
#pragma once

#include <fmt/format.h>

#include <stdexcept>
#include <string>

namespace dblocks {

/// Exit codes of the program; part of its interface.
enum class ExitCode : int {
  kDone = 0,
  kConfig = 2,
  kData = 3,
  kCheckpoint = 4,
  kDevice = 5,
  kDistributed = 6,
  kInternal = 70,
  kInterrupted = 75,  ///< stopped on request; run the same command again
};

/// Base of every error that dblocks throws on purpose. The message reads
/// `[where] expected, found, which file or key. Hint: what to do.`
class Error : public std::runtime_error {
 public:
  Error(ExitCode code, const std::string& message)
      : std::runtime_error(message), code_(code) {}
  ExitCode code() const { return code_; }

 private:
  ExitCode code_;
};

/// Declares an error type whose exit code is fixed.
#define DBLOCKS_DEFINE_ERROR(Name, exit_code)                                \
  class Name : public Error {                                                \
   public:                                                                   \
    explicit Name(const std::string& message) : Error(exit_code, message) {} \
  }

/// A recipe, an option or a combination of them is wrong.
DBLOCKS_DEFINE_ERROR(ConfigError, ExitCode::kConfig);
/// A data set is missing or damaged.
DBLOCKS_DEFINE_ERROR(DataError, ExitCode::kData);
/// A run folder, checkpoint or tensor file is missing, damaged or busy.
DBLOCKS_DEFINE_ERROR(CheckpointError, ExitCode::kCheckpoint);
/// A device is missing, or memory or disk has run out.
DBLOCKS_DEFINE_ERROR(DeviceError, ExitCode::kDevice);
/// Memory for tensors has run out; less at once may fit.
class OutOfMemoryError : public DeviceError {
 public:
  using DeviceError::DeviceError;
};
/// A mistake of ours; the message asks for a report.
DBLOCKS_DEFINE_ERROR(InternalError, ExitCode::kInternal);

#undef DBLOCKS_DEFINE_ERROR

namespace internal {
[[noreturn]] void throw_internal_error(const char* condition,
                                       const char* file,
                                       int line,
                                       const std::string& detail);
}  // namespace internal

}  // namespace dblocks

/// Throws `ErrorType` with an fmt-formatted message unless `condition` holds.
#define DBLOCKS_CHECK(condition, ErrorType, ...) \
  do {                                           \
    if (!(condition)) [[unlikely]] {             \
      throw ErrorType(fmt::format(__VA_ARGS__)); \
    }                                            \
  } while (false)

/// Throws InternalError unless `condition`, an invariant of ours, holds.
#define DBLOCKS_ASSERT(condition, ...)                               \
  do {                                                               \
    if (!(condition)) [[unlikely]] {                                 \
      ::dblocks::internal::throw_internal_error(                     \
          #condition, __FILE__, __LINE__, fmt::format(__VA_ARGS__)); \
    }                                                                \
  } while (false)
