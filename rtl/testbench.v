// Self-checking testbench: for each job (a Program and images) loads the memories, runs every image, compares every
// word and the cycles.
// Plain Verilog, and right as SystemVerilog too; runs in Icarus Verilog and in Verilator (--binary --timing). The exit
// status says whether it passed. Made by `espalier rtl`.
//   +stall=N      hold the output back in N of 256 cycles, at random
//   +watch=N      tell what image N writes, of all jobs together, and end behind it; if compiled with -DESPALIER_WATCH
//   +waves=FILE   write waveforms: VCD, or FST of `vvp simulation -fst`; Verilator needs --trace or --trace-fst for them
`timescale 1ns / 1ps
module testbench;
  localparam JOBS = $jobs, LOADS = $loads, SIGNALS = $signals, BEATS = $beats;  // of all jobs together
  localparam UNITS = $units, UNIT_BITS = $unit_bits;  // words of streamed weights, if there are any
  localparam PLACES = $places;  // for images: so many may be loaded or run at the same time
  localparam LOAD_BITS = $load_bits, OUT_BITS = $out_bits;
  localparam COUNTED = $counted, COUNT_BITS = $count_bits;  // accesses to memories are counted, 32 bits each

  reg clk = 0, rst = 1, start = 0, load_valid = 0, out_ready = 0;
  reg [LOAD_BITS-1:0] load_payload = 0;
  wire load_ready, busy, out_valid;
  wire [OUT_BITS-1:0] out_payload;
  wire [31:0] cycles, stalls;
  wire [COUNT_BITS-1:0] counts;
  wire turn, unit;

  espalier dut (
      .clk(clk), .rst(rst), .start(start), .busy(busy), .cycles(cycles), .stalls(stalls),
$more_ports
      .load__valid(load_valid), .load__ready(load_ready), .load__payload(load_payload),
      .out__valid(out_valid), .out__ready(out_ready), .out__payload(out_payload)
  );
$lacks

  // what each job has: memory words, images; of an image: beats to load, output rows, cycles, cycles between starts, words of
  // streamed weights
  reg [31:0] jobs[0:7*JOBS-1];
  reg [UNIT_BITS-1:0] unit_words[0:UNITS];
  reg units_valid = 0, unit_taken = 0;
  reg [UNIT_BITS-1:0] units_payload = 0;
  wire units_ready;
  integer next_unit = 0, first_unit = 0, units = 0;  // the next word of those of the job
  reg [LOAD_BITS-1:0] load_words[0:LOADS-1];
  reg [LOAD_BITS-1:0] signal_words[0:SIGNALS-1];
  reg [2*OUT_BITS-1:0] expected[0:BEATS-1];  // below the payload, above it the bits that count
  reg [OUT_BITS-1:0] counted, wanted;
  integer job, image, word, beat, stall, patience, since, loaded, room;
  reg taken;
  integer next_load = 0, next_signal = 0, next_beat = 0;
  integer errors = 0, rows = 0, images = 0, all_stalls = 0, all_cycles = 0;
  integer past_errors, past_rows, past_images, past_stalls, past_cycles;  // of the jobs before
  reg [31:0] random = 32'h1;
  reg [8*4096-1:0] waves;  // the name of a file

  initial forever #5 clk = ~clk;

  task automatic tell(input [31:0] moment);  // what has been read and written of each memory up to now
    integer place;
    begin
      $$write("COUNT %0d %0s", job, moment);
      for (place = 0; place < COUNT_BITS; place = place + 32) $$write(" %0d", counts[place+:32]);
      $$write("\n");
    end
  endtask

  always @(negedge clk)
    if (COUNTED) begin
      if (turn) tell("turn");
      if (unit) tell("unit");
    end

`ifdef ESPALIER_WATCH
  // of one image every row that the drain writes and every row that leaves: layers begun, cycle, place, lanes, codes
  integer watched, begun = 0;
  initial if (!$$value$$plusargs("watch=%d", watched)) watched = -1;

  always @(posedge clk)
    if (watched >= 0 && images > watched) $$finish;
    else if (images == watched) begin
      if (start) begun = 0;
      if ($core.moves && $core.sequencer.fresh) begun = begun + 1;
      if ($core.moves && $core.drain.writes)
        $$display("WROTE %0d %0d %0d %0d %b", begun, cycles, $core.drain.write_address, $core.drain.write_lanes,
                  $core.drain.write);
      if (out_valid && out_ready) $$display("LEFT %0d %0d %b", begun, cycles, out_payload);
    end
