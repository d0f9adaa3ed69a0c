// SPDX-License-Identifier: Apache-2.0
#include "dblocks/config/toml_reader.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "dblocks/core/error.h"

namespace dblocks::config::internal {
/// toml++ has met text that it had taken for impossible.
struct BrokenAssumption {};

/// Bytes where a letter in UTF-8 ought to stand.
class NotUtf8 : public ConfigError {
 public:
  using ConfigError::ConfigError;
};

[[noreturn]] static void fail_assumption() {
  throw BrokenAssumption();
}
}  // namespace dblocks::config::internal

// Lists and inline tables are parsed by recursion; recipes nest one deep.
#define TOML_MAX_NESTED_VALUES 16
// toml++ assumes of some text what it has not checked: "x = [}" breaks it.
// Without NDEBUG each assumption is a test, with it a promise to the compiler,
// and a recipe must not be able to break one of those.
#define TOML_ASSERT(condition)  \
  (static_cast<bool>(condition) \
       ? static_cast<void>(0)   \
       : dblocks::config::internal::fail_assumption())
#undef NDEBUG
#include <toml++/toml.h>

namespace dblocks::config {

namespace {

/// Dots that one dotted key may hold. Each makes a nested table, which is
/// destroyed by recursion, and the parser itself knows no limit.
constexpr int kMaxDots = 8;
constexpr size_t kMaxShownBytes = 60;

/// Walks over the text once and refuses what the parser would accept but the
/// stack would not, and what toml++ assumes more of than it has checked: a line
/// that starts with a bracket but no name. Strings over several lines are
/// refused so that a string always ends on its line and this walk agrees with
/// the parser. toml++ 3.3 takes some letters beyond ASCII for impossible
/// wherever it looks for white space, so it never meets one: they become
/// escapes in strings, go from comments, and are refused elsewhere. For that,
/// strings in single quotes become ones in double quotes.
class Preparation {
 public:
  Preparation(std::string_view text, std::string_view source)
      : text_(text), source_(source) {}

  /// The text in ASCII, with its lines where they were.
  std::string run() {
    if (text_.starts_with("\xEF\xBB\xBF")) {  // a byte order mark
      at_ = 3;
    }
    check_line_start();
    while (at_ < text_.size()) {
      step(text_[at_]);
      ++at_;
    }
    return std::move(ascii_);
  }

 private:
  static bool is_blank(char c) { return c == ' ' || c == '\t'; }

  static bool is_ascii(char c) { return static_cast<unsigned char>(c) < 0x80; }

  static bool starts_key(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' ||
           c == '-' || c == '"' || c == '\'';
  }

  /// The first place from `at` on that is no blank.
  size_t skip_blanks(size_t at) const {
    while (at < text_.size() && is_blank(text_[at])) {
      ++at;
    }
    return at;
  }

  /// Holds a line that starts with "[" or "[[" to a name after it.
  void check_line_start() const {
    size_t at = skip_blanks(at_);
    if (at >= text_.size() || text_[at] != '[') {
      return;
    }
    if (at + 1 < text_.size() && text_[at + 1] == '[') {
      ++at;
    }
    at = skip_blanks(at + 1);
    if (at >= text_.size() || !starts_key(text_[at])) {
      fail("valid TOML, found a bracket without a name after it");
    }
  }

  void step(char c) {
    if (c == '\0') {
      fail("text, found a NUL byte");
    }
    if (!is_ascii(c)) {
      fail("letters beyond ASCII in strings and comments only, found others");
    }
    ascii_ += c;
    if (c == '\n') {
      ++line_;
      dots_ = 0;
      ++at_;
      check_line_start();
      --at_;
    } else if (c == '#') {
      keep_comment();
    } else if (c == '"' || c == '\'') {
      keep_string(c);
    } else if (c == '.') {
      if (++dots_ > kMaxDots) {
        fail(fmt::format("keys of at most {} parts, found a longer one",
                         kMaxDots + 1));
      }
    } else if (c == ',' || c == '=' || c == '[' || c == '{') {
      dots_ = 0;
    }
  }

  // Both leave `at_` on the last character that they keep.
  void keep_comment() {
    while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') {
      ++at_;
      if (is_ascii(text_[at_])) {
        ascii_ += text_[at_];
      } else {
        read_letter();
      }
    }
  }
  void keep_string(char quote) {
    if (text_.substr(at_, 3) == std::string(3, quote)) {
      fail("strings of one line, found one of several lines");
    }
    ascii_.back() = '"';
    while (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') {
      const char c = text_[++at_];
      if (!is_ascii(c)) {
        ascii_ += fmt::format("\\U{:08X}", read_letter());
      } else if (c == quote) {
        ascii_ += '"';
        return;
      } else if (quote == '\'' && (c == '"' || c == '\\')) {
        ascii_ += {'\\', c};
      } else if (c == '\\') {
        keep_escape();
      } else {
        ascii_ += c;
      }
    }
  }

  void keep_escape() {
    ascii_ += '\\';
    if (at_ + 1 < text_.size() && text_[at_ + 1] != '\n') {
      const char c = text_[++at_];
      if (!is_ascii(c)) {
        fail("an escape, found a backslash before a letter beyond ASCII");
      }
      ascii_ += c;
    }
  }

