// SPDX-License-Identifier: Apache-2.0
// What moving blocks between memory and disk costs, beside what the machine
// itself can do, measured in the same process:
//
//   link     one state of a unit copied within memory, written to and read from
//            a file in sequence, and written to one file while another is read
//            (no hashes, past the page cache)
//   pager    the same through memory::Pager with one arena: nothing but paging
//   exposed  AdamW steps over the state of each unit in turn, with all states
//   in
//            memory and with two arenas, k steps a visit; k = 2 k_hide
//
// Prints one JSON object.
#include <fcntl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <functional>
#include <future>
#include <memory>
#include <nlohmann/json.hpp>
#include <numeric>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

#include "dblocks/memory/pager.h"
#include "dblocks/optim/adamw.h"

namespace {

using namespace dblocks;
using Clock = std::chrono::steady_clock;
using Json = nlohmann::ordered_json;
using memory::PageFile;
using memory::Pager;

struct Arguments {
  std::string folder = ".";
  size_t state_mib = 512;
  int64_t units = 4, sweeps = 3;
};

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

class Memory {
 public:
  explicit Memory(size_t size)
      : data_(static_cast<std::byte*>(
            std::aligned_alloc(PageFile::kAlignment, size))),
        size_(size) {
    std::memset(data_.get(), 1, size);
  }
  std::span<std::byte> bytes() const { return {data_.get(), size_}; }

