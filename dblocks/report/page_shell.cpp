// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/page_shell.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>
#include <nlohmann/json.hpp>

namespace dblocks::report::internal {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kShell = R"(<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>
{style}</style>
</head>
<body>
<noscript>This page draws its charts with a script that it holds itself; allow scripts to see them.</noscript>
<main id="page"></main>
<script type="application/json" id="data">{data}</script>
<script>
"use strict";
{definitions}
{charts}
{script}</script>
</body>
</html>
)";

/// Cuts overlong text; images are the exception and checked where they are
/// read.
void cut_strings(Json& json, const std::string& key = "") {
  constexpr size_t kMaxBytes = 2000;
  if (json.is_string() && key != "png") {
    auto& text = json.get_ref<std::string&>();
    if (text.size() > kMaxBytes) {
      text.resize(kMaxBytes);
      text += " ...";
    }
  } else if (json.is_object()) {
    for (auto& [name, value] : json.items()) {
      cut_strings(value, name);
    }
  } else if (json.is_array()) {
    for (Json& value : json) {
      cut_strings(value);
    }
  }
}

}  // namespace

std::string escaped_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string escaped_json(const Json& json) {
  std::string out;
  // <, > and & occur in strings only, where an escape means the same.
  for (const char c :
       json.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    switch (c) {
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  }
  return out;
}

double rounded(double value) {
  return std::isfinite(value)
             ? std::strtod(fmt::format("{:.5g}", value).c_str(), nullptr)
             : value;
}

std::string page_shell(std::string_view title,
                       std::string_view script,
                       const Json& data) {
  using fmt::arg;
  Json shown = data;
  cut_strings(shown);
  return fmt::format(fmt::runtime(kShell),
                     arg("title", escaped_html(title.substr(0, 200))),
                     arg("style", kPageStyle), arg("data", escaped_json(shown)),
                     arg("definitions", kDefinitionsScript),
                     arg("charts", kChartsScript), arg("script", script));
}

}  // namespace dblocks::report::internal
