// All kernels of one instruction set; built once for each (see native/CMakeLists.txt).
// FALLLINE_KERNELS names the set, FALLLINE_VECTOR_BYTES is the width of its registers.
#include "kernels/registry.hpp"

#ifdef __aarch64__
#define FALLLINE_SSE_TILE_ROWS 6  // 32 registers of 16 bytes
#else
#define FALLLINE_SSE_TILE_ROWS 2  // 16 registers of 16 bytes
#endif

#define FALLLINE_STRING_OF(name) #name
#define FALLLINE_STRING(name) FALLLINE_STRING_OF(name)

namespace fallline::FALLLINE_KERNELS {

namespace {
#include "kernels/vec.hpp"
// the order of these matters
#include "kernels/activations.inl.hpp"
#include "kernels/matmul.inl.hpp"
#include "kernels/steps.inl.hpp"

template <class T>
constexpr Kernels<T> table() {
  return {
      .instruction_set = FALLLINE_STRING(FALLLINE_KERNELS),
      .matmul = matmul<T>,
      .transpose = transpose<T>,
      .column_sums = column_sums<T>,
      .activate = {activate<T, Identity>, activate<T, Sigmoid>, activate<T, Tanh>, activate<T, Relu>,
                   activate<T, LeakyRelu>, activate<T, Elu>, activate<T, Selu>, activate<T, Gelu>, activate<T, Silu>,
                   activate<T, Mish>, activate<T, Softplus>},
      .backward = {backward<T, Identity>, backward<T, Sigmoid>, backward<T, Tanh>, backward<T, Relu>,
                   backward<T, LeakyRelu>, backward<T, Elu>, backward<T, Selu>, backward<T, Gelu>, backward<T, Silu>,
                   backward<T, Mish>, backward<T, Softplus>},
      .penalize = penalize<T>,
      .sum_of_squares = sum_of_squares<T>,
      .step = {step<T, Sgd>, step<T, Momentum>, step<T, Nesterov>, step<T, RmsProp>, step<T, AdamRule>},
  };
}
}  // namespace

extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
constexpr Kernels<float> kernels_float = table<float>();
constexpr Kernels<double> kernels_double = table<double>();

}  // namespace fallline::FALLLINE_KERNELS
