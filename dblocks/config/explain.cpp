// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/explain.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "dblocks/config/field_list.h"
#include "dblocks/config/ranges.h"

namespace dblocks::config {

namespace {

constexpr std::string_view kIntroduction = R"(# Recipes

A recipe is a TOML file that describes one run; `dblocks train RECIPE --out RUN`
trains it. Every key has a default, so a recipe holds only what it changes.
This page lists every key; `dblocks config --explain` prints the same.

- An unknown key, a value of another type and a value out of range are errors
  that name the file, the line and, for a key, the nearest known one. An integer
  is taken where a number is asked for.
- `--set key=value` changes any key from the command line, for instance
  `--set blocks.num_blocks=2`, `--set method=end_to_end`,
  `--set blocks.layers_per_block=[3,6,3]`. The last one wins.
- A setting without effect in the chosen method is a warning.
- The run folder keeps the recipe as given (`recipe.toml`) and every value with
  its origin (`resolved.toml`): the default, a line of the recipe, `--set`,
  another flag, or `resolved:` with the reason. `dblocks config RECIPE` prints
  the latter without training.
- Counts of steps are optimiser steps of one block; a run takes
  `blocks.num_blocks` times as many. *sigma* is in units of the data's standard
  deviation. [glossary.md](glossary.md) has the words.
- A run is resumed, and blocks trained apart are merged, only if every key
  that changes the trained weights is the same. Not among those: `name`,
  `noise.preset` (the numbers behind it are), `data.root`,
  `data.test_samples`, `data.workers`, `data.prefetch`, `data.on_bad_sample`,
  `classification.bridge`, `classification.normalised_bridge_table`,
  `optim.ema_evaluate`, `train.log_every_steps` and the tables `readout`,
  `checkpoint` and `report`; nor, unless a part is `shared`, `train.schedule` and
  `train.steps_per_visit`.

<!-- tools/update_docs writes this page; edit the help texts beside the options
instead. -->
)";

/// What a field may hold: an enum's names or a number's range; else "".
std::string values_of(const Field& field) {
  if (const auto* choice = std::get_if<Choice>(&field.value)) {
    return fmt::format("{}", fmt::join(choice->names, ", "));
  }
  const Range* range = find_range(field.key);
  const std::string values = range == nullptr ? "" : describe(*range);
  return field.zero_word.empty()
             ? values
             : fmt::format("{}, \"{}\" = 0", values, field.zero_word);
}

/// Columns of the aligned text.
struct Widths {
  size_t key = 0;
  size_t value = 0;
};

Widths widths_of(const FieldList& list) {
  Widths widths;
  for (const Field& field : list.fields) {
    widths.key = std::max(widths.key, field.key.size());
    widths.value = std::max(widths.value, to_toml(field.value).size());
  }
  return widths;
}

std::string text_line(const Field& field, const Widths& widths) {
  std::string line =
      fmt::format("  {:<{}}  {:<{}}  {}", field.key, widths.key,
                  to_toml(field.value), widths.value, field.help);
  std::vector<std::string> notes;
  if (!field.unit.empty()) {
    notes.push_back(fmt::format("unit: {}", field.unit));
  }
  if (const std::string values = values_of(field); !values.empty()) {
    notes.push_back(fmt::format("values: {}", values));
  }
  if (!notes.empty()) {
    line += fmt::format(" [{}]", fmt::join(notes, "; "));
  }
  return line + "\n";
}

std::string text_lines(const FieldList& list, std::string_view table) {
  const Widths widths = widths_of(list);
  std::string out;
  for (const Field& field : list.fields) {
    if (field.table == table) {
      out += text_line(field, widths);
    }
  }
  return out;
}

std::string markdown_rows(const FieldList& list, std::string_view table) {
  std::string out =
      "| key | default | unit | values | meaning |\n"
      "| --- | --- | --- | --- | --- |\n";
  for (const Field& field : list.fields) {
    if (field.table == table) {
      out += fmt::format("| `{}` | `{}` | {} | {} | {} |\n",
                         last_part(field.key), to_toml(field.value), field.unit,
                         values_of(field), field.help);
    }
  }
  return out;
}

}  // namespace

std::string explain() {
  const FieldList list = list_fields(RunConfig{});
  std::string out = "Top of the recipe\n" + text_lines(list, "");
  for (const Table& table : list.tables) {
    out += fmt::format("\n[{}] {}\n{}", table.key, table.help,
                       text_lines(list, table.key));
  }
  return out;
}

std::string explain_markdown() {
  const FieldList list = list_fields(RunConfig{});
  std::string out = fmt::format("{}\n## Top of the recipe\n\n{}", kIntroduction,
                                markdown_rows(list, ""));
  for (const Table& table : list.tables) {
    out += fmt::format("\n## [{}]\n\n{}\n\n{}", table.key, table.help,
                       markdown_rows(list, table.key));
  }
  return out;
}

}  // namespace dblocks::config
