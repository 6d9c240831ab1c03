// GELU between two linear maps, without gradients: what lies between them, which is the widest of a block, never leaves the cache.
//
// Shape letters: I inputs, F inner width, O outputs; a capital with p behind it is the next whole number of vectors.
#pragma once

#include "gelu.h"
#include "linear.h"

namespace tls {
namespace {

// Inner numbers of a token that exist at once: whole panels.
template <class T>
constexpr int64_t kInner = 4 * kPanel<T>;

template <class T>
class FeedForwardWork {
 public:
  FeedForwardWork(const FeedForwardArguments<T>& arguments, T* scratch) : a_(arguments), Op_(whole_vectors<T>(a_.outputs)) {
    Scratch<T> memory(scratch);
    inner_ = memory.take(kTileTokens * kInner<T>);
    results_ = memory.take(kTileTokens * Op_);
    taken_ = memory.taken();
  }

  int64_t taken() const { return taken_; }

  void forward(int64_t first, int64_t end) {
    for (int64_t token = first; token < end; token += kTileTokens) {
      const int64_t count = end - token < kTileTokens ? end - token : kTileTokens;
      start(count, a_.second_bias, a_.outputs, results_, Op_);
      for (int64_t from = 0; from < a_.inner; from += kInner<T>)
        add_inner(token, count, from, a_.inner - from < kInner<T> ? a_.inner - from : kInner<T>);
      for (int64_t i = 0; i < count; ++i) copy(a_.result + (token + i) * a_.outputs, results_ + i * Op_, a_.outputs);
    }
  }

 private:
  // Rows that hold the bias, or nothing.
  static void start(int64_t rows, const T* bias, int64_t count, T* to, int64_t padded) {
    for (int64_t i = 0; i < rows; ++i) {
      const int64_t given = bias == nullptr ? 0 : count;
      copy_padded(to + i * padded, bias, given, padded);
    }
  }

  // What the inner numbers [from, from + width) of the tokens add to their results.
  void add_inner(int64_t token, int64_t count, int64_t from, int64_t width) {
    const int64_t padded = whole_vectors<T>(width);
    start(count, a_.first_bias == nullptr ? nullptr : a_.first_bias + from, width, inner_, padded);
    const Matrix<T> inputs{a_.input + token * a_.input_row, a_.input_row};
    packed_product<Start::result>(count, padded, a_.inputs, inputs, a_.first + from * a_.inputs, inner_, padded);
    gelu_forward(inner_, inner_, count * padded);
    packed_product<Start::result>(count, Op_, width, Matrix<T>{inner_, padded}, a_.second, a_.inner, from, results_, Op_);
  }

  const FeedForwardArguments<T>& a_;
  const int64_t Op_;
  int64_t taken_;
  T *inner_, *results_;
};

template <class T>
FeedForwardKernels<T> feed_forward_kernels() {
  FeedForwardKernels<T> kernels;
  kernels.scratch = [](const FeedForwardArguments<T>& a) { return FeedForwardWork<T>(a, nullptr).taken(); };
  kernels.forward = [](const FeedForwardArguments<T>& a, int64_t first, int64_t end, T* scratch) {
    FeedForwardWork<T>(a, scratch).forward(first, end);
  };
  return kernels;
}

}  // namespace
}  // namespace tls
