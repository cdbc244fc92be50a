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
struct Weights {
  static constexpr int64_t N = panel<T>;
  Weights(int64_t inputs, int64_t outputs, bool lies_turned)
      : n_in(inputs), n_out(outputs), turned(lies_turned), packed(panels<T>(columns()) * rows() * N) {
    for (int64_t i = 0; i < size(); ++i) packed[i] = T(0);
  }
  int64_t rows() const { return turned ? n_out : n_in; }
  int64_t columns() const { return turned ? n_in : n_out; }
  int64_t size() const { return padded<T>(columns()) * rows(); }
  int64_t stride() const { return rows() * N; }
  T& operator()(int64_t i, int64_t j) {
    const int64_t row = turned ? j : i, column = turned ? i : j;
    return packed[column / N * stride() + row * N + column % N];
  }
  template <class Fill>
  void fill(Fill with) {
    for (int64_t i = 0; i < n_in; ++i)
      for (int64_t j = 0; j < n_out; ++j) (*this)(i, j) = static_cast<T>(with());
  }
  bool padding_is_zero() {
    bool zero = true;
    for (int64_t row = 0; row < rows(); ++row)
      for (int64_t column = columns(); column < padded<T>(columns()); ++column)
        zero &= packed.data()[column / N * stride() + row * N + column % N] == 0;
    return zero;
  }
  Panels<T> view() { return {packed.data(), stride()}; }
  int64_t n_in, n_out;
  bool turned;
  Guarded<T> packed;
};

const std::vector<int64_t> heights = {0, 1, 2, 5, 6, 7, 11, 12, 13, 24, 25};
const std::vector<int64_t> widths = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 50};
const std::vector<int64_t> inputs = {1, 2, 7, 8, 9, 15, 16, 17, 31, 33, 50, 113, 257};  // more than a group of panels

// The products of every table, in each arithmetic and for each way in which W may lie.
template <class T>
struct Variant {
  const Kernels<T>* kernels;
  const Products<T>* products;
  std::string name;
  bool turned, bf16;
  bool takes(int64_t n_out) const { return !turned || n_out <= most_turned<T>; }
};
template <class T>
std::vector<Variant<T>> variants() {
  std::vector<Variant<T>> all;
  for (const Kernels<T>* kernels : tables<T>()) {
    const std::string set = kernels->instruction_set;
    all.push_back({kernels, &kernels->straight, set, false, false});
    all.push_back({kernels, &kernels->turned, set + ", turned", true, false});
    if (kernels->bf16.forward) all.push_back({kernels, &kernels->bf16, set + ", bf16", false, true});
  }
  return all;
}

