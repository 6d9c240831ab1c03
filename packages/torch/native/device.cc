// What this libtorch is and what it runs on.
#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <dlfcn.h>
#include <torch/version.h>

#include <thread>

#include "boundary.h"
#include "compat.h"

namespace tls {
namespace {

// The BLAS that libtorch calls, asked of the library itself; null where it is not OpenBLAS.
napi_value openblas_config(napi_env env) {
  using Describe = char* (*)();
  auto config = reinterpret_cast<Describe>(dlsym(RTLD_DEFAULT, "openblas_get_config"));
  auto core = reinterpret_cast<Describe>(dlsym(RTLD_DEFAULT, "openblas_get_corename"));
  if (!config) return make_null(env);
  return make_string(env, std::string(config()) + (core ? std::string(" core ") + core() : ""));
}

// buildInfo(): { version, config, parallel, openblas }
napi_value build_info(napi_env env, const Arguments&) {
  napi_value result = make_object(env);
  set_property(env, result, "version", make_string(env, TORCH_VERSION));
  set_property(env, result, "config", make_string(env, at::show_config()));
  set_property(env, result, "parallel", make_string(env, at::get_parallel_info()));
  set_property(env, result, "openblas", openblas_config(env));
  return result;
}

napi_value has_cuda(napi_env env, const Arguments&) { return make_boolean(env, at::hasCUDA()); }

napi_value cuda_device_count(napi_env env, const Arguments&) {
  return make_integer(env, at::hasCUDA() ? compat::cuda_device_count() : 0);
}

// synchronize(): waits until the GPU's queued work is done; nothing to wait for on the CPU.
napi_value synchronize(napi_env env, const Arguments&) {
  if (at::hasCUDA()) compat::cuda_synchronize();
  return make_undefined(env);
}

napi_value threads(napi_env env, const Arguments&) { return make_integer(env, at::get_num_threads()); }

// libtorch sets OpenMP's threads only; an OpenBLAS with threads of its own would go on using every core.
void set_openblas_threads(int count) {
  using Set = void (*)(int);
  if (auto set = reinterpret_cast<Set>(dlsym(RTLD_DEFAULT, "openblas_set_num_threads"))) set(count);
}

// libgomp ends the process when the system refuses it a thread, so far more than there are cores is refused here.
napi_value set_threads(napi_env env, const Arguments& arguments) {
  int64_t count = arguments.integer(0), most = std::max<int64_t>(64, 4 * std::thread::hardware_concurrency());
  if (count < 1 || count > most)
    bad_argument("expected 1 to " + std::to_string(most) + " threads, received " + std::to_string(count));
  at::set_num_threads(static_cast<int>(count));
  set_openblas_threads(static_cast<int>(count));
  return make_undefined(env);
}

napi_value set_deterministic(napi_env env, const Arguments& arguments) {
  at::globalContext().setDeterministicAlgorithms(arguments.boolean(0), false);
  return make_undefined(env);
}

}  // namespace

void export_device(napi_env env, napi_value exports) {
  TLS_EXPORT(env, exports, "buildInfo", build_info);
  TLS_EXPORT(env, exports, "hasCuda", has_cuda);
  TLS_EXPORT(env, exports, "cudaDeviceCount", cuda_device_count);
  TLS_EXPORT(env, exports, "synchronize", synchronize);
  TLS_EXPORT(env, exports, "threads", threads);
  TLS_EXPORT(env, exports, "setThreads", set_threads);
  TLS_EXPORT(env, exports, "setDeterministic", set_deterministic);
}

}  // namespace tls
