// What the loops of linear layers, norms and the optimiser work on. Chosen by instruction set like those of attention.
//
// Shape letters: M tokens, I inputs, O outputs of one map.
#pragma once

#include <cstdint>

namespace tls {

// One of the linear maps that share an input: M rows of O numbers, `row` apart.
template <class T>
struct LinearMap {
  int64_t outputs;
  const T* packed;  // forward: the weight's (I, O) in panels; backward: its (O, I) in panels
  const T* bias;    // (O) or null
  T* result;
  const T* result_gradient;  // null: none came
  int64_t row;
};

template <class T>
struct LinearArguments {
  int64_t inputs;
  const T* input;  // M rows of I numbers, input_row apart
  int64_t input_row;
  const LinearMap<T>* maps;
  int64_t count;
  T* input_gradient;  // (M, I) or null: not wanted
  bool add;           // to what the gradient of the input holds
};

// Outputs [first_output, end_output) of a map, tokens [first, end), and what these add to: gradients of the weight, (O, Ip) with Ip the
// next whole number of vectors, and of the bias, (O) or null.
template <class T>
struct LinearPart {
  int64_t map, first_output, end_output, first, end;
  T *weight, *bias;
};

template <class T>
struct LinearKernels {
  // Numbers that a packed (rows, columns) matrix takes.
  int64_t (*packed_size)(int64_t rows, int64_t columns);
  // Element (i, j) is at from[i * row + j * column].
  void (*pack)(T* to, const T* from, int64_t row, int64_t column, int64_t rows, int64_t columns);
  int64_t (*scratch)(const LinearArguments<T>&, bool backward);
  void (*forward)(const LinearArguments<T>&, int64_t first, int64_t end, T* scratch);
  void (*input_gradient)(const LinearArguments<T>&, int64_t first, int64_t end, T* scratch);
  void (*parameter_gradients)(const LinearArguments<T>&, const LinearPart<T>&, T* scratch);
};

// GELU between two linear maps, (M, I) -> (M, F) -> (M, O).
template <class T>
struct FeedForwardArguments {
  int64_t inputs, inner, outputs;
  const T* input;  // M rows of I numbers, input_row apart
  int64_t input_row;
  const T *first, *second;            // packed: (I, F) and (F, O)
  const T *first_bias, *second_bias;  // (F) and (O), or null
  T* result;                          // (M, O)
};

template <class T>
struct FeedForwardKernels {
  int64_t (*scratch)(const FeedForwardArguments<T>&);
  void (*forward)(const FeedForwardArguments<T>&, int64_t first, int64_t end, T* scratch);
};

// LayerNorm of M rows of D numbers.
template <class T>
struct NormArguments {
  int64_t width;
  double epsilon;
  const T* input;  // rows input_row apart
  int64_t input_row;
  const T *weight, *bias;  // (D) or null
  T* result;               // (M, D)
  T *means, *factors;      // (M); factors are 1 / standard deviation
  const T* result_gradient;
  int64_t gradient_row;
  T* input_gradient;  // (M, D); may be result_gradient
};

template <class T>
struct NormKernels {
  void (*forward)(const NormArguments<T>&, int64_t first, int64_t end);
  // The result again, by the means and factors that `forward` found.
  void (*again)(const NormArguments<T>&, int64_t first, int64_t end);
  // Gradients of weight and bias (D or null) are added to.
  void (*backward)(const NormArguments<T>&, int64_t first, int64_t end, T* weight_gradient, T* bias_gradient);
};

// x Phi(x) of `count` numbers, and its gradient.
template <class T>
struct GeluKernels {
  void (*forward)(T* result, const T* input, int64_t count);
  void (*backward)(T* input_gradient, const T* input, const T* result_gradient, int64_t count);
};

// What is the same for every element of an AdamW step: Loshchilov and Hutter 2019, algorithm 2, as torch.optim.AdamW orders it.
template <class T>
struct AdamWStep {
  T gradient_scale;
  T first_weight;     // 1 - beta1
  T second_decay;     // beta2
  T second_weight;    // 1 - beta2
  T kept;             // 1 - lr * weight_decay
  T size;             // lr / (1 - beta1^t)
  T root_correction;  // 1 / sqrt(1 - beta2^t)
  T epsilon;
};

template <class T>
using AdamWKernel = void (*)(T* parameter, const T* gradient, T* first, T* second, int64_t count, const AdamWStep<T>& step);

template <class T>
struct LayerKernels {

  LinearKernels<T> linear;
  FeedForwardKernels<T> feed_forward;
  NormKernels<T> norm;
  GeluKernels<T> gelu;
  AdamWKernel<T> adamw;
  // to += more, `count` numbers.
  void (*add)(T* to, const T* more, int64_t count);
};

}  // namespace tls
