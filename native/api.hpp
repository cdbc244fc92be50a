// The narrow waist: all that the bindings and the C++ tests know of the compiled core.
// Letters are those of docs/notation.md. `threads`, 1 or more, never changes a result. Blocks of parameters are flat:
// the inputs' (scale, w, p, M, c, tables), then W row by row and b, layer after layer.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace fallline {

enum class Activation { identity, sigmoid, tanh, relu, leaky_relu, elu, selu, gelu, silu, mish, softplus, softmax };

enum class LossKind {
  squared_error,
  quadratic,
  absolute_error,
  huber,
  poisson,
  quantile,
  binary_cross_entropy,
  categorical_cross_entropy
};

enum class Rule { sgd, momentum, nesterov, rmsprop, adam };

struct Layer {
  int64_t n_in, n_out;
  Activation activation;
  double dropout = 0;              // share of this layer's neurons that are dropped
  double rate = 1, bias_rate = 1;  // what a step multiplies the learning rate of W and b by
};

// What may stand before the first layer, as in src/fallline/inputs.py. Columns of X: `embedded` numbers, each of which
// becomes `size` numbers, itself and periodic functions of it; `plain` numbers; and codes, each of which becomes a row
// of its table. What the first layer takes is all of that times a scale of its own.
struct Inputs {
  struct Table {
    int64_t levels, size;
  };
  int64_t embedded = 0, plain = 0, frequencies = 0, size = 1;
  std::vector<Table> tables;
  double rate = 1, scale_rate = 1;  // what a step multiplies the learning rate by

  int64_t n_in() const { return embedded + plain + static_cast<int64_t>(tables.size()); }
  int64_t n_out() const;
  int64_t n_parameters() const;
};

// A network's inputs, which it need not have, and its layers.
struct Shape {
  Shape() = default;
  Shape(std::vector<Layer> all, Inputs before = {}) : layers(std::move(all)), inputs(std::move(before)) {}

  bool has_inputs() const { return inputs.n_in() > 0; }
  int64_t n_in() const { return has_inputs() ? inputs.n_in() : layers.front().n_in; }  // columns of X

  std::vector<Layer> layers;
  Inputs inputs;
};

struct Loss {
  LossKind kind;
  double delta = 1;                                          // huber
  std::vector<double> quantiles;                             // quantile
  double ceiling = std::numeric_limits<double>::infinity();  // cross-entropies: the greatest loss that is reported
};

struct StepRule {
  Rule rule;
  double beta1 = 0;  // momentum; Adam's beta1
  double beta2 = 0;  // RMSprop's rho; Adam's beta2
  double epsilon = 0;
  bool epsilon_hat = false;  // Adam: added to the root before that is corrected
};

// One start of a descent, and what may differ from start to start.
struct Start {
  int64_t number;  // what its dropout masks depend on
  double learning_rate, weight_decay = 0, l1 = 0, l2 = 0;
};

struct Plan : Shape {
  Loss loss;
  StepRule rule;
  int64_t batch_size = 1;
  bool shuffle = true;
  uint64_t seed = 0;
  std::vector<Start> starts;       // K of them
  double clip_norm = 0;            // 0: no clipping
  bool bf16 = false;               // products, while training, of operands rounded to bf16; float only
  bool penalties_per_row = false;  // penalties are divided by the batch's weight, and summed up in the slice
};

template <class T>
struct Data {
  int64_t n, n_targets;
  const T* X;                 // (n, n_in)
  const T* Y;                 // (n, n_targets)
  const T* weight;            // (n,); or (K, n), a start's own
  int64_t weight_stride = 0;  // from start to start

  const T* weights_of(std::size_t start) const { return weight + static_cast<int64_t>(start) * weight_stride; }
};

struct Slice {
  int64_t n_steps = 0;
  std::vector<double> loss_sum, weight_sum, penalty_sum, gradient_norm;  // (K,)
  std::vector<int64_t> diverged_step;                                    // (K,), -1 where all is well
};

// A descent under way: K networks' parameters and the rule's state. The data are borrowed.
template <class T>
class Session {
 public:
  Session(const Plan& plan, const T* parameters, const Data<T>& data, int threads);  // parameters: (K, P)
  Session(Session&&) noexcept;
  ~Session();

  // Take one step for each factor of the starts' learning rates, or as many as fit in some seconds. A step that many
  // rows make long may be left half done; the next call, given its factor again, goes on with it. The slice's sums of
  // losses, weights and penalties go on from `sums`, (3, K), or from 0: so they do not depend on where a slice ends.
  Slice run(std::span<const double> factors, double seconds, std::span<const double> sums = {});
  void read_parameters(T* parameters) const;  // (K, P)

  // From the next step on, these rows of the data in this order, epoch after epoch.
  void visit(std::span<const int64_t> rows);
  // What the rule remembers: the moments, (n_moments, K, P); gives the number of steps taken. Another session of the
  // same plan goes on from there, told besides which starts have diverged and their last norms, as in a slice.
  int64_t read_state(std::span<T> moments) const;
  void resume(int64_t step, std::span<const T> moments, std::span<const int64_t> diverged_step,
              std::span<const double> gradient_norm);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

int64_t n_parameters(const Shape& shape);

// A (n, n_out): the output for rows X (n, n_in) of one network; false, and A is worth nothing, where a number of X is
// not finite or a code is none.
template <class T>
bool predict(const Shape& shape, const T* parameters, const T* X, int64_t n, T* A, int threads);

// Weighted mean loss of one network, without penalties and dropout.
template <class T>
double mean_loss(const Plan& plan, const T* parameters, const Data<T>& data, int threads);

// Mean losses as above at origin + a[i] u + b[j] v, all of them blocks of parameters: losses (a.size(), b.size()).
template <class T>
void loss_surface(const Plan& plan, const T* origin, const T* u, const T* v, std::span<const double> a,
                  std::span<const double> b, const Data<T>& data, double* losses, int threads);

// Loss, penalties included, and gradient (P,), all rows in one batch; penalties are those of the plan's first start,
// dropout masks those of the step and that start.
template <class T>
double gradient(const Plan& plan, const T* parameters, const Data<T>& data, int64_t step, T* gradient, int threads);

// Operations a second, two for a multiply-add, of float numbers in registers alone: what the hardware allows.
double fma_peak(int threads, double seconds);

// Instruction sets that this build has and this processor runs, worst first; and the one in use.
std::vector<std::string> instruction_sets();
std::string instruction_set();
bool has_bf16();  // whether it multiplies bf16
// Use another one from now on (sessions under way keep theirs); std::invalid_argument if it is not in the list.
void use_instruction_set(const std::string& name);

}  // namespace fallline
