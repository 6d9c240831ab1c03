// Linear maps of many tokens by matrices that fit in the second-level cache, several of one input at once: the input is read once,
// and its gradient is one sum. Libraries pack both sides of a product for matrices without limit, which at these sizes
// costs up to half of the time.
//
// Shape letters: I inputs, O outputs; a capital with p behind it is the next whole number of vectors.
#pragma once

#include "../product.h"
#include "../rows.h"
#include "../scratch.h"
#include "kernels.h"

namespace tls {
namespace {

// Tokens whose products are made at once: a whole number of register blocks, and few enough that what they give stays in cache.
constexpr int64_t kTileTokens = 96;

// Columns of a panel: a packed matrix is a panel after the other, each all rows of this many columns, the last one of fewer.
template <class T>
constexpr int64_t kPanel = kWidest * kLanes<T>;

template <class T>
void pack_panels(T* to, const T* from, int64_t row, int64_t column, int64_t rows, int64_t columns) {
  for (int64_t first = 0; first < columns; first += kPanel<T>) {
    const int64_t left = columns - first, real = left < kPanel<T> ? left : kPanel<T>, wide = whole_vectors<T>(real);
    const T* source = from + first * column;
    if (row == 1 && real == wide) {
      // Across: as many rows at once as make whole vectors of what is read, and one after the other what is left.
      const int64_t whole = rows / kLanes<T> * kLanes<T>;
      transpose(to, wide, source, column, real, whole);
      to += whole * wide;
      for (int64_t i = whole; i < rows; ++i, to += wide)
        for (int64_t j = 0; j < real; ++j) to[j] = source[i + j * column];
      continue;
    }
    for (int64_t i = 0; i < rows; ++i, to += wide) {
      for (int64_t j = 0; j < real; ++j) to[j] = source[i * row + j * column];
      for (int64_t j = real; j < wide; ++j) to[j] = 0;
    }
  }
}

// c (rows, columns) = a (rows, depth) times rows [from, from + depth) of a packed matrix of `packed_rows`, and what it starts with.
// `columns` is a whole number of vectors.
template <Start kStart, class T>
void packed_product(int64_t rows, int64_t columns, int64_t depth, Matrix<T> a, const T* packed, int64_t packed_rows,
                    int64_t from, T* c, int64_t c_row, const T* start = nullptr) {
  for (int64_t first = 0; first < columns; first += kPanel<T>) {
    const int64_t left = columns - first, wide = left < kPanel<T> ? left : kPanel<T>;
    product<kStart>(rows, wide, depth, a, packed + first * packed_rows + from * wide, wide, c + first, c_row,
                    kStart == Start::row ? start + first : nullptr);
  }
}

template <Start kStart, class T>
void packed_product(int64_t rows, int64_t columns, int64_t depth, Matrix<T> a, const T* packed, T* c, int64_t c_row,
                    const T* start = nullptr) {
  packed_product<kStart>(rows, columns, depth, a, packed, depth, 0, c, c_row, start);
}

template <class T>
class LinearWork {
 public:
  LinearWork(const LinearArguments<T>& arguments, bool backward, T* scratch)
      : a_(arguments), I_(a_.inputs), Ip_(whole_vectors<T>(I_)) {
    Scratch<T> memory(scratch);
    if (!backward) {
      int64_t widest = 0;
      for (int64_t m = 0; m < a_.count; ++m)
        if (!whole(a_.maps[m].outputs) && a_.maps[m].outputs > widest) widest = a_.maps[m].outputs;
      results_ = memory.take(kTileTokens * whole_vectors<T>(widest));
      bias_ = memory.take(whole_vectors<T>(widest));
    } else {
      if (!whole(I_)) inputs_ = memory.take(kTileTokens * Ip_);
      if (!whole(I_)) input_gradients_ = memory.take(kTileTokens * Ip_);
    }
    taken_ = memory.taken();
  }

  int64_t taken() const { return taken_; }

  void forward(int64_t first, int64_t end) {
    for (int64_t token = first; token < end; token += kTileTokens) {
      const int64_t count = end - token < kTileTokens ? end - token : kTileTokens;
      for (int64_t m = 0; m < a_.count; ++m) forward(a_.maps[m], token, count);
    }
  }

  void input_gradient(int64_t first, int64_t end) {
    for (int64_t token = first; token < end; token += kTileTokens)
      tile_gradient(token, end - token < kTileTokens ? end - token : kTileTokens);
  }

