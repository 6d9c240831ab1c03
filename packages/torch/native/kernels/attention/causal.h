// Causal long-short attention: each query sees a window of keys that ends with its own token, and the compressed chunks before its
// own, under one softmax (Zhu et al. 2021, section 3.3; see docs/attention.md). Forward and backward, one head of one sequence
// at a time.
//
// Scores exist for one group of queries at a time. The backward pass computes them again.
//
// Row r of a group sees the keys [r, r + W) of the group's strip of keys: a diagonal band. Scores by distance lie under their
// keys when each row is one column further right than the row before it, so products read and write them there with a row of
// one number more.
//
// Shape letters: H head size, W window, R rank, C slots (compressed keys) that any query sees, Q ids of slots, K packed keys of a
// block, Y keys of a group; a capital with p behind it is the next whole number of vectors.
#pragma once

#include "dropout.h"
#include "kernels.h"
#include "../product.h"
#include "../rows.h"
#include "../scratch.h"

namespace tls {
namespace {

// Queries whose scores exist at once, at most, and numbers of their scores: a quarter of a second-level cache.
constexpr int64_t kMostCausalQueries = 64;
constexpr int64_t kCausalScores = int64_t{1} << 16;
// Queries whose keys are packed at once, about.
constexpr int64_t kCausalBlock = 512;
// Rows of a product over a band that are done at once. More read the keys more seldom, fewer compute less beside the band.
constexpr int64_t kBandRows = 24;
// Terms that are summed at once, so that what they are multiplied with stays in the nearest cache.
constexpr int64_t kDepth = 64;

// How the queries of a sequence are cut into blocks, at whole chunks.
struct CausalLayout {
  explicit CausalLayout(const CausalShape& shape) : shape(shape) {
    const int64_t c = shape.chunk_size;
    block = c <= kCausalBlock ? kCausalBlock / c * c : kCausalBlock;
    lead = shape.offset % block;
  }

  const CausalShape& shape;
  int64_t block, lead;

  int64_t strips() const { return (lead + shape.queries + block - 1) / block; }
  int64_t apart() const { return (shape.window - 1 + block - 1) / block; }
  // Of the strip: queries [first, end).
  int64_t first_of(int64_t strip) const { return strip == 0 ? 0 : strip * block - lead; }
  int64_t end_of(int64_t strip) const {
    const int64_t end = (strip + 1) * block - lead;
    return end < shape.queries ? end : shape.queries;
  }
  int64_t longest() const { return block < shape.queries ? block : shape.queries; }
  // Keys that are packed for one block, at most.
  int64_t packed() const { return longest() + shape.window - 1; }
  // Slots that end before the chunk in which a query lies.
  int64_t slots_before(int64_t query) const {
    return (shape.remembered + (shape.offset + query) / shape.chunk_size) * shape.rank;
  }
  int64_t slots() const {
    return shape.slots == 0 || shape.reach == 0 ? 0 : slots_before(shape.queries - 1);
  }
  int64_t ids() const { return slots() < shape.reach ? slots() : shape.reach; }
};

template <class T>
class CausalWork {
 public:
  CausalWork(const CausalArguments<T>& arguments, bool backward, T* scratch)
      : a_(arguments), s_(arguments.shape), layout_(arguments.shape), H_(s_.head_size), W_(s_.window), C_(layout_.slots()),
        Q_(layout_.ids()) {
    Hp_ = whole_vectors<T>(H_);
    Wp_ = whole_vectors<T>(W_);
    const int64_t most = layout_.packed();
    Kp_ = row_of(most);
    Cp_ = row_of(C_);
    Qp_ = row_of(Q_);
    group_ = kMostCausalQueries;
    while (group_ > 8 && group_ * width_of(group_) > kCausalScores) group_ /= 2;
    width_ = width_of(group_);
    Scratch<T> memory(scratch);
    positions_across_ = memory.take(H_ * Wp_);
    slot_keys_ = memory.take(C_ * Hp_);
    slot_values_ = memory.take(C_ * Hp_);
    slot_keys_across_ = memory.take(H_ * Cp_);
    slot_positions_ = memory.take(Q_ * Hp_);
    slot_positions_across_ = memory.take(H_ * Qp_);
    placed_across_ = memory.take(H_ * Qp_);
    keys_ = memory.take(most * Hp_);
    values_ = memory.take(most * Hp_);
    keys_across_ = memory.take(H_ * Kp_);
    queries_ = memory.take(group_ * Hp_);
    to_keys_ = memory.take(group_ * Hp_);
    to_positions_ = memory.take(group_ * Hp_);
    scores_ = memory.take(group_ * width_);
    results_ = memory.take(group_ * Hp_);
    positions_ = memory.take(W_ * Hp_);
    if (backward) {
      slot_values_across_ = memory.take(H_ * Cp_);
      placed_ = memory.take(Q_ * Hp_);
      placed_gradients_ = memory.take(Q_ * Hp_);
      values_across_ = memory.take(H_ * Kp_);
      score_gradients_ = memory.take(group_ * width_);
      kept_ = a_.dropout.probability > 0 ? memory.take(group_ * width_) : nullptr;
      from_keys_ = memory.take(group_ * Hp_);
      from_positions_ = memory.take(group_ * Hp_);
      key_gradients_ = memory.take(most * Hp_);
      value_gradients_ = memory.take(most * Hp_);
      sums_ = memory.take((2 + W_ + Q_ + 2 * C_) * Hp_);
    }
    taken_ = memory.taken();
  }

