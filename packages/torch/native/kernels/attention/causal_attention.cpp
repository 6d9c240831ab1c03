// tls::causal_attention: attention of each query to a window of keys and to the compressed chunks before its own, forward and backward.
// CPU, float32 and float64; on CUDA see cuda/. `src/attention/causal.ts` and `causal-reference.ts` of transformer-ls compose the same of plain
// operators, which is what this answers to.
//
// Shape letters: B batch, T queries, M window tokens before the first query, N heads, H head size, W window, C slots (compressed
// keys, R for each chunk), P ids of slots.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <tuple>

#include "causal_check.h"
#include "kernels.h"
#include "../tensors.h"
#include "../work.h"

namespace tls {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// (L, N, H) as rows of a batch of one.
template <class T>
Rows<T> shared_rows_of(const Tensor& tensor) {
  return tensor.defined() ? rows_of<T>(tensor.unsqueeze(0)) : Rows<T>{};
}

template <class T>
const T* data_of(const Tensor& tensor) {
  return tensor.defined() ? tensor.data_ptr<T>() : nullptr;
}

template <class T>
CausalArguments<T> arguments_of(const CausalShape& shape, const Inputs& in, double scale, Dropout dropout,
                                const Tensor& softmaxes) {
  CausalArguments<T> a{};
  a.shape = shape;
  a.scale = scale;
  a.dropout = dropout;
  a.query = rows_of<const T>(in.query);
  a.key = rows_of<const T>(in.key);
  a.value = rows_of<const T>(in.value);
  a.window_bias = data_of<T>(in.window_bias);
  a.position_bias = data_of<T>(in.position_bias);
  a.positions = shared_rows_of<const T>(reached(in.window_positions, shape));
  a.slot_key = rows_of<const T>(in.chunk_key);
  a.slot_value = rows_of<const T>(in.chunk_value);
  a.slot_positions = shared_rows_of<const T>(in.chunk_positions);
  a.softmaxes = reinterpret_cast<Softmax<T>*>(softmaxes.data_ptr<T>());
  return a;
}

std::tuple<Tensor, Tensor> forward_cpu(const Tensor& query, const Tensor& window_key, const Tensor& window_value,
                                       const OptionalTensor& window_bias, const OptionalTensor& position_bias,
                                       const OptionalTensor& window_positions, const OptionalTensor& chunk_key,
                                       const OptionalTensor& chunk_value, const OptionalTensor& chunk_positions,
                                       int64_t window, at::IntArrayRef chunks, double scale, double dropout, int64_t seed) {
  const Inputs in = readable(query, window_key, window_value, window_bias, position_bias, window_positions, chunk_key,
                             chunk_value, chunk_positions);
  const CausalShape shape = checked_shape(in, window, chunks, dropout);
  Tensor result = at::empty(query.sizes(), query.options());
  Tensor softmaxes = at::empty({shape.batch, shape.heads, shape.queries, 2}, query.options());
  if (result.numel() == 0) return {result, softmaxes};
  AT_DISPATCH_FLOATING_TYPES(query.scalar_type(), "causal_attention", [&] {
    auto a = arguments_of<scalar_t>(shape, in, scale, {dropout, static_cast<uint64_t>(seed)}, softmaxes);
    a.result = rows_of<scalar_t>(result);
    const auto& kernel = kernels<scalar_t>().causal;
    each_part<scalar_t>(shape.batch, shape.heads, kernel.strips(shape), kernel.scratch(shape, false),
                        [&](int64_t b, const Item& item, scalar_t* scratch) {
                          head_by_head(item, [&](int64_t n, int64_t first, int64_t end) {
                            kernel.forward(a, b, n, first, end, scratch);
                          });
                        });
  });
  return {result, softmaxes};
}

// Gradients of what several items add to: those of the whole batch in a copy for each group of sequences and part, those of one
// sequence in a copy for each part.
template <class T>
struct SharedGradients {
  SharedGradients(const Inputs& in, const Division& division)
      : window_bias(partial_like<T>(in.window_bias, division.copies())),
        position_bias(partial_like<T>(in.position_bias, division.copies())),
        window_positions(partial_like<T>(in.window_positions, division.copies())),
        chunk_positions(partial_like<T>(in.chunk_positions, division.copies())),
        chunk_key(partial_like<T>(in.chunk_key, division.parts)),
        chunk_value(partial_like<T>(in.chunk_value, division.parts)) {}

