// What decides which weights dropout keeps: a hash of the seed, the query and the key's place, the same on CPU and GPU.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define TLS_HASH __host__ __device__ __forceinline__
#else
#define TLS_HASH inline __attribute__((always_inline))
#endif

namespace tls {
namespace {

// A finaliser after Chris Wellons' search of such (2018): each bit of the input decides about half the bits of the output.
TLS_HASH uint32_t mixed(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ (x >> 16);
}

// Of one query: which of its keys are dropped.
struct QueryHash {
  uint32_t low, high;

  TLS_HASH QueryHash(uint64_t seed, int64_t query) {
    const uint64_t place = seed + static_cast<uint64_t>(query) * 0x9e3779b97f4a7c15u;
    low = mixed(static_cast<uint32_t>(place));
    high = mixed(static_cast<uint32_t>(place >> 32) ^ low);
  }

  // Of the key at that place among all keys that the query has: dropped where it is below the threshold.
  TLS_HASH uint32_t chance(uint32_t key) const { return mixed(mixed(key ^ low) + high); }
};

inline uint32_t dropout_threshold(double probability) { return static_cast<uint32_t>(probability * 4294967295.0); }

}  // namespace
}  // namespace tls
