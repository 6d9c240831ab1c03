// The operators of attention on CUDA: float32, bfloat16 and float16, with sums and softmaxes in float32; heads whose tiles have room in
// the shared memory of the device (of an H100 192 numbers of 16 bits, 128 of 32).
// Under autocast all arguments are cast to its type first.
//
// Shape letters: B batch, L queries, N heads, H head size, C shared keys or slots, R slots of a projection.
#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/library.h>

#include <tuple>

#include "../../../compat.h"
#include "../causal_check.h"
#include "../pool_check.h"
#include "../window_check.h"
#include "shapes.h"

namespace tls {
namespace {

using gpu::HeadRows;
using gpu::kShared;
using gpu::kWindow;
using gpu::PoolProblem;
using gpu::Problem;
using gpu::Type;

// The first whose tensor cores the kernels are written for.
constexpr int kLowestCapability = 8;
// No device has room for more; sizes are no risk below.
constexpr int64_t kMostHeadSize = 1024;

bool has_type(at::ScalarType type) { return type == at::kFloat || type == at::kBFloat16 || type == at::kHalf; }

Type type_of(at::ScalarType type) {
  return type == at::kFloat ? Type::float32 : type == at::kBFloat16 ? Type::bfloat16 : Type::float16;
}

bool has_room(at::ScalarType type, int64_t head_size, int64_t device) {
  if (head_size > kMostHeadSize) return false;
  int bytes = 0;
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, static_cast<int>(device)));
  return gpu::shared_bytes_of(type_of(type), static_cast<int>(head_size)) <= bytes;
}

Type checked_type(const Tensor& tensor) {
  const auto type = tensor.scalar_type();
  TORCH_CHECK(has_type(type), "attention on CUDA: expected float32, bfloat16 or float16, received ", type);
  TORCH_CHECK(has_room(type, tensor.size(-1), tensor.device().index()),
              "attention on CUDA: expected heads whose tiles have room in the device's shared memory, received heads of ",
              tensor.size(-1), " ", type);
  return type_of(type);
}

// (B, L, N, H)
HeadRows rows(const Tensor& tensor) {
  if (!tensor.defined() || tensor.numel() == 0) return {};
  return gpu::head_rows(tensor.data_ptr(), tensor.stride(0), tensor.stride(1), tensor.stride(2), tensor.size(3), tensor.element_size());
}
// (L, N, H)
HeadRows table_rows(const Tensor& tensor) { return tensor.defined() ? rows(tensor.unsqueeze(0)) : HeadRows{}; }

void* data_of(const Tensor& tensor) { return tensor.defined() && tensor.numel() > 0 ? tensor.data_ptr() : nullptr; }

gpu::StreamHandle stream_of(const Tensor& tensor) { return c10::cuda::getCurrentCUDAStream(tensor.device().index()).stream(); }

Tensor floats(const Tensor& like, at::IntArrayRef sizes) { return at::empty(sizes, like.options().dtype(at::kFloat)); }

void check_sums(const char* name, const Tensor& sums, const Tensor& query, at::IntArrayRef sizes) {
  TORCH_CHECK(sums.scalar_type() == at::kFloat && sums.device() == query.device() && sums.sizes() == sizes, "expected ", name, " ",
              sizes, " float32 on ", query.device(), ", received ", sums.sizes(), " ", sums.scalar_type(), " on ", sums.device());
}

// The backward reads the result, of which the CPU has no need.
void check_result(const OptionalTensor& result, const Tensor& query) {
  TORCH_CHECK(result, "expected the result ", query.sizes(), ", received none");
  check_like("result", *result, query, query.sizes());
}

// Not read before it is written, unless some of it is not written at all.
Tensor made_like(const Tensor& like, bool whole) {
  return whole ? at::empty(like.sizes(), like.options()) : at::zeros(like.sizes(), like.options());
}
Tensor made_like(const OptionalTensor& like, bool whole) { return like ? made_like(*like, whole) : Tensor(); }

// ---- window attention ----------------------------------------------------------------------------------------------------------

// Tensors live as long as the problem that points into them.
struct WindowInputs {
  Tensor query, key, value, shared_key, shared_value, bias, visible;
};