  int64_t taken() const { return taken_; }

  void forward(int64_t b, int64_t n, int64_t first_strip, int64_t end_strip) {
    b_ = b;
    n_ = n;
    pack_shared(false);
    for (int64_t strip = first_strip; strip < end_strip; ++strip) {
      const Block block = block_of(strip);
      pack(block, false);
      each_group(block, [&](const Group& group) { forward(group); });
    }
  }

  void backward(int64_t b, int64_t n, int64_t first_strip, int64_t end_strip) {
    b_ = b;
    n_ = n;
    pack_shared(true);
    fill(sums_, (2 + W_ + Q_ + 2 * C_) * Hp_, T{0});
    for (int64_t strip = first_strip; strip < end_strip; ++strip) {
      const Block block = block_of(strip);
      pack(block, true);
      fill(key_gradients_, block.packed * Hp_, T{0});
      fill(value_gradients_, block.packed * Hp_, T{0});
      each_group(block, [&](const Group& group) { backward(group); });
      const int64_t missing = block.missing, first = block.key + missing, present = block.packed - missing;
      add_rows_of(a_.key_gradient, b_, first, key_gradients_ + missing * Hp_, present);
      add_rows_of(a_.value_gradient, b_, first, value_gradients_ + missing * Hp_, present);
    }
    add_sums();
  }

 private:
  // Queries [first, end), and the packed keys: the one of query t at distance W - 1 is that of place t - first. `key` is the
  // token of the first one among all keys; `missing` of them are before the first token.
  struct Block {
    int64_t first, end;
    int64_t key, packed, missing;
  };

  // Queries [first, first + count), and the slots that any of them sees, which take the first `columns` columns of scores.
  struct Group {
    int64_t first, count;
    int64_t key;  // packed, the first that they see
    int64_t hidden;  // keys from there on that are missing
    int64_t slot, end_slot, columns;
    int64_t window_columns;  // behind these, a whole number of vectors
    int64_t used() const { return columns + window_columns; }
  };

  // Rows [row, row + count) of a group that lie in one chunk: they see the same slots [first, end), of which slot x has the id
  // at place x + shift of the packed ones.
  struct Piece {
    int64_t row, count;
    int64_t first, end, shift;
    int64_t seen() const { return end - first; }
  };

  // A row of the packed numbers of one component: not a power of two, where all of them would compete for one place in the cache.
  static int64_t row_of(int64_t count) {
    const int64_t vectors = whole_vectors<T>(count) / kLanes<T> + 1;
    return (vectors | 1) * kLanes<T>;
  }

