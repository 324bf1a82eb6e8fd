/* A program for a Cortex-M4 without an operating system.
 *
 * Without SIGNAL it is what a device needs: its size is that of the stream. With SIGNAL it runs in QEMU on a
 * recording, and prints "samples beats instructions most_instructions stack". The timer counts 40
 * instructions a tick under `-icount shift=0`: a nanosecond each, at 25 MHz.
 */
#include "ectopy.h"

extern uint32_t __bss_start, __bss_end, __stack_low, __stack_top;

void reset(void);

__attribute__((section(".vectors"), used)) static const void *const VECTORS[2] = {&__stack_top, (void *)reset};

static ectopy_stream stream;

#define REGISTER(address) (*(volatile uint32_t *)(address))

#ifdef SIGNAL
#include "signal.h"

static void host(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

static void print(uint32_t value)
{
    char text[12] = "           ";
    int at = 10;
    text[11] = 0;
    do
        text[--at] = (char)('0' + value % 10);
    while (value /= 10);
    host(4, text + at);
}

static uint32_t stack_used(void)
{
    const uint32_t *word = &__stack_low;
    while (*word == 0xa5a5a5a5)
        word++;
    return (uint32_t)((const char *)&__stack_top - (const char *)word);
}

static int run(void)
{
    uint64_t ticks = 0;
    uint32_t most = 0, beats = 0;
    REGISTER(0xe000e014) = 0xffffff; /* SysTick: counts down from here, with the clock of the processor */
    REGISTER(0xe000e018) = 0;
    REGISTER(0xe000e010) = 5;
    for (int i = 0; i < N_SAMPLES; i++) {
        float millivolts[2] = {(float)SAMPLES[i][0] / 1000, (float)SAMPLES[i][1] / 1000};
        uint32_t before = REGISTER(0xe000e018);
        int n = ectopy_push(&stream, millivolts);
        uint32_t passed = (before - REGISTER(0xe000e018)) & 0xffffff;
        ticks += passed;
        most = passed > most ? passed : most;
        for (int k = 0; k < n; k++)
            beats += stream.updates[k].kind == ECTOPY_BEAT;
    }
    print(N_SAMPLES);
    print(beats);
    print((uint32_t)(ticks * 40 / (N_SAMPLES / (uint32_t)ECTOPY_FS)));
    print(most * 40);
    print(stack_used());
    host(0x18, (void *)0x20026);
    return 0;
}
#else
static int run(void)
{
    while (REGISTER(0x4000000c)) { /* a converter at some address */
        float millivolts[2] = {(float)REGISTER(0x40000000) / 1000, (float)REGISTER(0x40000004) / 1000};
        if (ectopy_push(&stream, millivolts))
            REGISTER(0x40000008) = (uint32_t)stream.updates[0].label;
    }
    return ectopy_finish(&stream);
}
#endif

static void __attribute__((noinline)) start(void)
{
    ectopy_init(&stream, 2);
    run();
    for (;;)
        ;
}

void reset(void)
{
    for (volatile uint32_t *word = &__bss_start; word < &__bss_end; word++)
        *word = 0;
    for (volatile uint32_t *word = &__stack_low; word < &__stack_top - 32; word++)
        *word = 0xa5a5a5a5;
    REGISTER(0xe000ed88) |= 0xf << 20; /* the floating point unit */
    __asm__ volatile("dsb\n isb");
    start();
}