  // The copies of one item.
  void give(CausalArguments<T>& a, int64_t copy, int64_t part) const {
    a.window_bias_gradient = window_bias.at(copy);
    a.position_bias_gradient = position_bias.at(copy);
    a.positions_gradient = shared_rows_of<T>(reached(copy_of(window_positions, copy), a.shape));
    a.slot_positions_gradient = shared_rows_of<T>(copy_of(chunk_positions, copy));
    a.slot_key_gradient = rows_of<T>(copy_of(chunk_key, part));
    a.slot_value_gradient = rows_of<T>(copy_of(chunk_value, part));
  }

  static Tensor copy_of(const Partial<T>& partial, int64_t copy) {
    return partial.copies.defined() ? partial.copies.select(0, copy) : Tensor();
  }

  Partial<T> window_bias, position_bias, window_positions, chunk_positions, chunk_key, chunk_value;
};

using Gradients = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

// All weights of a query are at hand, so that the result is not needed (on CUDA it is).
Gradients backward_cpu(const Tensor& gradient, const OptionalTensor& /*result*/, const Tensor& softmaxes, const Tensor& query,
                       const Tensor& window_key, const Tensor& window_value, const OptionalTensor& window_bias, const OptionalTensor& position_bias,
                       const OptionalTensor& window_positions, const OptionalTensor& chunk_key,
                       const OptionalTensor& chunk_value, const OptionalTensor& chunk_positions, int64_t window,
                       at::IntArrayRef chunks, double scale, double dropout, int64_t seed) {
  const Inputs in = readable(query, window_key, window_value, window_bias, position_bias, window_positions, chunk_key,
                             chunk_value, chunk_positions);
  const CausalShape shape = checked_shape(in, window, chunks, dropout);
  check_like("gradient", gradient, query, query.sizes());
  check_like("softmaxes", softmaxes, query, {shape.batch, shape.heads, shape.queries, 2});
  Tensor dquery = at::zeros(query.sizes(), query.options()), dkey = at::zeros(window_key.sizes(), query.options()),
         dvalue = at::zeros(window_value.sizes(), query.options());
  if (query.numel() == 0)
    return {dquery,
            dkey,
            dvalue,
            zeros_like_or_none(window_bias),
            zeros_like_or_none(position_bias),
            zeros_like_or_none(window_positions),
            zeros_like_or_none(chunk_key),
            zeros_like_or_none(chunk_value),
            zeros_like_or_none(chunk_positions)};
  const Tensor g = with_rows(gradient), weights = softmaxes.contiguous();
  return AT_DISPATCH_FLOATING_TYPES(query.scalar_type(), "causal_attention", [&]() -> Gradients {
    auto arguments = arguments_of<scalar_t>(shape, in, scale, {dropout, static_cast<uint64_t>(seed)}, weights);
    arguments.result_gradient = rows_of<const scalar_t>(g);
    arguments.query_gradient = rows_of<scalar_t>(dquery);
    arguments.key_gradient = rows_of<scalar_t>(dkey);
    arguments.value_gradient = rows_of<scalar_t>(dvalue);
    const auto& kernel = kernels<scalar_t>().causal;
    const int64_t strips = kernel.strips(shape);
    const Division division = division_of(shape.batch, shape.heads, strips, kernel.apart(shape), true);
    const SharedGradients<scalar_t> shared(in, division);
    each_part_in_turns<scalar_t>(
        shape.heads, strips, division, kernel.scratch(shape, true),
        [&](int64_t group, int64_t part, const Item& item, scalar_t* scratch) {
          CausalArguments<scalar_t> a = arguments;
          shared.give(a, group * division.parts + part, part);
          const auto [first_b, last_b] = strips_of(group, division.groups, shape.batch);
          for (int64_t b = first_b; b < last_b; ++b)
            head_by_head(item, [&](int64_t n, int64_t first, int64_t end) { kernel.backward(a, b, n, first, end, scratch); });
        });
    return {dquery,
            dkey,
            dvalue,
            sum_of_copies(shared.window_bias.copies),
            sum_of_copies(shared.position_bias.copies),
            sum_of_copies(shared.window_positions.copies),
            sum_of_copies(shared.chunk_key.copies),
            sum_of_copies(shared.chunk_value.copies),
            sum_of_copies(shared.chunk_positions.copies)};
  });
}

// ---- the operator with its gradient ------------------------------------------------------------------------------------------

using Forward = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&,
                                           const OptionalTensor&, const OptionalTensor&, const OptionalTensor&,
                                           const OptionalTensor&, const OptionalTensor&, int64_t, at::IntArrayRef, double,
                                           double, int64_t);
using Backward = Gradients(const Tensor&, const OptionalTensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&,
                           const OptionalTensor&, const OptionalTensor&, const OptionalTensor&, const OptionalTensor&, const OptionalTensor&,
                           const OptionalTensor&, int64_t, at::IntArrayRef, double, double, int64_t);

