// SPDX-License-Identifier: Apache-2.0
#include "dblocks/metrics/frechet.h"

#include <ATen/Context.h>
#include <ATen/TensorOperators.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/linalg_qr.h>
#include <ATen/ops/linspace.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <filesystem>
#include <string>
#include <tuple>
#include <vector>

#include "dblocks/core/error.h"
#include "tests/twin/support.h"

namespace dblocks::metrics {
namespace {

FeatureSums sums_of(const at::Tensor& features) {
  FeatureSums sums(features.size(1));
  sums.add(features);
  return sums;
}

TEST(FrechetTest, ASetIsAtNoDistanceFromItself) {
  at::manual_seed(1);
  const at::Tensor few = at::randn({40, 100});  // a singular covariance
  EXPECT_NEAR(frechet_distance(sums_of(few), sums_of(few)), 0, 1e-9);
  const at::Tensor many = at::randn({4000, 30}) * 7 + 3;
  EXPECT_NEAR(frechet_distance(sums_of(many), sums_of(many)), 0, 1e-9);
}

// Commuting covariances: sum of (sqrt(a_i) - sqrt(b_i))^2 and squared means.
TEST(FrechetTest, ClosedFormOfCommutingCovariances) {
  at::manual_seed(2);
  const at::Tensor a = at::linspace(0, 4, 9, at::kDouble);
  const at::Tensor b = at::linspace(3, 1, 9, at::kDouble);
  const at::Tensor basis =
      std::get<0>(at::linalg_qr(at::randn({9, 9}, at::kDouble)));
  const auto rotated = [&](const at::Tensor& values) {
    return at::matmul(basis * values, basis.t());
  };
  const at::Tensor zero = at::zeros({9}, at::kDouble);
  const at::Tensor shift = at::linspace(-1, 1, 9, at::kDouble);
  const double wanted = (a.sqrt() - b.sqrt()).square().sum().item<double>() +
                        shift.square().sum().item<double>();
  EXPECT_NEAR(frechet_distance(zero, rotated(a), shift, rotated(b)), wanted,
              1e-12 * wanted);
}

// tr((A B)^(1/2)) of 2 x 2 matrices is sqrt(tr(A B) + 2 sqrt(det(A B))).
TEST(FrechetTest, ClosedFormOfTwoDimensions) {
  const at::Tensor a =
      at::tensor({2.0, 0.6, 0.6, 0.5}, at::kDouble).view({2, 2});
  const at::Tensor b =
      at::tensor({1.0, -0.7, -0.7, 3.0}, at::kDouble).view({2, 2});
  const at::Tensor zero = at::zeros({2}, at::kDouble);
  const double trace = 2.0 * 1.0 + 2 * 0.6 * -0.7 + 0.5 * 3.0;
  const double determinant = (2.0 * 0.5 - 0.36) * (1.0 * 3.0 - 0.49);
  EXPECT_NEAR(frechet_distance(zero, a, zero, b),
              2.5 + 4.0 - 2 * std::sqrt(trace + 2 * std::sqrt(determinant)),
              1e-12);
}

TEST(FrechetTest, PartsMergeToTheWhole) {
  at::manual_seed(3);
  const at::Tensor all = at::randn({900, 12}) + 50;
  FeatureSums merged = sums_of(all.narrow(0, 0, 123));
  merged.merge(sums_of(all.narrow(0, 123, 777)));
  EXPECT_EQ(merged.count(), 900);
  const at::Tensor wide = all.to(at::kDouble);
  EXPECT_LT((merged.mean() - wide.mean(0)).abs().max().item<double>(), 1e-12);
  EXPECT_LT((merged.covariance() - wide.t().cov()).abs().max().item<double>(),
            1e-9);
}

TEST(FrechetTest, OneVectorHasNoCovariance) {
  const FeatureSums one = sums_of(at::randn({1, 3}));
  EXPECT_THROW(frechet_distance(one, sums_of(at::randn({9, 3}))), DataError);
}

TEST(FrechetTest, AgreesWithTheUsualImplementation) {
  if (!dblocks::testing::can_import("scipy")) {
    GTEST_SKIP() << dblocks::testing::python()
                 << " cannot import scipy; ./run_tests sets it up";
  }
  at::manual_seed(4);
  const std::filesystem::path folder = dblocks::testing::make_folder();
  std::string command =
      dblocks::testing::python() + " tests/twin/frechet_twin.py";
  std::vector<double> ours;
  for (const int64_t features : {5, 64, 200}) {
    const at::Tensor mix = at::randn({features, features});
    const at::Tensor a = at::matmul(at::randn({3000, features}), mix) + 1;
    const at::Tensor b = at::randn({2000, features}) * 2;
    const auto file = folder / std::to_string(features);
    dblocks::testing::save(file, {{"a", a}, {"b", b}});
    command += " " + file.string();
    ours.push_back(frechet_distance(sums_of(a), sums_of(b)));
  }
  const auto lines = dblocks::testing::lines_of(command);
  ASSERT_EQ(lines.size(), ours.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    const double theirs = std::stod(lines[i]);
    std::printf("ours %.12g, SciPy %.12g\n", ours[i], theirs);
    EXPECT_LT(std::abs(ours[i] / theirs - 1), 1e-6);
  }
  std::filesystem::remove_all(folder);
}

TEST(PrecisionRecallTest, SamplesThatCoverHalfOfTheDataRecallHalf) {
  // Real: two far clusters on a line. Samples: the first one, in other places.
  const at::Tensor left = at::linspace(0, 1, 101, at::kDouble).unsqueeze(1);
  const at::Tensor real = at::cat({left, left + 100});
  const at::Tensor samples =
      at::linspace(0.003, 0.997, 60, at::kDouble).unsqueeze(1);
  const PrecisionRecall found = precision_recall(real, samples, 3);
  EXPECT_DOUBLE_EQ(found.precision, 1);
  EXPECT_DOUBLE_EQ(found.recall, 0.5);
}

TEST(PrecisionRecallTest, SamplesOutsideTheDataAreImprecise) {
  const at::Tensor real = at::linspace(0, 1, 101, at::kDouble).unsqueeze(1);
  const at::Tensor samples = at::cat({real + 0.001, real + 50, real + 90});
  const PrecisionRecall found = precision_recall(real, samples, 3);
  EXPECT_NEAR(found.precision, 1.0 / 3, 0.02);
  EXPECT_DOUBLE_EQ(found.recall, 1);
}

// In chunks of 1,024 rows the answer is that of all pairs.
TEST(PrecisionRecallTest, NearestIsThePlainMinimumOverAllPairs) {
  at::manual_seed(5);
  const at::Tensor set = at::randn({50, 4}), queries = at::randn({2500, 4});
  const at::Tensor found = nearest(queries, set);
  const at::Tensor wanted =
      (queries.unsqueeze(1) - set.unsqueeze(0)).square().sum(2).argmin(1);
  EXPECT_TRUE(at::equal(found, wanted));
}

}  // namespace
}  // namespace dblocks::metrics
