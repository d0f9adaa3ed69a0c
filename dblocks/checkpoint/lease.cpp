// SPDX-License-Identifier: Apache-2.0
#include "dblocks/checkpoint/lease.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <ctime>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "dblocks/core/error.h"
#include "dblocks/core/file_descriptor.h"
#include "dblocks/core/file_system.h"

namespace dblocks::checkpoint {
namespace {

using dblocks::internal::FileDescriptor;
using nlohmann::json;

// The record always fills this many bytes, so that writing it over the one
// before never leaves a mixture of lengths.
constexpr size_t kRecordBytes = 512;

std::string host_name() {
  std::array<char, HOST_NAME_MAX + 1> name{};
  ::gethostname(name.data(), name.size() - 1);
  return name.data();
}

// The record in the file; null if there is none that can be understood.
json read_record(int descriptor) {
  std::array<char, kRecordBytes> bytes{};
  const ssize_t count = ::pread(descriptor, bytes.data(), bytes.size(), 0);
  const size_t length = count > 0 ? static_cast<size_t>(count) : 0;
  json record = json::parse(bytes.begin(), bytes.begin() + length, nullptr,
                            /*allow_exceptions=*/false);
  return record.is_object() ? record : json();
}

// A damaged record must not set the count back: go on from the clock, which is
// ahead of any count of processes.
uint64_t next_token(int descriptor) {
  constexpr uint64_t kMaxToken = uint64_t{1} << 62;
  const json record = read_record(descriptor);
  if (record.contains("token") && record["token"].is_number_unsigned() &&
      record["token"].get<uint64_t>() < kMaxToken) {
    return record["token"].get<uint64_t>() + 1;
  }
  const bool is_new = ::lseek(descriptor, 0, SEEK_END) == 0;
  return is_new ? 1 : static_cast<uint64_t>(std::time(nullptr));
}

std::string record_text(uint64_t token) {
  const json record = {{"pid", ::getpid()},
                       {"host", host_name()},
                       {"started_unix_seconds", std::time(nullptr)},
                       {"token", token}};
  std::string text = record.dump(-1, ' ', true, json::error_handler_t::replace);
  text.resize(kRecordBytes - 1, ' ');
  return text + "\n";
}

void write_record(int descriptor,
                  const std::filesystem::path& path,
                  const std::string& text) {
  const auto repeated = [](const auto& call) {
    auto result = call();
    while (result < 0 && errno == EINTR) {
      result = call();
    }
    return result;
  };
  const ssize_t written = repeated(
      [&] { return ::pwrite(descriptor, text.data(), text.size(), 0); });
  if (written != static_cast<ssize_t>(text.size()) ||
      ::ftruncate(descriptor, kRecordBytes) != 0 ||
      repeated([&] { return ::fsync(descriptor); }) != 0) {
    throw_file_error("write", path,
                     written >= 0 && errno == 0 ? ENOSPC : errno);
  }
}

[[noreturn]] void refuse(int descriptor, const std::filesystem::path& folder) {
  const json record = read_record(descriptor);
  const auto shown = [&](const char* key) {
    return record.contains(key)
               ? record[key].dump(-1, ' ', true, json::error_handler_t::replace)
               : std::string("unknown");
  };
  throw CheckpointError(fmt::format(
      "[lease] {} is in use by process {} on host {}. Hint: wait for it, stop "
      "it, or use another folder",
      folder.string(), shown("pid"), shown("host")));
}

}  // namespace

Lease::Lease(const std::filesystem::path& folder) {
  real_file_system().make_folders(folder);
  const auto path = folder / kLeaseName;
  FileDescriptor file(
      ::open(path.c_str(),
             O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666));
  if (file.number() < 0) {
    throw_file_error("open", path, errno);
  }
  while (::flock(file.number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) {
      refuse(file.number(), folder);
    }
    if (errno != EINTR) {
      throw_file_error("lock", path, errno);
    }
  }
  const uint64_t token = next_token(file.number());
  errno = 0;
  write_record(file.number(), path, record_text(token));
  token_ = token;
  descriptor_ = file.release();
}

Lease::~Lease() {
  if (descriptor_ >= 0) {
    ::close(descriptor_);
  }
}

Lease::Lease(Lease&& other) noexcept
    : descriptor_(std::exchange(other.descriptor_, -1)), token_(other.token_) {}

Lease& Lease::operator=(Lease&& other) noexcept {
  std::swap(descriptor_, other.descriptor_);
  std::swap(token_, other.token_);
  return *this;
}

}  // namespace dblocks::checkpoint
