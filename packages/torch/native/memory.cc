// Memory: how many tensors JavaScript holds and how many bytes libtorch has allocated on the CPU.
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <malloc.h>

#include <atomic>
#include <cstring>

#include "block_cache.h"
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
  if (size_t held = give_block(data)) return count(-static_cast<int64_t>(held));
  count(-static_cast<int64_t>(malloc_usable_size(data)));
  c10::free_cpu(data);
}

// libtorch's own CPU allocation for small blocks, the cache for large ones, both counted.
class CountingAllocator final : public at::Allocator {
 public:
  at::DataPtr allocate(size_t bytes) TLS_ALLOCATE_CONST override {
    void* data = bytes < kSmallestCachedBlock ? nullptr : take_block(bytes);
    if (data) {
      count(static_cast<int64_t>(block_size(data)));
    } else {
      data = c10::alloc_cpu(bytes);  // throws libtorch's own error where there is no memory
      if (data) count(static_cast<int64_t>(malloc_usable_size(data)));
    }
    return {data, data, &release, at::Device(at::kCPU)};
  }
  at::DeleterFnPtr raw_deleter() const override { return &release; }
#if TLS_ALLOCATOR_COPIES
  void copy_data(void* destination, const void* source, size_t bytes) const override {
    std::memcpy(destination, source, bytes);
  }
#endif
};

void install_allocator() {
  static const bool once = [] {
    static CountingAllocator allocator;
    c10::SetCPUAllocator(&allocator, /*priority=*/1);
    return true;
  }();
  (void)once;
}

// memoryStats(): { liveTensors, allocatedBytes, peakAllocatedBytes, cachedBytes }
napi_value memory_stats(napi_env env, const Arguments&) {
  napi_value result = make_object(env);
  set_property(env, result, "liveTensors", make_integer(env, handles(env).live()));
  set_property(env, result, "allocatedBytes", make_integer(env, allocated_bytes.load()));
  set_property(env, result, "peakAllocatedBytes", make_integer(env, peak_bytes.load()));
  set_property(env, result, "cachedBytes", make_integer(env, cached_bytes()));
  return result;
}

napi_value reset_peak(napi_env env, const Arguments&) {
  peak_bytes.store(allocated_bytes.load());
  return make_undefined(env);
}

napi_value release_cached_memory(napi_env env, const Arguments&) {
  release_cached_blocks();
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
  TLS_EXPORT(env, exports, "releaseCachedMemory", release_cached_memory);
  TLS_EXPORT(env, exports, "adjustExternalMemory", adjust_external_memory);
}

}  // namespace tls