WindowInputs readable(const Tensor& query, const Tensor& key, const Tensor& value, const OptionalTensor& shared_key,
                      const OptionalTensor& shared_value, const OptionalTensor& bias, const OptionalTensor& visible) {
  return {with_rows(query),        with_rows(key), with_rows(value), with_rows(shared_key),
          with_rows(shared_value), whole(bias),    whole(visible)};
}

Problem problem_of(const WindowInputs& in, const WindowShape& shape, double scale, Dropout dropout) {
  Problem p = gpu::window_problem(shape, scale, dropout);
  p.type = checked_type(in.query);
  p.query = rows(in.query);
  p.key[kWindow] = rows(in.key);
  p.value[kWindow] = rows(in.value);
  p.key[kShared] = rows(in.shared_key);
  p.value[kShared] = rows(in.shared_value);
  p.bias = shape.has_window ? data_of(in.bias) : nullptr;
  p.visible = static_cast<const bool*>(data_of(in.visible));
  return p;
}

std::tuple<Tensor, Tensor> window_forward(const Tensor& query, const Tensor& key, const Tensor& value, const OptionalTensor& shared_key,
                                          const OptionalTensor& shared_value, const OptionalTensor& bias,
                                          const OptionalTensor& visible, at::IntArrayRef grid, at::IntArrayRef window,
                                          at::IntArrayRef reach, double scale, double dropout, int64_t seed) {
  const c10::cuda::CUDAGuard guard(query.device());
  const WindowShape shape =
      checked_shape(query, key, value, shared_key, shared_value, bias, visible, {grid, window, reach}, dropout);
  const WindowInputs in = readable(query, key, value, shared_key, shared_value, bias, visible);
  Problem p = problem_of(in, shape, scale, {dropout, static_cast<uint64_t>(seed)});
  Tensor result = made_like(query, !visible), log_sums = floats(query, {shape.batch, shape.heads, query.size(1)});
  if (result.numel() == 0) return {result, log_sums};
  p.result = rows(result);
  p.log_sums = log_sums.data_ptr<float>();
  gpu::attention_forward(p, stream_of(query));
  return {result, log_sums};
}

std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor> window_backward(
    const Tensor& gradient, const OptionalTensor& result, const Tensor& log_sums, const Tensor& query, const Tensor& key,
    const Tensor& value, const OptionalTensor& shared_key, const OptionalTensor& shared_value, const OptionalTensor& bias,
    const OptionalTensor& visible,
    at::IntArrayRef grid, at::IntArrayRef window, at::IntArrayRef reach, double scale, double dropout, int64_t seed) {
  const c10::cuda::CUDAGuard guard(query.device());
  const WindowShape shape =
      checked_shape(query, key, value, shared_key, shared_value, bias, visible, {grid, window, reach}, dropout);
  check_like("gradient", gradient, query, query.sizes());
  check_result(result, query);
  check_sums("log_sums", log_sums, query, {shape.batch, shape.heads, query.size(1)});
  const WindowInputs in = readable(query, key, value, shared_key, shared_value, bias, visible);
  const bool some = query.numel() > 0;
  Tensor dq = made_like(query, !visible), dk = made_like(query, !visible && shape.has_window),
         dv = made_like(query, !visible && shape.has_window), dsk = made_like(shared_key, some), dsv = made_like(shared_value, some),
         dbias = made_like(bias, some && shape.has_window);
  if (!some) return {dq, dk, dv, dsk, dsv, dbias};
  const Tensor g = with_rows(gradient), of = with_rows(*result), sums = log_sums.contiguous();
  Problem p = problem_of(in, shape, scale, {dropout, static_cast<uint64_t>(seed)});
  p.result = rows(of);
  p.log_sums = sums.data_ptr<float>();
  p.result_gradient = rows(g);
  p.query_gradient = rows(dq);
  p.key_gradient[kWindow] = rows(dk);
  p.value_gradient[kWindow] = rows(dv);
  p.key_gradient[kShared] = rows(dsk);
  p.value_gradient[kShared] = rows(dsv);
  p.bias_gradient = data_of(dbias);
  const Tensor workspace = floats(query, {gpu::workspace_of(p)});
  p.workspace = workspace.data_ptr<float>();
  gpu::attention_backward(p, stream_of(query));
  return {dq, dk, dv, dsk, dsv, dbias};
}

