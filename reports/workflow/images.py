"""Images by what they are: workers, on whichever machine, load them by name and refuse others than those."""

from dataclasses import dataclass

from accel.digest import digest_of
from accel.errors import EspalierError
from accel.interchange.data.datasets import ERROR, Dataset
from reports.workflow.sources import Source


@dataclass(frozen=True)
class Images:
    """The first images of a split, as any machine finds them.

    Parameters
    ----------
    data, split : str
    count : int
    digest : str
        Of pixels and labels.
    """

    data: str
    split: str
    count: int
    digest: str

    @classmethod
    def of(cls, images: Dataset) -> "Images":
        """Return what `load` finds again as `images`."""
        return cls(images.name, images.split, len(images), _digest(images))

    def load(self, source: Source) -> Dataset:
        """Return the images; raise EspalierError if those that are there are others."""
        found = source.load(self.split, labelled=False)
        if len(found) < self.count or _digest(images := found.take(self.count)) != self.digest:
            raise EspalierError(
                f"{self.data} ({self.split}): a worker found other images than the command: one data set?"
            )
        return images


def _digest(images: Dataset) -> str:
    judged = () if images.metric == ERROR else (images.metric,)
    return digest_of(images.images, images.labels, images.full_scale, *judged)
