// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/field_list.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "dblocks/core/error.h"

namespace dblocks::config {

namespace {

/// Keeps track of the table that the visited fields belong to.
class PathVisitor : public FieldVisitor {
 public:
  void begin_table(std::string_view key, std::string_view help) override {
    path_.push_back(path_.empty() ? std::string(key)
                                  : fmt::format("{}.{}", path_.back(), key));
    on_table(path_.back(), help);
  }
  void end_table() override { path_.pop_back(); }

 protected:
  virtual void on_table(const std::string& key, std::string_view help) = 0;

  std::string table() const { return path_.empty() ? "" : path_.back(); }
  std::string full_key(std::string_view key) const {
    return path_.empty() ? std::string(key)
                         : fmt::format("{}.{}", path_.back(), key);
  }

 private:
  std::vector<std::string> path_;
};

class Lister : public PathVisitor {
 public:
  using PathVisitor::field;
  void field(const FieldInfo& info, bool& value) override { add(info, value); }
  void field(const FieldInfo& info, int64_t& value) override {
    add(info, value);
  }
  void field(const FieldInfo& info, double& value) override {
    add(info, value);
  }
  void field(const FieldInfo& info, std::string& value) override {
    add(info, value);
  }
  void field(const FieldInfo& info, std::vector<int64_t>& value) override {
    add(info, value);
  }
  void field(const FieldInfo& info, std::vector<double>& value) override {
    add(info, value);
  }
  void choice(const FieldInfo& info,
              std::span<const std::string_view> names,
              size_t& index) override {
    add(info, Choice{{names.begin(), names.end()}, index});
  }

  FieldList list;

 private:
  void on_table(const std::string& key, std::string_view help) override {
    list.tables.push_back({key, help});
  }
  void add(const FieldInfo& info, FieldValue value) {
    list.fields.push_back({full_key(info.key), table(), info.unit, info.help,
                           std::move(value), info.zero_word});
  }
};

class Writer : public PathVisitor {
 public:
  explicit Writer(const FieldList& list) : list_(list) {}

  using PathVisitor::field;
  void field(const FieldInfo& info, bool& value) override {
    value = next<bool>(info);
  }
  void field(const FieldInfo& info, int64_t& value) override {
    value = next<int64_t>(info);
  }
  void field(const FieldInfo& info, double& value) override {
    value = next<double>(info);
  }
  void field(const FieldInfo& info, std::string& value) override {
    value = next<std::string>(info);
  }
  void field(const FieldInfo& info, std::vector<int64_t>& value) override {
    value = next<std::vector<int64_t>>(info);
  }
  void field(const FieldInfo& info, std::vector<double>& value) override {
    value = next<std::vector<double>>(info);
  }
  void choice(const FieldInfo& info,
              std::span<const std::string_view> names,
              size_t& index) override {
    index = next<Choice>(info).index;
    DBLOCKS_ASSERT(index < names.size(), "choice of {}", full_key(info.key));
  }

 private:
  void on_table(const std::string&, std::string_view) override {}

  template <class T>
  const T& next(const FieldInfo& info) {
    const Field& field = list_.fields.at(next_++);
    DBLOCKS_ASSERT(field.key == full_key(info.key), "fields out of order");
    return std::get<T>(field.value);
  }

  const FieldList& list_;
  size_t next_ = 0;
};

std::string escaped(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte == 0x7F) {
      out += fmt::format("\\u{:04X}", byte);
    } else {
      out += c;
    }
  }
  return out + '"';
}

std::string number(double value) {
  std::string text = fmt::format("{}", value);
  // Without a point TOML would read an integer.
  if (std::isfinite(value) && text.find_first_of(".e") == std::string::npos) {
    text += ".0";
  }
  return text;
}

struct TomlWriter {
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(int64_t value) const { return fmt::to_string(value); }
  std::string operator()(double value) const { return number(value); }
  std::string operator()(const std::string& value) const {
    return escaped(value);
  }
  std::string operator()(const Choice& value) const {
    return escaped(value.name());
  }
  template <class T>
  std::string operator()(const std::vector<T>& values) const {
    std::string out = "[";
    for (const T& value : values) {
      out += (out.size() > 1 ? ", " : "") + (*this)(value);
    }
    return out + "]";
  }
};

}  // namespace

const Field* FieldList::find(std::string_view key) const {
  const auto found = std::ranges::find(fields, key, &Field::key);
  return found == fields.end() ? nullptr : &*found;
}

Field* FieldList::find(std::string_view key) {
  return const_cast<Field*>(std::as_const(*this).find(key));
}

bool FieldList::has_table(std::string_view key) const {
  return std::ranges::find(tables, key, &Table::key) != tables.end();
}

FieldList list_fields(const RunConfig& config) {
  Lister lister;
  RunConfig copy = config;
  visit_fields(lister, copy);
  return std::move(lister.list);
}

RunConfig config_of(const FieldList& list) {
  RunConfig config;
  Writer writer(list);
  visit_fields(writer, config);
  return config;
}

std::string to_toml(const FieldValue& value) {
  return std::visit(TomlWriter{}, value);
}

std::string_view type_name(const FieldValue& value) {
  static constexpr auto kNames = std::to_array<std::string_view>(
      {"true or false", "an integer", "a number", "a string",
       "a list of integers", "a list of numbers", "one of the choices"});
  return kNames.at(value.index());
}

}  // namespace dblocks::config
