"""What exported C sources have in them: functions, each where it is used, in this order; and names they cannot use.

A function of numbers is put down for float, for double or for both: REAL stands for the type, NAME for its name, which
ends in f where it is for float, as the standard library's do.
"""

from __future__ import annotations

import re

HELPERS = {
    "word": """\
struct word {
    const char *text;
    int code;
};
""",
    "code_of": """\
/* By halves: the words are sorted by their bytes. Spaces at the ends of the text do not count. */
static long long code_of(const char *text, const struct word *words, int n, int other) {
    int low = 0, high = n - 1;
    size_t length;
    if (text == NULL) text = "";
    text += strspn(text, " \\t\\r\\n\\v\\f");
    length = strlen(text);
    while (length > 0 && strchr(" \\t\\r\\n\\v\\f", text[length - 1]) != NULL) --length;
    while (low <= high) {
        int middle = low + (high - low) / 2, order = strncmp(text, words[middle].text, length);
        if (order == 0 && words[middle].text[length] == '\\0') return words[middle].code;
        if (order <= 0) high = middle - 1;
        else low = middle + 1;
    }
    return other;
}
""",
    "beyond_float": """\
static int beyond_float(double x) {
    return x > 3.4028234663852886e38 || x < -3.4028234663852886e38;
}
""",
    "larger": """\
/* Unlike fmax this gives back what is no number. */
static REAL NAME(REAL a, REAL b) {
    return a > b || isnan(a) ? a : b;
}
""",
    "smaller": """\
static REAL NAME(REAL a, REAL b) {
    return a < b || isnan(a) ? a : b;
}
""",
    "sigmoid": """\
static REAL NAME(REAL z) {
    return 1 / (1 + exp(-z));
}
""",
    "softplus": """\
static REAL NAME(REAL z) {
    return (z > 0 ? z : 0) + log1p(exp(-fabs(z)));
}
""",
    "affine": """\
static void NAME(const REAL *x, const REAL *W, const REAL *b, int n_in, int n_out, REAL *z) {
    double sum[WIDEST];
    int i, j;
    for (j = 0; j < n_out; ++j) sum[j] = (double)b[j];
    for (i = 0; i < n_in; ++i)
        for (j = 0; j < n_out; ++j) sum[j] += (double)x[i] * (double)W[i * n_out + j];
    for (j = 0; j < n_out; ++j) z[j] = (REAL)sum[j];
}
""",
    "grouped": """\
static void NAME(const REAL *x, const REAL *M, int groups, int n_in, int n_out, REAL *z) {
    int g, i, j;
    for (g = 0; g < groups; ++g, x += n_in, M += n_in * n_out)
        for (j = 0; j < n_out; ++j) {
            double sum = 0;
            for (i = 0; i < n_in; ++i) sum += (double)x[i] * (double)M[i * n_out + j];
            *z++ = (REAL)sum;
        }
}
""",
    "softmax": """\
static void NAME(const REAL *z, int n, REAL *a) {
    REAL largest = z[0], sum = 0;
    int i;
    for (i = 1; i < n; ++i) if (z[i] > largest) largest = z[i];
    for (i = 0; i < n; ++i) sum += a[i] = exp(z[i] - largest);
    for (i = 0; i < n; ++i) a[i] /= sum;
}
""",
    "sort": """\
static void NAME(const REAL *x, int groups, int n, REAL *y) {
    int g, i, j;
    for (g = 0; g < groups; ++g, x += n, y += n)
        for (i = 0; i < n; ++i) {
            for (j = i; j > 0 && y[j - 1] > x[i]; --j) y[j] = y[j - 1];
            y[j] = x[i];
        }
}
""",
    "argmax": """\
static void NAME(const REAL *x, int n, long long *place) {
    int i;
    for (*place = 0, i = 1; i < n; ++i) if (x[i] > x[*place]) *place = i;
}
""",
}


def helper(name: str, f: str = "") -> str:
    """Give a function, for float where f is "f"."""
    text = HELPERS[name].replace("NAME", f"{name}{f}").replace("REAL", "float" if f else "double")
    return re.sub(r"\b(exp|log1p|fabs)\(", rf"\1{f}(", text)


# What a member of a struct cannot be called: words of C and C++, and macros of the headers that are included or of
# compilers that are asked for more than C99.
RESERVED = frozenset(
    word
    for line in (
        "alignas alignof and and_eq asm auto bitand bitor bool break case catch char class compl concept const",
        "consteval constexpr constinit const_cast continue decltype default delete do double dynamic_cast else enum",
        "explicit export extern false float for friend goto if inline int long mutable namespace new noexcept not",
        "not_eq nullptr operator or or_eq private protected public register reinterpret_cast requires restrict return",
        "short signed sizeof static static_assert static_cast struct switch template this thread_local throw true try",
        "typedef typeid typename union unsigned using virtual void volatile wchar_t while xor xor_eq",
        "DOMAIN HUGE HUGE_VAL HUGE_VALF HUGE_VALL INFINITY MATH_ERREXCEPT MATH_ERRNO NAN NULL OVERFLOW PLOSS SING",
        "TLOSS UNDERFLOW X_TLOSS errno i386 linux unix",
    )
    for word in line.split()
)
