// What Python sees of the compiled core: conversions and checks, no arithmetic. The GIL is released while it computes.
#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <tuple>

#ifdef _WIN32
#include <io.h>
#else
#include <unistd.h>
#endif

#include "api.hpp"
#include "core/philox.hpp"

namespace nb = nanobind;
using namespace nb::literals;

namespace {

using fallline::Activation;
using fallline::Data;
using fallline::Inputs;
using fallline::Layer;
using fallline::LossKind;
using fallline::Plan;
using fallline::Rule;
using fallline::Session;
using fallline::Shape;
using fallline::Slice;
using fallline::Start;

template <class T, class Shape>
using In = nb::ndarray<const T, Shape, nb::c_contig, nb::device::cpu>;
template <class T, class Shape>
using Out = nb::ndarray<T, Shape, nb::c_contig, nb::device::cpu>;
using Row = nb::ndim<1>;
using Matrix = nb::ndim<2>;

// The position of a name in a list of names is the value of its enumerator.
template <class Enum, std::size_t N>
Enum parse(const char* what, const char* const (&names)[N], const std::string& name) {
  for (std::size_t i = 0; i < N; ++i)
    if (name == names[i]) return static_cast<Enum>(i);
  throw std::invalid_argument(std::string("the compiled core has no ") + what + " '" + name + "'");
}

constexpr const char* activation_names[] = {"identity", "sigmoid", "tanh", "relu", "leaky_relu", "elu",
                                            "selu",     "gelu",    "silu", "mish", "softplus",   "softmax"};
constexpr const char* loss_names[] = {
    "squared_error", "quadratic", "absolute_error",       "huber",
    "poisson",       "quantile",  "binary_cross_entropy", "categorical_cross_entropy"};
constexpr const char* rule_names[] = {"sgd", "momentum", "nesterov", "rmsprop", "adam"};

void require(bool condition, const char* message) {
  if (!condition) throw std::invalid_argument(message);
}

// n_in, n_out, activation, dropout, rate, bias_rate
using LayerTuple = std::tuple<int64_t, int64_t, std::string, double, double, double>;
// embedded, plain, frequencies, size, (levels, size) of each table, rate, scale_rate
using InputsTuple =
    std::tuple<int64_t, int64_t, int64_t, int64_t, std::vector<std::pair<int64_t, int64_t>>, double, double>;
using StartTuple = std::tuple<int64_t, double, double, double, double>;

Shape parse_shape(const std::vector<LayerTuple>& tuples, const InputsTuple& before) {
  std::vector<Layer> layers;
  for (const auto& [n_in, n_out, activation, dropout, rate, bias_rate] : tuples)
    layers.push_back(
        {n_in, n_out, parse<Activation>("activation", activation_names, activation), dropout, rate, bias_rate});
  require(!layers.empty(), "a network has one layer or more");
  for (std::size_t l = 0; l < layers.size(); ++l) {
    const bool last = l + 1 == layers.size();
    require(layers[l].n_in > 0 && layers[l].n_out > 0, "layers have one neuron or more");
    require(last || layers[l].n_out == layers[l + 1].n_in, "a layer takes as many numbers as the one before gives");
    require(last || layers[l].activation != Activation::softmax, "softmax is for the last layer");
  }
  const auto& [embedded, plain, frequencies, size, tables, rate, scale_rate] = before;
  Inputs inputs{embedded, plain, frequencies, size, {}, rate, scale_rate};
  require(embedded >= 0 && plain >= 0 && frequencies >= 0 && size > 0, "inputs have no numbers below 0");
  for (const auto& [levels, width] : tables) {
    require(levels > 0 && width > 0, "a table has one row or more, of one number or more");
    inputs.tables.push_back({levels, width});
  }
  require(inputs.n_in() == 0 || inputs.n_out() == layers.front().n_in, "the first layer takes what the inputs give");
  return Shape(std::move(layers), std::move(inputs));
}

template <class T>
Data<T> checked(const Plan& plan, const In<T, Matrix>& X, const In<T, Matrix>& Y, const T* weight,
                std::size_t n_weights) {
  require(static_cast<int64_t>(X.shape(1)) == plan.n_in(), "X does not have the network's n_in columns");
  require(X.shape(0) > 0, "there must be one row or more");
  require(Y.shape(0) == X.shape(0) && n_weights == X.shape(0), "X, Y and weight differ in their rows");
  const int64_t n_targets = static_cast<int64_t>(Y.shape(1));
  const int64_t per_target =
      plan.loss.kind == LossKind::quantile ? static_cast<int64_t>(plan.loss.quantiles.size()) : 1;
  require(n_targets * per_target == plan.layers.back().n_out, "Y does not have the network's targets as columns");
  return {static_cast<int64_t>(X.shape(0)), n_targets, X.data(), Y.data(), weight};
}

template <class T>
void check_parameters(const Shape& shape, const T& parameters, std::size_t axis) {
  require(static_cast<int64_t>(parameters.shape(axis)) == fallline::n_parameters(shape),
          "the block of parameters does not have the network's size");
}

void check_threads(int threads) { require(threads >= 1, "threads must be 1 or more"); }

// A shape, parsed once, so that a call for a single row parses nothing.
template <class T>
struct Predictor {
  Predictor(const std::vector<LayerTuple>& layers, const InputsTuple& inputs)
      : shape(parse_shape(layers, inputs)), n_parameters(fallline::n_parameters(shape)) {}

