// tls::pool_tokens: the dynamic projection, forward and backward. CPU, float32 and float64; on CUDA see cuda/.
//
// Shape letters: B batch, L tokens, N heads, H head size, R slots.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>
#include <tuple>

#include "kernels.h"
#include "pool_check.h"
#include "pool_parts.h"
#include "../tensors.h"
#include "../work.h"

namespace tls {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Tokens that are pooled before those of the next head: few enough to be near when it comes to them, which lie between them.
constexpr int64_t kPartTokens = 512;

int64_t parts_of(int64_t tokens) { return std::max<int64_t>(1, (tokens + kPartTokens - 1) / kPartTokens); }

// Calls act(b, n, part, scratch) for all parts of all heads, on several threads.
template <class T, class Do>
void each_pool_part(int64_t batch, int64_t heads, int64_t parts, int64_t scratch_size, Do act) {
  at::parallel_for(0, batch * parts, (batch * parts + kWorkItems - 1) / kWorkItems, [&](int64_t begin, int64_t end) {
    ScratchMemory<T> scratch(scratch_size);
    for (int64_t item = begin; item < end; ++item)
      for (int64_t n = 0; n < heads; ++n) act(item / parts, n, item % parts, scratch.data());
  });
}

template <class T>
PoolArguments<T> arguments_of(const Tensor& logits, const Tensor& key, const Tensor& value, const Tensor& visible) {
  PoolArguments<T> a{};
  a.heads = key.size(2);
  a.head_size = key.size(3);
  a.tokens = key.size(1);
  a.slots = logits.size(3);
  a.logits = rows_of<const T>(logits);
  a.key = rows_of<const T>(key);
  a.value = rows_of<const T>(value);
  a.visible = visible.defined() ? visible.data_ptr<bool>() : nullptr;
  return a;
}

std::tuple<Tensor, Tensor, Tensor> forward_cpu(const Tensor& logits, const Tensor& key, const Tensor& value,
                                               const OptionalTensor& visible) {
  check_pool(logits, key, value, visible);
  const int64_t B = key.size(0), L = key.size(1), N = key.size(2), H = key.size(3), R = logits.size(3);
  Tensor pooled_key = at::zeros({B, R, N, H}, key.options()), pooled_value = at::zeros({B, R, N, H}, key.options());
  Tensor log_sums = at::zeros({B, N, R}, key.options());
  if (key.numel() == 0 || R == 0) return {pooled_key, pooled_value, log_sums};
  const Tensor s = with_rows(logits), k = with_rows(key), v = with_rows(value), seen = whole(visible);
  const int64_t parts = parts_of(L);
  Tensor sums = at::empty({B * N * parts, pool_part_size(R, H)}, key.options());
  AT_DISPATCH_FLOATING_TYPES(key.scalar_type(), "pool_tokens", [&] {
    const auto a = arguments_of<scalar_t>(s, k, v, seen);
    const auto& kernel = kernels<scalar_t>().pool;
    each_pool_part<scalar_t>(B, N, parts, kernel.scratch(a, false), [&](int64_t b, int64_t n, int64_t part, scalar_t* scratch) {
      scalar_t* to = sums.data_ptr<scalar_t>() + ((b * N + n) * parts + part) * pool_part_size(R, H);
      clear_pool_part(to, R, H);
      kernel.forward(a, b, n, L * part / parts, L * (part + 1) / parts, pool_part_at(to, R, H), scratch);
    });
    join_pool_parts(a, sums.data_ptr<scalar_t>(), B, parts, rows_of<scalar_t>(pooled_key), rows_of<scalar_t>(pooled_value),
                    log_sums.data_ptr<scalar_t>());
  });
  return {pooled_key, pooled_value, log_sums};
}

std::tuple<Tensor, Tensor, Tensor> backward_cpu(const Tensor& key_gradient, const Tensor& value_gradient,
                                                const Tensor& pooled_key, const Tensor& pooled_value, const Tensor& log_sums,
                                                const Tensor& logits, const Tensor& key, const Tensor& value,
                                                const OptionalTensor& visible) {
  check_pool(logits, key, value, visible);
  const int64_t B = key.size(0), L = key.size(1), N = key.size(2);
  // The kernel writes all of them, where there is anything to write.
  const bool nothing = key.numel() == 0 || logits.numel() == 0;
  const auto made = [&](const Tensor& like) {
    return nothing ? at::zeros(like.sizes(), like.options()) : at::empty(like.sizes(), like.options());
  };
  Tensor dlogits = made(logits), dkey = made(key), dvalue = made(key);
  if (nothing) return {dlogits, dkey, dvalue};
  for (const Tensor* tensor : {&key_gradient, &value_gradient, &pooled_value})
    check_like("gradient", *tensor, key, pooled_key.sizes());
  const Tensor s = with_rows(logits), k = with_rows(key), v = with_rows(value), seen = whole(visible),
               gk = with_rows(key_gradient), gv = with_rows(value_gradient), sums = log_sums.contiguous();
  AT_DISPATCH_FLOATING_TYPES(key.scalar_type(), "pool_tokens", [&] {
    auto a = arguments_of<scalar_t>(s, k, v, seen);
    a.log_sums = sums.data_ptr<scalar_t>();
    a.pooled_key = rows_of<const scalar_t>(pooled_key);
    a.pooled_value = rows_of<const scalar_t>(pooled_value);
    a.pooled_key_gradient = rows_of<const scalar_t>(gk);
    a.pooled_value_gradient = rows_of<const scalar_t>(gv);
    a.logit_gradient = rows_of<scalar_t>(dlogits);
    a.key_gradient = rows_of<scalar_t>(dkey);
    a.value_gradient = rows_of<scalar_t>(dvalue);
    const auto& kernel = kernels<scalar_t>().pool;
    const int64_t parts = parts_of(L);
    each_pool_part<scalar_t>(B, N, parts, kernel.scratch(a, true), [&](int64_t b, int64_t n, int64_t part, scalar_t* scratch) {
      kernel.backward(a, b, n, L * part / parts, L * (part + 1) / parts, scratch);
    });
  });
  return {dlogits, dkey, dvalue};
}

// ---- the operator with its gradient ------------------------------------------------------------------------------------------

using Forward = std::tuple<Tensor, Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&);
using Backward = std::tuple<Tensor, Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                                                    const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&);

