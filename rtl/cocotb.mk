# Runs test_espalier.py with cocotb 1.9 (pip install cocotb==1.9.2). Made by `espalier rtl`.
#   make                        in Icarus Verilog
#   make SIM=verilator          in Verilator
#   make ESPALIER_STALL=0.5     the output held back in half of the cycles
SIM ?= icarus
TOPLEVEL_LANG = verilog
TOPLEVEL = espalier
MODULE = test_espalier
VERILOG_SOURCES = espalier.v
export ESPALIER_STALL ?= 0.25

ifeq ($(SIM),icarus)
COMPILE_ARGS += -g2005  # the file is Verilog-2005: as SystemVerilog, `always @*` would not run at time 0
endif
ifeq ($(SIM),verilator)
COMPILE_ARGS += -Wno-fatal -Wno-lint -Wno-style
endif

# cocotb's own targets succeed whatever the test said
verdict: sim
	@! grep -q "<failure" results.xml

ifeq ($(shell command -v cocotb-config),)
$(error cocotb-config is not on the PATH: pip install cocotb==1.9.2)
endif
include $(shell cocotb-config --makefiles)/Makefile.sim
