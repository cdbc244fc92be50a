// The products of a layer: exact on small whole numbers, whatever the sizes; one order of sums; nothing read or written
// where contract.md says that nothing is.
#include "tests/support.hpp"

namespace fallline::test {
namespace {

// A matrix in panels, with rows to spare above and below those that are used, and a cache line beyond each panel.
// Everything is NaN at first; what is not the matrix's own must still be there afterwards.
template <class T>
struct Matrix {
  static constexpr int64_t N = panel<T>, above = 2, below = 3;

  Matrix(int64_t n_rows, int64_t n_columns)
      : rows(n_rows),
        columns(n_columns),
        stride((above + n_rows + below) * N),
        room(panels<T>(n_columns) * stride + N) {
    for (int64_t i = 0; i < room.size(); ++i) room[i] = nan_of<T>;
  }

  T& operator()(int64_t r, int64_t j) { return room[j / N * stride + (above + r) * N + j % N]; }
  Panels<T> view() { return {room.data() + above * N, stride}; }

  template <class Fill>
  void fill(Fill with) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = 0; j < columns; ++j) (*this)(r, j) = static_cast<T>(with());
  }
  void set_padding(T value) {
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t j = columns; j < padded<T>(columns); ++j) (*this)(r, j) = value;
  }
  bool intact() {
    bool fine = true;
    for (int64_t p = 0; p < panels<T>(columns); ++p)
      for (int64_t r = -above; r < rows + below; ++r)
        if (r < 0 || r >= rows)
          for (int64_t j = 0; j < N; ++j) fine &= std::isnan((*this)(r, p * N + j));
    return fine;
  }

  int64_t rows, columns, stride;
  Buffer<T> room;
};

// W as a layer holds it: panels without room to spare, padding zero.
template <class T>
struct Weights : Matrix<T> {
  using Matrix<T>::N;
  Weights(int64_t n_in, int64_t n_out) : Matrix<T>(0, 0), n_in(n_in), packed(panels<T>(n_out) * n_in * N) {
    this->columns = n_out;
  }
  T& operator()(int64_t i, int64_t j) { return packed[j / N * n_in * N + i * N + j % N]; }
  template <class Fill>
  void fill(Fill with) {
    for (int64_t i = 0; i < n_in; ++i)
      for (int64_t j = 0; j < this->columns; ++j) (*this)(i, j) = static_cast<T>(with());
  }
  Panels<T> view() { return {packed.data(), n_in * N}; }
  int64_t n_in;
  Guarded<T> packed;
};

const std::vector<int64_t> heights = {0, 1, 2, 5, 6, 7, 11, 12, 13, 24, 25};
const std::vector<int64_t> widths = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 50};

template <class T>
struct Layer1 {  // one layer with small whole numbers everywhere
  Layer1(int64_t n, int64_t n_in, int64_t n_out, Dice& dice)
      : A_prev(n, n_in), dZ(n, n_out), Z(n, n_out), dZ_prev(n, n_in), W(n_in, n_out), b(padded<T>(n_out)) {
    const auto digit = [&] { return dice.whole(-4, 4); };
    A_prev.fill(digit);
    dZ.fill(digit);
    dZ.set_padding(T(0));
    for (int64_t i = 0; i < padded<T>(n_out) * n_in; ++i) W.packed[i] = T(0);
    W.fill(digit);
    for (int64_t j = 0; j < padded<T>(n_out); ++j) b[j] = j < n_out ? T(digit()) : T(0);
  }
  Matrix<T> A_prev, dZ, Z, dZ_prev;
  Weights<T> W;
  Buffer<T> b;
};

StepArgs<float> plain_step(float) { return {0.25f, 0.5f, 0.5f, 1, 0.5f, 0.5f, 1, 1, 1, false, 0, 0}; }
StepArgs<double> plain_step(double) { return {0.25, 0.5, 0.5, 1, 0.5, 0.5, 1, 1, 1, false, 0, 0}; }

}  // namespace

