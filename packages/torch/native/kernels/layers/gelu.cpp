// tls::gelu: the exact GELU, forward and backward. CPU, float32 and float64.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include "../tensors.h"
#include "../work.h"

namespace tls {
namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Numbers that are worth a thread; a whole number of vectors.
constexpr int64_t kGrain = 16384;

// Calls act(first, count) for all numbers, on several threads. Where threads meet, vectors end: results do not tell where.
template <class Do>
void each_run(int64_t count, Do act) {
  at::parallel_for(0, (count + kGrain - 1) / kGrain, 1, [&](int64_t begin, int64_t end) {
    act(begin * kGrain, std::min(count, end * kGrain) - begin * kGrain);
  });
}

class Gelu : public torch::autograd::Function<Gelu> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& input) {
    at::AutoDispatchBelowADInplaceOrView below;
    const Tensor x = input.contiguous();
    Tensor result = at::empty(x.sizes(), x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "gelu", [&] {
      each_run(x.numel(), [&](int64_t first, int64_t count) {
        layer_kernels<scalar_t>().gelu.forward(result.data_ptr<scalar_t>() + first, x.data_ptr<scalar_t>() + first, count);
      });
    });
    context->save_for_backward({input});
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    check_first_derivative("gelu");
    at::AutoDispatchBelowADInplaceOrView below;
    const Tensor x = context->get_saved_variables()[0].contiguous(), g = gradients[0].contiguous();
    Tensor dx = at::empty(x.sizes(), x.options());
    AT_DISPATCH_FLOATING_TYPES(x.scalar_type(), "gelu", [&] {
      each_run(x.numel(), [&](int64_t first, int64_t count) {
        layer_kernels<scalar_t>().gelu.backward(dx.data_ptr<scalar_t>() + first, x.data_ptr<scalar_t>() + first,
                                                g.data_ptr<scalar_t>() + first, count);
      });
    });
    return {dx};
  }
};

Tensor gelu(const Tensor& input) {
  TORCH_CHECK(input.device().is_cpu(), "gelu: expected an input on cpu, received ", input.device());
  return Gelu::apply(input);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tls, library) { library.def("gelu(Tensor input) -> Tensor", gelu); }

}  // namespace tls
