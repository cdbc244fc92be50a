// Loss and gradient of a batch, piece after piece.
#pragma once

#include <algorithm>

#include "core/network.hpp"

namespace fallline {

// Each piece is summed in T; the pieces are added in double, in their order, so neither the length of a batch nor the
// place where a slice ends changes what a row counts for.
template <class T>
class PieceSum {
 public:
  PieceSum(const std::vector<Layer>& layers, int64_t longest_batch)
      : network_(layers, std::min(longest_batch, piece_rows(layers)), true),
        rows_(piece_rows(layers)),
        gradient_(network_.layout().packed_size()),
        total_(longest_batch > rows_ ? gradient_.size() : 0) {}

  // Works off the next piece of a batch; true when it was the last.
  bool add_piece(const T* parameters, const Loss& loss, const Batch<T>& batch, const DropoutKey* key) {
    const int64_t n = std::min(rows_, batch.n - row_);
    const bool first = row_ == 0, last = row_ + n == batch.n;
    if (first) loss_ = 0;
    loss_ += network_.gradient(parameters, loss, batch, row_, n, key, gradient_.data());
    if (!first || !last)
      for (int64_t i = 0; i < gradient_.size(); ++i) {
        total_[i] = (first ? 0.0 : total_[i]) + static_cast<double>(gradient_[i]);
        if (last) gradient_[i] = static_cast<T>(total_[i]);
      }
    row_ = last ? 0 : row_ + n;
    return last;
  }

  const Layout<T>& layout() const { return network_.layout(); }
  bool at_beginning() const { return row_ == 0; }
  // Of the batch, after its last piece.
  double loss() const { return loss_; }
  Buffer<T>& gradient() { return gradient_; }  // packed

 private:
  Network<T> network_;
  const int64_t rows_;  // in a piece
  int64_t row_ = 0;     // where the next piece begins
  double loss_ = 0;
  Buffer<T> gradient_;
  Buffer<double> total_;  // where a batch may have several pieces
};

}  // namespace fallline
