// SPDX-License-Identifier: Apache-2.0
// PNG and JPEG files as images of one shape; docs/data.md states the rules.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "dblocks/data/image.h"
#include "dblocks/data/transforms.h"

namespace dblocks::data {

/// What to take of an image: the part `box`, scaled to rows x columns.
struct View {
  Box box;
  int64_t rows = 0;
  int64_t columns = 0;
};

/// Chooses a view once the size of an image, as it is seen, is known.
using ChooseView = std::function<View(int64_t rows, int64_t columns)>;

/// The largest centred part of the shape rows x columns, scaled to it: for
/// squares, "resize the shorter side, then crop the centre".
View centred_view(int64_t image_rows,
                  int64_t image_columns,
                  int64_t rows,
                  int64_t columns);

/// Decodes a PNG or JPEG in memory, told apart by its first bytes, and turns it
/// as its EXIF orientation says.
///
/// *Shapes*: out: [channels, view.rows, view.columns], channels 1 or 3. Grey
/// images get three equal channels; colour becomes luma (ITU-R 601). 16-bit
/// levels are rounded to 8. Transparent pixels are laid over white. JPEGs of
/// four channels are refused.
///
/// Memory: at most 64 MiB for a file of any size that claims up to 2^26 pixels,
/// and that much only if the file is large; an image is refused, before it is
/// decoded, if its file cannot hold it.
/// *Errors*: DataError naming `name` and the reason if it is neither, damaged,
/// cut off, too large, or of a kind that is not read.
void decode_image(std::span<const uint8_t> file,
                  const std::string& name,
                  int64_t channels,
                  const ChooseView& choose,
                  Image& out);

/// The same for a file of at most 64 MiB. *Errors*: as above, and DataError if
/// it cannot be read or is no regular file.
void read_image(const std::filesystem::path& path,
                int64_t channels,
                const ChooseView& choose,
                Image& out);

}  // namespace dblocks::data