// ---- causal attention ----------------------------------------------------------------------------------------------------------

// `positions`: those of the distances that there are keys at.
Problem problem_of(const Inputs& in, const Tensor& positions, const CausalShape& shape, double scale, Dropout dropout) {
  Problem p = gpu::causal_problem(shape, scale, dropout);
  p.type = checked_type(in.query);
  p.query = rows(in.query);
  p.key[kWindow] = rows(in.key);
  p.value[kWindow] = rows(in.value);
  p.key[kShared] = rows(in.chunk_key);
  p.value[kShared] = rows(in.chunk_value);
  p.query_bias = data_of(in.window_bias);
  p.position_bias = data_of(in.position_bias);
  p.positions[kWindow] = table_rows(positions);
  if (p.shared > 0) p.positions[kShared] = table_rows(in.chunk_positions);
  return p;
}

std::tuple<Tensor, Tensor> causal_forward(const Tensor& query, const Tensor& window_key, const Tensor& window_value,
                                          const OptionalTensor& window_bias, const OptionalTensor& position_bias,
                                          const OptionalTensor& window_positions, const OptionalTensor& chunk_key,
                                          const OptionalTensor& chunk_value, const OptionalTensor& chunk_positions, int64_t window,
                                          at::IntArrayRef chunks, double scale, double dropout, int64_t seed) {
  const c10::cuda::CUDAGuard guard(query.device());
  const Inputs in = readable(query, window_key, window_value, window_bias, position_bias, window_positions, chunk_key, chunk_value,
                             chunk_positions);
  const CausalShape shape = checked_shape(in, window, chunks, dropout);
  const Tensor positions = reached(in.window_positions, shape);
  Problem p = problem_of(in, positions, shape, scale, {dropout, static_cast<uint64_t>(seed)});
  Tensor result = made_like(query, true), softmaxes = floats(query, {shape.batch, shape.heads, shape.queries, 2});
  if (result.numel() == 0) return {result, softmaxes};
  p.result = rows(result);
  p.softmaxes = softmaxes.data_ptr<float>();
  gpu::attention_forward(p, stream_of(query));
  return {result, softmaxes};
}

using CausalGradients = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

CausalGradients causal_backward(const Tensor& gradient, const OptionalTensor& result, const Tensor& softmaxes, const Tensor& query,
                                const Tensor& window_key, const Tensor& window_value, const OptionalTensor& window_bias,
                                const OptionalTensor& position_bias, const OptionalTensor& window_positions,
                                const OptionalTensor& chunk_key, const OptionalTensor& chunk_value,
                                const OptionalTensor& chunk_positions, int64_t window, at::IntArrayRef chunks, double scale,
                                double dropout, int64_t seed) {
  const c10::cuda::CUDAGuard guard(query.device());
  const Inputs in = readable(query, window_key, window_value, window_bias, position_bias, window_positions, chunk_key, chunk_value,
                             chunk_positions);
  const CausalShape shape = checked_shape(in, window, chunks, dropout);
  check_like("gradient", gradient, query, query.sizes());
  check_result(result, query);
  check_sums("softmaxes", softmaxes, query, {shape.batch, shape.heads, shape.queries, 2});
  const Tensor positions = reached(in.window_positions, shape);
  Problem p = problem_of(in, positions, shape, scale, {dropout, static_cast<uint64_t>(seed)});
  const bool some = query.numel() > 0, chunked = some && p.shared > 0;
  Tensor dquery = made_like(query, some), dkey = made_like(window_key, some), dvalue = made_like(window_value, some),
         dwindow_bias = made_like(window_bias, some), dposition_bias = made_like(position_bias, some),
         dwindow_positions = made_like(window_positions, false), dchunk_key = made_like(chunk_key, chunked),
         dchunk_value = made_like(chunk_value, chunked), dchunk_positions = made_like(chunk_positions, chunked);
  if (some) {
    const Tensor g = with_rows(gradient), of = with_rows(*result), sums = softmaxes.contiguous();
    p.result = rows(of);
    p.softmaxes = sums.data_ptr<float>();
    p.result_gradient = rows(g);
    p.query_gradient = rows(dquery);
    p.key_gradient[kWindow] = rows(dkey);
    p.value_gradient[kWindow] = rows(dvalue);
    p.key_gradient[kShared] = rows(dchunk_key);
    p.value_gradient[kShared] = rows(dchunk_value);
    p.query_bias_gradient = data_of(dwindow_bias);
    p.position_bias_gradient = data_of(dposition_bias);
    p.positions_gradient[kWindow] = data_of(reached(dwindow_positions, shape));
    p.positions_gradient[kShared] = data_of(dchunk_positions);
    const Tensor workspace = floats(query, {gpu::workspace_of(p)});
    p.workspace = workspace.data_ptr<float>();
    gpu::attention_backward(p, stream_of(query));
  }
  return {dquery,     dkey,         dvalue,          dwindow_bias, dposition_bias, dwindow_positions,
          dchunk_key, dchunk_value, dchunk_positions};
}

