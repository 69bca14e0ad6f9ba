from .config import ComparisonConfig as ComparisonConfig
from .module import Comparison as Comparison
