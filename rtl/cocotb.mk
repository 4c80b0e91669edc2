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

ifeq ($(SIM),verilator)
ifneq ($(words $(CURDIR)),1)
ifeq ($(origin SIM_BUILD),undefined)
export SIM_BUILD := $(shell mktemp -d)
endif  # Verilator's own Makefile takes no folder whose name has a space
endif
COMPILE_ARGS += -Wno-fatal espalier.vlt
endif

# `make` and `make test`; cocotb's own targets succeed whatever the test said, and where none ran
.PHONY: verdict test
verdict: sim
	@grep -q "<testcase" results.xml && ! grep -Eq "<(failure|error|skipped)" results.xml

test: verdict

ifeq ($(shell command -v cocotb-config),)
$(error cocotb-config is not on the PATH: pip install cocotb==1.9.2)
endif
include $(shell cocotb-config --makefiles)/Makefile.sim
