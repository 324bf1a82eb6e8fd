/* Loops that numpy can only do with many passes over memory, or not at all without Python.
 *
 * Each function does what the code in numpy beside its call does, which is the reference and the fallback.
 * Arrays are contiguous unless a stride is given, in elements. Nothing here checks its input: Python does.
 */

#include <float.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#define EXPORT __declspec(dllexport)
#else
#define EXPORT __attribute__((visibility("default")))
#endif

/* Loops without branches are compiled for wider registers too; the results are the same. */
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__)
#define WIDE __attribute__((target_clones("avx2", "default")))
#else
#define WIDE
#endif

/* total[i] is the sum of the first i values, in double precision and in order, [n + 1]. */
EXPORT void running_total(const float *x, int64_t n, int64_t stride, double *total)
{
    double sum = 0.0;
    total[0] = 0.0;
    for (int64_t i = 0; i < n; i++) {
        sum += (double)x[i * stride];
        total[i + 1] = sum;
    }
}

/* The mean of each window of `size` values in each row of `x` [n_rows, n], [n_rows, n - size + 1];
 * `total` is scratch space, [n + 1]. */
EXPORT void moving_mean(const float *x, int64_t n_rows, int64_t n, int64_t size, double *total, float *mean)
{
    int64_t n_means = n - size + 1;
    for (int64_t row = 0; row < n_rows; row++) {
        running_total(x + row * n, n, 1, total);
        for (int64_t i = 0; i < n_means; i++)
            mean[row * n_means + i] = (float)((total[i + size] - total[i]) / (double)size);
    }
}

/* First place of a value in a sorted array, or where it belongs. A processor cannot foresee which half it is
 * in, so the search has no branch that depends on it. */
static int64_t place_of(const double *sorted, int64_t n, double value)
{
    const double *low = sorted;
    for (int64_t half; n > 1; n -= half) {
        half = n / 2;
        low += low[half - 1] < value ? half : 0;
    }
    return low - sorted + (n == 1 && *low < value);
}

static int by_value(const void *a, const void *b)
{
    double left = *(const double *)a, right = *(const double *)b;
    return (left > right) - (left < right);
}

/* The median of each window of `size` values, [n - size + 1]: the window stays sorted while it moves.
 * `window` is scratch space, [size]. */
EXPORT void moving_median(const double *x, int64_t n, int64_t size, double *window, double *median)
{
    memcpy(window, x, (size_t)size * sizeof(double));
    qsort(window, (size_t)size, sizeof(double), by_value);
    median[0] = window[size / 2];
    for (int64_t i = size; i < n; i++) {
        double leaves = x[i - size], enters = x[i];
        int64_t at = place_of(window, size - 1, leaves); /* never beyond the end, even with NaN */
        if (enters >= leaves) {
            int64_t to = at + place_of(window + at + 1, size - at - 1, enters);
            memmove(window + at, window + at + 1, (size_t)(to - at) * sizeof(double));
            window[to] = enters;
        } else {
            int64_t to = place_of(window, at, enters);
            memmove(window + to + 1, window + to, (size_t)(at - to) * sizeof(double));
            window[to] = enters;
        }
        median[i - size + 1] = window[size / 2];
    }
}

/* WFDB format 212: two samples of 12 bits from three bytes, with the sign extended to 16 bits. */
EXPORT void twelve_bits(const uint8_t *bytes, int64_t n_pairs, int16_t *samples)
{
    for (int64_t i = 0; i < n_pairs; i++) {
        unsigned low = bytes[3 * i], halves = bytes[3 * i + 1], high = bytes[3 * i + 2];
        samples[2 * i] = (int16_t)((int16_t)(uint16_t)((low | halves << 8) << 4) >> 4);
        samples[2 * i + 1] = (int16_t)((int16_t)(uint16_t)(high << 4 | (halves & 0xF0) << 8) >> 4);
    }
}

#define AT_ONCE 1024 /* values that a loop without branches goes over in wide registers */

/* Stored numbers in mV; NaN where the number is `missing`. */
EXPORT WIDE void in_mv(const int16_t *stored, int64_t n, int64_t stride, float baseline, float gain, int32_t missing,
                  float *mv)
{
    int16_t numbers[AT_ONCE];
    for (int64_t first = 0; first < n; first += AT_ONCE) {
        int64_t n_numbers = n - first < AT_ONCE ? n - first : AT_ONCE;
        for (int64_t i = 0; i < n_numbers; i++)
            numbers[i] = stored[(first + i) * stride];
        for (int64_t i = 0; i < n_numbers; i++)
            mv[first + i] = ((float)numbers[i] - baseline) / gain;
        for (int64_t i = 0; i < n_numbers; i++)
            mv[first + i] = numbers[i] == missing ? NAN : mv[first + i];
    }
}

