// Causal attention as plain loops, and cases of it.
//
// Shape letters: B batch, T queries, K window keys, N heads, H head size, W window, C slots, P ids.
#pragma once

#include "plain.h"

namespace {

// Inputs, or gradients of them, (B or 1, tokens, N, H) each; biases are of one token.
enum Part { kQuery, kKey, kValue, kWindowBias, kPositionBias, kPositions, kSlotKey, kSlotValue, kSlotPositions, kParts };
const char* const kNames[kParts] = {"query",     "key",      "value",      "window bias",   "position bias",
                                    "positions", "slot key", "slot value", "slot positions"};

struct CausalCase {
  CausalShape shape;
  Dropout dropout;
  Numbers inputs[kParts], direction;
};

int64_t slots_before(const CausalShape& s, int64_t query) {
  return (s.remembered + (s.offset + query) / s.chunk_size) * s.rank;
}

CausalCase causal_case(int64_t longest) {
  CausalCase c;
  CausalShape& s = c.shape;
  s = {};
  s.batch = pick({1, 2});
  s.heads = pick({1, 2});
  s.head_size = pick({1, 5, 8, 16, 20, 32, 64, 72});
  s.queries = std::min(longest, pick({1, 2, 9, 64, 65, 130, 600}));
  s.before = std::min(longest, pick({0, 1, 5, 40, 300}));
  s.window = std::min(s.before + s.queries, pick({1, 2, 5, 16, 17, 40, 300}));
  s.chunk_size = pick({1, 2, 3, 7, 16, 100, 513});
  s.rank = pick({1, 2, 3});
  s.offset = pick({0, 1, s.chunk_size - 1}) % s.chunk_size;
  s.remembered = pick({0, 1, 2, 7, 40});
  s.reach = pick({0, 1, 3, 10, 64, 1000});
  const int64_t seen = slots_before(s, s.queries - 1);
  const bool chunks = seen < 500 && pick({0, 1, 1}) == 1;
  s.slots = chunks ? seen + pick({0, 3}) : 0;
  s.ids = chunks ? std::min(s.reach, seen) + pick({0, 4}) : 0;
  const int64_t row = s.heads * s.head_size, keys = s.before + s.queries;
  const int64_t counts[kParts] = {s.batch * s.queries, s.batch * keys,    s.batch * keys,    1, 1, s.window,
                                  s.batch * s.slots,   s.batch * s.slots, s.ids};
  for (int part = 0; part < kParts; ++part) c.inputs[part] = random_numbers(counts[part] * row);
  c.dropout = {pick({0, 0, 1}) == 1 ? 0.3 : 0, 78};
  c.direction = random_numbers(s.batch * s.queries * row);
  return c;
}

struct CausalResults {
  Numbers result, gradients[kParts];
};

// One query and one key after another.
CausalResults plain_causal(const CausalCase& c, double scale) {
  const CausalShape& s = c.shape;
  const int64_t H = s.head_size, N = s.heads;
  CausalResults r;
  r.result.resize(c.direction.size());
  for (int part = 0; part < kParts; ++part) r.gradients[part].resize(c.inputs[part].size());
  // A key is the sum of numbers, each of which meets the query and one bias, or none.
  struct Term {
    Part part, bias;
    size_t place;
  };
  struct Seen {
    std::vector<Term> terms;
    Part value;
    size_t place;
    double kept, weight;
  };
  for (int64_t b = 0; b < s.batch; ++b)
    for (int64_t n = 0; n < N; ++n)
      for (int64_t t = 0; t < s.queries; ++t) {
        const auto at = [&](int64_t batch, int64_t token, int64_t tokens) {
          return static_cast<size_t>(((batch * tokens + token) * N + n) * H);
        };
        const size_t own = at(b, t, s.queries), bias = at(0, 0, 1);
        const double* query = &c.inputs[kQuery][own];
        std::vector<Seen> seen;
        const auto kept_of = [&](int64_t key) { return kept(c.dropout, (b * N + n) * s.queries + t, key); };
        for (int64_t distance = 0; distance < s.window && distance <= s.before + t; ++distance) {
          const size_t place = at(b, s.before + t - distance, s.before + s.queries);
          const size_t position = at(0, s.window - 1 - distance, s.window);
          seen.push_back({{{kKey, kWindowBias, place}, {kPositions, kPositionBias, position}},
                          kValue,
                          place,
                          kept_of(s.slots + s.window - 1 - distance),
                          0});
        }
        const int64_t end = s.slots == 0 ? 0 : slots_before(s, t);
        for (int64_t id = 0; id < s.reach && id < end; ++id) {
          const size_t place = at(b, end - 1 - id, s.slots), position = at(0, s.ids - 1 - id, s.ids);
          seen.push_back(
              {{{kSlotKey, kParts, place}, {kSlotPositions, kParts, position}}, kSlotValue, place, kept_of(end - 1 - id), 0});
        }
        double largest = -INFINITY, sum = 0, mean = 0;
        for (Seen& one : seen) {
          for (const Term& term : one.terms) {
            const double* key = &c.inputs[term.part][term.place];
            one.weight += scale * dot(query, key, H);
            if (term.bias != kParts) one.weight += dot(&c.inputs[term.bias][bias], key, H);
          }
          largest = std::max(largest, one.weight);
        }
        for (Seen& one : seen) sum += one.weight = std::exp(one.weight - largest);
        for (Seen& one : seen) {
          one.weight /= sum;
          const double* value = &c.inputs[one.value][one.place];
          for (size_t h = 0; h < static_cast<size_t>(H); ++h) {
            r.result[own + h] += one.weight * one.kept * value[h];
            r.gradients[one.value][one.place + h] += one.weight * one.kept * c.direction[own + h];
          }
          mean += one.weight * one.kept * dot(value, &c.direction[own], H);
        }
        for (const Seen& one : seen) {
          const double gradient = one.weight * (one.kept * dot(&c.inputs[one.value][one.place], &c.direction[own], H) - mean);
          for (const Term& term : one.terms)
            for (size_t h = 0; h < static_cast<size_t>(H); ++h) {
              const double key = c.inputs[term.part][term.place + h];
              double met = scale * query[h];
              if (term.bias != kParts) {
                met += c.inputs[term.bias][bias + h];
                r.gradients[term.bias][bias + h] += gradient * key;
              }
              r.gradients[kQuery][own + h] += gradient * scale * key;
              r.gradients[term.part][term.place + h] += gradient * met;
            }
        }
      }
  return r;
}

}  // namespace
