// Products, transposes and column sums: exact on small whole numbers, whatever the sizes and strides; nothing read or
// written where contract.md says that nothing is.
#include "tests/support.hpp"

namespace fallline::test {
namespace {

// A, B, bias and C of one product. Whatever the kernel must not read is NaN.
template <class T>
struct Product {
  struct Shape {
    int64_t m, k, n;
    bool rows_of_b;   // B row by row (as dZ lies), else packed
    bool rows_of_c;   // C row by row, else packed
    bool transposed;  // A by columns
    bool with_bias;
    int64_t misaligned;  // A begins so many numbers after a cache line
  };

  explicit Product(const Shape& s)
      : shape(s),
        n_panels(panels<T>(s.n)),
        slack(3),
        a_row(s.transposed ? 1 : s.k + slack),
        a_col(s.transposed ? s.m + slack : 1),
        a(s.misaligned + (s.m > 0 && s.k > 0 ? (s.m - 1) * a_row + (s.k - 1) * a_col + 1 : 0)),
        b_panel(s.rows_of_b ? panel<T> : s.k * panel<T>),
        b_row(s.rows_of_b ? (n_panels + 1) * panel<T> : panel<T>),
        b(s.rows_of_b ? s.k * b_row : n_panels * b_panel),
        c_panel(s.rows_of_c ? panel<T> : s.m * panel<T>),
        c_row(s.rows_of_c ? (n_panels + 1) * panel<T> : panel<T>),
        c(s.rows_of_c ? s.m * c_row : n_panels * c_panel),
        bias(n_panels * panel<T>) {
    for (Buffer<T>* buffer : {&a, &b, &bias})
      for (int64_t i = 0; i < buffer->size(); ++i) (*buffer)[i] = nan_of<T>;
  }

  T& A(int64_t r, int64_t i) { return a[shape.misaligned + r * a_row + i * a_col]; }
  T& B(int64_t i, int64_t j) { return b[j / panel<T> * b_panel + i * b_row + j % panel<T>]; }
  T& C(int64_t r, int64_t j) { return c[j / panel<T> * c_panel + r * c_row + j % panel<T>]; }

  // fill(): one number after another, padding included
  template <class Fill>
  void fill_with(Fill fill) {
    for (int64_t r = 0; r < shape.m; ++r)
      for (int64_t i = 0; i < shape.k; ++i) A(r, i) = fill();
    for (int64_t j = 0; j < n_panels * panel<T>; ++j) {
      for (int64_t i = 0; i < shape.k; ++i) B(i, j) = fill();
      bias[j] = fill();
    }
  }

  Matmul<T> call() {
    return {shape.m,
            shape.k,
            n_panels,
            a.data() + shape.misaligned,
            a_row,
            a_col,
            b.data(),
            b_panel,
            b_row,
            c.data(),
            c_panel,
            c_row,
            shape.with_bias ? bias.data() : nullptr};
  }

  Shape shape;
  int64_t n_panels, slack, a_row, a_col;
  Buffer<T> a;
  int64_t b_panel, b_row;
  Buffer<T> b;
  int64_t c_panel, c_row;
  Guarded<T> c;
  Buffer<T> bias;
};

template <class T>
void check_exact(const Kernels<T>& kernels, const typename Product<T>::Shape& shape, Dice& dice) {
  Product<T> p(shape);
  p.fill_with([&] { return static_cast<T>(dice.whole(-4, 4)); });
  kernels.matmul(p.call());
  bool right = true;
  for (int64_t r = 0; r < shape.m; ++r)
    for (int64_t j = 0; j < p.n_panels * panel<T>; ++j) {
      T sum = shape.with_bias ? p.bias[j] : T(0);
      for (int64_t i = 0; i < shape.k; ++i) sum += p.A(r, i) * p.B(i, j);
      right &= p.C(r, j) == sum;
    }
  if (shape.rows_of_c)  // the panel after the last one is someone else's
    for (int64_t r = 0; r < shape.m; ++r)
      for (int64_t j = 0; j < panel<T>; ++j) right &= p.c.untouched(r * p.c_row + p.n_panels * panel<T> + j);
  CHECK(right && p.c.intact(), "%s: m=%ld k=%ld n=%ld rows_of_b=%d rows_of_c=%d transposed=%d bias=%d misaligned=%ld",
        kernels.instruction_set, long(shape.m), long(shape.k), long(shape.n), shape.rows_of_b, shape.rows_of_c,
        shape.transposed, shape.with_bias, long(shape.misaligned));
}

}  // namespace

TEST_BOTH(matmul_is_exact) {
  Dice dice(1);
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t m : {0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 11, 12, 13, 15, 16, 17, 23, 24, 25, 33})
      for (const int64_t k : {0, 1, 2, 3, 5, 8, 13, 16, 17, 33})
        for (const int64_t n : {0, 1, 2, 7, 8, 9, 12, 13, 15, 16, 17, 33})
          for (int options = 0; options < 16; options += 1 + int(m + k + n) % 3)  // most of the combinations
            check_exact<T>(*kernels,
                           {m, k, n, bool(options & 1), bool(options & 2), bool(options & 4), bool(options & 8),
                            (m + k + n + options) % 4},
                           dice);
}

