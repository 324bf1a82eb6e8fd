/* Beats of a running ECG; see ectopy.h. Each part does what the module of its name in ectopy.live does. */
#define ECTOPY_CONSTANTS
#include "ectopy.h"

#include <math.h>
#include <string.h>

#define LENGTH(array) ((int)(sizeof(array) / sizeof(*(array))))
#define NONE (-INFINITY) /* the logarithm of nothing */

enum {
    LIVE_FS = 125,
    APART = 15, /* samples between candidates, at least */
    NEAR = 8,   /* samples between the energy peaks of two leads, at most */
    R_NEAR = 9, /* samples between the R peak and the energy peak, at most */
    REACH = ECTOPY_REACH,
    WAVELET = 2 * REACH + 1,
    BEFORE = 15, /* samples of a QRS complex before the R peak */
    AFTER = 19,
    SHIFT = 4,
    P_START = 35,
    T_START = 19,
    NO_T = -1000, /* the beat before is unknown, and so is where its T wave is */
    WINDOW_BEFORE = P_START + SHIFT,
    WINDOW_AFTER = AFTER + SHIFT,
    WINDOW = WINDOW_BEFORE + 1 + WINDOW_AFTER,
    LEARNING = 6 * LIVE_FS,
    LEARNT_FROM = 8 * LIVE_FS, /* what is older is not learnt from */
    LAG = 2 * LIVE_FS,
    FINAL = 5 * LIVE_FS,
    SECONDS = 2 * LIVE_FS,
    REFRACTORY = 30,
    OFF = 2 * LIVE_FS,
    LOOK_BACK = 14,
    END = 38, /* samples at the end that repeat the last one */
    OF_LEAD = 14,
    TIMING = 15,
    MORPHOLOGY = 9,
    FEATURES = TIMING + MORPHOLOGY + ECTOPY_LEADS * OF_LEAD
};

static const float SILENCE = 2.5f * LIVE_FS, EPS = 1e-6f;

static int least(int a, int b) { return a < b ? a : b; }
static float lower(float a, float b) { return a < b ? a : b; }
static float higher(float a, float b) { return a > b ? a : b; }
static float clip(float value, float limit) { return lower(higher(value, -limit), limit); }
static float square(float value) { return value * value; }
static float log_of(float size) { return size > 0 ? logf(size) : NONE; }

