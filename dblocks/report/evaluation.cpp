// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/evaluation.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"

namespace dblocks::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxFileBytes = 64 << 20;
// More than any evaluation of ours holds; keeps a page of a forged file small.
constexpr size_t kMaxBlocks = 1024, kMaxReadouts = 32, kMaxSamples = 64;
constexpr size_t kMaxBins = 100, kMaxImageBytes = 64 << 10;

Json score_json(const Score& score, Detail detail) {
  Json json{{"accuracy", score.accuracy},
            {"cross_entropy", score.cross_entropy},
            {"calibration_error", score.calibration_error}};
  if (detail == Detail::kAll && !score.reliability.empty()) {
    json["reliability"] = Json::array();
    for (const ReliabilityCount& bin : score.reliability) {
      json["reliability"].push_back(
          {bin.num_samples, bin.num_hits, bin.sum_confidence});
    }
  }
  return json;
}

Json readout_json(const ReadoutScore& readout, Detail detail) {
  Json json = score_json(readout.answer(), Detail::kScores);
  json["answer"] = readout.answers_pooled ? "pooled" : "last_block";
  json["pooled"] = score_json(readout.pooled, detail);
  json["after_block"] = Json::array();
  for (const Score& score : readout.after_block) {
    json["after_block"].push_back(score_json(score, detail));
  }
  return json;
}

Json prediction_json(const SamplePrediction& prediction) {
  return {{"predicted", prediction.predicted},
          {"probability", prediction.probability},
          {"true_probability", prediction.true_probability}};
}

Json sample_json(const Sample& sample) {
  Json json{{"index", sample.index},
            {"is_mistake", sample.is_mistake},
            {"label", sample.label},
            {"png", sample.png_base64},
            {"answer", prediction_json(sample.answer)},
            {"after_block", Json::array()}};
  for (const SamplePrediction& prediction : sample.after_block) {
    json["after_block"].push_back(prediction_json(prediction));
  }
  return json;
}

/// Throws unless `json` is an array of at most `most` elements.
const Json& array_of(const Json& json, size_t most) {
  if (!json.is_array() || json.size() > most) {
    throw std::invalid_argument(
        fmt::format("expected a list of at most {} entries", most));
  }
  return json;
}

double fraction(const Json& json) {
  const double value = json.get<double>();
  if (!(value >= 0 && value <= 1)) {
    throw std::invalid_argument(
        fmt::format("expected a fraction, found {}", value));
  }
  return value;
}

Score score_of(const Json& json) {
  // A cross-entropy that is not finite was written as null.
  const Json& entropy = json.at("cross_entropy");
  Score score{
      .accuracy = fraction(json.at("accuracy")),
      .cross_entropy = entropy.is_null() ? INFINITY : entropy.get<double>(),
      .calibration_error = fraction(json.at("calibration_error"))};
  if (json.contains("reliability")) {
    for (const Json& bin : array_of(json["reliability"], kMaxBins)) {
      score.reliability.push_back({bin.at(0).get<int64_t>(),
                                   bin.at(1).get<int64_t>(),
                                   bin.at(2).get<double>()});
    }
  }
  return score;
}

ReadoutScore readout_of(const std::string& name, const Json& json) {
  ReadoutScore readout{.name = name,
                       .answers_pooled = json.at("answer") == "pooled",
                       .pooled = score_of(json.at("pooled"))};
  for (const Json& score : array_of(json.at("after_block"), kMaxBlocks)) {
    readout.after_block.push_back(score_of(score));
  }
  if (readout.after_block.empty()) {
    throw std::invalid_argument("expected a score after each block");
  }
  return readout;
}

SamplePrediction prediction_of(const Json& json) {
  return {.predicted = json.at("predicted").get<std::string>(),
          .probability = fraction(json.at("probability")),
          .true_probability = fraction(json.at("true_probability"))};
}

bool is_base64(const std::string& text) {
  return std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '=';
  });
}

