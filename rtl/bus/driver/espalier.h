/* Driver of an Espalier accelerator behind AXI4-Lite or Wishbone: bare metal, or Linux through UIO.
 *
 *   struct espalier device;
 *   espalier_init(&device, (void *)0x40000000);        or espalier_open(&device, "/dev/uio0");
 *   espalier_load(&device, program, words);            the contents of program0.bin
 *   espalier_write(&device, codes, sizeof codes);      an image, or leave that to the stream and a DMA
 *   espalier_start(&device);
 *   espalier_wait(&device, ESPALIER_INTERRUPT_STATUS_RESULT, limit);
 *   espalier_read(&device, results, count);            in the order of the network's output
 *
 * Every function but espalier_start returns 0 or one of the errors below.
 */
#ifndef ESPALIER_H
#define ESPALIER_H

#include <stddef.h>
#include "espalier_registers.h"

#ifdef __cplusplus
extern "C" {
#endif

enum espalier_error {
    ESPALIER_OK = 0,
    ESPALIER_NO_DEVICE = -1,  /* there is no such device, or another one */
    ESPALIER_NO_PROGRAM = -2, /* what is loaded is none of this build's files, or is cut off */
    ESPALIER_REFUSED = -3,    /* the hardware could not do it now: an image runs, or has no place */
    ESPALIER_TIMEOUT = -4,
    ESPALIER_SIZE = -5,       /* an image or a space for results of another size */
};

struct espalier {
    void *base;                 /* of the registers */
    int interrupts;             /* the file of a UIO device; -1: none, espalier_wait polls */
    const espalier_word *order; /* of the program: where in its output each result belongs */
    size_t results, beats;      /* of an image */
};

/* Find the device at `base` and reset it; what its memories hold stays. */
int espalier_init(struct espalier *device, void *base);

/* Load a program, whose words must stay where they are: results come in the order that they tell. */
int espalier_load(struct espalier *device, const espalier_word *program, size_t words);

/* Give the next image, ESPALIER_CODE_BYTES for each code, maps by rows by columns. Nothing runs meanwhile. */
int espalier_write(struct espalier *device, const void *codes, size_t bytes);

/* Run the next image: that which was written, or that which comes through the stream. */
void espalier_start(struct espalier *device);

/* Results are read by espalier_read (1, as espalier_init leaves it), or leave through the stream (0). */
void espalier_take(struct espalier *device, int take);

/* Wait for one of `events`, and forget it: so many polls, or milliseconds where there are interrupts. */
int espalier_wait(struct espalier *device, espalier_word events, unsigned long limit);

/* Read all results of an image. */
int espalier_read(struct espalier *device, espalier_result *results, size_t count);

#ifdef __linux__
/* Map the first region of a UIO device, such as /dev/uio0, and find the accelerator in it. */
int espalier_open(struct espalier *device, const char *path);
void espalier_close(struct espalier *device);
#endif

#ifdef ESPALIER_OWN_ACCESS
/* Where registers are reached by other means than memory, these are yours. */
espalier_word espalier_get(struct espalier *device, unsigned offset);
void espalier_put(struct espalier *device, unsigned offset, espalier_word word);
#endif

#ifdef __cplusplus
}
#endif
#endif