  // Columns of scores for that many queries: whole vectors may be written from any column of the band on.
  int64_t width_of(int64_t queries) const {
    const int64_t chunks = (queries + s_.chunk_size - 2) / s_.chunk_size + 1;
    const int64_t span = Q_ + (chunks - 1) * s_.rank;
    return row_of((span < C_ ? span : C_) + kLanes<T> + queries + W_ + kLanes<T>);
  }

  Block block_of(int64_t strip) const {
    Block block;
    block.first = layout_.first_of(strip);
    block.end = layout_.end_of(strip);
    block.key = s_.before + block.first - (W_ - 1);
    block.packed = block.end - block.first + W_ - 1;
    block.missing = block.key < 0 ? -block.key : 0;
    return block;
  }

  // Groups end with chunks where they can.
  template <class Do>
  void each_group(const Block& block, Do act) {
    for (int64_t first = block.first; first < block.end;) {
      int64_t end = first + group_;
      if (end >= block.end) {
        end = block.end;
      } else {
        const int64_t chunk_end = (s_.offset + end) / s_.chunk_size * s_.chunk_size - s_.offset;
        if (chunk_end > first) end = chunk_end;
      }
      Group group;
      group.first = first;
      group.count = end - first;
      group.key = first - block.first;
      group.hidden = block.missing > group.key ? block.missing - group.key : 0;
      group.end_slot = C_ == 0 ? 0 : layout_.slots_before(end - 1);
      group.slot = C_ == 0 ? 0 : first_slot(layout_.slots_before(first));
      group.columns = whole_vectors<T>(group.end_slot - group.slot);
      group.window_columns = whole_vectors<T>(group.count - 1 + W_);
      act(group);
      first = end;
    }
  }

  int64_t first_slot(int64_t end) const { return end > s_.reach ? end - s_.reach : 0; }

  template <class Do>
  void each_piece(const Group& group, Do act) {
    const int64_t c = s_.chunk_size;
    for (int64_t row = 0; row < group.count;) {
      const int64_t rest = c - (s_.offset + group.first + row) % c;
      const int64_t end = C_ == 0 ? 0 : layout_.slots_before(group.first + row);
      const Piece piece{row, rest < group.count - row ? rest : group.count - row, first_slot(end), end, Q_ - end};
      act(piece);
      row += piece.count;
    }
  }

  // Runs of rows of a group whose bands are computed together.
  template <class Do>
  void each_band(const Group& group, Do act) {
    for (int64_t row = 0; row < group.count; row += kBandRows)
      act(row, group.count - row < kBandRows ? group.count - row : kBandRows);
  }

  // c (rows, Hp) += a (rows, depth) b (depth, Hp), a part of the depth after another.
  void add_product(int64_t rows, int64_t depth, Matrix<T> a, const T* b, T* c) {
    for (int64_t p = 0; p < depth; p += kDepth)
      product<true>(rows, Hp_, depth - p < kDepth ? depth - p : kDepth, Matrix<T>{a.data + p * a.column, a.row, a.column},
                    b + p * Hp_, Hp_, c, Hp_);
  }

  void pack_rows(T* to, const Rows<const T>& from, int64_t b, int64_t first, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      prefetch_row(from.at(b, first + i + kRowsAhead, n_), H_);
      copy_padded(to + i * Hp_, from.at(b, first + i, n_), H_, Hp_);
    }
  }

  void add_rows_of(const Rows<T>& to, int64_t b, int64_t first, const T* from, int64_t count) {
    for (int64_t i = 0; i < count; ++i) {
      prefetch_row_to_write(to.at(b, first + i + kRowsAhead, n_), H_);
      add_scaled(to.at(b, first + i, n_), from + i * Hp_, H_, T{1});
    }
  }

