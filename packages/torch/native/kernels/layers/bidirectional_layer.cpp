// tls::bidirectional_layer: a whole layer of bidirectional long-short attention (Zhu et al. 2021, section 3): linear maps, norms,
// dynamic projection, windows and the map of the results, forward and backward. CPU, float32 and float64. `BidirectionalAttention` of
// transformer-ls composes the same of other operators, which is what this answers to.
//
// Shape letters: B batch, L tokens, D width, N heads, R slots of a head.
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <tuple>
#include <utility>

#include "bidirectional_sweeps.h"

namespace tls {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

Inputs readable(const Tensor& x, at::TensorList weights, at::TensorList biases, at::TensorList norms, const Tensor& visible,
                const Tensor& pooled) {
  Inputs in;
  in.x = x.contiguous();
  for (int m = 0; m < kMaps; ++m) {
    in.weights[m] = weights[m].contiguous();
    in.biases[m] = biases[m].contiguous();
  }
  for (int n = 0; n < kNorms; ++n) in.norms[n] = norms[n].contiguous();
  if (visible.defined()) in.visible = visible.contiguous();
  if (pooled.defined()) in.pooled = pooled.contiguous();
  return in;
}

// Nothing but a sequence in one process: no group. The operators are there where libtorch has c10d; see sequence_parallel.cc.
constexpr int64_t kAlone = -1;

void merge_over_processes(Kept& kept, const Inputs& in, int64_t group) {
  if (group == kAlone) return;
  using Merge = std::tuple<Tensor, Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&, int64_t);
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("tls::merge_pooled_over_processes", "").typed<Merge>();
  std::tie(kept.pooled_key, kept.pooled_value, kept.pool_log_sums) =
      op.call(kept.pooled_key, kept.pooled_value, kept.pool_log_sums, optional_of(in.pooled), group);
}

void sum_over_processes(Pooled& pooled, int64_t group) {
  if (group == kAlone) return;
  using Sum = Tensor(const Tensor&, int64_t);
  static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("tls::sum_over_processes", "").typed<Sum>();
  const Tensor both = op.call(at::stack({pooled.key, pooled.value}), group);
  pooled = {both[0], both[1]};
}

class BidirectionalLayer : public torch::autograd::Function<BidirectionalLayer> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& x, at::TensorList weights, at::TensorList biases,
                        at::TensorList norms, const OptionalTensor& visible, int64_t heads, int64_t window, int64_t reach,
                        at::ArrayRef<double> epsilons, double scale, double dropout, int64_t seed, bool keep_keys, bool keep_values,
                        const OptionalTensor& pooled, int64_t group) {
    at::AutoDispatchBelowADInplaceOrView below;
    const Inputs in = readable(x, weights, biases, norms, or_none(visible), or_none(pooled));
    const Settings settings{heads,       window, reach, epsilons[0], epsilons[1], scale, {dropout, static_cast<uint64_t>(seed)}};
    Kept kept;
    Tensor result;
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "bidirectional_layer", [&] {
      result = Layer<scalar_t>(in, settings).forward(kept, [&](Kept& found) { merge_over_processes(found, in, group); });
    });
    variable_list saved{x,
                        or_none(visible),
                        or_none(pooled),
                        keep_keys ? kept.key : Tensor(),
                        keep_values ? kept.value : Tensor(),
                        kept.statistics,
                        kept.log_sums,
                        kept.pooled_key,
                        kept.pooled_value,
                        kept.pool_log_sums};
    for (const auto& list : {weights, biases, norms}) saved.insert(saved.end(), list.begin(), list.end());
    context->save_for_backward(std::move(saved));
    auto& numbers = context->saved_data;
    numbers["heads"] = heads;
    numbers["window"] = window;
    numbers["reach"] = reach;
    numbers["token_epsilon"] = epsilons[0];
    numbers["slot_epsilon"] = epsilons[1];
    numbers["scale"] = scale;
    numbers["dropout"] = dropout;
    numbers["seed"] = seed;
    numbers["group"] = group;
    numbers["of_input"] = x.requires_grad();
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    check_first_derivative("bidirectional_layer");
    at::AutoDispatchBelowADInplaceOrView below;
    const auto saved = context->get_saved_variables();
    auto& numbers = context->saved_data;
    const at::TensorList parameters = at::TensorList(saved).slice(10);
    const Inputs in = readable(saved[0], parameters.slice(0, kMaps), parameters.slice(kMaps, kMaps),
                               parameters.slice(2 * kMaps, kNorms), saved[1], saved[2]);
    const Kept kept{saved[3], saved[4], saved[5], saved[6], saved[7], saved[8], saved[9]};
    const Settings settings{numbers["heads"].toInt(),
                            numbers["window"].toInt(),
                            numbers["reach"].toInt(),
                            numbers["token_epsilon"].toDouble(),
                            numbers["slot_epsilon"].toDouble(),
                            numbers["scale"].toDouble(),
                            {numbers["dropout"].toDouble(), static_cast<uint64_t>(numbers["seed"].toInt())}};
    Gradients found;
    AT_DISPATCH_FLOATING_TYPES(in.x.scalar_type(), "bidirectional_layer", [&] {
      found = Layer<scalar_t>(in, settings).backward(gradients[0].contiguous(), kept, numbers["of_input"].toBool(),
                                                     [&](Pooled& pooled) { sum_over_processes(pooled, numbers["group"].toInt()); });
    });
    variable_list all{found.x};
    all.insert(all.end(), found.weights.begin(), found.weights.end());
    all.insert(all.end(), found.biases.begin(), found.biases.end());
    all.insert(all.end(), found.norms.begin(), found.norms.end());
    all.resize(all.size() + 12);
    return all;
  }
};

