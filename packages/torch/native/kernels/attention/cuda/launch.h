// The launches of each type of numbers, each compiled in a file of its own (type.inc).
#pragma once

#include "primitives.cuh"
#include "problem.h"

namespace tls::gpu {

template <Type kType>
void forward(const Problem& problem, Stream stream);
template <Type kType>
void backward(const Problem& problem, Stream stream);
template <Type kType>
int64_t workspace_numbers(const Problem& problem);
template <Type kType>
int64_t most_shared_bytes(int head_size);
template <Type kType>
void pool_forward(const PoolProblem& problem, Stream stream);
template <Type kType>
void pool_backward(const PoolProblem& problem, Stream stream);

}  // namespace tls::gpu