class PoolTokens : public torch::autograd::Function<PoolTokens> {
 public:
  static variable_list forward(AutogradContext* context, const Tensor& logits, const Tensor& key, const Tensor& value,
                               const OptionalTensor& visible) {
    static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("tls::pool_tokens_forward", "").typed<Forward>();
    at::AutoDispatchBelowADInplaceOrView below;
    auto [pooled_key, pooled_value, log_sums] = op.call(logits, key, value, visible);
    context->save_for_backward({logits, key, value, or_none(visible), pooled_key, pooled_value, log_sums});
    return {pooled_key, pooled_value};
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    check_first_derivative("pool_tokens");
    static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("tls::pool_tokens_backward", "").typed<Backward>();
    const auto saved = context->get_saved_variables();
    const auto or_zeros = [&](const Tensor& gradient) { return gradient.defined() ? gradient : at::zeros_like(saved[4]); };
    auto [dlogits, dkey, dvalue] = op.call(or_zeros(gradients[0]), or_zeros(gradients[1]), saved[4], saved[5], saved[6],
                                           saved[0], saved[1], saved[2], optional_of(saved[3]));
    return {dlogits, dkey, dvalue, {}};
  }
};

std::tuple<Tensor, Tensor> pool_tokens(const Tensor& logits, const Tensor& key, const Tensor& value,
                                       const OptionalTensor& visible) {
  auto pooled = PoolTokens::apply(logits, key, value, visible);
  return {pooled[0], pooled[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tls, library) {
  library.def("pool_tokens(Tensor logits, Tensor key, Tensor value, Tensor? visible) -> (Tensor key, Tensor value)", pool_tokens);
  library.def(
      "pool_tokens_forward(Tensor logits, Tensor key, Tensor value, Tensor? visible) -> (Tensor key, Tensor value, Tensor "
      "log_sums)");
  library.def(
      "pool_tokens_backward(Tensor key_gradient, Tensor value_gradient, Tensor pooled_key, Tensor pooled_value, Tensor log_sums, "
      "Tensor logits, Tensor key, Tensor value, Tensor? visible) -> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(tls, CPU, library) {
  library.impl("pool_tokens_forward", forward_cpu);
  library.impl("pool_tokens_backward", backward_cpu);
}

}  // namespace tls
