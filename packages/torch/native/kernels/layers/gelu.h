// x * Phi(x), Phi the distribution function of the normal distribution: the exact form of Hendrycks and Gimpel 2016. Forward, and
// backward from the input.
#pragma once

#include "../rows.h"
#include "kernels.h"

namespace tls {
namespace {

template <class T>
struct Normal {
  Vector<T> below;    // Phi(x)
  Vector<T> density;  // its derivative
};

// Relative error below 1e-6 down to x = -5 and 5e-6 further down, where 1 + erf would lose all digits.
// erfc(z) e^(z^2) is a polynomial in 1 / (1 + 0.48 z), fitted on 0 to 9.5 with a largest relative error of 2.7e-8.
TLS_INLINE Normal<float> normal(Vector<float> x) {
  using V = Vector<float>;
  const V size = x < 0.0f ? -x : x;
  const V t = 1.0f / (1.0f + size * (0.48f * 0.70710678118654752f));
  V q = t * -0.0522735082f + 0.2802408636f;
  q = q * t - 0.5518938899f;
  q = q * t + 0.4136938453f;
  q = q * t - 0.0950322822f;
  q = q * t + 0.2331482172f;
  q = q * t + 0.2295231074f;
  q = q * t + 0.2718261778f;
  q = q * t + 0.2707674801f;
  const V bell = exponential(size * size * -0.5f);
  const V outside = q * t * bell * 0.5f;  // Phi(-size)
  return {x < 0.0f ? outside : 1.0f - outside, bell * 0.3989422804014327f};
}

TLS_INLINE Normal<double> normal(Vector<double> x) {
  Normal<double> found;
  for (int i = 0; i < kLanes<double>; ++i) {
    found.below[i] = 0.5 * std::erfc(x[i] * -0.70710678118654752440);
    found.density[i] = 0.39894228040143267794 * std::exp(-0.5 * x[i] * x[i]);
  }
  return found;
}

// Does act(place, how many) for every vector of `count` numbers.
template <class T, class Do>
TLS_INLINE void each_vector(int64_t count, Do act) {
  for (int64_t i = 0; i < count; i += kLanes<T>) act(i, count - i < kLanes<T> ? count - i : int64_t{kLanes<T>});
}

template <class T>
void gelu_forward(T* result, const T* input, int64_t count) {
  each_vector<T>(count, [&](int64_t i, int64_t some) {
    const Vector<T> x = load_some(input + i, some);
    store_some(result + i, x * normal(x).below, some);
  });
}

template <class T>
void gelu_backward(T* input_gradient, const T* input, const T* result_gradient, int64_t count) {
  each_vector<T>(count, [&](int64_t i, int64_t some) {
    const Vector<T> x = load_some(input + i, some);
    const Normal<T> at = normal(x);
    store_some(input_gradient + i, load_some(result_gradient + i, some) * (at.below + x * at.density), some);
  });
}

template <class T>
GeluKernels<T> gelu_kernels() {
  return {gelu_forward<T>, gelu_backward<T>};
}

}  // namespace
}  // namespace tls