 private:
  struct Free {
    void operator()(std::byte* data) const { std::free(data); }
  };
  std::unique_ptr<std::byte, Free> data_;
  size_t size_;
};

Json rates(std::vector<double> seconds, size_t bytes) {
  std::sort(seconds.begin(), seconds.end());
  const auto rate = [&](double s) {
    return static_cast<double>(bytes) / s / 1e9;
  };
  return {{"median_gb_per_second", rate(seconds[seconds.size() / 2])},
          {"min_gb_per_second", rate(seconds.back())},
          {"max_gb_per_second", rate(seconds.front())}};
}

/// One sequential pass over a file, 8 MiB at a time.
double raw_pass(const std::filesystem::path& path,
                std::span<std::byte> bytes,
                bool writes) {
  const auto start = Clock::now();
  const int file = ::open(
      path.c_str(), (writes ? O_WRONLY | O_CREAT : O_RDONLY) | O_DIRECT, 0666);
  if (file < 0) {
    throw std::runtime_error("cannot open a file past the page cache");
  }
  for (size_t done = 0; done < bytes.size();) {
    const size_t size = std::min(bytes.size() - done, PageFile::kPageBytes);
    const ssize_t count = writes ? ::write(file, bytes.data() + done, size)
                                 : ::read(file, bytes.data() + done, size);
    if (count <= 0) {
      throw std::runtime_error("cannot write or read the file");
    }
    done += static_cast<size_t>(count);
  }
  ::close(file);
  return seconds_since(start);
}

/// The next step of a unit: AdamW over its whole state.
void take_step(std::span<std::byte> state, std::span<float> gradient) {
  const size_t count = gradient.size();
  auto* floats = reinterpret_cast<float*>(state.data());
  optim::adamw_update({.learning_rate = 1e-3, .step = 1},
                      {.weights = {floats, count},
                       .gradient = gradient,
                       .first_moment = {floats + count, count},
                       .second_moment = {floats + 2 * count, count},
                       .decayed_count = static_cast<int64_t>(count)});
}

struct Visits {
  double seconds = 0;       ///< per step, moving included
  double wait_seconds = 0;  ///< per step, waited for states
  double in_seconds = 0;    ///< per state
  double out_seconds = 0;
  double hidden_share = 0;
};

double ratio(double sum, int64_t count) {
  return count > 0 ? sum / static_cast<double>(count) : 0;
}

/// Sweeps over all units with `steps` steps a visit; two more before them,
/// which fill the states and make the files, do not count.
Visits visit_all(const Arguments& arguments,
                 size_t num_arenas,
                 int64_t steps,
                 const std::function<void()>& before_visit = {}) {
  const size_t size = arguments.state_mib << 20;
  std::vector<Memory> arenas;
  memory::PagerOptions options;
  for (size_t i = 0; i < num_arenas; ++i) {
    options.arenas.push_back(arenas.emplace_back(size).bytes());
  }
  for (int64_t unit = 0; unit < arguments.units; ++unit) {
    options.files.push_back(std::filesystem::path(arguments.folder) /
                            ("page_" + std::to_string(unit)));
    options.state_bytes.push_back(size);
  }
  const std::vector<std::filesystem::path> files = options.files;
  std::vector<float> gradient(size / sizeof(float) / 3, 0.01F);
  Visits result;
  {
    Pager pager(std::move(options));
    const Pager::Fill fill = [](std::span<std::byte> bytes) {
      std::memset(bytes.data(), 0, bytes.size());
    };
    Clock::time_point start;
    memory::PagerStats before;
    for (int64_t visit = 0; visit < (arguments.sweeps + 2) * arguments.units;
         ++visit) {
      if (visit == 2 * arguments.units) {
        start = Clock::now();
        before = pager.stats();
      }
      if (before_visit) {
        before_visit();
      }
      const int64_t unit = visit % arguments.units;
      const auto state = arenas[pager.enter(unit, fill)].bytes();
      if (num_arenas > 1) {
        pager.prefetch((unit + 1) % arguments.units, fill);
      }
      for (int64_t i = 0; i < steps; ++i) {
        take_step(state, gradient);
      }
      pager.leave(unit, Pager::Use::kChanged);
    }
    const auto count = static_cast<double>(arguments.sweeps * arguments.units *
                                           std::max<int64_t>(steps, 1));
    result.seconds = seconds_since(start) / count;
    const double waited = pager.stats().wait_seconds - before.wait_seconds;
    result.wait_seconds = waited / count;
    pager.drain();
    const memory::PagerStats after = pager.stats();
    result.in_seconds = ratio(after.seconds_in - before.seconds_in,
                              after.num_in - before.num_in);
    result.out_seconds = ratio(after.seconds_out - before.seconds_out,
                               after.num_out - before.num_out);
    const double busy = after.busy_seconds - before.busy_seconds;
    result.hidden_share = busy > 0 ? std::max(0.0, 1 - waited / busy) : 1;
  }
  for (const auto& file : files) {
    std::filesystem::remove(file);
  }
  return result;
}

Json measure(const Arguments& arguments) {
  const size_t size = arguments.state_mib << 20;
  const auto path = std::filesystem::path(arguments.folder) / "link";
  const auto other = std::filesystem::path(arguments.folder) / "link_2";
  std::vector<double> copied, written, read, both;
  const Memory from(size), to(size);
  // In turn with the pager's own transfers, for other work on the machine to
  // slow both alike.
  const auto measure_link = [&] {
    const auto start = Clock::now();
    std::memcpy(to.bytes().data(), from.bytes().data(), size);
    copied.push_back(seconds_since(start));
    written.push_back(raw_pass(path, from.bytes(), true));
    read.push_back(raw_pass(path, to.bytes(), false));
    const auto start_both = Clock::now();
    auto writing = std::async(
        std::launch::async, [&] { return raw_pass(path, from.bytes(), true); });
    raw_pass(other, to.bytes(), false);
    writing.get();
    both.push_back(seconds_since(start_both));
  };
  // Makes the files.
  raw_pass(path, from.bytes(), true);
  raw_pass(other, from.bytes(), true);
  const Visits only = visit_all(arguments, 1, 0, measure_link);
  std::filesystem::remove(path);
  std::filesystem::remove(other);
  Json json{{"state_bytes", size},
            {"units", arguments.units},
            {"memory_copy", rates(copied, size)},
            {"disk_write", rates(written, size)},
            {"disk_read", rates(read, size)},
            {"disk_both_ways", rates(both, 2 * size)}};
  const auto mean = [](const std::vector<double>& values) {
    return std::accumulate(values.begin(), values.end(), 0.0) /
           static_cast<double>(values.size());
  };
  const double out = only.out_seconds, in = only.in_seconds;
  json["pager"] = {
      {"seconds_per_swap", in + out},
      {"gb_per_second", 2 * static_cast<double>(size) / (in + out) / 1e9},
      {"share_of_disk_one_way_at_a_time",
       (mean(written) + mean(read)) / (in + out)},
      {"share_of_disk_both_ways", mean(both) / (in + out)}};

  const auto all = static_cast<size_t>(arguments.units);
  const double step = visit_all(arguments, all, 4).seconds;
  const auto steps = static_cast<int64_t>(std::ceil(2 * (in + out) / step));
  const Visits resident = visit_all(arguments, all, steps);
  const Visits paged = visit_all(arguments, 2, steps);
  json["exposed"] = {{"k_hide", (in + out) / step},
                     {"steps_per_visit", steps},
                     {"step_seconds_all_in_memory", resident.seconds},
                     {"step_seconds_paged", paged.seconds},
                     {"waited_share", paged.wait_seconds / paged.seconds},
                     {"slower_share", paged.seconds / resident.seconds - 1},
                     {"hidden_share", paged.hidden_share}};
  return json;
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Measures the moving of blocks between memory and disk");
  app.add_option("--folder", arguments.folder, "On the disk to measure");
  app.add_option("--state-mib", arguments.state_mib)
      ->check(CLI::Range(8, 65536));
  app.add_option("--units", arguments.units)->check(CLI::Range(3, 64));
  app.add_option("--sweeps", arguments.sweeps)->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  std::printf("%s\n", measure(arguments).dump(2).c_str());
  return 0;
}
