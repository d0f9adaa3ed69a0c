// SPDX-License-Identifier: Apache-2.0
#include "dblocks/data/download.h"

#include <curl/curl.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <memory>
#include <string_view>

#include "dblocks/core/error.h"
#include "dblocks/core/file_descriptor.h"
#include "dblocks/data/digest.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;
using dblocks::internal::FileDescriptor;

// Tries in a row that may bring nothing new.
constexpr int kMaxVainTries = 3;
constexpr long kConnectSeconds = 30;
constexpr long kSilentSeconds = 60;
constexpr long kRangeNotSatisfiable = 416;
constexpr long kPartialContent = 206;

std::string lower(std::string_view text) {
  std::string out(text);
  std::ranges::transform(out, out.begin(), [](unsigned char c) {
    return static_cast<char>(std::tolower(c));
  });
  return out;
}

uint64_t size_of(const fs::path& path) {
  std::error_code error;
  const auto size = fs::file_size(path, error);
  return error ? 0 : size;
}

void remove_file(const fs::path& path) {
  std::error_code ignored;
  fs::remove(path, ignored);
}

class Transfer {
 public:
  explicit Transfer(const Download& request)
      : request_(request),
        part_(request.target.string() + ".part"),
        tag_(request.target.string() + ".part.tag") {}

  void run() {
    int vain = 0;
    while (true) {
      const uint64_t before = size_of(part_);
      if (request_.max_bytes > 0 && before > request_.max_bytes) {
        forget();
        continue;
      }
      if (request_.max_bytes > 0 && before == request_.max_bytes) {
        is_resumed_ = true;
        return;
      }
      if (attempt()) {
        return;
      }
      vain = size_of(part_) > before ? 0 : vain + 1;
      DBLOCKS_CHECK(vain < kMaxVainTries, DataError,
                    "[download] cannot get {}: {}. Hint: start again to go on "
                    "from byte {}, or use --from",
                    request_.url, message_.data(), size_of(part_));
    }
  }

  const fs::path& part() const { return part_; }
  /// Whether the file was put together from several answers.
  bool is_resumed() const { return is_resumed_; }
  void forget() const {
    remove_file(part_);
    remove_file(tag_);
  }

 private:
  // One request; returns whether the file is complete.
  bool attempt() {
    start_ = size_of(part_);
    have_ = start_;
    is_first_byte_ = true;
    is_too_long_ = false;
    new_tag_.clear();
    message_[0] = '\0';
    const std::unique_ptr<CURL, void (*)(CURL*)> curl(curl_easy_init(),
                                                      &curl_easy_cleanup);
    DBLOCKS_CHECK(curl != nullptr, DeviceError, "[download] no memory");
    curl_ = curl.get();
    const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(
        set_range(), &curl_slist_free_all);
    set_options(headers.get());
    const CURLcode code = curl_easy_perform(curl_);
    file_.reset();
    long status = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
    DBLOCKS_CHECK(!is_too_long_, DataError,
                  "[download] expected at most {} bytes, found more: {}",
                  request_.max_bytes, request_.url);
    if (code == CURLE_HTTP_RETURNED_ERROR && status == kRangeNotSatisfiable) {
      forget();  // what we have is longer than the file, or the file itself
      return false;
    }
    DBLOCKS_CHECK(code != CURLE_HTTP_RETURNED_ERROR || status >= 500, DataError,
                  "[download] expected the file, found status {}: {}", status,
                  request_.url);
    if (code != CURLE_OK && message_[0] == '\0') {
      std::strncpy(message_.data(), curl_easy_strerror(code),
                   message_.size() - 1);
    }
    return code == CURLE_OK;
  }

  curl_slist* set_range() {
    if (start_ == 0) {
      return nullptr;
    }
    is_resumed_ = true;
    // Not CURLOPT_RESUME_FROM: it fails where a server sends the whole file.
    curl_easy_setopt(curl_, CURLOPT_RANGE, fmt::format("{}-", start_).c_str());
    std::ifstream in(tag_);
    std::string tag;
    if (!std::getline(in, tag) || tag.empty()) {
      return nullptr;
    }
    return curl_slist_append(nullptr, ("If-Range: " + tag).c_str());
  }

