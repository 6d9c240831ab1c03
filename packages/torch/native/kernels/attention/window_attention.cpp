// tls::window_attention: attention of segments to their surroundings and to shared keys, forward and backward. CPU, float32 and
// float64; on CUDA see cuda/. `src/attention/` of transformer-ls composes the same of plain operators, which is what this answers to.
//
// Shape letters: B batch, L tokens = rows * columns, N heads, H head size, C shared keys, S = queries of a segment, Y = keys that a
// segment sees.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/library.h>

#include <tuple>

#include "kernels.h"
#include "../tensors.h"
#include "window_check.h"
#include "../work.h"

namespace tls {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

template <class T>
WindowArguments<T> arguments_of(const WindowShape& shape, double scale, Dropout dropout, const Tensor& query,
                                const Tensor& key, const Tensor& value, const Tensor& shared_key, const Tensor& shared_value,
                                const Tensor& bias, const Tensor& visible, const Tensor& log_sums) {
  WindowArguments<T> a{};
  a.shape = shape;
  a.scale = scale;
  a.dropout = dropout;
  a.query = rows_of<const T>(query);
  a.key = rows_of<const T>(key);
  a.value = rows_of<const T>(value);
  a.shared_key = rows_of<const T>(shared_key);
  a.shared_value = rows_of<const T>(shared_value);
  a.bias = bias.defined() ? bias.data_ptr<T>() : nullptr;
  a.visible = visible.defined() ? visible.data_ptr<bool>() : nullptr;
  a.log_sums = log_sums.data_ptr<T>();
  return a;
}

template <class T>
void run_forward(const WindowArguments<T>& arguments) {
  const auto& shape = arguments.shape;
  const auto& kernel = kernels<T>().window;
  each_part<T>(shape.batch, shape.heads, kernel.strips(shape), kernel.scratch(shape, false),
               [&](int64_t b, const Item& item, T* scratch) {
                 strip_by_strip(item, [&](int64_t n, int64_t first, int64_t end) {
                   kernel.forward(arguments, b, n, first, end, scratch);
                 });
               });
}

std::tuple<Tensor, Tensor> forward_cpu(const Tensor& query, const Tensor& key, const Tensor& value,
                                       const OptionalTensor& shared_key, const OptionalTensor& shared_value,
                                       const OptionalTensor& bias, const OptionalTensor& visible, at::IntArrayRef grid,
                                       at::IntArrayRef window, at::IntArrayRef reach, double scale, double dropout,
                                       int64_t seed) {
  const WindowShape shape =
      checked_shape(query, key, value, shared_key, shared_value, bias, visible, {grid, window, reach}, dropout);
  Tensor result = visible ? at::zeros(query.sizes(), query.options()) : at::empty(query.sizes(), query.options());
  Tensor log_sums = at::zeros({shape.batch, shape.heads, query.size(1)}, query.options());
  if (result.numel() == 0) return {result, log_sums};
  const Tensor q = with_rows(query), k = with_rows(key), v = with_rows(value), sk = with_rows(shared_key),
               sv = with_rows(shared_value), bs = whole(bias), vis = whole(visible);
  AT_DISPATCH_FLOATING_TYPES(query.scalar_type(), "window_attention", [&] {
    auto a = arguments_of<scalar_t>(shape, scale, {dropout, static_cast<uint64_t>(seed)}, q, k, v, sk, sv, bs, vis, log_sums);
    a.result = rows_of<scalar_t>(result);
    run_forward(a);
  });
  return {result, log_sums};
}

template <class T>
void run_backward(const WindowArguments<T>& arguments, const Division& division, const Partial<T>& shared_key,
                  const Partial<T>& shared_value, const Partial<T>& bias) {
  const auto& shape = arguments.shape;
  const auto& kernel = kernels<T>().window;
  const int64_t strips = kernel.strips(shape), parts = division.parts, groups = division.groups;
  each_part_in_turns<T>(
      shape.heads, strips, division, kernel.scratch(shape, true),
      [&](int64_t group, int64_t part, const Item& item, T* scratch) {
        WindowArguments<T> a = arguments;
        a.shared_key_gradient.data = shared_key.at(part);
        a.shared_value_gradient.data = shared_value.at(part);
        a.bias_gradient = bias.at(group * parts + part);
        const auto [first_b, last_b] = strips_of(group, groups, shape.batch);
        for (int64_t b = first_b; b < last_b; ++b)
          strip_by_strip(item, [&](int64_t n, int64_t first, int64_t end) { kernel.backward(a, b, n, first, end, scratch); });
      });
}

// All weights of a query are at hand, so that the result is not needed (on CUDA it is).
std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> backward_cpu(
    const Tensor& gradient, const OptionalTensor& /*result*/, const Tensor& log_sums, const Tensor& query, const Tensor& key,
    const Tensor& value, const OptionalTensor& shared_key, const OptionalTensor& shared_value, const OptionalTensor& bias,
    const OptionalTensor& visible, at::IntArrayRef grid, at::IntArrayRef window, at::IntArrayRef reach, double scale,
    double dropout, int64_t seed) {
  const WindowShape shape =
      checked_shape(query, key, value, shared_key, shared_value, bias, visible, {grid, window, reach}, dropout);
  check_like("gradient", gradient, query, query.sizes());
  check_like("log_sums", log_sums, query, {shape.batch, shape.heads, query.size(1)});
  // Gradients of queries are written, but for those that are not visible; the others are added to.
  Tensor dq = visible ? at::zeros(query.sizes(), query.options()) : at::empty(query.sizes(), query.options());
  Tensor dk = at::zeros(query.sizes(), query.options()), dv = at::zeros(query.sizes(), query.options());
  const Tensor q = with_rows(query), k = with_rows(key), v = with_rows(value), sk = with_rows(shared_key),
               sv = with_rows(shared_value), bs = whole(bias), vis = whole(visible), g = with_rows(gradient),
               sums = log_sums.contiguous();
  Tensor dsk = zeros_like_or_none(shared_key), dsv = zeros_like_or_none(shared_value), dbias = zeros_like_or_none(bias);
  if (query.numel() == 0) return {dq, dk, dv, dsk, dsv, dbias};
  AT_DISPATCH_FLOATING_TYPES(query.scalar_type(), "window_attention", [&] {
    auto a = arguments_of<scalar_t>(shape, scale, {dropout, static_cast<uint64_t>(seed)}, q, k, v, sk, sv, bs, vis, sums);
    a.result_gradient = rows_of<const scalar_t>(g);
    a.query_gradient = rows_of<scalar_t>(dq);
    a.key_gradient = rows_of<scalar_t>(dk);
    a.value_gradient = rows_of<scalar_t>(dv);
    a.shared_key_gradient = rows_of<scalar_t>(dsk);
    a.shared_value_gradient = rows_of<scalar_t>(dsv);
    const auto& kernel = kernels<scalar_t>().window;
    const Division division =
        division_of(shape.batch, shape.heads, kernel.strips(shape), kernel.apart(shape), bs.defined());
    const auto dsks = partial_like<scalar_t>(dsk, division.parts), dsvs = partial_like<scalar_t>(dsv, division.parts);
    const auto dbiases = partial_like<scalar_t>(dbias, division.copies());
    run_backward(a, division, dsks, dsvs, dbiases);
    dsk = sum_of_copies(dsks.copies);
    dsv = sum_of_copies(dsvs.copies);
    dbias = sum_of_copies(dbiases.copies);
  });
  return {dq, dk, dv, dsk, dsv, dbias};
}

// ---- the operator with its gradient ------------------------------------------------------------------------------------------

using Forward = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&,
                                           const OptionalTensor&, const OptionalTensor&, const OptionalTensor&,
                                           at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, double, double, int64_t);
