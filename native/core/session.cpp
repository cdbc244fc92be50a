// The training loop, and the calls of api.hpp that need no loop.
#include <chrono>
#include <cmath>
#include <stdexcept>

#include "api.hpp"
#include "core/network.hpp"
#include "core/philox.hpp"
#include "core/piece_sum.hpp"

namespace fallline {
namespace {

constexpr int64_t block_rows = 256;  // rows that prediction keeps in cache at a time

template <class T>
Batch<T> whole(const Data<T>& data) {
  return {data.n, data.X, data.Y, data.weight, data.n_targets, sum_of_weights(data.weight, data.n)};
}

bool drops(const Plan& plan) {
  for (const Layer& layer : plan.layers)
    if (layer.dropout > 0) return true;
  return false;
}

// Adds the gradient of the penalties to a gradient; both blocks are packed.
template <class T>
void penalize(const Plan& plan, const Kernels<T>& kernels, const Layout<T>& layout, const T* parameters, T* gradient) {
  if (plan.l1 == 0 && plan.l2 == 0) return;
  for (const Packed& at : layout.all())
    kernels.penalize(at.n_weights, parameters + at.W, T(plan.l1), T(plan.l2), gradient + at.W);
}

// l1 * sum |W| + l2 / 2 * sum W^2 over all weights.
template <class T>
double penalty(const Plan& plan, const Layout<T>& layout, const T* parameters) {
  double sum_abs = 0, sum_squares = 0;
  for (const Packed& at : layout.all())
    for (int64_t i = at.W; i < at.W + at.n_weights; ++i) {
      sum_abs += std::abs(static_cast<double>(parameters[i]));
      sum_squares += static_cast<double>(parameters[i]) * static_cast<double>(parameters[i]);
    }
  return plan.l1 * sum_abs + 0.5 * plan.l2 * sum_squares;
}

}  // namespace

template <class T>
struct Session<T>::State {
  State(const Plan& p, const T* flat, const Data<T>& d)
      : plan(p),
        data(d),
        sum(p.layers, p.batch_size),
        kernels(fallline::kernels<T>()),
        has_dropout(drops(p)),
        order(p.shuffle ? d.n : 0) {
    const Layout<T>& layout = sum.layout();
    if (plan.shuffle) {
      X = Buffer<T>(plan.batch_size * plan.layers[0].n_in);
      Y = Buffer<T>(plan.batch_size * data.n_targets);
      weight = Buffer<T>(plan.batch_size);
    }
    const int n_moments = plan.rule.rule == Rule::adam ? 2 : plan.rule.rule == Rule::sgd ? 0 : 1;
    for (std::size_t k = 0; k < plan.starts.size(); ++k) {
      theta.emplace_back(layout.packed_size());
      layout.pack(flat + static_cast<int64_t>(k) * layout.flat_size(), theta.back().data());
      m.emplace_back(n_moments > 0 ? layout.packed_size() : 0);
      v.emplace_back(n_moments > 1 ? layout.packed_size() : 0);
    }
    last.gradient_norm.assign(theta.size(), std::nan(""));
    last.diverged_step.assign(theta.size(), -1);
  }

  // Sets the rows of this step: gathered where the order is shuffled, else where they lie.
  void set_batch() {
    const int64_t steps_per_epoch = (data.n + plan.batch_size - 1) / plan.batch_size;
    const int64_t epoch = step / steps_per_epoch, place = step % steps_per_epoch;
    const int64_t first = place * plan.batch_size, n = std::min(plan.batch_size, data.n - first);
    const int64_t n_in = plan.layers[0].n_in, n_targets = data.n_targets;
    ends_epoch = place + 1 == steps_per_epoch;
    if (!plan.shuffle) {
      const T* weights = data.weight + first;
      batch = {n, data.X + first * n_in, data.Y + first * n_targets, weights, n_targets, sum_of_weights(weights, n)};
      return;
    }
    if (place == 0) row_order(plan.seed, epoch, data.n, order.data());
    for (int64_t r = 0; r < n; ++r) {
      const int64_t row = order[first + r];
      std::copy_n(data.X + row * n_in, n_in, X.data() + r * n_in);
      std::copy_n(data.Y + row * n_targets, n_targets, Y.data() + r * n_targets);
      weight[r] = data.weight[row];
    }
    batch = {n, X.data(), Y.data(), weight.data(), n_targets, sum_of_weights(weight.data(), n)};
  }

