// All kernels of one instruction set; built once for each (see native/CMakeLists.txt).
// FALLLINE_KERNELS names the set, FALLLINE_VECTOR_BYTES is the width of its registers.
#include "kernels/registry.hpp"

#include <utility>

#define FALLLINE_STRING_OF(name) #name
#define FALLLINE_STRING(name) FALLLINE_STRING_OF(name)

namespace fallline::FALLLINE_KERNELS {

namespace {
// the order of these matters
#include "kernels/coefficients.hpp"
#include "kernels/vec.hpp"
// and all of these come after them
#include "kernels/activations.inl.hpp"
#include "kernels/dropout.inl.hpp"
#include "kernels/losses.inl.hpp"
#include "kernels/peak.inl.hpp"
#include "kernels/periodic.inl.hpp"
#include "kernels/steps.inl.hpp"
#include "kernels/tiles.inl.hpp"
// these are made of tiles
#include "kernels/panels.inl.hpp"
// and the products take steps
#include "kernels/products.inl.hpp"

template <class T>
constexpr Kernels<T> table() {
  return {
      .instruction_set = FALLLINE_STRING(FALLLINE_KERNELS),
      .straight = products<T, Exact<T>, false>(),
      .turned = products<T, Exact<T>, true>(),
      .bf16 = {},  // registry.cpp adds them
      .product_scratch = tile_panels<T> * block_k<T> * panel<T>,
      .tile_columns = tile_panels<T> * panel<T>,
      .forward_row = forward_row<T>,
      .column_sums = column_sums<T>,
      .to_panels = rows_to_panels<T>,
      .activate = {activate<T, Identity>, activate<T, Sigmoid>, activate<T, Tanh>, activate<T, Relu>,
                   activate<T, LeakyRelu>, activate<T, Elu>, activate<T, Selu>, activate<T, Gelu>, activate<T, Silu>,
                   activate<T, Mish>, activate<T, Softplus>},
      .derive = {derive<T, Identity>, derive<T, Sigmoid>, derive<T, Tanh>, derive<T, Relu>, derive<T, LeakyRelu>,
                 derive<T, Elu>, derive<T, Selu>, derive<T, Gelu>, derive<T, Silu>, derive<T, Mish>,
                 derive<T, Softplus>},
      .multiply = multiply<T>,
      .plane_point = plane_point<T>,
      .loss = loss<T>,
      .softmax = softmax<T>,
      .penalize = penalize<T>,
      .sum_of_squares = sum_of_squares<T>,
      .dropout_mask = dropout_mask<T>,
      .periodic = periodic<T>,
      .periodic_gradient = periodic_gradient<T>,
      .step = {step<T, Sgd>, step<T, Momentum>, step<T, Nesterov>, step<T, RmsProp>, step<T, AdamRule>},
      .multiply_add = multiply_add<T>,
  };
}
}  // namespace

extern const Kernels<float> kernels_float;
extern const Kernels<double> kernels_double;
constexpr Kernels<float> kernels_float = table<float>();
constexpr Kernels<double> kernels_double = table<double>();

}  // namespace fallline::FALLLINE_KERNELS