  // What all queries of the head share: positions and slots.
  void pack_shared(bool backward) {
    placed_end_ = placed_across_end_ = -1;
    if (a_.positions.data != nullptr) {
      pack_rows(positions_, a_.positions, 0, 0, W_);
      transpose(positions_across_, Wp_, positions_, Hp_, W_, H_);
    }
    if (C_ == 0) return;
    pack_rows(slot_keys_, a_.slot_key, b_, 0, C_);
    pack_rows(slot_values_, a_.slot_value, b_, 0, C_);
    transpose(slot_keys_across_, Cp_, slot_keys_, Hp_, C_, H_);
    if (backward) transpose(slot_values_across_, Cp_, slot_values_, Hp_, C_, H_);
    if (a_.slot_positions.data == nullptr) {
      fill(slot_positions_, Q_ * Hp_, T{0});
      fill(slot_positions_across_, H_ * Qp_, T{0});
    } else {
      pack_rows(slot_positions_, a_.slot_positions, 0, s_.ids - Q_, Q_);
      transpose(slot_positions_across_, Qp_, slot_positions_, Hp_, Q_, H_);
    }
  }

  void pack(const Block& block, bool backward) {
    fill(keys_, block.missing * Hp_, T{0});
    fill(values_, block.missing * Hp_, T{0});
    const int64_t present = block.packed - block.missing;
    pack_rows(keys_ + block.missing * Hp_, a_.key, b_, block.key + block.missing, present);
    pack_rows(values_ + block.missing * Hp_, a_.value, b_, block.key + block.missing, present);
    transpose(keys_across_, Kp_, keys_, Hp_, block.packed, H_);
    if (backward) transpose(values_across_, Kp_, values_, Hp_, block.packed, H_);
  }

  // Queries as they meet slots, keys and distances.
  void pack_queries(const Group& group) {
    for (int64_t r = 0; r < group.count; ++r) {
      const T* query = a_.query.at(b_, group.first + r, n_);
      T* scaled = queries_ + r * Hp_;
      prefetch_row(a_.query.at(b_, group.first + r + kRowsAhead, n_), H_);
      copy_scaled(scaled, query, H_, static_cast<T>(a_.scale));
      fill(scaled + H_, Hp_ - H_, T{0});
      add_bias(to_keys_ + r * Hp_, scaled, a_.window_bias);
      add_bias(to_positions_ + r * Hp_, scaled, a_.position_bias);
    }
  }

  void add_bias(T* to, const T* query, const T* bias) {
    copy(to, query, Hp_);
    if (bias != nullptr) add_scaled(to, bias + n_ * H_, H_, T{1});
  }

  // The keys of a piece: each slot's own and that of its id.
  void place_across(const Piece& piece) {
    if (placed_across_end_ == piece.end) return;
    placed_across_end_ = piece.end;
    const int64_t count = whole_vectors<T>(piece.seen());
    for (int64_t h = 0; h < H_; ++h)
      add_rows(placed_across_ + h * Qp_, slot_keys_across_ + h * Cp_ + piece.first,
               slot_positions_across_ + h * Qp_ + piece.first + piece.shift, count);
  }

  void place(const Piece& piece) {
    if (placed_end_ == piece.end) return;
    placed_end_ = piece.end;
    add_rows(placed_, slot_keys_ + piece.first * Hp_, slot_positions_ + (piece.first + piece.shift) * Hp_, piece.seen() * Hp_);
  }

  // All scores of the group, -infinity where nothing is to be seen.
  void compute_scores(const Group& group) {
    // Whole vectors of these may reach into the columns of the window, which therefore come after them.
    if (group.columns > 0) each_piece(group, [&](const Piece& piece) {
      T* scores = scores_ + piece.row * width_;
      const int64_t first = piece.first - group.slot, end = piece.end - group.slot;
      if (piece.seen() > 0) {
        place_across(piece);
        product<false>(piece.count, whole_vectors<T>(piece.seen()), H_, Matrix<T>{queries_ + piece.row * Hp_, Hp_},
                       placed_across_, Qp_, scores + first, width_);
      }
      for (int64_t r = 0; r < piece.count; ++r) {
        fill(scores + r * width_, first, kHidden<T>);
        fill(scores + r * width_ + end, group.columns - end, kHidden<T>);
      }
    });
    T* window = scores_ + group.columns;
    each_band(group, [&](int64_t row, int64_t count) {
      product<false>(count, whole_vectors<T>(W_ + count - 1), H_, Matrix<T>{to_keys_ + row * Hp_, Hp_},
                     keys_across_ + group.key + row, Kp_, window + row * width_ + row, width_);
    });
    if (a_.positions.data != nullptr)
      product<true>(group.count, Wp_, H_, Matrix<T>{to_positions_, Hp_}, positions_across_, Wp_, window, width_ + 1);
    fill_outside(group, scores_, kHidden<T>);
  }