template <class T>
struct Layer1 {  // one layer with small whole numbers everywhere
  Layer1(int64_t n, int64_t n_in, int64_t n_out, bool turned, Dice& dice)
      : A_prev(n, n_in), dZ(n, n_out), Z(n, n_out), dZ_prev(n, n_in), W(n_in, n_out, turned), b(padded<T>(n_out)) {
    const auto digit = [&] { return dice.whole(-4, 4); };
    A_prev.fill(digit);
    dZ.fill(digit);
    dZ.set_padding(T(0));
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
  for (const Variant<T>& variant : variants<T>())
    for (const int64_t n : heights)
      for (const int64_t n_in : {int64_t(1), int64_t(8), int64_t(17), int64_t(33), int64_t(500)})
        for (const int64_t n_out : widths) {
          if (!variant.takes(n_out)) continue;
          Layer1<T> at(n, n_in, n_out, variant.turned, dice);
          const bool relu = (n + n_in + n_out) % 2;
          Guarded<T> scratch(variant.kernels->product_scratch);
          variant.products->forward(
              {n, n_in, n_out, at.A_prev.view(), at.W.view(), at.b.data(), at.Z.view(), at.Z.view(),
               relu ? variant.kernels->activate[static_cast<int>(Activation::relu)] : nullptr, scratch.data()});
          bool right = true;
          for (int64_t r = 0; r < n; ++r)
            for (int64_t j = 0; j < n_out; ++j) {
              T sum = at.b[j];
              for (int64_t i = 0; i < n_in; ++i) sum += at.A_prev(r, i) * at.W(i, j);
              right &= at.Z(r, j) == (relu && sum < 0 ? T(0) : sum);
            }
          CHECK(right && at.Z.intact() && scratch.intact(), "%s: n=%ld n_in=%ld n_out=%ld", variant.name.c_str(),
                long(n), long(n_in), long(n_out));
        }
}

// dZ_prev = (dZ W^T) * mask * f'(Z_prev); its padding columns are zero, as the next product needs them.
TEST_BOTH(backward_is_exact) {
  Dice dice(2);
  for (const Variant<T>& variant : variants<T>())
    for (const int64_t n : heights)
      for (const int64_t n_in : widths)
        for (const int64_t n_out : {int64_t(1), int64_t(8), int64_t(17), int64_t(33), int64_t(500)}) {
          if (!variant.takes(n_out)) continue;
          Layer1<T> at(n, n_in, n_out, variant.turned, dice);
          at.A_prev.set_padding(T(0));
          Matrix<T> mask(n, n_in);
          mask.fill([&] { return 2 * dice.whole(0, 1); });
          mask.set_padding(T(0));
          at.dZ.set_padding(nan_of<T>);  // k runs over the outputs that there are
          const bool drops = (n + n_in + n_out) % 2;
          Guarded<T> scratch(variant.kernels->product_scratch);
          variant.products->backward({n, n_in, n_out, at.dZ.view(), at.W.view(),
                                      drops ? mask.view() : Panels<T>{nullptr, 0}, at.A_prev.view(), at.A_prev.view(),
                                      at.dZ_prev.view(), variant.kernels->derive[static_cast<int>(Activation::relu)],
                                      scratch.data()});
          bool right = true;
          for (int64_t r = 0; r < n; ++r)
            for (int64_t i = 0; i < padded<T>(n_in); ++i) {
              T sum = 0;
              for (int64_t j = 0; i < n_in && j < n_out; ++j) sum += at.dZ(r, j) * at.W(i, j);
              if (i < n_in) sum *= (drops ? mask(r, i) : T(1)) * T(at.A_prev(r, i) > 0);
              right &= at.dZ_prev(r, i) == sum;
            }
          CHECK(right && at.dZ_prev.intact() && scratch.intact() && at.W.packed.intact(),
                "%s: n=%ld n_in=%ld n_out=%ld", variant.name.c_str(), long(n), long(n_in), long(n_out));
        }
}

// dW = A_prev^T dZ; in parts, together, and with the step taken at once.
TEST_BOTH(gradient_is_exact_in_any_number_of_parts) {
  Dice dice(3);
  for (const Variant<T>& variant : variants<T>())
    for (const int64_t n : {int64_t(1), int64_t(2), int64_t(13), int64_t(500)})
      for (const int64_t n_in : inputs)
        for (const int64_t n_out : widths)
          for (const int parts : {1, 2, 3, 7}) {
            if (!variant.takes(n_out)) continue;
            if ((n == 500 || n_in > 50) && (n_in + n_out) % 3) continue;  // enough of them
            Layer1<T> at(n, n_in, n_out, variant.turned, dice);
            at.A_prev.set_padding(nan_of<T>);
            Weights<T> dW(n_in, n_out, variant.turned), before(n_in, n_out, variant.turned);
            dW.fill([] { return nan_of<T>; });
            std::copy_n(at.W.packed.data(), at.W.size(), before.packed.data());
            const StepArgs<T> step = plain_step(T(0));
            Guarded<T> scratch(variant.kernels->product_scratch);
            Gradient<T> call{n,
                             n_in,
                             n_out,
                             0,
                             parts,
                             at.A_prev.view(),
                             at.dZ.view(),
                             dW.packed.data(),
                             dW.stride(),
                             at.W.packed.data(),
                             nullptr,
                             nullptr,
                             &step,
                             nullptr,
                             scratch.data()};
            for (call.part = 0; call.part < parts; ++call.part) variant.products->gradient(call);
            bool right = dW.padding_is_zero();
            std::vector<T> truth;
            for (int64_t i = 0; i < n_in; ++i)
              for (int64_t j = 0; j < n_out; ++j) {
                T sum = 0;
                for (int64_t r = 0; r < n; ++r) sum += at.A_prev(r, i) * at.dZ(r, j);
                right &= dW(i, j) == sum;
                truth.push_back(sum);
              }
            CHECK(right && dW.packed.intact() && scratch.intact(), "%s: n=%ld n_in=%ld n_out=%ld parts=%d",
                  variant.name.c_str(), long(n), long(n_in), long(n_out), parts);
            std::vector<double> squares(std::size_t(panels<T>(n_in) * panels<T>(n_out)));
            call.squares = squares.data();
            for (call.part = 0; call.part < parts; ++call.part)
              variant.products->descend[static_cast<int>(Rule::sgd)](call);
            double length = 0, wanted = 0;
            for (const double part : squares) length += part;
            for (const T g : truth) wanted += double(g) * double(g);
            right = length == wanted && at.W.padding_is_zero();
            std::size_t k = 0;
            for (int64_t i = 0; i < n_in; ++i)
              for (int64_t j = 0; j < n_out; ++j) right &= at.W(i, j) == before(i, j) - T(0.25) * truth[k++];
            CHECK(right && at.W.packed.intact() && scratch.intact(), "%s: n=%ld n_in=%ld n_out=%ld parts=%d",
                  variant.name.c_str(), long(n), long(n_in), long(n_out), parts);
          }
}

// Every rule moves as its own pass over the same gradient would, to the same bits, moments, decay and penalties
// included.
TEST_BOTH(fused_steps_are_the_steps) {
  constexpr int64_t n = 21, n_in = 37;
  for (const Variant<T>& variant : variants<T>())
    for (int rule = 0; rule < n_rules; ++rule) {
      const int64_t n_out = variant.turned ? most_turned<T> : 2 * panel<T> + 3;
      Dice dice(4);
      Layer1<T> at(n, n_in, n_out, variant.turned, dice);
      const auto number = [&] { return dice.between(-1, 1); };
      for (Matrix<T>* matrix : {&at.A_prev, &at.dZ}) matrix->fill(number);
      at.W.fill(number);
      StepArgs<T> step = plain_step(T(0));
      step.shrink = T(0.7);
      step.penalized = true;
      step.l1 = T(0.3);
      step.l2 = T(0.1);
      const int64_t size = at.W.size();
      Buffer<T> dW(size), m(size), v(size), m2(size), v2(size), W2(size), scratch(variant.kernels->product_scratch);
      for (int64_t i = 0; i < size; ++i) m[i] = m2[i] = v[i] = v2[i] = at.W.packed[i] != 0 ? T(1) : T(0);
      std::copy_n(at.W.packed.data(), size, W2.data());
      const Gradient<T> call{n,
                             n_in,
                             n_out,
                             0,
                             1,
                             at.A_prev.view(),
                             at.dZ.view(),
                             dW.data(),
                             at.W.stride(),
                             at.W.packed.data(),
                             m.data(),
                             v.data(),
                             &step,
                             nullptr,
                             scratch.data()};
      variant.products->gradient(call);
      variant.kernels->step[rule](size, W2.data(), dW.data(), m2.data(), v2.data(), step);
      variant.products->descend[rule](call);
      bool same = true, moved = false;
      for (int64_t i = 0; i < size; ++i) {
        same &= same_bits<T>(W2[i], at.W.packed[i]) && same_bits<T>(m[i], m2[i]) && same_bits<T>(v[i], v2[i]);
        moved |= W2[i] != 0;
      }
      CHECK(moved && same, "%s, rule %d", variant.name.c_str(), rule);
    }
}

// Sums of straight products run from k = 0 upwards in one accumulator, those of turned ones in as many parts as a panel
// has numbers, with or without contraction; hence an element has the same bits wherever it stands in a tile, in
// whichever block of k, and however many rows there are.
TEST_BOTH(products_sum_in_one_order) {
  constexpr int64_t n = 29, n_in = 531, N = panel<T>;
  for (const Variant<T>& variant : variants<T>()) {
    const int64_t n_out = variant.turned ? most_turned<T> : 3 * N;
    Dice dice(5);
    Layer1<T> at(n, n_in, n_out, variant.turned, dice);
    at.A_prev.fill([&] { return dice.between(-1, 1); });
    at.W.fill([&] { return dice.between(-1, 1); });
    Buffer<T> scratch(variant.kernels->product_scratch);
    Forward<T> call{n,           n_in,        n_out,       at.A_prev.view(), at.W.view(),
                    at.b.data(), at.Z.view(), at.Z.view(), nullptr,          scratch.data()};
    variant.products->forward(call);
    bool fused = true, unfused = true;
    for (int64_t r = 0; r < n; ++r)
      for (int64_t j = 0; j < n_out; ++j) {
        const int64_t n_parts = variant.turned ? N : 1;
        T one[N] = {variant.turned ? T(0) : at.b[j]}, two[N] = {one[0]};
        for (int64_t i = 0; i < n_in; ++i) {
          const int64_t part = i % n_parts;
          one[part] = std::fma(at.A_prev(r, i), at.W(i, j), one[part]);
          const volatile T product = at.A_prev(r, i) * at.W(i, j);  // volatile: contracted by nobody
          two[part] = two[part] + product;
        }
        for (int64_t half = n_parts / 2; half > 0; half /= 2)
          for (int64_t part = 0; part < half; ++part) {
            one[part] += one[part + half];
            two[part] += two[part + half];
          }
        fused &= same_bits<T>(at.Z(r, j), variant.turned ? one[0] + at.b[j] : one[0]);
        unfused &= same_bits<T>(at.Z(r, j), variant.turned ? two[0] + at.b[j] : two[0]);
      }
    CHECK(fused || unfused || variant.bf16, "%s", variant.name.c_str());
    if (figures && !variant.bf16)
      std::printf("  products of %s: %s\n", variant.name.c_str(), fused ? "fused" : "two roundings");

    Matrix<T> part(n, n_out);
    for (int64_t rows = 1; rows <= n; ++rows)
      for (int64_t first = 0; first + rows <= n; first += 1 + rows / 3) {
        call.n = rows;
        call.A_prev = Panels<const T>(at.A_prev.view()).from_row(first);
        call.Z = call.A = part.view();
        variant.products->forward(call);
        bool same = true;
        for (int64_t r = 0; r < rows; ++r)
          for (int64_t j = 0; j < n_out; ++j) same &= same_bits<T>(part(r, j), at.Z(first + r, j));
        CHECK(same, "%s: rows %ld to %ld", variant.name.c_str(), long(first), long(first + rows));
      }
  }
}

// The nearest number of 8 binary digits, ties to even; found without looking at bits.
static float nearest_bf16(float x) {
  int exponent = 0;
  const double mantissa = std::frexp(double(x), &exponent);
  return static_cast<float>(std::ldexp(std::nearbyint(std::ldexp(mantissa, 8)), exponent - 8));
}

// A product is that of the rounded operands, exactly; what remains is the rounding of the sum.
TEST(bf16_rounds_operands_to_the_nearest) {
  constexpr int64_t n = 5, n_in = 203, n_out = 35;
  for (const Variant<float>& variant : variants<float>()) {
    if (!variant.bf16) continue;
    Dice dice(8);
    Layer1<float> at(n, n_in, n_out, false, dice);
    const auto number = [&] {
      const int kind = dice.whole(0, 9);
      const double x = dice.between(-2, 2);
      return kind == 0 ? 1 + dice.whole(-512, 512) / 512.0 : kind == 1 ? std::ldexp(x, dice.whole(-30, 30)) : x;
    };
    at.A_prev.fill(number);
    at.dZ.fill(number);
    at.W.fill(number);
    Buffer<float> scratch(variant.kernels->product_scratch);
    Weights<float> dW(n_in, n_out, false);
    const StepArgs<float> step = plain_step(0.0f);
    at.A_prev.set_padding(1);
    variant.products->forward({n, n_in, n_out, at.A_prev.view(), at.W.view(), at.b.data(), at.Z.view(), at.Z.view(),
                               nullptr, scratch.data()});
    variant.products->backward({n,
                                n_in,
                                n_out,
                                at.dZ.view(),
                                at.W.view(),
                                {nullptr, 0},
                                at.A_prev.view(),
                                at.A_prev.view(),
                                at.dZ_prev.view(),
                                variant.kernels->derive[static_cast<int>(Activation::identity)],
                                scratch.data()});
    variant.products->gradient({n, n_in, n_out, 0, 1, at.A_prev.view(), at.dZ.view(), dW.packed.data(), dW.stride(),
                                at.W.packed.data(), nullptr, nullptr, &step, nullptr, scratch.data()});
    // k products of x(k) and y(k), and what came of them.
    const auto close = [&](int64_t k, float first, auto x, auto y, float found) {
      double sum = first, size = std::abs(first);
      for (int64_t i = 0; i < k; ++i) {
        const double product = double(nearest_bf16(x(i))) * double(nearest_bf16(y(i)));
        sum += product;
        size += std::abs(product);
      }
      return std::abs(sum - double(found)) <= double(k) * 0x1p-24 * size;
    };
    bool right = true;
    for (int64_t r = 0; r < n; ++r)
      for (int64_t j = 0; j < n_out; ++j)
        right &= close(
            n_in, at.b[j], [&](int64_t i) { return at.A_prev(r, i); }, [&](int64_t i) { return at.W(i, j); },
            at.Z(r, j));
    CHECK(right, "%s: forward", variant.name.c_str());
    right = true;
    for (int64_t r = 0; r < n; ++r)
      for (int64_t i = 0; i < n_in; ++i)
        right &= close(
            n_out, 0, [&](int64_t j) { return at.dZ(r, j); }, [&](int64_t j) { return at.W(i, j); }, at.dZ_prev(r, i));
    CHECK(right, "%s: backward", variant.name.c_str());
    right = true;
    for (int64_t i = 0; i < n_in; ++i)
      for (int64_t j = 0; j < n_out; ++j)
        right &=
            close(n, 0, [&](int64_t r) { return at.A_prev(r, i); }, [&](int64_t r) { return at.dZ(r, j); }, dW(i, j));
    CHECK(right, "%s: gradient", variant.name.c_str());
  }
}

TEST_BOTH(products_carry_nan_and_infinity) {
  const T infinity = std::numeric_limits<T>::infinity();
  for (const Variant<T>& variant : variants<T>())
    for (const int64_t place : {0, 4, 8}) {
      Dice dice(6);
      Layer1<T> at(14, 9, 2, variant.turned, dice);
      at.A_prev.fill([] { return 1; });
      at.W.fill([] { return 1; });
      at.b[0] = at.b[1] = 1;
      at.A_prev(3, place) = nan_of<T>;
      at.A_prev(5, place) = infinity;
      at.W(place, 1) = T(0);
      Buffer<T> scratch(variant.kernels->product_scratch);
      variant.products->forward(
          {14, 9, 2, at.A_prev.view(), at.W.view(), at.b.data(), at.Z.view(), at.Z.view(), nullptr, scratch.data()});
      const bool right = std::isnan(at.Z(3, 0)) && std::isnan(at.Z(3, 1)) && at.Z(5, 0) == infinity &&
                         std::isnan(at.Z(5, 1)) && at.Z(4, 0) == 10 && at.Z(4, 1) == 9;
      CHECK(right, "%s: place %ld", variant.name.c_str(), long(place));
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
