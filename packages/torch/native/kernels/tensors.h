// Tensors as the kernels take them.
#pragma once

#include <ATen/ATen.h>

#include <memory>
#include <new>

#include "attention/kernels.h"

namespace tls {

using OptionalTensor = c10::optional<at::Tensor>;

inline at::Tensor or_none(const OptionalTensor& tensor) { return tensor.value_or(at::Tensor()); }
inline OptionalTensor optional_of(const at::Tensor& tensor) {
  return tensor.defined() ? OptionalTensor(tensor) : OptionalTensor();
}

// Components next to one another; a copy where they are not. Undefined where there is none.
inline at::Tensor with_rows(const at::Tensor& tensor) {
  return !tensor.defined() || tensor.stride(-1) == 1 || tensor.size(-1) == 1 ? tensor : tensor.contiguous();
}
inline at::Tensor with_rows(const OptionalTensor& tensor) { return with_rows(or_none(tensor)); }
inline at::Tensor whole(const OptionalTensor& tensor) { return tensor ? tensor->contiguous() : at::Tensor(); }
inline at::Tensor zeros_like_or_none(const OptionalTensor& tensor) {
  return tensor ? at::zeros(tensor->sizes(), tensor->options()) : at::Tensor();
}

// (B, L, N, H) as rows.
template <class T>
Rows<T> rows_of(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {tensor.data_ptr<std::remove_const_t<T>>(), tensor.stride(0), tensor.stride(1), tensor.stride(2)};
}

inline void check_like(const char* name, const at::Tensor& tensor, const at::Tensor& query, at::IntArrayRef sizes) {
  TORCH_CHECK(tensor.scalar_type() == query.scalar_type() && tensor.device() == query.device() && tensor.sizes() == sizes,
              "expected ", name, " ", sizes, " ", query.scalar_type(), " on ", query.device(), ", received ", tensor.sizes(),
              " ", tensor.scalar_type(), " on ", tensor.device());
}

// In a backward: its gradients are no functions of the arguments to libtorch, which would take them for constants.
inline void check_first_derivative(const char* name) {
  TORCH_CHECK(!at::GradMode::is_enabled(), name, ": expected no gradient of its gradient (createGraph), which it has none of; ",
              "with setFusedOperators(false) or TRANSFORMER_LS_OPERATORS=composed operators are used that have");
}

// Memory of one thread, aligned for the widest vectors.
template <class T>
class ScratchMemory {
 public:
  explicit ScratchMemory(int64_t count)
      : data_(static_cast<T*>(::operator new(static_cast<size_t>(count) * sizeof(T), std::align_val_t{64}))) {}
  ~ScratchMemory() { ::operator delete(data_, std::align_val_t{64}); }
  ScratchMemory(const ScratchMemory&) = delete;
  ScratchMemory& operator=(const ScratchMemory&) = delete;

  T* data() const { return data_; }

 private:
  T* data_;
};

}  // namespace tls