TEST_BOTH(forward_is_exact) {
  Dice dice(1);
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t n : heights)
      for (const int64_t n_in : {int64_t(1), int64_t(8), int64_t(17), int64_t(33), int64_t(500)})
        for (const int64_t n_out : widths) {
          Layer1<T> at(n, n_in, n_out, dice);
          const bool relu = (n + n_in + n_out) % 2;
          kernels->forward({n, n_in, n_out, at.A_prev.view(), at.W.view(), at.b.data(), at.Z.view(), at.Z.view(),
                            relu ? kernels->activate[static_cast<int>(Activation::relu)] : nullptr});
          bool right = true;
          for (int64_t r = 0; r < n; ++r)
            for (int64_t j = 0; j < n_out; ++j) {
              T sum = at.b[j];
              for (int64_t i = 0; i < n_in; ++i) sum += at.A_prev(r, i) * at.W(i, j);
              right &= at.Z(r, j) == (relu && sum < 0 ? T(0) : sum);
            }
          CHECK(right && at.Z.intact(), "%s: n=%ld n_in=%ld n_out=%ld", kernels->instruction_set, long(n), long(n_in),
                long(n_out));
        }
}

// dZ_prev = (dZ W^T) * mask * f'(Z_prev); its padding columns are zero, as the next product needs them.
TEST_BOTH(backward_is_exact) {
  Dice dice(2);
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t n : heights)
      for (const int64_t n_in : widths)
        for (const int64_t n_out : {int64_t(1), int64_t(8), int64_t(17), int64_t(33), int64_t(500)}) {
          Layer1<T> at(n, n_in, n_out, dice);
          at.A_prev.set_padding(T(0));
          Matrix<T> mask(n, n_in);
          mask.fill([&] { return 2 * dice.whole(0, 1); });
          mask.set_padding(T(0));
          at.dZ.set_padding(nan_of<T>);  // k runs over the outputs that there are
          const bool drops = (n + n_in + n_out) % 2;
          Guarded<T> scratch(kernels->backward_scratch);
          kernels->backward({n, n_in, n_out, at.dZ.view(), at.W.view(), drops ? mask.view() : Panels<T>{nullptr, 0},
                             at.A_prev.view(), at.A_prev.view(), at.dZ_prev.view(),
                             kernels->derive[static_cast<int>(Activation::relu)], scratch.data()});
          bool right = true;
          for (int64_t r = 0; r < n; ++r)
            for (int64_t i = 0; i < padded<T>(n_in); ++i) {
              T sum = 0;
              for (int64_t j = 0; i < n_in && j < n_out; ++j) sum += at.dZ(r, j) * at.W(i, j);
              if (i < n_in) sum *= (drops ? mask(r, i) : T(1)) * T(at.A_prev(r, i) > 0);
              right &= at.dZ_prev(r, i) == sum;
            }
          CHECK(right && at.dZ_prev.intact() && scratch.intact() && at.W.packed.intact(),
                "%s: n=%ld n_in=%ld n_out=%ld", kernels->instruction_set, long(n), long(n_in), long(n_out));
        }
}

