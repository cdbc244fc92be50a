// The narrow waist: all that the bindings and the C++ tests know of the compiled core.
// Letters are those of docs/notation.md. `threads`, 1 or more, never changes a result. Blocks of parameters are flat: W
// row by row, then b, layer after layer.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
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
  double dropout = 0;  // share of this layer's neurons that are dropped
};

struct Loss {
  LossKind kind;
  double delta = 1;               // huber
  std::vector<double> quantiles;  // quantile
};

struct StepRule {
  Rule rule;
  double beta1 = 0;  // momentum; Adam's beta1
  double beta2 = 0;  // RMSprop's rho; Adam's beta2
  double epsilon = 0;
};

// One start of a descent, and what may differ from start to start.
struct Start {
  int64_t number;  // what its dropout masks depend on
  double learning_rate, weight_decay = 0, l1 = 0, l2 = 0;
};

struct Plan {
  std::vector<Layer> layers;
  Loss loss;
  StepRule rule;
  int64_t batch_size = 1;
  bool shuffle = true;
  uint64_t seed = 0;
  std::vector<Start> starts;  // K of them
  double clip_norm = 0;       // 0: no clipping
  bool bf16 = false;          // products, while training, of operands rounded to bf16; float only
};

template <class T>
struct Data {
  int64_t n, n_targets;
  const T* X;       // (n, n_in)
  const T* Y;       // (n, n_targets)
  const T* weight;  // (n,)
};

struct Slice {
  int64_t n_steps = 0;
  double weight_sum = 0;
  std::vector<double> loss_sum, gradient_norm;  // (K,)
  std::vector<int64_t> diverged_step;           // (K,), -1 where all is well
};

// A descent under way: K networks' parameters and the rule's state. The data are borrowed.
template <class T>
class Session {
 public:
  Session(const Plan& plan, const T* parameters, const Data<T>& data, int threads);  // parameters: (K, P)
  Session(Session&&) noexcept;
  ~Session();

  // Take one step for each factor of the starts' learning rates, or as many as fit in some seconds. A step that many
  // rows make long may be left half done; the next call, given its factor again, goes on with it.
  Slice run(std::span<const double> factors, double seconds);
  void read_parameters(T* parameters) const;  // (K, P)

 private:
  struct State;
  std::unique_ptr<State> state_;
};

int64_t n_parameters(const std::vector<Layer>& layers);

// A (n, n_out): the output for rows X (n, n_in) of one network; false, and A is worth nothing, where a number of X is
// not finite.
template <class T>
bool predict(const std::vector<Layer>& layers, const T* parameters, const T* X, int64_t n, T* A, int threads);

// Weighted mean loss of one network, without penalties and dropout.
template <class T>
double mean_loss(const Plan& plan, const T* parameters, const Data<T>& data, int threads);

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
