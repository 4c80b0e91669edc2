"""Networks and numbers that others published, to hold the model against; `reports/studies/published` shows the tables.

AlexNet is the one of Krizhevsky et al. (2012) as Eyeriss ran it: images of 227 x 227; conv2, conv4 and conv5 in two
groups.
"""

from accel.cost.shapes import LayerShape

ALEXNET_CONVOLUTIONS = (
    LayerShape.square("conv1", 96, 3, 11, 55, stride=4),
    LayerShape.square("conv2", 256, 96, 5, 27, groups=2),
    LayerShape.square("conv3", 384, 256, 3, 13),
    LayerShape.square("conv4", 384, 384, 3, 13, groups=2),
    LayerShape.square("conv5", 256, 384, 3, 13, groups=2),
)
ALEXNET = (
    *ALEXNET_CONVOLUTIONS,
    LayerShape.square("fc6", 4096, 256, 6, 1),
    LayerShape.square("fc7", 4096, 4096, 1, 1),
    LayerShape.square("fc8", 1000, 4096, 1, 1),
)

# Chen, Krishna, Emer, Sze, "Eyeriss" (JSSC 2017), table V: milliseconds for a batch of 4 at 200 MHz on 168 elements
EYERISS_MILLISECONDS = {"conv1": 16.5, "conv2": 39.2, "conv3": 21.8, "conv4": 16.0, "conv5": 10.0}
EYERISS_BATCH, EYERISS_CLOCK_HZ, EYERISS_ELEMENTS = 4, 200e6, 168

# SCALE-Sim on 32 x 32: cycles of the product M, N, K = 256, 128, 256, and of AlexNet's conv1
SCALE_SIM_GEMM = {"weight": 11_199, "output": 10_175, "input": 14_207}
SCALE_SIM_CONV1 = {"weight": 112_283}