using Backward = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>(
    const Tensor&, const OptionalTensor&, const Tensor&, const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&,
    const OptionalTensor&, const OptionalTensor&, const OptionalTensor&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, double, double, int64_t);

class WindowAttention : public torch::autograd::Function<WindowAttention> {
 public:
  static Tensor forward(AutogradContext* context, const Tensor& query, const Tensor& key, const Tensor& value,
                        const OptionalTensor& shared_key, const OptionalTensor& shared_value, const OptionalTensor& bias,
                        const OptionalTensor& visible, at::IntArrayRef grid, at::IntArrayRef window, at::IntArrayRef reach,
                        double scale, double dropout, int64_t seed) {
    static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow("tls::window_attention_forward", "").typed<Forward>();
    at::AutoDispatchBelowADInplaceOrView below;
    auto [result, log_sums] = op.call(query, key, value, shared_key, shared_value, bias, visible, grid, window, reach, scale,
                                      dropout, seed);
    context->save_for_backward({query, key, value, or_none(shared_key), or_none(shared_value), or_none(bias),
                                or_none(visible), log_sums, query.is_cpu() ? Tensor() : result});
    context->saved_data["grid"] = grid;
    context->saved_data["window"] = window;
    context->saved_data["reach"] = reach;
    context->saved_data["scale"] = scale;
    context->saved_data["dropout"] = dropout;
    context->saved_data["seed"] = seed;
    return result;
  }

