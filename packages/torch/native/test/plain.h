// What the checks of the kernels share: random numbers, plain sums, and the instruction sets of this processor.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <vector>

#include "../kernels/attention/dropout_hash.h"
#include "../kernels/instructions.h"

namespace {

using namespace tls;
using Numbers = std::vector<double>;

std::mt19937 generator(1);

int64_t pick(std::initializer_list<int64_t> values) {
  return values.begin()[std::uniform_int_distribution<size_t>(0, values.size() - 1)(generator)];
}

Numbers random_numbers(int64_t count) {
  std::normal_distribution<double> normal;
  Numbers numbers(static_cast<size_t>(count));
  for (double& number : numbers) number = normal(generator);
  return numbers;
}

// (B, L, N, H), contiguous.
template <class T, class U>
Rows<T> rows(std::vector<U>& numbers, int64_t tokens, int64_t heads, int64_t size) {
  return {numbers.data(), tokens * heads * size, heads * size, size};
}

template <class T>
std::vector<T> as(const Numbers& numbers) {
  return std::vector<T>(numbers.begin(), numbers.end());
}

template <class T>
void expect_near(const std::string& what, const std::vector<T>& found, const Numbers& expected) {
  double scale = 1;
  for (double number : expected) scale = std::max(scale, std::abs(number));
  const double allowed = (sizeof(T) == 8 ? 1e-12 : 2e-5) * scale;
  for (size_t i = 0; i < expected.size(); ++i)
    if (!(std::abs(found[i] - expected[i]) <= allowed)) {
      std::printf("%s: expected %g at %zu, received %g\n", what.c_str(), expected[i], i, static_cast<double>(found[i]));
      std::exit(1);
    }
}

// What a weight is multiplied with: 0, or what makes up for those that are dropped.
double kept(Dropout dropout, int64_t query, int64_t key) {
  if (dropout.probability == 0) return 1;
  const uint32_t chance = QueryHash(dropout.seed, query).chance(static_cast<uint32_t>(key));
  return chance < dropout_threshold(dropout.probability) ? 0 : 1 / (1 - dropout.probability);
}

double dot(const double* a, const double* b, int64_t count) {
  double sum = 0;
  for (int64_t i = 0; i < count; ++i) sum += a[i] * b[i];
  return sum;
}

inline std::vector<InstructionSet> available_sets() {
  std::vector<InstructionSet> sets{portable_instructions()};
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) sets.push_back(avx2_instructions());
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq") &&
      __builtin_cpu_supports("avx512bw"))
    sets.push_back(avx512_instructions());
#endif
  return sets;
}

}  // namespace
