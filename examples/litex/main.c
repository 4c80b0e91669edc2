/* What the VexRiscv runs: load the network, let the DMA stream each image in, write the scores to the serial line. */
#include <generated/csr.h>
#include <generated/mem.h>
#include "espalier.h"

/* the files as they are */
__asm__(".section .rodata\n"
        ".balign 4\n"
        "program: .incbin \"program0.bin\"\n"
        "program_end:\n"
        "images: .incbin \"images.bin\"\n"
        ".previous\n");
extern const espalier_word program[], program_end[];
extern const uint8_t images[];

void isr(void)
{
}

static void put(char letter)
{
    while (uart_txfull_read())
        ;
    uart_rxtx_write(letter);
}

static void put_text(const char *text)
{
    while (*text)
        put(*text++);
}

static void put_number(long number)
{
    if (number < 0)
        put('-');
    if (number <= -10 || number >= 10)
        put_number(number < 0 ? -(number / 10) : number / 10);
    put('0' + (number < 0 ? -(number % 10) : number % 10));
}

/* Let the DMA stream an image, and wait for its scores. */
static int run(struct espalier *device, const uint8_t *image, espalier_result *scores)
{
    int failed;

    dma_enable_write(0);
    dma_base_write((uintptr_t)image);
    dma_length_write(IMAGE_BYTES);
    dma_enable_write(1);
    espalier_start(device);
    failed = espalier_wait(device, ESPALIER_INTERRUPT_STATUS_RESULT, 100000);
    return failed ? failed : espalier_read(device, scores, SCORES);
}

int main(void)
{
    struct espalier device;
    espalier_result scores[SCORES];
    int image, score, failed;

    failed = espalier_init(&device, (void *)ACCELERATOR_BASE);
    if (!failed)
        failed = espalier_load(&device, program, program_end - program);
    for (image = 0; image < IMAGES && !failed; image++) {
        failed = run(&device, images + image * IMAGE_BYTES, scores);
        for (score = 0; score < SCORES && !failed; score++) {
            put_number(scores[score]);
            put(score < SCORES - 1 ? ' ' : '\n');
        }
    }
    if (failed) {
        put_text("error ");
        put_number(failed);
        put('\n');
    }
    while (!uart_txempty_read())
        ;
    sim_finish_finish_write(1);
    return failed;
}
