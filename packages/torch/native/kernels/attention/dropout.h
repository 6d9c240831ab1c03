// Dropout of weights by a hash of their places, so that nothing need be remembered.
#pragma once

#include "dropout_hash.h"
#include "kernels.h"
#include "../vectors.h"

namespace tls {
namespace {

// Weights that are dropped become 0, the others grow by 1 / (1 - probability). `first` is the place of the first one among all
// keys that the query has, whatever the vectors are.
template <class T>
void drop_row(T* weights, int64_t count, Dropout dropout, int64_t query, int64_t first) {
  const QueryHash hash(dropout.seed, query);
  const uint32_t threshold = dropout_threshold(dropout.probability);
  const T factor = static_cast<T>(1 / (1 - dropout.probability));
  for (int64_t i = 0; i < count; ++i) {
    weights[i] = hash.chance(static_cast<uint32_t>(first + i)) < threshold ? T{0} : weights[i] * factor;
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
