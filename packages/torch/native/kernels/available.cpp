// tls::available(like, head_size): whether the fused operators exist for what is computed of tensors like this one, those of attention in
// heads of that size. Each device answers for itself (CUDA: attention/cuda/operators.cpp, where it is built); of all others, no.
#include <torch/library.h>

#include "../compat.h"

namespace tls {
namespace {

// Under autocast the composed path mixes types as PyTorch does.
bool available_cpu(const at::Tensor& like, int64_t) {
  const auto type = like.scalar_type();
  return (type == at::kFloat || type == at::kDouble) && !compat::autocast_state(at::kCPU).enabled;
}

bool not_available(const at::Tensor&, int64_t) { return false; }

}  // namespace

TORCH_LIBRARY_FRAGMENT(tls, library) { library.def("available(Tensor like, int head_size) -> bool"); }
TORCH_LIBRARY_IMPL(tls, CPU, library) { library.impl("available", available_cpu); }
TORCH_LIBRARY_IMPL(tls, CompositeExplicitAutograd, library) { library.impl("available", not_available); }

}  // namespace tls
