// Attention of segments to the tokens around them and to keys that all share, under one softmax: Zhu et al. 2021, equations 2
// to 5, for sequences and for grids. Forward and backward, one head of one sequence at a time.
//
// Scores exist for one group of queries at a time. The backward pass computes them again from the logarithms of their sums.
//
// Shape letters: H head size, C shared keys, K packed keys of a block, Y keys of a segment, S queries of a segment; a capital
// with p behind it is the next whole number of vectors.
#pragma once

#include "dropout.h"
#include "kernels.h"
#include "../product.h"
#include "../rows.h"
#include "../scratch.h"

namespace tls {
namespace {

// Queries whose scores exist at once, at most, and numbers of their scores: a quarter of a second-level cache.
constexpr int64_t kMostQueries = 64;
constexpr int64_t kScores = int64_t{1} << 16;

// Rows that are written.
template <class T>
struct Place {
  T* data;
  int64_t row;
  T* from(int64_t first) const { return data + first * row; }
};

// How a grid is cut. A block is a run of segments whose keys are packed together: on a grid one segment, of a sequence many.
struct WindowLayout {
  explicit WindowLayout(const WindowShape& shape)
      : window_rows(shape.has_window ? shape.window_rows : 1),
        window_columns(shape.has_window ? shape.window_columns : kMostQueries),
        reach_rows(shape.has_window ? shape.reach_rows : 0),
        reach_columns(shape.has_window ? shape.reach_columns : 0) {
    segment_rows = (shape.rows + window_rows - 1) / window_rows;
    segment_columns = (shape.columns + window_columns - 1) / window_columns;
    key_rows = shape.has_window ? window_rows + 2 * reach_rows : 0;
    key_columns = shape.has_window ? window_columns + 2 * reach_columns : 0;
    segments_of_block = key_rows > 1 || window_rows > 1 ? 1 : shape.block_tokens / window_columns;
    if (segments_of_block < 1) segments_of_block = 1;
    blocks_of_row = (segment_columns + segments_of_block - 1) / segments_of_block;
  }

  int64_t window_rows, window_columns, reach_rows, reach_columns;
  int64_t segment_rows, segment_columns;
  int64_t key_rows, key_columns;
  int64_t segments_of_block, blocks_of_row;

  int64_t queries() const { return window_rows * window_columns; }
  int64_t keys() const { return key_rows * key_columns; }
  // A strip is a row of segments where there are several, else a block.
  bool strips_are_rows() const { return segment_rows > 1; }
  int64_t strips() const { return strips_are_rows() ? segment_rows : blocks_of_row; }
  int64_t apart() const {
    const int64_t length = strips_are_rows() ? window_rows : segments_of_block * window_columns;
    const int64_t reach = strips_are_rows() ? reach_rows : reach_columns;
    return (2 * reach + length - 1) / length;
  }
  // Keys that are packed for one block, at most.
  int64_t packed() const { return key_rows == 0 ? 0 : key_rows * ((segments_of_block - 1) * window_columns + key_columns); }
};

template <class T>
class WindowWork {
 public:
  WindowWork(const WindowArguments<T>& arguments, bool backward, T* scratch)
      : a_(arguments), s_(arguments.shape), layout_(arguments.shape), H_(s_.head_size), C_(s_.shared), Y_(layout_.keys()),
        score_scale_(a_.bias_gradient == nullptr ? static_cast<T>(a_.scale) : T{1}),
        late_scale_(a_.bias_gradient == nullptr ? T{1} : static_cast<T>(a_.scale)) {
    Hp_ = whole_vectors<T>(H_);
    Cp_ = whole_vectors<T>(C_);
    Yp_ = whole_vectors<T>(Y_);
    width_ = widest_ = Cp_ + Yp_;
    const int64_t most = layout_.packed();
    Kp_ = whole_vectors<T>(most) + kLanes<T>;
    group_ = kScores / (widest_ > 0 ? widest_ : 1);
    group_ = group_ < 8 ? 8 : group_ > kMostQueries ? kMostQueries : group_;
    Scratch<T> memory(scratch);
    shared_values_ = memory.take(C_ * Hp_);
    shared_keys_ = memory.take(C_ * Hp_);
    shared_keys_across_ = memory.take(H_ * Cp_);
    keys_ = memory.take(most * Hp_);
    values_ = memory.take(most * Hp_);
    keys_across_ = memory.take(H_ * Kp_);
    hidden_ = memory.take(Kp_);
    queries_ = memory.take(group_ * Hp_);
    scores_ = memory.take(group_ * widest_);
    results_ = memory.take(group_ * Hp_);
    if (backward) {
      shared_values_across_ = memory.take(H_ * Cp_);
      values_across_ = memory.take(H_ * Kp_);
      score_gradients_ = memory.take(group_ * widest_);
      results_again_ = memory.take(group_ * Hp_);
      kept_ = a_.dropout.probability > 0 ? memory.take(group_ * widest_) : nullptr;
      query_gradients_ = memory.take(group_ * Hp_);
      key_gradients_ = memory.take(most * Hp_);
      value_gradients_ = memory.take(most * Hp_);
      shared_key_gradients_ = memory.take(C_ * Hp_);
      shared_value_gradients_ = memory.take(C_ * Hp_);
    }
    taken_ = memory.taken();
  }

