// Autograd: backward passes, gradients, the thread's grad mode, autocast.
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>

#include "boundary.h"
#include "compat.h"

namespace tls {
namespace {

std::vector<at::Tensor> optional_tensors(const Arguments& arguments, size_t index) {
  return arguments.missing(index) ? std::vector<at::Tensor>{} : arguments.tensors(index);
}

void check_pairs(size_t outputs, size_t gradients) {
  if (gradients != 0 && gradients != outputs)
    bad_argument(std::to_string(outputs) + " outputs need as many gradients, received " + std::to_string(gradients));
}

// backward(outputs, gradients | null, retainGraph, createGraph): adds to `.grad` of the leaves.
napi_value backward(napi_env env, const Arguments& arguments) {
  std::vector<at::Tensor> outputs = arguments.tensors(0), gradients = optional_tensors(arguments, 1);
  check_pairs(outputs.size(), gradients.size());
  torch::autograd::backward(outputs, gradients, arguments.boolean(2), arguments.boolean(3));
  return make_undefined(env);
}

// gradients(outputs, inputs, gradients | null, retainGraph, createGraph, allowUnused): handles, -1 for an unused input.
napi_value gradients(napi_env env, const Arguments& arguments) {
  std::vector<at::Tensor> outputs = arguments.tensors(0), inputs = arguments.tensors(1);
  std::vector<at::Tensor> seeds = optional_tensors(arguments, 2);
  check_pairs(outputs.size(), seeds.size());
  auto found = torch::autograd::grad(outputs, inputs, seeds, arguments.boolean(3), arguments.boolean(4), arguments.boolean(5));
  napi_value result = make_array(env, found.size());
  for (size_t i = 0; i < found.size(); ++i) set_element(env, result, i, make_integer(env, handles(env).add(found[i])));
  return result;
}

napi_value requires_grad(napi_env env, const Arguments& arguments) {
  return make_boolean(env, arguments.tensor(0).requires_grad());
}

napi_value set_requires_grad(napi_env env, const Arguments& arguments) {
  arguments.tensor(0).set_requires_grad(arguments.boolean(1));
  return make_undefined(env);
}

napi_value is_leaf(napi_env env, const Arguments& arguments) { return make_boolean(env, arguments.tensor(0).is_leaf()); }

// grad(tensor): a handle, or -1 where no gradient has been computed.
napi_value grad(napi_env env, const Arguments& arguments) {
  const at::Tensor& tensor = arguments.tensor(0);
  if (!tensor.is_leaf() && !tensor.retains_grad()) return make_integer(env, -1);  // libtorch would only warn
  return make_integer(env, handles(env).add(tensor.grad()));
}

// setGrad(tensor, gradient | null)
napi_value set_grad(napi_env env, const Arguments& arguments) {
  const at::Tensor& tensor = arguments.tensor(0);
  if (arguments.missing(1)) {
    tensor.mutable_grad() = at::Tensor();
    return make_undefined(env);
  }
  const at::Tensor& gradient = arguments.tensor(1);
  if (gradient.sizes() != tensor.sizes() || gradient.scalar_type() != tensor.scalar_type() || gradient.device() != tensor.device())
    bad_argument("a gradient must have its tensor's shape, dtype and device");
  tensor.mutable_grad() = gradient;
  return make_undefined(env);
}

napi_value grad_enabled(napi_env env, const Arguments&) { return make_boolean(env, c10::GradMode::is_enabled()); }

napi_value set_grad_enabled(napi_env env, const Arguments& arguments) {
  c10::GradMode::set_enabled(arguments.boolean(0));
  return make_undefined(env);
}

// autocast(deviceType): { enabled, dtype }
napi_value autocast(napi_env env, const Arguments& arguments) {
  auto state = compat::autocast_state(c10::Device(arguments.string(0)).type());
  napi_value result = make_object(env);
  set_property(env, result, "enabled", make_boolean(env, state.enabled));
  set_property(env, result, "dtype", make_integer(env, static_cast<int64_t>(state.dtype)));
  return result;
}

// setAutocast(deviceType, enabled, dtype): leaving autocast also drops the cached casts of the weights.
napi_value set_autocast(napi_env env, const Arguments& arguments) {
  auto device = c10::Device(arguments.string(0)).type();
  compat::AutocastState state{arguments.boolean(1), to_scalar_type(arguments.integer(2))};
  compat::set_autocast_state(device, state);
  if (!state.enabled) at::autocast::clear_cache();
  return make_undefined(env);
}

}  // namespace

void export_autograd(napi_env env, napi_value exports) {
  TLS_EXPORT(env, exports, "backward", backward);
  TLS_EXPORT(env, exports, "gradients", gradients);
  TLS_EXPORT(env, exports, "requiresGrad", requires_grad);
  TLS_EXPORT(env, exports, "setRequiresGrad", set_requires_grad);
  TLS_EXPORT(env, exports, "isLeaf", is_leaf);
  TLS_EXPORT(env, exports, "grad", grad);
  TLS_EXPORT(env, exports, "setGrad", set_grad);
  TLS_EXPORT(env, exports, "gradEnabled", grad_enabled);
  TLS_EXPORT(env, exports, "setGradEnabled", set_grad_enabled);
  TLS_EXPORT(env, exports, "autocast", autocast);
  TLS_EXPORT(env, exports, "setAutocast", set_autocast);
}

}  // namespace tls