  // What lies beside the band of each row.
  void fill_outside(const Group& group, T* scores, T value) {
    for (int64_t r = 0; r < group.count; ++r) {
      T* row = scores + r * width_ + group.columns;
      fill(row, r > group.hidden ? r : group.hidden, value);
      fill(row + r + W_, group.window_columns - r - W_, value);
    }
  }

  void drop(const Group& group, T* weights) {
    if (a_.dropout.probability == 0) return;
    each_piece(group, [&](const Piece& piece) {
      for (int64_t r = piece.row; r < piece.row + piece.count; ++r) {
        T* row = weights + r * width_;
        const int64_t query = (b_ * s_.heads + n_) * s_.queries + group.first + r;
        drop_row(row + piece.first - group.slot, piece.seen(), a_.dropout, query, piece.first);
        drop_row(row + group.columns + r, W_, a_.dropout, query, s_.slots);
      }
    });
  }

  void forward(const Group& group) {
    pack_queries(group);
    compute_scores(group);
    Softmax<T>* softmaxes = softmaxes_of(group);
    for (int64_t r = 0; r < group.count; ++r) {
      const RowSum<T> row = exponentials(scores_ + r * width_, group.used());
      softmaxes[r] = {row.largest, T{1} / row.sum};
    }
    drop(group, scores_);
    fill(results_, group.count * Hp_, T{0});
    add_product(group.count, group.end_slot - group.slot, Matrix<T>{scores_, width_}, slot_values_ + group.slot * Hp_, results_);
    each_band(group, [&](int64_t row, int64_t count) {
      add_product(count, W_ + count - 1, band(scores_, group, row), values_ + (group.key + row) * Hp_, results_ + row * Hp_);
    });
    for (int64_t r = 0; r < group.count; ++r) {
      prefetch_row_to_write(a_.result.at(b_, group.first + r + kRowsAhead, n_), H_);
      copy_scaled(a_.result.at(b_, group.first + r, n_), results_ + r * Hp_, H_, softmaxes[r].factor);
    }
  }

  // Scores of the window from a row on, and from the first column that it sees.
  Matrix<T> band(const T* scores, const Group& group, int64_t row) const {
    return {scores + row * width_ + group.columns + row, width_};
  }

  Softmax<T>* softmaxes_of(const Group& group) const {
    return a_.softmaxes + (b_ * s_.heads + n_) * s_.queries + group.first;
  }

  void backward(const Group& group) {
    pack_queries(group);
    compute_scores(group);
    pack_rows(results_, a_.result_gradient, b_, group.first, group.count);
    for (int64_t r = 0; r < group.count; ++r) {
      const Softmax<T> softmax = softmaxes_of(group)[r];
      weights_again(scores_ + r * width_, group.used(), softmax.largest, softmax.factor);
    }
    T* kept = scores_;
    if (a_.dropout.probability > 0) {
      kept = kept_;
      copy(kept, scores_, group.count * width_);
      drop(group, kept);
    }
    gradients_of_values(group, kept);
    for (int64_t r = 0; r < group.count; ++r) {
      T* row = score_gradients_ + r * width_;
      if (kept != scores_) multiply_by_kept(row, kept + r * width_, group.used(), a_.dropout);
      softmax_backward(row, scores_ + r * width_, group.used());
    }
    gradients_of_keys(group);
    gradients_of_queries(group);
  }

