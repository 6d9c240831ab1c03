// Memory: how many tensors JavaScript holds and how many bytes libtorch has allocated on the CPU.
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <malloc.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <limits>

#include "boundary.h"
#include "compat.h"

namespace tls {
namespace {

std::atomic<int64_t> allocated_bytes{0};
std::atomic<int64_t> peak_bytes{0};

void count(int64_t bytes) {
  int64_t now = allocated_bytes.fetch_add(bytes, std::memory_order_relaxed) + bytes;
  int64_t peak = peak_bytes.load(std::memory_order_relaxed);
  while (now > peak && !peak_bytes.compare_exchange_weak(peak, now, std::memory_order_relaxed)) {
  }
}

void release(void* data) {
  if (!data) return;
  count(-static_cast<int64_t>(malloc_usable_size(data)));
  c10::free_cpu(data);
}

// libtorch's own CPU allocation, counted.
class CountingAllocator final : public at::Allocator {
 public:
  at::DataPtr allocate(size_t bytes) TLS_ALLOCATE_CONST override {
    void* data = c10::alloc_cpu(bytes);
    if (data) count(static_cast<int64_t>(malloc_usable_size(data)));
    return {data, data, &release, at::Device(at::kCPU)};
  }
  at::DeleterFnPtr raw_deleter() const override { return &release; }
#if TLS_ALLOCATOR_COPIES
  void copy_data(void* destination, const void* source, size_t bytes) const override {
    std::memcpy(destination, source, bytes);
  }
#endif
};

// glibc gives large blocks back to the kernel at every free and has each new one cleared page by page: a training step
// spent a fifth of its time there. Freed blocks stay with the process instead, as with every caching allocator. Settings in
// the environment (MALLOC_MMAP_THRESHOLD_ and MALLOC_TRIM_THRESHOLD_) win.
void keep_freed_pages() {
#ifdef __GLIBC__
  constexpr int kLargestBlock = 1 << 30;
  if (!std::getenv("MALLOC_MMAP_THRESHOLD_")) mallopt(M_MMAP_THRESHOLD, kLargestBlock);
  if (!std::getenv("MALLOC_TRIM_THRESHOLD_")) mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
#endif
}

void install_allocator() {
  static const bool once = [] {
    keep_freed_pages();
    static CountingAllocator allocator;
    c10::SetCPUAllocator(&allocator, /*priority=*/1);
    return true;
  }();
  (void)once;
}

// memoryStats(): { liveTensors, allocatedBytes, peakAllocatedBytes }
napi_value memory_stats(napi_env env, const Arguments&) {
  napi_value result = make_object(env);
  set_property(env, result, "liveTensors", make_integer(env, handles(env).live()));
  set_property(env, result, "allocatedBytes", make_integer(env, allocated_bytes.load()));
  set_property(env, result, "peakAllocatedBytes", make_integer(env, peak_bytes.load()));
  return result;
}

napi_value reset_peak(napi_env env, const Arguments&) {
  peak_bytes.store(allocated_bytes.load());
  return make_undefined(env);
}

// adjustExternalMemory(bytes): tells V8 of memory it cannot see; negative when freed.
napi_value adjust_external_memory(napi_env env, const Arguments& arguments) {
  int64_t change = arguments.integer(0), total = 0, most = int64_t{1} << 50;  // V8 ends the process beyond 2^60
  if (change > most || change < -most) bad_argument("expected at most 2^50 bytes, received " + std::to_string(change));
  check(env, napi_adjust_external_memory(env, change, &total), "reporting external memory");
  return make_integer(env, total);
}

}  // namespace

void export_memory(napi_env env, napi_value exports) {
  install_allocator();
  TLS_EXPORT(env, exports, "memoryStats", memory_stats);
  TLS_EXPORT(env, exports, "resetPeakMemory", reset_peak);
  TLS_EXPORT(env, exports, "adjustExternalMemory", adjust_external_memory);
}

}  // namespace tls
