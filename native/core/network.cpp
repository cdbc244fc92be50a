#include "core/network.hpp"

#include <algorithm>
#include <cmath>

namespace fallline {
namespace {

// Bytes of the first layer's weights from which on its columns are shared out among threads. The rows of a batch would
// have every thread read all weights, and those that another thread has just changed come from its cache; that costs
// more than the two meetings that columns take.
constexpr int64_t least_divided = 64 << 10;

// Whether f'(z) cannot be told from f(z), or from its sign.
bool derivative_needs_Z(Activation f) {
  return f == Activation::gelu || f == Activation::silu || f == Activation::mish || f == Activation::softplus;
}

}  // namespace

template <class T>
Network<T>::Network(const Shape& shape, int64_t capacity, Use use, int threads, const Loss& loss, int64_t n_targets,
                    bool bf16)
    : layers_(shape.layers),
      n_in_(shape.n_in()),
      rate_(shape.inputs.rate),
      scale_rate_(shape.inputs.scale_rate),
      layout_(shape),
      kernels_(kernels<T>()),
      bf16_(bf16),
      stride_((capacity | 1) * panel<T>),  // odd, so that panels do not compete for the same lines of a cache
      use_(use),
      loss_(loss),
      n_targets_(n_targets),
      quantiles_(static_cast<int64_t>(loss.quantiles.size())) {
  const bool trains = use == Use::train;
  const std::vector<Layer>& layers = layers_;
  X_ = dX_ = {nullptr, stride_};
  X_ = room(layers[0].n_in);
  if (shape.has_inputs()) {
    inputs_.emplace(shape.inputs, layout_, capacity, trains, threads);
    if (trains) dX_ = room(layers[0].n_in);
  }
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const Layer& layer = layers[l];
    const bool last = l + 1 == layers.size(), drops = trains && layer.dropout > 0;
    Values values{};
    values.Z = room(layer.n_out);
    // The last Z is for the loss; its A is asked for in prediction alone.
    const bool in_place = last || !trains || !derivative_needs_Z(layer.activation);
    values.A = in_place ? values.Z : room(layer.n_out);
    if (trains) values.dZ = room(layer.n_out);
    if (drops) values.mask = room(layer.n_out);
    if (drops) values.dropped = room(layer.n_out);
    values_.push_back(values);
  }
  const int64_t rows = use == Use::predict ? 0 : capacity;
  Y_ = Buffer<T>(rows * n_targets);
  for (Buffer<T>* buffer : {&share_, &losses_}) *buffer = Buffer<T>(rows);
  exact_share_ = Buffer<double>(rows);
  std::copy(loss.quantiles.begin(), loss.quantiles.end(), quantiles_.data());
  const int64_t scratch = std::max(trains ? kernels_.product_scratch : 0, loss_scratch<T>(layers.back().n_out));
  for (int t = 0; t < threads; ++t) scratch_.emplace_back(scratch);
}

template <class T>
Panels<T> Network<T>::room(int64_t columns) {
  rooms_.emplace_back(panels<T>(columns) * stride_);
  return {rooms_.back().data(), stride_};
}

template <class T>
Panels<const T> Network<T>::input(std::size_t l) const {
  if (l == 0) return X_;
  const Values& before = values_[l - 1];
  return before.dropped.at ? before.dropped : before.A;
}

template <class T>
const Products<T>& Network<T>::products(std::size_t l) const {
  return layout_[l].turned ? kernels_.turned : bf16_ ? kernels_.bf16 : kernels_.straight;
}

template <class T>
bool Network<T>::take(const Visit<T>& visit, int64_t from, int64_t first, int64_t n, int64_t then) {
  constexpr int64_t group = 8;  // rows side by side, so that a panel is written line after line
  const Data<T>& data = *visit.data;
  const int64_t n_in = n_in_;
  // Shuffled rows lie anywhere in memory, so they are asked for one group ahead, 32 KiB at most.
  const auto fetch = [&](int64_t from_visit, int64_t n_rows) {
    const int64_t end = std::min(from_visit + std::min(n_rows, group), visit.n), length = std::min(n_in, 64 * panel<T>);
    for (int64_t v = from_visit; v < end; ++v)
      for (int64_t i = 0; i < length; i += panel<T>) __builtin_prefetch(data.X + visit.row(v) * n_in + i, 0, 2);
  };
  bool finite = true;
  for (int64_t r = 0; r < n; r += group) {
    if (r + group < n)
      fetch(from + r + group, n - r - group);
    else
      fetch(then, n);
    const int64_t rows = std::min(group, n - r);
    const T* row[group];
    for (int64_t i = 0; i < rows; ++i) row[i] = data.X + visit.row(from + r + i) * n_in;
    finite &=
        inputs_ ? inputs_->take(first + r, rows, row) : kernels_.to_panels(rows, n_in, row, X_.from_row(first + r));
  }
  if (use_ == Use::predict) return finite;
  for (int64_t r = 0; r < n; ++r) {
    const int64_t row = visit.row(from + r);
    std::copy_n(data.Y + row * n_targets_, n_targets_, Y_.data() + (first + r) * n_targets_);
  }
  return finite;
}