/* Sort a few numbers. */
static void sort(float *values, int n)
{
    for (int i = 1; i < n; i++) {
        float value = values[i];
        int at = i;
        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
}

/* Return the median of numbers, and sort them. */
static float median_of(float *values, int n)
{
    sort(values, n);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

static float median(const float *values, int n)
{
    float sorted[ECTOPY_RECENT];
    memcpy(sorted, values, (size_t)n * sizeof(float));
    return median_of(sorted, n);
}

/* Append a number to the latest ones; return how many there are. */
static int append(float *values, int n, int most, float value)
{
    if (n == most)
        memmove(values, values + 1, (size_t)(--n) * sizeof(float));
    values[n] = value;
    return n + 1;
}

/* ---- front_end: samples of a recorder to filtered samples at 125 Hz ---- */

static float filtered(const float section[5], float state[2], float x)
{
    float y = section[0] * x + state[0];
    state[0] = section[1] * x - section[3] * y + state[1];
    state[1] = section[2] * x - section[4] * y;
    return y;
}

static void take_sample(ectopy_lead *lead, float x)
{
    int known = fabsf(x) <= ECTOPY_LARGEST; /* NaN is not */
    lead->missing = known ? 0 : least(lead->missing + 1, ECTOPY_BRIDGED);
    lead->same = x == lead->raw ? least(lead->same + 1, ECTOPY_FLAT) : 0;
    lead->raw = x;
    if (known) { /* after a gap, the signal goes on where it stopped */
        if (lead->in_gap)
            lead->offset = x - lead->held;
        lead->held = x - lead->offset;
    }
    lead->in_gap = !known;
    x = lead->held;
    for (int i = 0; i < ECTOPY_LOW_SECTIONS; i++)
        x = filtered(LOW_PASS[i], lead->low[i], x);
    memmove(lead->tail, lead->tail + 1, 3 * sizeof(float));
    lead->tail[3] = x;
    int usable = lead->missing < ECTOPY_BRIDGED && lead->same < ECTOPY_FLAT;
    lead->tail_usable = (uint8_t)(lead->tail_usable << 1 | usable);
}

static int slot_of(int32_t sample)
{
    int slot = (int)(sample % ECTOPY_KEPT);
    return slot < 0 ? slot + ECTOPY_KEPT : slot;
}

static float signal_at(const ectopy_stream *s, int lead, int32_t sample)
{
    return s->signal[lead][slot_of(sample)];
}

static int usable_at(const ectopy_stream *s, int lead, int32_t sample)
{
    int slot = slot_of(sample);
    return s->usable[lead][slot / 8] >> slot % 8 & 1;
}

/* Keep a sample at LIVE_FS: the cubic of Catmull and Rom through four neighbours, without baseline. */
static void resample(ectopy_stream *s)
{
    float share = (float)s->rest / (float)ECTOPY_DENOMINATOR;
    int slot = slot_of(s->clock), lost = 1;
    for (int n = 0; n < s->n_leads; n++) {
        ectopy_lead *lead = &s->leads[n];
        float a = lead->tail[0], b = lead->tail[1], c = lead->tail[2], d = lead->tail[3];
        float value = b + 0.5f * share *
                              ((c - a) + share * ((2 * a - 5 * b + 4 * c - d) + share * (3 * (b - c) + d - a)));
        uint8_t bit = (uint8_t)(1 << slot % 8), *bits = &s->usable[n][slot / 8];
        s->signal[n][slot] = filtered(HIGH_PASS, lead->high, value);
        *bits = (uint8_t)(*bits & ~bit);
        if ((lead->tail_usable & 6) == 6) {
            *bits |= bit;
            lost = 0;
        }
    }
    if (lost) {
        if (!s->n_lost || s->lost[s->n_lost - 1].stop < s->clock) { /* an interval begins */
            if (s->n_lost == ECTOPY_LOST)
                memmove(s->lost, s->lost + 1, (size_t)(--s->n_lost) * sizeof(*s->lost));
            s->lost[s->n_lost++].start = s->clock;
        }
        s->lost[s->n_lost - 1].stop = s->clock + 1;
    }
    s->clock++;
}

/* ---- candidates: maxima of the QRS energy ---- */

static float energy_at(const ectopy_stream *s, int lead, int32_t centre)
{
    float even = 0, odd = 0;
    for (int tap = 0; tap < REACH; tap++) {
        float first = signal_at(s, lead, centre - REACH + tap);
        float last = signal_at(s, lead, centre + REACH - tap);
        even += EVEN[tap] * (first + last);
        odd += ODD[tap] * (first - last);
    }
    even += EVEN[REACH] * signal_at(s, lead, centre);
    return sqrtf(even * even + odd * odd);
}

/* Compute the energy of the newest sample that has enough samples after it. */
static void take_energy(ectopy_stream *s)
{
    float sum = 0;
    s->slot = (uint8_t)((s->slot + 1) % ECTOPY_SPAN);
    for (int n = 0; n < s->n_leads; n++) {
        ectopy_lead *lead = &s->leads[n];
        lead->usable_run = (uint8_t)(usable_at(s, n, s->clock - 1) ? least(lead->usable_run + 1, WAVELET) : 0);
        float energy = lead->usable_run == WAVELET ? energy_at(s, n, s->clock - 1 - REACH) : 0;
        float level = ECTOPY_DECAY * energy + lead->mean;
        lead->mean = (1 - ECTOPY_DECAY) * level;
        level = higher(level, 1e-9f);
        lead->energy[s->slot] = energy;
        lead->level[s->slot] = level;
        sum += square(energy / level);
    }
    s->combined[s->slot] = sqrtf(sum);
}

/* Find the R peak near an energy peak: the largest deflection from the mean around it. */
static int32_t r_peak(const ectopy_stream *s, int lead, int32_t peak)
{
    float mean = 0, largest = -1;
    int32_t best = peak;
    for (int i = -APART; i <= APART; i++)
        mean += signal_at(s, lead, peak + i);
    mean /= ECTOPY_SPAN;
    for (int i = -R_NEAR; i <= R_NEAR; i++) {
        float size = fabsf(signal_at(s, lead, peak + i) - mean);
        if (size > largest) {
            largest = size;
            best = peak + i;
        }
    }
    return best;
}

/* Check whether there is a candidate now; its amplitudes are not logarithms yet, ``before`` its interval. */
static int find_candidate(ectopy_stream *s, ectopy_node *found)
{
    int centre = (s->slot + ECTOPY_SPAN - APART) % ECTOPY_SPAN, clearest = 0;
    float highest = s->combined[centre], most = -1;
    int32_t peak = s->clock - 1 - REACH - APART;
    if (highest <= 0)
        return 0;
    for (int i = 0; i < ECTOPY_SPAN; i++)
        if (s->combined[i] > highest)
            return 0;
    if (peak - s->last_peak < APART)
        return 0;
    s->last_peak = peak;
    for (int n = 0; n < s->n_leads; n++) {
        const ectopy_lead *lead = &s->leads[n];
        float strength = 0;
        for (int i = -NEAR; i <= NEAR; i++)
            strength = higher(strength, lead->energy[(centre + i + ECTOPY_SPAN) % ECTOPY_SPAN]);
        float prominence = strength / lead->level[centre] * (n ? 1 : 2);
        if (prominence > most) {
            most = prominence;
            clearest = n;
        }
        found->size[n] = strength;
    }
    found->sample = r_peak(s, clearest, peak);
    found->before = (int16_t)(peak / SECONDS);
    return 1;
}

/* ---- selection: the most likely sequence of beats, with two seconds of hindsight ---- */

static const float VARIANCE = 0.25f, MAX_CONTRAST = 3.0f, FIRST_CONTRAST = 1.8f, MIN_CONTRAST = 0.6f,
                   ONE_SIZE = 0.16f, MAX_LLR = 9.0f, CLEAR = 2.0f, RR_SPREAD = 0.25f, MAX_RR_PENALTY = 4.0f,
                   FIRST_RR = 0.6f * LIVE_FS;

/* Find the most likely sequence, as nodes in order of time; return its length. */
static int best_path(const ectopy_stream *s, uint8_t path[ECTOPY_NODES])
{
    int best = -1, n = 0;
    for (int i = 0; i < s->n_nodes; i++)
        if (best < 0 || s->nodes[i].score > s->nodes[best].score)
            best = i;
    if (best < 0 || !(s->nodes[best].score > 0))
        return 0;
    for (int node = best; node >= 0; node = s->nodes[node].before)
        n++;
    for (int node = best, at = n; node >= 0; node = s->nodes[node].before)
        path[--at] = (uint8_t)node;
    return n;
}

static float spread_around(const float *values, int n, float middle)
{
    float sizes[ECTOPY_LOCAL];
    for (int i = 0; i < n; i++)
        sizes[i] = fabsf(values[i] - middle);
    return median_of(sizes, n);
}

static int has_one_size(const ectopy_lead *lead, float high)
{
    return lead->n_beats == LENGTH(lead->beats) && spread_around(lead->beats, lead->n_beats, high) < ONE_SIZE;
}

/* Check whether the other candidates are like the beats: only every second beat was chosen. */
static int every_second(const ectopy_lead *lead, float high)
{
    return lead->n_others >= LENGTH(lead->beats) && has_one_size(lead, high) &&
           spread_around(lead->others, lead->n_others, high) < 2 * ONE_SIZE;
}

/* Compute the log likelihood ratio of beat against no beat. */
static float evidence_of(const ectopy_lead *lead, float amplitude, float recent, int silent)
{
    float high = lead->n_beats >= 3 ? median(lead->beats, lead->n_beats) : lead->first;
    if (silent)
        high = lower(high, recent);
    if (isinf(amplitude) || isinf(high))
        return 0;
    float low = lead->n_others >= 3 ? median(lead->others, lead->n_others) : high - FIRST_CONTRAST;
    if (every_second(lead, high))
        low = high - FIRST_CONTRAST;
    else if (!silent && high - low < MIN_CONTRAST && has_one_size(lead, high))
        low = high - MIN_CONTRAST;
    low = lower(higher(low, high - MAX_CONTRAST), high);
    return clip((high - low) * (amplitude - (high + low) / 2) / VARIANCE, MAX_LLR);
}

static float usual_rr(const ectopy_stream *s)
{
    int twice = s->n_recent > 2;
    for (int n = 0; n < s->n_leads && twice; n++) {
        const ectopy_lead *lead = &s->leads[n];
        twice = lead->n_beats == LENGTH(lead->beats) &&
                every_second(lead, median(lead->beats, lead->n_beats));
    }
    if (twice) {
        float rr[ECTOPY_RECENT];
        for (int i = 1; i < s->n_recent; i++)
            rr[i - 1] = (float)(s->recent[i].sample - s->recent[i - 1].sample);
        return median_of(rr, s->n_recent - 1);
    }
    return s->n_rr >= 3 ? median(s->rr, s->n_rr) : s->first_rr;
}

/* Return the sum of the evidence for a candidate in all leads, and note where it is clear. */
static float evidence(const ectopy_stream *s, ectopy_node *candidate)
{
    uint8_t path[ECTOPY_NODES];
    int n_path = best_path(s, path), silent = 0;
    int32_t latest = 0;
    float sum = 0;
    if (n_path || s->has_root) {
        int32_t end = n_path ? s->nodes[path[n_path - 1]].sample : s->root;
        silent = (float)(candidate->sample - end) > SILENCE;
    }
    for (int n = 0; n < s->n_leads; n++)
        if (s->leads[n].last_clear > latest)
            latest = s->leads[n].last_clear;
    candidate->clear = 0;
    for (int n = 0; n < s->n_leads; n++) {
        float recent = NONE;
        for (int i = 0; i < s->n_recent; i++)
            recent = higher(recent, s->recent[i].size[n]);
        float value = evidence_of(&s->leads[n], candidate->size[n], recent, silent);
        if (value < 0 && s->leads[n].last_clear < latest - OFF)
            value = 0; /* the lead is off */
        if (value > CLEAR)
            candidate->clear = (uint8_t)(candidate->clear | 1 << n);
        sum += value;
    }
    return sum;
}

static void note_recent(ectopy_stream *s, const ectopy_node *candidate)
{
    int old = s->n_recent == ECTOPY_RECENT;
    while (old < s->n_recent && (float)(candidate->sample - s->recent[old].sample) > SILENCE)
        old++;
    s->n_recent = (uint8_t)(s->n_recent - old);
    memmove(s->recent, s->recent + old, s->n_recent * sizeof(*s->recent));
    s->recent[s->n_recent].sample = candidate->sample;
    memcpy(s->recent[s->n_recent++].size, candidate->size, sizeof(candidate->size));
}

/* Add a candidate to the search; scores count from the last final beat. */
static void add_candidate(ectopy_stream *s, ectopy_node candidate)
{
    for (int n = 0; n < s->n_leads; n++)
        candidate.size[n] = log_of(candidate.size[n]);
    note_recent(s, &candidate);
    float sum = evidence(s, &candidate), usual = usual_rr(s), score = s->has_root ? -MAX_RR_PENALTY : 0;
    if (s->has_root && candidate.sample - s->root < REFRACTORY)
        score = NONE;
    candidate.before = -1;
    int first = s->n_nodes > LOOK_BACK ? s->n_nodes - LOOK_BACK : 0;
    for (int i = s->has_root ? first - 1 : first; i < s->n_nodes; i++) {
        int is_root = i < first;
        int32_t rr = candidate.sample - (is_root ? s->root : s->nodes[i].sample);
        float of_before = is_root ? 0 : s->nodes[i].score;
        if (rr < REFRACTORY || isinf(of_before))
            continue;
        of_before -= lower(square(logf((float)rr / usual)) / (2 * RR_SPREAD * RR_SPREAD), MAX_RR_PENALTY);
        if (of_before > score) {
            score = of_before;
            candidate.before = (int16_t)(is_root ? -1 : i);
        }
    }
    candidate.score = score + sum;
    if (s->n_nodes < ECTOPY_NODES)
        s->nodes[s->n_nodes++] = candidate;
}

static void note_for_learning(ectopy_stream *s, ectopy_node candidate)
{
    int old = 0;
    while (old < s->n_nodes && s->nodes[old].sample <= candidate.sample - LEARNT_FROM)
        old++;
    s->n_nodes = (uint8_t)(s->n_nodes - old);
    memmove(s->nodes, s->nodes + old, s->n_nodes * sizeof(*s->nodes));
    if (s->n_nodes < ECTOPY_NODES)
        s->nodes[s->n_nodes++] = candidate;
}

/* Estimate the size of the beats from the highest candidate of every two seconds, and their RR. */
static void learn(ectopy_stream *s)
{
    int n_learning = s->n_nodes, n_rr = 0;
    float values[ECTOPY_NODES];
    for (int n = 0; n < s->n_leads; n++) {
        int n_sizes = 0;
        for (int i = 0; i < n_learning; i++) {
            float size = log_of(s->nodes[i].size[n]);
            if (i && s->nodes[i].before == s->nodes[i - 1].before)
                values[n_sizes - 1] = higher(values[n_sizes - 1], size);
            else
                values[n_sizes++] = size;
        }
        s->leads[n].first = median_of(values, n_sizes);
    }
    const ectopy_node *before = NULL;
    for (int i = 0; i < n_learning; i++) {
        const ectopy_node *node = &s->nodes[i];
        int high = 0;
        for (int n = 0; n < s->n_leads; n++)
            high |= log_of(node->size[n]) > s->leads[n].first - FIRST_CONTRAST / 2;
        if (!high)
            continue;
        if (before && node->sample - before->sample >= REFRACTORY)
            values[n_rr++] = (float)(node->sample - before->sample);
        before = node;
    }
    s->first_rr = n_rr ? median_of(values, n_rr) : FIRST_RR;
    s->learnt = 1;
    s->n_nodes = 0;
    for (int i = 0; i < n_learning; i++)
        add_candidate(s, s->nodes[i]);
}

/* Remove the first node. Sequences through it go on without it; if it is a beat, all others are given up. */
static void decide_first(ectopy_stream *s, int is_beat)
{
    float base = is_beat ? s->nodes[0].score : 0;
    s->n_nodes--;
    memmove(s->nodes, s->nodes + 1, s->n_nodes * sizeof(*s->nodes));
    for (int i = 0; i < s->n_nodes; i++) {
        ectopy_node *node = &s->nodes[i];
        int before = node->before - 1;
        if (is_beat && (before < -1 || (before >= 0 && isinf(s->nodes[before].score))))
            node->score = NONE;
        node->score -= base;
        node->before = (int16_t)(before < -1 ? -1 : before);
    }
}

/* ---- beat_features: the features of a beat, from the beats before it only ---- */

static float log_ratio_within(float value, float unit, float limit)
{
    return clip(logf((value + EPS) / (unit + EPS)), limit);
}

static float log_ratio(float value, float unit) { return log_ratio_within(value, unit, 1.5f); }

static float fisher_z(float correlation) { return atanhf(clip(correlation, 0.999f)); }

static float product(const float *a, const float *b, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += a[i] * b[i];
    return sum;
}

static float distance(const float *a, const float *b, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += square(a[i] - b[i]);
    return sum;
}

static void centre(float *wave, const float *source, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += source[i];
    sum /= (float)n;
    for (int i = 0; i < n; i++)
        wave[i] = source[i] - sum;
}

static void approach(float *mean, float value, float share) { *mean += (value - *mean) / share; }

/* Compute the features of timing; return the log of RR over the local RR. */
static float timing(ectopy_known *known, float rr_s, float *feature)
{
    int n = known->n_rr, n_local = least(n, ECTOPY_LOCAL), first = n > 24 ? n - 24 : 0;
    float *rr = known->rr, sorted[ECTOPY_RR];
    if (isnan(rr_s))
        rr_s = n ? median(rr + n - n_local, n_local) : 0.8f;
    rr_s = lower(higher(rr_s, 0.1f), 5.0f);
    float before = n ? rr[n - 1] : rr_s, two_before = n > 1 ? rr[n - 2] : before;
    int n_match = 0, n_both = 0;
    for (int i = first; i < n; i++) {
        int match = fabsf(rr[i] - rr_s) < 0.05f * rr_s;
        n_match += match;
        n_both += match && i > first && fabsf(rr[i - 1] - before) < 0.05f * before;
    }
    float step = fabsf(log_ratio(rr_s, before)), second = fabsf(log_ratio(rr_s, two_before));
    append(known->longer, n_local, ECTOPY_LOCAL, higher(rr_s, before));
    append(known->steps, n_local, ECTOPY_LOCAL, step);
    append(known->second_steps, n_local, ECTOPY_LOCAL, second);
    n_local = append(known->pairs_s, n_local, ECTOPY_LOCAL, (rr_s + before) / 2);
    known->n_rr = (uint8_t)(n = append(rr, n, ECTOPY_RR, rr_s));
    float local = median(known->pairs_s, n_local), from_local = log_ratio(rr_s, local);
    approach(&known->spread, fabsf(from_local), 32);
    approach(&known->wide, step, 64);
    approach(&known->matches, (float)n_match, 32);
    approach(&known->pairs, (float)n_both, 32);
    approach(&known->premature, from_local < -0.12f, 32);
    memcpy(sorted, rr, (size_t)n * sizeof(float));
    sort(sorted, n);
    float shortest = INFINITY;
    for (int i = n > 8 ? n - 8 : 0; i < n; i++)
        if (rr[i] > local * 0.92311635f) /* exp(-0.08): not premature */
            shortest = lower(shortest, rr[i]);
    *feature++ = from_local;
    *feature++ = log_ratio(rr_s, before);
    *feature++ = log_ratio(rr_s, two_before);
    *feature++ = log_ratio(rr_s + before, 2 * local);
    *feature++ = log_ratio(local, 1);
    *feature++ = log_ratio(rr_s, sorted[4 * n / 5]);
    *feature++ = log_ratio(rr_s, isinf(shortest) ? local : shortest);
    *feature++ = log_ratio(rr_s, median(known->longer, n_local));
    *feature++ = clip(from_local / (known->spread + 0.02f), 5);
    *feature++ = median(known->steps, n_local);
    *feature++ = median(known->second_steps, n_local);
    *feature++ = known->wide;
    *feature++ = logf((float)n_match + 0.2f);
    *feature++ = logf((known->matches + 0.2f) / (known->pairs + 0.2f));
    *feature++ = known->premature;
    if (known->shape >= 0) { /* the pause after the beat before is known now */
        float *own = known->of_shapes[known->shape];
        own[2] += (log_ratio(rr_s, before) - own[2]) * higher(1 / higher(own[0], 1), 0.05f);
    }
    return from_local;
}

typedef float ectopy_waves[ECTOPY_LEADS][ECTOPY_QRS];
typedef float ectopy_window[ECTOPY_LEADS][WINDOW];
typedef float ectopy_t_waves[ECTOPY_LEADS][ECTOPY_T];

static void first_beat(ectopy_known *known, ectopy_window window)
{
    memset(known->shapes, 0, sizeof(known->shapes));
    memset(known->of_shapes, 0, sizeof(known->of_shapes));
    for (int n = 0; n < ECTOPY_LEADS; n++) {
        centre(known->qrs[n], window[n] + WINDOW_BEFORE - BEFORE, ECTOPY_QRS);
        centre(known->p_wave[n], window[n] + WINDOW_BEFORE - P_START, ECTOPY_P);
    }
    memcpy(known->shapes[0], known->qrs, sizeof(known->qrs));
    known->of_shapes[0][0] = known->of_shapes[0][3] = 1;
    memset(known->t_wave, 0, sizeof(known->t_wave));
    known->shape = 0;
}

static int normal_shape(ectopy_known *known)
{
    int best = 0;
    float most = -1;
    for (int i = 0; i < ECTOPY_SHAPES; i++) {
        float *own = known->of_shapes[i];
        float normality = own[0] * expf(4 * lower(higher(own[1], -1), 0));
        if (normality > most) {
            most = normality;
            best = i;
        }
    }
    return best;
}

/* Cut out the QRS complex where it is most like the normal one; return the shift. */
static int align(ectopy_window window, ectopy_waves template, ectopy_waves qrs)
{
    const int first = WINDOW_BEFORE - BEFORE - SHIFT;
    int best = 0;
    float most = -INFINITY;
    for (int shift = 0; shift <= 2 * SHIFT; shift++) {
        float fit = 0, power = 0;
        for (int n = 0; n < ECTOPY_LEADS; n++) {
            const float *view = window[n] + first + shift;
            float sum = 0;
            for (int i = 0; i < ECTOPY_QRS; i++)
                sum += view[i];
            fit += product(view, template[n], ECTOPY_QRS);
            power += product(view, view, ECTOPY_QRS) - sum * sum / ECTOPY_QRS;
        }
        fit /= sqrtf(higher(power, 0) + EPS);
        if (fit > most) {
            most = fit;
            best = shift;
        }
    }
    for (int n = 0; n < ECTOPY_LEADS; n++)
        centre(qrs[n], window[n] + first + best, ECTOPY_QRS);
    return best - SHIFT;
}

/* Find the shape that is most like a QRS complex over the leads that can be read, and let it learn. */
static int assign(ectopy_known *known, ectopy_waves qrs, int readable, float from_local, float *own_distance)
{
    int own = 0, fewest = 0;
    *own_distance = INFINITY;
    for (int i = 0; i < ECTOPY_SHAPES; i++) {
        float power = 0, difference = 0;
        known->of_shapes[i][0] *= 0.998f;
        for (int n = 0; n < ECTOPY_LEADS; n++) {
            float *shape = known->shapes[i][n];
            if (!(readable >> n & 1))
                continue;
            power += product(shape, shape, ECTOPY_QRS) + product(qrs[n], qrs[n], ECTOPY_QRS);
            difference += distance(shape, qrs[n], ECTOPY_QRS);
        }
        float apart = known->of_shapes[i][0] == 0 ? 2 : sqrtf(difference / (power + EPS));
        if (apart < *own_distance) {
            *own_distance = apart;
            own = i;
        }
        if (known->of_shapes[i][0] < known->of_shapes[fewest][0])
            fewest = i;
    }
    if (!readable)
        return own;
    if (*own_distance > 0.35f) {
        own = fewest;
        memcpy(known->shapes[own], qrs, sizeof(known->shapes[own]));
        known->of_shapes[own][0] = known->of_shapes[own][2] = 0;
        known->of_shapes[own][1] = from_local;
        known->of_shapes[own][3] = 1;
    }
    float *of_shape = known->of_shapes[own], rate = higher(1 / ++of_shape[0], 0.05f);
    of_shape[1] += rate * (from_local - of_shape[1]);
    of_shape[3] += rate * ((from_local > -0.05f) - of_shape[3]);
    for (int n = 0; n < ECTOPY_LEADS; n++)
        for (int i = 0; i < ECTOPY_QRS && (readable >> n & 1); i++)
            known->shapes[own][n][i] += rate * (qrs[n][i] - known->shapes[own][n][i]);
    return own;
}

static float extent(const float *wave)
{
    float low = wave[0], high = wave[0];
    for (int i = 1; i < ECTOPY_QRS; i++) {
        low = lower(low, wave[i]);
        high = higher(high, wave[i]);
    }
    return high - low;
}

static float area(const float *wave)
{
    float sum = 0;
    for (int i = 0; i < ECTOPY_QRS; i++)
        sum += fabsf(wave[i]);
    return sum;
}

static float width_s(const float *wave)
{
    float total = 0, first = 0, second = 0;
    for (int i = 0; i < ECTOPY_QRS; i++) {
        float power = square(wave[i]) + EPS, time = (float)i / LIVE_FS;
        total += power;
        first += power * time;
        second += power * (time * time);
    }
    return sqrtf(higher(second / total - square(first / total), 0) * 12);
}

/* Return the correlation of two waves without mean, as Fisher's z. */
static float likeness(const float *a, const float *b, int n)
{
    return fisher_z(product(a, b, n) / (sqrtf(product(a, a, n) * product(b, b, n)) + EPS));
}

/* Remove the normal T wave of the beat before from a P wave, which begins so many samples after it begins. */
static void without_t(float *alone, const float *p_wave, const float *t_wave, int after)
{
    for (int i = 0; i < ECTOPY_P; i++)
        alone[i] = p_wave[i] - (after == NO_T ? 0 : t_wave[least(after + i > 0 ? after + i : 0, ECTOPY_T - 1)]);
    centre(alone, alone, ECTOPY_P);
}

/* Learn the T wave of the beat before from the leads in which it is known. */
static void learn_t_wave(ectopy_known *known, ectopy_t_waves t_wave, int readable)
{
    int is_known = 0;
    for (int n = 0; n < ECTOPY_LEADS; n++)
        for (int i = 0; i < ECTOPY_T && (readable >> n & 1); i++)
            is_known |= (t_wave[n][i] < 0 || t_wave[n][i] > 0) << n;
    if (!is_known)
        return;
    known->n_t_waves++;
    float rate = higher(1 / (float)known->n_t_waves, 0.05f);
    for (int n = 0; n < ECTOPY_LEADS; n++)
        for (int i = 0; i < ECTOPY_T && (is_known >> n & 1); i++)
            known->t_wave[n][i] += rate * (t_wave[n][i] - known->t_wave[n][i]);
}

/* Compare a lead of a beat with the normal beat and with the beat before; return the P correlation. */
static float compare(const ectopy_known *known, int n, const float *qrs, const float *template,
                     const float *p_wave, const float *t_wave, int p_after_t, float *feature)
{
    float alone[ECTOPY_P];
    const float *p_normal = known->p_wave[n], *qrs_before = known->qrs[n];
    float mine = sqrtf(product(qrs, qrs, ECTOPY_QRS)), usual = sqrtf(product(template, template, ECTOPY_QRS));
    float both = product(qrs, template, ECTOPY_QRS), tall = extent(template), wide = width_s(qrs);
    float p_correlation = likeness(p_wave, p_normal, ECTOPY_P);
    float size_before = sqrtf(product(qrs_before, qrs_before, ECTOPY_QRS));
    *feature++ = fisher_z(both / (mine * usual + EPS));
    *feature++ = log_ratio_within(sqrtf(distance(qrs, template, ECTOPY_QRS)), usual, 3);
    *feature++ = log_ratio(extent(qrs), tall);
    *feature++ = log_ratio(wide, width_s(template));
    *feature++ = log_ratio(area(qrs), area(template));
    *feature++ = lower(higher(both / (usual * usual + EPS), -2), 3);
    *feature++ = 10 * wide;
    *feature++ = p_correlation;
    *feature++ = log_ratio_within(sqrtf(distance(p_wave, p_normal, ECTOPY_P)), tall, 3);
    without_t(alone, p_wave, known->t_wave[n], p_after_t);
    *feature++ = likeness(alone, p_normal, ECTOPY_P);
    *feature++ = log_ratio_within(sqrtf(product(alone, alone, ECTOPY_P)), tall, 3);
    *feature++ = likeness(t_wave, known->t_wave[n], ECTOPY_T);
    *feature++ = fisher_z(product(qrs, qrs_before, ECTOPY_QRS) / (mine * size_before + EPS));
    *feature++ = 1;
    return p_correlation;
}

/* Compute the features of shape; ``readable`` has a bit per lead. */
static void morphology(ectopy_known *known, ectopy_window window, ectopy_t_waves t_wave, int readable,
                       float rr, float from_local, float *feature)
{
    float template[ECTOPY_LEADS][ECTOPY_QRS], qrs[ECTOPY_LEADS][ECTOPY_QRS], p_wave[ECTOPY_LEADS][ECTOPY_P];
    float own_distance, p_best = 0, both = 0, mine = 0, usual = 0, apart = 0, sum = 0;
    if (known->shape < 0)
        first_beat(known, window);
    int normal = normal_shape(known);
    memcpy(template, known->shapes[normal], sizeof(template));
    for (int n = 0; n < ECTOPY_LEADS; n++)
        if (!(readable >> n & 1))
            memset(template[n], 0, sizeof(template[n]));
    int shift = align(window, template, qrs), at = WINDOW_BEFORE + shift - P_START;
    int p_after_t = isnan(rr) ? NO_T : (int)lrintf(rr * LIVE_FS) + shift - P_START - T_START;
    int own = assign(known, qrs, readable, from_local, &own_distance);
    for (int n = 0; n < ECTOPY_LEADS; n++) {
        float *columns = feature + MORPHOLOGY + n * OF_LEAD;
        centre(p_wave[n], window[n] + at, ECTOPY_P);
        memset(columns, 0, OF_LEAD * sizeof(float));
        if (readable >> n & 1)
            p_best = higher(p_best, compare(known, n, qrs[n], template[n], p_wave[n], t_wave[n], p_after_t,
                                            columns));
        both += product(qrs[n], template[n], ECTOPY_QRS);
        mine += product(qrs[n], qrs[n], ECTOPY_QRS);
        usual += product(template[n], template[n], ECTOPY_QRS);
        apart += distance(qrs[n], template[n], ECTOPY_QRS);
    }
    for (int i = 0; i < ECTOPY_SHAPES; i++)
        sum += known->of_shapes[i][0];
    const float *of_shape = known->of_shapes[own];
    float *typical = known->typical, z = fisher_z(both / (sqrtf(mine) * sqrtf(usual) + EPS));
    float residual = log_ratio_within(sqrtf(apart), sqrtf(usual), 3);
    approach(&known->p_nearby, p_best, 16);
    *feature++ = logf(of_shape[0] / sum + 0.01f);
    *feature++ = of_shape[1];
    *feature++ = of_shape[2];
    *feature++ = of_shape[3];
    *feature++ = logf(lower(own_distance, 2) + 0.02f);
    *feature++ = clip((z - typical[0]) / (2 * typical[1] + 0.05f), 6);
    *feature++ = clip((residual - typical[2]) / (2 * typical[3] + 0.05f), 6);
    *feature++ = known->p_nearby;
    *feature++ = logf((float)least(known->n_beats + 1, 200) / 200);
    int was_usual = known->usual_before;
    known->usual_before = own == normal && readable && from_local > -0.08f;
    if (own == normal && readable) {
        float rate = from_local > -0.08f ? higher(1 / of_shape[0], 0.05f) : 0;
        approach(&typical[1], fabsf(z - typical[0]), 16);
        approach(&typical[0], z, 16);
        approach(&typical[3], fabsf(residual - typical[2]), 16);
        approach(&typical[2], residual, 16);
        for (int n = 0; n < ECTOPY_LEADS; n++)
            for (int i = 0; i < ECTOPY_P && (readable >> n & 1); i++)
                known->p_wave[n][i] += rate * (p_wave[n][i] - known->p_wave[n][i]);
    }
    for (int n = 0; n < ECTOPY_LEADS; n++)
        if (readable >> n & 1)
            memcpy(known->qrs[n], qrs[n], sizeof(qrs[n]));
    known->shape = (int8_t)own;
    if (was_usual)
        learn_t_wave(known, t_wave, readable);
}

/* ---- network: a step of the forward GRU ---- */

static float channel(const ectopy_weight *weights, const float *x, int n)
{
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += x[i] * (float)weights[i];
    return sum;
}

static float sigmoid(float x) { return 1 / (1 + expf(-x)); }

/* Read the features of a beat; row k of the probabilities is of the beat k before it. */
static void step(float state[ECTOPY_UNITS], const float *feature,
                 float probability[ECTOPY_LOOK_AHEAD + 1][ECTOPY_CLASSES])
{
    float x[ECTOPY_INPUTS], dense[ECTOPY_DENSE], next[ECTOPY_UNITS];
    for (int i = 0; i < ECTOPY_INPUTS; i++)
        x[i] = (feature[COLUMNS[i]] - MEAN[i]) / SCALE[i];
    for (int j = 0; j < ECTOPY_DENSE; j++)
        dense[j] = higher(channel(DENSE[j], x, ECTOPY_INPUTS) * UNIT(DENSE, j) + DENSE_BIAS[j], 0);
    for (int j = 0; j < ECTOPY_UNITS; j++) {
        float from_input[3], from_state[3];
        for (int gate = 0, at = j; gate < 3; gate++, at += ECTOPY_UNITS) {
            from_input[gate] = channel(KERNEL[at], dense, ECTOPY_DENSE) * UNIT(KERNEL, at) + BIAS[0][at];
            from_state[gate] = channel(RECURRENT[at], state, ECTOPY_UNITS) * UNIT(RECURRENT, at) + BIAS[1][at];
        }
        float update = sigmoid(from_input[0] + from_state[0]), reset = sigmoid(from_input[1] + from_state[1]);
        next[j] = update * state[j] + (1 - update) * tanhf(from_input[2] + reset * from_state[2]);
    }
    memcpy(state, next, sizeof(next));
    for (int seen = 0; seen <= ECTOPY_LOOK_AHEAD; seen++) {
        float logit[ECTOPY_LABELS], highest = -INFINITY, sum = 0;
        for (int j = 0, at = seen * ECTOPY_LABELS; j < ECTOPY_LABELS; j++, at++) {
            logit[j] = channel(OUT[at], state, ECTOPY_UNITS) * UNIT(OUT, at) + OUT_BIAS[at];
            logit[j] /= TEMPERATURE[seen];
            highest = higher(highest, logit[j]);
        }
        for (int j = 0; j < ECTOPY_LABELS; j++)
            sum += logit[j] = expf(logit[j] - highest);
        memset(probability[seen], 0, sizeof(probability[seen]));
        for (int j = 0; j < ECTOPY_LABELS; j++)
            probability[seen][LABEL_CLASS[j]] = logit[j] / sum;
    }
}

/* ---- paroxysm: supraventricular tachycardia begins suddenly, and its beats are S ---- */

static const float EPISODE_ENDS = 0.15f;

enum { EPISODE = 5, USUAL = 16, FEWEST = 5 };

/* Check whether the latest beats are a regular tachycardia far faster than the beats before. */
static int begins(const ectopy_known *known)
{
    int n = known->n_usual > USUAL ? known->n_usual - EPISODE : known->n_usual, n_same = 0;
    float steps[EPISODE - 1];
    if (known->n_latest < EPISODE || n < FEWEST)
        return 0;
    for (int i = 0; i < EPISODE; i++)
        if (known->latest[i] >= ECTOPY_FAST)
            return 0;
    for (int i = 1; i < EPISODE; i++)
        steps[i - 1] = fabsf(known->latest[i] - known->latest[i - 1]);
    float middle = median(known->usual, n);
    for (int i = 0; i < n; i++)
        n_same += fabsf(known->usual[i] - middle) < 3 * ECTOPY_STEADY;
    return (float)n_same > 0.6f * (float)n && median_of(steps, EPISODE - 1) < ECTOPY_STEADY &&
           middle - median(known->latest, EPISODE) > ECTOPY_SUDDEN;
}

/* Bring what is known of the rate up to date after a beat with a label. */
static void note_rate(ectopy_known *known, char label, float rr)
{
    int unknown = isnan(rr);
    float log_rr = unknown ? 0 : logf(rr);
    if (!unknown && (label == 'V' || known->after_ventricular)) {
        known->after_ventricular = label == 'V';
        return;
    }
    if (unknown || (known->paroxysmal && log_rr > median(known->latest, known->n_latest) + EPISODE_ENDS)) {
        known->n_latest = known->paroxysmal = known->after_ventricular = 0;
        return;
    }
    if (known->paroxysmal) {
        known->n_latest = (uint8_t)append(known->latest, known->n_latest, LENGTH(known->latest), log_rr);
        return;
    }
    if (label == 'N')
        known->n_usual = (uint8_t)append(known->usual, known->n_usual, LENGTH(known->usual), log_rr);
    known->n_latest = (uint8_t)append(known->latest, known->n_latest, EPISODE, log_rr);
    known->paroxysmal = (uint8_t)begins(known);
}

/* ---- stream: samples in, provisional and final beats out ---- */

static char label_of(const float probability[ECTOPY_CLASSES])
{
    int best = 0;
    for (int i = 1; i < ECTOPY_CLASSES; i++)
        if (probability[i] > probability[best])
            best = i;
    return "NSVF"[best];
}

/* Return the label of a beat: a normal one of a paroxysm is S. */
static char settled_label(const ectopy_answer *beat)
{
    char label = label_of(beat->probability);
    return label == 'N' && beat->paroxysmal ? 'S' : label;
}

static float rr_s(const ectopy_stream *s, const ectopy_known *known, int32_t sample)
{
    if (!known->n_beats)
        return NAN;
    for (int i = 0; i < s->n_lost; i++)
        if (s->lost[i].start <= sample && known->sample + 1 < s->lost[i].stop)
            return NAN;
    return (float)(sample - known->sample) / LIVE_FS;
}

/* Describe a beat, and bring what is known up to date. */
static void describe(const ectopy_stream *s, ectopy_known *known, int32_t sample,
                     float probability[ECTOPY_LOOK_AHEAD + 1][ECTOPY_CLASSES])
{
    float window[ECTOPY_LEADS][WINDOW], t_wave[ECTOPY_LEADS][ECTOPY_T], feature[FEATURES];
    int readable = 0;
    int32_t first = sample - WINDOW_BEFORE;
    float rr = rr_s(s, known, sample);
    int32_t end_of_t = known->sample + T_START + ECTOPY_T;
    int has_t = !isnan(rr) && rr <= 5 && end_of_t <= sample + WINDOW_AFTER &&
                known->sample + T_START >= s->clock - ECTOPY_KEPT;
    memset(window, 0, sizeof(window));
    memset(t_wave, 0, sizeof(t_wave));
    for (int n = 0; n < s->n_leads; n++) {
        int all = first >= s->clock - ECTOPY_KEPT, all_of_t = has_t; /* the signal is still kept */
        for (int i = 0; i < ECTOPY_T && all_of_t; i++)
            all_of_t = usable_at(s, n, known->sample + T_START + i);
        for (int i = 0; i < ECTOPY_T && all_of_t; i++)
            t_wave[n][i] = signal_at(s, n, known->sample + T_START + i);
        centre(t_wave[n], t_wave[n], ECTOPY_T);
        for (int i = WINDOW_BEFORE - BEFORE; i <= WINDOW_BEFORE + AFTER && all; i++)
            all &= first + i < s->clock && usable_at(s, n, first + i);
        for (int i = 0; i < WINDOW && all; i++) /* at the end of the signal, its last sample is repeated */
            window[n][i] = signal_at(s, n, first + i < s->clock ? first + i : s->clock - 1);
        readable |= all << n;
    }
    float from_local = timing(known, rr, feature);
    morphology(known, window, t_wave, readable, rr, from_local, feature + TIMING);
    step(known->state, feature, probability);
    note_rate(known, label_of(probability[0]), rr);
    known->n_beats++;
    known->sample = sample;
}

/* Return where a sample at LIVE_FS is in the input. */
static int32_t position(int32_t sample)
{
    int64_t scaled = (int64_t)sample * ECTOPY_NUMERATOR;
    float rest = (float)(scaled % ECTOPY_DENOMINATOR) / (float)ECTOPY_DENOMINATOR;
    int32_t at = (int32_t)(scaled / ECTOPY_DENOMINATOR) + (int32_t)floorf(rest - ECTOPY_DELAY + 0.5f);
    return at > 0 ? at : 0;
}

static ectopy_update *tell(ectopy_stream *s, ectopy_kind kind, int32_t sample)
{
    ectopy_update *update = &s->updates[least(s->n_updates, ECTOPY_MAX_UPDATES - 1)];
    memset(update, 0, sizeof(*update));
    update->kind = (uint8_t)kind;
    update->sample = position(sample);
    s->n_updates = (uint8_t)least(s->n_updates + 1, ECTOPY_MAX_UPDATES);
    return update;
}

static void tell_beat(ectopy_stream *s, ectopy_kind kind, const ectopy_answer *beat)
{
    ectopy_update *update = tell(s, kind, beat->sample);
    memcpy(update->probability, beat->probability, sizeof(beat->probability));
    update->label = settled_label(beat);
    if (update->label != label_of(beat->probability)) {
        update->probability[0] = beat->probability[1];
        update->probability[1] = beat->probability[0];
    }
    for (int i = 0; i < ECTOPY_CLASSES; i++)
        update->confident |= beat->probability[i] >= THRESHOLD[beat->seen];
}

static void forget_told(ectopy_stream *s, int i)
{
    s->n_told--;
    memmove(s->told + i, s->told + i + 1, (size_t)(s->n_told - i) * sizeof(*s->told));
}

/* Return where a beat is among those that were told; -1 if it was not. */
static int find_told(const ectopy_stream *s, int32_t sample)
{
    for (int i = 0; i < s->n_told; i++)
        if (s->told[i].sample == sample)
            return i;
    return -1;
}

/* Give the oldest open beat its final label. */
static void close_first(ectopy_stream *s)
{
    int told = find_told(s, s->open[0].sample);
    if (told >= 0)
        forget_told(s, told);
    tell_beat(s, ECTOPY_BEAT, &s->open[0]);
    s->n_open--;
    memmove(s->open, s->open + 1, s->n_open * sizeof(*s->open));
}

static void close_overdue(ectopy_stream *s, int32_t clock)
{
    while (s->n_open && s->open[0].sample + FINAL <= clock)
        close_first(s);
}

/* Note an answer for each of the last beats: what the network says of them now. */
static void answer(ectopy_answer *answers, int n, float probability[ECTOPY_LOOK_AHEAD + 1][ECTOPY_CLASSES])
{
    for (int seen = 0; seen <= ECTOPY_LOOK_AHEAD && seen < n; seen++) {
        answers[n - 1 - seen].seen = (uint8_t)seen;
        memcpy(answers[n - 1 - seen].probability, probability[seen], sizeof(probability[seen]));
    }
}

/* Take a beat that is final. */
static void settle(ectopy_stream *s, int32_t sample)
{
    float probability[ECTOPY_LOOK_AHEAD + 1][ECTOPY_CLASSES];
    close_overdue(s, sample + LAG);
    if (s->n_guesses && s->guesses[0].sample == sample) {
        s->n_guesses--;
        memmove(s->guesses, s->guesses + 1, s->n_guesses * sizeof(*s->guesses));
    } else {
        s->n_guesses = 0;
    }
    describe(s, &s->last, sample, probability);
    s->open[s->n_open].paroxysmal = s->last.paroxysmal;
    s->open[s->n_open++].sample = sample;
    answer(s->open, s->n_open, probability);
    if (s->n_open > ECTOPY_LOOK_AHEAD)
        close_first(s);
}

/* Settle the beats that are final now. */
static void advance(ectopy_stream *s)
{
    uint8_t path[ECTOPY_NODES];
    if (!s->learnt) {
        if (s->clock < LEARNING || s->n_nodes < 3)
            return;
        learn(s);
    }
    while (s->n_nodes && s->nodes[0].sample + LAG <= s->clock) {
        ectopy_node due = s->nodes[0];
        int is_beat = best_path(s, path) && path[0] == 0;
        for (int n = 0; n < s->n_leads; n++) {
            ectopy_lead *lead = &s->leads[n];
            if (!isinf(due.size[n]) && is_beat)
                lead->n_beats = (uint8_t)append(lead->beats, lead->n_beats, LENGTH(lead->beats), due.size[n]);
            else if (!isinf(due.size[n]))
                lead->n_others = (uint8_t)append(lead->others, lead->n_others, LENGTH(lead->others), due.size[n]);
            if (is_beat && due.clear >> n & 1)
                lead->last_clear = due.sample;
        }
        decide_first(s, is_beat);
        if (!is_beat)
            continue;
        if (s->has_root)
            s->n_rr = (uint8_t)append(s->rr, s->n_rr, LENGTH(s->rr), (float)(due.sample - s->root));
        s->has_root = 1;
        s->root = due.sample;
        settle(s, due.sample);
    }
}

static void revoke(ectopy_stream *s, const int32_t *beats, int n_beats)
{
    for (int i = 0; i < s->n_told;) {
        int present = 0;
        for (int k = 0; k < n_beats; k++)
            present |= beats[k] == s->told[i].sample;
        for (int k = 0; k < s->n_open; k++)
            present |= s->open[k].sample == s->told[i].sample;
        if (present) {
            i++;
            continue;
        }
        tell(s, ECTOPY_REVOKED, s->told[i].sample);
        forget_told(s, i);
    }
}

/* Tell the beats that are not final yet, with the label of the moment. */
static void tell_provisional(ectopy_stream *s)
{
    float probability[ECTOPY_LOOK_AHEAD + 1][ECTOPY_CLASSES];
    uint8_t path[ECTOPY_NODES];
    int32_t beats[ECTOPY_GUESSES];
    int n_path = best_path(s, path), n = 0, same = 0;
    for (; n < n_path && n < ECTOPY_GUESSES; n++) {
        beats[n] = s->nodes[path[n]].sample;
        if (beats[n] + WINDOW_AFTER >= s->clock)
            break;
    }
    while (same < n && same < s->n_guesses && s->guesses[same].sample == beats[same])
        same++;
    if (same < s->n_guesses || !same) { /* the guesses of before are told again from the last final beat */
        s->n_guesses = 0;
        if (n)
            s->guessed = s->last;
    }
    while (s->n_guesses < n) {
        int32_t sample = beats[s->n_guesses];
        describe(s, &s->guessed, sample, probability);
        s->guesses[s->n_guesses].paroxysmal = s->guessed.paroxysmal;
        s->guesses[s->n_guesses++].sample = sample;
        answer(s->guesses, s->n_guesses, probability);
    }
    revoke(s, beats, n);
    for (int i = 0; i < n; i++) {
        char label = settled_label(&s->guesses[i]);
        int told = find_told(s, beats[i]);
        if (told >= 0 && s->told[told].label == label)
            continue;
        if (told < 0 && s->n_told < LENGTH(s->told))
            told = s->n_told++;
        if (told >= 0) {
            s->told[told].sample = beats[i];
            s->told[told].label = label;
        }
        tell_beat(s, ECTOPY_PROVISIONAL, &s->guesses[i]);
    }
}

/* Take a sample of each lead, and settle what is final by then. */
static void take(ectopy_stream *s, const float *millivolts)
{
    for (int n = 0; n < s->n_leads; n++)
        take_sample(&s->leads[n], millivolts[n]);
    s->ahead++;
    while (s->ahead == 2) { /* two samples of the input after the point: it can be interpolated */
        ectopy_node candidate;
        resample(s);
        s->rest += ECTOPY_NUMERATOR;
        s->ahead -= s->rest / ECTOPY_DENOMINATOR;
        s->rest %= ECTOPY_DENOMINATOR;
        take_energy(s);
        memset(&candidate, 0, sizeof(candidate));
        int found = find_candidate(s, &candidate);
        advance(s);
        if (found && s->learnt)
            add_candidate(s, candidate);
        else if (found)
            note_for_learning(s, candidate);
        if (found)
            advance(s);
        close_overdue(s, s->clock);
    }
}

void ectopy_init(ectopy_stream *s, int n_leads)
{
    static const float TYPICAL[4] = {2.5f, 0.5f, -1.5f, 0.5f};
    memset(s, 0, sizeof(*s));
    s->n_leads = (uint8_t)(n_leads > 1 ? 2 : 1);
    s->ahead = -1;
    s->last_peak = -APART;
    s->first_rr = FIRST_RR;
    for (int n = 0; n < ECTOPY_LEADS; n++) {
        ectopy_lead *lead = &s->leads[n];
        lead->raw = NAN;
        lead->in_gap = lead->tail_usable = 1;
        lead->missing = 1;
        lead->first = NONE;
        for (int i = 0; i < ECTOPY_SPAN; i++)
            lead->level[i] = 1;
    }
    s->last.shape = -1;
    s->last.spread = s->last.wide = 0.05f;
    s->last.matches = s->last.pairs = 1;
    s->last.p_nearby = 0.5f;
    memcpy(s->last.typical, TYPICAL, sizeof(TYPICAL));
}

int ectopy_push(ectopy_stream *s, const float *millivolts)
{
    s->n_updates = 0;
    take(s, millivolts);
    if (++s->in_step == ECTOPY_STEP) {
        s->in_step = 0;
        tell_provisional(s);
    }
    return s->n_updates;
}

int ectopy_finish(ectopy_stream *s)
{
    uint8_t path[ECTOPY_NODES];
    float newest[ECTOPY_LEADS];
    s->n_updates = 0;
    for (int n = 0; n < ECTOPY_LEADS; n++)
        newest[n] = s->leads[n].raw;
    for (int i = 0; i < ECTOPY_HELD && s->clock; i++) /* so that the last beat is found */
        take(s, newest);
    if (!s->learnt && s->n_nodes)
        learn(s);
    int n_path = best_path(s, path);
    for (int i = 0; i < n_path; i++)
        if (s->nodes[path[i]].sample < s->clock - END)
            settle(s, s->nodes[path[i]].sample);
    while (s->n_open)
        close_first(s);
    return s->n_updates;
}
