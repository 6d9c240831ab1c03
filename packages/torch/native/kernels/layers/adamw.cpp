// tls::adamw_: one AdamW step over lists of tensors, reading and writing each element once. CPU, float32 and float64.
// Anywhere else, and as the reference that tests compare with, `src/optim/` composes the same step of foreach operators.
//
// Everything is checked before anything is written: a refused call changes nothing.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <c10/core/GradMode.h>
#include <torch/library.h>

#include <cmath>
#include <cstdint>

#include "../work.h"

namespace tls {
namespace {

// Elements per task, so that small tensors are not spread over threads.
constexpr int64_t kGrain = 1 << 15;

template <typename T>
void update_tensor(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& first,
                   const at::Tensor& second, const AdamWStep<T>& step) {
  const at::Tensor rows = gradient.resolve_neg().contiguous();
  T* p = parameter.data_ptr<T>();
  const T* g = rows.data_ptr<T>();
  T* m = first.data_ptr<T>();
  T* v = second.data_ptr<T>();
  at::parallel_for(0, parameter.numel(), kGrain, [&](int64_t begin, int64_t end) {
    layer_kernels<T>().adamw(p + begin, g + begin, m + begin, v + begin, end - begin, step);
  });
}

void check_companion(const at::Tensor& tensor, const at::Tensor& parameter, const char* what, size_t index) {
  TORCH_CHECK(tensor.defined(), what, " ", index, " is undefined");
  TORCH_CHECK(tensor.device().is_cpu() && tensor.layout() == at::kStrided, what, " ", index,
              " must be a strided CPU tensor, but is ", tensor.layout(), " on ", tensor.device());
  TORCH_CHECK(tensor.scalar_type() == parameter.scalar_type(), what, " ", index, " has dtype ",
              tensor.scalar_type(), ", its parameter ", parameter.scalar_type());
  TORCH_CHECK(tensor.sizes() == parameter.sizes(), what, " ", index, " has shape ", tensor.sizes(),
              ", its parameter ", parameter.sizes());
}

// A tensor that is written to: its memory must be one block, and of its own.
void check_written(const at::Tensor& tensor, const char* what, size_t index) {
  TORCH_CHECK(tensor.is_contiguous() && !tensor.is_neg(), what, " ", index,
              " must be contiguous, but has strides ", tensor.strides());
  TORCH_CHECK(!(c10::GradMode::is_enabled() && tensor.requires_grad()), what, " ", index,
              " requires grad; change it inside noGrad");
}

void check_tensors(at::TensorList parameters, at::TensorList gradients, at::TensorList first_moments,
                   at::TensorList second_moments) {
  const size_t count = parameters.size();
  TORCH_CHECK(gradients.size() == count && first_moments.size() == count && second_moments.size() == count,
              "expected as many gradients and moments as parameters, received ", count, " parameters, ",
              gradients.size(), " gradients, ", first_moments.size(), " first and ", second_moments.size(),
              " second moments");
  for (size_t i = 0; i < count; ++i) {
    const at::Tensor& parameter = parameters[i];
    check_companion(parameter, parameter, "parameter", i);
    TORCH_CHECK(parameter.scalar_type() == at::kFloat || parameter.scalar_type() == at::kDouble,
                "parameter ", i, " has dtype ", parameter.scalar_type(),
                "; expected float32 or float64");
    check_companion(gradients[i], parameter, "gradient", i);
    check_companion(first_moments[i], parameter, "first moment", i);
    check_companion(second_moments[i], parameter, "second moment", i);
    check_written(parameter, "parameter", i);
    check_written(first_moments[i], "first moment", i);
    check_written(second_moments[i], "second moment", i);
  }
}

void check_numbers(double lr, double beta1, double beta2, double epsilon, double weight_decay, int64_t step) {
  TORCH_CHECK(std::isfinite(lr) && std::isfinite(weight_decay), "expected finite numbers, received lr ",
              lr, " and weight_decay ", weight_decay);
  TORCH_CHECK(beta1 >= 0 && beta1 < 1 && beta2 >= 0 && beta2 < 1,
              "expected betas in [0, 1), received ", beta1, " and ", beta2);
  TORCH_CHECK(epsilon >= 0, "expected epsilon of at least 0, received ", epsilon);
  TORCH_CHECK(step >= 1, "steps count from 1, received ", step);
}

// Autograd refuses to use a saved tensor that was changed behind its back; writing through pointers has to tell it.
void mark_changed(const at::Tensor& tensor) {
  if (!tensor.is_inference()) tensor.unsafeGetTensorImpl()->bump_version();
}

void adamw_(at::TensorList parameters, at::TensorList gradients, at::TensorList first_moments,
            at::TensorList second_moments, double lr, double beta1, double beta2, double epsilon, double weight_decay,
            int64_t step, double gradient_scale) {
  check_tensors(parameters, gradients, first_moments, second_moments);
  check_numbers(lr, beta1, beta2, epsilon, weight_decay, step);
  const double count = static_cast<double>(step);
  const double size = lr / (1 - std::pow(beta1, count));
  const double root_correction = 1 / std::sqrt(1 - std::pow(beta2, count));
  const AdamWStep<double> in_double{gradient_scale,        1 - beta1, beta2,           1 - beta2,
                               1 - lr * weight_decay, size,      root_correction, epsilon};
  const AdamWStep<float> in_float{float(gradient_scale), float(1 - beta1), float(beta2),           float(1 - beta2),
                             float(in_double.kept), float(size),      float(root_correction), float(epsilon)};
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].scalar_type() == at::kFloat)
      update_tensor(parameters[i], gradients[i], first_moments[i], second_moments[i], in_float);
    else
      update_tensor(parameters[i], gradients[i], first_moments[i], second_moments[i], in_double);
    mark_changed(parameters[i]);
    mark_changed(first_moments[i]);
    mark_changed(second_moments[i]);
  }
}

}  // namespace
}  // namespace tls

TORCH_LIBRARY_FRAGMENT(tls, library) {
  library.def(
      "adamw_(Tensor(a!)[] parameters, Tensor[] gradients, Tensor(b!)[] first_moments, Tensor(c!)[] second_moments, "
      "float lr, float beta1, float beta2, float epsilon, float weight_decay, int step, float gradient_scale) -> ()");
}

TORCH_LIBRARY_IMPL(tls, CPU, library) { library.impl("adamw_", tls::adamw_); }