// ---- the dynamic projection ------------------------------------------------------------------------------------------------------

PoolProblem problem_of(const Tensor& logits, const Tensor& key, const Tensor& value, const Tensor& visible) {
  const auto number = [](int64_t x) { return static_cast<int>(x); };
  PoolProblem p{};
  p.type = checked_type(key);
  p.batch = number(key.size(0));
  p.tokens = number(key.size(1));
  p.heads = number(key.size(2));
  p.head_size = number(key.size(3));
  p.slots = number(logits.size(3));
  p.logits = rows(logits);
  p.key = rows(key);
  p.value = rows(value);
  p.visible = static_cast<const bool*>(data_of(visible));
  return p;
}

std::tuple<Tensor, Tensor, Tensor> pool_forward(const Tensor& logits, const Tensor& key, const Tensor& value,
                                                const OptionalTensor& visible) {
  const c10::cuda::CUDAGuard guard(key.device());
  check_pool(logits, key, value, visible);
  const int64_t B = key.size(0), N = key.size(2), H = key.size(3), R = logits.size(3);
  const bool some = key.numel() > 0 && R > 0;
  Tensor pooled_key = at::zeros({B, R, N, H}, key.options()), pooled_value = at::zeros({B, R, N, H}, key.options());
  Tensor log_sums = floats(key, {B, N, R});
  if (!some) return {pooled_key, pooled_value, log_sums};
  const Tensor s = with_rows(logits), k = with_rows(key), v = with_rows(value), seen = whole(visible);
  PoolProblem p = problem_of(s, k, v, seen);
  p.pooled_key = rows(pooled_key);
  p.pooled_value = rows(pooled_value);
  p.log_sums = log_sums.data_ptr<float>();
  const Tensor workspace = floats(key, {gpu::pool_workspace_of(p)});
  p.workspace = workspace.data_ptr<float>();
  gpu::pool_forward(p, stream_of(key));
  return {pooled_key, pooled_value, log_sums};
}

std::tuple<Tensor, Tensor, Tensor> pool_backward(const Tensor& key_gradient, const Tensor& value_gradient, const Tensor& pooled_key,
                                                 const Tensor& pooled_value, const Tensor& log_sums, const Tensor& logits,
                                                 const Tensor& key, const Tensor& value, const OptionalTensor& visible) {
  const c10::cuda::CUDAGuard guard(key.device());
  check_pool(logits, key, value, visible);
  const bool some = key.numel() > 0 && logits.numel() > 0;
  Tensor dlogits = made_like(logits, some), dkey = made_like(key, some), dvalue = made_like(key, some);
  if (!some) return {dlogits, dkey, dvalue};
  for (const Tensor* tensor : {&key_gradient, &value_gradient, &pooled_value})
    check_like("gradient", *tensor, key, pooled_key.sizes());
  check_sums("log_sums", log_sums, key, {key.size(0), key.size(2), logits.size(3)});
  const Tensor s = with_rows(logits), k = with_rows(key), v = with_rows(value), seen = whole(visible), gk = with_rows(key_gradient),
               gv = with_rows(value_gradient), pk = with_rows(pooled_key), pv = with_rows(pooled_value), sums = log_sums.contiguous();
  PoolProblem p = problem_of(s, k, v, seen);
  p.pooled_key = rows(pk);
  p.pooled_value = rows(pv);
  p.pooled_key_gradient = rows(gk);
  p.pooled_value_gradient = rows(gv);
  p.log_sums = sums.data_ptr<float>();
  p.logit_gradient = rows(dlogits);
  p.key_gradient = rows(dkey);
  p.value_gradient = rows(dvalue);
  const Tensor workspace = floats(key, {gpu::pool_workspace_of(p)});
  p.workspace = workspace.data_ptr<float>();
  gpu::pool_backward(p, stream_of(key));
  return {dlogits, dkey, dvalue};
}