// Sums run from k = 0 upwards in one accumulator, with or without contraction; hence an element has the same bits
// wherever it stands in a tile and however many rows there are.
TEST_BOTH(matmul_sums_in_one_order) {
  constexpr int64_t m = 29, k = 37, n = 3 * panel<T>;
  for (const Kernels<T>* kernels : tables<T>())
    for (const bool with_bias : {false, true}) {
      Dice dice(2);
      Product<T> p({m, k, n, false, true, false, with_bias, 1});
      p.fill_with([&] { return static_cast<T>(dice.between(-1, 1)); });
      kernels->matmul(p.call());
      bool fused = true, unfused = true;
      for (int64_t r = 0; r < m; ++r)
        for (int64_t j = 0; j < n; ++j) {
          T one = with_bias ? p.bias[j] : T(0);
          volatile T two = one, product;  // volatile: contracted by nobody
          for (int64_t i = 0; i < k; ++i) {
            one = std::fma(p.A(r, i), p.B(i, j), one);
            product = p.A(r, i) * p.B(i, j);
            two = two + product;
          }
          fused &= same_bits<T>(p.C(r, j), one);
          unfused &= same_bits<T>(p.C(r, j), two);
        }
      CHECK(fused || unfused, "%s bias=%d", kernels->instruction_set, with_bias);
      if (figures) std::printf("  matmul of %s: %s\n", kernels->instruction_set, fused ? "fused" : "two roundings");

      for (int64_t rows = 1; rows <= m; ++rows)
        for (int64_t first = 0; first + rows <= m; first += 1 + rows / 3) {
          Guarded<T> part(rows * n);
          Matmul<T> call = p.call();
          call.m = rows;
          call.a += first * p.a_row;
          call.c = part.data();
          call.c_row = n;
          kernels->matmul(call);
          bool same = part.intact();
          for (int64_t r = 0; r < rows; ++r)
            for (int64_t j = 0; j < n; ++j) same &= same_bits<T>(part[r * n + j], p.C(first + r, j));
          CHECK(same, "%s: rows %ld to %ld", kernels->instruction_set, long(first), long(first + rows));
        }
    }
}

TEST_BOTH(matmul_carries_nan_and_infinity) {
  const T infinity = std::numeric_limits<T>::infinity();
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t place : {0, 4, 8}) {
      Product<T> p({14, 9, 2, false, false, false, true, 0});
      p.fill_with([] { return T(1); });
      p.A(3, place) = nan_of<T>;
      p.A(5, place) = infinity;
      p.A(13, place) = infinity;
      p.B(place, 1) = T(0);
      kernels->matmul(p.call());
      const bool right = std::isnan(p.C(3, 0)) && std::isnan(p.C(3, 1)) && p.C(5, 0) == infinity &&
                         std::isnan(p.C(5, 1)) && p.C(13, 0) == infinity && std::isnan(p.C(13, 1)) && p.C(4, 0) == 10 &&
                         p.C(4, 1) == 9;
      CHECK(right, "%s: place %ld", kernels->instruction_set, long(place));
    }
}

TEST_BOTH(transpose_is_exact) {
  constexpr int64_t N = panel<T>;
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t n_in : {0, 1, 2, 7, 8, 9, 13, 15, 16, 17, 33, 40})
      for (const int64_t n_out : {0, 1, 2, 7, 8, 9, 13, 15, 16, 17, 33, 40}) {
        Buffer<T> W(panels<T>(n_out) * n_in * N);
        for (int64_t i = 0; i < W.size(); ++i) W[i] = nan_of<T>;  // also the padding, which nothing may read
        for (int64_t i = 0; i < n_in; ++i)
          for (int64_t j = 0; j < n_out; ++j) W[j / N * n_in * N + i * N + j % N] = T(1 + i * n_out + j);
        Guarded<T> Wt(panels<T>(n_in) * n_out * N);
        kernels->transpose(n_in, n_out, W.data(), Wt.data());
        bool right = Wt.intact();
        for (int64_t j = 0; j < n_out; ++j)
          for (int64_t i = 0; i < padded<T>(n_in); ++i)
            right &= Wt[i / N * n_out * N + j * N + i % N] == (i < n_in ? T(1 + i * n_out + j) : T(0));
        CHECK(right, "%s: n_in=%ld n_out=%ld", kernels->instruction_set, long(n_in), long(n_out));
      }
}

TEST_BOTH(column_sums_are_exact) {
  for (const Kernels<T>* kernels : tables<T>())
    for (const int64_t m : {0, 1, 2, 3, 12, 13, 33})
      for (const int64_t n_panels : {0, 1, 2, 3}) {
        const int64_t width = n_panels * panel<T>, row = width + panel<T>;
        Dice dice(3);
        Buffer<T> dZ(m * row);
        for (int64_t i = 0; i < dZ.size(); ++i) dZ[i] = i % row < width ? T(dice.whole(-9, 9)) : nan_of<T>;
        Guarded<T> sums(width);
        kernels->column_sums(m, n_panels, dZ.data(), row, sums.data());
        bool right = sums.intact();
        for (int64_t j = 0; j < width; ++j) {
          T sum = 0;
          for (int64_t r = 0; r < m; ++r) sum += dZ[r * row + j];
          right &= sums[j] == sum;
        }
        CHECK(right, "%s: m=%ld panels=%ld", kernels->instruction_set, long(m), long(n_panels));
      }
}

}  // namespace fallline::test
