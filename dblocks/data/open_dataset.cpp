// SPDX-License-Identifier: Apache-2.0
// The catalogue: for each name, what its images are, where its files lie and
// how they are read.
#include <array>
#include <string_view>

#include "dblocks/core/error.h"
#include "dblocks/data/cifar.h"
#include "dblocks/data/dataset.h"
#include "dblocks/data/file_bytes.h"
#include "dblocks/data/idx.h"
#include "dblocks/data/image_folder.h"
#include "dblocks/data/npz_dataset.h"
#include "dblocks/data/search.h"
#include "dblocks/data/tensor_dataset.h"
#include "dblocks/data/tiny_imagenet.h"

namespace dblocks::data {
namespace {

namespace fs = std::filesystem;

struct CatalogueEntry {
  DatasetInfo info;
  SearchRecipe search;
  DataSplits (*read)(const fs::path& folder, DatasetInfo info);
};

Dataset read_idx_pair(const fs::path& folder,
                      const std::string& prefix,
                      const DatasetInfo& info) {
  const fs::path images = plain_or_gzip(folder, prefix + "-images-idx3-ubyte");
  const fs::path labels = plain_or_gzip(folder, prefix + "-labels-idx1-ubyte");
  const std::vector<uint8_t> label_bytes = read_idx(labels, {});
  std::vector<uint8_t> pixels = read_idx(
      images,
      {static_cast<uint32_t>(info.rows), static_cast<uint32_t>(info.columns)});
  const size_t num_images =
      pixels.size() / static_cast<size_t>(info.pixel_bytes());
  DBLOCKS_CHECK(label_bytes.size() == num_images, DataError,
                "[open_dataset] expected {} labels for the images of {}, found "
                "{}: {}",
                num_images, images.string(), label_bytes.size(),
                labels.string());
  for (size_t i = 0; i < label_bytes.size(); ++i) {
    DBLOCKS_CHECK(label_bytes[i] < info.num_classes(), DataError,
                  "[open_dataset] expected labels below {}, found {} for "
                  "sample {}: {}",
                  info.num_classes(), label_bytes[i], i, labels.string());
  }
  return Dataset(info, {label_bytes.begin(), label_bytes.end()},
                 std::move(pixels));
}

// NOLINTNEXTLINE(performance-unnecessary-value-param): the catalogue's type
DataSplits read_idx_splits(const fs::path& folder, DatasetInfo info) {
  return {read_idx_pair(folder, "train", info),
          read_idx_pair(folder, "t10k", info)};
}

// Takes class names from `file` if it exists.
void read_class_names(const fs::path& file, DatasetInfo& info) {
  if (!fs::exists(file)) {
    return;
  }
  std::vector<std::string> names = read_lines(file);
  DBLOCKS_CHECK(names.size() == info.class_names.size(), DataError,
                "[open_dataset] expected {} class names, found {}: {}",
                info.class_names.size(), names.size(), file.string());
  info.class_names = std::move(names);
}

Dataset read_cifar_split(const std::vector<fs::path>& paths,
                         int64_t label_bytes,
                         const DatasetInfo& info) {
  Samples samples = read_cifar(paths, label_bytes, info.num_classes());
  return Dataset(info, std::move(samples.labels), std::move(samples.pixels));
}

DataSplits read_cifar10(const fs::path& folder, DatasetInfo info) {
  read_class_names(folder / "batches.meta.txt", info);
  std::vector<fs::path> train;
  for (int i = 1; i <= 5; ++i) {
    train.push_back(folder / fmt::format("data_batch_{}.bin", i));
  }
  return {read_cifar_split(train, 1, info),
          read_cifar_split({folder / "test_batch.bin"}, 1, info)};
}

DataSplits read_cifar100(const fs::path& folder, DatasetInfo info) {
  read_class_names(folder / "fine_label_names.txt", info);
  return {read_cifar_split({folder / "train.bin"}, 2, info),
          read_cifar_split({folder / "test.bin"}, 2, info)};
}

std::vector<std::string> numbered_classes(int64_t count) {
  std::vector<std::string> names;
  for (int64_t i = 0; i < count; ++i) {
    names.push_back(fmt::format("{}", i));
  }
  return names;
}

const std::vector<std::string> kIdxFiles = {
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"};

CatalogueEntry fashion_mnist() {
  return {
      {.name = "fashion_mnist",
       .channels = 1,
       .rows = 28,
       .columns = 28,
       .class_names = {"T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
                       "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot"},
       .mean = {0.2860},
       .std = {0.3530}},
      {.dataset = "fashion_mnist",
       .folders = {"fashion-mnist", "fashion_mnist", "FashionMNIST/raw"},
       .files = kIdxFiles,
       .hint = "on Debian or Ubuntu run `apt-get install "
               "dataset-fashion-mnist`, or name with data.root the folder "
               "of the four files *-ubyte.gz."},
      &read_idx_splits};
}

CatalogueEntry mnist() {
  return {{.name = "mnist",
           .channels = 1,
           .rows = 28,
           .columns = 28,
           .class_names = numbered_classes(10),
           .mean = {0.1307},
           .std = {0.3081}},
          {.dataset = "mnist",
           .folders = {"mnist", "MNIST/raw"},
           .files = kIdxFiles,
           .hint = "put the four files *-ubyte, plain or .gz, into "
                   "~/.local/share/dblocks/mnist/, or name their folder with "
                   "data.root."},
          &read_idx_splits};
}

CatalogueEntry cifar10() {
  return {{.name = "cifar10",
           .channels = 3,
           .rows = 32,
           .columns = 32,
           .class_names = {"airplane", "automobile", "bird", "cat", "deer",
                           "dog", "frog", "horse", "ship", "truck"},
           .mean = {0.4914, 0.4822, 0.4465},
           .std = {0.2470, 0.2435, 0.2616}},
          {.dataset = "cifar10",
           .folders = {"cifar-10-batches-bin", "cifar10"},
           .files = {"data_batch_1.bin", "data_batch_2.bin", "data_batch_3.bin",
                     "data_batch_4.bin", "data_batch_5.bin", "test_batch.bin"},
           .hint = "unpack the binary version (data_batch_1.bin to "
                   "data_batch_5.bin, test_batch.bin) into "
                   "~/.local/share/dblocks/cifar-10-batches-bin/, or name its "
                   "folder with data.root."},
          &read_cifar10};
}

CatalogueEntry cifar100() {
  return {{.name = "cifar100",
           .channels = 3,
           .rows = 32,
           .columns = 32,
           .class_names = numbered_classes(100),
           .mean = {0.5071, 0.4867, 0.4408},
           .std = {0.2675, 0.2565, 0.2761}},
          {.dataset = "cifar100",
           .folders = {"cifar-100-binary", "cifar100"},
           .files = {"train.bin", "test.bin"},
           .hint = "unpack the binary version (train.bin, test.bin, "
                   "fine_label_names.txt) into "
                   "~/.local/share/dblocks/cifar-100-binary/, or name its "
                   "folder with data.root."},
          &read_cifar100};
}

CatalogueEntry tiny_imagenet() {
  return {{.name = "tiny_imagenet",
           .channels = 3,
           .rows = 64,
           .columns = 64,
           .class_names = {},
           .mean = {0.485, 0.456, 0.406},
           .std = {0.229, 0.224, 0.225}},
          {.dataset = "tiny_imagenet",
           .folders = {"tiny-imagenet-200", "tiny_imagenet"},
           .files = {"train", "val/val_annotations.txt"},
           .hint = "unpack tiny-imagenet-200 (train/, val/, wnids.txt, "
                   "words.txt) into ~/.local/share/dblocks/, or name its "
                   "folder with data.root."},
          &read_tiny_imagenet};
}

CatalogueEntry catalogue_entry(const std::string& name) {
  struct Named {
    std::string_view name;
    CatalogueEntry (*make)();
  };
  static constexpr auto kNames =
      std::to_array<Named>({{"fashion_mnist", &fashion_mnist},
                            {"mnist", &mnist},
                            {"cifar10", &cifar10},
                            {"cifar100", &cifar100},
                            {"tiny_imagenet", &tiny_imagenet}});
  for (const Named& entry : kNames) {
    if (entry.name == name) {
      return entry.make();
    }
  }
  throw ConfigError(
      fmt::format("[open_dataset] expected fashion_mnist, mnist, cifar10, "
                  "cifar100, tiny_imagenet, image_folder, safetensors or npz, "
                  "found '{}': data.dataset",
                  name));
}

void take_statistics(const std::vector<double>& given,
                     const char* key,
                     int64_t channels,
                     std::vector<double>& kept) {
  if (given.empty()) {
    return;
  }
  DBLOCKS_CHECK(static_cast<int64_t>(given.size()) == channels, ConfigError,
                "[open_dataset] expected {} values, one per channel, found {}: "
                "{}",
                channels, given.size(), key);
  kept = given;
}

Dataset take_first(const Dataset& dataset, int64_t count, const char* key) {
  DBLOCKS_CHECK(count >= 0 && count <= dataset.size(), ConfigError,
                "[open_dataset] expected 0 (all) to {}, found {}: {}",
                dataset.size(), count, key);
  return count == 0 ? dataset : dataset.first(count);
}

// Mean and deviation as given, or as published.
void take_all_statistics(const DataOptions& options, DatasetInfo& info) {
  take_statistics(options.mean, "data.mean", info.channels, info.mean);
  take_statistics(options.std, "data.std", info.channels, info.std);
  for (const double deviation : info.std) {
    DBLOCKS_CHECK(deviation > 0, ConfigError,
                  "[open_dataset] expected positive values, found {}: data.std",
                  deviation);
  }
}

// Data of one's own have nothing published, but may say it themselves.
void set_plain_statistics(DatasetInfo& info) {
  for (std::vector<double>* values : {&info.mean, &info.std}) {
    if (values->empty()) {
      values->assign(static_cast<size_t>(info.channels), 0.5);
    }
  }
}

fs::path own_folder(const DataOptions& options) {
  std::error_code ignored;
  DBLOCKS_CHECK(!options.root.empty(), ConfigError,
                "[open_dataset] expected a folder for data.dataset = {}, found "
                "none: data.root",
                options.dataset);
  DBLOCKS_CHECK(fs::is_directory(options.root, ignored), DataError,
                "[open_dataset] expected a folder, found none: {} (data.root)",
                options.root);
  return options.root;
}

DataSplits open_image_folder(const DataOptions& options) {
  DBLOCKS_CHECK(options.image_size >= 1, ConfigError,
                "[open_dataset] expected a side of 1 pixel or more for "
                "data.dataset = image_folder, found {}: data.image_size",
                options.image_size);
  DBLOCKS_CHECK(options.image_channels == 1 || options.image_channels == 3,
                ConfigError,
                "[open_dataset] expected 1 or 3, found {}: data.image_channels",
                options.image_channels);
  DatasetInfo info{.name = "image_folder",
                   .channels = options.image_channels,
                   .rows = options.image_size,
                   .columns = options.image_size};
  set_plain_statistics(info);
  take_all_statistics(options, info);
  return read_image_folder(own_folder(options), info);
}

DataSplits open_arrays(const DataOptions& options) {
  const auto set_statistics = [&](DatasetInfo& info) {
    set_plain_statistics(info);
    take_all_statistics(options, info);
  };
  return options.dataset == "npz"
             ? read_npz_dataset(own_folder(options), set_statistics)
             : read_tensor_dataset(own_folder(options), set_statistics);
}

DataSplits open_named(const DataOptions& options) {
  if (options.dataset == "image_folder") {
    return open_image_folder(options);
  }
  if (options.dataset == "safetensors" || options.dataset == "npz") {
    return open_arrays(options);
  }
  CatalogueEntry entry = catalogue_entry(options.dataset);
  take_all_statistics(options, entry.info);
  return entry.read(find_dataset(options.root, entry.search), entry.info);
}

}  // namespace

SearchRecipe search_recipe(const std::string& dataset) {
  return catalogue_entry(dataset).search;
}

DataSplits open_dataset(const DataOptions& options) {
  DataSplits splits = open_named(options);
  splits = {
      take_first(splits.train, options.train_samples, "data.train_samples"),
      take_first(splits.test, options.test_samples, "data.test_samples")};
  if (options.on_bad_sample == BadSamplePolicy::kSkip) {
    splits.train.skip_bad_samples();
    splits.test.skip_bad_samples();
  }
  return splits;
}

std::vector<SearchRecipe> known_datasets() {
  std::vector<SearchRecipe> recipes;
  for (const char* name :
       {"fashion_mnist", "mnist", "cifar10", "cifar100", "tiny_imagenet"}) {
    recipes.push_back(catalogue_entry(name).search);
  }
  return recipes;
}

}  // namespace dblocks::data
