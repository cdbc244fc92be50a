#include "core/stepper.hpp"

#include <algorithm>
#include <cmath>
#include <stdexcept>
#include <string>
#include <utility>

namespace fallline {
namespace {

constexpr int64_t stretch = 16384;  // numbers whose squares are summed at a time

// Calls use(offset, n) for this thread's part of a block of n numbers that begins at `offset`, in whole panels.
template <class T, class Use>
void part_of(int64_t offset, int64_t n, int thread, int threads, Use use) {
  const Part part(n / panel<T>, thread, threads);
  if (part.n() > 0) use(offset + part.first * panel<T>, part.n() * panel<T>);
}

}  // namespace

int64_t piece_rows(const Shape& shape) { return std::clamp<int64_t>(2'000'000'000 / n_parameters(shape), 256, 1024); }

template <class T>
StepArgs<T> step_args(const Plan& plan, const Start& start, double factor, int64_t step, double weight_sum) {
  const StepRule& rule = plan.rule;
  const double t = static_cast<double>(step + 1), learning_rate = start.learning_rate * factor;
  StepArgs<T> args{};
  args.learning_rate = T(learning_rate);
  args.beta1 = T(rule.beta1);
  args.beta2 = T(rule.beta2);
  args.epsilon = T(rule.epsilon);
  args.new1 = T(1 - rule.beta1);
  args.new2 = T(1 - rule.beta2);
  if (rule.rule == Rule::adam) {
    args.m_correction = T(1 / (1 - std::pow(rule.beta1, t)));
    args.v_correction = T(1 / (1 - std::pow(rule.beta2, t)));
    if (rule.epsilon_hat) args.epsilon = T(rule.epsilon / std::sqrt(1 - std::pow(rule.beta2, t)));
  }
  args.shrink = T(1 - learning_rate * start.weight_decay);
  args.penalized = start.l1 != 0 || start.l2 != 0;
  const double share = plan.penalties_per_row && weight_sum != 0 ? 1 / weight_sum : 1;
  args.l1 = T(start.l1 * share);
  args.l2 = T(start.l2 * share);
  return args;
}

template <class T>
double penalty(int64_t n, const T* W, double l1, double l2) {
  double sum_abs = 0;
  if (l1 != 0)
    for (int64_t i = 0; i < n; ++i) sum_abs += std::abs(static_cast<double>(W[i]));
  return l1 * sum_abs + 0.5 * l2 * (l2 != 0 ? kernels<T>().sum_of_squares(n, W) : 0);
}

template <class T>
Stepper<T>::Stepper(const Plan& plan, int64_t longest_batch, int64_t n_targets, int threads)
    : plan_(plan),
      kernels_(kernels<T>()),
      piece_rows_(fallline::piece_rows(plan)),
      network_(plan, std::min(longest_batch, piece_rows_), Network<T>::Use::train, threads, plan.loss, n_targets,
               plan.bf16),
      gradient_(network_.layout().packed_size(), Buffer<T>::uninitialized),  // written before it is read, if at all
      total_(longest_batch > piece_rows_ ? gradient_.size() : 0),
      squares_(static_cast<std::size_t>(std::max(network_.n_squares(), (gradient_.size() + stretch - 1) / stretch))) {
  if (plan.penalties_per_row)
    for (const Packed& place : layout().all())
      for (int64_t at = 0; at < place.n_weights; at += stretch)
        stretches_.push_back({place.W + at, std::min(stretch, place.n_weights - at), 0});
  if (plan.bf16 && !kernels_.bf16.forward)
    throw std::invalid_argument(
        "products of bf16 need float32 numbers and the instruction set avx512_bf16; in use is " +
        std::string(kernels_.instruction_set));
}

template <class T>
void Stepper<T>::begin(StartState<T>* state, int64_t start_number, const Visit<T>& visit, const Batch& batch,
                       double weight_sum, const StepArgs<T>& args) {
  state_ = state;
  key_ = {plan_.seed, batch.step, start_number};
  visit_ = visit;
  batch_ = batch;
  weight_sum_ = weight_sum;
  args_ = args;
  row_ = 0;
  piece_ = std::min(piece_rows_, batch.n);
  loss_ = 0;
  holds_rows_ = held_step_ == batch.step;
  held_step_ = is_whole() ? batch.step : -1;
}

template <class T>
bool Stepper<T>::next() {
  row_ += piece_;
  piece_ = std::min(piece_rows_, batch_.n - row_);
  return piece_ == 0;
}

// The piece's rows forward to the loss, and back to the dZ of every layer.
template <class T>
void Stepper<T>::rows(Team& team, int thread) {
  const Part part(piece_, thread, team.threads);
  const T* theta = state_->theta.data();
  const int64_t from = batch_.first + row_ + part.first;
  if (part.n() > 0) {
    if (!holds_rows_) network_.take(visit_, from, part.first, part.n(), from + piece_);
    network_.weigh(visit_, from, part.first, part.n(), weight_sum_ != 0 ? 1 / weight_sum_ : 0);
    network_.forward_inputs(theta, part.first, part.n());
  }
  if (network_.divides_first(piece_, team.threads)) {
    team.meet(thread);
    network_.forward_first(theta, {0, piece_}, network_.columns_of_first(thread, team.threads), thread);
    team.meet(thread);
  } else {
    network_.forward_first(theta, part, network_.columns_of_first(0, 1), thread);
  }
  if (part.n() > 0) {
    network_.forward_from_first(theta, part.first, part.n(), thread, key_, row_ + part.first);
    network_.loss(part.first, part.n(), thread);
    network_.back(theta, part.first, part.n(), thread);
  }
  if (is_last()) sum_penalties(thread, team.threads);
  team.meet(thread, [&] {
    loss_ += network_.loss_sum(piece_);
    if (!is_last()) return;
    if (!std::isfinite(loss_)) {
      state_->diverged_step = batch_.step;
    } else {
      state_->loss_sum += weight_sum_ * loss_;
      state_->weight_sum += weight_sum_;
      for (const Stretch& part : stretches_) state_->penalty_sum += weight_sum_ * part.penalty;
    }
  });
}

// The piece's gradient; after the last piece, the batch's.
template <class T>
void Stepper<T>::sum_gradient(Team& team, int thread) {
  network_.gradient(state_->theta.data(), piece_, thread, team.threads, gradient_.data());
  team.meet(thread);
  if (is_whole()) return;
  const bool first = row_ == 0, last = is_last();
  part_of<T>(0, gradient_.size(), thread, team.threads, [&](int64_t at, int64_t n) {
    for (int64_t i = at; i < at + n; ++i) {
      total_[i] = (first ? 0.0 : total_[i]) + static_cast<double>(gradient_[i]);
      if (last) gradient_[i] = static_cast<T>(total_[i]);
    }
  });
  team.meet(thread);
}

template <class T>
void Stepper<T>::penalize(int thread, int threads) {
  for (const Packed& place : layout().all())
    part_of<T>(place.W, place.n_weights, thread, threads, [&](int64_t at, int64_t n) {
      kernels_.penalize(n, state_->theta.data() + at, args_.l1, args_.l2, gradient_.data() + at);
    });
}

template <class T>
void Stepper<T>::sum_penalties(int thread, int threads) {
  const Part part(static_cast<int64_t>(stretches_.size()), thread, threads);
  for (int64_t s = part.first; s < part.end; ++s) {
    Stretch& one = stretches_[static_cast<std::size_t>(s)];
    one.penalty =
        penalty(one.n, state_->theta.data() + one.at, static_cast<double>(args_.l1), static_cast<double>(args_.l2));
  }
}

template <class T>
void Stepper<T>::sum_squares(int thread, int threads) {
  const Part part((gradient_.size() + stretch - 1) / stretch, thread, threads);
  for (int64_t s = part.first; s < part.end; ++s)
    squares_[static_cast<std::size_t>(s)] =
        kernels_.sum_of_squares(std::min(stretch, gradient_.size() - s * stretch), gradient_.data() + s * stretch);
}

template <class T>
void Stepper<T>::update(int thread, int threads) {
  StepArgs<T> of_weights = args_;
  of_weights.penalized = false;  // it is in the gradient
  StepArgs<T> of_biases = of_weights;
  of_biases.shrink = 1;
  const Parameters<T> to = state_->parameters();
  const auto step = [&](StepArgs<T> args, double rate) {
    args.learning_rate *= static_cast<T>(rate);
    return [&, args](int64_t at, int64_t n) {
      T* g = gradient_.data() + at;
      if (scale_ != 1)
        for (int64_t i = 0; i < n; ++i) g[i] *= scale_;
      kernels_.step[static_cast<int>(plan_.rule.rule)](n, to.theta + at, g, to.m ? to.m + at : nullptr,
                                                       to.v ? to.v + at : nullptr, args);
    };
  };
  for (const PackedInput& unit : layout().inputs()) {
    part_of<T>(unit.learned, unit.n_learned, thread, threads, step(of_biases, plan_.inputs.rate));
    part_of<T>(unit.scale, unit.n_scale, thread, threads, step(of_biases, plan_.inputs.scale_rate));
  }
  for (std::size_t l = 0; l < plan_.layers.size(); ++l) {
    const Packed& place = layout()[l];
    part_of<T>(place.W, place.n_weights, thread, threads, step(of_weights, plan_.layers[l].rate));
    part_of<T>(place.b, place.n_bias, thread, threads, step(of_biases, plan_.layers[l].bias_rate));
  }
}

// The norm of a gradient whose squares have been summed up; all of them are, in their order.
template <class T>
double Stepper<T>::length() {
  double sum = 0;
  for (double& part : squares_) sum += std::exchange(part, 0.0);
  return std::sqrt(sum);
}

template <class T>
void Stepper<T>::advance(Team& team, int thread) {
  rows(team, thread);
  if (state_->diverged_step >= 0) return;
  const bool clips = plan_.clip_norm > 0, measures = batch_.ends_epoch;
  if (is_whole() && !clips && !(measures && args_.penalized)) {  // nobody asks for the gradient itself
    network_.descend(plan_.rule.rule, args_, piece_, thread, team.threads, state_->parameters(), gradient_.data(),
                     measures ? squares_.data() : nullptr);
    if (measures)
      team.meet(thread, [&] {
        for (const Packed& place : layout().all())
          squares_[0] += kernels_.sum_of_squares(place.n_bias, gradient_.data() + place.b);
        for (const PackedInput& unit : layout().inputs())
          squares_[0] += kernels_.sum_of_squares(unit.n_learned, gradient_.data() + unit.learned) +
                         kernels_.sum_of_squares(unit.n_scale, gradient_.data() + unit.scale);
        state_->gradient_norm = length();
      });
    return;
  }
  sum_gradient(team, thread);
  if (!is_last()) return;
  if (args_.penalized) {
    penalize(thread, team.threads);
    team.meet(thread);
  }
  if (clips || measures) {
    sum_squares(thread, team.threads);
    team.meet(thread, [&] {
      const double norm = length();
      if (measures) state_->gradient_norm = norm;
      scale_ = clips && norm > plan_.clip_norm ? T(plan_.clip_norm / norm) : T(1);
    });
  }
  update(thread, team.threads);
}

template <class T>
void Stepper<T>::differentiate(Team& team, int thread) {
  rows(team, thread);
  sum_gradient(team, thread);
  if (is_last() && args_.penalized) penalize(thread, team.threads);
}

#define FALLLINE_INSTANTIATE(T)                                                          \
  template class Stepper<T>;                                                             \
  template StepArgs<T> step_args<T>(const Plan&, const Start&, double, int64_t, double); \
  template double penalty<T>(int64_t, const T*, double, double);
FALLLINE_INSTANTIATE(float)
FALLLINE_INSTANTIATE(double)

}  // namespace fallline
