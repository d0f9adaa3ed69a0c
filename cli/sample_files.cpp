// SPDX-License-Identifier: Apache-2.0
#include "cli/sample_files.h"

#include <fmt/format.h>

#include <array>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <span>
#include <string>

#include "cli/image_grid.h"
#include "cli/output.h"
#include "dblocks/checkpoint/safetensors.h"
#include "dblocks/core/file_system.h"
#include "dblocks/core/flat_state.h"
#include "dblocks/data/npz.h"
#include "dblocks/report/png_encoder.h"

namespace dblocks::cli {

void write_image_files(const std::filesystem::path& folder,
                       const DrawnImages& drawn) {
  real_file_system().make_folders(folder);
  for (int64_t i = 0; i < drawn.pixels.size(0); ++i) {
    const std::string name = fmt::format("{:06}_class_{}.png", i,
                                         drawn.labels[static_cast<size_t>(i)]);
    replace_file(folder / name, report::png_bytes(image_grid(
                                    drawn.pixels.narrow(0, i, 1), 1)));
  }
}

void write_arrays(const std::filesystem::path& file, const DrawnImages& drawn) {
  const at::Tensor images =
      (drawn.are_pictures() ? drawn.pixels : drawn.values).contiguous();
  data::write_npz(file,
                  {{"arr_0", drawn.are_pictures() ? "|u1" : "<f4",
                    images.sizes().vec(), as_bytes("arr_0", images).bytes},
                   {"arr_1",
                    "<i8",
                    {static_cast<int64_t>(drawn.labels.size())},
                    std::as_bytes(std::span(drawn.labels))}});
}

void write_tensors(const std::filesystem::path& file,
                   const DrawnImages& drawn,
                   const TrainedNetwork& network) {
  const at::Tensor images =
      (drawn.are_pictures() ? drawn.pixels.permute({0, 3, 1, 2}) : drawn.values)
          .contiguous();
  const std::array<TensorBytes, 2> tensors = {
      as_bytes("images", images),
      TensorBytes{"labels",
                  DType::kI64,
                  {static_cast<int64_t>(drawn.labels.size())},
                  std::as_bytes(std::span(drawn.labels))}};
  const auto text = [](const auto& list) {
    return nlohmann::json(list).dump(-1, ' ', /*ensure_ascii=*/true,
                                     nlohmann::json::error_handler_t::replace);
  };
  const std::filesystem::path temporary = file.string() + ".tmp";
  checkpoint::write_safetensors(
      real_file_system(), temporary, tensors,
      {{"class_names", text(network.data.class_names)},
       {"mean", text(network.setup.loader.mean)},
       {"std", text(network.setup.loader.std)}});
  real_file_system().rename(temporary, file);
}

}  // namespace dblocks::cli
