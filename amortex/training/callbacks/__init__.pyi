from .checkpoints import Checkpoints as Checkpoints
from .checkpoints import LastCheckpoint as LastCheckpoint
from .panels import PanelLogger as PanelLogger
from .reports import ReportLogger as ReportLogger
from .summary import FitSummary as FitSummary
