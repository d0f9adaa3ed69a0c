// SPDX-License-Identifier: Apache-2.0
#include "cli/bench_table.h"

#include <fmt/format.h>

#include <cmath>

#include "cli/output.h"

namespace dblocks::cli {
namespace {

using Json = nlohmann::ordered_json;
using Lines = std::vector<std::string>;

constexpr double kGiga = 1e9;

std::string giga(const Json& spread, const char* unit) {
  return fmt::format("{:>8.2f} {:<8} ({:.2f} to {:.2f}, {} runs)",
                     spread.at("median").get<double>() / kGiga, unit,
                     spread.at("min").get<double>() / kGiga,
                     spread.at("max").get<double>() / kGiga,
                     spread.at("runs").get<int64_t>());
}

void add_machine(const Json& machine, Lines& lines) {
  std::string features;
  for (const auto& [name, is_there] : machine.at("features").items()) {
    features += is_there.get<bool>() ? " " + name : "";
  }
  lines.push_back(fmt::format(
      "{}, {} cores, {} threads, {}{}", machine.at("cpu").get<std::string>(),
      machine.at("cores").get<int64_t>(), machine.at("threads").get<int64_t>(),
      format_bytes(machine.at("memory_bytes").get<int64_t>()),
      features.empty() ? "" : "," + features));
  if (!machine.at("gpu").is_null()) {
    lines.push_back("on " + machine.at("gpu").get<std::string>());
  }
}

void add_limits(const Json& limits, Lines& lines) {
  const auto add = [&](const std::string& what, const Json& spread,
                       const char* unit) {
    lines.push_back(fmt::format("{:<28} {}", what, giga(spread, unit)));
  };
  lines.push_back("\nlimits of this machine, medians");
  for (const auto& [precision, peak] : limits.at("matmul").items()) {
    const auto size = peak.at("size").get<int64_t>();
    add(fmt::format("matrix product {} {}^3", precision, size),
        peak.at("flops_per_second"), "GFLOP/s");
  }
  add("memory, read and written", limits.at("memory"), "GB/s");
  if (!limits.at("link").is_null()) {
    add("host to device, pinned", limits.at("link").at("to_device"), "GB/s");
    add("device to host, pinned", limits.at("link").at("to_host"), "GB/s");
  }
  add("disk, written", limits.at("disk").at("write"), "GB/s");
  add("disk, read", limits.at("disk").at("read"), "GB/s");
}

std::string milliseconds(const Json& seconds) {
  return seconds.is_null() ? "-"
                           : fmt::format("{:.1f}", seconds.get<double>() * 1e3);
}

void add_step(const Json& step, Lines& lines) {
  const Json& seconds = step.at("seconds");
  lines.push_back(fmt::format(
      "{:<13} {:<5} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9.1f} {:>9}",
      step.at("name").get<std::string>(),
      step.at("precision").get<std::string>(), step.at("batch").get<int64_t>(),
      milliseconds(seconds.at("median")),
      milliseconds(step.at("forward_seconds")),
      milliseconds(step.at("backward_seconds")),
      milliseconds(step.at("optimizer_seconds")),
      step.at("useful_flops_per_second").get<double>() / kGiga,
      format_percent(step.at("share_of_matmul").get<double>())));
}

std::string roofline_line(const Json& step) {
  const Json& roof = step.at("roofline");
  const auto ms = [&](const char* key) {
    return roof.at(key).get<double>() * 1e3;
  };
  const bool is_matmul = roof.at("bound") == "matmul";
  std::string line = fmt::format(
      "{} {}: bound by {}: products alone {:.1f} ms at the measured peak, {} "
      "of memory traffic {:.1f} ms; the step takes {:.1f} ms, {} of the bound",
      step.at("name").get<std::string>(),
      step.at("precision").get<std::string>(),
      is_matmul ? "matrix products" : "memory", ms("matmul_seconds"),
      format_bytes(static_cast<int64_t>(step.at("moved_bytes").get<double>())),
      ms("memory_seconds"), step.at("seconds").at("median").get<double>() * 1e3,
      format_percent(roof.at("share_of_bound").get<double>()));
  const std::string tier = roof.at("tier").get<std::string>();
  line += fmt::format(
      "; its state of {} takes {:.1f} ms in and out over the {}, hidden from "
      "{} steps a visit on{}",
      format_bytes(step.at("state_bytes").get<int64_t>()), ms("move_seconds"),
      tier, std::ceil(2 * roof.at("steps_to_hide").get<double>()),
      roof.at("bound_of_one_step_visits") == tier
          ? fmt::format(" (the bound of visits of one step is the {})", tier)
          : "");
  return line;
}

void add_peer(const Json& step, Lines& lines) {
  const Json& peer = step.at("peer");
  const std::string name = step.at("name").get<std::string>() + " " +
                           step.at("precision").get<std::string>();
  if (peer.is_null()) {
    return;
  }
  if (peer.contains("error")) {
    lines.push_back(fmt::format("{}: not measured: {}", name,
                                peer.at("error").get<std::string>()));
    return;
  }
  const double median = peer.at("seconds_median").get<double>();
  lines.push_back(fmt::format(
      "{}: {:.1f} ms ({:.1f} to {:.1f}), dblocks {:.2f} times as fast", name,
      median * 1e3, peer.at("seconds_min").get<double>() * 1e3,
      peer.at("seconds_max").get<double>() * 1e3,
      median / step.at("seconds").at("median").get<double>()));
}

}  // namespace

Lines bench_lines(const Json& report) {
  Lines lines;
  add_machine(report.at("machine"), lines);
  add_limits(report.at("limits"), lines);
  lines.push_back(
      fmt::format("\n{:<13} {:<5} {:>5} {:>9} {:>9} {:>9} {:>9} {:>9} {:>9}",
                  "step", "in", "batch", "ms", "forward", "backward",
                  "optimizer", "GFLOP/s", "of matmul"));
  for (const Json& step : report.at("steps")) {
    add_step(step, lines);
  }
  lines.emplace_back();
  for (const Json& step : report.at("steps")) {
    lines.push_back(roofline_line(step));
  }
  const bool has_peers = !report.at("steps").front().at("peer").is_null();
  if (has_peers) {
    lines.emplace_back("\nthe same steps in eager PyTorch");
  }
  for (const Json& step : report.at("steps")) {
    add_peer(step, lines);
  }
  if (report.at("quick").get<bool>()) {
    lines.emplace_back("\nquick: few runs of small batches; rough figures");
  }
  return lines;
}

}  // namespace dblocks::cli