  int64_t taken() const { return taken_; }

  void forward(int64_t b, int64_t n, int64_t first_strip, int64_t end_strip) {
    b_ = b;
    n_ = n;
    pack_shared(false);
    for (int64_t strip = first_strip; strip < end_strip; ++strip)
      each_block(strip, [&](const Block& block) {
        pack(block, false);
        each_group(block, [&](const Group& group) { forward(group); });
      });
  }

  void backward(int64_t b, int64_t n, int64_t first_strip, int64_t end_strip) {
    b_ = b;
    n_ = n;
    pack_shared(true);
    fill(shared_key_gradients_, C_ * Hp_, T{0});
    fill(shared_value_gradients_, C_ * Hp_, T{0});
    for (int64_t strip = first_strip; strip < end_strip; ++strip)
      each_block(strip, [&](const Block& block) {
        pack(block, true);
        begin_gradients(block);
        each_group(block, [&](const Group& group) { backward(group); });
        if (!in_place_) add_gradients(block);
      });
    for (int64_t c = 0; c < C_; ++c) {
      add_scaled(a_.shared_key_gradient.at(b_, c, n_), shared_key_gradients_ + c * Hp_, H_, late_scale_);
      add_scaled(a_.shared_value_gradient.at(b_, c, n_), shared_value_gradients_ + c * Hp_, H_, T{1});
    }
  }

 private:
  // Segments [first, end) of a row of segments, and the packed keys: key_rows rows of `across` columns that begin at
  // (key_row, key_column) of the grid. Of one segment those on the grid alone, which leaves out as many rows and columns before them;
  // of several some may lie outside.
  struct Block {
    int64_t segment_row, first, end;
    int64_t key_row, key_column, key_rows, across;
    int64_t rows_before, columns_before;
    int64_t packed() const { return key_rows * across; }
  };

  // Queries in order: `count` of them from `from` on, counted through the block's segments.
  struct Group {
    const Block* block;
    int64_t from, count;
  };

  // Rows [row, row + count) of a group that lie in one segment: they see the same keys.
  struct Piece {
    int64_t row, count;
    int64_t within;  // of the first one in its segment
    int64_t key;     // packed, the first that they see
  };

