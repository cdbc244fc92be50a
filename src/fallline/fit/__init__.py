"""A table in, a model out: the one place where encoding, recipe, random start and descent meet."""

from fallline.fit.diagnosis import diagnose
from fallline.fit.job import LOSSES, Job, check
from fallline.fit.training import Fit, fit, forget

__all__ = ["LOSSES", "Fit", "Job", "check", "diagnose", "fit", "forget"]