  // The next piece of this step, for one start after the other; true when the step is complete. Nothing moves where a
  // start's loss is not finite.
  bool advance(double learning_rate, std::vector<double>& loss_sum) {
    if (start == 0 && sum.at_beginning()) set_batch();
    while (start < theta.size() && last.diverged_step[start] >= 0) ++start;
    if (start < theta.size()) {
      const DropoutKey key{plan.seed, step, plan.starts[start]};
      if (!sum.add_piece(theta[start].data(), plan.loss, batch, has_dropout ? &key : nullptr)) return false;
      if (std::isfinite(sum.loss())) {
        loss_sum[start] += batch.weight_sum * sum.loss();
        update(start, learning_rate);
      } else {
        last.diverged_step[start] = step;
      }
      if (++start < theta.size()) return false;
    }
    start = 0;
    ++step;
    return true;
  }

  // A step of start k against the gradient.
  void update(std::size_t k, double learning_rate) {
    T* parameters = theta[k].data();
    Buffer<T>& gradient = sum.gradient();
    const Layout<T>& layout = sum.layout();
    penalize(plan, kernels, layout, parameters, gradient.data());
    if (ends_epoch || plan.clip_norm > 0) {
      const double length = std::sqrt(kernels.sum_of_squares(gradient.size(), gradient.data()));
      if (ends_epoch) last.gradient_norm[k] = length;
      if (plan.clip_norm > 0 && length > plan.clip_norm)
        for (int64_t i = 0; i < gradient.size(); ++i) gradient[i] *= T(plan.clip_norm / length);
    }
    const StepRule& rule = plan.rule;
    const double t = static_cast<double>(step + 1);
    StepArgs<T> args{T(learning_rate),
                     T(rule.beta1),
                     T(rule.beta2),
                     T(rule.epsilon),
                     T(1 - rule.beta1),
                     T(1 - rule.beta2),
                     T(1 / (1 - std::pow(rule.beta1, t))),
                     T(1 / (1 - std::pow(rule.beta2, t))),
                     T(1)};
    const auto apply = [&](int64_t at, int64_t n, T shrink) {
      args.shrink = shrink;
      T *first = m[k].size() ? m[k].data() + at : nullptr, *second = v[k].size() ? v[k].data() + at : nullptr;
      kernels.step[static_cast<int>(rule.rule)](n, parameters + at, gradient.data() + at, first, second, args);
    };
    for (const Packed& at : layout.all()) {
      apply(at.W, at.n_weights, T(1 - learning_rate * rule.weight_decay));
      apply(at.b, at.n_bias, T(1));
    }
  }

  const Plan plan;
  const Data<T> data;
  PieceSum<T> sum;
  const Kernels<T>& kernels;
  const bool has_dropout;
  std::vector<Buffer<T>> theta, m, v;  // packed, one for each start
  Buffer<int64_t> order;               // of this epoch's rows
  Buffer<T> X, Y, weight;              // the gathered batch
  Slice last;                          // what stays from slice to slice: norms and divergences