  template <class Do>
  void each_block(int64_t strip, Do act) {
    const bool rows = layout_.strips_are_rows();
    const int64_t first = rows ? 0 : strip, end = rows ? layout_.blocks_of_row : strip + 1;
    for (int64_t i = first; i < end; ++i) {
      Block block;
      block.segment_row = rows ? strip : 0;
      block.first = i * layout_.segments_of_block;
      block.end = block.first + layout_.segments_of_block;
      if (block.end > layout_.segment_columns) block.end = layout_.segment_columns;
      block.key_row = block.segment_row * layout_.window_rows - layout_.reach_rows;
      block.key_column = block.first * layout_.window_columns - layout_.reach_columns;
      block.key_rows = layout_.key_rows;
      block.across =
          layout_.key_rows == 0 ? 0 : (block.end - block.first - 1) * layout_.window_columns + layout_.key_columns;
      block.rows_before = block.columns_before = 0;
      const bool alone = block.end - block.first == 1 && block.across > 0;
      if (alone) {
        keep_on_grid(s_.rows, block.key_row, block.key_rows, block.rows_before);
        keep_on_grid(s_.columns, block.key_column, block.across, block.columns_before);
      }
      Y_ = alone ? block.packed() : layout_.keys();
      Yp_ = whole_vectors<T>(Y_);
      width_ = Cp_ + Yp_;
      act(block);
    }
  }

  // Cuts a run of `count` places from `first` on to those of 0 to size - 1: at least one, as there are queries.
  static void keep_on_grid(int64_t size, int64_t& first, int64_t& count, int64_t& before) {
    const int64_t end = first + count < size ? first + count : size;
    before = first < 0 ? -first : 0;
    first += before;
    count = end - first;
  }

  // act(packed key of a segment, its place among all that a segment sees, count) for runs of keys that are neighbours in both.
  template <class Do>
  void each_run(const Block& block, Do act) const {
    if (block.end - block.first > 1 || block.across == layout_.key_columns)
      return act(0, block.rows_before * layout_.key_columns, Y_);
    for (int64_t row = 0; row < block.key_rows; ++row)
      act(row * block.across, (block.rows_before + row) * layout_.key_columns + block.columns_before, block.across);
  }

  template <class Do>
  void each_group(const Block& block, Do act) {
    const int64_t S = layout_.queries(), all = (block.end - block.first) * S;
    for (int64_t from = 0; from < all; from += group_) act(Group{&block, from, all - from < group_ ? all - from : group_});
  }

  template <class Do>
  void each_piece(const Group& group, Do act) {
    const int64_t S = layout_.queries();
    for (int64_t row = 0; row < group.count;) {
      const int64_t query = group.from + row, segment = query / S, within = query % S;
      const int64_t rest = S - within, count = rest < group.count - row ? rest : group.count - row;
      act(Piece{row, count, within, segment * layout_.window_columns});
      row += count;
    }
  }

  bool visible(int64_t token) const {
    return a_.visible == nullptr || a_.visible[b_ * s_.rows * s_.columns + token];
  }

  // Of a place on the grid; -1 where there is none, or none that is visible.
  int64_t token_at(int64_t row, int64_t column) const {
    if (row < 0 || row >= s_.rows || column < 0 || column >= s_.columns) return -1;
    const int64_t token = row * s_.columns + column;
    return visible(token) ? token : -1;
  }

  void find_tokens(const Group& group) {
    const Block& block = *group.block;
    each_piece(group, [&](const Piece& piece) {
      int64_t row = piece.within / layout_.window_columns, column = piece.within % layout_.window_columns;
      const int64_t first_row = block.segment_row * layout_.window_rows;
      const int64_t first_column = block.first * layout_.window_columns + piece.key;
      for (int64_t r = 0; r < piece.count; ++r) {
        tokens_[piece.row + r] = token_at(first_row + row, first_column + column);
        if (++column == layout_.window_columns) {
          column = 0;
          ++row;
        }
      }
    });
  }

  // act(packed key, its token or -1)
  template <class Do>
  void each_key(const Block& block, Do act) {
    for (int64_t row = 0; row < block.key_rows; ++row)
      for (int64_t column = 0; column < block.across; ++column)
        act(row * block.across + column, token_at(block.key_row + row, block.key_column + column));
  }

