// Random number generators: seeds and states, per device.
#include <ATen/CPUGeneratorImpl.h>
#include <ATen/Context.h>

#include <mutex>

#include "boundary.h"

namespace tls {
namespace {

at::Generator generator_of(const Arguments& arguments, size_t index) {
  return at::globalContext().defaultGenerator(c10::Device(arguments.string(index)));
}

// manualSeed(seed): every device, as torch.manual_seed does.
napi_value manual_seed(napi_env env, const Arguments& arguments) {
  at::manual_seed(static_cast<uint64_t>(arguments.integer(0)));
  return make_undefined(env);
}

// rngState(device): a CPU byte tensor.
napi_value rng_state(napi_env env, const Arguments& arguments) {
  at::Generator generator = generator_of(arguments, 0);
  std::lock_guard<std::mutex> lock(generator.mutex());
  return make_integer(env, handles(env).add(generator.get_state()));
}

napi_value set_rng_state(napi_env env, const Arguments& arguments) {
  at::Generator generator = generator_of(arguments, 0);
  const at::Tensor& state = arguments.tensor(1);
  std::lock_guard<std::mutex> lock(generator.mutex());
  generator.set_state(state.contiguous());
  return make_undefined(env);
}

}  // namespace

void export_random(napi_env env, napi_value exports) {
  TLS_EXPORT(env, exports, "manualSeed", manual_seed);
  TLS_EXPORT(env, exports, "rngState", rng_state);
  TLS_EXPORT(env, exports, "setRngState", set_rng_state);
}

}  // namespace tls