  void set_options(curl_slist* headers) {
    curl_easy_setopt(curl_, CURLOPT_URL, request_.url.c_str());
    curl_easy_setopt(curl_, CURLOPT_PROTOCOLS_STR, "http,https,file");
    curl_easy_setopt(curl_, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl_, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl_, CURLOPT_MAXREDIRS, 5L);
    curl_easy_setopt(curl_, CURLOPT_FAILONERROR, 1L);
    curl_easy_setopt(curl_, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl_, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
    curl_easy_setopt(curl_, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl_, CURLOPT_LOW_SPEED_TIME, kSilentSeconds);
    curl_easy_setopt(curl_, CURLOPT_USERAGENT, "dblocks");
    curl_easy_setopt(curl_, CURLOPT_ERRORBUFFER, message_.data());
    curl_easy_setopt(curl_, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl_, CURLOPT_HEADERDATA, this);
    curl_easy_setopt(curl_, CURLOPT_HEADERFUNCTION, &Transfer::on_header);
    curl_easy_setopt(curl_, CURLOPT_WRITEDATA, this);
    curl_easy_setopt(curl_, CURLOPT_WRITEFUNCTION, &Transfer::on_data);
  }

  // An ETag that is not weak, else the date, tells whether the file changed.
  static size_t on_header(char* text, size_t, size_t size, void* self) {
    auto* transfer = static_cast<Transfer*>(self);
    const std::string_view line(text, size);
    const size_t colon = line.find(':');
    if (colon == std::string_view::npos) {
      return size;
    }
    const std::string name = lower(line.substr(0, colon));
    const bool is_etag = name == "etag";
    if (is_etag || (name == "last-modified" && transfer->new_tag_.empty())) {
      std::string_view value = line.substr(colon + 1);
      const size_t first = value.find_first_not_of(" \t");
      const size_t last = value.find_last_not_of(" \t\r\n");
      if (first != std::string_view::npos) {
        value = value.substr(first, last - first + 1);
        if (!is_etag || !value.starts_with("W/")) {
          transfer->new_tag_ = value;
        }
      }
    }
    return size;
  }

  static size_t on_data(char* bytes, size_t, size_t size, void* self) {
    return static_cast<Transfer*>(self)->take(bytes, size) ? size : 0;
  }

  bool take(const char* bytes, size_t size) {
    if (is_first_byte_ && !open_part()) {
      return false;
    }
    if (request_.max_bytes > 0 && size > request_.max_bytes - have_) {
      is_too_long_ = true;
      return false;
    }
    while (size > 0) {
      const ssize_t count = ::write(file_->number(), bytes, size);
      if (count < 0) {
        if (errno == EINTR) {
          continue;
        }
        fail(errno);
        return false;
      }
      bytes += count;
      size -= static_cast<size_t>(count);
      have_ += static_cast<uint64_t>(count);
    }
    if (request_.progress) {
      request_.progress(have_);
    }
    return true;
  }

  // A server that does not resume sends the whole file: start it again.
  bool open_part() {
    is_first_byte_ = false;
    long status = 0;
    curl_easy_getinfo(curl_, CURLINFO_RESPONSE_CODE, &status);
    const bool goes_on = start_ > 0 && (status == kPartialContent ||
                                        request_.url.starts_with("file:"));
    file_ = std::make_unique<FileDescriptor>(::open(
        part_.c_str(),
        O_WRONLY | O_CREAT | O_CLOEXEC | (goes_on ? O_APPEND : O_TRUNC), 0644));
    if (file_->number() < 0) {
      fail(errno);
      return false;
    }
    if (!goes_on) {
      have_ = 0;
      is_resumed_ = false;
      std::ofstream(tag_) << new_tag_ << '\n';
    }
    return true;
  }

  void fail(int error) {
    std::strncpy(message_.data(), std::strerror(error), message_.size() - 1);
  }

  const Download& request_;
  fs::path part_;
  fs::path tag_;
  CURL* curl_ = nullptr;
  std::unique_ptr<FileDescriptor> file_;
  std::array<char, CURL_ERROR_SIZE> message_{};
  std::string new_tag_;
  uint64_t start_ = 0;
  uint64_t have_ = 0;
  bool is_first_byte_ = true;
  bool is_too_long_ = false;
  bool is_resumed_ = false;
};

void sync_file(const fs::path& path) {
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  DBLOCKS_CHECK(file.number() >= 0 && ::fsync(file.number()) == 0, DeviceError,
                "[download] cannot write {}: {}", path.string(),
                std::strerror(errno));
}

}  // namespace

void download(const Download& request) {
  static const CURLcode started = curl_global_init(CURL_GLOBAL_DEFAULT);
  DBLOCKS_CHECK(started == CURLE_OK, DeviceError,
                "[download] libcurl does not start");
  while (true) {
    Transfer transfer(request);
    transfer.run();
    const std::string found = sha256_of_file(transfer.part());
    if (found == request.sha256) {
      sync_file(transfer.part());
      fs::rename(transfer.part(), request.target);
      transfer.forget();
      return;
    }
    const bool was_resumed = transfer.is_resumed();
    transfer.forget();
    // Pieces of two files do not fit; one whole file that is wrong stays wrong.
    DBLOCKS_CHECK(was_resumed, DataError,
                  "[download] expected SHA-256 {}, found {}: {}. Hint: the "
                  "file is damaged or another version",
                  request.sha256, found, request.url);
  }
}

}  // namespace dblocks::data