template <class T>
void Network<T>::weigh(const Visit<T>& visit, int64_t from, int64_t first, int64_t n, double per_weight) {
  for (int64_t r = 0; r < n; ++r) {
    const double share = static_cast<double>(visit.weight[visit.row(from + r)]) * per_weight;
    exact_share_[first + r] = share;
    share_[first + r] = static_cast<T>(share);
  }
}

template <class T>
void Network<T>::draw_mask(std::size_t l, int64_t first, int64_t n, const DropoutKey& key, int64_t of_batch) {
  const Layer& layer = layers_[l];
  kernels_.dropout_mask({.seed = key.seed,
                         .step = key.step,
                         .layer_and_start = static_cast<int64_t>(l) + 65536 * key.start,
                         .first = of_batch,
                         .n = n,
                         .n_out = layer.n_out,
                         .threshold = std::nearbyint(layer.dropout * 4294967296.0),
                         .kept = T(1 / (1 - layer.dropout)),
                         .mask = values_[l].mask.from_row(first).at,
                         .m_panel = stride_});
}

template <class T>
void Network<T>::forward(const T* parameters, int64_t first, int64_t n, int thread, const DropoutKey& key,
                         int64_t of_batch) {
  forward_inputs(parameters, first, n);
  forward_first(parameters, {first, first + n}, all_columns(0), thread);
  forward_from_first(parameters, first, n, thread, key, of_batch);
}

template <class T>
void Network<T>::forward_inputs(const T* parameters, int64_t first, int64_t n) {
  if (inputs_) inputs_->forward(parameters, first, n, X_);
}

template <class T>
bool Network<T>::divides_first(int64_t n, int threads) const {
  const int64_t width = kernels_.tile_columns, groups = (layers_[0].n_out + width - 1) / width;
  const bool balanced = groups >= threads && (groups % threads == 0 || groups >= 4 * threads);
  return threads > 1 && balanced && n < layers_[0].n_in &&
         layout_[0].n_weights * static_cast<int64_t>(sizeof(T)) >= least_divided;
}

template <class T>
Part Network<T>::columns_of_first(int part, int parts) const {
  const int64_t width = kernels_.tile_columns, n_out = layers_[0].n_out;
  const Part groups((n_out + width - 1) / width, part, parts);
  return {groups.first * width, std::min(groups.end * width, n_out)};
}

template <class T>
void Network<T>::forward_first(const T* parameters, Part rows, Part columns, int thread) {
  forward_layer(0, parameters, rows, columns, thread, activation(0));
}

template <class T>
void Network<T>::forward_from_first(const T* parameters, int64_t first, int64_t n, int thread, const DropoutKey& key,
                                    int64_t of_batch) {
  for (std::size_t l = 0; l < layers_.size(); ++l) {
    if (l > 0) forward_layer(l, parameters, {first, first + n}, all_columns(l), thread, activation(l));
    const Values& values = values_[l];
    if (values.mask.at) {
      draw_mask(l, first, n, key, of_batch);
      const Panels<T> A = values.A.from_row(first), mask = values.mask.from_row(first);
      const Panels<T> dropped = values.dropped.from_row(first);
      for (int64_t p = 0; p < panels<T>(layers_[l].n_out); ++p)
        kernels_.multiply(n * panel<T>, A.at + p * stride_, mask.at + p * stride_, dropped.at + p * stride_);
    }
  }
}

template <class T>
void Network<T>::forward_to_first_Z(const T* parameters, int64_t first, int64_t n, int thread) {
  forward_layer(0, parameters, {first, first + n}, all_columns(0), thread, nullptr);
}

template <class T>
void Network<T>::forward_from_first_Z(const T* parameters, int64_t first, int64_t n, int thread) {
  const Panels<T> Z = values_[0].Z.from_row(first), A = values_[0].A.from_row(first);
  if (const Activate<T> activate = activation(0))
    for (int64_t p = 0; p < panels<T>(layers_[0].n_out); ++p)
      activate(n * panel<T>, Z.at + p * stride_, A.at + p * stride_);
  for (std::size_t l = 1; l < layers_.size(); ++l)
    forward_layer(l, parameters, {first, first + n}, all_columns(l), thread, activation(l));
}

