// The table of kernels, one for each instruction set; contract.md says what each may assume.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "api.hpp"

namespace fallline {

// Numbers in a panel: one cache line.
template <class T>
inline constexpr int64_t panel = 64 / static_cast<int64_t>(sizeof(T));

inline constexpr int n_activations = 11;  // the elementwise ones: Activation::identity up to, not including, softmax
inline constexpr int n_rules = 5;

// A matrix in panels of columns: element (r, j) at at[(j / panel) * stride + r * panel + j % panel].
template <class T>
struct Panels {
  T* at;
  int64_t stride;

  Panels<T> from_row(int64_t r) const { return {at ? at + r * panel<T> : at, stride}; }
  Panels<T> from_panel(int64_t p) const { return {at ? at + p * stride : at, stride}; }
  operator Panels<const T>() const { return {at, stride}; }
};

template <class T>
using Activate = void (*)(int64_t n, const T* Z, T* A);
template <class T>
using Derive = void (*)(int64_t n, const T* Z, const T* A, const T* dA, T* dZ);

// Z (n, n_out) = A_prev W + b, A = f(Z). A may be Z; without a function there is no A.
template <class T>
struct Forward {
  int64_t n, n_in, n_out;
  Panels<const T> A_prev, W;
  const T* b;
  Panels<T> Z, A;
  Activate<T> activate;
  T* scratch;  // product_scratch numbers
};

// The same for one row, and for weights row by row as Python has them; z, in whole panels, becomes a. For a layer whose
// W lies turned (see Products) as well.
template <class T>
struct ForwardRow {
  int64_t n_in, n_out;
  const T *a_prev, *W, *b;
  T* z;
  Activate<T> activate;
  T* scratch;  // (n_in + panel) * panel numbers, where n_out is less than a panel
};

// dZ_prev (n, n_in) = (dZ W^T) * mask * f'(Z_prev), f being the layer before's; Z_prev may be A_prev where f' looks at
// A alone. `mask` may be null.
template <class T>
struct Backward {
  int64_t n, n_in, n_out;
  Panels<const T> dZ, W, mask, Z_prev, A_prev;
  Panels<T> dZ_prev;
  Derive<T> derive;
  T* scratch;  // product_scratch numbers
};

// What a step rule needs to know of one step; the meaning of beta1 and beta2 is the rule's.
template <class T>
struct StepArgs {
  T learning_rate;
  T beta1, beta2, epsilon;
  T new1, new2;                  // 1 - beta1 and 1 - beta2, rounded once
  T m_correction, v_correction;  // Adam: 1 / (1 - beta^t)
  T shrink;                      // decoupled weight decay: parameters are multiplied by this first
  bool penalized;                // whether l1 sign(W) + l2 W joins the gradient
  T l1, l2;
};

// dW (n_in, n_out) = A_prev^T dZ, over n rows: part `part` of `parts`, which is nobody else's. The kernel either keeps
// it in dW, or takes the rule's step with it at once. W, its moments and dW all lie alike, panels `stride` apart; dW is
// also where sums wait, so it must be there in both cases.
template <class T>
struct Gradient {
  int64_t n, n_in, n_out;
  int part, parts;
  Panels<const T> A_prev, dZ;
  T* dW;
  int64_t stride;
  T *W, *m, *v;
  const StepArgs<T>* step;
  // Of a step, if it is asked for: sums of squares of the gradient in double, (panels of inputs) * (panels of outputs)
  // of them, at the same places however the parts are cut. A kernel that sums up several panels at a time leaves the
  // places of all but the first as they are.
  double* squares;
  T* scratch;  // product_scratch numbers
};

// The three products of a layer.
template <class T>
struct Products {
  void (*forward)(const Forward<T>&);
  void (*backward)(const Backward<T>&);
  void (*gradient)(const Gradient<T>&);
  void (*descend[n_rules])(const Gradient<T>&);
};

// Layers of so few outputs keep W turned, (n_out, n_in): in panels of outputs it would be padding for the most part.
template <class T>
inline constexpr int64_t most_turned = panel<T> / 4;

// The end of a network: rows of Z, their targets, and what is asked of them. The last activation is the kernel's
// business: it takes Z alone.
template <class T>
struct LastRows {
  int64_t n, n_out, n_targets;
  LossKind loss;
  Activation output;   // identity, sigmoid or softmax
  T delta;             // huber
  T ceiling;           // cross-entropies: the greatest loss of an output, of a row with categorical, that is reported
  const T* quantiles;  // quantile: n_out = n_targets * n_quantiles
  int64_t n_quantiles;
  const T* Z;  // row r of panel p at Z + p * z_panel + r * panel
  T* dZ;       // where Z is, and gets share[r] * d loss / dZ, its padding zeros; or null: losses alone
  int64_t z_panel;
  const T* Y;      // (n, n_targets), row by row
  const T* share;  // (n,): each row's share of the batch's weight
  T* losses;       // (n,): each row's loss, not yet times its share
  T* scratch;      // loss_scratch<T>(n_out) numbers, aligned like a panel
};

template <class T>
inline constexpr int64_t loss_scratch(int64_t n_out) {
  return 4 * ((n_out + 3) / 4 * 4) * panel<T>;
}

// A layer's dropout mask for rows [first, first + n) of a batch, in panels.
template <class T>
struct MaskRows {
  uint64_t seed;
  int64_t step, layer_and_start;  // a and b of core/philox.hpp's Words; the neuron's word is row * n_out + column
  int64_t first, n, n_out;
  double threshold;  // words that reach it are kept
  T kept;            // what their neurons are multiplied by
  T* mask;           // (r, j) at mask[(j / panel) * m_panel + r * panel + j % panel]; padding is written 0
  int64_t m_panel;
};

// A column of n numbers as n_out periodic functions: e = cos(2 pi (x w + p)) M + c.
template <class T>
struct Periodic {
  int64_t n, frequencies, n_out;
  const T *x, *w, *p, *M, *c;  // (n,), (frequencies,) twice, (frequencies, n_out), (n_out,)
  T* e;                        // (n_out, n), rows `stride` apart
  int64_t stride;
};

// The gradient of its parameters, where e holds de.
template <class T>
struct PeriodicGradient {
  Periodic<T> column;
  T *dw, *dp, *dM, *dc;
  T* waves;  // room for n numbers
};

template <class T>
struct Kernels {
  const char* instruction_set;
  Products<T> straight;  // where W lies as it is: (n_in, n_out)
  Products<T> turned;    // where it lies turned: n_out <= most_turned
  Products<T> bf16;      // straight, of operands rounded to bf16; no functions where the instruction set has none
  int64_t product_scratch;
  int64_t tile_columns;  // that the straight products take at a time: what a layer's columns are best cut into
  void (*forward_row)(const ForwardRow<T>&);
  // sums[j] = sum over r < n of dZ[r][j], for n_panels panels of columns
  void (*column_sums)(int64_t n, int64_t n_panels, Panels<const T> dZ, T* sums);
  // Row r of n is at rows[r]; gives whether all numbers are finite
  bool (*to_panels)(int64_t n, int64_t n_columns, const T* const* rows, Panels<T> to);
  Activate<T> activate[n_activations];
  Derive<T> derive[n_activations];
  void (*multiply)(int64_t n, const T* A, const T* B, T* C);
  // C = O + a U + b V; C may be one of them
  void (*plane_point)(int64_t n, const T* O, const T* U, const T* V, T a, T b, T* C);
  void (*loss)(const LastRows<T>&);
  // A = softmax(Z), both in panels as in LastRows; A may be Z, its padding becomes zero
  void (*softmax)(int64_t n, int64_t n_out, const T* Z, T* A, int64_t z_panel, T* scratch);
  // dW += l1 sign(W) + l2 W: the gradient of the penalties
  void (*penalize)(int64_t n, const T* W, T l1, T l2, T* dW);
  double (*sum_of_squares)(int64_t n, const T* x);
  void (*dropout_mask)(const MaskRows<T>&);
  void (*periodic)(const Periodic<T>&);
  void (*periodic_gradient)(const PeriodicGradient<T>&);
  // theta, g, and moments m, v where the rule has them, all of n numbers
  void (*step[n_rules])(int64_t n, T* theta, const T* g, T* m, T* v, const StepArgs<T>&);
  // Some millions of fused multiply-adds on registers alone; gives how many operations it was. `sink`: one panel.
  double (*multiply_add)(T* sink);
};

// The table in use: the best that the processor runs, capped by FALLLINE_ISA.
template <class T>
const Kernels<T>& kernels();

}  // namespace fallline
