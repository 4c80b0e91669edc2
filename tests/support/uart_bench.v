// A serial line around a board's hardware: sends bytes, each when so many answers were heard, writes down what it hears.
`timescale 1ns / 1ps
module testbench;
  localparam CYCLES = $bit_cycles, BYTES = $bytes, ANSWERS = $answers, PATIENCE = 200000;

  reg clk = 0, rst_n = 0, rx = 1;
  reg [31:0] script[0:BYTES-1];  // a byte, and above it the answers before it
  reg [9:0] frame;
  reg [7:0] heard;
  wire tx;
  integer sent, place, bits, answers = 0, quiet = 0, file;

  espalier dut (.clk(clk), .rst_n(rst_n), .rx(rx), .tx(tx));

  initial forever #5 clk = ~clk;
  always @(negedge clk) quiet <= tx && rx ? quiet + 1 : 0;

  initial begin
    $$readmemh("script.hex", script);
    file = $$fopen("heard.hex", "w");
    repeat (8) @(negedge clk);
    rst_n = 1;
    repeat (8) @(negedge clk);
    for (sent = 0; sent < BYTES; sent = sent + 1) begin
      while (answers < script[sent][31:8] && quiet < PATIENCE) @(negedge clk);
      frame = {1'b1, script[sent][7:0], 1'b0};
      for (place = 0; place < 10; place = place + 1) begin
        rx = frame[place];
        repeat (CYCLES) @(negedge clk);
      end
    end
    while (answers < ANSWERS && quiet < PATIENCE) @(negedge clk);
    $$fclose(file);
    $$finish;
  end

  initial begin
    repeat (8) @(negedge clk);
    forever begin
      while (tx) @(negedge clk);
      repeat (CYCLES / 2) @(negedge clk);
      for (bits = 0; bits < 8; bits = bits + 1) begin
        repeat (CYCLES) @(negedge clk);
        heard[bits] = tx;
      end
      repeat (CYCLES) @(negedge clk);
      $$fwrite(file, "%02x\n", heard);
      answers = answers + 1;
    end
  end
endmodule