  const Shape shape;
  const int64_t n_parameters;
};

// Sessions, predictors and functions for one type of number.
template <class T>
void bind(nb::module_& m, const char* session_name, const char* predictor_name) {
  nb::class_<Session<T>>(m, session_name)
      .def(
          "__init__",
          [](Session<T>* self, const Plan& plan, In<T, Matrix> parameters, In<T, Matrix> X, In<T, Matrix> Y,
             In<T, Matrix> weight, int threads) {
            check_parameters(plan, parameters, 1);
            check_threads(threads);
            require(parameters.shape(0) == plan.starts.size(), "there must be one block of parameters for each start");
            require(weight.shape(0) == 1 || weight.shape(0) == plan.starts.size(),
                    "weight must have one row, or one for each start");
            Data<T> data = checked<T>(plan, X, Y, weight.data(), weight.shape(1));
            if (weight.shape(0) > 1) data.weight_stride = data.n;
            const nb::gil_scoped_release released;
            new (self) Session<T>(plan, parameters.data(), data, threads);
          },
          "plan"_a, "parameters"_a.noconvert(), "X"_a.noconvert(), "Y"_a.noconvert(), "weight"_a.noconvert(),
          "threads"_a,
          // the data are borrowed: they live as long as the session
          nb::keep_alive<1, 4>(), nb::keep_alive<1, 5>(), nb::keep_alive<1, 6>())
      .def(
          "run",
          [](Session<T>& self, In<double, Row> factors, double seconds, In<double, Row> sums) {
            return self.run({factors.data(), factors.shape(0)}, seconds, {sums.data(), sums.shape(0)});
          },
          "factors"_a.noconvert(), "seconds"_a, "sums"_a.noconvert(), nb::call_guard<nb::gil_scoped_release>())
      .def(
          "read_parameters", [](const Session<T>& self, Out<T, Matrix> out) { self.read_parameters(out.data()); },
          "out"_a.noconvert(), nb::call_guard<nb::gil_scoped_release>())
      .def(
          "visit", [](Session<T>& self, In<int64_t, Row> rows) { self.visit({rows.data(), rows.shape(0)}); },
          "rows"_a.noconvert(), nb::call_guard<nb::gil_scoped_release>())
      .def(
          "read_state",
          [](const Session<T>& self, Out<T, Row> moments) {
            return self.read_state({moments.data(), moments.shape(0)});
          },
          "moments"_a.noconvert(), nb::call_guard<nb::gil_scoped_release>())
      .def(
          "resume",
          [](Session<T>& self, int64_t step, In<T, Row> moments, In<int64_t, Row> diverged_step,
             In<double, Row> gradient_norm) {
            self.resume(step, {moments.data(), moments.shape(0)}, {diverged_step.data(), diverged_step.shape(0)},
                        {gradient_norm.data(), gradient_norm.shape(0)});
          },
          "step"_a, "moments"_a.noconvert(), "diverged_step"_a.noconvert(), "gradient_norm"_a.noconvert(),
          nb::call_guard<nb::gil_scoped_release>());

  nb::class_<Predictor<T>>(m, predictor_name)
      .def(nb::init<const std::vector<LayerTuple>&, const InputsTuple&>(), "layers"_a, "inputs"_a)
      .def(
          "__call__",
          [](const Predictor<T>& self, In<T, Row> parameters, nb::handle X, Out<T, Matrix> out, int threads) {
            In<T, Matrix> rows;
            if (!nb::try_cast(X, rows, false)) return false;
            const int64_t n = static_cast<int64_t>(rows.shape(0)), n_in = static_cast<int64_t>(rows.shape(1));
            if (n_in != self.shape.n_in()) return false;
            require(static_cast<int64_t>(parameters.shape(0)) == self.n_parameters,
                    "the block of parameters does not have the network's size");
            require(
                out.shape(0) == rows.shape(0) && static_cast<int64_t>(out.shape(1)) == self.shape.layers.back().n_out,
                "out must have shape (n, n_out)");
            check_threads(threads);
            const nb::gil_scoped_release released;
            return fallline::predict(self.shape, parameters.data(), rows.data(), n, out.data(), threads);
          },
          "parameters"_a.noconvert(), "X"_a, "out"_a.noconvert(), "threads"_a);

  m.def(
      "mean_loss",
      [](const Plan& plan, In<T, Row> parameters, In<T, Matrix> X, In<T, Matrix> Y, In<T, Row> weight, int threads) {
        check_parameters(plan, parameters, 0);
        check_threads(threads);
        const Data<T> data = checked<T>(plan, X, Y, weight.data(), weight.shape(0));
        const nb::gil_scoped_release released;
        return fallline::mean_loss(plan, parameters.data(), data, threads);
      },
      "plan"_a, "parameters"_a.noconvert(), "X"_a.noconvert(), "Y"_a.noconvert(), "weight"_a.noconvert(), "threads"_a);

  m.def(
      "loss_surface",
      [](const Plan& plan, In<T, Row> origin, In<T, Row> u, In<T, Row> v, In<double, Row> a, In<double, Row> b,
         In<T, Matrix> X, In<T, Matrix> Y, In<T, Row> weight, Out<double, Matrix> out, int threads) {
        for (const In<T, Row>& block : {origin, u, v}) check_parameters(plan, block, 0);
        check_threads(threads);
        require(out.shape(0) == a.shape(0) && out.shape(1) == b.shape(0), "out must have shape (n_a, n_b)");
        const Data<T> data = checked<T>(plan, X, Y, weight.data(), weight.shape(0));
        const nb::gil_scoped_release released;
        fallline::loss_surface<T>(plan, origin.data(), u.data(), v.data(), {a.data(), a.shape(0)},
                                  {b.data(), b.shape(0)}, data, out.data(), threads);
      },
      "plan"_a, "origin"_a.noconvert(), "u"_a.noconvert(), "v"_a.noconvert(), "a"_a.noconvert(), "b"_a.noconvert(),
      "X"_a.noconvert(), "Y"_a.noconvert(), "weight"_a.noconvert(), "out"_a.noconvert(), "threads"_a);

  m.def(
      "gradient",
      [](const Plan& plan, In<T, Row> parameters, In<T, Matrix> X, In<T, Matrix> Y, In<T, Row> weight, int64_t step,
         Out<T, Row> out, int threads) {
        check_parameters(plan, parameters, 0);
        check_parameters(plan, out, 0);
        check_threads(threads);
        const Data<T> data = checked<T>(plan, X, Y, weight.data(), weight.shape(0));
        const nb::gil_scoped_release released;
        return fallline::gradient(plan, parameters.data(), data, step, out.data(), threads);
      },
      "plan"_a, "parameters"_a.noconvert(), "X"_a.noconvert(), "Y"_a.noconvert(), "weight"_a.noconvert(), "step"_a,
      "out"_a.noconvert(), "threads"_a);
}

// What a process says when a library in it aborts, as JAX does where the process that coordinates is lost: no exception
// tells of that, and Python hears of it too late.
struct LastWords {
  std::string text;
  int descriptor = 2, status = 1;
};

LastWords& last_words() {
  static LastWords words;
  return words;
}

extern "C" void say_last_words(int) {
  const LastWords& words = last_words();
  [[maybe_unused]] const auto n = write(words.descriptor, words.text.data(), static_cast<unsigned>(words.text.size()));
  std::_Exit(words.status);
}

}  // namespace