/* Whether no step of `width` samples near a spike is larger than `limit`. */
static int is_quiet(const float *lead, int64_t sample, int64_t width, int64_t quiet, float limit)
{
    for (int64_t away = 0; away < quiet; away++) {
        int64_t after = sample + width + away, before = sample - width - away;
        if (!(fabsf(lead[after + width] - lead[after]) <= limit)
            || !(fabsf(lead[before - width] - lead[before]) <= limit))
            return 0;
    }
    return 1;
}

/* Pacing spikes of some widths in samples: see ectopy.signal.pacing_spikes. The signal turns at each within
 * the last and greatest width on either side: the product of its steps there is below `turn`, which is
 * negative. Return their number; there is room for n_widths * n. */
EXPORT WIDE int64_t narrow_peaks(const float *lead, int64_t n, const int64_t *widths, int64_t n_widths, int64_t quiet,
                            float turn, float smallest, float quiet_part, int64_t *samples, float *heights)
{
    uint8_t turns[AT_ONCE];
    int64_t found = 0, widest = widths[n_widths - 1], margin = quiet + 2 * widest, end = n - margin;
    for (int64_t first = margin; first < end; first += AT_ONCE) {
        int64_t n_tested = end - first < AT_ONCE ? end - first : AT_ONCE;
        const float *here = lead + first, *before = here - widest, *after = here + widest;
        for (int64_t i = 0; i < n_tested; i++)
            turns[i] = (here[i] - before[i]) * (after[i] - here[i]) < turn;
        for (const uint8_t *next = turns; (next = memchr(next, 1, (size_t)(turns + n_tested - next))); next++) {
            int64_t i = first + (next - turns);
            if (!((lead[i] - lead[i - 1]) * (lead[i] - lead[i + 1]) >= 0.0f))
                continue;
            for (int64_t k = 0; k < n_widths; k++) {
                float rise = lead[i] - lead[i - widths[k]], fall = lead[i] - lead[i + widths[k]];
                float height = fminf(fabsf(rise), fabsf(fall));
                if (rise * fall > 0.0f && height >= smallest
                    && is_quiet(lead, i, widths[k], quiet, quiet_part * height)) {
                    samples[found] = i;
                    heights[found++] = height;
                }
            }
        }
    }
    return found;
}

/* A number in half precision, rounded to the nearest, of an absolute value of at most 1. */
static uint16_t half(float x)
{
    const float denormal = 0.5f; /* the sum with it has the bits of a small number at its end */
    uint32_t bits, sign, shifted, magic;
    memcpy(&bits, &x, sizeof bits);
    sign = bits & 0x80000000u;
    bits ^= sign;
    uint32_t normal = (bits + 0xC8000FFFu + (bits >> 13 & 1)) >> 13; /* another bias of the exponent */
    float small;
    memcpy(&small, &bits, sizeof small);
    small += denormal;
    memcpy(&shifted, &small, sizeof shifted);
    memcpy(&magic, &denormal, sizeof magic);
    return (uint16_t)((bits < 113u << 23 ? shifted - magic : normal) | sign >> 16);
}

/* Windows of `size` samples that begin `before` samples before each R peak, `step` samples apart, in half
 * precision and scaled to a largest deflection of 1; `scale` is the deflection, plus the least number.
 * Beyond the ends of the lead, its last value goes on. A window begins `row` values after the one before, a
 * scale `scale_row`. `window` is scratch space, [size]. */