  void pack_row(T* to, const T* from) {
    if (from == nullptr)
      fill(to, Hp_, T{0});
    else
      copy_padded(to, from, H_, Hp_);
  }

  void pack_shared(bool backward) {
    for (int64_t c = 0; c < C_; ++c) {
      pack_row(shared_keys_ + c * Hp_, a_.shared_key.at(b_, c, n_));
      pack_row(shared_values_ + c * Hp_, a_.shared_value.at(b_, c, n_));
    }
    transpose(shared_keys_across_, Cp_, shared_keys_, Hp_, C_, H_, static_cast<T>(a_.scale));
    if (backward) transpose(shared_values_across_, Cp_, shared_values_, Hp_, C_, H_);
  }

  // Whether a block's rows can be used where they lie: tokens of a sequence that all exist and are seen, of whole vectors, and near enough
  // one another that rows of one head do not share the few places that the nearest cache has for them.
  bool can_stay(const Block& block) const {
    return s_.rows == 1 && layout_.key_rows == 1 && H_ == Hp_ && a_.visible == nullptr && a_.bias == nullptr &&
           block.key_column >= 0 && block.key_column + block.across <= s_.columns &&
           block.end * layout_.window_columns <= s_.columns && a_.key.token * static_cast<int64_t>(sizeof(T)) <= kNearRows &&
           a_.query.token * static_cast<int64_t>(sizeof(T)) <= kNearRows;
  }

  void pack(const Block& block, bool backward) {
    some_hidden_ = false;
    in_place_ = can_stay(block);
    if (in_place_) {
      block_keys_ = {a_.key.at(b_, block.key_column, n_), a_.key.token};
      block_values_ = {a_.value.at(b_, block.key_column, n_), a_.value.token};
    } else {
      pack_rows(block);
      block_keys_ = {keys_, Hp_};
      block_values_ = {values_, Hp_};
    }
    transpose(keys_across_, Kp_, block_keys_.data, block_keys_.row, block.packed(), H_, static_cast<T>(a_.scale));
    if (backward) transpose(values_across_, Kp_, block_values_.data, block_values_.row, block.packed(), H_);
  }

  void pack_rows(const Block& block) {
    each_key(block, [&](int64_t k, int64_t token) {
      hidden_[k] = token < 0 ? kHidden<T> : T{0};
      some_hidden_ |= token < 0;
      if (token >= 0) {
        prefetch_row(a_.key.at(b_, token + kRowsAhead, n_), H_);
        prefetch_row(a_.value.at(b_, token + kRowsAhead, n_), H_);
      }
      pack_row(keys_ + k * Hp_, token < 0 ? nullptr : a_.key.at(b_, token, n_));
      pack_row(values_ + k * Hp_, token < 0 ? nullptr : a_.value.at(b_, token, n_));
    });
  }

  // Rows of the group's queries, packed where they cannot be used in place.
  template <class Number>
  Matrix<T> group_rows(const Group& group, Rows<Number> rows, T* packed) {
    if (in_place_) return {rows.at(b_, tokens_[0], n_), rows.token};
    for (int64_t r = 0; r < group.count; ++r) {
      if (tokens_[r] >= 0) prefetch_row(rows.at(b_, tokens_[r] + kRowsAhead, n_), H_);
      pack_row(packed + r * Hp_, tokens_[r] < 0 ? nullptr : rows.at(b_, tokens_[r], n_));
    }
    return {packed, Hp_};
  }

  // Where what a group's queries are to get is written: in place, or where `put` finds it.
  Place<T> group_place(Rows<T> rows, T* packed) const {
    return in_place_ ? Place<T>{rows.at(b_, tokens_[0], n_), rows.token} : Place<T>{packed, Hp_};
  }

