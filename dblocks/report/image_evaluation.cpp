// SPDX-License-Identifier: Apache-2.0
#include "dblocks/report/image_evaluation.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <nlohmann/json.hpp>
#include <stdexcept>

#include "dblocks/core/error.h"
#include "dblocks/core/file_system.h"

namespace dblocks::report {
namespace {

using Json = nlohmann::ordered_json;

constexpr uint64_t kMaxFileBytes = uint64_t{16} << 20;
constexpr size_t kMaxScores = 16;
constexpr size_t kMaxBlocks = 4096;
constexpr size_t kMaxCurves = 2;
constexpr size_t kMaxLevels = 1024;

double finite(const Json& json) {
  const double value = json.get<double>();
  if (!std::isfinite(value)) {
    throw std::invalid_argument("expected finite numbers");
  }
  return value;
}

double fraction(const Json& json) {
  const double value = finite(json);
  if (value < 0 || value > 1) {
    throw std::invalid_argument("expected fractions from 0 to 1");
  }
  return value;
}

ImageScore score_of(const Json& json) {
  ImageScore score{.name = json.at("name").get<std::string>(),
                   .frechet_distance = finite(json.at("frechet_distance"))};
  if (json.contains("precision")) {
    score.precision = fraction(json.at("precision"));
    score.recall = fraction(json.at("recall"));
    score.neighbours = json.at("neighbours").get<int64_t>();
    score.num_neighbour_images = json.at("neighbour_images").get<int64_t>();
  }
  return score;
}

NoiseCurve curve_of(const Json& json) {
  NoiseCurve curve{.run = json.at("run").get<std::string>(),
                   .method = json.at("method").get<std::string>()};
  double before = 0;
  for (const Json& point : json.at("points")) {
    curve.points.push_back({.sigma = finite(point.at("sigma")),
                            .block = point.at("block").get<int64_t>(),
                            .loss = finite(point.at("loss"))});
    if (curve.points.back().sigma <= before ||
        curve.points.size() > kMaxLevels) {
      throw std::invalid_argument("expected ascending levels of noise");
    }
    before = curve.points.back().sigma;
  }
  return curve;
}

Json to_json(const NoiseCurve& curve) {
  Json json{
      {"run", curve.run}, {"method", curve.method}, {"points", Json::array()}};
  for (const NoisePoint& p : curve.points) {
    json["points"].push_back(
        {{"sigma", p.sigma}, {"block", p.block}, {"loss", p.loss}});
  }
  return json;
}

/// A picture in base64: {"png": text}.
std::string picture(const Json& json) {
  auto text = json.at("png").get<std::string>();
  const bool is_base64 = std::ranges::all_of(text, [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '+' || c == '/' || c == '=';
  });
  if (!is_base64) {
    throw std::invalid_argument("expected a picture in base64");
  }
  return text;
}

ImageEvaluation evaluation_of(const Json& json) {
  ImageEvaluation result{
      .run = json.at("run").get<std::string>(),
      .method = json.at("method").get<std::string>(),
      .dataset = json.at("dataset").get<std::string>(),
      .steps = json.at("steps").get<std::vector<int64_t>>(),
      .num_images = json.at("num_images").get<int64_t>(),
      .sampling_steps = json.at("sampling_steps").get<int64_t>(),
      .guidance = finite(json.at("guidance")),
      .seed = json.at("seed").get<int64_t>(),
      .sampling_seconds = finite(json.at("sampling_seconds")),
      .grid_png_base64 = picture(json.at("grid")),
      .nearest_png_base64 = picture(json.at("nearest"))};
  for (const Json& score : json.at("scores")) {
    result.scores.push_back(score_of(score));
  }
  for (const Json& loss : json.at("block_loss")) {
    result.block_loss.push_back(finite(loss));
  }
  // Evaluations of before there were curves have none.
  if (json.contains("noise_curves")) {
    for (const Json& curve : json.at("noise_curves")) {
      result.noise_curves.push_back(curve_of(curve));
    }
  }
  if (json.contains("asked_class_share")) {
    result.asked_class_share = fraction(json.at("asked_class_share"));
  }
  if (result.scores.empty() || result.scores.size() > kMaxScores ||
      result.block_loss.size() > kMaxBlocks ||
      result.noise_curves.size() > kMaxCurves) {
    throw std::invalid_argument("expected scores, losses and curves");
  }
  return result;
}

}  // namespace

Json to_json(const ImageScore& score) {
  Json json{{"name", score.name}, {"frechet_distance", score.frechet_distance}};
  if (score.precision && score.recall) {
    json["precision"] = *score.precision;
    json["recall"] = *score.recall;
    json["neighbours"] = score.neighbours;
    json["neighbour_images"] = score.num_neighbour_images;
  }
  return json;
}

Json to_json(const ImageEvaluation& e, Detail detail) {
  Json json{{"run", e.run},
            {"method", e.method},
            {"dataset", e.dataset},
            {"steps", e.steps},
            {"num_images", e.num_images},
            {"sampling_steps", e.sampling_steps},
            {"guidance", e.guidance},
            {"seed", e.seed},
            {"sampling_seconds", e.sampling_seconds},
            {"scores", Json::array()},
            {"block_loss", e.block_loss},
            {"noise_curves", Json::array()}};
  for (const NoiseCurve& curve : e.noise_curves) {
    json["noise_curves"].push_back(to_json(curve));
  }
  for (const ImageScore& score : e.scores) {
    json["scores"].push_back(to_json(score));
  }
  if (e.asked_class_share) {
    json["asked_class_share"] = *e.asked_class_share;
  }
  if (detail == Detail::kAll) {
    json["grid"] = {{"png", e.grid_png_base64}};
    json["nearest"] = {{"png", e.nearest_png_base64}};
  }
  return json;
}

std::optional<ImageEvaluation> read_image_evaluation(
    const std::filesystem::path& file) {
  FileSystem& disk = real_file_system();
  if (!disk.exists(file)) {
    return std::nullopt;
  }
  try {
    return evaluation_of(Json::parse(disk.read_file(file, kMaxFileBytes)));
  } catch (const Json::exception& error) {
    throw CheckpointError(fmt::format(
        "[image_evaluation] {}: expected an evaluation of images, found: {}. "
        "Hint: dblocks eval writes it anew",
        file.string(), error.what()));
  } catch (const std::invalid_argument& error) {
    throw CheckpointError(fmt::format(
        "[image_evaluation] {}: {}. Hint: dblocks eval writes it anew",
        file.string(), error.what()));
  }
}

}  // namespace dblocks::report