`endif

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

  task offer;  // a word of the next image, if its place is free
    begin
      load_valid = loaded < room;
      if (load_valid) load_payload = signal_words[next_signal];
      units_valid = units != 0;
      if (units_valid) units_payload = unit_words[first_unit+next_unit];
      #1;
    end
  endtask

  task tick;  // one cycle; of those in which no row waits for the receiver there is an end
    begin
      if (out_ready || out_valid !== 1) patience = patience - 1;
      taken = load_valid && load_ready === 1;
      unit_taken = units_valid && units_ready === 1;
      @(negedge clk);
      if (unit_taken) next_unit = next_unit + 1 == units ? 0 : next_unit + 1;
      since = since + 1;
      if (taken) begin
        next_signal = next_signal + 1;
        loaded = loaded + 1;
      end
      if (patience == 0) begin
        complain;
        $$display("no end: %0d rows came", beat);
        $$fatal(1, "no end");
      end
    end
  endtask

  // as soon as the image is there; the next one is loaded meanwhile, if there is a place for it
  task run_image(input integer count, input integer signals, input integer beats, input integer wanted_cycles,
                 input integer wanted_interval);
    begin
      beat = 0;
      patience = 2 * (wanted_interval + signals) + 1000;
      room = signals * (image + PLACES < count ? image + PLACES : count);
      while (loaded < signals * (image + 1)) begin
        offer;
        tick;
      end
      if (!COUNTED && stall == 0 && image > (units != 0) && since !== wanted_interval) begin
        complain;
        if (errors <= 5) $$display("started after %0d cycles, expected %0d", since, wanted_interval);
      end
      since = 0;
      start = 1;
      offer;
      tick;
      start = 0;
      patience = 2 * (wanted_interval + signals) + 1000;
      while (beat < beats) begin
        random = random ^ (random << 13);
        random = random ^ (random >> 17);
        random = random ^ (random << 5);
        out_ready = {24'd0, random[7:0]} >= stall;
        offer;
        if (out_valid && out_ready) take_row;
        tick;
      end
      out_ready = 1;
      while (busy !== 0) begin
        offer;
        tick;
      end
      if (cycles - stalls !== wanted_cycles) begin
        complain;
        if (errors <= 5) $$display("took %0d cycles - %0d stalls, expected %0d", cycles, stalls, wanted_cycles);
      end
      if (COUNTED) tell("end");
      all_cycles = all_cycles + cycles;
      all_stalls = all_stalls + stalls;
    end
  endtask

  initial begin
    $$readmemh("jobs.hex", jobs);
    $$readmemh("load.hex", load_words);
    $$readmemh("signals.hex", signal_words);
    $$readmemh("expected.hex", expected);
    if (UNITS != 0) $$readmemh("units.hex", unit_words);
    if (!$$value$$plusargs("stall=%d", stall)) stall = 0;
    if ($$value$$plusargs("waves=%s", waves) != 0) begin
      $$dumpfile(waves);
      $$dumpvars(0, testbench);
    end
    image = 0;
    repeat (2) @(negedge clk);
    rst = 0;
    for (job = 0; job < JOBS; job = job + 1) begin
      image = 0;
      past_errors = errors;
      past_rows = rows;
      past_images = images;
      past_stalls = all_stalls;
      past_cycles = all_cycles;
      for (word = 0; word < jobs[7*job]; word = word + 1) begin
        load(load_words[next_load]);
        next_load = next_load + 1;
      end
      loaded = 0;
      first_unit = first_unit + units;
      units = jobs[7*job+6];
      next_unit = 0;
      if (COUNTED) begin
        load_valid = 0;
        repeat ($loaded) @(negedge clk);  // all that was loaded has been written
        tell("end");
      end
      for (image = 0; image < jobs[7*job+1]; image = image + 1) begin
        run_image(jobs[7*job+1], jobs[7*job+2], jobs[7*job+3], jobs[7*job+4], jobs[7*job+5]);
        images = images + 1;
      end
      $$display("JOB %0d images %0d rows %0d errors %0d cycles %0d stalls %0d", job, images - past_images, rows - past_rows,
                errors - past_errors, all_cycles - past_cycles, all_stalls - past_stalls);
    end
    $$display("DONE images %0d rows %0d errors %0d cycles %0d stalls %0d", images, rows, errors, all_cycles, all_stalls);
    if (errors != 0) $$fatal(1, "%0d errors", errors);  // which $$finish would not tell the shell
    $$finish;
  end
endmodule