  void put(const Group& group, Rows<T> rows, const T* packed, T factor) {
    if (in_place_) return;
    for (int64_t r = 0; r < group.count; ++r)
      if (tokens_[r] >= 0) {
        prefetch_row_to_write(rows.at(b_, tokens_[r] + kRowsAhead, n_), H_);
        copy_scaled(rows.at(b_, tokens_[r], n_), packed + r * Hp_, H_, factor);
      }
  }

  // All scores of the group, -infinity where nothing is to be seen.
  void compute_scores(const Group& group) {
    product<false>(group.count, Cp_, H_, group_queries_, shared_keys_across_, Cp_, scores_, width_);
    each_piece(group, [&](const Piece& piece) {
      T* scores = scores_ + piece.row * width_ + Cp_;
      product<false>(piece.count, Yp_, H_, group_queries_.from(piece.row), keys_across_ + piece.key, Kp_, scores, width_);
      for (int64_t r = 0; r < piece.count; ++r) {
        T* row = scores + r * width_;
        if (a_.bias != nullptr) {
          const T* bias = a_.bias + (n_ * layout_.queries() + piece.within + r) * layout_.keys();
          each_run(*group.block, [&](int64_t key, int64_t place, int64_t count) { add_scaled(row + key, bias + place, count, T{1}); });
        }
        if (some_hidden_) add_scaled(row, hidden_ + piece.key, Y_, T{1});
        fill(row + Y_, Yp_ - Y_, kHidden<T>);
      }
    });
    if (Cp_ > C_)
      for (int64_t r = 0; r < group.count; ++r) fill(scores_ + r * width_ + C_, Cp_ - C_, kHidden<T>);
  }

  void drop(const Group& group, T* weights) {
    if (a_.dropout.probability == 0) return;
    for (int64_t r = 0; r < group.count; ++r)
      if (tokens_[r] >= 0) {
        const int64_t query = (b_ * s_.heads + n_) * s_.rows * s_.columns + tokens_[r];
        drop_row(weights + r * width_, C_, a_.dropout, query, 0);
        each_run(*group.block, [&](int64_t key, int64_t place, int64_t count) {
          drop_row(weights + r * width_ + Cp_ + key, count, a_.dropout, query, C_ + place);
        });
      }
  }

  void forward(const Group& group) {
    find_tokens(group);
    group_queries_ = group_rows(group, a_.query, queries_);
    compute_scores(group);
    T factors[kMostQueries];
    for (int64_t r = 0; r < group.count; ++r) {
      const RowSum<T> row = exponentials(scores_ + r * width_, width_);
      factors[r] = T{1} / row.sum;
      if (tokens_[r] >= 0) *log_sum(tokens_[r]) = row.largest + std::log(row.sum);
    }
    drop(group, scores_);
    product<false>(group.count, Hp_, C_, Matrix<T>{scores_, width_}, shared_values_, Hp_, results_, Hp_);
    each_piece(group, [&](const Piece& piece) {
      const Matrix<T> values = block_values_.from(piece.key);
      product<true>(piece.count, Hp_, Y_, Matrix<T>{scores_ + piece.row * width_ + Cp_, width_}, values.data, values.row,
                    results_ + piece.row * Hp_, Hp_);
    });
    for (int64_t r = 0; r < group.count; ++r)
      if (tokens_[r] >= 0) {
        prefetch_row_to_write(a_.result.at(b_, tokens_[r] + kRowsAhead, n_), H_);
        copy_scaled(a_.result.at(b_, tokens_[r], n_), results_ + r * Hp_, H_, factors[r]);
      }
  }

  T* log_sum(int64_t token) const { return a_.log_sums + (b_ * s_.heads + n_) * s_.rows * s_.columns + token; }

  void begin_gradients(const Block& block) {
    if (in_place_) {
      block_key_gradients_ = {a_.key_gradient.at(b_, block.key_column, n_), a_.key_gradient.token};
      block_value_gradients_ = {a_.value_gradient.at(b_, block.key_column, n_), a_.value_gradient.token};
      return;
    }
    fill(key_gradients_, block.packed() * Hp_, T{0});
    fill(value_gradients_, block.packed() * Hp_, T{0});
    block_key_gradients_ = {key_gradients_, Hp_};
    block_value_gradients_ = {value_gradients_, Hp_};
  }