// dW = A_prev^T dZ; in parts, together, and with the step taken at once.
TEST_BOTH(gradient_is_exact_in_any_number_of_parts) {
  Dice dice(3);
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t n : {int64_t(1), int64_t(2), int64_t(13), int64_t(500)})
      for (const int64_t n_in : widths)
        for (const int64_t n_out : widths)
          for (const int parts : {1, 2, 3, 7}) {
            if (n == 500 && (n_in + n_out) % 3) continue;  // enough of them
            Layer1<T> at(n, n_in, n_out, dice);
            at.A_prev.set_padding(nan_of<T>);
            Weights<T> dW(n_in, n_out), before(n_in, n_out);
            std::copy_n(at.W.packed.data(), padded<T>(n_out) * n_in, before.packed.data());
            const StepArgs<T> step = plain_step(T(0));
            Gradient<T> call{n,
                             n_in,
                             n_out,
                             0,
                             parts,
                             at.A_prev.view(),
                             at.dZ.view(),
                             dW.packed.data(),
                             n_in * panel<T>,
                             at.W.packed.data(),
                             nullptr,
                             nullptr,
                             &step,
                             nullptr};
            for (call.part = 0; call.part < parts; ++call.part) kernels->gradient(call);
            bool right = true;
            std::vector<T> truth;
            for (int64_t i = 0; i < n_in; ++i)
              for (int64_t j = 0; j < padded<T>(n_out); ++j) {
                T sum = 0;
                for (int64_t r = 0; r < n && j < n_out; ++r) sum += at.A_prev(r, i) * at.dZ(r, j);
                right &= dW(i, j) == sum;
                truth.push_back(sum);
              }
            CHECK(right && dW.packed.intact(), "%s: n=%ld n_in=%ld n_out=%ld parts=%d", kernels->instruction_set,
                  long(n), long(n_in), long(n_out), parts);
            std::vector<double> squares(std::size_t(panels<T>(n_in) * panels<T>(n_out)));
            call.squares = squares.data();
            for (call.part = 0; call.part < parts; ++call.part) kernels->descend[static_cast<int>(Rule::sgd)](call);
            double length = 0, wanted = 0;
            for (const double part : squares) length += part;
            for (const T g : truth) wanted += double(g) * double(g);
            right = length == wanted;
            std::size_t k = 0;
            for (int64_t i = 0; i < n_in; ++i)
              for (int64_t j = 0; j < padded<T>(n_out); ++j) right &= at.W(i, j) == before(i, j) - T(0.25) * truth[k++];
            CHECK(right && at.W.packed.intact(), "%s: n=%ld n_in=%ld n_out=%ld parts=%d", kernels->instruction_set,
                  long(n), long(n_in), long(n_out), parts);
          }
}

// Every rule moves as its own pass over the same gradient would, to the same bits, moments, decay and penalties
// included.
TEST_BOTH(fused_steps_are_the_steps) {
  constexpr int64_t n = 21, n_in = 37, n_out = 2 * panel<T> + 3, size = 3 * panel<T> * n_in;
  for (const Kernels<T>* kernels : tables<T>())
    for (int rule = 0; rule < n_rules; ++rule) {
      Dice dice(4);
      Layer1<T> at(n, n_in, n_out, dice);
      for (Matrix<T>* matrix : {&at.A_prev, &at.dZ}) matrix->fill([&] { return dice.between(-1, 1); });
      at.W.fill([&] { return dice.between(-1, 1); });
      StepArgs<T> step = plain_step(T(0));
      step.shrink = T(0.7);
      step.penalized = true;
      step.l1 = T(0.3);
      step.l2 = T(0.1);
      Buffer<T> dW(size), m(size), v(size), m2(size), v2(size), W2(size);
      for (int64_t i = 0; i < size; ++i) m[i] = m2[i] = v[i] = v2[i] = at.W.packed[i] != 0 ? T(1) : T(0);
      std::copy_n(at.W.packed.data(), size, W2.data());
      Gradient<T> call{n,
                       n_in,
                       n_out,
                       0,
                       1,
                       at.A_prev.view(),
                       at.dZ.view(),
                       dW.data(),
                       n_in * panel<T>,
                       at.W.packed.data(),
                       m.data(),
                       v.data(),
                       &step,
                       nullptr};
      kernels->gradient(call);
      kernels->step[rule](size, W2.data(), dW.data(), m2.data(), v2.data(), step);
      kernels->descend[rule](call);
      bool same = true, moved = false;
      for (int64_t i = 0; i < size; ++i) {
        same &= same_bits<T>(W2[i], at.W.packed[i]) && same_bits<T>(m[i], m2[i]) && same_bits<T>(v[i], v2[i]);
        moved |= W2[i] != 0;
      }
      CHECK(moved && same, "%s, rule %d", kernels->instruction_set, rule);
    }
}