  void parameter_gradients(const LinearPart<T>& part) {
    const LinearMap<T>& map = a_.maps[part.map];
    const int64_t outputs = part.end_output - part.first_output;
    for (int64_t token = part.first; token < part.end; token += kTileTokens) {
      const int64_t count = part.end - token < kTileTokens ? part.end - token : kTileTokens;
      const T* given = map.result_gradient + token * map.row + part.first_output;
      const T* inputs = a_.input + token * a_.input_row;
      int64_t row = a_.input_row;
      if (inputs_ != nullptr) {
        for (int64_t i = 0; i < count; ++i) copy_padded(inputs_ + i * Ip_, inputs + i * row, I_, Ip_);
        inputs = inputs_;
        row = Ip_;
      }
      product<true>(outputs, Ip_, count, Matrix<T>{given, 1, map.row}, inputs, row, part.weight + part.first_output * Ip_, Ip_);
      if (part.bias != nullptr) add_columns(part.bias + part.first_output, given, map.row, count, outputs);
    }
  }

 private:
  static bool whole(int64_t count) { return count % kLanes<T> == 0; }

  void forward(const LinearMap<T>& map, int64_t token, int64_t count) {
    const int64_t O = map.outputs, Op = whole_vectors<T>(O);
    const bool direct = whole(O);
    T* results = direct ? map.result + token * map.row : results_;
    const int64_t row = direct ? map.row : Op;
    const Matrix<T> inputs{a_.input + token * a_.input_row, a_.input_row};
    if (map.bias == nullptr) {
      packed_product<Start::nothing>(count, Op, I_, inputs, map.packed, results, row);
    } else {
      if (!direct) copy_padded(bias_, map.bias, O, Op);
      packed_product<Start::row>(count, Op, I_, inputs, map.packed, results, row, direct ? map.bias : bias_);
    }
    if (!direct)
      for (int64_t i = 0; i < count; ++i) copy(map.result + (token + i) * map.row, results + i * row, O);
  }

  void tile_gradient(int64_t token, int64_t count) {
    const bool direct = whole(I_);
    T* gradients = direct ? a_.input_gradient + token * I_ : input_gradients_;
    if (!direct && a_.add)
      for (int64_t i = 0; i < count; ++i) copy_padded(gradients + i * Ip_, a_.input_gradient + (token + i) * I_, I_, Ip_);
    bool any = a_.add;
    for (int64_t m = 0; m < a_.count; ++m) {
      const LinearMap<T>& map = a_.maps[m];
      if (map.result_gradient == nullptr) continue;
      const Matrix<T> given{map.result_gradient + token * map.row, map.row};
      if (any)
        packed_product<Start::result>(count, Ip_, map.outputs, given, map.packed, gradients, Ip_);
      else
        packed_product<Start::nothing>(count, Ip_, map.outputs, given, map.packed, gradients, Ip_);
      any = true;
    }
    if (!any) fill(gradients, count * Ip_, T{0});
    if (!direct)
      for (int64_t i = 0; i < count; ++i) copy(a_.input_gradient + (token + i) * I_, gradients + i * Ip_, I_);
  }

  // The sum of the rows, which is made before it joins the others: float32 needs sums of sums.
  static void add_columns(T* to, const T* from, int64_t row, int64_t rows, int64_t columns) {
    for (int64_t j = 0; j < columns; j += kLanes<T>) {
      const int64_t count = columns - j < kLanes<T> ? columns - j : kLanes<T>;
      Vector<T> even{}, odd{};
      int64_t i = 0;
      for (; i + 2 <= rows; i += 2) {
        even += load_some(from + i * row + j, count);
        odd += load_some(from + (i + 1) * row + j, count);
      }
      if (i < rows) even += load_some(from + i * row + j, count);
      store_some(to + j, load_some(to + j, count) + (even + odd), count);
    }
  }

  const LinearArguments<T>& a_;
  const int64_t I_, Ip_;
  int64_t taken_;
  T *results_ = nullptr, *bias_ = nullptr, *inputs_ = nullptr, *input_gradients_ = nullptr;
};

template <class T>
LinearKernels<T> linear_kernels() {
  LinearKernels<T> kernels;
  kernels.packed_size = [](int64_t rows, int64_t columns) { return rows * whole_vectors<T>(columns); };
  kernels.pack = pack_panels<T>;
  kernels.scratch = [](const LinearArguments<T>& a, bool backward) { return LinearWork<T>(a, backward, nullptr).taken(); };
  kernels.forward = [](const LinearArguments<T>& a, int64_t first, int64_t end, T* scratch) {
    LinearWork<T>(a, false, scratch).forward(first, end);
  };
  kernels.input_gradient = [](const LinearArguments<T>& a, int64_t first, int64_t end, T* scratch) {
    LinearWork<T>(a, true, scratch).input_gradient(first, end);
  };
  kernels.parameter_gradients = [](const LinearArguments<T>& a, const LinearPart<T>& part, T* scratch) {
    LinearWork<T>(a, true, scratch).parameter_gradients(part);
  };
  return kernels;
}

}  // namespace
}  // namespace tls