// ---- autocast ------------------------------------------------------------------------------------------------------------------

at::ScalarType autocast_type() { return compat::autocast_state(at::kCUDA).dtype; }

Tensor cast(const Tensor& tensor) { return at::autocast::cached_cast(autocast_type(), tensor, at::kCUDA); }
OptionalTensor cast(const OptionalTensor& tensor) { return tensor ? OptionalTensor(cast(*tensor)) : tensor; }

// A function that casts its tensors, calls the operator Name with autocast off, and has the same type.
template <class Signature, const char* const& kName>
struct Cast;
template <class Result, class... Arguments, const char* const& kName>
struct Cast<Result(Arguments...), kName> {
  static Result call(Arguments... arguments) {
    static const auto op = c10::Dispatcher::singleton().findSchemaOrThrow(kName, "").template typed<Result(Arguments...)>();
    const c10::impl::ExcludeDispatchKeyGuard without(c10::DispatchKey::AutocastCUDA);
    return op.call(cast_tensor(arguments)...);
  }
  static Tensor cast_tensor(const Tensor& tensor) { return cast(tensor); }
  static OptionalTensor cast_tensor(const OptionalTensor& tensor) { return cast(tensor); }
  template <class Other>
  static Other cast_tensor(const Other& other) { return other; }
};

using Window = Tensor(const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&, const OptionalTensor&, const OptionalTensor&,
                      const OptionalTensor&, at::IntArrayRef, at::IntArrayRef, at::IntArrayRef, double, double, int64_t);
using Causal = Tensor(const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&, const OptionalTensor&, const OptionalTensor&,
                      const OptionalTensor&, const OptionalTensor&, const OptionalTensor&, int64_t, at::IntArrayRef, double, double,
                      int64_t);
using Pool = std::tuple<Tensor, Tensor>(const Tensor&, const Tensor&, const Tensor&, const OptionalTensor&);

const char* const kWindowName = "tls::window_attention";
const char* const kCausalName = "tls::causal_attention";
const char* const kPoolName = "tls::pool_tokens";

// ---- what there is -------------------------------------------------------------------------------------------------------------

bool available(const Tensor& like, int64_t head_size) {
  const auto autocast = compat::autocast_state(at::kCUDA);
  const auto type = autocast.enabled && like.scalar_type() != at::kDouble ? autocast.dtype : like.scalar_type();
  if (!has_type(type) || !has_room(type, head_size, like.device().index())) return false;
  int capability = 0;
  C10_CUDA_CHECK(cudaDeviceGetAttribute(&capability, cudaDevAttrComputeCapabilityMajor, like.device().index()));
  return capability >= kLowestCapability;
}

}  // namespace

TORCH_LIBRARY_IMPL(tls, CUDA, library) {
  library.impl("available", available);
  library.impl("window_attention_forward", window_forward);
  library.impl("window_attention_backward", window_backward);
  library.impl("causal_attention_forward", causal_forward);
  library.impl("causal_attention_backward", causal_backward);
  library.impl("pool_tokens_forward", pool_forward);
  library.impl("pool_tokens_backward", pool_backward);
}

TORCH_LIBRARY_IMPL(tls, AutocastCUDA, library) {
  library.impl("window_attention", Cast<Window, kWindowName>::call);
  library.impl("causal_attention", Cast<Causal, kCausalName>::call);
  library.impl("pool_tokens", Cast<Pool, kPoolName>::call);
}

}  // namespace tls
