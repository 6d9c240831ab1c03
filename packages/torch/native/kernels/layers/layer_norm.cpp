// tls::layer_norm: LayerNorm over the last dimension, forward and backward. CPU, float32 and float64. The input's rows may lie apart.
//
// Shape letters: M rows, D width.
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <algorithm>

#include "../tensors.h"
#include "../work.h"

namespace tls {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Numbers that are worth a thread, and rows of one copy of the weights' gradients at least.
constexpr int64_t kGrain = 16384, kLeastRows = 512;

template <class T>
NormArguments<T> arguments_of(const Tensor& rows, const Tensor& weight, const Tensor& bias, const Tensor& means,
                              const Tensor& factors, double epsilon) {
  NormArguments<T> a{};
  a.width = rows.size(1);
  a.epsilon = epsilon;
  a.input = rows.data_ptr<T>();
  a.input_row = rows.stride(0);
  a.weight = weight.defined() ? weight.data_ptr<T>() : nullptr;
  a.bias = bias.defined() ? bias.data_ptr<T>() : nullptr;
  a.means = means.data_ptr<T>();
  a.factors = factors.data_ptr<T>();
  return a;
}

Tensor rows_of_width(const Tensor& tensor) { return with_rows(tensor.reshape({-1, tensor.size(-1)})); }

class LayerNorm : public torch::autograd::Function<LayerNorm> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& input, const OptionalTensor& weight, const OptionalTensor& bias,
                        double epsilon) {
    at::AutoDispatchBelowADInplaceOrView below;
    const Tensor x = rows_of_width(input), w = whole(weight), b = whole(bias);
    const int64_t M = x.size(0), D = x.size(1);
    Tensor result = at::empty(input.sizes(), input.options());
    Tensor means = at::empty({M}, input.options()), factors = at::empty({M}, input.options());
    AT_DISPATCH_FLOATING_TYPES(input.scalar_type(), "layer_norm", [&] {
      auto a = arguments_of<scalar_t>(x, w, b, means, factors, epsilon);
      a.result = result.data_ptr<scalar_t>();
      at::parallel_for(0, M, std::max<int64_t>(1, kGrain / D), [&](int64_t first, int64_t end) {
        layer_kernels<scalar_t>().norm.forward(a, first, end);
      });
    });
    context->save_for_backward({input, or_none(weight), means, factors});
    context->saved_data["biased"] = bias.has_value();
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    check_first_derivative("layer_norm");
    at::AutoDispatchBelowADInplaceOrView below;
    const auto saved = context->get_saved_variables();
    const Tensor x = rows_of_width(saved[0]), w = whole(optional_of(saved[1])), g = rows_of_width(gradients[0]);
    const int64_t M = x.size(0), D = x.size(1);
    const int64_t parts = std::max<int64_t>(1, std::min(kWorkItems, M / kLeastRows));
    const auto& options = x.options();
    Tensor dx = at::empty(saved[0].sizes(), options);
    Tensor dw = w.defined() ? at::zeros({parts, D}, options) : Tensor();
    Tensor db = context->saved_data["biased"].toBool() ? at::zeros({parts, D}, options) : Tensor();
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "layer_norm", [&] {
      auto a = arguments_of<scalar_t>(x, w, Tensor(), saved[2], saved[3], 0);
      a.result_gradient = g.data_ptr<scalar_t>();
      a.gradient_row = g.stride(0);
      a.input_gradient = dx.data_ptr<scalar_t>();
      at::parallel_for(0, parts, 1, [&](int64_t begin, int64_t end) {
        for (int64_t part = begin; part < end; ++part)
          layer_kernels<scalar_t>().norm.backward(a, M * part / parts, M * (part + 1) / parts,
                                                  dw.defined() ? dw.data_ptr<scalar_t>() + part * D : nullptr,
                                                  db.defined() ? db.data_ptr<scalar_t>() + part * D : nullptr);
      });
    });
    return {dx, sum_of_copies(dw), sum_of_copies(db), {}};
  }
};

Tensor layer_norm(const Tensor& input, const OptionalTensor& weight, const OptionalTensor& bias, double epsilon) {
  TORCH_CHECK(input.device().is_cpu() && input.dim() > 0 && input.size(-1) > 0,
              "layer_norm: expected an input (..., D) on cpu with D from 1, received ", input.sizes(), " on ", input.device());
  if (weight) check_like("weight", *weight, input, {input.size(-1)});
  if (bias) check_like("bias", *bias, input, {input.size(-1)});
  return LayerNorm::apply(input, weight, bias, epsilon);
}

}  // namespace

// input (..., D), weight (D), bias (D) -> (..., D).
TORCH_LIBRARY_FRAGMENT(tls, library) {
  library.def("layer_norm(Tensor input, Tensor? weight, Tensor? bias, float epsilon) -> Tensor", layer_norm);
}

}  // namespace tls