Sample sample_of(const Json& json) {
  Sample sample{.index = json.at("index").get<int64_t>(),
                .is_mistake = json.at("is_mistake").get<bool>(),
                .label = json.at("label").get<std::string>(),
                .png_base64 = json.at("png").get<std::string>(),
                .answer = prediction_of(json.at("answer"))};
  if (sample.png_base64.size() > kMaxImageBytes ||
      !is_base64(sample.png_base64)) {
    throw std::invalid_argument("expected a small image in base64");
  }
  for (const Json& place : array_of(json.at("after_block"), kMaxBlocks)) {
    sample.after_block.push_back(prediction_of(place));
  }
  return sample;
}

Evaluation evaluation_of(const Json& json) {
  Evaluation result{
      .run = json.at("run").get<std::string>(),
      .method = json.at("method").get<std::string>(),
      .dataset = json.at("dataset").get<std::string>(),
      .num_images = json.at("num_images").get<int64_t>(),
      .steps = json.at("steps").get<std::vector<int64_t>>(),
      .draws = json.at("draws").get<int64_t>(),
      .headline = json.at("headline").get<std::string>(),
      .settings = json.at("settings").get<std::vector<std::string>>(),
      .seconds = json.at("seconds").get<double>()};
  for (const auto& [name, readout] : json.at("readouts").items()) {
    result.readouts.push_back(readout_of(name, readout));
  }
  if (result.readouts.empty() || result.readouts.size() > kMaxReadouts) {
    throw std::invalid_argument("expected at least one readout");
  }
  for (const auto& [name, value] : json.at("environment").items()) {
    result.environment.push_back({name, value.get<std::string>()});
  }
  for (const Json& sample : array_of(json.at("samples"), kMaxSamples)) {
    result.samples.push_back(sample_of(sample));
  }
  return result;
}

}  // namespace

const ReadoutScore& Evaluation::quoted() const {
  for (const ReadoutScore& readout : readouts) {
    if (readout.name == headline) {
      return readout;
    }
  }
  DBLOCKS_ASSERT(!readouts.empty(), "an evaluation without readouts");
  return readouts.front();
}

Json to_json(const Evaluation& evaluation, Detail detail) {
  Json json{
      {"run", evaluation.run},           {"method", evaluation.method},
      {"dataset", evaluation.dataset},   {"num_images", evaluation.num_images},
      {"steps", evaluation.steps},       {"draws", evaluation.draws},
      {"headline", evaluation.headline}, {"readouts", Json::object()}};
  for (const ReadoutScore& readout : evaluation.readouts) {
    json["readouts"][readout.name] = readout_json(readout, detail);
  }
  if (detail == Detail::kScores) {
    return json;
  }
  json["settings"] = evaluation.settings;
  json["seconds"] = evaluation.seconds;
  json["environment"] = Json::object();
  for (const NamedValue& fact : evaluation.environment) {
    json["environment"][fact.name] = fact.value;
  }
  json["samples"] = Json::array();
  for (const Sample& sample : evaluation.samples) {
    json["samples"].push_back(sample_json(sample));
  }
  return json;
}

std::optional<Evaluation> read_evaluation(const std::filesystem::path& file) {
  FileSystem& disk = real_file_system();
  if (!disk.exists(file)) {
    return std::nullopt;
  }
  try {
    return evaluation_of(Json::parse(disk.read_file(file, kMaxFileBytes)));
  } catch (const Json::exception& error) {
    throw CheckpointError(fmt::format(
        "[evaluation] {}: expected an evaluation, found: {}. Hint: dblocks "
        "eval writes it anew",
        file.string(), error.what()));
  } catch (const std::invalid_argument& error) {
    throw CheckpointError(
        fmt::format("[evaluation] {}: {}. Hint: dblocks eval writes it anew",
                    file.string(), error.what()));
  }
}

}  // namespace dblocks::report