  // And of the weights: what their values are worth.
  void gradients_of_values(const Group& group, const T* kept) {
    const T* gradients = results_;
    const int64_t seen = group.end_slot - group.slot;
    if (seen > 0) {
      product<false>(group.count, group.columns, H_, Matrix<T>{gradients, Hp_}, slot_values_across_ + group.slot, Cp_,
                     score_gradients_, width_);
      for (int64_t r = 0; r < group.count; ++r) fill(score_gradients_ + r * width_ + seen, group.columns - seen, T{0});
      product<true>(seen, Hp_, group.count, Matrix<T>{kept, 1, width_}, gradients, Hp_,
                    slot_value_sums() + group.slot * Hp_, Hp_);
    }
    each_band(group, [&](int64_t row, int64_t count) {
      product<false>(count, whole_vectors<T>(W_ + count - 1), H_, Matrix<T>{gradients + row * Hp_, Hp_},
                     values_across_ + group.key + row, Kp_, score_gradients_ + row * width_ + group.columns + row, width_);
    });
    fill_outside(group, score_gradients_, T{0});
    add_band_across(group, kept, gradients, value_gradients_);
  }

  // to (keys, Hp) += the band's columns by the rows of `from`.
  void add_band_across(const Group& group, const T* scores, const T* from, T* to) {
    const int64_t keys = group.count - 1 + W_;
    for (int64_t k = 0; k < keys; k += kBandRows) {
      const int64_t count = keys - k < kBandRows ? keys - k : kBandRows;
      const int64_t first = k < W_ ? 0 : k - W_ + 1, last = k + count < group.count ? k + count : group.count;
      product<true>(count, Hp_, last - first, Matrix<T>{scores + first * width_ + group.columns + k, 1, width_},
                    from + first * Hp_, Hp_, to + (group.key + k) * Hp_, Hp_);
    }
  }

  void gradients_of_keys(const Group& group) {
    add_band_across(group, score_gradients_, to_keys_, key_gradients_);
    if (a_.positions.data != nullptr)
      product<true>(W_, Hp_, group.count, Matrix<T>{score_gradients_ + group.columns, 1, width_ + 1}, to_positions_, Hp_,
                    position_sums(), Hp_);
    if (group.columns > 0) each_piece(group, [&](const Piece& piece) {
      if (piece.seen() == 0) return;
      const T* gradients = score_gradients_ + piece.row * width_ + piece.first - group.slot;
      product<false>(piece.seen(), Hp_, piece.count, Matrix<T>{gradients, 1, width_}, queries_ + piece.row * Hp_, Hp_,
                     placed_gradients_, Hp_);
      add_to_both(slot_key_sums() + piece.first * Hp_, slot_position_sums() + (piece.first + piece.shift) * Hp_,
                  placed_gradients_, piece.seen() * Hp_);
    });
  }

  void gradients_of_queries(const Group& group) {
    fill(from_keys_, group.count * Hp_, T{0});
    fill(from_positions_, group.count * Hp_, T{0});
    each_band(group, [&](int64_t row, int64_t count) {
      add_product(count, W_ + count - 1, band(score_gradients_, group, row), keys_ + (group.key + row) * Hp_,
                  from_keys_ + row * Hp_);
    });
    if (a_.positions.data != nullptr)
      add_product(group.count, W_, Matrix<T>{score_gradients_ + group.columns, width_ + 1}, positions_, from_positions_);
    add_sum_of_rows(window_bias_sums(), from_keys_, group.count);
    add_sum_of_rows(position_bias_sums(), from_positions_, group.count);
    if (group.columns > 0) each_piece(group, [&](const Piece& piece) {
      if (piece.seen() == 0) return;
      place(piece);
      add_product(piece.count, piece.seen(),
                  Matrix<T>{score_gradients_ + piece.row * width_ + piece.first - group.slot, width_}, placed_,
                  from_positions_ + piece.row * Hp_);
    });
    for (int64_t r = 0; r < group.count; ++r) {
      add_scaled(from_keys_ + r * Hp_, from_positions_ + r * Hp_, Hp_, T{1});
      prefetch_row_to_write(a_.query_gradient.at(b_, group.first + r + kRowsAhead, n_), H_);
      copy_scaled(a_.query_gradient.at(b_, group.first + r, n_), from_keys_ + r * Hp_, H_, static_cast<T>(a_.scale));
    }
  }

