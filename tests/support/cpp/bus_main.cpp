// A processor and two streams around a wrapped build in Verilator: the driver's reads and writes become transactions.
//   simulation PROGRAM IMAGES COUNT MODE FAULT   -> a line of results for each image, then the counters
// MODE: `registers`, where images and results go through the bus, or `streams`. FAULT: `none`, or what a careless
// neighbour does. In each cycle it is drawn who waits.
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "Vtop.h"
#include "espalier.h"
#include "verilated.h"

static Vtop top;
static std::string fault;
static uint32_t seed = 1;
static std::vector<unsigned char> beats;  // that still have to go in
static size_t given, image_bytes;
static std::vector<espalier_result> results;
static bool ended;  // TLAST came with the last result
static const unsigned LIMIT = 20000;  // polls
static const size_t BEAT = ESPALIER_BEAT_CODES * ESPALIER_CODE_BYTES;

static bool drawn() {  // one in four
  seed ^= seed << 13, seed ^= seed >> 17, seed ^= seed << 5;
  return (seed & 3) == 0;
}

static void offer() {
  bool there = given < beats.size();
  top.s_axis_tvalid = top.s_axis_tvalid || (there && !drawn());
  if (!there) top.s_axis_tvalid = 0;
  if (!there) return;
  size_t beat = fault == "TLAST late" ? given : given + BEAT;
  top.s_axis_tlast = beat != 0 && beat % image_bytes == 0;
  std::memcpy(&top.s_axis_tdata, &beats[given], BEAT);
}

static void tick() {
  offer();
  top.m_axis_tready = !drawn();
  CLOCK = 0;
  top.eval();
  bool goes = top.s_axis_tvalid && (top.s_axis_tready || fault == "ready ignored");
  bool comes = top.m_axis_tvalid && top.m_axis_tready;
  espalier_result result = top.m_axis_tdata;
  bool last = top.m_axis_tlast;
  CLOCK = 1;
  top.eval();
  if (goes) given += BEAT, top.s_axis_tvalid = 0;
  if (comes) results.push_back(result), ended = last;
}

#ifdef AXI
static void hesitate() {
  while (drawn()) tick();
}

extern "C" espalier_word espalier_get(espalier *, unsigned offset) {
  hesitate();
  top.s_axi_araddr = offset;
  for (top.s_axi_arvalid = 1;; ) {
    CLOCK = 0;
    top.eval();
    bool taken = top.s_axi_arready;
    tick();
    if (taken) break;
  }
  top.s_axi_arvalid = 0;
  hesitate();
  for (top.s_axi_rready = 1;;) {
    CLOCK = 0;
    top.eval();
    bool there = top.s_axi_rvalid;
    espalier_word word = top.s_axi_rdata;
    if (there && top.s_axi_rresp) std::printf("error of a read at %u\n", offset);
    tick();
    if (there) {
      top.s_axi_rready = 0;
      return word;
    }
  }
}

extern "C" void espalier_put(espalier *, unsigned offset, espalier_word word) {
  if (fault == "address wrong" && offset == ESPALIER_LOAD_DATA) offset = ESPALIER_LOAD_COMMIT;
  hesitate();
  top.s_axi_awaddr = offset, top.s_axi_wdata = word, top.s_axi_wstrb = -1;
  bool address = true, data = !drawn();  // the data may come later
  top.s_axi_awvalid = 1, top.s_axi_wvalid = data;
  for (bool left = true; address || left;) {
    CLOCK = 0;
    top.eval();
    bool address_taken = top.s_axi_awvalid && top.s_axi_awready, taken = top.s_axi_wvalid && top.s_axi_wready;
    tick();
    if (address_taken) address = false;
    if (taken) left = false;
    top.s_axi_awvalid = address, top.s_axi_wvalid = left;
  }
  hesitate();
  for (top.s_axi_bready = 1;;) {
    CLOCK = 0;
    top.eval();
    bool there = top.s_axi_bvalid;
    if (there && top.s_axi_bresp) std::printf("error of a write at %u\n", offset);
    tick();
    if (there) break;
  }
  top.s_axi_bready = 0;
}
#else
static espalier_word transfer(unsigned offset, bool writes, espalier_word word) {
  while (drawn()) tick();
  top.cyc_i = top.stb_i = 1;
  top.we_i = writes, top.adr_i = offset / sizeof word, top.dat_i = word, top.sel_i = -1;
  for (;;) {
    CLOCK = 0;
    top.eval();
    bool answered = top.ack_o || top.err_o;
    if (top.err_o) std::printf("error at %u\n", offset);
    espalier_word answer = top.dat_o;
    tick();
    if (!answered) continue;
    top.cyc_i = top.stb_i = 0;
    return answer;
  }
}

