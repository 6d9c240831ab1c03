// Vectors of the instruction set that the including file is compiled for, and what the kernels do with them.
//
// Everything is in an unnamed namespace: the same names are compiled once for each instruction set, and the linker must not
// take one for another.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#if defined(__AVX512F__)
#define TLS_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define TLS_VECTOR_BYTES 32
#else
#define TLS_VECTOR_BYTES 16
#endif

#define TLS_INLINE inline __attribute__((always_inline))

namespace tls {
namespace {

template <class T>
struct VectorOf;
template <>
struct VectorOf<float> {
  typedef float Type __attribute__((vector_size(TLS_VECTOR_BYTES)));
  typedef uint32_t Bits __attribute__((vector_size(TLS_VECTOR_BYTES)));
};
template <>
struct VectorOf<double> {
  typedef double Type __attribute__((vector_size(TLS_VECTOR_BYTES)));
  typedef uint64_t Bits __attribute__((vector_size(TLS_VECTOR_BYTES)));
};
template <class T>
using Vector = typename VectorOf<T>::Type;
template <class T>
using Bits = typename VectorOf<T>::Bits;

template <class T>
constexpr int kLanes = TLS_VECTOR_BYTES / static_cast<int>(sizeof(T));

template <class T>
TLS_INLINE int64_t whole_vectors(int64_t count) {
  return (count + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

template <class T>
TLS_INLINE Vector<T> load(const T* from) {
  Vector<T> value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

template <class T>
TLS_INLINE void store(T* to, Vector<T> value) {
  std::memcpy(to, &value, sizeof value);
}

template <class T>
TLS_INLINE Vector<T> splat(T value) {
  return value - Vector<T>{};
}

template <class V>
TLS_INLINE V larger(V a, V b) {
  return a > b ? a : b;
}

// e^x to two units in the last place; 0 where that is below the smallest normal number, -infinity included; NaN stays.
TLS_INLINE Vector<float> exponential(Vector<float> x) {
  using V = Vector<float>;
  using I = Bits<float>;
  // 2^n e^r: adding 1.5 * 2^23 leaves the nearest whole number in the lowest bits.
  const float kRounder = 12582912.0f;
  const V shifted = x * 1.44269504088896341f + kRounder;
  const V n = shifted - kRounder;
  const V r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  V y = r * 1.9875691500e-4f + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * (r * r) + r + 1.0f;
  const V scaled = reinterpret_cast<V>(reinterpret_cast<I>(y) + (reinterpret_cast<I>(shifted) << 23));
  const V tiny_is_zero = x < -87.3f ? V{} : scaled;
  return x == x ? tiny_is_zero : x;
}

TLS_INLINE Vector<double> exponential(Vector<double> x) {
  for (int i = 0; i < kLanes<double>; ++i) x[i] = std::exp(x[i]);
  return x;
}

// Lane i of the result is lane i ^ Step.
template <int Step, class V, int... Lane>
TLS_INLINE V exchanged(V x, std::integer_sequence<int, Lane...>) {
  return __builtin_shufflevector(x, x, (Lane ^ Step)...);
}

// The lanes of x brought together in halves; `join` takes two vectors. All lanes of the result are the same.
template <class T, int Step = kLanes<T> / 2, class Join>
TLS_INLINE T joined(Vector<T> x, Join join) {
  if constexpr (Step == 0)
    return x[0];
  else
    return joined<T, Step / 2>(join(x, exchanged<Step>(x, std::make_integer_sequence<int, kLanes<T>>{})), join);
}

template <class T>
TLS_INLINE T sum_of(Vector<T> x) {
  return joined<T>(x, [](Vector<T> a, Vector<T> b) { return a + b; });
}

template <class T>
TLS_INLINE T largest_of(Vector<T> x) {
  return joined<T>(x, [](Vector<T> a, Vector<T> b) { return larger(a, b); });
}

}  // namespace
}  // namespace tls
