// Which weights dropout keeps: a hash of the seed, the query and the key's place, so that nothing need be remembered.
#pragma once

#include "kernels.h"
#include "vectors.h"

namespace tls {
namespace {

// A finaliser after Chris Wellons' search of such (2018): each bit of the input decides about half the bits of the output.
TLS_INLINE uint32_t mixed(uint32_t x) {
  x ^= x >> 16;
  x *= 0x7feb352du;
  x ^= x >> 15;
  x *= 0x846ca68bu;
  return x ^ (x >> 16);
}

// Weights that are dropped become 0, the others grow by 1 / (1 - probability). `first` is the place of the first one among all
// keys that the query has, whatever the vectors are.
template <class T>
void drop_row(T* weights, int64_t count, Dropout dropout, int64_t query, int64_t first) {
  const uint64_t place = dropout.seed + static_cast<uint64_t>(query) * 0x9e3779b97f4a7c15u;
  const uint32_t low = mixed(static_cast<uint32_t>(place)), high = mixed(static_cast<uint32_t>(place >> 32) ^ low);
  const uint32_t threshold = static_cast<uint32_t>(dropout.probability * 4294967295.0);
  const T factor = static_cast<T>(1 / (1 - dropout.probability));
  for (int64_t i = 0; i < count; ++i) {
    const uint32_t chance = mixed(mixed(static_cast<uint32_t>(first + i) ^ low) + high);
    weights[i] = chance < threshold ? T{0} : weights[i] * factor;
  }
}

// The gradient of the weights before dropout, of which `kept` says what became.
template <class T>
TLS_INLINE void multiply_by_kept(T* gradients, const T* kept, int64_t count, Dropout dropout) {
  const T factor = static_cast<T>(1 / (1 - dropout.probability));
  for (int64_t i = 0; i < count; ++i) gradients[i] = kept[i] == T{0} ? T{0} : gradients[i] * factor;
}

}  // namespace
}  // namespace tls