  void backward(const Group& group) {
    find_tokens(group);
    group_queries_ = group_rows(group, a_.query, queries_);
    compute_scores(group);
    const Matrix<T> given = group_rows(group, a_.result_gradient, results_);
    for (int64_t r = 0; r < group.count; ++r) {
      if (tokens_[r] < 0)
        fill(scores_ + r * width_, width_, T{0});
      else
        weights_again(scores_ + r * width_, width_, *log_sum(tokens_[r]));
    }
    T* kept = scores_;
    if (a_.dropout.probability > 0) {
      kept = kept_;
      std::memcpy(kept, scores_, static_cast<size_t>(group.count * width_) * sizeof(T));
      drop(group, kept);
    }
    if (a_.result.data != nullptr) write_results_again(group, kept);
    // Of the weights: what their values are worth.
    product<false>(group.count, Cp_, H_, given, shared_values_across_, Cp_, score_gradients_, width_);
    product<true>(C_, Hp_, group.count, Matrix<T>{kept, 1, width_}, given.data, given.row, shared_value_gradients_, Hp_);
    each_piece(group, [&](const Piece& piece) {
      const int64_t at = piece.row * width_ + Cp_;
      const Matrix<T> gradient = given.from(piece.row);
      product<false>(piece.count, Yp_, H_, gradient, values_across_ + piece.key, Kp_, score_gradients_ + at, width_);
      for (int64_t r = 0; r < piece.count; ++r) fill(score_gradients_ + at + r * width_ + Y_, Yp_ - Y_, T{0});
      product<true>(Y_, Hp_, piece.count, Matrix<T>{kept + at, 1, width_}, gradient.data, gradient.row,
                    block_value_gradients_.from(piece.key), block_value_gradients_.row);
    });
    for (int64_t r = 0; r < group.count; ++r) {
      T* row = score_gradients_ + r * width_;
      fill(row + C_, Cp_ - C_, T{0});
      if (kept != scores_) multiply_by_kept(row, kept + r * width_, width_, a_.dropout);
      softmax_backward(row, scores_ + r * width_, width_, score_scale_);
    }
    gradients_of_queries_and_keys(group);
  }

  void write_results_again(const Group& group, const T* weights) {
    const Place<T> results = group_place(a_.result, results_again_);
    product<false>(group.count, Hp_, C_, Matrix<T>{weights, width_}, shared_values_, Hp_, results.data, results.row);
    each_piece(group, [&](const Piece& piece) {
      const Matrix<T> values = block_values_.from(piece.key);
      product<true>(piece.count, Hp_, Y_, Matrix<T>{weights + piece.row * width_ + Cp_, width_}, values.data, values.row,
                    results.from(piece.row), results.row);
    });
    put(group, a_.result, results_again_, T{1});
  }

  void gradients_of_queries_and_keys(const Group& group) {
    const Place<T> gradients = group_place(a_.query_gradient, query_gradients_);
    product<false>(group.count, Hp_, C_, Matrix<T>{score_gradients_, width_}, shared_keys_, Hp_, gradients.data, gradients.row);
    product<true>(C_, Hp_, group.count, Matrix<T>{score_gradients_, 1, width_}, group_queries_.data, group_queries_.row,
                  shared_key_gradients_, Hp_);
    each_piece(group, [&](const Piece& piece) {
      const T* scores = score_gradients_ + piece.row * width_ + Cp_;
      const Matrix<T> keys = block_keys_.from(piece.key), queries = group_queries_.from(piece.row);
      product<true>(piece.count, Hp_, Y_, Matrix<T>{scores, width_}, keys.data, keys.row, gradients.from(piece.row), gradients.row);
      product<true>(Y_, Hp_, piece.count, Matrix<T>{scores, 1, width_}, queries.data, queries.row,
                    block_key_gradients_.from(piece.key), block_key_gradients_.row);
      if (a_.bias_gradient != nullptr)
        for (int64_t r = 0; r < piece.count; ++r) {
          T* gradient = a_.bias_gradient + (n_ * layout_.queries() + piece.within + r) * layout_.keys();
          each_run(*group.block, [&](int64_t key, int64_t place, int64_t count) {
            add_scaled(gradient + place, scores + r * width_ + key, count, T{1});
          });
        }
    });
    put(group, a_.query_gradient, query_gradients_, late_scale_);
  }

