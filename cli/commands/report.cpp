// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cli/command.h"
#include "cli/output.h"
#include "cli/run_record.h"
#include "dblocks/core/log.h"

namespace dblocks::cli {
namespace {

ExitCode report_run(const std::string& run, const std::string& out) {
  const RunRecord record = read_run(run);
  for (const std::string& problem : record.page.problems) {
    log().warn("{}", problem);
  }
  const std::filesystem::path file =
      out.empty() ? std::filesystem::path(run) / kReportName
                  : std::filesystem::path(out);
  replace_file(file, report::run_page_html(record.page));
  print_line(fmt::format("report: {}", file.string()));
  return ExitCode::kDone;
}

}  // namespace

void add_report(CLI::App& app, CommonFlags& flags, Action& action) {
  struct Arguments {
    std::string run;
    std::string out;
  };
  auto arguments = std::make_shared<Arguments>();
  CLI::App* verb =
      app.add_subcommand("report", "Write a page that shows a run");
  verb->add_option("run", arguments->run, "Folder of the run")->required();
  verb->add_option("--out", arguments->out,
                   "File to write instead of report.html in the run");
  add_verbose_flag(*verb, flags);
  verb->callback([arguments, &action] {
    action = [arguments] { return report_run(arguments->run, arguments->out); };
  });
}

}  // namespace dblocks::cli
