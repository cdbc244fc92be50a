// One step of gradient descent for one start: rows, loss, gradient, update; by one thread or by a team.
#pragma once

#include <vector>

#include "core/network.hpp"
#include "core/team.hpp"

namespace fallline {

// Rows in a piece of a batch: fixed for a network, so that its sums are. As many as can be worked off without keeping
// the loop waiting, but enough to keep the kernels busy.
int64_t piece_rows(const Shape& shape);

// A start's parameters and moments, packed, and what became of it.
template <class T>
struct StartState {
  Buffer<T> theta, m, v;
  int64_t diverged_step = -1;  // none
  double loss_sum = 0;         // of a slice, each step's loss times its batch's weight
  double weight_sum = 0;       // and the batches' weights
  double penalty_sum = 0;      // and, where they are divided by those weights, the penalties
  double gradient_norm;        // in the last step of an epoch

  Parameters<T> parameters() { return {theta.data(), m.size() ? m.data() : nullptr, v.size() ? v.data() : nullptr}; }
};

// A batch, and the step it is for.
struct Batch {
  int64_t step;
  int64_t first, n;  // visits of the data
  bool ends_epoch;
};

// The rule's numbers for a step of a start, over a batch of some weight.
template <class T>
StepArgs<T> step_args(const Plan& plan, const Start& start, double factor, int64_t step, double weight_sum);

// l1 * sum |W| + l2 / 2 * sum W^2, over n numbers, a multiple of the panel.
template <class T>
double penalty(int64_t n, const T* W, double l1, double l2);

// Works a batch off in pieces of up to `piece_rows` rows: memory does not grow with the batch, and a step over many
// rows can be left and taken up again. Each piece is summed in T; the pieces are added in double, in their order.
template <class T>
class Stepper {
 public:
  Stepper(const Plan& plan, int64_t longest_batch, int64_t n_targets, int threads);

  const Layout<T>& layout() const { return network_.layout(); }

  // By one thread, before the pieces of a step: what they are for.
  void begin(StartState<T>* state, int64_t start_number, const Visit<T>& visit, const Batch& batch, double weight_sum,
             const StepArgs<T>& args);
  // By all threads of the team: the next piece and, after the last one, the update. Nothing moves where the loss is not
  // finite.
  void advance(Team& team, int thread);
  // The same without an update: the gradient, penalties included, is left in gradient().
  void differentiate(Team& team, int thread);
  // By one thread, where the next step may be one that was taken before, with other rows.
  void forget_rows() { held_step_ = -1; }
  // By one thread, when all are done with a piece; true when it was the last.
  bool next();

  int64_t piece() const { return piece_; }                 // rows in it
  double loss() const { return loss_; }                    // of the batch, after its last piece
  const Buffer<T>& gradient() const { return gradient_; }  // packed

 private:
  bool is_last() const { return row_ + piece_ == batch_.n; }
  bool is_whole() const { return piece_ == batch_.n; }
  void rows(Team& team, int thread);
  void sum_gradient(Team& team, int thread);
  void penalize(int thread, int threads);
  void sum_penalties(int thread, int threads);
  void sum_squares(int thread, int threads);
  double length();
  void update(int thread, int threads);

  const Plan& plan_;
  const Kernels<T>& kernels_;
  const int64_t piece_rows_;
  Network<T> network_;
  Buffer<T> gradient_;           // packed
  Buffer<double> total_;         // where a batch may have several pieces
  std::vector<double> squares_;  // sums over parts of the gradient, zero in between

  // Parts of the weights, and their penalties, where these are summed up.
  struct Stretch {
    int64_t at, n;
    double penalty;
  };
  std::vector<Stretch> stretches_;

  StartState<T>* state_ = nullptr;
  DropoutKey key_{};
  Visit<T> visit_{};
  Batch batch_{};
  double weight_sum_ = 0;  // of the batch
  StepArgs<T> args_{};
  int64_t row_ = 0, piece_ = 0;  // where in the batch the piece begins, and its rows
  int64_t held_step_ = -1;       // whose batch the network holds, if it holds one whole
  bool holds_rows_ = false;
  double loss_ = 0;
  T scale_ = 1;  // what clipping multiplies the gradient by
};

}  // namespace fallline
