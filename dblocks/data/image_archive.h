// SPDX-License-Identifier: Apache-2.0
// Images, and what others measured of images, in archives of NumPy arrays and
// in safetensors files.
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <span>
#include <variant>
#include <vector>

namespace dblocks::data {

/// Images as bytes, with their classes where the archive has them.
struct ImageArchive {
  std::vector<int64_t> shape;   ///< [N, Y, X, C]
  std::vector<uint8_t> pixels;  ///< in C order
  std::optional<std::vector<int64_t>> classes;
};

/// Each image, a matrix [rows, columns] of bytes, with rows and columns
/// exchanged: pixels [Y X, C] from channels [C, Y X], and the other way round.
/// Requires: whole images.
std::vector<uint8_t> transposed(std::span<const uint8_t> images,
                                int64_t rows,
                                int64_t columns);

/// Mean and covariance of the features of a set of images.
struct FeatureStatistics {
  std::vector<double> mean;        ///< [F]
  std::vector<double> covariance;  ///< [F, F]
};

/// Reads `arr_0`, images [N, Y, X, C] of type uint8 with 1 or 3 channels, and
/// `arr_1`, their classes of type int64 or int32 if there are any: what
/// `dblocks sample --npz` writes. From a file named *.safetensors `images` [N,
/// C, Y, X] and `labels`: what `--safetensors` writes. *Errors*: DataError
/// naming the file and the array if the file or the images are missing, or
/// anything is damaged or of another type or shape.
ImageArchive read_image_archive(const std::filesystem::path& file);

/// Reads a set that others are compared with: images, as above, or where there
/// are none the statistics `mu` [F] and `sigma` [F, F] of float64 or float32,
/// as pytorch-fid and ADM's evaluation keep them. *Errors*: as above; DataError
/// for numbers that are not finite and for a covariance that is not symmetric
/// or has a negative variance.
std::variant<ImageArchive, FeatureStatistics> read_reference(
    const std::filesystem::path& file);

}  // namespace dblocks::data
