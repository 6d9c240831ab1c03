// What tls::window_attention expects of its arguments, on any device.
//
// Shape letters: B batch, L tokens = rows * columns, N heads, H head size, C shared keys, S = queries of a segment, Y = keys that a
// segment sees.
#pragma once

#include <vector>

#include "../tensors.h"

namespace tls {
namespace {

using at::Tensor;

struct Geometry {
  at::IntArrayRef grid, window, reach;
};

inline WindowShape checked_shape(const Tensor& query, const Tensor& key, const Tensor& value, const OptionalTensor& shared_key,
                          const OptionalTensor& shared_value, const OptionalTensor& bias, const OptionalTensor& visible,
                          const Geometry& geometry, double dropout) {
  TORCH_CHECK(query.dim() == 4, "window_attention: expected a query (B, L, N, H), received ", query.sizes());
  for (const auto* numbers : {&geometry.grid, &geometry.window, &geometry.reach})
    TORCH_CHECK(numbers->size() == 2 && (*numbers)[0] >= 0 && (*numbers)[1] >= 0,
                "window_attention: expected grid, window and reach of two numbers from 0, received ", *numbers);
  const bool windowed = geometry.window[0] > 0 && geometry.window[1] > 0;
  WindowShape shape{query.size(0),      query.size(2),      query.size(3),      shared_key ? shared_key->size(1) : 0,
                    geometry.grid[0],   geometry.grid[1],   geometry.window[0], geometry.window[1],
                    geometry.reach[0],  geometry.reach[1],  windowed};
  TORCH_CHECK(shape.rows * shape.columns == query.size(1), "window_attention: expected a grid of ", query.size(1),
              " tokens, received ", geometry.grid);
  TORCH_CHECK(windowed || shared_key, "window_attention: expected a window or shared keys, received neither");
  TORCH_CHECK(dropout >= 0 && dropout < 1, "window_attention: expected a dropout probability from 0 to 1, received ", dropout);
  TORCH_CHECK(shared_key.has_value() == shared_value.has_value(),
              "window_attention: expected shared keys and shared values together, received one of them");
  check_like("key", key, query, query.sizes());
  check_like("value", value, query, query.sizes());
  const std::vector<int64_t> shared{shape.batch, shape.shared, shape.heads, shape.head_size};
  if (shared_key) check_like("shared_key", *shared_key, query, shared);
  if (shared_value) check_like("shared_value", *shared_value, query, shared);
  const int64_t S = shape.window_rows * shape.window_columns;
  const int64_t Y = (shape.window_rows + 2 * shape.reach_rows) * (shape.window_columns + 2 * shape.reach_columns);
  if (bias) check_like("bias", *bias, query, {shape.heads, S, Y});
  if (visible) {
    TORCH_CHECK(visible->scalar_type() == at::kBool && visible->sizes() == at::IntArrayRef({shape.batch, query.size(1)}),
                "window_attention: expected visible (B, L) of booleans, received ", visible->scalar_type(), " ",
                visible->sizes());
  }
  return shape;
}

}  // namespace
}  // namespace tls