// Sums run from k = 0 upwards in one accumulator, with or without contraction; hence an element has the same bits
// wherever it stands in a tile, in whichever block of k, and however many rows there are.
TEST_BOTH(products_sum_in_one_order) {
  constexpr int64_t n = 29, n_in = 531, n_out = 3 * panel<T>;
  for (const Kernels<T>* kernels : tables<T>()) {
    Dice dice(5);
    Layer1<T> at(n, n_in, n_out, dice);
    at.A_prev.fill([&] { return dice.between(-1, 1); });
    at.W.fill([&] { return dice.between(-1, 1); });
    Forward<T> call{n, n_in, n_out, at.A_prev.view(), at.W.view(), at.b.data(), at.Z.view(), at.Z.view(), nullptr};
    kernels->forward(call);
    bool fused = true, unfused = true;
    for (int64_t r = 0; r < n; ++r)
      for (int64_t j = 0; j < n_out; ++j) {
        T one = at.b[j];
        volatile T two = one, product;  // volatile: contracted by nobody
        for (int64_t i = 0; i < n_in; ++i) {
          one = std::fma(at.A_prev(r, i), at.W(i, j), one);
          product = at.A_prev(r, i) * at.W(i, j);
          two = two + product;
        }
        fused &= same_bits<T>(at.Z(r, j), one);
        unfused &= same_bits<T>(at.Z(r, j), two);
      }
    CHECK(fused || unfused, "%s", kernels->instruction_set);
    if (figures) std::printf("  products of %s: %s\n", kernels->instruction_set, fused ? "fused" : "two roundings");

    Matrix<T> part(n, n_out);
    for (int64_t rows = 1; rows <= n; ++rows)
      for (int64_t first = 0; first + rows <= n; first += 1 + rows / 3) {
        call.n = rows;
        call.A_prev = Panels<const T>(at.A_prev.view()).from_row(first);
        call.Z = call.A = part.view();
        kernels->forward(call);
        bool same = true;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t j = 0; j < n_out; ++j) same &= same_bits<T>(part(r, j), at.Z(first + r, j));
        CHECK(same, "%s: rows %ld to %ld", kernels->instruction_set, long(first), long(first + rows));
      }
  }
}

TEST_BOTH(products_carry_nan_and_infinity) {
  const T infinity = std::numeric_limits<T>::infinity();
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t place : {0, 4, 8}) {
      Dice dice(6);
      Layer1<T> at(14, 9, 2, dice);
      at.A_prev.fill([] { return 1; });
      at.W.fill([] { return 1; });
      at.b[0] = at.b[1] = 1;
      at.A_prev(3, place) = nan_of<T>;
      at.A_prev(5, place) = infinity;
      at.W(place, 1) = T(0);
      kernels->forward({14, 9, 2, at.A_prev.view(), at.W.view(), at.b.data(), at.Z.view(), at.Z.view(), nullptr});
      const bool right = std::isnan(at.Z(3, 0)) && std::isnan(at.Z(3, 1)) && at.Z(5, 0) == infinity &&
                         std::isnan(at.Z(5, 1)) && at.Z(4, 0) == 10 && at.Z(4, 1) == 9;
      CHECK(right, "%s: place %ld", kernels->instruction_set, long(place));
    }
}

TEST_BOTH(column_sums_are_exact) {
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t n : {0, 1, 2, 3, 12, 13, 33})
      for (const int64_t n_panels : {0, 1, 2, 3, 4, 5, 9}) {
        const int64_t width = n_panels * panel<T>;
        Dice dice(7);
        Matrix<T> dZ(n, width);
        dZ.fill([&] { return dice.whole(-9, 9); });
        Guarded<T> sums(width);
        kernels->column_sums(n, n_panels, dZ.view(), sums.data());
        bool right = sums.intact();
        for (int64_t j = 0; j < width; ++j) {
          T sum = 0;
          for (int64_t r = 0; r < n; ++r) sum += dZ(r, j);
          right &= sums[j] == sum;
        }
        CHECK(right, "%s: n=%ld panels=%ld", kernels->instruction_set, long(n), long(n_panels));
      }
}

}  // namespace fallline::test
