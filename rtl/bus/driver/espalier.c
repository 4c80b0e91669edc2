/* Driver of an Espalier accelerator; espalier.h tells how to use it. C99, no library but Linux's for UIO. */
#include "espalier.h"

#ifdef __linux__
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>
#define PAGE 4096
#endif

#define POLLS 1000000ul /* for a result that must be on its way */
#define WORD_BYTES (ESPALIER_BUS_BITS / 8)
#define BEAT_BYTES (ESPALIER_BEAT_CODES * ESPALIER_CODE_BYTES)
#define EVENTS \
    (ESPALIER_INTERRUPT_STATUS_RESULT | ESPALIER_INTERRUPT_STATUS_DONE | ESPALIER_INTERRUPT_STATUS_ERROR)
#define ERRORS (ESPALIER_STATUS_EARLY | ESPALIER_STATUS_LATE | ESPALIER_STATUS_REFUSED)

/* what a file of a program begins with; its order follows, then its memories */
enum { MAGIC, BEATS, PLACE0, PLACE1, RESULTS, MEMORIES, HEAD };

#ifndef ESPALIER_OWN_ACCESS
static espalier_word espalier_get(struct espalier *device, unsigned offset)
{
    return *(volatile espalier_word *)((char *)device->base + offset);
}

static void espalier_put(struct espalier *device, unsigned offset, espalier_word word)
{
    *(volatile espalier_word *)((char *)device->base + offset) = word;
}
#endif

/* Forget errors and say whether there were any. */
static int errors(struct espalier *device)
{
    espalier_word found = espalier_get(device, ESPALIER_STATUS) & ERRORS;

    if (found)
        espalier_put(device, ESPALIER_STATUS, found);
    return found ? ESPALIER_REFUSED : ESPALIER_OK;
}

int espalier_init(struct espalier *device, void *base)
{
    device->base = base;
    device->interrupts = -1;
    device->order = NULL;
    device->results = device->beats = 0;
    if (espalier_get(device, ESPALIER_ID) != ESPALIER_IDENTITY)
        return ESPALIER_NO_DEVICE;
    espalier_put(device, ESPALIER_CONTROL, ESPALIER_CONTROL_RESET);
    espalier_put(device, ESPALIER_INTERRUPT_ENABLE, 0);
    espalier_put(device, ESPALIER_INTERRUPT_STATUS, EVENTS);
    espalier_take(device, 1);
    errors(device);
    return ESPALIER_OK;
}

void espalier_take(struct espalier *device, int take)
{
    espalier_put(device, ESPALIER_CONTROL, take ? ESPALIER_CONTROL_TAKE : 0);
}

/* Load the words of one memory; return what follows them, or NULL where they are cut off. */
static const espalier_word *load_memory(struct espalier *device, const espalier_word *at, const espalier_word *end)
{
    espalier_word target, words, pieces, piece;

    if (end - at < 3)
        return NULL;
    target = *at++;
    words = *at++;
    pieces = *at++;
    if (pieces == 0 || words > (espalier_word)(end - at) / pieces)
        return NULL;
    espalier_put(device, ESPALIER_LOAD_ADDRESS, target << ESPALIER_LOAD_ADDRESS_TARGET_SHIFT);
    for (; words; words--) {
        for (piece = 1; piece < pieces; piece++)
            espalier_put(device, ESPALIER_LOAD_DATA, *at++);
        espalier_put(device, ESPALIER_LOAD_COMMIT, *at++);
    }
    return at;
}

int espalier_load(struct espalier *device, const espalier_word *program, size_t words)
{
    const espalier_word *at, *end = program + words;
    espalier_word memories;

    if (espalier_get(device, ESPALIER_STATUS) & ESPALIER_STATUS_BUSY)
        return ESPALIER_REFUSED;
    if (words < HEAD || program[MAGIC] != ESPALIER_IDENTITY || program[RESULTS] > words - HEAD)
        return ESPALIER_NO_PROGRAM;
    device->order = program + HEAD;
    device->results = program[RESULTS];
    device->beats = program[BEATS];
    espalier_put(device, ESPALIER_IMAGE_BEATS, program[BEATS]);
    espalier_put(device, ESPALIER_PLACE0, program[PLACE0]);
    espalier_put(device, ESPALIER_PLACE1, program[PLACE1]);
    at = device->order + device->results;
    for (memories = program[MEMORIES]; memories; memories--) {
        at = load_memory(device, at, end);
        if (at == NULL)
            return ESPALIER_NO_PROGRAM;
    }
    return errors(device);
}