  /// Reads the letter at `at_`, written in several bytes; goes to its last.
  uint32_t read_letter() {
    const auto byte = [&](size_t at) {
      return at < text_.size() ? static_cast<unsigned char>(text_[at]) : 0U;
    };
    const unsigned lead = byte(at_);
    const size_t more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
    uint32_t letter = lead & (0x3FU >> more);
    bool valid = lead >= 0xC2 && lead <= 0xF4;
    for (size_t i = 1; i <= more; ++i) {
      valid = valid && (byte(at_ + i) & 0xC0U) == 0x80U;
      letter = (letter << 6U) | (byte(at_ + i) & 0x3FU);
    }
    const bool is_surrogate = letter >= 0xD800 && letter <= 0xDFFF;
    constexpr std::array<uint32_t, 4> kFirstOfLength = {0, 0x80, 0x800,
                                                        0x10000};
    if (!valid || is_surrogate || letter < kFirstOfLength.at(more) ||
        letter > 0x10FFFF) {
      fail<internal::NotUtf8>("UTF-8, found bytes that are none");
    }
    at_ += more;
    return letter;
  }

  template <class Error = ConfigError>
  [[noreturn]] void fail(std::string_view expected) const {
    throw Error(
        fmt::format("[config] expected {} ({}:{})", expected, source_, line_));
  }

  std::string_view text_;
  std::string_view source_;
  std::string ascii_;
  size_t at_ = 0;
  int64_t line_ = 1;
  int dots_ = 0;
};

toml::table parse(std::string_view text, std::string_view source) {
  DBLOCKS_CHECK(text.size() <= kMaxRecipeBytes, ConfigError,
                "[config] expected a recipe of at most {} bytes, found {} ({})",
                kMaxRecipeBytes, text.size(), source);
  return toml::parse(Preparation(text, source).run());
}

template <class T>
FieldValue list_of(const toml::array& array) {
  std::vector<T> values;
  for (const toml::node& node : array) {
    values.push_back(*node.value<T>());
  }
  return values;
}

/// The value of a node; nothing for types that recipes do not use.
std::optional<FieldValue> value_of(const toml::node& node) {
  if (const auto* flag = node.as_boolean()) {
    return flag->get();
  }
  if (const auto* integer = node.as_integer()) {
    return integer->get();
  }
  if (const auto* number = node.as_floating_point()) {
    return number->get();
  }
  if (const auto* text = node.as_string()) {
    return text->get();
  }
  if (const auto* array = node.as_array()) {
    const auto is_integer = [](const toml::node& n) { return n.is_integer(); };
    const auto is_number = [](const toml::node& n) { return n.is_number(); };
    if (std::all_of(array->begin(), array->end(), is_integer)) {
      return list_of<int64_t>(*array);
    }
    if (std::all_of(array->begin(), array->end(), is_number)) {
      return list_of<double>(*array);
    }
  }
  return std::nullopt;
}

std::string found_in(const toml::node& node,
                     const std::optional<FieldValue>& value) {
  if (node.is_table()) {
    return "a table";
  }
  if (!value) {
    return node.is_array() ? "a list that holds other than numbers"
                           : "a date or time";
  }
  if (const auto* text = std::get_if<std::string>(&*value)) {
    return fmt::format("a string {}", shown(*text));
  }
  if (std::holds_alternative<bool>(*value)) {
    return to_toml(*value);
  }
  if (node.is_array()) {
    return std::string(type_name(*value));
  }
  return fmt::format("{} {}", type_name(*value), to_toml(*value));
}

TomlEntry entry_of(std::string key, const toml::node& node) {
  TomlEntry entry;
  entry.key = std::move(key);
  entry.line = node.source().begin.line;
  entry.is_table = node.is_table();
  entry.value = value_of(node);
  entry.found = found_in(node, entry.value);
  return entry;
}

/// A part of a dotted key; quoted where it could pass for several.
std::string key_part(std::string_view part) {
  const bool bare =
      !part.empty() && std::ranges::all_of(part, [](unsigned char c) {
        return std::isalnum(c) || c == '_' || c == '-';
      });
  return bare && part.size() <= kMaxShownBytes ? std::string(part)
                                               : shown(part);
}

void collect(const toml::table& table,
             const std::string& prefix,
             std::vector<TomlEntry>& entries) {
  for (const auto& [key, node] : table) {
    const std::string full = prefix + key_part(key.str());
    entries.push_back(entry_of(full, node));
    // A table made by a dotted key has no line of its own.
    entries.back().line = key.source().begin.line;
    if (const auto* child = node.as_table()) {
      collect(*child, full + ".", entries);
    }
  }
}

}  // namespace

std::vector<TomlEntry> read_toml(std::string_view text,
                                 std::string_view source) {
  std::vector<TomlEntry> entries;
  try {
    collect(parse(text, source), "", entries);
  } catch (const toml::parse_error& error) {
    throw ConfigError(
        fmt::format("[config] expected valid TOML, found: {} "
                    "({}:{}, column {})",
                    error.description(), source, error.source().begin.line,
                    error.source().begin.column));
  } catch (const internal::BrokenAssumption&) {
    throw ConfigError(
        fmt::format("[config] expected valid TOML, found a bracket, key or "
                    "value out of place ({})",
                    source));
  }
  std::ranges::stable_sort(entries, {}, &TomlEntry::line);
  return entries;
}

std::optional<TomlEntry> read_toml_value(std::string_view text) {
  try {
    const toml::table table = parse(fmt::format("value = {}", text), "--set");
    // More than one key means that `text` was more than a value.
    if (table.size() == 1) {
      return entry_of("value", *table.get("value"));
    }
  } catch (const toml::parse_error&) {
    // Not TOML; the caller may take it for a bare word.
  } catch (const internal::BrokenAssumption&) {
    // The same.
  } catch (const internal::NotUtf8&) {
    // The same.
  }
  return std::nullopt;
}

std::string shown(std::string_view text) {
  if (text.size() <= kMaxShownBytes) {
    return to_toml(std::string(text));
  }
  return fmt::format("{}...",
                     to_toml(std::string(text.substr(0, kMaxShownBytes))));
}

}  // namespace dblocks::config