  // Where the descent stands: in which step, and in it at which start; `sum` knows at which piece of the batch.
  int64_t step = 0;
  std::size_t start = 0;
  Batch<T> batch{};
  bool ends_epoch = false;
};

template <class T>
Session<T>::Session(const Plan& plan, const T* parameters, const Data<T>& data)
    : state_(std::make_unique<State>(plan, parameters, data)) {}
template <class T>
Session<T>::Session(Session&&) noexcept = default;
template <class T>
Session<T>::~Session() = default;

template <class T>
Slice Session<T>::run(std::span<const double> learning_rates, double seconds) {
  using Clock = std::chrono::steady_clock;
  State& s = *state_;
  const auto began = Clock::now();
  Slice slice;
  slice.loss_sum.assign(s.theta.size(), 0.0);
  while (slice.n_steps < static_cast<int64_t>(learning_rates.size())) {
    if (s.advance(learning_rates[static_cast<std::size_t>(slice.n_steps)], slice.loss_sum)) {
      ++slice.n_steps;
      slice.weight_sum += s.batch.weight_sum;
    }
    if (std::chrono::duration<double>(Clock::now() - began).count() > seconds) break;
  }
  slice.gradient_norm = s.last.gradient_norm;
  slice.diverged_step = s.last.diverged_step;
  return slice;
}

template <class T>
void Session<T>::read_parameters(T* parameters) const {
  const Layout<T>& layout = state_->sum.layout();
  for (const Buffer<T>& theta : state_->theta) {
    layout.unpack(theta.data(), parameters);
    parameters += layout.flat_size();
  }
}

namespace {

// Calls use(network, first, n) for block after block of rows, after the block's forward pass.
template <class T, class Use>
void forward_in_blocks(const std::vector<Layer>& layers, const T* parameters, const T* X, int64_t n, Use use) {
  Network<T> network(layers, std::min(n, block_rows), false);
  Buffer<T> packed(network.layout().packed_size());
  network.layout().pack(parameters, packed.data());
  for (int64_t first = 0; first < n; first += block_rows) {
    const int64_t rows = std::min(block_rows, n - first);
    network.forward(packed.data(), X + first * layers[0].n_in, rows);
    use(network, first, rows);
  }
}

}  // namespace

template <class T>
void predict(const std::vector<Layer>& layers, const T* parameters, const T* X, int64_t n, T* A) {
  const int64_t n_out = layers.back().n_out;
  forward_in_blocks(layers, parameters, X, n, [&](Network<T>& network, int64_t first, int64_t rows) {
    for (int64_t r = 0; r < rows; ++r) std::copy_n(network.output(r), n_out, A + (first + r) * n_out);
  });
}

template <class T>
double mean_loss(const Plan& plan, const T* parameters, const Data<T>& data) {
  const Batch<T> batch = whole(data);
  double sum = 0;
  forward_in_blocks(plan.layers, parameters, data.X, data.n, [&](Network<T>& network, int64_t first, int64_t rows) {
    sum += network.loss(plan.loss, batch, first, rows);
  });
  return sum;
}

template <class T>
double gradient(const Plan& plan, const T* parameters, const Data<T>& data, int64_t step, T* gradient) {
  PieceSum<T> sum(plan.layers, data.n);
  const Layout<T>& layout = sum.layout();
  Buffer<T> packed(layout.packed_size());
  layout.pack(parameters, packed.data());
  const DropoutKey key{plan.seed, step, plan.starts.at(0)};
  const Batch<T> batch = whole(data);
  while (!sum.add_piece(packed.data(), plan.loss, batch, drops(plan) ? &key : nullptr)) {
  }
  penalize(plan, kernels<T>(), layout, packed.data(), sum.gradient().data());
  layout.unpack(sum.gradient().data(), gradient);
  return sum.loss() + penalty(plan, layout, packed.data());
}

#define FALLLINE_INSTANTIATE(T)                                                         \
  template class Session<T>;                                                            \
  template void predict<T>(const std::vector<Layer>&, const T*, const T*, int64_t, T*); \
  template double mean_loss<T>(const Plan&, const T*, const Data<T>&);                  \
  template double gradient<T>(const Plan&, const T*, const Data<T>&, int64_t, T*);
FALLLINE_INSTANTIATE(float)
FALLLINE_INSTANTIATE(double)

}  // namespace fallline
