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

// C (m, n) = A (m, k) B (k, n) + bias, for n in whole panels.
template <class T>
struct Matmul {
  int64_t m, k, n_panels;
  const T* a;  // element (r, i) at a[r * a_row + i * a_col]
  int64_t a_row, a_col;
  const T* b;  // row i of panel p at b + p * b_panel + i * b_row
  int64_t b_panel, b_row;
  T* c;  // row r of panel p at c + p * c_panel + r * c_row
  int64_t c_panel, c_row;
  const T* bias;  // n_panels * panel numbers, or null for zero
};

// What a step rule needs to know of one step; the meaning of beta1 and beta2 is the rule's.
template <class T>
struct StepArgs {
  T learning_rate;
  T beta1, beta2, epsilon;
  T new1, new2;                  // 1 - beta1 and 1 - beta2, rounded once
  T m_correction, v_correction;  // Adam: 1 / (1 - beta^t)
  T shrink;                      // decoupled weight decay: parameters are multiplied by this first
};

template <class T>
struct Kernels {
  const char* instruction_set;
  void (*matmul)(const Matmul<T>&);
  // W packed (n_in, n_out) -> W^T packed (n_out, n_in)
  void (*transpose)(int64_t n_in, int64_t n_out, const T* W, T* Wt);
  // sums[c] = sum over r < m of dZ[r * row + c], for n_panels panels of columns
  void (*column_sums)(int64_t m, int64_t n_panels, const T* dZ, int64_t row, T* sums);
  void (*activate[n_activations])(int64_t n, const T* Z, T* A);
  void (*backward[n_activations])(int64_t n, const T* Z, const T* A, const T* dA, T* dZ);
  // dW += l1 sign(W) + l2 W: the gradient of the penalties
  void (*penalize)(int64_t n, const T* W, T l1, T l2, T* dW);
  double (*sum_of_squares)(int64_t n, const T* x);
  // theta, g, and moments m, v where the rule has them, all of n numbers
  void (*step[n_rules])(int64_t n, T* theta, const T* g, T* m, T* v, const StepArgs<T>&);
};

// The table in use: the best that the processor runs, capped by FALLLINE_ISA.
template <class T>
const Kernels<T>& kernels();

}  // namespace fallline