template <class T>
Activate<T> Network<T>::activation(std::size_t l) const {
  const Activation f = layers_[l].activation;
  const bool in_loss = l + 1 == layers_.size() && use_ != Use::predict;  // the loss looks at Z
  return in_loss || f == Activation::softmax || f == Activation::identity ? nullptr
                                                                          : kernels_.activate[static_cast<int>(f)];
}

template <class T>
Part Network<T>::all_columns(std::size_t l) const {
  return {0, layers_[l].n_out};
}

template <class T>
void Network<T>::forward_layer(std::size_t l, const T* parameters, Part rows, Part columns, int thread,
                               Activate<T> activate) {
  const Layer& layer = layers_[l];
  const Packed& at = layout_[l];
  const int64_t n = rows.n(), panel_of_columns = columns.first / panel<T>;
  const auto place = [&](Panels<T> of_layer) { return of_layer.from_row(rows.first).from_panel(panel_of_columns); };
  const Panels<T> Z = place(values_[l].Z), A = place(values_[l].A);
  T* const scratch = scratch_[static_cast<std::size_t>(thread)].data();
  products(l).forward({.n = n,
                       .n_in = layer.n_in,
                       .n_out = columns.n(),
                       .A_prev = input(l).from_row(rows.first),
                       .W = {parameters + at.W + panel_of_columns * at.stride, at.stride},
                       .b = parameters + at.b + columns.first,
                       .Z = Z,
                       .A = A,
                       .activate = activate,
                       .scratch = scratch});
  if (layer.activation == Activation::softmax && use_ == Use::predict)
    kernels_.softmax(n, layer.n_out, Z.at, A.at, stride_, scratch);
}

template <class T>
void Network<T>::loss(int64_t first, int64_t n, int thread) {
  const Layer& last = layers_.back();
  kernels_.loss({.n = n,
                 .n_out = last.n_out,
                 .n_targets = n_targets_,
                 .loss = loss_.kind,
                 .output = last.activation,
                 .delta = static_cast<T>(loss_.delta),
                 .ceiling = static_cast<T>(loss_.ceiling),
                 .quantiles = quantiles_.data(),
                 .n_quantiles = quantiles_.size(),
                 .Z = values_.back().Z.from_row(first).at,
                 .dZ = values_.back().dZ.from_row(first).at,
                 .z_panel = stride_,
                 .Y = Y_.data() + first * n_targets_,
                 .share = share_.data() + first,
                 .losses = losses_.data() + first,
                 .scratch = scratch_[static_cast<std::size_t>(thread)].data()});
}

// From Z = A_prev W + b follows dA_prev; from A_prev = f(Z_prev) follows dZ_prev.
template <class T>
void Network<T>::back(const T* parameters, int64_t first, int64_t n, int thread) {
  for (std::size_t l = layers_.size() - 1; l > 0; --l) {
    const Layer &layer = layers_[l], &previous = layers_[l - 1];
    const Values& before = values_[l - 1];
    products(l).backward({.n = n,
                          .n_in = layer.n_in,
                          .n_out = layer.n_out,
                          .dZ = values_[l].dZ.from_row(first),
                          .W = {parameters + layout_[l].W, layout_[l].stride},
                          .mask = before.mask.from_row(first),
                          .Z_prev = before.Z.from_row(first),
                          .A_prev = before.A.from_row(first),
                          .dZ_prev = before.dZ.from_row(first),
                          .derive = kernels_.derive[static_cast<int>(previous.activation)],
                          .scratch = scratch_[static_cast<std::size_t>(thread)].data()});
  }
  if (!dX_.at) return;
  const Panels<const T> X = X_.from_row(first);
  products(0).backward({.n = n,
                        .n_in = layers_[0].n_in,
                        .n_out = layers_[0].n_out,
                        .dZ = values_[0].dZ.from_row(first),
                        .W = {parameters + layout_[0].W, layout_[0].stride},
                        .mask = {nullptr, stride_},
                        .Z_prev = X,
                        .A_prev = X,
                        .dZ_prev = dX_.from_row(first),
                        .derive = kernels_.derive[static_cast<int>(Activation::identity)],
                        .scratch = scratch_[static_cast<std::size_t>(thread)].data()});
}