NB_MODULE(_core, m) {
  m.doc() = "The compiled core of fallline; fallline.network predicts with it, fallline.engines.native trains.";

  nb::class_<Plan>(m, "Plan").def(
      "__init__",
      [](Plan* self, const std::vector<LayerTuple>& layers, const InputsTuple& inputs, const std::string& loss,
         double delta, std::vector<double> quantiles, const std::string& rule, double beta1, double beta2,
         double epsilon, bool epsilon_hat, double ceiling, int64_t batch_size, bool shuffle, uint64_t seed,
         const std::vector<StartTuple>& tuples, double clip_norm, bool bf16, bool penalties_per_row) {
        require(batch_size > 0, "batch_size must be 1 or more");
        require(!tuples.empty(), "there must be one start or more");
        Plan plan;
        static_cast<Shape&>(plan) = parse_shape(layers, inputs);
        plan.loss = {parse<LossKind>("loss", loss_names, loss), delta, std::move(quantiles), ceiling};
        plan.rule = {parse<Rule>("step rule", rule_names, rule), beta1, beta2, epsilon, epsilon_hat};
        plan.batch_size = batch_size;
        plan.shuffle = shuffle;
        plan.seed = seed;
        for (const auto& [number, learning_rate, weight_decay, l1, l2] : tuples)
          plan.starts.push_back({number, learning_rate, weight_decay, l1, l2});
        plan.clip_norm = clip_norm;
        plan.bf16 = bf16;
        plan.penalties_per_row = penalties_per_row;
        new (self) Plan(std::move(plan));
      },
      nb::kw_only(), "layers"_a, "inputs"_a, "loss"_a, "delta"_a, "quantiles"_a, "rule"_a, "beta1"_a, "beta2"_a,
      "epsilon"_a, "epsilon_hat"_a, "ceiling"_a, "batch_size"_a, "shuffle"_a, "seed"_a, "starts"_a, "clip_norm"_a,
      "bf16"_a, "penalties_per_row"_a);

  nb::class_<Slice>(m, "Slice")
      .def_ro("n_steps", &Slice::n_steps)
      .def_ro("loss_sum", &Slice::loss_sum)
      .def_ro("weight_sum", &Slice::weight_sum)
      .def_ro("penalty_sum", &Slice::penalty_sum)
      .def_ro("gradient_norm", &Slice::gradient_norm)
      .def_ro("diverged_step", &Slice::diverged_step);

  bind<float>(m, "SessionFloat32", "PredictorFloat32");
  bind<double>(m, "SessionFloat64", "PredictorFloat64");

  m.def(
      "row_order",
      [](uint64_t seed, int64_t epoch, Out<int64_t, Row> out) {
        const nb::gil_scoped_release released;
        fallline::row_order(seed, epoch, static_cast<int64_t>(out.shape(0)), out.data());
      },
      "seed"_a, "epoch"_a, "out"_a.noconvert());
  m.def(
      "last_words",
      [](const std::string& text, int descriptor, int status) {
        std::signal(SIGABRT, SIG_DFL);
        last_words() = {text, descriptor, status};
        if (!text.empty()) std::signal(SIGABRT, say_last_words);
      },
      "text"_a, "descriptor"_a, "status"_a);
  m.def("fma_peak", &fallline::fma_peak, "threads"_a, "seconds"_a, nb::call_guard<nb::gil_scoped_release>());
  m.def("instruction_sets", &fallline::instruction_sets);
  m.def("instruction_set", &fallline::instruction_set);
  m.def("has_bf16", &fallline::has_bf16);
  m.def("use_instruction_set", &fallline::use_instruction_set, "name"_a);
}
