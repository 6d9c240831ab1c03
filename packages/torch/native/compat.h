// Everything that differs between libtorch 1.13 and 2.x, in one place.
#pragma once

#include <ATen/autocast_mode.h>
#include <ATen/detail/CUDAHooksInterface.h>
#include <c10/core/Allocator.h>
#include <torch/version.h>

#define TLS_TORCH_AT_LEAST(major, minor) \
  (TORCH_VERSION_MAJOR > (major) || (TORCH_VERSION_MAJOR == (major) && TORCH_VERSION_MINOR >= (minor)))

namespace tls::compat {

// `Allocator::allocate` lost its `const` in 2.3, and `copy_data` became pure virtual in the same release.
#if TLS_TORCH_AT_LEAST(2, 3)
#define TLS_ALLOCATE_CONST
#define TLS_ALLOCATOR_COPIES 1
#else
#define TLS_ALLOCATE_CONST const
#define TLS_ALLOCATOR_COPIES 0
#endif

struct AutocastState {
  bool enabled;
  at::ScalarType dtype;
};

// Autocast is switched per device type since 2.4; before, by one function for each device.
inline AutocastState autocast_state(at::DeviceType device) {
#if TLS_TORCH_AT_LEAST(2, 4)
  return {at::autocast::is_autocast_enabled(device), at::autocast::get_autocast_dtype(device)};
#else
  if (device == at::kCPU) return {at::autocast::is_cpu_enabled(), at::autocast::get_autocast_cpu_dtype()};
  return {at::autocast::is_enabled(), at::autocast::get_autocast_gpu_dtype()};
#endif
}

inline void set_autocast_state(at::DeviceType device, AutocastState state) {
#if TLS_TORCH_AT_LEAST(2, 4)
  at::autocast::set_autocast_enabled(device, state.enabled);
  at::autocast::set_autocast_dtype(device, state.dtype);
#else
  if (device == at::kCPU) {
    at::autocast::set_cpu_enabled(state.enabled);
    at::autocast::set_autocast_cpu_dtype(state.dtype);
  } else {
    at::autocast::set_enabled(state.enabled);
    at::autocast::set_autocast_gpu_dtype(state.dtype);
  }
#endif
}

inline int64_t cuda_device_count() { return at::detail::getCUDAHooks().getNumGPUs(); }

inline void cuda_synchronize() {
#if TLS_TORCH_AT_LEAST(2, 4)
  at::detail::getCUDAHooks().deviceSynchronize(at::detail::getCUDAHooks().getCurrentDevice());
#else
  at::detail::getCUDAHooks().deviceSynchronize(at::detail::getCUDAHooks().current_device());
#endif
}

}  // namespace tls::compat