EXPORT WIDE void cut_windows(const float *lead, int64_t n, const int64_t *r_peaks, int64_t n_peaks, int64_t before,
                        int64_t step, int64_t size, int64_t row, int64_t scale_row, float *restrict window,
                        uint16_t *restrict windows, float *restrict scale)
{
    for (int64_t i = 0; i < n_peaks; i++) {
        int64_t first = r_peaks[i] - before;
        int32_t most = 0, size_bits; /* of numbers that are not negative, the bits have the same order */
        float largest;
        if (first >= 0 && first + size * step <= n)
            for (int64_t k = 0; k < size; k++)
                window[k] = lead[first + k * step];
        else
            for (int64_t k = 0; k < size; k++) {
                int64_t at = first + k * step;
                window[k] = lead[at < 0 ? 0 : at >= n ? n - 1 : at];
            }
        for (int64_t k = 0; k < size; k++) {
            memcpy(&size_bits, window + k, sizeof size_bits);
            size_bits &= 0x7FFFFFFF;
            most = size_bits > most ? size_bits : most;
        }
        memcpy(&largest, &most, sizeof largest);
        largest += FLT_MIN;
        for (int64_t k = 0; k < size; k++)
            windows[i * row + k] = half(window[k] / largest);
        scale[i * scale_row] = largest;
    }
}

/* The largest value within `reach` samples of some samples of a lead, and how far from there it is: the first
 * of equal ones. Beyond the ends of the lead, its last value goes on. */
EXPORT void largest_near(const float *lead, int64_t n, const int64_t *samples, int64_t n_samples, int64_t reach,
                         float *largest, int64_t *offset)
{
    for (int64_t i = 0; i < n_samples; i++) {
        int64_t at = samples[i] - reach, first = at < 0 ? 0 : at, last = samples[i] + reach;
        last = last >= n ? n - 1 : last;
        int64_t best = first;
        for (int64_t k = first + 1; k <= last; k++)
            best = lead[k] > lead[best] ? k : best;
        largest[i] = lead[best];
        offset[i] = best == first && at < 0 ? -reach : best - samples[i];
    }
}

/* The best sequence of beats by dynamic programming: see ectopy.beats.beat_selection.
 * `best` [n] and `running_best` [n] are scratch space; `previous` [n] is the candidate before each, or -1.
 * Return the last candidate of the best sequence, or -1. */
EXPORT int64_t best_sequence(const double *time_s, const double *llr, const double *usual_rr_s, int64_t n,
                             int64_t look_back, double refractory_s, double spread, double most, double *best,
                             double *running_best, int64_t *previous)
{
    int64_t oldest = -1, last = -1;
    double oldest_score = 0.0, highest = -INFINITY;
    for (int64_t current = 0; current < n; current++) {
        int64_t first = current > look_back ? current - look_back : 0;
        if (first && best[first - 1] > oldest_score) {
            oldest = first - 1;
            oldest_score = best[first - 1];
        }
        int64_t before = oldest;
        double score = oldest_score - most;
        for (int64_t earlier = current - 1; earlier >= first && running_best[earlier] > score; earlier--) {
            double rr_s = time_s[current] - time_s[earlier], after = best[earlier];
            if (after > score && rr_s >= refractory_s) {
                double unlikely = log(rr_s / usual_rr_s[current]);
                double penalty = unlikely * unlikely / spread;
                after -= penalty < most ? penalty : most;
                if (after > score) {
                    before = earlier;
                    score = after;
                }
            }
        }
        score += llr[current];
        best[current] = score;
        previous[current] = before;
        highest = score > highest ? score : highest;
        running_best[current] = highest;
        if (last < 0 || score > best[last])
            last = current;
    }
    return last;
}

/* Subtract the mean of `width` values and scale them to length 1, into a column of `unit` [width, row].
 * Return their length before. */
static float normalise(const float *x, int64_t width, int64_t row, float *unit)
{
    float sum = 0.0f, power = 0.0f;
    for (int64_t k = 0; k < width; k++)
        sum += x[k];
    float mean = sum / (float)width;
    for (int64_t k = 0; k < width; k++)
        power += (x[k] - mean) * (x[k] - mean);
    float length = sqrtf(power) + FLT_MIN;
    for (int64_t k = 0; k < width; k++)
        unit[k * row] = (x[k] - mean) / length;
    return length;
}

#define BEATS_AT_ONCE 128
#define MOST_NEARBY 16
#define ROW (BEATS_AT_ONCE + MOST_NEARBY)

/* The correlation of each beat with the second most similar of the `nearby` beats on either side, less where
 * their sizes differ: see ectopy.beats.signal_to_noise. The beats are `width` values from `first` on in each
 * window of `windows` [n, size], and the later beat may be shifted by up to `shifts` values. `nearby` is at
 * most MOST_NEARBY. Scratch space: `unit` [2 * shifts + 1, width, ROW] and `fit` [2 * nearby, n]. */
