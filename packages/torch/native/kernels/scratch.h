// One piece of memory handed out in parts, each of which begins at a whole number of vectors.
#pragma once

#include "vectors.h"

namespace tls {
namespace {

template <class T>
class Scratch {
 public:
  // Without memory it only counts.
  explicit Scratch(T* memory) : memory_(memory) {}

  T* take(int64_t count) {
    T* part = memory_ == nullptr ? nullptr : memory_ + taken_;
    // A vector more: products and transpositions read whole vectors.
    taken_ += whole_vectors<T>(count) + kLanes<T>;
    return part;
  }

  int64_t taken() const { return taken_; }

 private:
  T* memory_;
  int64_t taken_ = 0;
};

}  // namespace
}  // namespace tls
