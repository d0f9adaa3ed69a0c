// SPDX-License-Identifier: Apache-2.0
// Images per second that the loader decodes, crops at random, mirrors, scales
// and normalises: image_folder_rate FOLDER SIZE WORKERS EPOCHS.
#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "dblocks/data/dataset.h"
#include "dblocks/data/loader.h"

int main(int argc, char** argv) {
  using namespace dblocks::data;
  using Clock = std::chrono::steady_clock;
  if (argc != 5) {
    std::fprintf(stderr,
                 "usage: image_folder_rate FOLDER SIZE WORKERS EPOCHS\n");
    return 2;
  }
  const Dataset train = open_dataset({.dataset = "image_folder",
                                      .root = argv[1],
                                      .image_size = std::atoll(argv[2])})
                            .train;
  const int epochs = std::atoi(argv[4]);
  for (int epoch = 0; epoch < epochs; ++epoch) {
    Loader loader(train,
                  {.batch_size = 64,
                   .workers = std::atoll(argv[3]),
                   .prefetch = 4,
                   .seed = static_cast<uint64_t>(epoch),
                   .augment = {.flip = true, .random_resized_crop = true}});
    const Clock::time_point start = Clock::now();
    double sum = 0;  // so that the work has a use
    for (int64_t i = 0; i < loader.batches_per_epoch(); ++i) {
      sum += static_cast<double>(loader.next().images.front());
    }
    const double seconds =
        std::chrono::duration<double>(Clock::now() - start).count();
    const auto images = static_cast<double>(loader.batches_per_epoch() * 64);
    std::printf("%.1f images/s (%.0f images, %.2f s, check %.3f)\n",
                images / seconds, images, seconds, sum);
  }
  return 0;
}
