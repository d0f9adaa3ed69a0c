// SPDX-License-Identifier: Apache-2.0
// Recipes that mean harm end in one ConfigError, never in a crash.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "dblocks/config/recipe.h"
#include "dblocks/config/toml_reader.h"
#include "tests/config/testing.h"

namespace dblocks::config {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::SizeIs;

std::string repeated(std::string_view piece, int times) {
  std::string text;
  for (int i = 0; i < times; ++i) {
    text += piece;
  }
  return text;
}

std::string error_of(std::string_view text) {
  return config_error([&] { parse_recipe(text, "r.toml"); });
}

TEST(HostileRecipeTest, ControlAHarmlessRecipeIsRead) {
  EXPECT_EQ(parse_recipe("seed = 1 # a.b.c.d.e.f.g.h.i.j.k '''", "r.toml")
                .config.seed,
            1);
}

TEST(HostileRecipeTest, SyntaxErrorsNameTheLine) {
  EXPECT_THAT(error_of("seed = 1\nname = \"abc"), HasSubstr("r.toml:2"));
  EXPECT_THAT(error_of("seed"), HasSubstr("expected valid TOML"));
  EXPECT_THAT(error_of("seed = 1\nseed = 2"), HasSubstr("expected valid TOML"));
  EXPECT_THAT(error_of("seed = 99999999999999999999"),
              HasSubstr("expected valid TOML"));
}

TEST(HostileRecipeTest, DeepNestingDoesNotReachTheStack) {
  for (const std::string_view piece : {"[", "[[", "{a=", "[\n", "[{a="}) {
    EXPECT_THAT(error_of(fmt::format("x = {}", repeated(piece, 100000))),
                HasSubstr("[config]"));
  }
  EXPECT_THAT(error_of(repeated("[", 500000)), HasSubstr("[config]"));
  EXPECT_THAT(error_of(fmt::format("a{} = 1", repeated(".a", 400000))),
              HasSubstr("keys of at most"));
  EXPECT_THAT(error_of(fmt::format("[a{}]", repeated(" . a", 200000))),
              HasSubstr("keys of at most"));
  EXPECT_THAT(error_of(fmt::format("\"a\"{} = 1", repeated(".'a'", 200000))),
              HasSubstr("keys of at most"));
}

TEST(HostileRecipeTest, BracketsOutOfPlaceAreRefused) {
  for (const std::string_view text :
       {"[[[a]]]", "[=", "[.a]", "[#", "[[\n", "[a.]", "x = [}", "x = [=]",
        "x = {a = }", "x = }", "[a]]", "[ [a] ]", "x = [1, }"}) {
    EXPECT_THAT(error_of(text), HasSubstr("expected valid TOML")) << text;
  }
}

TEST(HostileRecipeTest, StringsCannotHideNesting) {
  EXPECT_THAT(error_of("x = \"\"\"\nfoo \"\"\"\n"), HasSubstr("of one line"));
  EXPECT_THAT(error_of("x = '''a'''"), HasSubstr("of one line"));
  EXPECT_THAT(
      error_of(fmt::format("x = [\"\\\\\", {{a{}=1}}]", repeated(".a", 50))),
      HasSubstr("keys of at most"));
}

TEST(HostileRecipeTest, OversizedTextIsRefused) {
  EXPECT_THAT(error_of(repeated("# filler\n", 200000)),
              HasSubstr("at most 1048576 bytes"));
}

TEST(HostileRecipeTest, NulAndInvalidUtf8AreRefused) {
  EXPECT_THAT(error_of(std::string_view("seed = 1\n\0", 10)),
              AllOf(HasSubstr("NUL"), HasSubstr("r.toml:2")));
  EXPECT_THAT(error_of("name = \"\xC3\x28\""), HasSubstr("[config]"));
  EXPECT_THAT(error_of("name = \"\xED\xA0\x80\""), HasSubstr("[config]"));
  for (const std::string_view bytes :
       {"\xFF", "\xC3", "\xC0\x80", "\xE0\x80\x80", "\xF4\x90\x80\x80"}) {
    EXPECT_THAT(error_of(fmt::format("name = \"{}\"", bytes)),
                HasSubstr("UTF-8"));
    EXPECT_THAT(error_of(fmt::format("seed = 1 # {}", bytes)),
                HasSubstr("UTF-8"));
  }
}

TEST(HostileRecipeTest, LettersBeyondAsciiStandInStringsAndCommentsOnly) {
  EXPECT_EQ(parse_recipe("\xEF\xBB\xBFname = \"\u0421\" # \u0421", "r.toml")
                .config.name,
            "\u0421");
  EXPECT_THAT(error_of("\"s\u00E4\" = 1"), HasSubstr("s\u00E4"));
  EXPECT_EQ(
      parse_recipe("name = \"\u00E9\u20AC\U0001F600\"", "r.toml").config.name,
      "\u00E9\u20AC\U0001F600");
  EXPECT_EQ(
      parse_recipe("name = '\u00E9 \"a\\n\"'  # '\u00E9\nseed = 3", "r.toml")
          .config.name,
      "\u00E9 \"a\\n\"");
  for (const std::string_view text :
       {"s =\u0421\xA1\"", "\u0421 = 1", "seed =\u20001", "seed\u3000= 1",
        "x = [\uFB011]", "name = \"\\\u0421\""}) {
    EXPECT_THAT(error_of(text), HasSubstr("beyond ASCII")) << text;
  }
  // A quote inside a bare word, and so no string, before the letter.
  EXPECT_THAT(error_of("0':''\uFBAE.d = 1"),
              AllOf(HasSubstr("expected valid TOML"), HasSubstr("r.toml:1")));
}

TEST(HostileRecipeTest, MessagesStayOneShortLine) {
  const std::string key = fmt::format("\"{}\"", repeated("x\\n", 10000));
  EXPECT_THAT(error_of(key + " = 1"),
              AllOf(Not(HasSubstr("\n")), SizeIs(testing::Lt(400u))));
  EXPECT_THAT(error_of(fmt::format("seed = \"{}\"", repeated("y\\n", 10000))),
              AllOf(Not(HasSubstr("\n")), SizeIs(testing::Lt(400u))));
}

TEST(HostileRecipeTest, EveryPrefixOfARecipeIsReadOrRefused) {
  const std::string text =
      "name = \"a\\u00e9\\\"\" # c\n[optim]\neps = 1e-8\n"
      "[blocks]\nlayers_per_block = [1, 2,\n 3]\n[data]\nstd=[.5]\n";
  for (size_t size = 0; size <= text.size(); ++size) {
    try {
      parse_recipe(text.substr(0, size), "r.toml");
    } catch (const ConfigError&) {
      // Either is fine; anything else fails the test.
    }
  }
}

TEST(HostileRecipeTest, HostileOverridesAreRefused) {
  for (const std::string& value :
       {repeated("[", 100000), repeated("{a.b=", 50000),
        std::string("\"\xFF\""), std::string(2 << 20, '1')}) {
    const std::string set = "seed=" + value;
    EXPECT_THAT(config_error([&] {
                  parse_recipe("", "r", {&set, 1});
                }),
                HasSubstr("[config]"));
  }
  const std::string set = "name=\xFF";
  EXPECT_THAT(config_error([&] {
                parse_recipe("", "r", {&set, 1});
              }),
              HasSubstr("expected a string for name"));
}

}  // namespace
}  // namespace dblocks::config