template <class T>
Gradient<T> Network<T>::gradient_call(std::size_t l, int64_t n, int part, int parts, T* gradient) {
  return {.n = n,
          .n_in = layers_[l].n_in,
          .n_out = layers_[l].n_out,
          .part = part,
          .parts = parts,
          .A_prev = input(l),
          .dZ = values_[l].dZ,
          .dW = gradient + layout_[l].W,
          .stride = layout_[l].stride,
          .W = nullptr,
          .m = nullptr,
          .v = nullptr,
          .step = nullptr,
          .squares = nullptr,
          .scratch = scratch_[static_cast<std::size_t>(part)].data()};
}

template <class T>
Part Network<T>::input_units(int part, int parts) const {
  return Part(static_cast<int64_t>(layout_.inputs().size()), part, parts);
}

template <class T>
void Network<T>::gradient(const T* parameters, int64_t n, int part, int parts, T* gradient) {
  const Part units = input_units(part, parts);
  if (dX_.at) inputs_->gradient(parameters, n, dX_, units.first, units.end, part, gradient);
  for (std::size_t l = layers_.size(); l-- > 0;) {
    products(l).gradient(gradient_call(l, n, part, parts, gradient));
    const Part biases(panels<T>(layers_[l].n_out), part, parts);
    const Panels<const T> dZ{values_[l].dZ.at + biases.first * stride_, stride_};
    kernels_.column_sums(n, biases.n(), dZ, gradient + layout_[l].b + biases.first * panel<T>);
  }
}

template <class T>
int64_t Network<T>::n_squares() const {
  int64_t n = 0;
  for (const Layer& layer : layers_) n += panels<T>(layer.n_in) * panels<T>(layer.n_out);
  return n;
}

template <class T>
void Network<T>::descend(Rule rule, const StepArgs<T>& step, int64_t n, int part, int parts, const Parameters<T>& at,
                         T* gradient, double* squares) {
  StepArgs<T> of_biases = step;
  of_biases.shrink = 1;
  of_biases.penalized = false;
  const auto moment = [](T* block, int64_t offset) { return block ? block + offset : nullptr; };
  const auto step_over = [&](int64_t first, int64_t numbers, double rate) {
    of_biases.learning_rate = step.learning_rate * static_cast<T>(rate);
    kernels_.step[static_cast<int>(rule)](numbers, at.theta + first, gradient + first, moment(at.m, first),
                                          moment(at.v, first), of_biases);
  };
  if (dX_.at) {
    const Part units = input_units(part, parts);
    inputs_->gradient(at.theta, n, dX_, units.first, units.end, part, gradient);
    for (int64_t u = units.first; u < units.end; ++u) {
      const PackedInput& unit = layout_.inputs()[static_cast<std::size_t>(u)];
      step_over(unit.learned, unit.n_learned, rate_);
      step_over(unit.scale, unit.n_scale, scale_rate_);
    }
  }
  for (std::size_t l = layers_.size(); l-- > 0;) {
    const Packed& place = layout_[l];
    StepArgs<T> of_weights = step;
    of_weights.learning_rate *= static_cast<T>(layers_[l].rate);
    Gradient<T> weights = gradient_call(l, n, part, parts, gradient);
    weights.W = at.theta + place.W;
    weights.m = moment(at.m, place.W);
    weights.v = moment(at.v, place.W);
    weights.step = &of_weights;
    weights.squares = squares;
    if (squares) squares += panels<T>(layers_[l].n_in) * panels<T>(layers_[l].n_out);
    products(l).descend[static_cast<int>(rule)](weights);
    const Part biases(panels<T>(layers_[l].n_out), part, parts);
    if (biases.n() == 0) continue;
    const int64_t b = place.b + biases.first * panel<T>;
    const Panels<const T> dZ{values_[l].dZ.at + biases.first * stride_, stride_};
    kernels_.column_sums(n, biases.n(), dZ, gradient + b);
    step_over(b, biases.n() * panel<T>, layers_[l].bias_rate);
  }
}

template <class T>
double Network<T>::loss_sum(int64_t n) const {
  double sum = 0;
  for (int64_t r = 0; r < n; ++r) sum += exact_share_[r] * static_cast<double>(losses_[r]);
  return sum;
}

template <class T>
void Network<T>::read_output(int64_t first, int64_t n, T* A) const {
  constexpr int64_t N = panel<T>;
  const int64_t n_out = layers_.back().n_out;
  const Panels<T> from = values_.back().A.from_row(first);
  for (int64_t r = 0; r < n; ++r)
    for (int64_t j = 0; j < n_out; j += N)
      std::copy_n(from.at + j / N * stride_ + r * N, std::min(N, n_out - j), A + r * n_out + j);
}

template class Network<float>;
template class Network<double>;

}  // namespace fallline
