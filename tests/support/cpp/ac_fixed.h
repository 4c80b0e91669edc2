// The names of ac_fixed for the numbers of fixed.h.
#include "fixed.h"

const Rounding AC_RND = RND, AC_RND_ZERO = RND_ZERO, AC_RND_MIN_INF = RND_MIN_INF, AC_RND_INF = RND_INF,
               AC_RND_CONV = RND_CONV, AC_TRN = TRN, AC_TRN_ZERO = TRN_ZERO;
const Overflow AC_SAT = SAT, AC_SAT_ZERO = SAT_ZERO, AC_SAT_SYM = SAT_SYM, AC_WRAP = WRAP;

template <int W, int I, bool S, Rounding Q, Overflow O>
using ac_fixed = Fixed<W, I, S, Q, O>;
