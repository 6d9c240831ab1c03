// tls::feed_forward: GELU between two linear maps, for inference. CPU, float32 and float64.
//
// Shape letters: M tokens, I inputs, F inner width, O outputs.
#include <ATen/ATen.h>
#include <torch/library.h>

#include "../tensors.h"
#include "../work.h"
#include "packed.h"

namespace tls {
namespace {

using at::Tensor;

// Tokens that are worth a thread.
constexpr int64_t kGrain = 96;

Tensor feed_forward(const Tensor& input, const Tensor& first, const OptionalTensor& first_bias, const Tensor& second,
                    const OptionalTensor& second_bias) {
  TORCH_CHECK(input.device().is_cpu() && input.dim() > 0, "feed_forward: expected an input (..., I) on cpu, received ",
              input.sizes(), " on ", input.device());
  const auto wanted = [](const OptionalTensor& tensor) { return tensor && tensor->requires_grad(); };
  TORCH_CHECK(!at::GradMode::is_enabled() || !(wanted(input) || wanted(first) || wanted(first_bias) || wanted(second) || wanted(second_bias)),
              "feed_forward: expected no gradients to be wanted, which it has none of");
  TORCH_CHECK(first.dim() == 2 && second.dim() == 2, "feed_forward: expected two weights (out, in), received ", first.sizes(),
              " and ", second.sizes());
  check_like("first weight", first, input, {first.size(0), input.size(-1)});
  check_like("second weight", second, input, {second.size(0), first.size(0)});
  if (first_bias) check_like("first bias", *first_bias, input, {first.size(0)});
  if (second_bias) check_like("second bias", *second_bias, input, {second.size(0)});
  const Tensor x = with_rows(input.reshape({-1, input.size(-1)})), b = whole(first_bias), c = whole(second_bias);
  auto sizes = input.sizes().vec();
  sizes.back() = second.size(0);
  Tensor result = at::empty(sizes, input.options());
  if (result.numel() == 0) return result;
  AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "feed_forward", [&] {
    const Tensor first_packed = packed<scalar_t>(first, PackedFor::results),
                 second_packed = packed<scalar_t>(second, PackedFor::results);
    FeedForwardArguments<scalar_t> a{};
    a.inputs = x.size(1);
    a.inner = first.size(0);
    a.outputs = second.size(0);
    a.input = x.data_ptr<scalar_t>();
    a.input_row = x.stride(0);
    a.first = first_packed.data_ptr<scalar_t>();
    a.second = second_packed.data_ptr<scalar_t>();
    a.first_bias = b.defined() ? b.data_ptr<scalar_t>() : nullptr;
    a.second_bias = c.defined() ? c.data_ptr<scalar_t>() : nullptr;
    a.result = result.data_ptr<scalar_t>();
    const auto& kernel = layer_kernels<scalar_t>().feed_forward;
    at::parallel_for(0, x.size(0), kGrain, [&](int64_t begin, int64_t end) {
      ScratchMemory<scalar_t> scratch(kernel.scratch(a));
      kernel.forward(a, begin, end, scratch.data());
    });
  });
  return result;
}

}  // namespace

// input (..., I), first (F, I), first_bias (F), second (O, F), second_bias (O) -> (..., O). It has no gradient.
TORCH_LIBRARY_FRAGMENT(tls, library) {
  library.def("feed_forward(Tensor input, Tensor first, Tensor? first_bias, Tensor second, Tensor? second_bias) -> Tensor");
}
TORCH_LIBRARY_IMPL(tls, CPU, library) { library.impl("feed_forward", feed_forward); }

}  // namespace tls
