# Runs a cocotb test of this build, with cocotb 2 or 1.9. Made by `espalier rtl`.
#   make                        test_espalier.py in Icarus Verilog
#   make SIM=verilator          in Verilator; below its version 5.036 with cocotb 1.9 alone (pip install cocotb==1.9.2)
#   make TEST=test_mine         another test, which lies here too
#   make ESPALIER_STALL=0.5     the output held back in half of the cycles
SIM ?= icarus
TEST ?= test_espalier
TOPLEVEL_LANG = verilog
VERILOG_SOURCES = espalier.v
export ESPALIER_STALL ?= 0.25

ifneq ($(filter 1.%,$(shell cocotb-config --version 2>/dev/null)),)
TOPLEVEL = espalier
MODULE = $(TEST)
else
COCOTB_TOPLEVEL = espalier
COCOTB_TEST_MODULES = $(TEST)
endif

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
$(error cocotb-config is not on the PATH: pip install cocotb)
endif
include $(shell cocotb-config --makefiles)/Makefile.sim
