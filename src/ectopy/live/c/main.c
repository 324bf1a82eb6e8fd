/* Print the beats of a recording: one line of standard input per sample, with the millivolts of each lead.
 *
 *     ectopy_example < recording.csv
 *
 * A value that is empty or "nan" is missing. Lines before the first number are skipped.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "ectopy.h"

static ectopy_stream stream;

/* Read the values of a line; return how many columns it has, and 0 if it has no number. */
static int read_line(const char *line, float values[ECTOPY_LEADS])
{
    int n = 0, n_numbers = 0;
    for (int i = 0; i < ECTOPY_LEADS; i++)
        values[i] = NAN; /* a line may have fewer columns than the one before */
    for (;; line++) {
        char *end;
        float value = strtof(line, &end);
        if (end == line)
            value = NAN;
        else
            n_numbers++;
        if (n < ECTOPY_LEADS)
            values[n] = value;
        n++;
        for (line = end; *line && *line != ','; line++)
            ;
        if (!*line)
            return n_numbers ? n : 0;
    }
}

static void print_updates(int n)
{
    static const char *const KINDS[] = {"beat", "provisional", "revoked"};
    for (int i = 0; i < n; i++) {
        const ectopy_update *update = &stream.updates[i];
        printf("%s,%ld,", KINDS[update->kind], (long)update->sample);
        if (update->kind == ECTOPY_REVOKED) {
            printf(",,,,,\n");
            continue;
        }
        printf("%c,%d", update->label, update->confident);
        for (int k = 0; k < ECTOPY_CLASSES; k++)
            printf(",%.6f", (double)update->probability[k]);
        printf("\n");
    }
}

int main(void)
{
    char line[256];
    float values[ECTOPY_LEADS];
    int n_leads = 0;
    printf("kind,sample,label,confident,N,S,V,F\n");
    while (fgets(line, sizeof(line), stdin)) {
        int n = read_line(line, values);
        if (!n_leads) {
            if (!n)
                continue;
            n_leads = n > ECTOPY_LEADS ? ECTOPY_LEADS : n;
            ectopy_init(&stream, n_leads);
        }
        print_updates(ectopy_push(&stream, values));
    }
    if (n_leads)
        print_updates(ectopy_finish(&stream));
    return 0;
}