  static variable_list backward(AutogradContext* context, const variable_list& gradients) {
    check_first_derivative("window_attention");
    static const auto op =
        c10::Dispatcher::singleton().findSchemaOrThrow("tls::window_attention_backward", "").typed<Backward>();
    const auto saved = context->get_saved_variables();
    const auto numbers = [&](const char* name) { return context->saved_data[name].toIntVector(); };
    const auto grid = numbers("grid"), window = numbers("window"), reach = numbers("reach");
    auto [dq, dk, dv, dsk, dsv, dbias] =
        op.call(gradients[0], optional_of(saved[8]), saved[7], saved[0], saved[1], saved[2], optional_of(saved[3]), optional_of(saved[4]),
                optional_of(saved[5]), optional_of(saved[6]), grid, window, reach, context->saved_data["scale"].toDouble(),
                context->saved_data["dropout"].toDouble(), context->saved_data["seed"].toInt());
    return {dq, dk, dv, dsk, dsv, dbias, {}, {}, {}, {}, {}, {}, {}};
  }
};

Tensor window_attention(const Tensor& query, const Tensor& key, const Tensor& value, const OptionalTensor& shared_key,
                        const OptionalTensor& shared_value, const OptionalTensor& bias, const OptionalTensor& visible,
                        at::IntArrayRef grid, at::IntArrayRef window, at::IntArrayRef reach, double scale, double dropout,
                        int64_t seed) {
  return WindowAttention::apply(query, key, value, shared_key, shared_value, bias, visible, grid, window, reach, scale,
                                dropout, seed);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(tls, library) {
  library.def(
      "window_attention(Tensor query, Tensor key, Tensor value, Tensor? shared_key, Tensor? shared_value, Tensor? bias, "
      "Tensor? visible, int[] grid, int[] window, int[] reach, float scale, float dropout, int seed) -> Tensor",
      window_attention);
  library.def(
      "window_attention_forward(Tensor query, Tensor key, Tensor value, Tensor? shared_key, Tensor? shared_value, Tensor? bias, "
      "Tensor? visible, int[] grid, int[] window, int[] reach, float scale, float dropout, int seed) -> (Tensor result, Tensor "
      "log_sums)");
  library.def(
      "window_attention_backward(Tensor gradient, Tensor? result, Tensor log_sums, Tensor query, Tensor key, Tensor value, "
      "Tensor? shared_key, Tensor? shared_value, Tensor? bias, Tensor? visible, int[] grid, int[] window, int[] reach, float scale, float dropout, "
      "int seed) -> (Tensor, Tensor, Tensor, Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(tls, CPU, library) {
  library.impl("window_attention_forward", forward_cpu);
  library.impl("window_attention_backward", backward_cpu);
}

}  // namespace tls
