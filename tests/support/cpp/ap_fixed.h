// The names of ap_fixed for the numbers of fixed.h.
#include "fixed.h"

const Rounding AP_RND = RND, AP_RND_ZERO = RND_ZERO, AP_RND_MIN_INF = RND_MIN_INF, AP_RND_INF = RND_INF,
               AP_RND_CONV = RND_CONV, AP_TRN = TRN, AP_TRN_ZERO = TRN_ZERO;
const Overflow AP_SAT = SAT, AP_SAT_ZERO = SAT_ZERO, AP_SAT_SYM = SAT_SYM, AP_WRAP = WRAP,
               AP_WRAP_SM = WRAP_SM;

template <int W, int I, Rounding Q = AP_TRN, Overflow O = AP_WRAP>
using ap_fixed = Fixed<W, I, true, Q, O>;
template <int W, int I, Rounding Q = AP_TRN, Overflow O = AP_WRAP>
using ap_ufixed = Fixed<W, I, false, Q, O>;
