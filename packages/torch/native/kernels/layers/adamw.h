// One AdamW step, which reads and writes every number once.
#pragma once

#include "../rows.h"
#include "kernels.h"

namespace tls {
namespace {

// Compiled without the error numbers of square roots, which would keep them from being vectors.
template <class T>
TLS_INLINE Vector<T> square_root(Vector<T> x) {
  T numbers[kLanes<T>];
  store(numbers, x);
  for (int i = 0; i < kLanes<T>; ++i) numbers[i] = std::sqrt(numbers[i]);
  return load(numbers);
}

template <class T>
void adamw_update(T* parameter, const T* gradient, T* first, T* second, int64_t count, const AdamWStep<T>& step) {
  for (int64_t i = 0; i < count; i += kLanes<T>) {
    const int64_t some = count - i < kLanes<T> ? count - i : kLanes<T>;
    const Vector<T> scaled = load_some(gradient + i, some) * step.gradient_scale;
    const Vector<T> before = load_some(first + i, some);
    const Vector<T> mean = before + (scaled - before) * step.first_weight;
    const Vector<T> square = load_some(second + i, some) * step.second_decay + scaled * scaled * step.second_weight;
    const Vector<T> denominator = square_root<T>(square) * step.root_correction + step.epsilon;
    store_some(first + i, mean, some);
    store_some(second + i, square, some);
    store_some(parameter + i, load_some(parameter + i, some) * step.kept - mean * step.size / denominator, some);
  }
}

}  // namespace
}  // namespace tls
