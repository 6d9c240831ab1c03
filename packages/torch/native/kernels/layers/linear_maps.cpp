// tls::linear_maps: several linear maps of one input, forward and backward. CPU, float32 and float64. For weights that fit in a
// second-level cache; for others a library's products are as fast.
//
// Shape letters: M tokens, I inputs, O outputs of one map.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <vector>

#include "../tensors.h"
#include "../work.h"
#include "packed.h"

namespace tls {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Tokens that are worth a thread, and those of one copy of the weights' gradients at least; outputs whose gradients stay in cache.
constexpr int64_t kGrain = 192, kLeastTokens = 512, kOutputs = 48;

void check(const Tensor& input, at::TensorList weights, at::TensorList biases) {
  TORCH_CHECK(input.device().is_cpu() && input.dim() > 0, "linear_maps: expected an input (..., I) on cpu, received ",
              input.sizes(), " on ", input.device());
  TORCH_CHECK(!weights.empty() && (biases.empty() || biases.size() == weights.size()),
              "linear_maps: expected weights and as many biases or none, received ", weights.size(), " and ", biases.size());
  for (const Tensor& weight : weights)
    TORCH_CHECK(weight.dim() == 2 && weight.size(1) == input.size(-1) && weight.scalar_type() == input.scalar_type() &&
                    weight.device() == input.device(),
                "linear_maps: expected weights (O, ", input.size(-1), ") ", input.scalar_type(), ", received ", weight.sizes(),
                " ", weight.scalar_type());
  for (size_t m = 0; m < biases.size(); ++m) check_like("bias", biases[m], input, {weights[m].size(0)});
}

// (..., X) as rows.
Tensor rows(const Tensor& tensor) { return with_rows(tensor.reshape({-1, tensor.size(-1)})); }

// Maps whose weights are packed into `memory`, which they keep.
template <class T>
std::vector<LinearMap<T>> packed_maps(at::TensorList weights, PackedFor use, std::vector<Tensor>& memory) {
  std::vector<LinearMap<T>> maps;
  for (const Tensor& weight : weights) {
    memory.push_back(packed<T>(weight, use));
    LinearMap<T> map{};
    map.outputs = weight.size(0);
    map.packed = memory.back().data_ptr<T>();
    maps.push_back(map);
  }
  return maps;
}

std::vector<Tensor> forward_of(const Tensor& input, at::TensorList weights, at::TensorList biases) {
  const Tensor x = rows(input);
  const int64_t M = x.size(0);
  std::vector<Tensor> results, whole_biases, memory;
  for (const Tensor& weight : weights) {
    auto sizes = input.sizes().vec();
    sizes.back() = weight.size(0);
    results.push_back(at::empty(sizes, input.options()));
  }
  for (const Tensor& bias : biases) whole_biases.push_back(bias.contiguous());
  if (M == 0) return results;
  AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "linear_maps", [&] {
    auto maps = packed_maps<scalar_t>(weights, PackedFor::results, memory);
    for (size_t m = 0; m < maps.size(); ++m) {
      maps[m].bias = whole_biases.empty() ? nullptr : whole_biases[m].data_ptr<scalar_t>();
      maps[m].result = results[m].data_ptr<scalar_t>();
      maps[m].row = maps[m].outputs;
    }
    LinearArguments<scalar_t> a{x.size(1),   x.data_ptr<scalar_t>(), x.stride(0),
                                maps.data(), static_cast<int64_t>(maps.size()), nullptr, false};
    const auto& kernel = layer_kernels<scalar_t>().linear;
    at::parallel_for(0, M, kGrain, [&](int64_t first, int64_t end) {
      ScratchMemory<scalar_t> scratch(kernel.scratch(a, false));
      kernel.forward(a, first, end, scratch.data());
    });
  });
  return results;
}

// Gradients of the input (undefined where it is not wanted), of the weights, and of the biases where there are any.
struct Gradients {
  Tensor input;
  std::vector<Tensor> weights, biases;
};

// Gradients of weights (copies, O, Ip) and biases (copies, O): several copies where there are too few outputs for many threads.
struct Copies {
  int64_t count;
  std::vector<Tensor> weights, biases;
};

Copies make_copies(at::TensorList weights, bool biased, int64_t tokens, int64_t padded_inputs) {
  int64_t blocks = 0;
  for (const Tensor& weight : weights) blocks += (weight.size(0) + kOutputs - 1) / kOutputs;
  const int64_t wanted = (kWorkItems + blocks - 1) / std::max<int64_t>(1, blocks);
  Copies made{std::max<int64_t>(1, std::min(wanted, tokens / kLeastTokens)), {}, {}};
  for (const Tensor& weight : weights) {
    made.weights.push_back(at::zeros({made.count, weight.size(0), padded_inputs}, weight.options()));
    made.biases.push_back(biased ? at::zeros({made.count, weight.size(0)}, weight.options()) : Tensor());
  }
  return made;
}