class CausalAttention : public torch::autograd::Function<CausalAttention> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& query, const Tensor& window_key, const Tensor& window_value,
                        const OptionalTensor& window_bias, const OptionalTensor& position_bias,
                        const OptionalTensor& window_positions, const OptionalTensor& chunk_key,
                        const OptionalTensor& chunk_value, const OptionalTensor& chunk_positions, int64_t window,
                        at::IntArrayRef chunks, double scale, double dropout, int64_t seed) {
    static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("tls::causal_attention_forward", "").typed<Forward>();
    at::AutoDispatchBelowADInplaceOrView below;
    auto [result, softmaxes] = op.call(query, window_key, window_value, window_bias, position_bias, window_positions, chunk_key,
                                      chunk_value, chunk_positions, window, chunks, scale, dropout, seed);
    context->save_for_backward({softmaxes, query, window_key, window_value, or_none(window_bias), or_none(position_bias),
                                or_none(window_positions), or_none(chunk_key), or_none(chunk_value),
                                or_none(chunk_positions), query.is_cpu() ? Tensor() : result});
    context->saved_data["window"] = window;
    context->saved_data["chunks"] = chunks;
    context->saved_data["scale"] = scale;
    context->saved_data["dropout"] = dropout;
    context->saved_data["seed"] = seed;
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    check_first_derivative("causal_attention");
    static const auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow("tls::causal_attention_backward", "").typed<Backward>();
    const auto saved = context->get_saved_variables();
    const auto optional = [&](int64_t index) { return optional_of(saved[index]); };
    auto& numbers = context->saved_data;
    auto [dquery, dkey, dvalue, dwindow_bias, dposition_bias, dwindow_positions, dchunk_key, dchunk_value, dchunk_positions] =
        op.call(gradients[0], optional(10), saved[0], saved[1], saved[2], saved[3], optional(4), optional(5), optional(6), optional(7),
                optional(8), optional(9), numbers["window"].toInt(), numbers["chunks"].toIntVector(),
                numbers["scale"].toDouble(), numbers["dropout"].toDouble(), numbers["seed"].toInt());
    return {dquery,     dkey,         dvalue,           dwindow_bias, dposition_bias, dwindow_positions,
            dchunk_key, dchunk_value, dchunk_positions, {},           {},             {},
            {},         {}};
  }
};

Tensor causal_attention(const Tensor& query, const Tensor& window_key, const Tensor& window_value,
                        const OptionalTensor& window_bias, const OptionalTensor& position_bias,
                        const OptionalTensor& window_positions, const OptionalTensor& chunk_key,
                        const OptionalTensor& chunk_value, const OptionalTensor& chunk_positions, int64_t window,
                        at::IntArrayRef chunks, double scale, double dropout, int64_t seed) {
  return CausalAttention::apply(query, window_key, window_value, window_bias, position_bias, window_positions, chunk_key,
                                chunk_value, chunk_positions, window, chunks, scale, dropout, seed);
}

}  // namespace

// window_key: those of the M tokens before the first query, then those of the queries; what is older than the window is not seen.
// chunks: chunk size, rank, tokens of the first query's chunk before it, chunks before that one, ids that a query sees.
TORCH_LIBRARY_FRAGMENT(tls, library) {
  library.def(
      "causal_attention(Tensor query, Tensor window_key, Tensor window_value, Tensor? window_bias, Tensor? position_bias, "
      "Tensor? window_positions, Tensor? chunk_key, Tensor? chunk_value, Tensor? chunk_positions, int window, int[] chunks, "
      "float scale, float dropout, int seed) -> Tensor",
      causal_attention);
  library.def(
      "causal_attention_forward(Tensor query, Tensor window_key, Tensor window_value, Tensor? window_bias, Tensor? "
      "position_bias, Tensor? window_positions, Tensor? chunk_key, Tensor? chunk_value, Tensor? chunk_positions, int window, "
      "int[] chunks, float scale, float dropout, int seed) -> (Tensor result, Tensor softmaxes)");
  library.def(
      "causal_attention_backward(Tensor gradient, Tensor? result, Tensor softmaxes, Tensor query, Tensor window_key, Tensor window_value, "
      "Tensor? window_bias, Tensor? position_bias, Tensor? window_positions, Tensor? chunk_key, Tensor? chunk_value, Tensor? "
      "chunk_positions, int window, int[] chunks, float scale, float dropout, int seed) -> (Tensor, Tensor, Tensor, Tensor, "
      "Tensor, Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(tls, CPU, library) {
  library.impl("causal_attention_forward", forward_cpu);
  library.impl("causal_attention_backward", backward_cpu);
}

}  // namespace tls