extern "C" espalier_word espalier_get(espalier *, unsigned offset) { return transfer(offset, false, 0); }

extern "C" void espalier_put(espalier *, unsigned offset, espalier_word word) {
  if (fault == "address wrong" && offset == ESPALIER_LOAD_DATA) offset = ESPALIER_LOAD_COMMIT;
  transfer(offset, true, word);
}
#endif

template <class T>
static std::vector<T> contents(const char *name) {
  std::ifstream file(name, std::ios::binary);
  std::vector<char> bytes((std::istreambuf_iterator<char>(file)), {});
  std::vector<T> words(bytes.size() / sizeof(T));
  std::memcpy(words.data(), bytes.data(), words.size() * sizeof(T));
  return words;
}

static espalier device;

static void need(int status, const char *what) {
  if (status == ESPALIER_OK) return;
  std::printf("%s: %d, status %u\n", what, status, (unsigned)espalier_get(&device, ESPALIER_STATUS));
  std::exit(1);
}

int main(int, char **arguments) {
  auto program = contents<espalier_word>(arguments[1]);
  auto images = contents<unsigned char>(arguments[2]);
  size_t count = std::atoi(arguments[3]);
  bool streams = !std::strcmp(arguments[4], "streams");
  fault = arguments[5];
  RESET = ACTIVE;
  for (int i = 0; i < 3; i++) tick();
  RESET = !ACTIVE;
  need(espalier_init(&device, nullptr), "init");
  need(espalier_load(&device, program.data(), program.size()), "load");
  espalier_take(&device, !streams);
  image_bytes = device.beats * BEAT;
  size_t own = images.size() / count;
  for (size_t image = 0; streams && image < count; image++) {  // all are offered from the start, as a DMA does
    beats.insert(beats.end(), &images[image * own], &images[image * own] + own);
    beats.resize((image + 1) * image_bytes);
  }
  for (size_t image = 0; image < count; image++) {
    results.assign(streams ? 0 : device.results, 0);
    if (!streams) need(espalier_write(&device, &images[image * own], own), "write");
    espalier_start(&device);
    auto event = streams ? ESPALIER_INTERRUPT_STATUS_DONE : ESPALIER_INTERRUPT_STATUS_RESULT;
    need(espalier_wait(&device, event, LIMIT), "wait");
    if (!streams) {
      need(espalier_read(&device, results.data(), results.size()), "read");
      need(espalier_wait(&device, ESPALIER_INTERRUPT_STATUS_DONE, 100), "wait for the end");
    } else if (!ended) {
      std::printf("no TLAST\n");
    } else {
      auto came = results;
      for (size_t i = 0; i < came.size() && i < device.results; i++) results[device.order[i]] = came[i];
    }
    std::printf("image");
    for (auto result : results) std::printf(" %lld", (long long)result);
    std::printf("\ncycles %u stalls %u\n", (unsigned)espalier_get(&device, ESPALIER_CYCLES),
                (unsigned)espalier_get(&device, ESPALIER_STALLS));
  }
  std::printf("images %u status %u\n", (unsigned)espalier_get(&device, ESPALIER_IMAGES),
              (unsigned)espalier_get(&device, ESPALIER_STATUS));
}