int espalier_write(struct espalier *device, const void *codes, size_t bytes)
{
    const unsigned char *from = codes;
    size_t beat, place, byte, at;
    espalier_word word;

    if (bytes == 0 || (bytes + BEAT_BYTES - 1) / BEAT_BYTES != device->beats)
        return ESPALIER_SIZE;
    word = espalier_get(device, ESPALIER_STATUS);
    if ((word & ESPALIER_STATUS_BUSY) || !(word & ESPALIER_STATUS_ROOM))
        return ESPALIER_REFUSED;
    espalier_put(device, ESPALIER_LOAD_ADDRESS,
                 (espalier_word)ESPALIER_TARGET_SIGNALS << ESPALIER_LOAD_ADDRESS_TARGET_SHIFT);
    for (beat = 0; beat < device->beats; beat++)
        for (place = 0; place < BEAT_BYTES; place += WORD_BYTES) {
            word = 0;
            for (byte = 0; byte < WORD_BYTES && place + byte < BEAT_BYTES; byte++) {
                at = beat * BEAT_BYTES + place + byte;
                word |= (espalier_word)(at < bytes ? from[at] : 0) << (8 * byte);
            }
            espalier_put(device, place + WORD_BYTES < BEAT_BYTES ? ESPALIER_LOAD_DATA : ESPALIER_LOAD_COMMIT, word);
        }
    return errors(device);
}

void espalier_start(struct espalier *device)
{
    espalier_word kept = espalier_get(device, ESPALIER_CONTROL);

    espalier_put(device, ESPALIER_CONTROL, kept | ESPALIER_CONTROL_START);
}

/* Let the processor do something else until the interrupt; without interrupts it polls. */
static int sleep_until(struct espalier *device, espalier_word events, unsigned long limit)
{
#ifdef __linux__
    if (device->interrupts >= 0) {
        uint32_t count = 1;
        struct pollfd wait = {device->interrupts, POLLIN, 0};

        espalier_put(device, ESPALIER_INTERRUPT_ENABLE, events);
        if (write(device->interrupts, &count, sizeof count) != (ssize_t)sizeof count)
            return ESPALIER_NO_DEVICE;
        if (poll(&wait, 1, (int)limit) <= 0)
            return ESPALIER_TIMEOUT;
        return read(device->interrupts, &count, sizeof count) == (ssize_t)sizeof count ? 0 : ESPALIER_NO_DEVICE;
    }
#endif
    while (!(espalier_get(device, ESPALIER_INTERRUPT_STATUS) & events))
        if (limit-- == 0)
            return ESPALIER_TIMEOUT;
    return ESPALIER_OK;
}

int espalier_wait(struct espalier *device, espalier_word events, unsigned long limit)
{
    int failed = sleep_until(device, events, limit);

    if (!failed)
        espalier_put(device, ESPALIER_INTERRUPT_STATUS, events);
    return failed;
}

int espalier_read(struct espalier *device, espalier_result *results, size_t count)
{
    unsigned long polls;
    size_t place;

    if (count != device->results)
        return ESPALIER_SIZE;
    for (place = 0; place < count; place++) {
        for (polls = POLLS; !(espalier_get(device, ESPALIER_STATUS) & ESPALIER_STATUS_RESULT); polls--)
            if (polls == 0)
                return ESPALIER_TIMEOUT;
        results[device->order[place]] = (espalier_result)espalier_get(device, ESPALIER_RESULT);
    }
    return ESPALIER_OK;
}

#ifdef __linux__
int espalier_open(struct espalier *device, const char *path)
{
    int file = open(path, O_RDWR), failed;
    void *base;

    if (file < 0)
        return ESPALIER_NO_DEVICE;
    base = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (base == MAP_FAILED) {
        close(file);
        return ESPALIER_NO_DEVICE;
    }
    failed = espalier_init(device, base);
    device->interrupts = file;
    if (failed)
        espalier_close(device);
    return failed;
}

void espalier_close(struct espalier *device)
{
    munmap(device->base, PAGE);
    close(device->interrupts);
    device->interrupts = -1;
}
#endif