  // The sum first, so that what is added each time is large enough to count.
  void add_sum_of_rows(T* to, const T* rows, int64_t count) {
    for (int64_t h = 0; h < Hp_; h += kLanes<T>) {
      Vector<T> sum{};
      for (int64_t r = 0; r < count; ++r) sum += load(rows + r * Hp_ + h);
      store(to + h, load(to + h) + sum);
    }
  }

  // Gradients that are summed over all queries of an item, one after another.
  T* window_bias_sums() { return sums_; }
  T* position_bias_sums() { return sums_ + Hp_; }
  T* position_sums() { return sums_ + 2 * Hp_; }
  T* slot_position_sums() { return position_sums() + W_ * Hp_; }
  T* slot_key_sums() { return slot_position_sums() + Q_ * Hp_; }
  T* slot_value_sums() { return slot_key_sums() + C_ * Hp_; }

  void add_sums() {
    if (a_.window_bias_gradient != nullptr) add_scaled(a_.window_bias_gradient + n_ * H_, window_bias_sums(), H_, T{1});
    if (a_.position_bias_gradient != nullptr) add_scaled(a_.position_bias_gradient + n_ * H_, position_bias_sums(), H_, T{1});
    if (a_.positions_gradient.data != nullptr) add_rows_of(a_.positions_gradient, 0, 0, position_sums(), W_);
    if (C_ == 0) return;
    if (a_.slot_positions_gradient.data != nullptr)
      add_rows_of(a_.slot_positions_gradient, 0, s_.ids - Q_, slot_position_sums(), Q_);
    add_rows_of(a_.slot_key_gradient, b_, 0, slot_key_sums(), C_);
    add_rows_of(a_.slot_value_gradient, b_, 0, slot_value_sums(), C_);
  }

  const CausalArguments<T>& a_;
  const CausalShape& s_;
  const CausalLayout layout_;
  const int64_t H_, W_, C_, Q_;
  int64_t Hp_, Wp_, Kp_, Cp_, Qp_, group_, width_, taken_;
  int64_t b_ = 0, n_ = 0;
  // The pieces whose keys lie in placed_ and placed_across_.
  int64_t placed_end_ = -1, placed_across_end_ = -1;
  // [row][component] each, or where `across` is said [component][row].
  T *positions_, *positions_across_;
  T *slot_keys_, *slot_values_, *slot_keys_across_, *slot_values_across_ = nullptr;
  T *slot_positions_, *slot_positions_across_, *placed_across_, *placed_ = nullptr, *placed_gradients_ = nullptr;
  T *keys_, *values_, *keys_across_, *values_across_ = nullptr;
  T *queries_, *to_keys_, *to_positions_, *scores_, *results_, *score_gradients_ = nullptr, *kept_ = nullptr;
  T *from_keys_ = nullptr, *from_positions_ = nullptr, *key_gradients_ = nullptr, *value_gradients_ = nullptr;
  T* sums_ = nullptr;
};

template <class T>
CausalKernels<T> causal_kernels() {
  CausalKernels<T> kernels;
  kernels.strips = [](const CausalShape& shape) { return CausalLayout(shape).strips(); };
  kernels.apart = [](const CausalShape& shape) { return CausalLayout(shape).apart(); };
  kernels.scratch = [](const CausalShape& shape, bool backward) {
    CausalArguments<T> arguments{};
    arguments.shape = shape;
    arguments.dropout.probability = 0.5;  // the most that is needed
    return CausalWork<T>(arguments, backward, nullptr).taken();
  };
  kernels.forward = [](const CausalArguments<T>& a, int64_t b, int64_t n, int64_t first, int64_t end, T* scratch) {
    CausalWork<T>(a, false, scratch).forward(b, n, first, end);
  };
  kernels.backward = [](const CausalArguments<T>& a, int64_t b, int64_t n, int64_t first, int64_t end, T* scratch) {
    CausalWork<T>(a, true, scratch).backward(b, n, first, end);
  };
  return kernels;
}

}  // namespace
}  // namespace tls
