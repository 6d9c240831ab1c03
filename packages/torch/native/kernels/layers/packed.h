// Weights of linear maps as the loops read them.
//
// Shape letters: I inputs, O outputs.
#pragma once

#include <ATen/ATen.h>

#include "../work.h"

namespace tls {
namespace {

// What a weight (O, I) is packed for: results, or the gradient of the input.
enum class PackedFor { results, input_gradient };

template <class T>
at::Tensor packed(const at::Tensor& weight, PackedFor use) {
  const auto& kernel = layer_kernels<T>().linear;
  const int64_t O = weight.size(0), I = weight.size(1);
  const bool across = use == PackedFor::results;
  const at::Tensor given = weight.contiguous();
  const at::Tensor made = at::empty({across ? kernel.packed_size(I, O) : kernel.packed_size(O, I)}, weight.options());
  if (across)
    kernel.pack(made.data_ptr<T>(), given.data_ptr<T>(), 1, I, I, O);
  else
    kernel.pack(made.data_ptr<T>(), given.data_ptr<T>(), I, 1, O, I);
  return made;
}

}  // namespace
}  // namespace tls
