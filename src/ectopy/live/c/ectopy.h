/* Beats of a running ECG: samples in, labels out. C99 without dynamic memory.
 *
 * For research: not a medical device.
 *
 *     static ectopy_stream stream;
 *     ectopy_init(&stream, 2);
 *     for (each sample)
 *         for (int i = 0, n = ectopy_push(&stream, millivolts); i < n; i++)
 *             use(&stream.updates[i]);
 *     n = ectopy_finish(&stream);
 *
 * The sampling rate, the network and its sizes were chosen at export: see ectopy_model.h.
 */
#ifndef ECTOPY_H
#define ECTOPY_H

#include <stdint.h>

#include "ectopy_model.h"

enum {
    ECTOPY_LEADS = 2,         /* at most */
    ECTOPY_CLASSES = 4,       /* N, S, V, F */
    ECTOPY_MAX_UPDATES = 40,  /* of one call; the most come at once after the six seconds of learning */
    ECTOPY_KEPT = 1250,       /* samples of filtered signal that are kept: ten seconds at 125 Hz */
    ECTOPY_SPAN = 31,         /* samples of energy in which a candidate is the maximum */
    ECTOPY_NODES = 56,        /* candidates of the six seconds of learning: at least 0.12 s apart */
    ECTOPY_RECENT = 28,       /* candidates of 2.5 s */
    ECTOPY_GUESSES = 12,      /* beats of 2 s: at least 0.24 s apart */
    ECTOPY_LOST = 16,         /* recent intervals without a readable lead */
    ECTOPY_SHAPES = 6,
    ECTOPY_QRS = 35,          /* samples of a QRS complex */
    ECTOPY_P = 25,            /* samples of a P wave */
    ECTOPY_T = 37,            /* samples of a T wave */
    ECTOPY_RR = 48,           /* RR intervals that are remembered */
    ECTOPY_LOCAL = 17         /* RR intervals whose median is the local RR */
};

typedef enum {
    ECTOPY_BEAT,        /* final */
    ECTOPY_PROVISIONAL, /* may still change */
    ECTOPY_REVOKED      /* was provisional, and is no beat */
} ectopy_kind;

typedef struct {
    int32_t sample;                    /* R peak, in samples of the input; the first sample is 0 */
    uint8_t kind;                      /* an ectopy_kind */
    char label;                        /* 'N', 'S', 'V' or 'F' */
    uint8_t confident;                 /* 1 if the label is confident */
    float probability[ECTOPY_CLASSES]; /* of N, S, V, F */
} ectopy_update;

/* The rest is internal. Its size is the memory that a stream needs. */

typedef struct {
    float raw, held, offset; /* the last sample as pushed and as the filters saw it */
    int32_t missing, same;
    float low[ECTOPY_LOW_SECTIONS][2], high[2], mean;
    float tail[4];
    uint8_t tail_usable, in_gap;
    uint8_t usable_run;
    uint8_t n_beats, n_others;
    float energy[ECTOPY_SPAN], level[ECTOPY_SPAN];
    float beats[9], others[17]; /* log amplitudes of beats and of other candidates, the latest last */
    float first;
    int32_t last_clear;
} ectopy_lead;

typedef struct {
    int32_t sample;
    float size[ECTOPY_LEADS]; /* log amplitude */
    float score;
    int16_t before; /* the node before; -1 for the last final beat */
    uint8_t clear;
} ectopy_node;

typedef struct {
    int32_t sample;
    float size[ECTOPY_LEADS];
} ectopy_recent;

/* What is known after a beat: of the patient, and by the network. */
typedef struct {
    int32_t sample, n_beats;
    int8_t shape;
    uint8_t n_rr, usual_before;
    uint32_t n_t_waves;
    float rr[ECTOPY_RR], pairs_s[ECTOPY_LOCAL], longer[ECTOPY_LOCAL], steps[ECTOPY_LOCAL],
        second_steps[ECTOPY_LOCAL];
    float spread, wide, matches, pairs, premature, p_nearby, typical[4];
    float qrs[ECTOPY_LEADS][ECTOPY_QRS], p_wave[ECTOPY_LEADS][ECTOPY_P],
        t_wave[ECTOPY_LEADS][ECTOPY_T];
    float shapes[ECTOPY_SHAPES][ECTOPY_LEADS][ECTOPY_QRS], of_shapes[ECTOPY_SHAPES][4];
    float usual[21], latest[8]; /* logs of RR of the last normal beats, and of the last ones in a row */
    uint8_t n_usual, n_latest, after_ventricular, paroxysmal;
    float state[ECTOPY_UNITS];
} ectopy_known;

typedef struct {
    int32_t sample;
    uint8_t seen; /* beats that were seen after it */
    uint8_t paroxysmal;
    float probability[ECTOPY_CLASSES];
} ectopy_answer;

typedef struct {
    int32_t sample;
    char label;
} ectopy_told;

/* Samples at 125 Hz, half-open. */
typedef struct {
    int32_t start, stop;
} ectopy_interval;

typedef struct {
    uint8_t n_leads, learnt, has_root;
    uint8_t n_updates, n_nodes, n_recent, n_rr, n_open, n_guesses, n_told, n_lost, slot;
    int32_t clock, ahead, rest, last_peak, root, in_step;
    float first_rr, rr[8];
    ectopy_lead leads[ECTOPY_LEADS];
    float signal[ECTOPY_LEADS][ECTOPY_KEPT];
    uint8_t usable[ECTOPY_LEADS][(ECTOPY_KEPT + 7) / 8];
    float combined[ECTOPY_SPAN];
    ectopy_interval lost[ECTOPY_LOST];
    ectopy_node nodes[ECTOPY_NODES];
    ectopy_recent recent[ECTOPY_RECENT];
    ectopy_known last, guessed; /* after the last final beat, and after the last provisional one */
    ectopy_answer open[ECTOPY_LOOK_AHEAD + 1], guesses[ECTOPY_GUESSES];
    ectopy_told told[ECTOPY_GUESSES + ECTOPY_LOOK_AHEAD + 2];
    ectopy_update updates[ECTOPY_MAX_UPDATES];
} ectopy_stream;

/* Begin a stream of one or two leads. */
void ectopy_init(ectopy_stream *stream, int n_leads);

/* Take one sample of each lead in mV, NaN where it is missing.
 *
 * Return the number of updates, which are in stream->updates until the next call.
 */
int ectopy_push(ectopy_stream *stream, const float *millivolts);

/* End a stream, and return the number of updates: the beats that were still open. */
int ectopy_finish(ectopy_stream *stream);

#endif
