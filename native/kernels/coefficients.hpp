// Coefficients of the kernels' series, constant term first; tools/approximations.py computes them.
// Included by kernels.cpp alone, inside the namespace of an instruction set.
#pragma once

template <class T>
struct Coefficients;
template <>
struct Coefficients<float> {
  // (exp(r) - 1 - r) / r^2
  static constexpr float exponential[] = {0.499999967f, 0.166665415f, 0.0416676001f, 0.00836674013f, 0.00138580997f};
  // (artanh(s) / s - 1) / s^2, in powers of s^2
  static constexpr float artanh[] = {0.333332068f, 0.200108091f, 0.140004239f, 0.140075624f};
  // sin(2 pi t) / t, in powers of t^2
  static constexpr float turn_sine[] = {6.28318527f, -41.3416774f, 81.6022266f, -76.5748772f, 39.7100237f};
  // exp(u^2 / 2) Phi(-u) = P / (slope u P + R)
  static constexpr float mills_p[] = {0.500000000f, 0.437744892f, 0.182782457f, 0.0404677280f, 0.00408808491f};
  static constexpr float mills_slope = 2.50659934f;
  static constexpr float mills_r[] = {1.00000000f, 0.420074949f, 0.103469830f, 0.0101023433f, 7.60036904e-6f};
};
template <>
struct Coefficients<double> {
  // (exp(r) - 1 - r) / r^2
  static constexpr double exponential[] = {0.50000000000000056,   0.16666666666666600,   0.041666666666573285,
                                           0.0083333333333830570, 0.0013888888932483409, 0.00019841269732793353,
                                           2.4801504311074462e-5, 2.7557395353108073e-6, 2.7626385945177122e-7,
                                           2.5057625743315161e-8};
  // (artanh(s) / s - 1) / s^2, in powers of s^2
  static constexpr double artanh[] = {
      0.33333333333333152,  0.20000000000077928,  0.14285714274049237,  0.11111111976018182,  0.090908723007168399,
      0.076932724117163884, 0.066505885930824003, 0.060522262210499144, 0.041736428473982703, 0.085026233743292635};
  // sin(2 pi t) / t, in powers of t^2
  static constexpr double turn_sine[] = {
      6.2831853071795865,  -41.341702240399760, 81.605249276075050,   -76.705859753060642, 42.058693944822084,
      -15.094642572398734, 3.8199524266938057,  -0.71811879338289883, 0.10418200037339612, -0.011679224609389466};
  // exp(u^2 / 2) Phi(-u) = P / (slope u P + R)
  static constexpr double mills_p[] = {0.50000000000000000,   0.82696428723440794,   0.67809047147357925,
                                       0.35615922164101447,   0.13145790518422852,   0.035465215245220374,
                                       0.0070728247584038298, 0.0010308380834109037, 0.00010547782978819554,
                                       6.8899735008294978e-6, 2.2084545892909941e-7};
  static constexpr double mills_slope = 2.5066282746303961;
  static constexpr double mills_r[] = {1.0000000000000000,    1.1984989979564833,     0.73955272506275572,
                                       0.29665892305644044,   0.083903106701961803,   0.017205683396364644,
                                       0.0025493869848962203, 0.00026328654616779819, 1.7270602601844182e-5,
                                       5.5357746844329285e-7, 3.5230536287553247e-17};
};
