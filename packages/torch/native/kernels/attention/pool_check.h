// What tls::pool_tokens expects of its arguments, on any device.
//
// Shape letters: B batch, L tokens, N heads, H head size, R slots.
#pragma once

#include "../tensors.h"

namespace tls {
namespace {

using at::Tensor;

inline void check_pool(const Tensor& logits, const Tensor& key, const Tensor& value, const OptionalTensor& visible) {
  TORCH_CHECK(key.dim() == 4, "pool_tokens: expected keys (B, L, N, H), received ", key.sizes());
  check_like("value", value, key, key.sizes());
  TORCH_CHECK(logits.dim() == 4, "pool_tokens: expected logits (B, L, N, R), received ", logits.sizes());
  check_like("logits", logits, key, {key.size(0), key.size(1), key.size(2), logits.size(3)});
  if (visible)
    TORCH_CHECK(visible->scalar_type() == at::kBool && visible->sizes() == at::IntArrayRef({key.size(0), key.size(1)}),
                "pool_tokens: expected visible (B, L) of booleans, received ", visible->scalar_type(), " ", visible->sizes());
}

}  // namespace
}  // namespace tls
