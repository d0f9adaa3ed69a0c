// SPDX-License-Identifier: Apache-2.0
#include "dblocks/nn/recompute.h"

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "dblocks/core/batch_part.h"

namespace dblocks::nn {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// The generators that a layer on `device` may draw from.
std::vector<at::Generator> generators_of(at::Device device) {
  std::vector<at::Generator> generators{at::detail::getDefaultCPUGenerator()};
  if (!device.is_cpu()) {
    generators.push_back(at::globalContext().defaultGenerator(device));
  }
  return generators;
}

/// Copies of generators as they stand.
std::vector<at::Generator> copies_of(
    const std::vector<at::Generator>& generators) {
  std::vector<at::Generator> copies;
  for (at::Generator generator : generators) {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    copies.push_back(generator.clone());
  }
  return copies;
}

std::vector<at::Tensor> states_of(
    const std::vector<at::Generator>& generators) {
  std::vector<at::Tensor> states;
  for (at::Generator generator : generators) {
    const std::lock_guard<std::mutex> lock(generator.mutex());
    states.push_back(generator.get_state());
  }
  return states;
}

/// Puts generators back to where they stood when they were copied, and when it
/// dies to where it found them.
class RandomReplay {
 public:
  RandomReplay(at::Device device, const std::vector<at::Generator>& copies)
      : generators_(generators_of(device)), outer_(states_of(generators_)) {
    set(states_of(copies));
  }
  ~RandomReplay() { set(outer_); }
  RandomReplay(const RandomReplay&) = delete;
  RandomReplay& operator=(const RandomReplay&) = delete;

 private:
  void set(const std::vector<at::Tensor>& states) {
    for (size_t i = 0; i < generators_.size(); ++i) {
      const std::lock_guard<std::mutex> lock(generators_[i].mutex());
      generators_[i].set_state(states[i]);
    }
  }

  std::vector<at::Generator> generators_;
  std::vector<at::Tensor> outer_;
};

/// What the backward pass needs besides tensors.
struct Replay : torch::CustomClassHolder {
  std::shared_ptr<ResidualLayer> layer;
  std::vector<at::Generator> generators;  // copies from before the layer ran
  BatchPart part;
};

/// The same values as the start of a graph of its own.
at::Tensor leaf_of(const at::Tensor& tensor) {
  return tensor.defined()
             ? tensor.detach().requires_grad_(tensor.requires_grad())
             : tensor;
}

class Recompute : public torch::autograd::Function<Recompute> {
 public:
  static at::Tensor forward(AutogradContext* context,
                            const at::Tensor& h,
                            const std::optional<at::Tensor>& condition,
                            const at::Tensor& /*graph*/,
                            const std::shared_ptr<ResidualLayer>& layer) {
    auto replay = c10::make_intrusive<Replay>();
    replay->layer = layer;
    replay->generators = copies_of(generators_of(h.device()));
    replay->part = current_batch_part();
    context->saved_data["replay"] = c10::IValue::make_capsule(replay);
    context->save_for_backward({h, *condition});
    return layer->forward(h, *condition);
  }

  static tensor_list backward(AutogradContext* context,
                              const tensor_list& gradients) {
    const auto replay = c10::static_intrusive_pointer_cast<Replay>(
        context->saved_data["replay"].toCapsule());
    const tensor_list inputs = context->get_saved_variables();
    const at::Tensor h = leaf_of(inputs[0]), condition = leaf_of(inputs[1]);
    torch::autograd::backward({run(*replay, h, condition)}, {gradients[0]});
    return {h.grad(), condition.defined() ? condition.grad() : at::Tensor(),
            at::Tensor(), at::Tensor()};
  }

 private:
  static at::Tensor run(const Replay& replay,
                        const at::Tensor& h,
                        const at::Tensor& condition) {
    const RandomReplay random(h.device(), replay.generators);
    const BatchPartGuard part(replay.part);
    const at::AutoGradMode with_graph(true);
    return replay.layer->forward(h, condition);
  }
};

}  // namespace

at::Tensor forward_recomputed(const std::shared_ptr<ResidualLayer>& layer,
                              const at::Tensor& h,
                              const at::Tensor& condition) {
  // Makes the result part of a graph even where only the layer's parameters,
  // which are no arguments, want gradients.
  const at::Tensor graph = at::empty({0}, h.options()).requires_grad_();
  return Recompute::apply(h, std::optional<at::Tensor>(condition), graph,
                          layer);
}

void set_recompute(torch::nn::Module& network, bool recompute) {
  network.apply([recompute](torch::nn::Module& module) {
    if (auto* stack = dynamic_cast<LayerStack*>(&module)) {
      stack->set_recompute(recompute);
    }
  });
}

}  // namespace dblocks::nn
