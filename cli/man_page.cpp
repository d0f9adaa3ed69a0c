// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include "cli/reference.h"

namespace dblocks::cli {
namespace {

// The version's date, not that of the build: the page is committed.
constexpr const char* kDate = "November 25, 2026";

constexpr const char* kBeforeVerbs =
    R"(trains deep residual networks one block at a time, so that a network whose
end-to-end training does not fit the machine trains anyway.
Every block learns alone to denoise the target inside its own range of noise;
only the block that trains is in memory.
.PP
A
.I RECIPE
is a TOML file; every key has a default and
.B dblocks config \-\-explain
lists them all.
A
.I RUN
is a folder with everything that a training left behind.
)";

constexpr const char* kAfterVerbs = R"(.SH EXIT STATUS
.TP
.B 0
Done.
.TP
.B 2
The recipe or the arguments are wrong.
.TP
.B 3
Data are missing or damaged.
.TP
.B 4
A run, a checkpoint or a tensor file is missing, damaged or in use.
.TP
.B 5
A device is missing, or memory or disk ran out.
.TP
.B 70
A mistake of dblocks; please report it.
.TP
.B 75
Stopped on request with a durable checkpoint; the same command goes on.
.SH ENVIRONMENT
.TP
.B DBLOCKS_DATA
Folder of data sets, looked in after the recipe's
.IR data.root .
.SH SIGNALS
SIGTERM, SIGINT and SIGUSR1 end a training with a durable checkpoint.
A second one ends it at once; the last checkpoint stays good.
.SH FILES
.TP
.I RUN/recipe.toml
The recipe as given.
.TP
.I RUN/resolved.toml
Every value and where it comes from.
.TP
.I RUN/blocks/B/checkpoints/step_N/
Weights, optimiser state and manifest of block B after N steps.
.TP
.I RUN/blocks/B/log.jsonl
Loss, accuracy, speed and memory of block B.
.SH EXAMPLES
Train, evaluate, check:
.PP
.nf
.RS
dblocks train recipes/debug_vit.toml \-\-out runs/debug
dblocks eval runs/debug
dblocks verify runs/debug
.RE
.fi
)";

/// Text as man(7) takes it: hyphens stay hyphens and no line is a request.
std::string escaped(const std::string& text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') {
      out += "\\e";
    } else if (c == '-') {
      out += "\\-";
    } else if (out.empty() && (c == '.' || c == '\'')) {
      out += fmt::format("\\&{}", c);
    } else {
      out += c == '\n' ? ' ' : c;
    }
  }
  return out;
}

std::string argument_name(const OptionEntry& argument) {
  const std::string name =
      fmt::format("\\fI{}\\fR{}", escaped(argument.names.front()),
                  argument.is_repeated ? " ..." : "");
  return argument.is_required ? name : "[" + name + "]";
}

std::string option_entry(const OptionEntry& option) {
  std::string names;
  for (const std::string& name : option.names) {
    names +=
        fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", escaped(name));
  }
  if (option.kind == ValueKind::kKeys) {
    names += " \\fIkey=value\\fR";
  } else if (option.kind == ValueKind::kNumber) {
    names += " \\fInumber\\fR";
  } else if (option.kind != ValueKind::kFlag) {
    names += " \\fIvalue\\fR";
  }
  std::string text = escaped(option.description);
  if (!option.default_text.empty()) {
    text += fmt::format(" (default: {})", escaped(option.default_text));
  }
  if (option.is_required) {
    text += " (required)";
  }
  return fmt::format(".TP\n{}\n{}.\n", names, text);
}

std::string verb_section(const VerbEntry& verb) {
  std::string usage = fmt::format("\\fBdblocks {}\\fR", escaped(verb.path));
  if (!verb.options.empty()) {
    usage += " [\\fIoptions\\fR]";
  }
  if (!verb.verbs.empty()) {
    usage += " \\fIverb\\fR";
  }
  for (const OptionEntry& argument : verb.arguments) {
    usage += " " + argument_name(argument);
  }
  std::string out =
      fmt::format(".SS dblocks {}\n{}.\n.PP\n{}\n", escaped(verb.path),
                  escaped(verb.description), usage);
  for (const OptionEntry& argument : verb.arguments) {
    out += fmt::format(".TP\n{}\n{}.\n", argument_name(argument),
                       escaped(argument.description));
  }
  for (const OptionEntry& option : verb.options) {
    out += option_entry(option);
  }
  return out;
}

}  // namespace

std::string man_page(const std::vector<VerbEntry>& verbs) {
  std::string out = fmt::format(
      ".\\\" Made by tools/update_docs; do not edit.\n"
      ".TH DBLOCKS 1 \"{}\" \"dblocks {}\"\n"
      ".SH NAME\ndblocks \\- train residual networks one block at a time\n"
      ".SH SYNOPSIS\n.B dblocks\n.I verb\n.RI [ options ]\n.I argument ...\n"
      ".SH DESCRIPTION\n.B dblocks\n{}.SH VERBS\n",
      kDate, DBLOCKS_VERSION, kBeforeVerbs);
  for (const VerbEntry& verb : verbs) {
    if (!verb.path.empty()) {
      out += verb_section(verb);
    }
  }
  return out + kAfterVerbs;
}

}  // namespace dblocks::cli