void check(const Tensor& x, at::TensorList weights, at::TensorList biases, at::TensorList norms, const OptionalTensor& visible,
           const OptionalTensor& pooled, int64_t heads, int64_t window, int64_t reach, at::ArrayRef<double> epsilons, double dropout) {
  TORCH_CHECK(x.dim() == 3 && x.device().is_cpu() && x.numel() > 0, "bidirectional_layer: expected x (B, L, D) on cpu, received ",
              x.sizes(), " on ", x.device());
  const int64_t D = x.size(2);
  TORCH_CHECK(heads > 0 && D % heads == 0, "bidirectional_layer: expected a number of heads that divides ", D, ", received ", heads);
  TORCH_CHECK(window > 0 && reach >= 0 && reach <= window, "bidirectional_layer: expected a window and no greater reach, received ",
              window, " and ", reach);
  TORCH_CHECK(dropout >= 0 && dropout < 1, "bidirectional_layer: expected a dropout probability from 0 to 1, received ", dropout);
  TORCH_CHECK(weights.size() == kMaps && biases.size() == kMaps && norms.size() == kNorms && epsilons.size() == 2,
              "bidirectional_layer: expected ", int{kMaps}, " weights, as many biases, ", int{kNorms},
              " parameters of norms and 2 epsilons, received ", weights.size(), ", ", biases.size(), ", ", norms.size(), " and ",
              epsilons.size());
  const int64_t logits = weights[kLogits].dim() == 2 ? weights[kLogits].size(0) : 0;
  TORCH_CHECK(logits > 0 && logits % heads == 0, "bidirectional_layer: expected logits of at least one slot for each of ", heads,
              " heads, received a weight ", weights[kLogits].sizes());
  for (int m = 0; m < kMaps; ++m) {
    const int64_t O = m == kLogits ? logits : D;
    check_like("weight", weights[m], x, {O, D});
    check_like("bias", biases[m], x, {O});
  }
  for (const Tensor& norm : norms) check_like("norm", norm, x, {D});
  for (const OptionalTensor* flags : {&visible, &pooled})
    if (*flags)
      TORCH_CHECK((*flags)->scalar_type() == at::kBool && (*flags)->sizes() == x.sizes().slice(0, 2),
                  "bidirectional_layer: expected visible and pooled (B, L) of booleans, received ", (*flags)->scalar_type(), " ",
                  (*flags)->sizes());
}

Tensor bidirectional_layer(const Tensor& x, at::TensorList weights, at::TensorList biases, at::TensorList norms,
                           const OptionalTensor& visible, int64_t heads, int64_t window, int64_t reach,
                           at::ArrayRef<double> epsilons, double scale, double dropout, int64_t seed, bool keep_keys, bool keep_values,
                           const OptionalTensor& pooled, int64_t group) {
  check(x, weights, biases, norms, visible, pooled, heads, window, reach, epsilons, dropout);
  return BidirectionalLayer::apply(x, weights, biases, norms, visible, heads, window, reach, epsilons, scale, dropout, seed,
                                   keep_keys, keep_values, pooled, group);
}

}  // namespace

// weights, biases: of queries, keys, values (D, D), of logits (N * R, D), of the result (D, D); norms: weight and bias of all keys
// and values, then of the pooled ones; epsilons of both. Keys and values that are not kept are computed again in the backward pass. pooled:
// which tokens are compressed, where these are not the visible ones; group: of processes that have other parts of the sequence, or -1.
TORCH_LIBRARY_FRAGMENT(tls, library) {
  library.def(
      "bidirectional_layer(Tensor x, Tensor[] weights, Tensor[] biases, Tensor[] norms, Tensor? visible, int heads, int window, int "
      "reach, float[] epsilons, float scale, float dropout, int seed, bool keep_keys, bool keep_values, Tensor? pooled=None, int group=-1) -> "
      "Tensor",
      bidirectional_layer);
}

}  // namespace tls
