// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

namespace dblocks::report::internal {

/// A page whose `script` builds its content from `data`. The page forbids
/// itself every request. Strings in `data` longer than 2,000 bytes are cut.
std::string page_shell(std::string_view title,
                       std::string_view script,
                       const nlohmann::ordered_json& data);

/// Text with the characters that mean something to HTML written as references.
std::string escaped_html(std::string_view text);

/// JSON that may stand inside a script element: <, > and & are escaped.
std::string escaped_json(const nlohmann::ordered_json& json);

/// Rounded to what a chart can show, so that it is short in JSON.
double rounded(double value);

// The files of pages/, made part of the library when it is built.
extern const std::string_view kPageStyle;
extern const std::string_view kChartsScript;
extern const std::string_view kDefinitionsScript;
extern const std::string_view kRunPageScript;
extern const std::string_view kComparePageScript;
extern const std::string_view kSweepPageScript;

}  // namespace dblocks::report::internal