template <class T>
std::vector<LinearPart<T>> parts_of(const std::vector<LinearMap<T>>& maps, const Copies& copies, int64_t tokens) {
  std::vector<LinearPart<T>> parts;
  for (size_t m = 0; m < maps.size(); ++m) {
    if (maps[m].result_gradient == nullptr) continue;
    for (int64_t output = 0; output < maps[m].outputs; output += kOutputs)
      for (int64_t i = 0; i < copies.count; ++i)
        parts.push_back({static_cast<int64_t>(m), output, std::min(output + kOutputs, maps[m].outputs), tokens * i / copies.count,
                         tokens * (i + 1) / copies.count, copies.weights[m].data_ptr<T>() + i * copies.weights[m].stride(0),
                         copies.biases[m].defined() ? copies.biases[m].data_ptr<T>() + i * copies.biases[m].stride(0) : nullptr});
  }
  return parts;
}

Gradients backward_of(const variable_list& gradients, const Tensor& input, at::TensorList weights, bool biased, bool of_input) {
  const Tensor x = rows(input);
  const int64_t M = x.size(0), I = x.size(1);
  Gradients found;
  Copies copies;
  std::vector<Tensor> given, memory;
  AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "linear_maps", [&] {
    const auto& kernel = layer_kernels<scalar_t>().linear;
    auto maps = packed_maps<scalar_t>(weights, PackedFor::input_gradient, memory);
    for (size_t m = 0; m < maps.size(); ++m) {
      given.push_back(gradients[m].defined() ? rows(gradients[m]) : Tensor());
      maps[m].result_gradient = given[m].defined() ? given[m].data_ptr<scalar_t>() : nullptr;
      maps[m].row = given[m].defined() ? given[m].stride(0) : 0;
    }
    if (of_input) found.input = at::empty(input.sizes(), input.options());
    const LinearArguments<scalar_t> a{I,           x.data_ptr<scalar_t>(), x.stride(0),
                                      maps.data(), static_cast<int64_t>(maps.size()),
                                      of_input ? found.input.data_ptr<scalar_t>() : nullptr, false};
    if (of_input)
      at::parallel_for(0, M, kGrain, [&](int64_t first, int64_t end) {
        ScratchMemory<scalar_t> scratch(kernel.scratch(a, true));
        kernel.input_gradient(a, first, end, scratch.data());
      });
    copies = make_copies(weights, biased, M, kernel.packed_size(1, I));
    const auto parts = parts_of(maps, copies, M);
    at::parallel_for(0, static_cast<int64_t>(parts.size()), 1, [&](int64_t begin, int64_t end) {
      ScratchMemory<scalar_t> scratch(kernel.scratch(a, true));
      for (int64_t i = begin; i < end; ++i) kernel.parameter_gradients(a, parts[static_cast<size_t>(i)], scratch.data());
    });
  });
  for (size_t m = 0; m < weights.size(); ++m) {
    found.weights.push_back(sum_of_copies(copies.weights[m]).narrow(1, 0, I).contiguous());
    if (biased) found.biases.push_back(sum_of_copies(copies.biases[m]));
  }
  return found;
}

// ---- the operator with its gradient ------------------------------------------------------------------------------------------

class LinearMaps : public torch::autograd::Function<LinearMaps> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& input, at::TensorList weights, at::TensorList biases) {
    at::AutoDispatchBelowADInplaceOrView below;
    variable_list saved{input};
    saved.insert(saved.end(), weights.begin(), weights.end());
    context->save_for_backward(std::move(saved));
    context->saved_data["biased"] = !biases.empty();
    context->saved_data["of_input"] = input.requires_grad();
    return forward_of(input, weights, biases);
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    check_first_derivative("linear_maps");
    const auto saved = context->get_saved_variables();
    at::AutoDispatchBelowADInplaceOrView below;
    Gradients found = backward_of(gradients, saved[0], at::TensorList(saved).slice(1), context->saved_data["biased"].toBool(),
                                  context->saved_data["of_input"].toBool());
    variable_list all{found.input};
    all.insert(all.end(), found.weights.begin(), found.weights.end());
    all.insert(all.end(), found.biases.begin(), found.biases.end());
    return all;
  }
};

std::vector<Tensor> linear_maps(const Tensor& input, at::TensorList weights, at::TensorList biases) {
  check(input, weights, biases);
  return LinearMaps::apply(input, weights, biases);
}

}  // namespace

// input (..., I), weights (O, I) and biases (O) each -> (..., O) each.
TORCH_LIBRARY_FRAGMENT(tls, library) {
  library.def("linear_maps(Tensor input, Tensor[] weights, Tensor[] biases) -> Tensor[]", linear_maps);
}

}  // namespace tls
