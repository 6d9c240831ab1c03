// By the type of the numbers: what problem.h promises.
#include "launch.h"

#include <stdexcept>
#include <string>
#include <type_traits>

#include "pool.cuh"

namespace tls::gpu {
namespace {

template <Type kType>
using TypeConstant = std::integral_constant<Type, kType>;

template <class Do>
auto by_type(Type type, Do act) {
  switch (type) {
    case Type::float32: return act(TypeConstant<Type::float32>{});
    case Type::bfloat16: return act(TypeConstant<Type::bfloat16>{});
    default: return act(TypeConstant<Type::float16>{});
  }
}

}  // namespace

#if !defined(TLS_CUDA_EMULATION)
void check_launch(cudaError_t error) {
  if (error != cudaSuccess) throw std::runtime_error(std::string("attention on CUDA: ") + cudaGetErrorString(error));
}
#endif

int64_t shared_bytes_of(Type type, int head_size) {
  return by_type(type, [&](auto constant) { return most_shared_bytes<constant.value>(head_size); });
}

int64_t workspace_of(const Problem& problem) {
  return by_type(problem.type, [&](auto type) { return workspace_numbers<type.value>(problem); });
}
void attention_forward(const Problem& problem, StreamHandle stream) {
  by_type(problem.type, [&](auto type) { forward<type.value>(problem, static_cast<Stream>(stream)); });
}
void attention_backward(const Problem& problem, StreamHandle stream) {
  by_type(problem.type, [&](auto type) { backward<type.value>(problem, static_cast<Stream>(stream)); });
}

int64_t pool_workspace_of(const PoolProblem& p) {
  return pool_part_row(p, pool_parts(p), 0, 0, 0);
}
void pool_forward(const PoolProblem& problem, StreamHandle stream) {
  by_type(problem.type, [&](auto type) { pool_forward<type.value>(problem, static_cast<Stream>(stream)); });
}
void pool_backward(const PoolProblem& problem, StreamHandle stream) {
  by_type(problem.type, [&](auto type) { pool_backward<type.value>(problem, static_cast<Stream>(stream)); });
}

}  // namespace tls::gpu
