// Window attention as plain loops, and cases of it.
//
// Shape letters: B batch, L tokens, N heads, H head size, C shared keys, S queries of a segment, Y keys that it sees.
#pragma once

#include "plain.h"

namespace {

struct WindowCase {
  WindowShape shape;
  bool biased, masked;
  Dropout dropout;
  int64_t L, S, Y;
  Numbers query, key, value, shared_key, shared_value, bias, direction;
  std::vector<char> visible;
};

WindowCase window_case(int64_t longest) {
  WindowCase c;
  const bool grid = pick({0, 1}) == 1;
  WindowShape& s = c.shape;
  s.batch = pick({1, 2});
  s.heads = pick({1, 3});
  s.head_size = pick({1, 5, 8, 16, 20, 32, 64, 72});
  s.rows = grid ? pick({1, 4, 9}) : 1;
  s.columns = grid ? pick({1, 5, 8}) : std::min(longest, pick({1, 7, 40, 600}));
  s.window_rows = grid ? pick({1, 2, 7}) : 1;
  s.window_columns = grid ? s.window_rows : pick({1, 2, 8, 33, 100});
  s.reach_columns = std::max<int64_t>(1, s.window_columns / 2);
  s.reach_rows = grid ? s.reach_columns : 0;
  s.has_window = pick({0, 1, 1, 1}) == 1;
  s.shared = s.has_window ? pick({0, 1, 9, 32}) : pick({1, 9, 32});
  c.L = s.rows * s.columns;
  c.S = s.window_rows * s.window_columns;
  c.Y = (s.window_rows + 2 * s.reach_rows) * (s.window_columns + 2 * s.reach_columns);
  c.biased = s.has_window && pick({0, 1}) == 1;
  c.masked = pick({0, 1}) == 1;
  c.dropout = {pick({0, 0, 1}) == 1 ? 0.3 : 0, 77};
  const int64_t all = s.batch * c.L * s.heads * s.head_size, shared = s.batch * s.shared * s.heads * s.head_size;
  c.query = random_numbers(all);
  c.key = random_numbers(all);
  c.value = random_numbers(all);
  c.direction = random_numbers(all);
  c.shared_key = random_numbers(shared);
  c.shared_value = random_numbers(shared);
  c.bias = random_numbers(c.biased ? s.heads * c.S * c.Y : 0);
  c.visible.assign(static_cast<size_t>(s.batch * c.L), 1);
  if (c.masked)
    for (char& one : c.visible) one = pick({0, 1, 1}) == 1;
  return c;
}

struct WindowResults {
  Numbers result, query, key, value, shared_key, shared_value, bias;
};

// One query and one key after another.
WindowResults plain_window(const WindowCase& c, double scale) {
  const WindowShape& s = c.shape;
  const int64_t H = s.head_size, N = s.heads;
  const auto at = [&](int64_t b, int64_t t, int64_t n, int64_t tokens) { return ((b * tokens + t) * N + n) * H; };
  const auto zeros = [](const Numbers& like) { return Numbers(like.size()); };
  WindowResults r{zeros(c.query),      zeros(c.query),        zeros(c.key), zeros(c.value),
                  zeros(c.shared_key), zeros(c.shared_value), zeros(c.bias)};
  struct Seen {
    const double *key, *value;
    double *key_gradient, *value_gradient, *bias_gradient;
    double weight, kept;
  };
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t n = 0; n < N; ++n)
      for (int64_t t = 0; t < c.L; ++t) {
        if (!c.visible[static_cast<size_t>(b * c.L + t)]) continue;
        const double* query = &c.query[static_cast<size_t>(at(b, t, n, c.L))];
        std::vector<Seen> seen;
        const auto kept_of = [&](int64_t key_place) { return kept(c.dropout, (b * N + n) * c.L + t, key_place); };
        for (int64_t i = 0; i < s.shared; ++i) {
          const auto place = static_cast<size_t>(at(b, i, n, s.shared));
          seen.push_back({&c.shared_key[place], &c.shared_value[place], &r.shared_key[place], &r.shared_value[place], nullptr,
                          scale * dot(query, &c.shared_key[place], H), kept_of(i)});
        }
        const int64_t row = t / s.columns, column = t % s.columns;
        const int64_t first_row = row / s.window_rows * s.window_rows - s.reach_rows;
        const int64_t first_column = column / s.window_columns * s.window_columns - s.reach_columns;
        const int64_t within = row % s.window_rows * s.window_columns + column % s.window_columns;
        for (int64_t y = 0; s.has_window && y < c.Y; ++y) {
          const int64_t across = s.window_columns + 2 * s.reach_columns;
          const int64_t key_row = first_row + y / across, key_column = first_column + y % across;
          if (key_row < 0 || key_row >= s.rows || key_column < 0 || key_column >= s.columns) continue;
          const int64_t token = key_row * s.columns + key_column;
          if (!c.visible[static_cast<size_t>(b * c.L + token)]) continue;
          const auto place = static_cast<size_t>(at(b, token, n, c.L));
          const auto bias = static_cast<size_t>((n * c.S + within) * c.Y + y);
          seen.push_back({&c.key[place], &c.value[place], &r.key[place], &r.value[place], c.biased ? &r.bias[bias] : nullptr,
                          scale * dot(query, &c.key[place], H) + (c.biased ? c.bias[bias] : 0),
                          kept_of(s.shared + y)});
        }
        double largest = -INFINITY, sum = 0;
        for (const Seen& one : seen) largest = std::max(largest, one.weight);
        for (Seen& one : seen) sum += one.weight = std::exp(one.weight - largest);
        const auto place = static_cast<size_t>(at(b, t, n, c.L));
        double mean = 0;
        for (Seen& one : seen) {
          one.weight /= sum;
          for (int64_t h = 0; h < H; ++h) {
            r.result[place + static_cast<size_t>(h)] += one.weight * one.kept * one.value[h];
            one.value_gradient[h] += one.weight * one.kept * c.direction[place + static_cast<size_t>(h)];
          }
          mean += one.weight * one.kept * dot(one.value, &c.direction[place], H);
        }
        for (const Seen& one : seen) {
          const double gradient = one.weight * (one.kept * dot(one.value, &c.direction[place], H) - mean);
          if (one.bias_gradient != nullptr) *one.bias_gradient += gradient;
          for (int64_t h = 0; h < H; ++h) {
            r.query[place + static_cast<size_t>(h)] += scale * gradient * one.key[h];
            one.key_gradient[h] += scale * gradient * query[h];
          }
        }
      }
  return r;
}

}  // namespace
