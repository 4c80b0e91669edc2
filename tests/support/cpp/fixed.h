// Fixed-point numbers by ap_fixed's rules, on plain integers: what the header of `espalier export --format hls` is
// compiled with here. The rules are stated after the tables of IEEE 1666, but for the
// one place where the vendor's header differs: its WRAP_SM reads the deleted bit before the carry. Nothing is taken
// from that header.
#ifndef FIXED_H
#define FIXED_H

typedef __int128 wide;

enum Rounding { RND, RND_ZERO, RND_MIN_INF, RND_INF, RND_CONV, TRN, TRN_ZERO };
enum Overflow { SAT, SAT_ZERO, SAT_SYM, WRAP, WRAP_SM };

// An exact value, code / 2**fraction: what sums and products of fixed-point numbers are before they are assigned.
struct Exact {
  wide code;
  int fraction;
};

constexpr Exact exact(double value) {
  int fraction = 0;
  while (value != (double)(long long)value) {
    value *= 2;
    ++fraction;
  }
  return {(long long)value, fraction};
}

constexpr Exact operator*(Exact a, Exact b) { return {a.code * b.code, a.fraction + b.fraction}; }

constexpr Exact operator+(Exact a, Exact b) {
  int fraction = a.fraction > b.fraction ? a.fraction : b.fraction;
  return {(a.code << (fraction - a.fraction)) + (b.code << (fraction - b.fraction)), fraction};
}

constexpr wide rounded(wide value, int shift, Rounding mode) {
  if (shift <= 0) return value << -shift;
  wide floor = value >> shift, half = (wide)1 << (shift - 1);
  wide rest = value - (floor << shift);  // 0 .. 2**shift - 1 above the floor
  bool negative = value < 0;
  switch (mode) {
    case TRN: return floor;
    case TRN_ZERO: return floor + (negative && rest != 0);
    default: break;
  }
  if (rest != half) return floor + (rest > half);
  switch (mode) {  // a tie
    case RND: return floor + 1;
    case RND_ZERO: return negative ? floor + 1 : floor;
    case RND_INF: return negative ? floor : floor + 1;
    case RND_CONV: return floor + (floor & 1);
    default: return floor;  // RND_MIN_INF
  }
}

// `floor` is what the value was before anything was added to round it.
constexpr wide fitted(wide value, wide floor, int width, bool is_signed, Overflow mode) {
  wide one = 1;
  wide high = is_signed ? (one << (width - 1)) - 1 : (one << width) - 1;
  wide low = is_signed ? (mode == SAT_SYM ? -high : -high - 1) : 0;
  if (value >= low && value <= high) return value;
  switch (mode) {
    case SAT:
    case SAT_SYM: return value < low ? low : high;
    case SAT_ZERO: return 0;
    default: break;
  }
  wide mask = (one << width) - 1, word = value & mask;
  if (mode == WRAP_SM && (floor >> width & 1) != word >> (width - 1)) word ^= mask;
  return is_signed && (word >> (width - 1)) ? word - (one << width) : word;
}

template <int W, int I, bool S, Rounding Q, Overflow O>
struct Fixed {
  long long code = 0;

  constexpr Fixed() {}
  constexpr Fixed(Exact value) : Fixed(value, value.fraction - (W - I)) {}
  constexpr Fixed(Exact value, int shift)
      : code((long long)fitted(rounded(value.code, shift, Q), rounded(value.code, shift, TRN), W, S, O)) {}
  constexpr Fixed(double value) : Fixed(exact(value)) {}
  constexpr operator Exact() const { return {code, W - I}; }
};

#endif