EXPORT WIDE void second_similarity(const float *windows, int64_t n, int64_t size, int64_t first, int64_t width,
                                   int64_t shifts, int64_t nearby, float *unit, float *fit, float *second)
{
    int64_t n_shifts = 2 * shifts + 1;
    float length[ROW], best[BEATS_AT_ONCE], likeness[BEATS_AT_ONCE];
    for (int64_t i = 0; i < 2 * nearby * n; i++)
        fit[i] = 0.0f;
    for (int64_t begin = 0; begin < n; begin += BEATS_AT_ONCE) {
        int64_t n_inside = n - begin < BEATS_AT_ONCE + nearby ? n - begin : BEATS_AT_ONCE + nearby;
        for (int64_t shift = 0; shift < n_shifts; shift++) {
            const float *windows_here = windows + begin * size + first + shift - shifts;
            float *units = unit + shift * width * ROW;
            for (int64_t i = 0; i < n_inside; i++) {
                float own = normalise(windows_here + i * size, width, ROW, units + i);
                length[i] = shift == shifts ? own : length[i];
            }
        }
        for (int64_t k = 1; k <= nearby && k < n_inside; k++) {
            int64_t n_beats = n_inside - k < BEATS_AT_ONCE ? n_inside - k : BEATS_AT_ONCE;
            for (int64_t shift = 0; shift < n_shifts; shift++) {
                memset(likeness, 0, sizeof likeness);
                for (int64_t at = 0; at < width; at++) {
                    const float *earlier = unit + (shifts * width + at) * ROW;
                    const float *later = unit + (shift * width + at) * ROW + k;
                    for (int64_t i = 0; i < n_beats; i++)
                        likeness[i] += earlier[i] * later[i];
                }
                for (int64_t i = 0; i < n_beats; i++)
                    best[i] = shift == 0 || likeness[i] > best[i] ? likeness[i] : best[i];
            }
            for (int64_t i = 0; i < n_beats; i++) {
                float ratio = length[i + k] / length[i], value = best[i] * 2.0f / (ratio + 1.0f / ratio);
                fit[(k - 1) * n + begin + i + k] = value;
                fit[(nearby + k - 1) * n + begin + i] = value;
            }
        }
    }
    for (int64_t i = 0; i < n; i++) {
        float most = -INFINITY, next = -INFINITY;
        for (int64_t k = 0; k < 2 * nearby; k++) {
            float value = fit[k * n + i];
            next = value > most ? most : value > next ? value : next;
            most = value > most ? value : most;
        }
        second[i] = next;
    }
}

/* A number as it stands in a path; a minus sign replaces a space before it. Returns the end of the text. */
static char *write_number(char *text, char before, int64_t value)
{
    char digits[20];
    int n_digits = 0;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do {
        digits[n_digits++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest);
    if (before != ' ' || value >= 0)
        *text++ = before;
    if (value < 0)
        *text++ = '-';
    while (n_digits)
        *text++ = digits[--n_digits];
    return text;
}

/* Lines as paths of SVG, one path after the other: see ectopy.report.svg.paths. `x` and `y` [n] are the points
 * of all lines, `begins` [n_lines] the first of each line, and `opens` [n_paths] the first of each path. `text`
 * has 24 bytes for each point and each line. Each path begins at one of `bounds`, where the one before ends,
 * [n_paths + 1]. */
EXPORT void path_data(const int32_t *x, const int32_t *y, int64_t n, const int64_t *begins, int64_t n_lines,
                      const int64_t *opens, int64_t n_paths, char *text, int64_t *bounds)
{
    int64_t before_x = 0, before_y = 0, path = 0;
    char *end = text;
    for (int64_t line = 0; line < n_lines; line++) {
        int64_t first = begins[line], stop = line + 1 < n_lines ? begins[line + 1] : n;
        char command = 'm';
        if (path < n_paths && opens[path] == first) {
            bounds[path++] = end - text;
            before_x = before_y = 0;
            command = 'M';
        }
        for (int64_t i = first; i < stop; i++) {
            end = write_number(end, command, (int64_t)x[i] - before_x);
            end = write_number(end, ' ', (int64_t)y[i] - before_y);
            before_x = x[i];
            before_y = y[i];
            command = i == first ? 'l' : ' ';
        }
        if (stop - first == 1) { /* a single point is drawn as a dash */
            end = write_number(end, 'l', 1);
            end = write_number(end, ' ', 0);
            before_x++;
        }
    }
    bounds[path] = end - text;
}
