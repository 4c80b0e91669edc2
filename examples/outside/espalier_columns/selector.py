"""Magnitude with noise: what weighs little mostly goes, and another seed gives other masks."""

from dataclasses import dataclass

from accel.errors import EspalierError
from accel.prune import Genome, Ratio, Selector, Space, Trial, magnitudes
from accel.prune.trial import NOTHING
from accel.sparsity import LayerMask


@dataclass(frozen=True)
class NoisyMagnitude(Selector):
    """Each |w| is multiplied by exp(noise * z), z normal; then the smallest units go.

    Parameters
    ----------
    noise : float
        0 gives what magnitude gives; the more, the nearer to random masks.
    """

    name = "noisy-magnitude"

    noise: float = 0.5

    def __post_init__(self) -> None:
        if not 0 <= self.noise < 100:
            raise EspalierError(f"noise must be at least 0 and below 100, got {self.noise}")

    def __call__(self, space: Space, ratio: Ratio, trial: Trial = NOTHING) -> dict[str, LayerMask]:
        generator, genome, genes = trial.generator_for(self.name), Genome.of(space, ratio), {}
        for name, locus in genome.loci.items():
            weights = magnitudes(space, name)
            genes[name] = locus.strongest(weights * generator.lognormal(0, self.noise, weights.shape), "sum")
        return genome.masks(genes)