  void add_gradients(const Block& block) {
    each_key(block, [&](int64_t k, int64_t token) {
      if (token < 0) return;
      prefetch_row_to_write(a_.key_gradient.at(b_, token + kRowsAhead, n_), H_);
      prefetch_row_to_write(a_.value_gradient.at(b_, token + kRowsAhead, n_), H_);
      add_scaled(a_.key_gradient.at(b_, token, n_), key_gradients_ + k * Hp_, H_, late_scale_);
      add_scaled(a_.value_gradient.at(b_, token, n_), value_gradients_ + k * Hp_, H_, T{1});
    });
  }

  const WindowArguments<T>& a_;
  const WindowShape& s_;
  const WindowLayout layout_;
  const int64_t H_, C_;
  int64_t Y_;  // of the block's segments
  int64_t Hp_, Cp_, Yp_, Kp_, width_, widest_, group_, taken_;
  // The scale joins the keys where scores are made. Gradients of scores take it too, unless the bias wants them as they are; then those
  // of queries and keys take it at last.
  const T score_scale_, late_scale_;
  int64_t b_ = 0, n_ = 0;
  bool some_hidden_ = false;
  bool in_place_ = false;  // the block's rows are used where they lie
  Matrix<T> block_keys_{}, block_values_{}, group_queries_{};
  Place<T> block_key_gradients_{}, block_value_gradients_{};
  int64_t tokens_[kMostQueries];
  // [row][component] each, or where `across` is said [component][row].
  T *shared_values_, *shared_keys_, *shared_keys_across_, *shared_values_across_ = nullptr;
  T *keys_, *values_, *keys_across_, *values_across_ = nullptr;
  T* hidden_;
  T *queries_, *scores_, *results_, *results_again_ = nullptr, *score_gradients_ = nullptr, *kept_ = nullptr;
  T *query_gradients_ = nullptr, *key_gradients_ = nullptr, *value_gradients_ = nullptr;
  T *shared_key_gradients_ = nullptr, *shared_value_gradients_ = nullptr;
};

template <class T>
WindowKernels<T> window_kernels() {
  WindowKernels<T> kernels;
  kernels.strips = [](const WindowShape& shape) { return WindowLayout(shape).strips(); };
  kernels.apart = [](const WindowShape& shape) { return WindowLayout(shape).apart(); };
  kernels.strip_tokens = [](const WindowShape& shape) {
    const WindowLayout layout(shape);
    return layout.segments_of_block * layout.window_columns;
  };
  kernels.scratch = [](const WindowShape& shape, bool backward) {
    WindowArguments<T> arguments{};
    arguments.shape = shape;
    arguments.dropout.probability = 0.5;  // the most that is needed
    return WindowWork<T>(arguments, backward, nullptr).taken();
  };
  kernels.forward = [](const WindowArguments<T>& a, int64_t b, int64_t n, int64_t first, int64_t end, T* scratch) {
    WindowWork<T>(a, false, scratch).forward(b, n, first, end);
  };
  kernels.backward = [](const WindowArguments<T>& a, int64_t b, int64_t n, int64_t first, int64_t end, T* scratch) {
    WindowWork<T>(a, true, scratch).backward(b, n, first, end);
  };
  return kernels;
}

}  // namespace
}  // namespace tls
