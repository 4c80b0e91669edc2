// Self-checking testbench: for each job (a Program and images) loads the memories, runs every image, compares every
// word and the cycles.
// Plain Verilog, and right as SystemVerilog too; runs in Icarus Verilog and in Verilator (--binary --timing). The exit
// status says whether it passed. Made by `espalier rtl`.
//   +stall=N   hold the output back in N of 256 cycles, at random
`timescale 1ns / 1ps
module testbench;
  localparam JOBS = $jobs, LOADS = $loads, SIGNALS = $signals, BEATS = $beats;  // of all jobs together
  localparam LOAD_BITS = $load_bits, OUT_BITS = $out_bits;

  reg clk = 0, rst = 1, start = 0, load_valid = 0, out_ready = 0;
  reg [LOAD_BITS-1:0] load_payload = 0;
  wire load_ready, busy, out_valid;
  wire [OUT_BITS-1:0] out_payload;
  wire [31:0] cycles, stalls;

  espalier dut (
      .clk(clk), .rst(rst), .start(start), .busy(busy), .cycles(cycles), .stalls(stalls),
      .load__valid(load_valid), .load__ready(load_ready), .load__payload(load_payload),
      .out__valid(out_valid), .out__ready(out_ready), .out__payload(out_payload)
  );

  // what each job has: memory words, images, signals of an image, output rows of an image, cycles of an image
  reg [31:0] jobs[0:5*JOBS-1];
  reg [LOAD_BITS-1:0] load_words[0:LOADS-1];
  reg [LOAD_BITS-1:0] signal_words[0:SIGNALS-1];
  reg [2*OUT_BITS-1:0] expected[0:BEATS-1];  // below the payload, above it the bits that count
  reg [OUT_BITS-1:0] counted, wanted;
  integer job, image, word, beat, stall, patience;
  integer next_load = 0, next_signal = 0, next_beat = 0;
  integer errors = 0, rows = 0, images = 0, all_stalls = 0, all_cycles = 0;
  reg [31:0] random = 32'h1;

  always #5 clk = ~clk;

  // everything changes at the falling edge, so that no simulator has to decide what comes first at the rising one
  task load(input [LOAD_BITS-1:0] payload);
    begin
      load_payload = payload;
      load_valid = 1;
      #1;
      if (load_ready !== 1) begin
        $$display("FAIL job %0d image %0d: the loader was refused", job, image);
        $$fatal(1, "refused");
      end
      @(negedge clk);
    end
  endtask

  task complain;  // at most five lines, all are counted
    begin
      errors = errors + 1;
      if (errors <= 5) $$write("FAIL job %0d image %0d ", job, image);
    end
  endtask

  task take_row;
    begin
      {counted, wanted} = expected[next_beat];
      if ((out_payload & counted) !== wanted) begin
        complain;
        if (errors <= 5) $$display("row %0d: got %h, expected %h", beat, out_payload & counted, wanted);
      end
      next_beat = next_beat + 1;
      beat = beat + 1;
      rows = rows + 1;
    end
  endtask

  task tick;  // one cycle; of those in which no row waits for the receiver there is an end
    begin
      if (out_ready || out_valid !== 1) patience = patience - 1;
      @(negedge clk);
      if (patience == 0) begin
        complain;
        $$display("no end: %0d rows came", beat);
        $$fatal(1, "no end");
      end
    end
  endtask

  task run_image(input integer signals, input integer beats, input integer wanted_cycles);
    begin
      for (word = 0; word < signals; word = word + 1) begin
        load(signal_words[next_signal]);
        next_signal = next_signal + 1;
      end
      load_valid = 0;
      start = 1;
      @(negedge clk);
      start = 0;
      beat = 0;
      patience = 2 * wanted_cycles + 1000;
      while (beat < beats) begin
        random = random ^ (random << 13);
        random = random ^ (random >> 17);
        random = random ^ (random << 5);
        out_ready = {24'd0, random[7:0]} >= stall;
        #1;
        if (out_valid && out_ready) take_row;
        tick;
      end
      out_ready = 1;
      while (busy !== 0) tick;
      if (cycles - stalls !== wanted_cycles) begin
        complain;
        if (errors <= 5) $$display("took %0d cycles - %0d stalls, expected %0d", cycles, stalls, wanted_cycles);
      end
      all_cycles = all_cycles + cycles;
      all_stalls = all_stalls + stalls;
      images = images + 1;
    end
  endtask

  initial begin
    $$readmemh("jobs.hex", jobs);
    $$readmemh("load.hex", load_words);
    $$readmemh("signals.hex", signal_words);
    $$readmemh("expected.hex", expected);
    if (!$$value$$plusargs("stall=%d", stall)) stall = 0;
    image = 0;
    repeat (2) @(negedge clk);
    rst = 0;
    for (job = 0; job < JOBS; job = job + 1) begin
      image = 0;
      for (word = 0; word < jobs[5*job]; word = word + 1) begin
        load(load_words[next_load]);
        next_load = next_load + 1;
      end
      for (image = 0; image < jobs[5*job+1]; image = image + 1)
        run_image(jobs[5*job+2], jobs[5*job+3], jobs[5*job+4]);
    end
    $$display("DONE images %0d rows %0d errors %0d cycles %0d stalls %0d", images, rows, errors, all_cycles, all_stalls);
    if (errors) $$fatal(1, "%0d errors", errors);  // which $$finish would not tell the shell
    $$finish;
  end
endmodule
