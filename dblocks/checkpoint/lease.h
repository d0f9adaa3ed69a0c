// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>

namespace dblocks::checkpoint {

inline constexpr const char* kLeaseName = "lease.json";

/// The right to write in a folder, held by one process at a time through a
/// locked file `lease.json` in it. The kernel releases the lock when the
/// process ends, however it ends; the file stays and is harmless.
///
/// *Errors*: CheckpointError if another process holds the lease (the message
/// names its pid and host), or if the file cannot be created or locked.
class Lease {
 public:
  /// Takes the lease of `folder`, creating the folder if it is missing.
  explicit Lease(const std::filesystem::path& folder);
  ~Lease();
  Lease(Lease&& other) noexcept;
  Lease& operator=(Lease&& other) noexcept;

  /// The fencing token: greater than that of every earlier holder of this
  /// folder's lease.
  uint64_t token() const { return token_; }

 private:
  int descriptor_ = -1;
  uint64_t token_ = 0;
};

}  // namespace dblocks::checkpoint
