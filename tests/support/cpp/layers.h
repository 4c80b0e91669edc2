// The layers of a network by the loop nest that an exported header describes, on any fixed-point types.
#ifndef LAYERS_H
#define LAYERS_H

#include <vector>

#include "fixed.h"

struct Map {
  int maps, rows, columns;
};

struct Window {
  int kernel_rows, kernel_columns, stride_rows, stride_columns, pad_top, pad_left;
};

struct Nest {
  int outputs, taps, columns, groups, group_outputs, units, unit_columns;
  const int *unit_ends, *units_kept, *tap_ends, *taps_kept;  // null: all of them
};

inline int first(const int *ends, int index) { return index ? ends[index - 1] : 0; }

// The place of a tap in the input, or -1 in the padding.
inline int place(const Map &in, const Window &w, int map, int row, int column, int tap) {
  int y = row * w.stride_rows + tap / w.kernel_columns - w.pad_top;
  int x = column * w.stride_columns + tap % w.kernel_columns - w.pad_left;
  if (y < 0 || y >= in.rows || x < 0 || x >= in.columns) return -1;
  return (map * in.rows + y) * in.columns + x;
}

// What an array has for an output: one for all, or one for each; nothing where there is none.
template <class T>
struct Listed {
  const T *words;
  int count;
  const T &of(int output) const { return words[count > 1 ? output : 0]; }
};

template <class Y, class A, class M, class O>
Y requantized(A accumulator, bool relu, Listed<M> multipliers, Listed<O> offsets, int output) {
  bool zero = relu && accumulator.code < 0;
  if (zero) accumulator.code = 0;
  if (!multipliers.count) return Y((Exact)accumulator);
  Exact product = (Exact)accumulator * (Exact)multipliers.of(output);
  return zero || !offsets.count ? Y(product) : Y(product + (Exact)offsets.of(output));
}

template <class A, class X, class Y, class W, class B, class M, class O>
void mac(Map in, Map out, Window w, Nest n, const std::vector<X> &x, std::vector<Y> &y, const W *weights,
         const B *biases, bool relu, Listed<M> multipliers, Listed<O> offsets) {
  for (int row = 0; row < out.rows; ++row)
    for (int column = 0; column < out.columns; ++column) {
      int next = 0;
      for (int group = 0; group < n.groups; ++group) {
        std::vector<A> accumulators(n.group_outputs);
        for (int lane = 0; lane < n.group_outputs; ++lane) {
          int output = group * n.group_outputs + lane;
          if (output < n.outputs) accumulators[lane] = A((Exact)biases[output]);
        }
        int u = n.unit_ends ? first(n.unit_ends, group) : 0, u_end = n.unit_ends ? n.unit_ends[group] : n.units;
        for (; u < u_end; ++u) {
          int unit = n.unit_ends ? n.units_kept[u] : u;
          int t = n.tap_ends ? first(n.tap_ends, unit) : 0, t_end = n.tap_ends ? n.tap_ends[unit] : n.unit_columns;
          for (; t < t_end; ++t) {
            int lowered = unit * n.unit_columns + (n.tap_ends ? n.taps_kept[t] : t);
            int at = lowered < n.columns ? place(in, w, lowered / n.taps, row, column, lowered % n.taps) : -1;
            for (int lane = 0; lane < n.group_outputs; ++lane, ++next)
              if (at >= 0)
                accumulators[lane] = A((Exact)accumulators[lane] + (Exact)weights[next] * (Exact)x[at]);
          }
        }
        for (int lane = 0; lane < n.group_outputs; ++lane) {
          int output = group * n.group_outputs + lane;
          if (output < n.outputs)
            y[(output * out.rows + row) * out.columns + column] =
                requantized<Y>(accumulators[lane], relu, multipliers, offsets, output);
        }
      }
    }
}

template <class X>
void max_pool(Map in, Map out, Window w, const std::vector<X> &x, std::vector<X> &y) {
  for (int map = 0, i = 0; map < out.maps; ++map)
    for (int row = 0; row < out.rows; ++row)
      for (int column = 0; column < out.columns; ++column, ++i) {
        bool any = false;
        for (int tap = 0; tap < w.kernel_rows * w.kernel_columns; ++tap) {
          int at = place(in, w, map, row, column, tap);
          if (at >= 0 && (!any || x[at].code > y[i].code)) y[i] = x[at], any = true;
        }
      }
}

template <class A, class X, class Y, class M, class O>
void avg_pool(Map in, Map out, Window w, const std::vector<X> &x, std::vector<Y> &y, bool relu,
              Listed<M> multipliers, Listed<O> offsets) {
  for (int map = 0, i = 0; map < out.maps; ++map)
    for (int row = 0; row < out.rows; ++row)
      for (int column = 0; column < out.columns; ++column, ++i) {
        A sum;
        for (int tap = 0; tap < w.kernel_rows * w.kernel_columns; ++tap) {
          int at = place(in, w, map, row, column, tap);
          if (at >= 0) sum = A((Exact)sum + (Exact)x[at]);
        }
        y[i] = requantized<Y>(sum, relu, multipliers, offsets, 0);
      }
}

template <class A, class L, class R, class Y, class M, class O>
void add(const std::vector<L> &left, const std::vector<R> &right, std::vector<Y> &y, const int *weights, bool relu,
         Listed<M> multipliers, Listed<O> offsets) {
  for (size_t i = 0; i < y.size(); ++i) {
    Exact sum = (Exact)left[i] * Exact{weights[0], 0} + (Exact)right[i] * Exact{weights[1], 0};
    y[i] = requantized<Y>(A(sum), relu, multipliers, offsets, 0);
  }
}

template <class X>
void relu(const std::vector<X> &x, std::vector<X> &y) {
  for (size_t i = 0; i < y.size(); ++i) y[i].code = x[i].code < 0 ? 0 : x[i].code;
}

#endif
