"""What exported C sources have in them: functions, each where it is used, in this order; and names they cannot use."""

from __future__ import annotations

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
static double larger(double a, double b) {
    return a > b || isnan(a) ? a : b;
}
""",
    "smaller": """\
static double smaller(double a, double b) {
    return a < b || isnan(a) ? a : b;
}
""",
    "sigmoid": """\
static double sigmoid(double z) {
    return 1.0 / (1.0 + exp(-z));
}
""",
    "softplus": """\
static double softplus(double z) {
    return (z > 0.0 ? z : 0.0) + log1p(exp(-fabs(z)));
}
""",
    "affine": """\
static void affine(const double *x, const float *W, const float *b, int n_in, int n_out, double *z) {
    int i, j;
    for (j = 0; j < n_out; ++j) z[j] = (double)b[j];
    for (i = 0; i < n_in; ++i)
        for (j = 0; j < n_out; ++j) z[j] += x[i] * (double)W[i * n_out + j];
}
""",
    "grouped": """\
static void grouped(const double *x, const float *M, int groups, int n_in, int n_out, double *z) {
    int g, i, j;
    for (g = 0; g < groups; ++g, x += n_in, z += n_out) {
        for (j = 0; j < n_out; ++j) z[j] = 0.0;
        for (i = 0; i < n_in; ++i, M += n_out)
            for (j = 0; j < n_out; ++j) z[j] += x[i] * (double)M[j];
    }
}
""",
    "softmax": """\
static void softmax(const double *z, int n, double *a) {
    double largest = z[0], sum = 0.0;
    int i;
    for (i = 1; i < n; ++i) if (z[i] > largest) largest = z[i];
    for (i = 0; i < n; ++i) sum += a[i] = exp(z[i] - largest);
    for (i = 0; i < n; ++i) a[i] /= sum;
}
""",
    "sort": """\
static void sort(const double *x, int groups, int n, double *y) {
    int g, i, j;
    for (g = 0; g < groups; ++g, x += n, y += n)
        for (i = 0; i < n; ++i) {
            for (j = i; j > 0 && y[j - 1] > x[i]; --j) y[j] = y[j - 1];
            y[j] = x[i];
        }
}
""",
    "argmax": """\
static void argmax(const double *x, int n, long long *place) {
    int i;
    for (*place = 0, i = 1; i < n; ++i) if (x[i] > x[*place]) *place = i;
}
""",
}
# The same with weights of networks that were trained in float64.
HELPERS |= {
    f"{name}_double": HELPERS[name].replace(name, f"{name}_double").replace("float", "double")
    for name in ("affine", "grouped")
}

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
