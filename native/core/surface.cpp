// Mean losses over a plane of parameters.
#include <algorithm>
#include <atomic>
#include <memory>

#include "core/network.hpp"
#include "core/team.hpp"

namespace fallline {
namespace {

constexpr int64_t block_rows = 128;  // rows at a time: few, so that the first Z of all three stay in cache
constexpr int64_t chunk = 64;        // points at a time, so that few rows are work for several threads as well

// What one thread needs: a network, a point's parameters, and of a block of rows the first layer's Z at the origin and
// along both directions.
template <class T>
struct Worker {
  Worker(const Plan& plan, int64_t rows, int64_t n_targets)
      : network(plan, rows, Network<T>::Use::measure, 1, plan.loss, n_targets),
        theta(network.layout().packed_size(), Buffer<T>::uninitialized),
        size(network.first_Z().stride * panels<T>(plan.layers.front().n_out)) {
    for (Buffer<T>& part : Z) part = Buffer<T>(size);
  }
  Network<T> network;
  Buffer<T> theta;
  int64_t size;  // of Z, padding included
  Buffer<T> Z[3];
};

}  // namespace

// The first layer takes the same rows at every point, and its Z is affine in the parameters: three products give it
// for all points. Inputs that are learned are not affine; with them every point goes all the way.
template <class T>
void loss_surface(const Plan& plan, const T* origin, const T* u, const T* v, std::span<const double> a,
                  std::span<const double> b, const Data<T>& data, double* losses, int threads) {
  const Layout<T> layout(plan);
  Buffer<T> packed[3];
  const T* const flat[3] = {origin, u, v};
  for (int i = 0; i < 3; ++i) {
    packed[i] = Buffer<T>(layout.packed_size());
    layout.pack(flat[i], packed[i].data());
  }
  double weight_sum = 0;
  for (int64_t r = 0; r < data.n; ++r) weight_sum += static_cast<double>(data.weight[r]);
  const double per_weight = weight_sum != 0 ? 1 / weight_sum : 0;

  const Kernels<T>& kernel = kernels<T>();
  const int64_t n_points = static_cast<int64_t>(a.size() * b.size()), n_b = static_cast<int64_t>(b.size());
  const int64_t blocks = (data.n + block_rows - 1) / block_rows;
  const int64_t chunks = std::max<int64_t>(1, blocks < 2 * threads ? (n_points + chunk - 1) / chunk : 1);
  const int64_t n_first = plan.has_inputs() ? 0 : layout[0].b + layout[0].n_bias;  // numbers in the first layer
  std::vector<double> sums(static_cast<std::size_t>(blocks * n_points));  // of each block of rows at each point
  threads = static_cast<int>(std::min<int64_t>(threads, blocks * chunks));
  std::vector<std::unique_ptr<Worker<T>>> workers;
  for (int t = 0; t < threads; ++t)
    workers.push_back(std::make_unique<Worker<T>>(plan, std::min(data.n, block_rows), data.n_targets));

  const Visit<T> visit = in_order(data);
  std::atomic<int64_t> next{0};
  together(threads, [&](Team&, int thread) {
    Worker<T>& worker = *workers[static_cast<std::size_t>(thread)];
    Network<T>& network = worker.network;
    for (int64_t unit; (unit = next.fetch_add(1)) < blocks * chunks;) {
      const int64_t block = unit / chunks, first = block * block_rows, rows = std::min(block_rows, data.n - first);
      const Part points(n_points, static_cast<int>(unit % chunks), static_cast<int>(chunks));
      network.take(visit, first, 0, rows, data.n);
      network.weigh(visit, first, 0, rows, per_weight);
      if (n_first)
        for (int i = 0; i < 3; ++i) {
          network.forward_to_first_Z(packed[i].data(), 0, rows, 0);
          std::copy_n(network.first_Z().at, worker.size, worker.Z[i].data());
        }
      for (int64_t point = points.first; point < points.end; ++point) {
        const T at_a = static_cast<T>(a[static_cast<std::size_t>(point / n_b)]);
        const T at_b = static_cast<T>(b[static_cast<std::size_t>(point % n_b)]);
        T* const theta = worker.theta.data();
        kernel.plane_point(layout.packed_size() - n_first, packed[0].data() + n_first, packed[1].data() + n_first,
                           packed[2].data() + n_first, at_a, at_b, theta + n_first);
        if (n_first) {
          kernel.plane_point(worker.size, worker.Z[0].data(), worker.Z[1].data(), worker.Z[2].data(), at_a, at_b,
                             network.first_Z().at);
          network.forward_from_first_Z(theta, 0, rows, 0);
        } else {
          network.forward(theta, 0, rows, 0);
        }
        network.loss(0, rows, 0);
        sums[static_cast<std::size_t>(block * n_points + point)] = network.loss_sum(rows);
      }
    }
  });
  std::fill_n(losses, n_points, 0.0);
  for (int64_t block = 0; block < blocks; ++block)
    for (int64_t point = 0; point < n_points; ++point)
      losses[point] += sums[static_cast<std::size_t>(block * n_points + point)];
}

#define FALLLINE_INSTANTIATE(T)                                                                     \
  template void loss_surface<T>(const Plan&, const T*, const T*, const T*, std::span<const double>, \
                                std::span<const double>, const Data<T>&, double*, int);
FALLLINE_INSTANTIATE(float)
FALLLINE_INSTANTIATE(double)

}  // namespace fallline
