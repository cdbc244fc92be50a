// The calls of api.hpp that take no step: prediction, mean loss, one gradient.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <memory>

#include "api.hpp"
#include "core/network.hpp"
#include "core/stepper.hpp"
#include "core/team.hpp"

namespace fallline {
namespace {

constexpr int64_t block_rows = 128;     // rows that go forward together: they and what becomes of them stay in cache
constexpr int64_t few_rows = 6;         // for which it does not pay to pack the weights
constexpr double worth_a_thread = 4e6;  // operations for which another thread is called

// Calls use(network, block, first, n) for every block of rows, after its forward pass, on as many threads as pay off.
// Gives whether all inputs were finite.
template <class T, class Use>
bool forward_in_blocks(const Shape& shape, const T* parameters, const Data<T>& data, const Loss* loss, int threads,
                       Use use) {
  using Net = Network<T>;
  const Layout<T> layout(shape);
  Buffer<T> packed(layout.packed_size());
  layout.pack(parameters, packed.data());
  const int64_t n = data.n, blocks = (n + block_rows - 1) / block_rows, capacity = std::min(n, block_rows);
  const double operations = 2.0 * static_cast<double>(n) * static_cast<double>(layout.flat_size());
  const double worth = std::min(operations / worth_a_thread, static_cast<double>(blocks));
  threads = std::min(threads, static_cast<int>(std::clamp(worth, 1.0, 1024.0)));
  std::vector<std::unique_ptr<Net>> networks;
  for (int t = 0; t < threads; ++t)
    networks.push_back(loss ? std::make_unique<Net>(shape, capacity, Net::Use::measure, 1, *loss, data.n_targets)
                            : std::make_unique<Net>(shape, capacity, Net::Use::predict, 1));
  std::atomic<int64_t> next{0};
  std::atomic<bool> finite{true};
  together(threads, [&](Team&, int thread) {
    Net& network = *networks[static_cast<std::size_t>(thread)];
    for (int64_t block; (block = next.fetch_add(1)) < blocks;) {
      const int64_t first = block * block_rows, rows = std::min(block_rows, n - first);
      if (!network.take(in_order(data), first, 0, rows, n)) finite = false;
      network.forward(packed.data(), 0, rows, 0);
      use(network, block, first, rows);
    }
  });
  return finite;
}

// One row at a time through weights as they are.
template <class T>
bool predict_rows(const std::vector<Layer>& layers, const T* parameters, const T* X, int64_t n, T* A) {
  const Kernels<T>& kernel = kernels<T>();
  constexpr int64_t N = panel<T>;
  const int64_t n_in = layers.front().n_in, n_out = layers.back().n_out;
  int64_t width = padded<T>(n_in), scratch = loss_scratch<T>(n_out);
  for (const Layer& layer : layers) {
    width = std::max(width, padded<T>(layer.n_out));
    if (layer.n_out < N) scratch = std::max(scratch, (layer.n_in + N) * N);
  }
  Buffer<T> room(2 * width + scratch, Buffer<T>::uninitialized);
  T* const values[2] = {room.data(), room.data() + width};
  for (int64_t r = 0; r < n; ++r) {
    const T* const row = X + r * n_in;
    if (!kernel.to_panels(1, n_in, &row, {values[0], N})) return false;
    const T* W = parameters;
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const Layer& layer = layers[l];
      const bool elementwise = layer.activation != Activation::softmax && layer.activation != Activation::identity;
      const T* const b = W + layer.n_in * layer.n_out;
      T* const z = values[(l + 1) % 2];
      kernel.forward_row({layer.n_in, layer.n_out, values[l % 2], W, b, z,
                          elementwise ? kernel.activate[static_cast<int>(layer.activation)] : nullptr,
                          room.data() + 2 * width});
      if (layer.activation == Activation::softmax) kernel.softmax(1, layer.n_out, z, z, N, room.data() + 2 * width);
      W = b + layer.n_out;
    }
    std::copy_n(values[layers.size() % 2], n_out, A + r * n_out);
  }
  return true;
}

}  // namespace

template <class T>
bool predict(const Shape& shape, const T* parameters, const T* X, int64_t n, T* A, int threads) {
  if (n <= few_rows && !shape.has_inputs()) return predict_rows(shape.layers, parameters, X, n, A);
  const int64_t n_out = shape.layers.back().n_out;
  return forward_in_blocks<T>(shape, parameters, {n, 0, X, nullptr, nullptr}, nullptr, threads,
                              [&](Network<T>& network, int64_t, int64_t first, int64_t rows) {
                                network.read_output(0, rows, A + first * n_out);
                              });
}

template <class T>
double mean_loss(const Plan& plan, const T* parameters, const Data<T>& data, int threads) {
  double weight_sum = 0;
  for (int64_t r = 0; r < data.n; ++r) weight_sum += static_cast<double>(data.weight[r]);
  std::vector<double> sums(static_cast<std::size_t>((data.n + block_rows - 1) / block_rows));
  forward_in_blocks<T>(plan, parameters, data, &plan.loss, threads,
                       [&](Network<T>& network, int64_t block, int64_t first, int64_t rows) {
                         network.weigh(in_order(data), first, 0, rows, weight_sum != 0 ? 1 / weight_sum : 0);
                         network.loss(0, rows, 0);
                         sums[static_cast<std::size_t>(block)] = network.loss_sum(rows);
                       });
  double sum = 0;
  for (const double part : sums) sum += part;
  return sum;
}

template <class T>
double gradient(const Plan& plan, const T* parameters, const Data<T>& data, int64_t step, T* gradient, int threads) {
  const Start& start = plan.starts.at(0);
  Stepper<T> stepper(plan, data.n, data.n_targets, threads);
  const Layout<T>& layout = stepper.layout();
  StartState<T> state;
  state.theta = Buffer<T>(layout.packed_size());
  layout.pack(parameters, state.theta.data());
  double weight_sum = 0;
  for (int64_t r = 0; r < data.n; ++r) weight_sum += static_cast<double>(data.weight[r]);
  const StepArgs<T> args = step_args<T>(plan, start, 1, step, weight_sum);
  stepper.begin(&state, start.number, in_order(data), {step, 0, data.n, false}, weight_sum, args);
  bool done = false;
  together(threads, [&](Team& team, int thread) {
    while (!done) {
      stepper.differentiate(team, thread);
      team.meet(thread, [&] { done = stepper.next(); });
    }
  });
  layout.unpack(stepper.gradient().data(), gradient);

  double loss = stepper.loss();
  if (args.penalized)
    for (const Packed& place : layout.all())
      loss += penalty(place.n_weights, state.theta.data() + place.W, static_cast<double>(args.l1),
                      static_cast<double>(args.l2));
  return loss;
}

double fma_peak(int threads, double seconds) {
  using Clock = std::chrono::steady_clock;
  std::atomic<int64_t> rounds{0};
  std::atomic<double> of_round{0};
  const auto began = Clock::now(), end = began + std::chrono::microseconds(static_cast<int64_t>(seconds * 1e6));
  together(threads, [&](Team&, int) {
    alignas(64) float sink[panel<float>];
    do {
      std::fill(sink, sink + panel<float>, 0.999f);
      of_round = kernels<float>().multiply_add(sink);
      ++rounds;
    } while (Clock::now() < end);
  });
  const std::chrono::duration<double> taken = Clock::now() - began;
  return static_cast<double>(rounds) * of_round / taken.count();
}

#define FALLLINE_INSTANTIATE(T)                                                 \
  template bool predict<T>(const Shape&, const T*, const T*, int64_t, T*, int); \
  template double mean_loss<T>(const Plan&, const T*, const Data<T>&, int);     \
  template double gradient<T>(const Plan&, const T*, const Data<T>&, int64_t, T*, int);
FALLLINE_INSTANTIATE(float)
FALLLINE_INSTANTIATE(double)

}  // namespace fallline
